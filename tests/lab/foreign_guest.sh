#!/bin/sh
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes in DIRECTORY the disk of a guest of another hypervisor: disk.raw, a Debian whose initramfs has drivers for SATA and none for
# virtio, and its initrd. Started, it says where its root is and turns itself off.
# Usage: foreign_guest.sh DIRECTORY MIRROR   No mount, no loop device. It boots only with a kernel given to it: it has no boot loader
# but the settings of GRUB, by which virt-v2v finds the kernels.
set -eu
cd "$1"
mirror=$2
uuid=6f7e0000-0000-4000-8000-00000000000a
partition_kib=1024

# shellcheck disable=SC2016
mmdebstrap --quiet --variant=minbase --include=linux-image-cloud-amd64,initramfs-tools,grub2-common,zstd \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --customize-hook='sed -i s/^MODULES=.*/MODULES=list/ "$1/etc/initramfs-tools/initramfs.conf"' \
  --customize-hook='printf "ahci\nsd_mod\next4\n" >>"$1/etc/initramfs-tools/modules"' \
  --customize-hook='chroot "$1" update-initramfs -u -k all' \
  trixie root "$mirror"
release=$(ls root/lib/modules)
cp "root/boot/initrd.img-$release" initrd
echo "UUID=$uuid / ext4 errors=remount-ro 0 1" >root/etc/fstab
printf 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n' >root/etc/default/grub
mkdir -p root/boot/grub
cat >root/boot/grub/grub.cfg <<EOF
menuentry 'Debian' {
  search --no-floppy --fs-uuid --set=root $uuid
  linux /boot/vmlinuz-$release root=UUID=$uuid ro quiet
  initrd /boot/initrd.img-$release
}
EOF
rm -f root/sbin/init
cat >root/sbin/init <<'EOF'
#!/bin/sh
mount -t proc proc /proc
echo "guest: root on $(sed -n 's, / ext4 .*,,p' /proc/mounts)"
echo o >/proc/sysrq-trigger
exec sleep 60
EOF
chmod 0755 root/sbin/init
truncate -s 1G disk.raw
echo "start=$((partition_kib * 2)), type=83, bootable" | sfdisk -q --label dos disk.raw
mke2fs -q -t ext4 -U "$uuid" -d root -E "offset=$((partition_kib * 1024))" disk.raw "$((1024 * 1024 - partition_kib))k"
rm -rf --one-file-system root
