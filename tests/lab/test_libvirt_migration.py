# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest moves between the two hypervisors in every mode, and stays whole where that is not allowed to succeed.

It has a disk in Ceph, or one of its own that is copied. It rewrites 60 MiB of memory faster than the link, which is
held to 20 MiB a second, carries. Its counter must never go back, and it must not have been booted anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standing_lab import ROOT, play

IMAGE = Path(os.environ.get("GUEST_IMAGE", ROOT / ".lab/guest.raw"))
NAME, ADDRESS, MAC = "own-moving", "10.98.1.230", "52:54:00:99:00:30"
PLACE, POOL = "/var/lib/libvirt/own-moving", "own-moving"
CONFIG = f"{PLACE}/config.img"
HOSTS = ("cmp1", "cmp2")
BUSY = {"bandwidth": 20}
# The guest has no DHCP server on this network, so user data gives it an address.
SET_UP = f"""
set -e
mkdir -p {PLACE}
[ -e {CONFIG} ] || {{
  mkfs.fat -n CONFIG-2 -C {CONFIG} 1440
  mkdir -p {PLACE}/cd/openstack/latest
  echo '{{"uuid": "{NAME}", "hostname": "moving"}}' >{PLACE}/cd/openstack/latest/meta_data.json
  printf '#!/bin/sh\\nip addr add {ADDRESS}/24 dev eth0\\n' >{PLACE}/cd/openstack/latest/user_data
  mcopy -s -i {CONFIG} {PLACE}/cd/openstack ::
}}
virsh pool-info {POOL} || virsh pool-define-as {POOL} dir --target {PLACE}
virsh pool-start {POOL} || true
"""
TEAR_DOWN = f"""
virsh destroy {NAME}; virsh undefine {NAME}
virsh pool-destroy {POOL}; virsh pool-undefine {POOL}; rm -rf {PLACE}
"""
DISKS = {
    "shared": """<disk type='network'><driver name='qemu' type='raw' cache='writeback'/>
      <auth username='nova'><secret type='ceph' uuid='{secret}'/></auth>
      <source protocol='rbd' name='vms/{name}'>{monitors}</source><target dev='vda' bus='virtio'/></disk>""",
    "own": """<disk type='file'><driver name='qemu' type='qcow2'/><source file='{place}/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>""",
}
DOMAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
  <devices>{disk}
    <disk type='file'><driver name='qemu' type='raw'/><source file='{config}'/>
      <target dev='vdb' bus='virtio'/><readonly/></disk>
    <interface type='bridge'><mac address='{mac}'/><source bridge='br-tenant'/><virtualport type='openvswitch'/>
      <model type='virtio'/></interface>
  </devices>
