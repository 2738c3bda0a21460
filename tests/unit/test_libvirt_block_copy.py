# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a disk of a running domain into Ceph, on a hypervisor in memory whose copies go on with its clock."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy import (
    Tools,
    WantedCopy,
    destination_xml,
)
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

    def exists(self, image: str) -> bool:
        return image in self.images

    def create(self, image: str, size: int) -> None:
        self.images[image] = size

    def remove(self, image: str) -> None:
        if self.watched:
            self.watched -= 1
            raise LifeboatError("command rbd", "image has watchers", "exit status 0", "Wait.")
        del self.images[image]


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


@pytest.fixture
def world() -> World:
    made = FakeHypervisor()
    made.define(DOMAIN, validate=True)
    made.known["vm1"].start()
    return World(made, Calls(made), Pool())


def test_the_guest_gets_the_image_and_so_does_its_definition(world: World) -> None:
    before = world.plan().changes()
    assert [each.says for each in before] == [f"copy disk vda of domain vm1 to {THERE}"]
    assert world.calls.did == [] and world.pool.images == {}
    says, plan = world.run(bandwidth=3)
    assert says == [each.says for each in before] and world.calls.did == [f"copy {3 << 20}", "pivot"]
    assert world.sources() == ["vms/vm1", "vms/vm1"] and world.pool.images == {"vms/vm1": 64 << 20}
    assert (plan.outcome.source, plan.outcome.size, plan.outcome.copied_s) == (FILE, 64 << 20, 5.0)
    assert world.run()[0] == [] and world.calls.did == [f"copy {3 << 20}", "pivot"]


def test_libvirt_is_told_where_the_image_is_and_with_which_key() -> None:
    disk = ElementTree.fromstring(destination_xml(replace(WANTED, monitors=("a:1", "b"))))
    assert disk.find("auth").attrib == {"username": "nova"}  # type: ignore[union-attr]
    assert disk.find("auth/secret").attrib == {"type": "ceph", "uuid": "5f1a3d4e"}  # type: ignore[union-attr]
    assert disk.find("source").attrib == {"protocol": "rbd", "name": "vms/vm1"}  # type: ignore[union-attr]
    assert [each.attrib for each in disk.iterfind("source/host")] == [{"name": "a", "port": "1"}, {"name": "b"}]
    assert disk.find("driver").get("type") == "raw"  # type: ignore[union-attr]


@pytest.mark.parametrize("when", ["at once", "by the next run"])
def test_a_definition_that_libvirt_leaves_is_corrected(world: World, when: str) -> None:
    world.calls.rewrites_definition = False
    if when == "at once":
        world.run()
    else:
        world.pool.create("vms/vm1", 1)
        become(world.calls.disk, ElementTree.fromstring(destination_xml(WANTED)))
        says, _plan = world.run()
        assert says == [f"give the definition of domain vm1 {THERE} as vda"]
    assert world.sources() == ["vms/vm1", "vms/vm1"]
    disk = disk_of(world.domain.defined)  # type: ignore[arg-type]
    assert disk.get("type") == "network" and disk.find("auth") is not None and disk.find("backingStore") is None
    assert disk.find("driver").attrib == {"name": "qemu", "type": "raw", "discard": "unmap"}  # type: ignore[union-attr]
    assert world.run()[0] == []


@pytest.mark.parametrize("age", [0.0, 30.0], ids=["copying", "mirroring"])
def test_a_copy_that_was_interrupted_is_gone_on_with(world: World, age: float) -> None:
    world.pool.create("vms/vm1", 64 << 20)
    world.calls.begin(ElementTree.fromstring(destination_xml(WANTED)))
    world.hypervisor.clock.sleep(age)
    says, _plan = world.run()
    assert says == [f"go on with the copy of disk vda of domain vm1 to {THERE}"]
    assert world.calls.did == ["pivot"] and world.sources() == ["vms/vm1", "vms/vm1"]


def no_copy(world: World) -> None:
    world.calls.refuses = "could not open the image"


def breaks(world: World) -> None:
    world.calls.breaks_at_s = 2.0


def slow(world: World) -> None:
    world.calls.lasts_s = 1000.0


def no_pivot(world: World) -> None:
    world.calls.pivot_refuses = "cannot pivot"


@pytest.mark.parametrize(
    ("trouble", "words", "did"),
    [
        (no_copy, "could not open the image", ["copy 0"]),
        (breaks, "the copy ended by itself at 1 of 5 bytes", ["copy 0"]),
        (slow, "a copy at 5 of 5 bytes after 60 s", ["copy 0", "abort"]),
        (no_pivot, "cannot pivot", ["copy 0", "pivot", "abort"]),
    ],
)
def test_what_fails_leaves_the_guest_on_its_disk_and_no_image(
    world: World, trouble: Callable[[World], None], words: str, did: list[str]
) -> None:
    trouble(world)
    world.pool.watched = 3
    with pytest.raises(LifeboatError, match=f"{words}; the guest goes on with {FILE}") as error:
        world.run()
    assert world.calls.did == did and world.pool.images == {} and "left" not in error.value.found
    assert world.sources() == [FILE, FILE] and world.calls.disk.find("mirror") is None


