# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored from backups and snapshots is what the disk was, byte for byte, in qcow2 files and in Ceph.

The guest has no system: it stands still in its firmware, while the test writes to its disk through QEMU's monitor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from standing_lab import ceph_secret, module, shell

HOST, NAME = "cmp1", "own-kept"
PLACE = "/var/lib/libvirt/own-kept"
CEPH = "rbd --id nova --no-progress"
IMAGE, RESTORED = f"vms/{NAME}", f"vms/{NAME}-restored"
QEMU_RBD = f"rbd:{IMAGE}:id=nova:conf=/etc/ceph/ceph.conf"
DOMAIN = f"""
<domain type='qemu'><name>{NAME}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{{disk}}</devices></domain>"""
FILE = f"""<disk type='file'><driver name='qemu' type='qcow2'/><source file='{PLACE}/disk.qcow2'/>
  <target dev='vda' bus='virtio'/></disk>"""
RBD = f"""<disk type='network'><driver name='qemu' type='raw' cache='writeback'/>
  <auth username='nova'><secret type='ceph' uuid='{{secret}}'/></auth>
  <source protocol='rbd' name='{IMAGE}'><host name='10.98.2.41' port='6789'/></source>
  <target dev='vda' bus='virtio'/></disk>"""


def on_host(command: str) -> str:
    return shell(HOST, f"set -e; {command}")


def backup(name: str, **arguments: object) -> dict[str, object]:
    return module(HOST, "libvirt_backup", name=NAME, backup=name, directory=f"{PLACE}/backups", **arguments)


def write(at_mib: int, pattern: int) -> None:
    """Change 64 KiB of the disk of the running guest."""
    said = on_host(
        f"virsh qemu-monitor-command {NAME} --hmp 'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "
        f'"write -f -P {pattern} {at_mib}M 64k"\''
    )
    assert not said.strip(), said


def hash_of(image: str) -> str:
    return on_host(f"qemu-img convert -U -O raw {image} {PLACE}/raw && sha256sum <{PLACE}/raw").split()[0]


@pytest.fixture
def place() -> Iterator[None]:
    tear_down = (
        f"virsh destroy {NAME} || true; "
        f"virsh snapshot-delete {NAME} before || true; "
        f"virsh undefine --managed-save --checkpoints-metadata {NAME} || true; rm -rf {PLACE}; sleep 1; "
        f"for each in {IMAGE} {RESTORED}; do {CEPH} snap purge $each 2>/dev/null || true; "
        f"{CEPH} rm $each 2>/dev/null || true; done"
    )
    on_host(tear_down)
    on_host(f"mkdir -p {PLACE}; qemu-img create -f qcow2 {PLACE}/disk.qcow2 64M")
    yield
    on_host(tear_down)


@pytest.fixture
def on_file(place: None) -> None:
    module(HOST, "libvirt_domain", name=NAME, xml=DOMAIN.format(disk=FILE), state="running")


@pytest.fixture
def in_ceph(place: None) -> None:
    on_host(f"{CEPH.removesuffix(' --no-progress')} create --size 64M {IMAGE}")
    module(
        HOST, "libvirt_domain", name=NAME, xml=DOMAIN.format(disk=RBD.format(secret=ceph_secret(HOST))), state="running"
    )