</domain>"""


def run(host: str, module: str, check: bool = True, **arguments: object) -> dict[str, object]:
    """The result of a module; with ``check`` the test fails when it does."""
    with tempfile.TemporaryDirectory() as results:
        done = subprocess.run(
            ["ansible", host, "-m", module, "-a", json.dumps(arguments), "-t", results],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        result: dict[str, object] = json.loads((Path(results) / host).read_text(encoding="utf-8"))
    return {**result, "failed": done.returncode != 0}


def shell(host: str, command: str) -> str:
    return str(run(host, "ansible.builtin.shell", cmd=command)["stdout"])


class Moving:
    """The guest and where it is."""

    def __init__(self, kind: str) -> None:
        self.here, self.there = HOSTS
        secret = shell("cmp1", "virsh -q secret-list | awk '/client.nova/ {print $1}'").strip()
        monitors = "".join(f"<host name='10.98.2.{number}' port='6789'/>" for number in (41, 42, 43))
        disk = DISKS[kind].format(secret=secret, name=NAME, monitors=monitors, place=PLACE)
        xml = DOMAIN.format(name=NAME, disk=disk, config=CONFIG, mac=MAC)
        run("cmp1", "lifeboat.cloud.libvirt_domain", name=NAME, xml=xml, state="running", autostart=True)
        self.boot_id, self.counter = self._await_state()

    def _await_state(self) -> tuple[str, int]:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            answer = shell("cmp1", f"curl -s -m 4 http://{ADDRESS}/state || true")
            if answer.startswith("{"):
                state = json.loads(answer)
                return state["boot_id"], state["counter"]
        raise AssertionError(f"{NAME} does not answer at {ADDRESS} within 120 s")

    def write_memory(self) -> None:
        shell("cmp1", f"curl -s -m 8 'http://{ADDRESS}/dirty?mib=60&seconds=600&rate=200'")

    def stop_writing(self) -> None:
        shell("cmp1", f"curl -s -m 8 'http://{ADDRESS}/dirty?stop'")

    def migrate(self, check: bool = True, **options: object) -> dict[str, object]:
        uri = f"qemu+tls://{self.there}/system"
        result = run(self.here, "lifeboat.cloud.libvirt_migration", check, name=NAME, destination=uri, **options)
        if not result.get("failed"):
            self.here, self.there = self.there, self.here
        self.check_whole()
        return result

    def check_whole(self) -> None:
        """It runs in one place, is the same boot, and has forgotten nothing."""
        state, there, answer = shell(
            self.here,
            f"virsh domstate {NAME} | head -n 1; "
            f"echo there $(virsh -c qemu+tls://{self.there}/system list --all --name | grep -c {NAME}); "
            f"for _ in $(seq 20); do curl -s -m 4 http://{ADDRESS}/state && break; sleep 1; done",
        ).splitlines()
        assert (state, there) == ("running", "there 0")
        found = json.loads(answer)
        assert found["boot_id"] == self.boot_id and found["counter"] > self.counter
        self.counter = found["counter"]


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    if not IMAGE.exists():
        play("guest_image", "-e", "guest_image_format=raw", "-e", f"guest_image_path={IMAGE}")
    for host in HOSTS:
        shell(host, TEAR_DOWN + "which mkfs.fat mcopy || apt-get -qy install dosfstools mtools\n" + SET_UP)
    run("cmp1", "ansible.builtin.copy", src=str(IMAGE), dest=f"{PLACE}/guest.raw")
    yield
    for host in HOSTS:
        shell(host, TEAR_DOWN + "true")


@pytest.fixture
def shared(hosts: None) -> Iterator[Moving]:
    shell("cmp1", f"qemu-img convert -O raw {PLACE}/guest.raw rbd:vms/{NAME}:id=nova:conf=/etc/ceph/ceph.conf")
    try:
        yield Moving("shared")
    finally:
        for host in HOSTS:
            shell(host, f"virsh destroy {NAME}; virsh undefine {NAME}; true")
        shell("cmp1", f"sleep 2; rbd --id nova rm --no-progress vms/{NAME}")


@pytest.fixture
def own(hosts: None) -> Iterator[Moving]:
    disk = f"{PLACE}/{NAME}.qcow2"
    shell("cmp1", f"qemu-img convert -O qcow2 {PLACE}/guest.raw {disk} && virsh pool-refresh {POOL}")
    try:
        yield Moving("own")
    finally:
        for host in HOSTS:
            shell(host, f"virsh destroy {NAME}; virsh undefine {NAME}; rm -f {disk}; true")


def test_a_guest_that_writes_faster_than_the_link_ends_within_its_bounds(shared):
    plain = shared.migrate()["migration"]
    assert plain["ended_by"] == "pre_copy" and plain["downtime_ms"] < 2000 and plain["memory_bytes"] > 50 << 20
    assert "enable" in shell(shared.here, f"virsh dominfo {NAME} | grep Autostart")
    shared.write_memory()
    refused = shared.migrate(check=False, max_seconds=6, **BUSY)
    assert refused["failed"] and "abort at 6" in refused["found"] and "the guest is running" in refused["found"]
    throttled = shared.migrate(max_seconds=6, then="throttle", **BUSY)["migration"]
    assert throttled["ended_by"] == "throttle" and throttled["total_s"] < 30
    post_copy = shared.migrate(max_seconds=6, then="post_copy", **BUSY)["migration"]
    assert post_copy["ended_by"] == "post_copy" and post_copy["total_s"] < 30
    slowed = shared.migrate(auto_converge=True, throttle_initial=70, throttle_increment=29, **BUSY)["migration"]
    assert slowed["ended_by"] == "auto_converge" and slowed["throttle"] >= 70
    shared.stop_writing()


def test_an_interrupted_run_is_watched_on_with_its_bounds(shared):
    shared.write_memory()
    arguments = json.dumps({"name": NAME, "destination": "qemu+tls://cmp2/system", "then": "post_copy", **BUSY})
    running = subprocess.Popen(
        ["ansible", "cmp1", "-m", "lifeboat.cloud.libvirt_migration", "-a", arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while "Unbounded" not in shell("cmp1", f"virsh domjobinfo {NAME}") and time.monotonic() < end:
        time.sleep(0.5)
    running.kill()
    running.wait()
    watched = shared.migrate(max_seconds=10, then="post_copy", **BUSY)
    assert watched["actions"] == [f"watch the migration of domain {NAME} to qemu+tls://cmp2/system"]
    assert watched["migration"]["ended_by"] == "post_copy" and watched["migration"]["total_s"] < 40
    again = run("cmp1", "lifeboat.cloud.libvirt_migration", name=NAME, destination="qemu+tls://cmp2/system")
    assert not again["changed"]


def test_a_disk_of_its_own_goes_along_and_leaves_nothing_when_it_cannot(own):
    refused = own.migrate(check=False, copy_storage=True, bandwidth=3, max_seconds=4)
    assert "MiB of disks sent" in refused["found"]
    assert f"{NAME}.qcow2" not in shell("cmp2", f"ls {PLACE}")
    moved = own.migrate(copy_storage=True)["migration"]
    assert moved["disk_bytes"] == 64 << 20 and "copying disks" in [each["phase"] for each in moved["timeline"]]
    shell("cmp2", f"virsh destroy {NAME}")
    offline = {"name": NAME, "destination": "qemu+tls://cmp1/system", "mode": "offline"}
    assert run("cmp2", "lifeboat.cloud.libvirt_migration", **offline)["migration"]["ended_by"] == "offline"
    assert NAME in shell("cmp1", "virsh list --all --name") and NAME not in shell("cmp2", "virsh list --all --name")
