# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a disk of a running domain into Ceph, on a hypervisor in memory whose copies go on with its clock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_block_copy_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy import destination_xml
from ansible_collections.lifeboat.cloud.tests.unit.block_copy_world import (
    FILE,
    THERE,
    WANTED,
    World,
    become,
    disk_of,
    with_a_running_guest,
)


@pytest.fixture
def world() -> World:
    return with_a_running_guest()


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
    monitors = ("a:1", "b", "10.0.0.1", "[fd00::1]:6789", "[fd00::2]", "fd00::3")
    disk = ElementTree.fromstring(destination_xml(replace(WANTED, monitors=monitors)))
    assert disk.find("auth").attrib == {"username": "nova"}  # type: ignore[union-attr]
    assert disk.find("auth/secret").attrib == {"type": "ceph", "uuid": "5f1a3d4e"}  # type: ignore[union-attr]
    assert disk.find("source").attrib == {"protocol": "rbd", "name": "vms/vm1"}  # type: ignore[union-attr]
    assert [each.attrib for each in disk.iterfind("source/host")] == [
        *({"name": "a", "port": "1"}, {"name": "b"}, {"name": "10.0.0.1"}),
        *({"name": "fd00::1", "port": "6789"}, {"name": "fd00::2"}, {"name": "fd00::3"}),
    ]
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


def test_a_copy_that_ended_with_its_guest_is_begun_anew(world: World) -> None:
    world.pool.create("vms/vm1", 1)
    world.pool.mark("vms/vm1", f"{world.domain.uuid}/vda")
    world.pool.watched = 3
    says, _plan = world.run()
    assert says == [f"begin anew the copy of disk vda of domain vm1 to {THERE}"]
    assert world.pool.images == {"vms/vm1": 64 << 20} and world.sources() == ["vms/vm1", "vms/vm1"]
    assert not world.pool.marked("vms/vm1") and world.run()[0] == []


def test_a_copy_that_somebody_has_open_is_not_begun_anew(world: World) -> None:
    world.pool.create("vms/vm1", 1)
    world.pool.mark("vms/vm1", f"{world.domain.uuid}/vda")
    world.pool.watched = 1000
    with pytest.raises(LifeboatError, match=r"image has watchers.*expected one that nobody has open"):
        world.run()
    assert world.pool.images == {"vms/vm1": 1} and world.calls.did == []


class Killed(BaseException):
    """The run ends here."""


@pytest.mark.parametrize("step", ["create", "mark", "rename"])
def test_a_run_that_was_killed_while_it_made_the_image_is_begun_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    did = getattr(world.pool, step)

    def killed(*arguments: Any) -> None:
        did(*arguments)
        raise Killed

    with monkeypatch.context() as during, pytest.raises(Killed):
        during.setattr(world.pool, step, killed)
        world.run()
    assert len(world.pool.images) == 1 and world.calls.did == []
    world.pool.watched = 3
    foretold = [each.says for each in world.plan().changes()]
    says, _plan = world.run()
    verb = "begin anew the copy of" if step == "rename" else "copy"
    assert says == foretold == [f"{verb} disk vda of domain vm1 to {THERE}"]
    assert world.pool.images == {"vms/vm1": 64 << 20} and world.sources() == ["vms/vm1", "vms/vm1"]
    assert not world.pool.marked("vms/vm1") and world.run()[0] == []


def test_an_image_that_was_begun_and_cannot_be_removed_is_named(world: World) -> None:
    world.pool.create("vms/vm1.lifeboat-new", 1)
    world.pool.watched = 1000
    with pytest.raises(LifeboatError, match=r"vms/vm1\.lifeboat-new is left \(image has watchers\)"):
        world.run()
    assert world.pool.images == {"vms/vm1.lifeboat-new": 1} and world.calls.did == []


def test_an_unfinished_image_of_disk_import_is_left_alone(world: World) -> None:
    world.pool.create("vms/vm1.lifeboat-partial", 1)
    world.run()
    assert world.pool.images == {"vms/vm1": 64 << 20, "vms/vm1.lifeboat-partial": 1}


