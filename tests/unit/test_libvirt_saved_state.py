# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved states: what is done and refused, in memory and, with a snapshot, by libvirt's own test driver."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_save_client import LibvirtSaveCalls
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_saved_state import WantedSave, save_changes
from ansible_collections.lifeboat.cloud.tests.unit.kept_libvirt import UUID, Calls, hypervisor
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeDomain, FakeHypervisor, failed


def save(made: FakeHypervisor, state: str, path: str | None = None, saved_of: str = "vm1 " + UUID) -> list[str]:
    name, uuid = saved_of.split()
    calls = Calls(saved_of=(name, uuid))
    for change in save_changes(made, calls, WantedSave("vm1", state, path)):
        change.do()
    return calls.did


def test_a_guest_is_saved_once_and_restored_once(tmp_path):
    made, path = hypervisor(), str(tmp_path / "vm1")
    assert save(made, "saved") == ["save vm1 None"] and save(made, "saved", path) == [f"save vm1 {path}"]
    assert save(made, "restored") == [] and save(made, "absent") == []
    made.known["vm1"].power_off()
    made.known["vm1"].left = Leftovers(managed_save=True)
    assert save(made, "saved") == [] and save(made, "restored") == ["restore vm1 None"]
    assert save(made, "absent") == ["drop vm1"]
    (tmp_path / "vm1").write_text("LibvirtQemudSave...", encoding="utf-8")
    assert save(made, "saved", path) == [] and save(made, "restored", path) == [f"restore vm1 {path}"]
    assert save(made, "absent", path) == [] and not (tmp_path / "vm1").exists()


@pytest.mark.parametrize(
    ("state", "path", "running", "saved", "says"),
    [
        ("saved", None, False, False, "nothing saved; expected a guest that runs"),
        ("saved", None, True, True, "one already, and a guest that is running"),
        ("restored", None, False, False, "found nothing saved"),
        ("restored", "/nowhere/vm1", False, False, "nothing at /nowhere/vm1"),
        ("saved", "vm1", True, False, "expected an absolute one"),
    ],
)
def test_a_saved_state_is_not_overwritten_nor_invented(state, path, running, saved, says):
    made = hypervisor(running=running)
    made.known["vm1"].left = Leftovers(managed_save=saved)
    with pytest.raises(LifeboatError, match=says):
        save(made, state, path)


def test_a_file_that_is_something_else_is_not_dropped(tmp_path):
    (tmp_path / "disk").write_bytes(b"QFI\xfb")
    with pytest.raises(LifeboatError, match="found no memory that libvirt saved"):
        save(hypervisor(), "absent", str(tmp_path / "disk"))


OTHER = "db1 0a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1"


@pytest.mark.parametrize("state", ["saved", "restored", "absent"])
def test_the_memory_of_another_guest_is_left_alone(state, tmp_path):
    path = tmp_path / "db1"
    path.write_bytes(b"LibvirtQemudSave...")
    with pytest.raises(LifeboatError, match=f"domain db1 with UUID 0a7e.*that of domain vm1 with UUID {UUID}"):
        save(hypervisor(running=False), state, str(path), OTHER)
    assert path.exists()


@pytest.mark.parametrize(("content", "says"), [(b"QFI\xfb", "no memory that"), (None, "Is a directory")])
@pytest.mark.parametrize("state", ["saved", "restored", "absent"])
def test_what_is_no_memory_is_not_taken_for_some(state, content, says, tmp_path):
    path = tmp_path / "disk"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(LifeboatError, match=says):
        save(hypervisor(running=False), state, str(path))


def test_a_part_of_a_memory_is_dropped_but_not_restored(tmp_path):
    path = tmp_path / "vm1"
    path.write_bytes(b"LibvirtQemudPart...")
    for state in ("saved", "restored"):
        with pytest.raises(LifeboatError, match=r"a part of a guest's memory.*state=absent"):
            save(hypervisor(running=False), state, str(path))
    save(hypervisor(), "absent", str(path))
    assert not path.exists()


