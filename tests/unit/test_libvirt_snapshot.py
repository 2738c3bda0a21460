# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a domain: taken at one moment of all images or of none, gone back to, removed."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_snapshot import (
    Places,
    WantedSnapshot,
    snapshot_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdImage
from ansible_collections.lifeboat.cloud.tests.unit.kept_libvirt import QCOW2, RAW, RBD, Calls, hypervisor
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor, failed


@dataclass
class Pool:
    """Images in memory. ``broken`` takes no snapshot, or takes it and does not say so where it is ``late``.

    ``kept`` does not let its snapshots be removed; ``signalled`` is stopped when it takes one.
    """

    taken: dict[str, list[str]]
    domain: object = None
    broken: str = ""
    late: bool = False
    kept: str = ""
    signalled: str = ""
    seen: list[State] = field(default_factory=list)
    rolled_back: list[str] = field(default_factory=list)

    def snapshots(self, image: RbdImage) -> list[str]:
        assert image.client == "nova"
        return self.taken[image.image]

    def create(self, image: RbdImage, snapshot: str) -> None:
        self.seen.append(self.domain.condition().state)  # type: ignore[attr-defined]
        if image.image == self.broken and not self.late:
            raise LifeboatError(str(image), "no space", "space", "Make room.")
        self.taken[image.image].append(snapshot)
        if image.image == self.broken:
            raise LifeboatError(str(image), "no end within 60 s", "an answer", "See what blocks the host.")
        if image.image == self.signalled:
            signal.raise_signal(signal.SIGTERM)

    def roll_back(self, image: RbdImage, snapshot: str) -> None:
        self.rolled_back.append(f"{image.image}@{snapshot}")

    def remove(self, image: RbdImage, snapshot: str) -> None:
        if image.image == self.kept:
            raise LifeboatError(str(image), "exit status 16", "exit status 0", "Correct it.")
        self.taken[image.image].remove(snapshot)

    def export(self, image: RbdImage, snapshot: str, since: str | None, path: str) -> None:
        raise AssertionError


def snapshot(made: FakeHypervisor, state: str, calls: Calls | None = None, pool: Pool | None = None, name: str = "s1"):
    pool = pool or Pool({})
    pool.domain = made.known.get("vm1")
    kept_by, changes = snapshot_changes(
        made, Places(calls or Calls(), pool), WantedSnapshot("vm1", name, state, "a & b")
    )
    for change in changes:
        change.do()
    return kept_by, [change.says for change in changes]


def test_qcow2_files_are_libvirt_s():
    made, calls = hypervisor(QCOW2.format("vda")), Calls()
    assert snapshot(made, "present", calls) == ("libvirt", ["take snapshot s1 of domain vm1"])
    assert calls.did == ["<domainsnapshot><name>s1</name><description>a &amp; b</description></domainsnapshot>"]
    assert snapshot(made, "absent", calls)[1] == []
    calls.there = ["s1"]
    assert snapshot(made, "present", calls)[1] == []
    assert snapshot(made, "reverted", calls)[1] == ["go back to snapshot s1 of domain vm1"]
    snapshot(made, "absent", calls)
    assert calls.did[1:] == ["revert s1", "delete s1"]


def test_images_in_ceph_are_taken_at_one_moment_of_a_guest_that_goes_on():
    made, pool = hypervisor(RBD.format("vda"), RBD.format("vdb")), Pool({"vms/vda": [], "vms/vdb": []})
    assert snapshot(made, "present", pool=pool) == ("ceph", ["take snapshot s1 of domain vm1"])
    assert pool.taken == {"vms/vda": ["s1"], "vms/vdb": ["s1"]} and pool.seen == [State.PAUSED] * 2
    assert made.known["vm1"].condition().state is State.RUNNING
    assert snapshot(made, "present", pool=pool)[1] == []
    with pytest.raises(LifeboatError, match="shut off, for disks in Ceph"):
        snapshot(made, "reverted", pool=pool)
    made.known["vm1"].power_off()
    snapshot(made, "reverted", pool=pool)
    assert pool.rolled_back == ["vms/vda@s1", "vms/vdb@s1"]
    snapshot(made, "absent", pool=pool)
    assert pool.taken == {"vms/vda": [], "vms/vdb": []} and snapshot(made, "absent", pool=pool)[1] == []


