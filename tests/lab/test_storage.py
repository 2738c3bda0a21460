# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NFS and iSCSI on the observer: what hypervisors write there is read by others, and only those who may get in.

The lab's kernel has no NFS, no iSCSI and no device mapper: nfs-ganesha and tgt serve in user space, and QEMU's own
drivers (libnfs, libiscsi) are the clients. What needs the kernel is refused here, which is tested too.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from standing_lab import ROOT, Play, ansible, play

SERVER, HYPERVISOR, STORAGE = "10.98.0.21", "10.98.0.31", "10.98.0.41"
# Their addresses on the storage network.
SERVES, HYPERVISOR_THERE = "10.98.2.21", "10.98.2.31"
PLACE = "/srv/lifeboat-test"
TARGET = "iqn.2026-01.org.example:test"
USER, PASSWORD = "hypervisor", "sixteen-letters!"
CHAP = f"LIBISCSI_CHAP_USERNAME={USER} LIBISCSI_CHAP_PASSWORD='{PASSWORD}'"
LUN = f"iscsi://{SERVES}/{TARGET}/1"
SSH_OPTIONS = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
EXPORTS = [
    {"path": f"{PLACE}/volumes", "squash": "none", "mode": "0755"},
    {"path": f"{PLACE}/of-root", "mode": "0755"},
    {"path": f"{PLACE}/of-nobody", "uid": 65534, "gid": 65534, "mode": "0755"},
    {"path": f"{PLACE}/one-client", "squash": "none", "clients": [f"{HYPERVISOR_THERE}/32"]},
]
NFS_SERVER = {
    "nfs_exports": EXPORTS,
    "nfs_protocols": [3, 4],
    "nfs_grace_period": 5,
    # Containers of the lab may not have CAP_SYS_RESOURCE.
    "nfs_config_overrides": {"ganesha.conf": {"NFS_CORE_PARAM": {"allow_set_io_flusher_fail": True}}},
}
TARGETS = [{"name": TARGET, "path": f"{PLACE}/lun", "user": USER, "password": PASSWORD}]
GROUPS = {
    "nfs_server": {"hosts": {"client1": NFS_SERVER}},
    "lvm_iscsi": {"hosts": {"client1": {"lvm_iscsi_targets": TARGETS}}},
    "nfs_client": {"hosts": {"stor1": {"nfs_mounts": [{"source": f"{SERVES}:{PLACE}/volumes", "path": "/mnt"}]}}},
}
NO_TARGET = {"name": "disk", "path": "/nowhere", "user": "u", "password": "p"}
# The root of a container is an overlay, from which NFS cannot export.
PREPARE = f"""
set -e
mkdir -p {PLACE}
mountpoint -q {PLACE} && exit
truncate --size 512M /var/tmp/lifeboat-test.ext4
mkfs.ext4 -q -F /var/tmp/lifeboat-test.ext4
mount -o loop /var/tmp/lifeboat-test.ext4 {PLACE}
truncate --size 64M {PLACE}/lun
"""
CLEAN = f"""
systemctl disable --now --quiet nfs-ganesha.service tgt.service rpcbind.socket
systemctl stop rpc-statd.service nfs-ganesha-lock.service
rm -rf /etc/systemd/system/tgt.service.d /etc/systemd/system/rpcbind.socket.d
rm -f /etc/tgt/conf.d/lifeboat.conf /etc/ganesha/lifeboat-exports.conf
systemctl daemon-reload
umount {PLACE}
rmdir {PLACE}
rm -f /var/tmp/lifeboat-test.ext4
"""


def on(host: str, command: str) -> subprocess.CompletedProcess[str]:
    """A command on a host of the lab."""
    login = ["ssh", *SSH_OPTIONS, "-i", str(ROOT / ".lab/ssh/id_ed25519"), f"root@{host}", command]
    return subprocess.run(login, capture_output=True, text=True, timeout=120, check=False)


def done(host: str, command: str) -> str:
    """What a command printed that succeeded."""
    ran = on(host, command)
    assert ran.returncode == 0, f"{command}: {ran.stdout} {ran.stderr}"
    return ran.stdout


def nfs(export: str, name: str = "disk.qcow2") -> str:
    return f"nfs://{SERVES}{PLACE}/{export}/{name}"


def write(url: str, pattern: int, image: str, environment: str = "") -> str:
    """The command that writes 4 MiB at 8 MiB."""
    return f"{environment} timeout 60 qemu-io -f {image} -c 'write -P {pattern} 8M 4M' -c flush '{url}'"