def test_an_image_is_marked_until_it_may_be_the_guests(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for call in ("copy", "pivot"):
        did = getattr(world.calls, call)

        def noted(*arguments: Any, did: Callable[..., Any] = did) -> Any:
            seen.append(world.pool.marked("vms/vm1"))
            return did(*arguments)

        monkeypatch.setattr(world.calls, call, noted)
    world.run()
    assert seen == [f"{world.domain.uuid}/vda", ""]


def test_the_mark_is_metadata_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, str] = {}
    said: list[list[str]] = []

    def rbd(command: list[str], timeout_s: float) -> str:
        verb, *rest = command[6:]
        said.append(command[:6])
        if verb == "set":
            kept[rest[1]] = rest[2]
        elif verb == "remove":
            del kept[rest[1]]
        return json.dumps(kept) if verb == "list" else ""

    monkeypatch.setattr(_libvirt_block_copy_client, "output_of", rbd)
    images = _libvirt_block_copy_client.RbdProgram("nova", 5.0, 60.0)
    images.mark("vms/vm1", "uuid/vda")
    assert images.marked("vms/vm1") == "uuid/vda" and list(kept) == ["lifeboat.unfinished_copy_of"]
    images.mark("vms/vm1", "")
    images.mark("vms/vm1", "")
    assert images.marked("vms/vm1") == "" and kept == {}
    assert said[0] == ["rbd", "--id", "nova", "--conf", "/etc/ceph/ceph.conf", "image-meta"]


def test_the_image_is_renamed_by_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr(_libvirt_block_copy_client, "output_of", lambda command, timeout_s: said.append(command[5:]))
    _libvirt_block_copy_client.RbdProgram("nova", 5.0, 60.0).rename("vms/vm1.lifeboat-new", "vms/vm1")
    assert said == [["rename", "vms/vm1.lifeboat-new", "vms/vm1"]]


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


def encrypted(world: World) -> None:
    source = world.calls.disk.find("source")
    assert source is not None
    SubElement(source, "encryption", {"format": "luks"})


def encrypted_as_before_libvirt_3_9(world: World) -> None:
    SubElement(world.calls.disk, "encryption", {"format": "luks"})


def job(world: World) -> None:
    world.domain.job_statistics = {"operation": 9}


def other_job(world: World) -> None:
    world.calls.begin(ElementTree.fromstring(destination_xml(replace(WANTED, image="vms/other"))))


def edited(world: World) -> None:
    assert world.domain.defined is not None
    disk_of(world.domain.defined).find("source").set("file", "/srv/new")  # type: ignore[union-attr]


def taken(world: World) -> None:
    world.pool.create("vms/vm1", 1)


def copied_for_another(world: World) -> None:
    taken(world)
    world.pool.mark("vms/vm1", "another/vda")


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
        (encrypted, "an encrypted disk"),
        (encrypted_as_before_libvirt_3_9, "an encrypted disk"),
        (job, "a job under way"),
        (other_job, "a job under way that fills rbd:vms/other"),
        (edited, f"{FILE} while it runs and /srv/new from its next start on"),
        (taken, "one of that name"),
        (copied_for_another, "one of that name"),
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
        ({"bandwidth": -1}, "bandwidth: found -1; expected 0 or more"),
        *(
            ({"monitors": ("a", monitor)}, re.escape(f"monitors: found {monitor!r}"))
            for monitor in (
                *("", ":6789", "a:", "a:b", "a:0", "a:65536", "a b", "10.0.0.1:6789/0", "10.0.0.1,10.0.0.2"),
                *("[fd00::1", "[fd00::1]:", "[fd00::1]6789", "[a]:6789", "fd00:::1", "[v2:10.0.0.1:3300]"),
            )
        ),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(world: World, change: dict[str, Any], words: str) -> None:
    with pytest.raises(LifeboatError, match=words):
        world.run(**change)
    assert world.calls.did == [] and world.pool.images == {}