def test_a_snapshot_of_some_images_is_none():
    made, pool = hypervisor(RBD.format("vda"), RBD.format("vdb")), Pool({"vms/vda": [], "vms/vdb": []})
    pool.broken = "vms/vdb"
    with pytest.raises(LifeboatError, match="no space"):
        snapshot(made, "present", pool=pool)
    assert pool.taken == {"vms/vda": [], "vms/vdb": []}
    assert made.known["vm1"].condition().state is State.RUNNING
    pool.taken["vms/vda"].append("s1")
    with pytest.raises(LifeboatError, match="one only of vms/vda"):
        snapshot(made, "present", pool=pool)


def three() -> tuple[FakeHypervisor, Pool]:
    names = ("vda", "vdb", "vdc")
    return hypervisor(*(RBD.format(name) for name in names)), Pool({f"vms/{name}": [] for name in names})


def test_a_snapshot_of_which_nobody_knows_is_removed_with_the_others():
    made, pool = three()
    pool.broken, pool.late, pool.kept = "vms/vdb", True, "vms/vda"
    with pytest.raises(
        LifeboatError, match="image vms/vdb: found no end within 60 s; and then image vms/vda: exit status 16; expected"
    ):
        snapshot(made, "present", pool=pool)
    assert pool.taken == {"vms/vda": ["s1"], "vms/vdb": [], "vms/vdc": []}
    assert made.known["vm1"].condition().state is State.RUNNING


def test_a_guest_that_stands_still_later_than_was_waited_for_goes_on(monkeypatch):
    made, pool = three()
    domain = made.known["vm1"]
    suspend = domain.suspend

    def late() -> None:
        suspend()
        raise CallError("domain vm1", "no answer of libvirt within 60 s", "an answer", "Allow more with timeout.")

    monkeypatch.setattr(domain, "suspend", late)
    with pytest.raises(LifeboatError, match="no answer of libvirt"):
        snapshot(made, "present", pool=pool)
    assert domain.condition().state is State.RUNNING and not any(pool.taken.values())


def test_a_signal_waits_until_the_guest_goes_on():
    made, pool = three()
    pool.signalled = "vms/vda"
    with pytest.raises(LifeboatError, match="snapshot s1 of domain vm1: found a signal to stop"):
        snapshot(made, "present", pool=pool)
    assert made.known["vm1"].condition().state is State.RUNNING and not any(pool.taken.values())


def test_a_guest_that_does_not_go_on_is_named(monkeypatch):
    made, pool = three()

    def refused() -> None:
        raise failed("domain vm1", "cannot acquire state change lock", 68)

    monkeypatch.setattr(made.known["vm1"], "resume", refused)
    with pytest.raises(LifeboatError, match=r"paused \(user\), after its snapshots: cannot acquire.*state=running"):
        snapshot(made, "present", pool=pool)


@pytest.mark.parametrize(
    ("disks", "state", "name", "says"),
    [
        ([QCOW2.format("vda"), RBD.format("vdb")], "present", "s1", "both kinds"),
        ([QCOW2.format("vda"), RAW.format("vdb")], "present", "s1", "vdb of another kind"),
        ([], "present", "s1", "no disk to write to"),
        ([QCOW2.format("vda")], "reverted", "s1", "expected one to go back to"),
        ([QCOW2.format("vda")], "present", "a@b", "the name 'a@b'"),
    ],
)
def test_what_cannot_be_kept_is_refused(disks, state, name, says):
    with pytest.raises(LifeboatError, match=says):
        snapshot(hypervisor(*disks), state, name=name)