def read(url: str, pattern: int, image: str, environment: str = "") -> str:
    """The command that reads them back, and says when they differ."""
    return f"{environment} timeout 60 qemu-io -r -f {image} -c 'read -P {pattern} 8M 4M' '{url}'"


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The arguments for the lab's inventory with the groups of this test."""
    path = tmp_path_factory.mktemp("inventory") / "storage.yml"
    path.write_text(yaml.safe_dump({"all": {"children": GROUPS}}), encoding="utf-8")
    return ("-i", str(ROOT / "inventories/lab"), "-i", str(path), "-e", f"cloud_state_directory={ROOT}/.lab")


def site(inventory: tuple[str, ...], *arguments: str, check: bool = True, limit: str = "client1") -> Play:
    return play("site", *inventory, "--limit", f"{limit}:localhost", *arguments, check=check)


@pytest.fixture(scope="module", autouse=True)
def served(inventory: tuple[str, ...]) -> Iterator[Play]:
    done(SERVER, PREPARE)
    first = site(inventory, "--tags", "nfs,lvm_iscsi")
    # Until the grace period ends nobody may make a file.
    url = f"nfs://{SERVES}{PLACE}/volumes/first"
    done(HYPERVISOR, f"timeout 60 sh -c 'until qemu-img create -q -f raw {url} 1M 2>/dev/null; do sleep 0.5; done'")
    yield first
    on(SERVER, CLEAN)


def test_the_run_says_which_server_it_is(served: Play) -> None:
    assert "client1 serves NFS by nfs-ganesha." in served.text


@pytest.mark.parametrize("mode", [(), ("--check", "--diff")], ids=["second run", "check mode"])
def test_nothing_changes(inventory: tuple[str, ...], mode: tuple[str, ...]) -> None:
    assert not site(inventory, "--tags", "nfs,lvm_iscsi", *mode).changes


def test_a_disk_on_nfs_is_shared() -> None:
    done(HYPERVISOR, f"timeout 60 qemu-img create -q -f qcow2 {nfs('volumes')} 64M")
    print(done(HYPERVISOR, write(nfs("volumes"), 0xA5, "qcow2")))
    print(done(STORAGE, read(nfs("volumes"), 0xA5, "qcow2")))
    assert "Pattern verification failed" in done(STORAGE, f"{read(nfs('volumes'), 0x5A, 'qcow2')} 2>&1 || true")
    assert json.loads(done(SERVER, f"qemu-img info --output json {PLACE}/volumes/disk.qcow2"))["format"] == "qcow2"


def test_the_fourth_version_of_nfs_answers_too() -> None:
    options = "install_recommends=false update_cache=true cache_valid_time=3600"
    ansible("stor1", "ansible.builtin.apt", f"name=libnfs-utils {options}")
    done(SERVER, f"echo written on the server >{PLACE}/volumes/text")
    url = f"nfs://{SERVES}{PLACE}/volumes/text?version=4"
    assert done(STORAGE, f"timeout 60 nfs-cat '{url}'") == "written on the server\n"


def test_root_is_squashed_unless_the_export_says_otherwise() -> None:
    refused = on(HYPERVISOR, f"timeout 60 qemu-img create -q -f qcow2 {nfs('of-root')} 64M")
    assert refused.returncode != 0
    assert "NFS3ERR_ACCES" in refused.stderr, refused.stderr
    done(HYPERVISOR, f"timeout 60 qemu-img create -q -f qcow2 {nfs('of-nobody')} 64M")
    assert done(SERVER, f"stat --format %U {PLACE}/of-nobody/disk.qcow2") == "nobody\n"
    assert done(SERVER, f"stat --format %U {PLACE}/volumes/disk.qcow2") == "root\n"


def test_an_export_lets_in_its_clients_only() -> None:
    done(HYPERVISOR, f"timeout 60 qemu-img create -q -f qcow2 {nfs('one-client')} 64M")
    refused = on(STORAGE, f"timeout 60 qemu-img info {nfs('one-client')}")
    assert refused.returncode not in (0, 124)
    assert "mount" in refused.stderr.lower() or "access" in refused.stderr.lower(), refused.stderr


def test_a_changed_export_is_read_without_a_restart(inventory: tuple[str, ...]) -> None:
    def process() -> str:
        return done(SERVER, "systemctl show --property MainPID nfs-ganesha.service tgt.service")

    before = process()
    open_for_all = [{**each, "clients": ["10.98.2.0/24"]} for each in EXPORTS]
    changed = site(inventory, "--tags", "nfs", "-e", json.dumps({"nfs_exports": open_for_all}))
    assert any("Read the exports" in each or "ganesha read" in each for each in changed.changes), changed.changes
    done(STORAGE, f"timeout 60 qemu-img info {nfs('one-client')}")
    site(inventory, "--tags", "nfs")
    assert on(STORAGE, f"timeout 60 qemu-img info {nfs('one-client')}").returncode not in (0, 124)
    assert process() == before


