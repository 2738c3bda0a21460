# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NFS and iSCSI need of a kernel, in a virtual machine on the observer, with Debian's kernel.

The machine serves itself: NFS by its kernel, which it mounts; a volume group of which it offers a volume by tgt, to
which its own initiator logs in. QEMU emulates its processor, so everything takes several times as long as on a server.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standing_lab import ROOT, Play, ansible, play

OBSERVER, PORT = "10.98.0.21", 28022
# The address that QEMU's user network gives.
ADDRESS, NETWORK = "10.0.2.15", "10.0.2.0/24"
WORK = "/var/tmp/storage-kernel-test"
UNIT = "storage-kernel-test"
BOOT_WITHIN_S = 300
GROUP, TARGET, USER, PASSWORD = "cinder-volumes", "iqn.2026-01.org.example:test", "initiator", "sixteen-letters!"
PACKAGES = (
    "systemd systemd-sysv dbus iproute2 openssh-server python3 python3-apt linux-image-amd64 initramfs-tools zstd "
    "nfs-kernel-server nfs-common lvm2 thin-provisioning-tools tgt open-iscsi"
)
SSH_OPTIONS = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
BUILD = f"""
set -e
rm -rf --one-file-system {WORK}
mkdir -p {WORK}
cd {WORK}
mmdebstrap --quiet --variant=minbase --include='{PACKAGES}' trixie root - </etc/apt/sources.list
mkdir -p root/root/.ssh
cp /root/.ssh/authorized_keys root/root/.ssh/
printf '[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n' >root/etc/systemd/network/all.network
systemctl --root=root --quiet enable systemd-networkd.service ssh.service
cp root/boot/vmlinuz-* kernel
cp root/boot/initrd.img-* initrd
echo vm1 >root/etc/hostname
echo '/dev/vda / ext4 defaults 0 1' >root/etc/fstab
truncate --size 4G system
mke2fs -q -t ext4 -F -d root system
rm -rf root
"""
START = f"""
set -e
cd {WORK}
cp --sparse=always system disk
rm -f volumes
truncate --size 6G volumes
systemd-run --quiet --collect --unit {UNIT} --working-directory {WORK} qemu-system-x86_64 -accel tcg,thread=multi \
  -cpu max -smp 2 -m 1536 -display none -serial file:console -kernel kernel -initrd initrd \
  -append 'root=/dev/vda rw console=ttyS0 quiet' -drive file=disk,if=virtio,format=raw,cache=unsafe \
  -drive file=volumes,if=virtio,format=raw,cache=unsafe -device virtio-rng-pci \
  -netdev user,id=net,hostfwd=tcp::{PORT}-:22 -device virtio-net-pci,netdev=net
"""
# backup is the user 34 of every Debian.
EXPORT = {"path": "/srv/shared", "uid": 34, "gid": 34, "mode": "0750"}
MOUNT = {
    "source": f"{ADDRESS}:/srv/shared",
    "path": "/mnt/shared",
    "required_by": ["cron.service"],
    "writer": "backup",
}
HOST = {
    "ansible_host": OBSERVER,
    "ansible_port": PORT,
    "ansible_user": "root",
    "ansible_ssh_private_key_file": str(ROOT / ".lab/ssh/id_ed25519"),
    "ansible_ssh_common_args": " ".join(SSH_OPTIONS),
    "cloud_networks": {"storage": NETWORK},
    "cloud_addresses": {"storage": ADDRESS},
    "nfs_exports": [EXPORT],
    "nfs_mounts": [MOUNT],
    "nfs_grace_period": 10,
    "nfs_lease_time": 10,
    "lvm_iscsi_volume_groups": {GROUP: ["/dev/vdb"]},
}


def observer(command: str) -> str:
    return ssh(command, 22)


def machine(command: str) -> str:
    return ssh(command, PORT)