def test_what_is_restored_from_files_is_what_the_disk_was(on_file):
    write(1, 0x11)
    sunday = hash_of(f"{PLACE}/disk.qcow2")
    assert backup("sunday")["backup"]["kept_by"] == "libvirt"
    write(2, 0x22)
    monday = hash_of(f"{PLACE}/disk.qcow2")
    made = backup("monday", base="sunday")["backup"]
    assert not backup("monday", base="sunday")["changed"] and made["disks"][0]["bytes"] < 1 << 20
    write(1, 0x33)
    assert sunday == hash_of(f"{PLACE}/backups/sunday/vda.qcow2")
    on_host(
        f"cp -r {PLACE}/backups {PLACE}/copy; qemu-img rebase -u -F qcow2 -b {PLACE}/copy/sunday/vda.qcow2 "
        f"{PLACE}/copy/monday/vda.qcow2"
    )
    assert monday == hash_of(f"{PLACE}/copy/monday/vda.qcow2") != sunday
    now = hash_of(f"{PLACE}/disk.qcow2")
    served = backup("served", mode="pull", base="monday")["exports"][0]
    write(3, 0x44)
    assert hash_of(f"'{served['uri']}'") == now
    changed = json.loads(
        on_host(
            "qemu-img map --output=json --image-opts driver=nbd,export=vda,server.type=unix,"
            f"server.path={PLACE}/backups/served/nbd.socket,x-dirty-bitmap={served['bitmap']}"
        )
    )
    assert [(each["start"], each["length"]) for each in changed if not each["data"]] == [(1 << 20, 64 << 10)]
    for name in ("served", "monday", "sunday"):
        assert backup(name, state="absent")["changed"]
    assert not on_host(f"virsh checkpoint-list --name {NAME}").strip()


def test_what_is_restored_from_ceph_is_what_the_disk_was(in_ceph):
    write(1, 0x11)
    sunday = hash_of(QEMU_RBD)
    assert backup("sunday")["backup"]["kept_by"] == "ceph"
    write(2, 0x22)
    monday = hash_of(QEMU_RBD)
    made = backup("monday", base="sunday")["backup"]
    assert not backup("monday", base="sunday")["changed"] and made["disks"][0]["bytes"] < 5 << 20
    write(1, 0x33)
    on_host(f"{CEPH.removesuffix(' --no-progress')} create --size 64M {RESTORED}")
    for name, expected in (("sunday", sunday), ("monday", monday)):
        on_host(f"{CEPH} import-diff {PLACE}/backups/{name}/vda.rbd-diff {RESTORED}")
        assert hash_of(f"rbd:{RESTORED}:id=nova:conf=/etc/ceph/ceph.conf") == expected
    for name in ("monday", "sunday"):
        assert backup(name, state="absent")["changed"]
    assert json.loads(on_host(f"rbd --id nova snap ls --format json {IMAGE}")) == []


@pytest.mark.parametrize("kept_by", ["libvirt", "ceph"])
def test_a_snapshot_brings_the_disk_back(kept_by, request):
    request.getfixturevalue("on_file" if kept_by == "libvirt" else "in_ceph")
    disk = f"{PLACE}/disk.qcow2" if kept_by == "libvirt" else QEMU_RBD
    snapshot = {"name": NAME, "snapshot": "before"}
    write(1, 0x11)
    before = hash_of(disk)
    taken = module(HOST, "libvirt_snapshot", **snapshot)
    assert taken["kept_by"] == kept_by and not module(HOST, "libvirt_snapshot", **snapshot)["changed"]
    write(1, 0x22)
    assert hash_of(disk) != before
    if kept_by == "ceph":
        on_host(f"virsh destroy {NAME}")
    module(HOST, "libvirt_snapshot", state="reverted", **snapshot)
    assert hash_of(disk) == before
    assert module(HOST, "libvirt_snapshot", state="absent", **snapshot)["changed"]
    assert not module(HOST, "libvirt_snapshot", state="absent", **snapshot)["changed"]


@pytest.mark.parametrize("path", [None, f"{PLACE}/memory"])
def test_a_guest_sleeps_and_wakes(on_file, path):
    place = {"path": path} if path else {}
    for state, found in (("saved", "shut off"), ("restored", "running")):
        assert module(HOST, "libvirt_saved_state", name=NAME, state=state, **place)["changed"]
        assert on_host(f"virsh domstate {NAME}").strip() == found
        assert not module(HOST, "libvirt_saved_state", name=NAME, state=state, **place)["changed"]