def test_a_lun_is_written_and_read_with_its_password() -> None:
    print(done(HYPERVISOR, write(LUN, 0x3C, "raw", CHAP)))
    print(done(STORAGE, read(LUN, 0x3C, "raw", CHAP)))
    assert "Pattern verification failed" in done(STORAGE, f"{read(LUN, 0xC3, 'raw', CHAP)} 2>&1 || true")


@pytest.mark.parametrize("chap", ["", CHAP.replace("sixteen", "another")], ids=["no password", "wrong password"])
def test_nobody_gets_at_a_lun_without_its_password(chap: str) -> None:
    refused = on(HYPERVISOR, f"{chap} timeout 60 qemu-img info {LUN}")
    assert refused.returncode not in (0, 124)
    assert "Authentication failure" in refused.stderr, refused.stderr


def test_the_servers_listen_on_the_storage_network_only() -> None:
    listening = done(SERVER, "ss --tcp --listening --numeric --processes --no-header").splitlines()
    ours = [line for line in listening if re.search(r'"(ganesha.nfsd|tgtd|rpcbind|systemd)"', line)]
    places = {line.split()[3].replace(f"[::ffff:{SERVES}]", SERVES) for line in ours}
    assert {f"{SERVES}:2049", f"{SERVES}:3260", f"{SERVES}:111"} <= places
    assert not [place for place in places if not place.startswith((SERVES, "127.0.0.1", "[::1]"))]


def test_the_password_is_in_no_listing_and_no_readable_file() -> None:
    assert PASSWORD not in done(SERVER, "ps -eo args")
    assert done(SERVER, "stat --format %a /etc/tgt/conf.d/lifeboat.conf") == "600\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nfs_server_kind": "kernel"}, ("no NFS server (nfsd)", "nfs_server_kind ganesha")),
        ({"nfs_exports": [{"path": "/srv/nowhere/a"}]}, ("no directory /srv/nowhere", "system disk")),
        ({"nfs_exports": [{"path": "/srv/a"}]}, ("a file system without file handles", "overlay")),
        ({"nfs_exports": [{"path": PLACE}, {"path": f"{PLACE}/a"}]}, (f"an overlap with {PLACE}",)),
        ({"nfs_exports": [{"path": PLACE, "clients": ["stor1"]}]}, ("the client 'stor1'", "10.0.2.0/24")),
        ({"lvm_iscsi_volume_groups": {"cinder-volumes": ["/dev/nosuch"]}}, ("device mapper", "no such block device")),
        ({"lvm_iscsi_targets": [NO_TARGET]}, ("nothing at /nowhere", "no qualified one")),
    ],
    ids=["kernel server", "no parent", "overlay", "overlap", "client", "device mapper", "target"],
)
def test_what_cannot_work_here_is_refused(
    inventory: tuple[str, ...], changes: dict[str, object], words: tuple[str, ...]
) -> None:
    refused = site(inventory, "--tags", "nfs,lvm_iscsi", "-e", json.dumps(changes), check=False)
    assert refused.returncode != 0
    assert all(word in refused.text for word in words), refused.text[-2000:]
    assert not refused.changes


def test_a_client_whose_kernel_cannot_mount_is_refused(inventory: tuple[str, ...]) -> None:
    refused = site(inventory, "--tags", "nfs", limit="stor1", check=False)
    assert refused.returncode != 0
    assert "no NFS client (nfsv4)" in refused.text
    assert not refused.changes


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ({"name": "lvm", "kind": "lvm"}, ("client1 without the volume group cinder-volumes", "out of the group")),
        ({"name": "lvm", "kind": "lvm", "group": "nobody"}, ("no host that serves it",)),
        ({"name": "files", "kind": "nfs"}, ("no shares", "HOST:/PATH")),
        ({"name": "files", "kind": "nfs", "shares": ["a:/b"]}, ("no NFS client (nfsv4)",)),
    ],
    ids=["away from its volume group", "no host", "no shares", "kernel"],
)
def test_back_ends_of_cinder_that_cannot_work_are_refused(
    inventory: tuple[str, ...], backend: dict[str, object], words: tuple[str, ...]
) -> None:
    options = ("--tags", "cinder", "-e", json.dumps({"cinder_backends": [backend]}))
    refused = site(inventory, *options, limit="controllers", check=False)
    assert refused.returncode != 0
    assert all(word in refused.text for word in words), refused.text[-2000:]
    assert not refused.changes
