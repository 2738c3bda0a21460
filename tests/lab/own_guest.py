# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of plain libvirt on the hypervisors of the standing lab, which knows nothing of Nova, and that moves.

It runs the guest image of this collection, with a disk in Ceph or one of its own, on the bridge of the tenant network.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from standing_lab import ROOT, ceph_secret, module, play, shell

IMAGE = Path(os.environ.get("GUEST_IMAGE", ROOT / ".lab/guest.raw"))
NAME, ADDRESS, MAC = "own-moving", "10.98.1.230", "52:54:00:99:00:30"
PLACE, POOL = "/var/lib/libvirt/own-moving", "own-moving"
CONFIG = f"{PLACE}/config.img"
HOSTS = ("cmp1", "cmp2")
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
    "shared": """<disk type='network'><driver name='qemu' type='raw' cache='{cache}'/>
      <auth username='nova'><secret type='ceph' uuid='{secret}'/></auth>
      <source protocol='rbd' name='vms/{name}'>{monitors}</source><target dev='vda' bus='virtio'/></disk>""",
    "own": """<disk type='file'><driver name='qemu' type='qcow2'/><source file='{place}/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>""",
}
DOMAIN = """
<domain type='{emulation}'><name>{name}</name><memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>
  <devices>{disk}
    <disk type='file'><driver name='qemu' type='raw'/><source file='{config}'/>
      <target dev='vdb' bus='virtio'/><readonly/></disk>
    <interface type='bridge'><mac address='{mac}'/><source bridge='br-tenant'/><virtualport type='openvswitch'/>
      <model type='virtio'/></interface>
  </devices>
</domain>"""


@dataclass(frozen=True)
class Shape:
    """What a guest may have like another one that it is compared with."""

    emulation: str = "qemu"
    machine: str = "q35"
    memory_mib: int = 192
    cache: str = "writeback"


OWN_SHAPE = Shape()


class Moving:
    """The guest and where it is."""

    def __init__(self, kind: str, shape: Shape, here: str) -> None:
        self.here = here
        [self.there] = set(HOSTS) - {here}
        secret = ceph_secret("cmp1")
        monitors = "".join(f"<host name='10.98.2.{number}' port='6789'/>" for number in (41, 42, 43))
        disk = DISKS[kind].format(secret=secret, name=NAME, monitors=monitors, place=PLACE, cache=shape.cache)
        xml = DOMAIN.format(name=NAME, disk=disk, config=CONFIG, mac=MAC, **asdict(shape))
        module(here, "libvirt_domain", name=NAME, xml=xml, state="running", autostart=True)
        self.boot_id, self.counter = self.await_state()

    def await_state(self) -> tuple[str, int]:
        """Its boot id and its counter, once it answers."""
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
        wanted = {"name": NAME, "destination": f"qemu+tls://{self.there}/system"} | options
        result = module(self.here, "libvirt_migration", check, **wanted)
        if not result.get("failed"):
            self.has_gone_over()
        self.check_whole()
        return result

    def has_gone_over(self) -> None:
        self.here, self.there = self.there, self.here

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


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """While the block runs the hypervisors have what a guest is made from."""
    if not IMAGE.exists():
        play("guest_image", "-e", "guest_image_format=raw", "-e", f"guest_image_path={IMAGE}")
    try:
        for host in HOSTS:
            shell(host, TEAR_DOWN + "which mkfs.fat mcopy || apt-get -qy install dosfstools mtools\n" + SET_UP)
        module("cmp1", "ansible.builtin.copy", src=str(IMAGE), dest=f"{PLACE}/guest.raw")
        yield
    finally:
        for host in HOSTS:
            shell(host, TEAR_DOWN + "true")


@contextlib.contextmanager
def moving(kind: str, shape: Shape = OWN_SHAPE, here: str = HOSTS[0]) -> Iterator[Moving]:
    """While the block runs there is a guest, with a ``shared`` disk or its ``own``; it begins on ``here``."""
    disk = f"{PLACE}/{NAME}.qcow2"
    if kind == "shared":
        remove = f"sleep 2; rbd --id nova rm --no-progress vms/{NAME}"
        # Whoever was killed has left it behind.
        make = (
            f"rbd --id nova rm --no-progress vms/{NAME} 2>/dev/null; "
            f"qemu-img convert -O raw {PLACE}/guest.raw rbd:vms/{NAME}:id=nova:conf=/etc/ceph/ceph.conf"
        )
    else:
        make = f"qemu-img convert -O qcow2 {PLACE}/guest.raw {disk} && virsh pool-refresh {POOL}"
        remove = "true"
    shell("cmp1", make)
    try:
        yield Moving(kind, shape, here)
    finally:
        for host in HOSTS:
            shell(host, f"virsh destroy {NAME}; virsh undefine {NAME}; rm -f {disk}; virsh pool-refresh {POOL}; true")
        shell("cmp1", remove)
