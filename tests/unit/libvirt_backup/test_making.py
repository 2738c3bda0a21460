# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a domain in memory: made once, complete or not at all, and only where they can be."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import read_manifest
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import qemu_owner
from ansible_collections.lifeboat.cloud.tests.unit.backing_up_libvirt import MONDAY, Backups


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
