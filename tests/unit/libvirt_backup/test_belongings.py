# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no backup, of another one, or in use stays; what belongs to a backup goes with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import Manifest
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import (
    backup_changes,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.tests.unit.backing_up_libvirt import MONDAY, QCOW2, RBD, Backups, backups
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import failed


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


def test_a_mark_that_was_not_put_there_is_none(files):
    place = Path(files.wanted.place)
    place.mkdir(parents=True)
    (place / "backup.begun.new").write_text("{", encoding="utf-8")
    assert not files.remove() and place.exists()
    assert files.make() and sorted(each.name for each in place.iterdir()) == ["backup.json", "vda.qcow2"]


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


def test_a_checkpoint_is_not_removed_from_a_guest_that_is_off(files):
    files.make()
    files.hypervisor.known["vm1"].power_off()
    with pytest.raises(LifeboatError, match=r"shut_off.*expected a guest that runs.*at least paused"):
        removal_changes(files.hypervisor, files.tools, files.wanted)
    files.calls.known.clear()
    assert files.remove() and not Path(files.wanted.place).exists()


def test_a_fetched_backup_is_removed_without_ending_another(files):
    files.make(pull=True)
    files.fetched()
    files.make(backup="other", pull=True)
    files.remove()
    assert files.calls.did.count("abort") == 1 and files.calls.known == ["other"]
