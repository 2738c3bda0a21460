#!/bin/sh
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds guest.FORMAT (qcow2 or raw) from the files beside it and the Debian packages of this host, and prints the versions of these as
# JSON. Usage: build.sh DIRECTORY FORMAT PACKAGE...   Nothing outside the directory is written; no mount, no loop device.
# Same packages, same image: every time stamp is that of the kernel.
set -eu
cd "$1"
format=$2
shift 2
export LC_ALL=C TZ=UTC MTOOLS_SKIP_CHECK=1
umask 022

DRIVERS="virtio_blk virtio_net virtio_scsi virtio_balloon virtio-rng sd_mod sr_mod ata_piix ahci
  isofs vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 button evdev"
SECTORS_PER_MIB=2048
BOOT_MIB=24
ROOT_MIB=39

fetch_kernel() {
  kernel=$(apt-cache depends --important linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p')
  [ -n "$kernel" ] && apt-get -q -o APT::Sandbox::User=root download "$kernel" >/dev/null
}
# Lists of packages may be missing or older than the mirror.
fetch_kernel 2>/dev/null || { apt-get -qq update && fetch_kernel; }
kernel_version=$(dpkg-deb -f linux-image-*.deb Version)
mkdir kernel initrd root
dpkg-deb -x linux-image-*.deb kernel
epoch=$(stat -c %Y kernel/boot/vmlinuz-*)
export SOURCE_DATE_EPOCH="$epoch"

# The drivers with all that they need, unpacked, since the guest's modprobe reads no compressed ones.
release=$(basename kernel/usr/lib/modules/*)
mv kernel/usr/lib kernel/lib
find kernel/lib/modules -name '*.ko.xz' -exec xz -d {} +
busybox depmod -b kernel "$release"
modules=initrd/lib/modules/$release
mkdir -p "$modules"
for driver in $DRIVERS; do
  line=$(grep "/$driver\.ko:" "kernel/lib/modules/$release/modules.dep") ||
    { echo "driver $driver: found none in $kernel; expected one. Correct DRIVERS in build.sh." >&2; exit 1; }
  for file in ${line%%:*} ${line#*:}; do
    mkdir -p "$modules/${file%/*}"
    cp "kernel/lib/modules/$release/$file" "$modules/$file"
  done
  echo "$driver"
done >initrd.list
mv initrd.list initrd/lib/modules/list
busybox depmod -b initrd "$release"
rm -f "$modules/modules.symbols" "$modules/modules.alias"

# What boots: loads drivers, mounts the root file system.
mkdir -p initrd/bin initrd/dev initrd/proc initrd/sys initrd/root
cp /bin/busybox initrd/bin/
ln -s busybox initrd/bin/sh
install -m 0755 guest/init initrd/init

# The root file system.
(cd root && mkdir -p bin dev etc/dropbear home/guest/.ssh proc run sys tmp usr/lib/guest var/lib/guest var/www)
ln -s bin root/sbin
ln -s ../bin root/usr/bin
ln -s ../bin root/usr/sbin
ln -s ../run root/var/run
cp -r initrd/lib root/lib
cp /bin/busybox /usr/sbin/dropbear /usr/bin/dropbearkey root/bin/
for applet in $(busybox --list | grep -vx busybox); do ln -s busybox "root/bin/$applet"; done
for library in $(ldd /usr/sbin/dropbear /usr/bin/dropbearkey | grep -o '/[^ ]*' | sort -u | grep -v ':$'); do
  mkdir -p "root${library%/*}"
  cp -L "$library" "root$library"
done
x86_64-linux-gnu-gcc -std=gnu11 -Os -Wall -Wextra -static -s -specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs \
  -o root/usr/lib/guest/server guest/server.c
for program in boot dhcp halt metadata network remote_shell; do install -m 0755 "guest/$program" root/usr/lib/guest/; done
install -m 0644 guest/common guest/user_data guest/json.awk guest/cloud_config.awk root/usr/lib/guest/
install -m 0644 guest/inittab root/etc/inittab
cat >root/etc/passwd <<END
guest:x:0:0:administrator:/home/guest:/bin/sh
root:x:0:0:administrator:/:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
END
printf 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n' >root/etc/group
printf '/bin/sh\n' >root/etc/shells
printf 'guest\n' >root/etc/hostname
printf '127.0.0.1 localhost guest\n::1 localhost\n' >root/etc/hosts
ln -s ../run/guest/resolv.conf root/etc/resolv.conf
printf '%020d\n' 0 >root/var/lib/guest/counter
chmod 0700 root/home/guest root/home/guest/.ssh root/var/lib/guest
find initrd root -exec touch -h -d "@$epoch" {} +
(cd initrd && find . | sort | cpio --quiet --reproducible -R 0:0 -H newc -o) | zstd -q -19 >initrd.img
touch -d "@$epoch" initrd.img guest/syslinux.cfg

# The disk: a partition for the boot loader, which reads FAT, and one for the rest.
truncate -s $((1 + BOOT_MIB + ROOT_MIB))M disk
sfdisk -q disk <<END
label: dos
label-id: 0x6c626f61
start=$SECTORS_PER_MIB, size=$((BOOT_MIB * SECTORS_PER_MIB)), type=e, bootable
start=$(((1 + BOOT_MIB) * SECTORS_PER_MIB)), type=83
END
dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk conv=notrunc status=none
truncate -s ${BOOT_MIB}M boot.fat
mkfs.fat -F 16 -n BOOT -i 6c626f61 --invariant boot.fat >/dev/null
cp -p kernel/boot/vmlinuz-* vmlinuz
mcopy -m -i boot.fat vmlinuz ::/vmlinuz
mcopy -m -i boot.fat initrd.img ::/initrd
mcopy -m -i boot.fat guest/syslinux.cfg ::/syslinux.cfg
syslinux --install boot.fat
dd if=boot.fat of=disk bs=1M seek=1 conv=notrunc,sparse status=none
mke2fs -q -t ext4 -d root -L guest -U 6c626f61-7400-4000-8000-000000000001 -m 0 -b 4096 -N 2048 -J size=4 \
  -E root_owner=0:0,hash_seed=6c626f61-7400-4000-8000-000000000002,lazy_itable_init=0,lazy_journal_init=0 root.ext4 ${ROOT_MIB}M
dd if=root.ext4 of=disk bs=1M seek=$((1 + BOOT_MIB)) conv=notrunc,sparse status=none
case $format in
  qcow2) qemu-img convert -q -c -f raw -O qcow2 disk guest.qcow2 ;;
  raw) mv disk guest.raw ;;
esac

{
  printf '{"%s": "%s"' "$kernel" "$kernel_version"
  dpkg-query -W -f ', "${Package}": "${Version}"' "$@"
  printf '}\n'
}
