#!/bin/sh
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes in DIRECTORY the disk of a guest of another hypervisor: disk.raw, a Debian whose initramfs has drivers for SATA and none for
# virtio, and its initrd. Started, it says where its root is. With an interface it then asks for an address and answers with a page,
# /state; without one it turns itself off.
# Usage: foreign_guest.sh DIRECTORY MIRROR   No mount, no loop device: GRUB is put before the partition, to where its own
# installation, which needs a device, would put it.
set -eu
cd "$1"
mirror=$2
uuid=6f7e0000-0000-4000-8000-00000000000a
partition_kib=1024

# shellcheck disable=SC2016
mmdebstrap --quiet --variant=minbase --include=linux-image-cloud-amd64,initramfs-tools,grub2-common,grub-pc-bin,zstd,busybox-static,kmod \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --customize-hook='sed -i s/^MODULES=.*/MODULES=list/ "$1/etc/initramfs-tools/initramfs.conf"' \
  --customize-hook='printf "ahci\nsd_mod\next4\n" >>"$1/etc/initramfs-tools/modules"' \
  --customize-hook='chroot "$1" update-initramfs -u -k all' \
  --customize-hook='chroot "$1" grub-mkimage -O i386-pc -o /boot/core.img -p "(hd0,msdos1)/boot/grub" \
    biosdisk part_msdos ext2 normal linux search search_fs_uuid' \
  trixie root "$mirror"
# The lab's switch runs in user space and computes no checksums for its guests.
options="quiet console=ttyS0 virtio_net.csum=0 virtio_net.gso=0"
release=$(ls root/lib/modules)
cp "root/boot/initrd.img-$release" initrd
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >root/etc/fstab
printf 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="%s"\nGRUB_CMDLINE_LINUX=""\n' "$options" >root/etc/default/grub
mkdir -p root/boot/grub
cat >root/boot/grub/grub.cfg <<EOF
set timeout=0
menuentry 'Debian' {
  search --no-floppy --fs-uuid --set=root $uuid
  linux /boot/vmlinuz-$release root=UUID=$uuid ro $options
  initrd /boot/initrd.img-$release
}
EOF
rm -f root/sbin/init
cat >root/sbin/init <<'EOF'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
echo "guest: root on $(sed -n 's, / ext4 .*,,p' /proc/mounts)"
modprobe virtio_net
interface=$(ls /sys/class/net | grep -v '^lo$' | head -n 1)
if [ -z "$interface" ]; then
  echo o >/proc/sysrq-trigger
  exec sleep 60
fi
busybox ip link set "$interface" up
mkdir /run/www
printf '{"driver": "%s"}' "$(basename "$(readlink "/sys/class/net/$interface/device/driver")")" >/run/www/state
busybox httpd -p 80 -h /run/www
exec busybox udhcpc -f -i "$interface" -s /sbin/dhcp
EOF
cat >root/sbin/dhcp <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
busybox ip address add "$ip/$mask" dev "$interface"
busybox ip route add default via "${router%% *}"
EOF
chmod 0755 root/sbin/init root/sbin/dhcp
truncate -s 1G disk.raw
echo "start=$((partition_kib * 2)), type=83, bootable" | sfdisk -q --label dos disk.raw
mke2fs -q -t ext4 -U "$uuid" -d root -E "offset=$((partition_kib * 1024))" disk.raw "$((1024 * 1024 - partition_kib))k"
dd if=root/usr/lib/grub/i386-pc/boot.img of=disk.raw bs=440 count=1 conv=notrunc status=none
dd if=root/boot/core.img of=disk.raw bs=512 seek=1 conv=notrunc status=none
rm -rf --one-file-system root
