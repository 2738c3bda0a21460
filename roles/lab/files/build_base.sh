#!/usr/bin/env bash
# Makes the base image of the lab's hosts: build_base.sh RELEASE MIRROR IMAGE
set -euo pipefail
release=$1 mirror=$2 image=$3
work=$(mktemp -d /var/tmp/lifeboat-base.XXXXXX)
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=minbase \
  --include=systemd,systemd-sysv,dbus,iproute2,iputils-ping,python3,python3-apt,ca-certificates,apt,openssh-server,ethtool \
  "$release" "$work/root" "$mirror"
# systemd-modules-load fails in every container; each host makes its own machine id and SSH host keys at its first boot.
systemctl --root="$work/root" --quiet mask systemd-modules-load.service
: >"$work/root/etc/machine-id"
rm -f "$work/root"/etc/ssh/ssh_host_* "$work/root/etc/resolv.conf"
cat >"$work/root/etc/systemd/system/ssh-host-keys.service" <<'UNIT'
[Unit]
Description=SSH host keys of this host
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
UNIT
# A switch in user space drops packets whose checksum the sender has left to a network card.
cat >"$work/root/etc/systemd/system/checksum-offload.service" <<'UNIT'
[Unit]
Description=No checksum offload
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'ip -brief link | while read name rest; do ethtool -K "$${name%%%%@*}" tx off; done'
[Install]
WantedBy=multi-user.target
UNIT
systemctl --root="$work/root" --quiet enable ssh-host-keys.service checksum-offload.service ssh.service
tar -C "$work/root" -c . | podman import --quiet --change 'CMD ["/sbin/init"]' - "$image"
