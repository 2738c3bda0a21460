# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes and images move between two pools of the lab's Ceph, and what is in them is the same afterwards.

The second back end of Cinder and the second store of Glance are variables of the roles, as an operator adds them, and
are taken away again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import typing as t
from collections.abc import Iterator

import pytest
import yaml
from standing_lab import CONTROLLERS, ROOT, ceph_secret, connected, module, play, shell

HERE, THERE = "lifeboat@ceph#ceph", "lifeboat@fast#fast"
POOLS = ("volumes-fast", "images-fast")
CEPH = "ceph --connect-timeout 20"
ADDRESS = re.compile(r"http://([0-9.]+)/")
ROLES = ("--tags", "ceph,cinder,glance")
CLOUD = {"cloud": "admin"}
WAIT_S = 300


def second_storage() -> dict[str, t.Any]:
    """The variables of the roles with a pool more for Cinder and for Glance."""
    defaults = yaml.safe_load((ROOT / "roles/ceph/defaults/main.yml").read_text(encoding="utf-8"))
    clients = defaults["ceph_clients"]
    for client, pool in (("cinder", POOLS[0]), ("nova", POOLS[0]), ("glance", POOLS[1])):
        for daemon in ("osd", "mgr"):
            clients[client][daemon] += f", profile rbd pool={pool}"
    clients["cinder"]["osd"] += f", profile rbd-read-only pool={POOLS[1]}"
    store = {"rbd_store_pool": POOLS[1], "rbd_store_user": "glance", "rbd_store_ceph_conf": "/etc/ceph/ceph.conf"}
    return {
        "ceph_pools": [*defaults["ceph_pools"], *({"name": name} for name in POOLS)],
        "ceph_clients": clients,
        "cinder_backends": [
            {"name": "ceph", "kind": "rbd"},
            {"name": "fast", "kind": "rbd", "options": {"rbd_pool": POOLS[0]}},
        ],
        "glance_config_overrides": {
            "glance-api.conf": {"DEFAULT": {"enabled_backends": "ceph:rbd,fast:rbd"}, "fast": store}
        },
    }


def take_away() -> None:
    """The lab as it was: no types, services and pools of the second storage."""
    play("site", *ROLES)
    with connected("admin") as cloud:
        for volume_type in cloud.block_storage.types():
            if volume_type.name == "fast":
                cloud.block_storage.delete_type(volume_type)
    for host in CONTROLLERS:
        shell(host, f"cinder-manage service remove cinder-volume {host}@fast || true")
    shell(CONTROLLERS[0], "cinder-manage cluster remove cinder-volume lifeboat@fast || true")
    removal = " && ".join(f"{CEPH} osd pool rm {name} {name} --yes-i-really-really-mean-it" for name in POOLS)
    allow = f"{CEPH} config set mon mon_allow_pool_delete"
    shell("stor1", f"{allow} true; {removal}; {allow} false")


@pytest.fixture(scope="module", autouse=True)
def added() -> Iterator[None]:
    play("site", *ROLES, "-e", json.dumps(second_storage()))
    try:
        yield
    finally:
        take_away()


def migrate(volume: str, check: bool = True, **options: object) -> dict[str, t.Any]:
    return module("localhost", "volume_migration", check, volume=volume, **options, **CLOUD)


def stores(image: str, check: bool = True, **options: object) -> dict[str, t.Any]:
    return module("localhost", "image_stores", check, image=image, **options, **CLOUD)


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(8 << 20)


@pytest.fixture
def image(content: bytes) -> Iterator[str]:
    with connected("admin") as cloud:
        made = cloud.image.create_image("moves", data=content, disk_format="raw", container_format="bare", wait=True)
        yield made.id
        cloud.image.delete_image(made.id)


@pytest.fixture
def volume(image: str) -> Iterator[str]:
    """A volume whose first 8 MiB are those of the image."""
    with connected("admin") as cloud:
        made = cloud.block_storage.create_volume(name="moves", size=1, image_id=image, volume_type="ceph")
        made = cloud.block_storage.wait_for_status(made, "available", wait=WAIT_S)
        yield made.id
        cloud.block_storage.delete_volume(made.id)
        cloud.block_storage.wait_for_delete(made, wait=WAIT_S)


def hash_of(volume: str, pool: str, size: int) -> str:
    """Of the volume's first bytes, read on a controller from the pool where it must be."""
    read = f"rbd --id cinder --pool {pool} export --no-progress volume-{volume} - | head --bytes {size} | sha256sum"
    return shell(CONTROLLERS[0], read).split()[0]


@pytest.fixture
def anywhere() -> Iterator[str]:
    """A type that every back end offers."""
    with connected("admin") as cloud:
        made = cloud.block_storage.create_type(name="anywhere")
        yield made.name
        cloud.block_storage.delete_type(made)


