# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a domain in memory: made once, complete or not at all, and removed only when nothing needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import (
    Manifest,
    WantedBackup,
    read_manifest,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_fetched import fetched_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import (
    Tools,
    backup_changes,
    qemu_owner,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdImage
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor, failed

QCOW2 = (
    "<disk type='file'><driver type='qcow2'/><source file='/srv/vda'/><target dev='vda'/></disk>"
    "<disk type='file'><source file='/srv/config'/><target dev='vdb'/><readonly/></disk>"
)
RBD = "<disk type='network'><auth username='nova'/><source protocol='rbd' name='vms/1'/><target dev='vda'/></disk>"


@dataclass
class Calls:
    """BackupCalls that write files as libvirt does. ``lasts_s`` is how long a push takes."""

    hypervisor: FakeHypervisor
    known: list[str] = field(default_factory=list)
    lasts_s: float = 1.0
    errmsg: str = ""
    did: list[str] = field(default_factory=list)
    ends_at: float = 0.0
    xml: str = ""

    def begin(self, name: str, backup_xml: str, checkpoint_xml: str) -> None:
        backup, checkpoint = ElementTree.fromstring(backup_xml), ElementTree.fromstring(checkpoint_xml)
        if backup.findtext("incremental", "") not in ["", *self.known]:
            raise failed(f"domain {name}", "no such checkpoint", 103)
        for file in [each.get("file") for each in backup.iter() if each.tag in {"target", "scratch"}]:
            Path(str(file)).write_text("data", encoding="utf-8")
        self.known.append(str(checkpoint.findtext("name")))
        self.xml = backup_xml
        disks = " ".join(str(disk.get("name")) for disk in backup.iter("disk"))
        self.did.append(f"{backup.get('mode')} {disks} since {backup.findtext('incremental')}")
        self.ends_at = self.hypervisor.clock.now + self.lasts_s
        served = backup.get("mode") == "pull"
        self.hypervisor.known["vm1"].job = lambda: self.job(served)  # type: ignore[method-assign]

    def job(self, served: bool) -> Mapping[str, Any]:
        if served or self.hypervisor.clock.now < self.ends_at:
            return {"operation": 9, "disk_total": 64 << 20, "disk_processed": 8 << 20}
        return {}

    def abort(self, name: str) -> None:
        self.did.append("abort")
        self.hypervisor.known["vm1"].job = dict  # type: ignore[method-assign]

    def under_way(self, name: str) -> str:
        return self.xml if self.hypervisor.known["vm1"].job() else ""

    def completed(self, name: str) -> Mapping[str, Any]:
        return {"success": not self.errmsg, "errmsg": self.errmsg}

    def checkpoints(self, name: str) -> list[str]:
        return self.known

    def delete_checkpoint(self, name: str, checkpoint: str) -> None:
        self.known.remove(checkpoint)


@dataclass
class Pool:
    """The image vms/1 in memory, and others that have no snapshots."""

    taken: list[str] = field(default_factory=list)
    full: bool = False
    exported: list[str] = field(default_factory=list)

    def snapshots(self, image: RbdImage) -> list[str]:
        return self.taken if image.image == "vms/1" else []

    def create(self, image: RbdImage, snapshot: str) -> None:
        self.taken.append(snapshot)

    def roll_back(self, image: RbdImage, snapshot: str) -> None:
        raise AssertionError

    def remove(self, image: RbdImage, snapshot: str) -> None:
        self.taken.remove(snapshot)

    def export(self, image: RbdImage, snapshot: str, since: str | None, path: str) -> None:
        Path(path).write_text("half", encoding="utf-8")
        if self.full:
            raise LifeboatError("command rbd", "No space left on device", "exit status 0", "Make room.")
        self.exported.append(f"{image.client} {image.image}@{snapshot} since {since}")


@dataclass
class Backups:
    """A domain, what backs it up, and a directory."""

    hypervisor: FakeHypervisor
    tools: Tools
    calls: Calls
    pool: Pool
    wanted: WantedBackup

    def make(self, **change: Any) -> list[str]:
        return self._do(backup_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    def remove(self, **change: Any) -> list[str]:
        return self._do(removal_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    def fetched(self, **change: Any) -> list[str]:
        return self._do(fetched_changes(self.hypervisor, self.tools, replace(self.wanted, **change)))

    @staticmethod
    def _do(changes: list[Any]) -> list[str]:
        for change in changes:
            change.do()
        return [change.says for change in changes]


def backups(tmp_path: Path, disks: str) -> Backups:
    made = FakeHypervisor()
    made.define(
        f"<domain type='test'><name>vm1</name><memory>1024</memory><os><type>hvm</type></os>"
        f"<devices>{disks}</devices></domain>",
        validate=True,
    )
    made.known["vm1"].start()
    calls, pool = Calls(made), Pool()
    return Backups(
        made,
        Tools(calls, pool, made.clock),
        calls,
        pool,
        WantedBackup("vm1", "sunday", str(tmp_path / "vm1"), max_seconds=60.0),
    )


@pytest.fixture
def files(tmp_path: Path) -> Backups:
    return backups(tmp_path, QCOW2)


@pytest.fixture
def ceph(tmp_path: Path) -> Backups:
    return backups(tmp_path, RBD)


MONDAY = {"backup": "monday", "base": "sunday"}


def test_a_backup_is_made_once_and_the_next_has_what_changed(files):
    assert files.make() == ["make backup sunday of domain vm1"] and files.make() == []
    assert files.make(**MONDAY) == ["make backup monday of domain vm1 since sunday"] and files.make(**MONDAY) == []
    assert files.calls.did == ["push vda since None", "push vda since sunday"]
    found = read_manifest(f"{files.wanted.directory}/monday")
    assert found is not None and (found.base, found.kept_by, found.disks[0].bytes) == ("sunday", "libvirt", 4)


def test_a_backup_is_not_removed_while_another_needs_it(files):
    files.make()
    files.make(**MONDAY)
    with pytest.raises(LifeboatError, match="based on it: monday"):
        files.remove()
    note = Path(files.wanted.directory) / "README"
    note.write_text("ask Ann", encoding="utf-8")
    assert files.remove(**MONDAY) and files.remove() and files.remove() == []
    assert files.calls.known == [] and list(Path(files.wanted.directory).iterdir()) == [note]


@pytest.mark.parametrize(
    ("break_it", "says", "did"),
    [
        (lambda calls: setattr(calls, "lasts_s", 100.0), "8 of 64 MiB after 60 s", ["push vda since None", "abort"]),
        (lambda calls: setattr(calls, "errmsg", "No space left"), "No space left", ["push vda since None"]),
    ],
)
def test_a_backup_that_fails_leaves_nothing(files, break_it, says, did):
    break_it(files.calls)
    with pytest.raises(LifeboatError, match=says):
        files.make()
    assert files.calls.did == did and files.calls.known == [] and not Path(files.wanted.place).exists()


def interrupted(made: Backups, **change: Any) -> Path:
    """What a run leaves that is killed while it copies a disk."""
    place = Path(made.wanted.place)
    place.mkdir(parents=True)
    uuid = made.hypervisor.known["vm1"].uuid
    replace(Manifest("vm1", uuid, "sunday", None, "libvirt", "push", ()), **change).begin(str(place))
    (place / "vda.qcow2").write_text("half a disk", encoding="utf-8")
    return place


def test_what_an_interrupted_run_left_is_made_anew(files):
    place = interrupted(files)
    files.calls.known.append("sunday")
    assert files.make() == ["make backup sunday of domain vm1"] and files.calls.known == ["sunday"]
    assert (place / "vda.qcow2").read_text(encoding="utf-8") == "data" and not (place / "backup.begun").exists()


def test_what_an_interrupted_run_left_is_removed(files):
    place = interrupted(files)
    files.calls.known.append("sunday")
    assert files.remove() and files.calls.known == [] and not place.exists()


@pytest.mark.parametrize("of", [{"uuid": "0a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1"}, {"backup": "monday"}])
def test_what_is_of_another_backup_stays(files, of):
    place = interrupted(files, **of)
    for do in (files.make, files.remove):
        with pytest.raises(LifeboatError, match=f"{next(iter(of.values()))}.*expected backup sunday of UUID"):
            do()
    assert (place / "vda.qcow2").exists()


def test_a_place_without_a_mark_stays_as_it_is(files):
    place = Path(files.wanted.place)
    place.mkdir(parents=True)
    disk = place / "disk.qcow2"
    disk.write_text("the guest", encoding="utf-8")
    for do in (files.make, files.remove):
        with pytest.raises(LifeboatError, match=r"1 files that are of no backup, such as disk\.qcow2"):
            do()
    assert disk.exists()


@pytest.mark.parametrize("live", [True, False])
def test_a_backup_that_has_become_a_disk_stays(files, live):
    files.make()
    domain = files.hypervisor.known["vm1"]
    source = (domain.running if live else domain.defined).find("devices/disk/source")
    source.set("file", f"{files.wanted.directory}/../vm1/sunday/vda.qcow2")
    with pytest.raises(LifeboatError, match=r"sunday/vda\.qcow2, a disk of domain vm1; expected no disk"):
        files.remove()
    assert files.calls.known == ["sunday"] and (Path(files.wanted.place) / "vda.qcow2").exists()


def test_an_empty_directory_is_used_but_says_nothing_of_whose_a_point_in_time_is(files, ceph):
    Path(files.wanted.place).mkdir(parents=True)
    for made, known, says in (
        (files, files.calls.known, "checkpoint sunday of something else"),
        (ceph, ceph.pool.taken, "snapshot vms/1@sunday of something else"),
    ):
        known.append("sunday")
        with pytest.raises(LifeboatError, match=says):
            made.make()
        assert made.remove() == [] and known == ["sunday"]
        known.clear()
    assert files.make() == ["make backup sunday of domain vm1"]


def test_only_what_qemu_serves_is_in_a_directory_that_others_can_enter(files, ceph):
    ceph.make()
    assert Path(ceph.wanted.place).stat().st_mode & 0o777 == 0o700
    ceph.remove()
    files.make()
    assert Path(files.wanted.place).stat().st_mode & 0o777 == 0o711


def test_the_snapshots_go_with_a_backup_of_an_image_that_is_no_longer_the_disk_s(ceph):
    ceph.make()
    source = ceph.hypervisor.known["vm1"].running.find("devices/disk/source")
    source.set("name", "vms/2")
    assert ceph.remove() and ceph.pool.taken == []


def without_images(made: Backups) -> None:
    """As earlier versions have written it."""
    path = Path(made.wanted.place) / "backup.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    for disk in said["disks"]:
        del disk["image"], disk["client"]
    path.write_text(json.dumps(said), encoding="utf-8")


def test_a_manifest_of_an_earlier_version_is_of_today_s_images(ceph):
    ceph.make()
    without_images(ceph)
    assert ceph.make() == [] and ceph.make(**MONDAY)
    ceph.remove(**MONDAY)
    ceph.hypervisor.known["vm1"].running.find("devices/disk/target").set("dev", "vdb")
    with pytest.raises(LifeboatError, match=r"images of 0 of its 1 disks.*rbd snap rm"):
        ceph.remove()
    assert ceph.pool.taken == ["sunday"] and Path(ceph.wanted.place).exists()
    ceph.hypervisor.known["vm1"].running.find("devices/disk/target").set("dev", "vda")
    assert ceph.remove() and ceph.pool.taken == []


def test_who_does_not_say_what_the_disks_are_is_not_passed_over(ceph, monkeypatch):
    ceph.make()

    def silent(**_how: bool) -> str:
        raise failed("domain vm1", "no answer", 0)

    monkeypatch.setattr(ceph.hypervisor.known["vm1"], "definition", silent)
    with pytest.raises(LifeboatError, match="no answer"):
        ceph.remove()
    assert ceph.pool.taken == ["sunday"] and Path(ceph.wanted.place).exists()


def test_a_checkpoint_is_not_removed_from_a_guest_that_is_off(files):
    files.make()
    files.hypervisor.known["vm1"].power_off()
    with pytest.raises(LifeboatError, match=r"shut_off.*expected a guest that runs.*at least paused"):
        removal_changes(files.hypervisor, files.tools, files.wanted)
    files.calls.known.clear()
    assert files.remove() and not Path(files.wanted.place).exists()


def test_another_backup_under_way_goes_on(files):
    files.make(pull=True)
    files.hypervisor.known["vm1"].job = dict
    files.make(backup="monday", pull=True)
    with pytest.raises(LifeboatError, match="no longer served"):
        files.fetched()
    with pytest.raises(LifeboatError, match="another job under way"):
        files.make(pull=True)
    files.remove()
    assert "abort" not in files.calls.did and files.calls.known == ["monday"]


def test_a_backup_that_is_refused_ends_no_other(files, monkeypatch):
    changes = backup_changes(files.hypervisor, files.tools, files.wanted)
    files.make(backup="monday", pull=True)

    def refused(name: str, backup_xml: str, checkpoint_xml: str) -> None:
        raise failed(f"domain {name}", "another job is active", 55)

    monkeypatch.setattr(files.calls, "begin", refused)
    with pytest.raises(LifeboatError, match="another job is active"):
        changes[0].do()
    assert "abort" not in files.calls.did and not Path(files.wanted.place).exists()


@pytest.mark.parametrize("disks", [QCOW2, RBD])
def test_a_point_in_time_of_somebody_else_is_not_taken_nor_removed(tmp_path, disks):
    made = backups(tmp_path, disks)
    known = made.pool.taken if disks == RBD else made.calls.known
    known.append("sunday")
    with pytest.raises(LifeboatError, match="sunday of something else; expected a name that is free"):
        made.make()
    assert known == ["sunday"] and made.remove() == [] and known == ["sunday"]


def test_a_job_that_began_meanwhile_is_not_ended(files):
    changes = backup_changes(files.hypervisor, files.tools, files.wanted)

    def refuse(_name: str, _backup: str, _checkpoint: str) -> None:
        files.hypervisor.known["vm1"].job_statistics = {"operation": 5}
        raise failed("domain vm1", "another job is active", 55)

    files.calls.begin = refuse
    with pytest.raises(LifeboatError, match="another job is active"):
        changes[0].do()
    assert files.calls.did == [] and not Path(files.wanted.place).exists()


def test_nothing_is_removed_that_is_no_backup(files):
    place = Path(files.wanted.place)
    place.mkdir(parents=True)
    (place / "letters.txt").write_text("dear", encoding="utf-8")
    for do in (files.make, files.remove):
        with pytest.raises(LifeboatError, match=r"1 files that are of no backup, such as letters\.txt"):
            do()
    assert (place / "letters.txt").exists()


def test_a_pulled_backup_is_served_until_it_is_removed(files):
    assert files.make(pull=True) == ["serve backup sunday of domain vm1"] and files.make(pull=True) == []
    with pytest.raises(LifeboatError, match="another job under way"):
        files.make(backup="monday")
    assert files.remove() == ["remove backup sunday of domain vm1"]
    assert files.calls.did == ["pull vda since None", "abort"] and files.calls.known == []


def test_a_pulled_backup_that_was_fetched_is_a_base(files):
    files.make(pull=True)
    with pytest.raises(LifeboatError, match=r"another job under way.*state=fetched"):
        files.make(**MONDAY)
    assert files.fetched() == ["end the serving of backup sunday of domain vm1"] and files.fetched() == []
    assert [path.name for path in Path(files.wanted.place).iterdir()] == ["backup.json"]
    assert files.make(pull=True) == []
    assert files.make(**MONDAY, pull=True) == ["serve backup monday of domain vm1 since sunday"]
    with pytest.raises(LifeboatError, match="based on it: monday"):
        files.remove()
    files.fetched(**MONDAY)
    assert files.make(backup="tuesday", base="monday") == ["make backup tuesday of domain vm1 since monday"]
    assert files.calls.did == [
        *("pull vda since None", "abort", "pull vda since sunday", "abort", "push vda since monday"),
    ]


def test_a_fetched_backup_is_removed_without_ending_another(files):
    files.make(pull=True)
    files.fetched()
    files.make(backup="other", pull=True)
    files.remove()
    assert files.calls.did.count("abort") == 1 and files.calls.known == ["other"]


def test_a_pulled_backup_of_which_nobody_may_have_the_data_is_no_base(files):
    files.make(pull=True)
    files.hypervisor.known["vm1"].job = dict
    with pytest.raises(LifeboatError, match="no longer served"):
        files.fetched()
    with pytest.raises(LifeboatError, match="nobody has said that it was fetched"):
        files.make(**MONDAY)


@pytest.mark.parametrize(("prepare", "says"), [(False, "none of this domain"), (True, "one with mode push")])
def test_only_what_is_pulled_can_be_fetched(files, prepare, says):
    if prepare:
        files.make()
    with pytest.raises(LifeboatError, match=says):
        files.fetched()


def test_images_in_ceph_are_exported_from_snapshots(ceph):
    ceph.make()
    ceph.make(**MONDAY)
    assert ceph.make() == [] and ceph.calls.did == []
    assert ceph.pool.exported == ["nova vms/1@sunday since None", "nova vms/1@monday since sunday"]
    ceph.remove(**MONDAY)
    ceph.remove()
    assert ceph.pool.taken == []


def test_a_copy_from_ceph_that_fails_leaves_nothing(ceph):
    ceph.pool.full = True
    with pytest.raises(LifeboatError, match="No space left"):
        ceph.make()
    assert ceph.pool.taken == [] and not Path(ceph.wanted.place).exists()


def damage(files: Backups) -> None:
    files.make()
    (Path(files.wanted.place) / "vda.qcow2").write_text("da", encoding="utf-8")


def forget(files: Backups) -> None:
    files.make()
    files.calls.known.clear()


@pytest.mark.parametrize(
    ("prepare", "change", "says"),
    [
        (damage, {}, "2 bytes; expected 4 bytes"),
        (lambda files: files.make(), {"pull": True}, "one with mode push"),
        (lambda files: None, MONDAY, "no backup sunday of this domain"),
        (forget, MONDAY, "does not know what has changed since sunday"),
        (lambda files: files.hypervisor.known["vm1"].power_off(), {}, "expected a guest that runs"),
        (lambda files: None, {"backup": "../etc"}, r"the name '\.\./etc'"),
        (lambda files: None, {"directory": "backups"}, "an absolute path"),
        (lambda files: None, {"name": "vm2"}, "no such domain"),
    ],
)
def test_what_would_be_no_backup_is_refused(files, prepare, change, says):
    prepare(files)
    with pytest.raises(LifeboatError, match=says):
        files.make(**change)


def test_ceph_is_not_pulled(ceph):
    with pytest.raises(LifeboatError, match="images in Ceph; expected qcow2 files"):
        ceph.make(pull=True)


def test_the_socket_is_for_the_guest_s_own_user(files):
    assert qemu_owner(files.hypervisor.known["vm1"]) == (-1, -1)
    label = "<seclabel type='dynamic' model='dac'><label>+64055:+104</label></seclabel>"
    files.hypervisor.known["vm1"].running.append(ElementTree.fromstring(label))
    assert qemu_owner(files.hypervisor.known["vm1"]) == (64055, 104)
