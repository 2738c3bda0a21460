# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor in memory whose block jobs go on with its clock, and a pool to which they copy disks."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy import Tools, WantedCopy
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy_run import Copy
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import (
    OPERATION_FAILED,
    OPERATION_INVALID,
    FakeDomain,
    FakeHypervisor,
    failed,
)

FILE, THERE = "/srv/vm1.qcow2", "rbd:vms/vm1"
DOMAIN = f"""
<domain type='test'><name>vm1</name><memory>1024</memory><os><type>hvm</type></os><devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='{FILE}'/>
    <backingStore/><target dev='vda' bus='virtio'/></disk>
  <disk type='file' device='cdrom'><source file='/srv/cd.iso'/><target dev='sda'/><readonly/></disk>
</devices></domain>"""
WANTED = WantedCopy("vm1", "vda", "vms/vm1", "nova", "5f1a3d4e", ("10.0.0.1:6789",), max_seconds=60.0)


@dataclass
class Calls:
    """libvirt's block jobs: one that lasts, and what goes wrong with it."""

    hypervisor: FakeHypervisor
    lasts_s: float = 5.0
    refuses: str = ""
    breaks_at_s: float | None = None
    pivot_refuses: str = ""
    pivot_silent: bool = False
    pivot_late: bool = False
    pivot_loses: bool = False
    abort_refuses: str = ""
    rewrites_definition: bool = True
    began: float = 0.0
    did: list[str] = field(default_factory=list)

    @property
    def domain(self) -> FakeDomain:
        return self.hypervisor.known["vm1"]

    @property
    def disk(self) -> Element:
        assert self.domain.running is not None
        return disk_of(self.domain.running)

    @property
    def _age(self) -> float:
        return self.hypervisor.clock.now - self.began

    def size(self, name: str, target: str) -> int:
        return 64 << 20

    def copy(self, name: str, target: str, xml: str, bandwidth: int) -> None:
        self.did.append(f"copy {bandwidth}")
        if self.refuses:
            raise failed(f"domain {name}", self.refuses, OPERATION_FAILED)
        self.begin(ElementTree.fromstring(xml))

    def begin(self, to: Element) -> None:
        mirror = SubElement(self.disk, "mirror", {"type": "network", "job": "copy"})
        mirror.append(copy.deepcopy(to.find("source")))  # type: ignore[arg-type]
        self.to, self.began = to, self.hypervisor.clock.now
        # A look at the definition is a look at how far the job is.
        shown = self.domain.definition

        def definition(**options: Any) -> str:
            self.go_on()
            return shown(**options)

        self.domain.definition = definition  # type: ignore[method-assign]

    def go_on(self) -> None:
        if self.domain.running is None or (mirror := self.disk.find("mirror")) is None:
            return
        if self.breaks_at_s is not None and self._age >= self.breaks_at_s:
            self.disk.remove(mirror)
        elif self._age >= self.lasts_s:
            mirror.set("ready", "yes")

    def progress(self, name: str, target: str) -> tuple[int, int] | None:
        if self.domain.running is None or self.disk.find("mirror") is None:
            return None
        return min(int(self._age), 5), 5

    def abort(self, name: str, target: str) -> None:
        self.did.append("abort")
        if self.abort_refuses:
            raise failed(f"domain {name}", self.abort_refuses, OPERATION_FAILED)
        if self.pivot_late:
            return self.give_copy()
        self.disk.remove(self.disk.find("mirror"))  # type: ignore[arg-type]

    def pivot(self, name: str, target: str) -> None:
        self.did.append("pivot")
        mirror = self.disk.find("mirror")
        assert mirror is not None
        if mirror.get("ready") != "yes" or self.pivot_refuses:
            raise failed(f"domain {name}", self.pivot_refuses or "not ready for pivot yet", OPERATION_INVALID)
        if self.pivot_loses:
            return self.disk.remove(mirror)
        if not self.pivot_late:
            self.give_copy()
        if self.pivot_silent or self.pivot_late:
            raise CallError(f"domain {name}", "no answer of libvirt within 60 s", "an answer", "See the daemon.")
        return None

    def give_copy(self) -> None:
        assert self.domain.running is not None and self.domain.defined is not None
        self.disk.remove(self.disk.find("mirror"))  # type: ignore[arg-type]
        for root in [self.domain.running, *([self.domain.defined] if self.rewrites_definition else [])]:
            become(disk_of(root), self.to)


def disk_of(root: Element) -> Element:
    disk = root.find("devices/disk")
    assert disk is not None
    return disk


def become(disk: Element, other: Element) -> None:
    disk.set("type", "network")
    for tag in ("source", "auth", "backingStore"):
        for each in disk.findall(tag):
            disk.remove(each)
    disk.extend(copy.deepcopy(other.findall("auth") + other.findall("source")))
    disk.find("driver").set("type", "raw")  # type: ignore[union-attr]


@dataclass
class Pool:
    """Images in memory; ``watched`` refuses so many removals."""

    images: dict[str, int] = field(default_factory=dict)
    watched: int = 0
    marks: dict[str, str] = field(default_factory=dict)

    def exists(self, image: str) -> bool:
        return image in self.images

    def create(self, image: str, size: int) -> None:
        assert image not in self.images
        self.images[image] = size

    def rename(self, image: str, to: str) -> None:
        self.images[to] = self.images.pop(image)
        self.marks[to] = self.marks.pop(image, "")

    def mark(self, image: str, owner: str) -> None:
        assert image in self.images
        self.marks[image] = owner

    def marked(self, image: str) -> str:
        return self.marks.get(image, "")

    def remove(self, image: str) -> None:
        if self.watched:
            self.watched -= 1
            raise LifeboatError("command rbd", "image has watchers", "exit status 0", "Wait.")
        del self.images[image]
        self.marks.pop(image, None)


@dataclass
class World:
    """A hypervisor with a running domain, and an empty pool."""

    hypervisor: FakeHypervisor
    calls: Calls
    pool: Pool
    wanted: WantedCopy = WANTED

    @property
    def domain(self) -> FakeDomain:
        return self.hypervisor.known["vm1"]

    def plan(self, **change: Any) -> Copy:
        tools = Tools(self.calls, self.pool, self.hypervisor.clock)
        return Copy(self.hypervisor, tools, replace(self.wanted, **change))

    def run(self, **change: Any) -> tuple[list[str], Copy]:
        plan = self.plan(**change)
        changes = plan.changes()
        for each in changes:
            each.do()
        return [each.says for each in changes], plan

    def sources(self) -> list[str]:
        """Of the running guest and of its definition."""
        roots = [root for root in (self.domain.running, self.domain.defined) if root is not None]
        sources = [disk_of(root).find("source") for root in roots]
        return [str(each.get("file") or each.get("name")) for each in sources if each is not None]


def with_a_running_guest() -> World:
    made = FakeHypervisor()
    made.define(DOMAIN, validate=True)
    made.known["vm1"].start()
    return World(made, Calls(made), Pool())