def test_a_volume_gets_another_type_and_its_own_again(volume: str, content: bytes) -> None:
    expected = hashlib.sha256(content).hexdigest()
    assert migrate(volume, type="ceph")["changed"] is False
    there = migrate(volume, type="fast")
    print(there["seconds"], there["timeline"])
    assert (there["source"], there["volume"]["place"], there["volume"]["type"]) == (HERE, THERE, "fast")
    assert hash_of(volume, POOLS[0], len(content)) == expected
    assert migrate(volume, type="fast")["changed"] is False
    refused = migrate(volume, check=False, host=HERE)
    assert refused["failed"] and f"type fast, offered by {THERE}" in refused["found"]
    assert migrate(volume, type="ceph")["volume"]["place"] == HERE
    assert hash_of(volume, "volumes", len(content)) == expected


def test_a_volume_moves_to_a_back_end_and_keeps_its_type(anywhere: str, volume: str, content: bytes) -> None:
    stayed = migrate(volume, type=anywhere)
    assert stayed["actions"][0].startswith("give volume moves the type anywhere where it is")
    assert stayed["volume"]["place"] == HERE
    there = migrate(volume, host=THERE)
    print(there["seconds"], there["timeline"])
    assert (there["volume"]["place"], there["volume"]["type"]) == (THERE, anywhere)
    assert hash_of(volume, POOLS[0], len(content)) == hashlib.sha256(content).hexdigest()
    assert migrate(volume, host=HERE)["volume"]["status"] == "available"
    assert hash_of(volume, "volumes", len(content)) == hashlib.sha256(content).hexdigest()
    migrate(volume, type="ceph")


def test_a_run_that_is_interrupted_is_gone_on_with(volume: str, content: bytes) -> None:
    # So short that the module gives up; Cinder does not.
    first = migrate(volume, check=False, type="fast", migration_timeout=0.1)
    assert first["failed"] and "next run" in first["remedy"]
    second = migrate(volume, type="fast")
    assert second["volume"]["place"] == THERE
    assert hash_of(volume, POOLS[0], len(content)) == hashlib.sha256(content).hexdigest()


def test_what_cannot_be_moved_is_refused_and_stays(volume: str) -> None:
    with connected("admin") as cloud:
        snapshot = cloud.block_storage.create_snapshot(volume_id=volume, name="moves")
        cloud.block_storage.wait_for_status(snapshot, "available", wait=WAIT_S)
        refused = migrate(volume, check=False, type="fast")
        cloud.block_storage.delete_snapshot(snapshot)
        cloud.block_storage.wait_for_delete(snapshot, wait=WAIT_S)
    assert refused["failed"] and "1 snapshot" in refused["found"]
    refused = migrate(volume, check=False, host="lifeboat@slow#slow")
    assert refused["failed"] and "no cinder-volume that serves it" in refused["found"]
    assert migrate(volume, type="ceph")["changed"] is False