def test_a_pivot_that_was_made_without_an_answer_counts(world: World) -> None:
    world.calls.pivot_silent = True
    world.run()
    assert world.sources() == ["vms/vm1", "vms/vm1"] and world.pool.images == {"vms/vm1": 64 << 20}


def test_a_pivot_that_comes_after_all_keeps_its_image(world: World) -> None:
    world.calls.pivot_late = True
    with pytest.raises(LifeboatError, match=f"no answer of libvirt.*the guest goes on with {THERE}"):
        world.run()
    assert world.calls.did == ["copy 0", "pivot", "abort"] and world.pool.images == {"vms/vm1": 64 << 20}
    assert world.run()[0] == []


def test_a_pivot_after_which_the_guest_has_its_old_disk_is_a_failure(world: World) -> None:
    world.calls.pivot_loses = True
    with pytest.raises(LifeboatError, match=f"kept its old disk; the guest goes on with {FILE}"):
        world.run()
    assert world.pool.images == {} and world.sources() == [FILE, FILE]


def test_an_image_that_the_guest_may_use_is_never_removed(world: World) -> None:
    slow(world)
    world.calls.abort_refuses = "no answer"
    with pytest.raises(LifeboatError, match="and then no answer; the image vms/vm1 is left") as error:
        world.run()
    assert "the next run goes on with it" in error.value.remedy and world.pool.images


def test_an_image_that_cannot_be_removed_is_named(world: World) -> None:
    breaks(world)
    world.pool.watched = 1000
    with pytest.raises(LifeboatError, match=r"the unfinished image vms/vm1 is left \(image has watchers\)"):
        world.run()


def test_a_guest_that_goes_down_meanwhile_keeps_its_disk(world: World) -> None:
    world.domain.heeds_after_s = 2.0
    world.domain.request_shutdown()
    with pytest.raises(LifeboatError, match=f"ended by itself.*goes on with {FILE}"):
        world.run()
    assert world.pool.images == {} and world.sources() == [FILE]


def off(world: World) -> None:
    world.domain.power_off()


def nova(world: World) -> None:
    for root in (world.domain.running, world.domain.defined):
        assert root is not None
        SubElement(SubElement(root, "metadata"), "{http://openstack.org/xmlns/libvirt/nova/1.1}instance")


def snapshot(world: World) -> None:
    world.domain.left = Leftovers(snapshots=1)


def checkpoint(world: World) -> None:
    world.domain.left = Leftovers(checkpoints=2)


def shared(world: World) -> None:
    SubElement(world.calls.disk, "shareable")


def job(world: World) -> None:
    world.domain.job_statistics = {"operation": 9}


def other_job(world: World) -> None:
    world.calls.begin(ElementTree.fromstring(destination_xml(replace(WANTED, image="vms/other"))))


def edited(world: World) -> None:
    assert world.domain.defined is not None
    disk_of(world.domain.defined).find("source").set("file", "/srv/new")  # type: ignore[union-attr]


def taken(world: World) -> None:
    world.pool.create("vms/vm1", 1)


def crashed(world: World) -> None:
    world.domain.found = Condition(State.CRASHED, "panicked")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (off, "shut_off .destroyed.; expected a running one. Start it, or copy the disk with disk_import"),
        (crashed, "crashed"),
        (nova, "a server of Nova"),
        (snapshot, "snapshots: 1, checkpoints: 0"),
        (checkpoint, "snapshots: 0, checkpoints: 2"),
        (shared, "a disk that is shareable"),
        (job, "a job under way"),
        (other_job, "a job under way that fills rbd:vms/other"),
        (edited, f"{FILE} while it runs and /srv/new from its next start on"),
        (taken, "one of that name"),
    ],
)
def test_what_would_not_do_is_refused(world: World, trouble: Callable[[World], None], words: str) -> None:
    trouble(world)
    images = dict(world.pool.images)
    with pytest.raises(LifeboatError, match=words):
        world.run()
    assert world.calls.did == [] and world.pool.images == images


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "vdz"}, "no such disk; there are: sda, vda"),
        ({"target": "sda"}, "a cdrom that is readonly"),
        ({"name": "vm2"}, "no such domain"),
        ({"image": "vm1"}, "POOL/NAME"),
        ({"image": "vms/a/b"}, "POOL/NAME"),
        ({"image": "vms/a@b"}, "POOL/NAME"),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    with pytest.raises(LifeboatError, match=words):
        world.run(**change)
    assert world.calls.did == [] and world.pool.images == {}