def test_a_guest_without_a_definition_comes_back_from_its_file(tmp_path):
    made, path = FakeHypervisor(), tmp_path / "vm1"
    for state in ("saved", "restored"):
        with pytest.raises(LifeboatError, match="no such domain"):
            save(made, state, str(path))
    path.write_bytes(b"LibvirtQemudSave...")
    with pytest.raises(LifeboatError, match="the memory of domain db1"):
        save(made, "restored", str(path), OTHER)
    assert save(made, "saved", str(path)) == [] and save(made, "restored", str(path)) == [f"restore vm1 {path}"]
    save(made, "absent", str(path))
    assert not path.exists() and save(made, "absent", str(path)) == []


@pytest.mark.parametrize("state", ["saved", "restored", "absent"])
@pytest.mark.parametrize("path", [True, False])
def test_what_is_being_saved_or_restored_is_waited_for(state, path, tmp_path):
    made, file = hypervisor(), tmp_path / "vm1"
    file.write_bytes(b"LibvirtQemudPart...")
    domain = made.known["vm1"]
    for job, condition, doing in (
        ({"operation": 2}, Condition(State.RUNNING), "being saved"),
        ({}, Condition(State.PAUSED, "save"), "being saved"),
        ({"operation": 3}, Condition(State.PAUSED, "starting_up"), "being restored"),
    ):
        domain.job_statistics, domain.found = job, condition
        with pytest.raises(LifeboatError, match=f"domain vm1: found {doing}"):
            save(made, state, str(file) if path else None)
    assert file.exists()


@dataclass
class Raw:
    """virConnect that lets ``domain`` go on from a file, or fails with ``error`` before or after that."""

    domain: FakeDomain
    error: CallError | None = None
    goes_on: bool = True
    tried: list[str] = field(default_factory=list)

    def ask(self, thing: str, call: Callable[[Raw], Any]) -> Any:
        return call(self)

    def find(self, name: str) -> FakeDomain:
        return self.domain

    def restore(self, path: str) -> None:
        self.tried.append(path)
        if self.goes_on:
            self.domain.start()
        if self.error is not None:
            raise self.error


SILENT = CallError("domain vm1", "no answer of libvirt within 60 s", "an answer", "Allow more with timeout.")
REFUSED = failed("domain vm1", "cannot read it", 38)


@pytest.mark.parametrize(
    ("error", "goes_on", "left"),
    [
        (None, True, []),
        (REFUSED, False, ["vm1"]),
        (REFUSED, True, ["vm1.restoring"]),
        (SILENT, True, ["vm1.restoring"]),
        (SILENT, False, ["vm1.restoring"]),
    ],
)
def test_no_memory_is_restored_a_second_time(error, goes_on, left, tmp_path):
    made, path = hypervisor(running=False), tmp_path / "vm1"
    path.write_bytes(b"LibvirtQemudSave...")
    raw = Raw(made.known["vm1"], error, goes_on)
    with pytest.raises(CallError) if error else contextlib.nullcontext():
        LibvirtSaveCalls(raw).restore("vm1", str(path))  # type: ignore[arg-type]
    assert raw.tried == [f"{path}.restoring"] and [each.name for each in tmp_path.iterdir()] == left
    if left == ["vm1.restoring"]:
        assert not goes_on or save(made, "restored", str(path)) == []
        made.known["vm1"].found = Condition(State.SHUT_OFF)
        with pytest.raises(LifeboatError, match=r"vm1\.restoring, from which the guest may have run since"):
            save(made, "restored", str(path))
        save(made, "absent", str(path))
        assert list(tmp_path.iterdir()) == []


def test_libvirt_s_own_driver_saves_and_restores(tmp_path):
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        calls = LibvirtSaveCalls(connection)
        domain = connection.find("test")
        assert domain is not None
        for path in (None, str(tmp_path / "saved")):
            for state, active in (("saved", False), ("restored", True)):
                wanted = WantedSave("test", state, path)
                for change in save_changes(connection, calls, wanted):
                    change.do()
                assert domain.condition().active is active and save_changes(connection, calls, wanted) == []
        calls.create_snapshot("test", "<domainsnapshot><name>s1</name></domainsnapshot>")
        assert calls.snapshots("test") == ["s1"]
        calls.revert("test", "s1")
        calls.delete_snapshot("test", "s1")
        assert calls.snapshots("test") == []