def test_an_attached_volume_moves_under_its_running_server() -> None:
    play("guest_image")
    play("cloud_content")
    made = play("first_server")
    address = ADDRESS.search(made.text)
    assert address

    def guest(command: str) -> str:
        login = [
            "-i",
            str(ROOT / ".lab/web.pem"),
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]
        done = subprocess.run(
            ["ssh", *login, f"guest@{address[1]}", command], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    try:
        up = guest("cat /proc/sys/kernel/random/boot_id")
        before = guest("dd if=/dev/urandom of=/dev/vdb bs=1M count=16 2>/dev/null; sync; sha256sum /dev/vdb")
        done = migrate("web-1", type="fast", migration_timeout=600)
        print(done["seconds"], done["timeline"])
        assert done["volume"]["status"] == "in-use" and done["volume"]["place"] == THERE
        # Not from the guest's cache.
        assert guest("echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/vdb") == before
        assert guest("cat /proc/sys/kernel/random/boot_id") == up
        guest("dd if=/dev/zero of=/dev/vdb bs=1M count=1 2>/dev/null; sync")
    finally:
        play("first_server", "-e", "first_server_state=absent")


def test_an_image_moves_to_another_store_and_back(image: str, content: bytes) -> None:
    both = stores(image, stores=["ceph", "fast"])
    print(both["seconds"], both["timeline"])
    assert both["actions"] == ["copy image moves to fast"] and sorted(both["image"]["stores"]) == ["ceph", "fast"]
    only = stores(image, stores=["fast"], exclusive=True)
    assert only["actions"] == ["delete image moves from ceph"] and only["image"]["stores"] == ["fast"]
    with connected("admin") as cloud:
        assert cloud.image.download_image(image).content == content
    assert stores(image, stores=["fast"], exclusive=True)["changed"] is False
    back = stores(image, stores=["ceph"], exclusive=True)
    assert len(back["actions"]) == 2 and back["image"]["stores"] == ["ceph"]
    with connected("admin") as cloud:
        assert cloud.image.download_image(image).content == content


def test_an_unknown_store_is_refused(image: str) -> None:
    refused = stores(image, check=False, stores=["slow"])
    assert refused["failed"] and "store slow; expected some of ceph, fast" in refused["msg"]


HYPERVISOR = "cmp1"
DOMAIN, DIRECTORY, IMAGE = "own-moved", "/var/lib/libvirt/own-moved", "vms/own-moved"
FILE = f"{DIRECTORY}/disk.qcow2"
RBD = "rbd --id nova"
XML = f"""
<domain type='qemu'><name>{DOMAIN}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>
  <disk type='file'><driver name='qemu' type='qcow2'/><source file='{FILE}'/><target dev='vda' bus='virtio'/></disk>
  </devices></domain>"""
CLEAN = f"virsh destroy {DOMAIN}; virsh undefine {DOMAIN}; rm -rf {DIRECTORY}; sleep 1; {RBD} rm {IMAGE}; true"


def write(at_mib: int, pattern: int) -> None:
    """Change 1 MiB of the disk of the running guest."""
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    ask = f'qemu-io -d {device} "write -f -P {pattern} {at_mib}M 1M"'
    assert not shell(HYPERVISOR, f"virsh qemu-monitor-command {DOMAIN} --hmp '{ask}'").strip()


def raw_hash(image: str) -> str:
    raw = f"{DIRECTORY}/raw"
    return shell(HYPERVISOR, f"qemu-img convert -U -O raw {image} {raw} && sha256sum <{raw}").split()[0]


def in_ceph() -> str:
    return raw_hash(f"rbd:{IMAGE}:id=nova:conf=/etc/ceph/ceph.conf")


def sources() -> list[str]:
    """Of the running guest and of its definition."""
    seen = [shell(HYPERVISOR, f"virsh domblklist {DOMAIN} {flag}") for flag in ("", "--inactive")]
    return [line.split()[1] for text in seen for line in text.splitlines() if line.split()[:1] == ["vda"]]


def block_copy(check: bool = True, **options: object) -> dict[str, t.Any]:
    image = {"image": IMAGE, "secret": ceph_secret(HYPERVISOR)}
    return module(HYPERVISOR, "libvirt_block_copy", check, name=DOMAIN, disk="vda", **image, **options)


@pytest.fixture
def domain() -> Iterator[None]:
    """A running guest with 64 MiB in a file, some of them written."""
    shell(HYPERVISOR, f"({CLEAN}) 2>/dev/null; mkdir -p {DIRECTORY}; qemu-img create -q -f qcow2 {FILE} 64M")
    module(HYPERVISOR, "libvirt_domain", name=DOMAIN, xml=XML, state="running")
    for at_mib in range(0, 64, 4):
        write(at_mib, at_mib + 1)
    yield
    shell(HYPERVISOR, f"({CLEAN}) 2>/dev/null")


def test_a_disk_of_a_running_domain_moves_into_ceph(domain: None) -> None:
    before = raw_hash(FILE)
    done = block_copy()
    print(done["copied_seconds"], done["seconds"])
    assert done["source"] == FILE and done["size"] == 64 << 20
    assert sources() == [IMAGE, IMAGE] and in_ceph() == before == raw_hash(FILE)
    assert block_copy()["changed"] is False
    # From now on the guest writes there and not into the file.
    write(1, 0x77)
    assert in_ceph() != before == raw_hash(FILE)


def test_a_copy_that_takes_too_long_is_taken_back(domain: None) -> None:
    before = raw_hash(FILE)
    refused = block_copy(check=False, bandwidth=1, max_seconds=3)
    assert refused["failed"] and f"the guest goes on with {FILE}" in refused["found"]
    assert sources() == [FILE, FILE] and raw_hash(FILE) == before
    assert DOMAIN not in shell(HYPERVISOR, f"{RBD} ls vms").split()


def test_a_copy_that_somebody_left_is_gone_on_with(domain: None) -> None:
    before = raw_hash(FILE)
    secret = ceph_secret(HYPERVISOR)
    disk = (
        f"<disk type='network'><driver type='raw'/><auth username='nova'><secret type='ceph' uuid='{secret}'/></auth>"
        f"<source protocol='rbd' name='{IMAGE}'/><target dev='vda'/></disk>"
    )
    shell(
        HYPERVISOR,
        f'{RBD} create --size 64M {IMAGE}; echo "{disk}" >{DIRECTORY}/disk.xml; '
        f"virsh blockcopy {DOMAIN} vda --xml {DIRECTORY}/disk.xml --reuse-external --transient-job --bandwidth 8",
    )
    done = block_copy()
    assert done["actions"] == [f"go on with the copy of disk vda of domain {DOMAIN} to rbd:{IMAGE}"]
    assert sources() == [IMAGE, IMAGE] and in_ceph() == before