def ssh(command: str, port: int) -> str:
    key = str(ROOT / ".lab/ssh/id_ed25519")
    login = ["ssh", *SSH_OPTIONS, "-o", "ConnectTimeout=10", "-i", key, "-p", str(port), f"root@{OBSERVER}", command]
    ran = subprocess.run(login, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, f"{command}: {ran.stdout} {ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    options = "install_recommends=false update_cache=true cache_valid_time=3600"
    ansible("client1", "ansible.builtin.apt", f"name=mmdebstrap,qemu-system-x86,e2fsprogs {options}")
    began = time.monotonic()
    try:
        observer(BUILD)
        built = time.monotonic()
        observer(START)
        wait_for_boot()
        print(f"built in {built - began:.0f} s, booted in {time.monotonic() - built:.0f} s")
        yield
    finally:
        observer(f"systemctl stop {UNIT} 2>/dev/null || true; rm -rf --one-file-system {WORK}")


def wait_for_boot() -> None:
    end = time.monotonic() + BOOT_WITHIN_S
    seen = ""
    while time.monotonic() < end:
        try:
            machine("true")
            return
        except AssertionError as error:
            seen = str(error)
        time.sleep(2)
    raise AssertionError(
        f"no SSH within {BOOT_WITHIN_S} s, seen last: {seen}; {observer(f'tail -n 30 {WORK}/console')}"
    )


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    localhost = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    groups = {group: {"hosts": {"vm1": HOST}} for group in ("nfs_server", "nfs_client", "lvm_iscsi")}
    hosts = {"all": {"hosts": {"localhost": localhost}, "children": groups}}
    path.write_text(yaml.safe_dump(hosts), encoding="utf-8")
    return path


def site(inventory: Path, *arguments: str, check: bool = True, **variables: object) -> Play:
    options = ("-e", f"cloud_state_directory={ROOT}/.lab", "-e", json.dumps(variables))
    return play("site", "--tags", "nfs,lvm_iscsi", *options, *arguments, inventory=inventory, check=check)


def test_everything_is_installed_once(inventory: Path) -> None:
    first = site(inventory)
    assert "vm1 serves NFS by the kernel. On its system disk, which clients can fill: /srv/shared." in first.text
    assert not site(inventory).changes
    assert not site(inventory, "--check", "--diff").changes


def test_the_export_is_mounted_and_written_by_its_user() -> None:
    assert machine("stat --file-system --format %T /mnt/shared") == "nfs\n"
    assert "vers=4.2" in machine("grep /mnt/shared /proc/mounts")
    machine("runuser -u backup -- sh -c 'echo kept >/mnt/shared/file' && sync")
    assert machine("cat /srv/shared/file; stat --format %u /srv/shared/file") == "kept\n34\n"
    # Root is nobody there.
    assert machine("touch /mnt/shared/of-root 2>/dev/null && echo made || echo refused") == "refused\n"
    assert "RequiresMountsFor=/mnt/shared" in machine("cat /etc/systemd/system/cron.service.d/lifeboat-mnt-shared.conf")
    listening = machine("ss --tcp --listening --numeric 'sport = 2049'")
    assert f"{ADDRESS}:2049" in listening and "0.0.0.0:2049" not in listening


def test_a_mount_that_would_hide_files_is_refused(inventory: Path) -> None:
    machine("mkdir -p /mnt/used && touch /mnt/used/disk")
    refused = site(inventory, "--tags", "nfs", check=False, nfs_mounts=[MOUNT, {**MOUNT, "path": "/mnt/used"}])
    assert refused.returncode != 0
    assert "mount /mnt/used: found disk in the directory" in refused.text
    assert not refused.changes


def test_a_changed_export_is_read(inventory: Path) -> None:
    assert ",rw," in machine("exportfs -s")
    read_only = [{**EXPORT, "read_only": True}]
    # Nobody can write there, which the run notices; the export has changed before.
    refused = site(inventory, "--tags", "nfs", check=False, nfs_exports=read_only)
    assert "/mnt/shared: found no way for backup to write there" in refused.text
    assert ",ro," in machine("exportfs -s")
    site(inventory, "--tags", "nfs")
    assert ",rw," in machine("exportfs -s")


def test_a_volume_is_offered_to_those_who_know_its_password(inventory: Path) -> None:
    assert machine(f"vgs --noheadings --options vg_name {GROUP}").split() == [GROUP]
    # Thin, as Cinder makes them.
    machine(f"lvcreate --quiet --size 1G --thinpool pool {GROUP}")
    machine(f"lvcreate --quiet --thin --virtualsize 256M --name lun {GROUP}/pool")
    target = {"name": TARGET, "path": f"/dev/{GROUP}/lun", "user": USER, "password": PASSWORD}
    site(inventory, "--tags", "lvm_iscsi", lvm_iscsi_targets=[target])
    initiator(inventory)
    names = machine("cat /etc/iscsi/initiatorname.iscsi")
    assert names.startswith("InitiatorName=iqn.1993-08.org.debian:01:")
    portal = f"--mode node --targetname {TARGET} --portal {ADDRESS}"
    machine(f"iscsiadm --mode discovery --type sendtargets --portal {ADDRESS}")
    assert machine(f"iscsiadm {portal} --login >/dev/null 2>&1 && echo in || echo out") == "out\n"
    for name, value in (("authmethod", "CHAP"), ("username", USER), ("password", PASSWORD)):
        machine(f"iscsiadm {portal} --op update --name node.session.auth.{name} --value '{value}'")
    machine(f"iscsiadm {portal} --login && udevadm settle --timeout 60")
    device = machine("ls /dev/disk/by-path/*-lun-1").strip()
    machine("head --bytes 4M /dev/urandom >/tmp/written")
    machine(f"dd if=/tmp/written of={device} bs=1M oflag=direct status=none")
    machine(f"iscsiadm {portal} --logout && cmp --bytes 4194304 /tmp/written /dev/{GROUP}/lun")
    assert not site(inventory, "--tags", "lvm_iscsi", lvm_iscsi_targets=[]).returncode
    assert TARGET not in machine("tgt-admin --show")


def initiator(inventory: Path) -> None:
    """What hypervisors get."""
    role = "name=lifeboat.cloud.lvm_iscsi tasks_from=initiator"
    command = ["ansible", "vm1", "-i", str(inventory), "-m", "ansible.builtin.include_role", "-a", role]
    for expected in ("CHANGED", "SUCCESS"):
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert expected in ran.stdout
    assert "CHANGED" not in ran.stdout


def test_disks_of_the_system_and_of_another_volume_group_are_refused(inventory: Path) -> None:
    groups = {"other": ["/dev/vdb"], GROUP: ["/dev/vda"]}
    refused = site(inventory, "--tags", "lvm_iscsi", check=False, lvm_iscsi_volume_groups=groups)
    assert refused.returncode != 0
    assert f"device /dev/vdb: found one of the volume group {GROUP}" in refused.text
    assert f"volume group {GROUP}: found one with /dev/vdb" in refused.text
    assert "device /dev/vda: found the system disk, mounted at /" in refused.text
    assert not refused.changes
