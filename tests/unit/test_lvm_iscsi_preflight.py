# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volume groups and targets: which devices and targets are refused, and what would be wiped.

fixtures/ceph/lsblk.json is a server with a disk of every kind.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _kernel, _lvm_iscsi
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import parse_lsblk
from ansible_collections.lifeboat.cloud.plugins.module_utils._lvm_iscsi import Scene, Target, parse_pvs, target_findings
from ansible_collections.lifeboat.cloud.plugins.modules import lvm_iscsi_preflight
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

DEVICES = parse_lsblk((Path(__file__).parent / "fixtures" / "ceph" / "lsblk.json").read_text())
PASSWORD = "abcdefghijkl1"
Run = Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the module on the server; ``pvs`` are its physical volumes, ``mapper`` is what its kernel has."""

    def ran(
        pvs: dict[str, str] | None = None,
        mapper: bool = True,
        signatures: dict[str, list[str]] | None = None,
        **options: t.Any,
    ) -> dict[str, t.Any]:
        known = {"/dev/mapper/none": "system"} if pvs is None else pvs
        scene = Scene(mapper, DEVICES, signatures or {}, known)
        monkeypatch.setattr(lvm_iscsi_preflight, "look", lambda wanted: scene)
        return run_module(lvm_iscsi_preflight.main, **{"address": "10.0.2.22", **options})

    return ran


@pytest.mark.parametrize("path", ["/dev/sdb", "/dev/sdf1", "/dev/sde"])
def test_an_empty_disk_or_partition_is_good_and_a_volume_of_a_raid_controller(run: Run, path: str) -> None:
    result = run(volume_groups={"cinder-volumes": [path]})
    assert (result["changed"], result["to_wipe"]) == (False, [])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/sda", "the system disk, mounted at"),
        ("/dev/sda3", "a part of /dev/sda, the system disk"),
        ("/dev/sdc", "mounted at /srv"),
        ("/dev/sdf", "something on it: gpt with /dev/sdf1, /dev/sdf2"),
        ("/dev/sdi", "2000000000 bytes"),
        ("/dev/sdj", "a read-only device"),
        ("/dev/sr0", "the type rom"),
        ("/dev/nosuch", "no such block device"),
    ],
)
def test_a_device_that_should_not_be_used_is_refused(run: Run, path: str, words: str) -> None:
    failed = run(volume_groups={"cinder-volumes": [path]})
    assert failed["failed"] and words in failed["msg"]


def test_an_array_is_good_for_lvm(run: Run) -> None:
    failed = run(volume_groups={"cinder-volumes": ["/dev/md0"]})
    assert "the type" not in failed.get("msg", "")


def test_a_device_of_its_volume_group_is_good_and_of_another_one_not(run: Run) -> None:
    groups = {"cinder-volumes": ["/dev/sdd"]}
    assert not run(pvs={"/dev/sdd": "cinder-volumes"}, volume_groups=groups).get("failed")
    # Killed after pvcreate.
    half = run(pvs={"/dev/sdd": ""}, volume_groups=groups)
    assert not half.get("failed") and half["to_wipe"] == []
    for force in (False, True):
        failed = run(pvs={"/dev/sdd": "system"}, volume_groups=groups, force_used=force)
        assert failed["found"] == "one of the volume group system"


def test_a_volume_group_of_others_is_refused(run: Run) -> None:
    failed = run(pvs={"/dev/sdd": "system"}, volume_groups={"system": ["/dev/sdb"]})
    assert failed["thing"] == "volume group system" and failed["found"] == "one with /dev/sdd"


def test_force_names_what_is_wiped(run: Run) -> None:
    options: dict[str, t.Any] = {"pvs": {}, "volume_groups": {"cinder-volumes": ["/dev/sdb", "/dev/sdf1"]}}
    signatures = {"/dev/sdb": ["ext4"]}
    assert "something on it: ext4" in run(signatures=signatures, **options)["msg"]
    assert run(signatures=signatures, force_used=True, **options)["to_wipe"] == ["/dev/sdb"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"volume_groups": {"cinder-volumes": []}}, "volume group cinder-volumes: found no devices"),
        ({"volume_groups": {"-x": ["/dev/sdb"]}}, "a name that LVM does not take"),
        ({"volume_groups": {"a": ["/dev/sdb"], "b": ["/dev/sdb"]}}, "the same as /dev/sdb of the volume group a"),
        ({"volume_groups": {"a": "/dev/sdb"}}, "expected a list of absolute paths"),
        ({"volume_groups": {"a": ["sdb"]}}, "expected a list of absolute paths"),
    ],
)
def test_volume_groups_that_cannot_be_meant_are_refused(run: Run, options: dict[str, t.Any], words: str) -> None:
    assert words in run(**options)["msg"]


def test_a_kernel_without_the_device_mapper_is_refused(run: Run) -> None:
    assert "none of the device mapper" in run(mapper=False, volume_groups={"a": ["/dev/sdb"]})["msg"]
    assert not run(mapper=False, volume_groups={}).get("failed")


def test_physical_volumes_are_read() -> None:
    shown = {"report": [{"pv": [{"pv_name": "/dev/sdb", "vg_name": "a"}, {"pv_name": "/dev/sdc", "vg_name": ""}]}]}
    assert parse_pvs(json.dumps(shown)) == {"/dev/sdb": "a", "/dev/sdc": ""}


def test_a_host_without_lvm_has_no_physical_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    assert _lvm_iscsi.physical_volumes() == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"name": "disk"}, "a name that is no qualified one"),
        ({"name": "iqn.2026-01.Example:a"}, "a name that is no qualified one"),
        ({"path": "/nowhere/disk"}, "nothing at /nowhere/disk"),
        ({"password": "short"}, "a user or password"),
        ({"password": "seventeen-letters"}, "a user or password"),
        ({"user": "two words"}, "a user or password"),
        ({"clients": ["stor1"]}, "the client 'stor1'"),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(tmp_path: Path, changes: dict[str, t.Any], words: str) -> None:
    good = {"name": "iqn.2026-01.org.example:quorum", "path": str(tmp_path), "user": "u", "password": PASSWORD}
    target = Target(**{**good, "clients": ["10.0.2.0/24", "10.0.2.31"], **changes})
    said = "; ".join(f"{each.thing}: {each.found}" for each in target_findings([target]))
    assert words in said and bool(words) == bool(said)
    assert target.password not in said + repr(target)
    assert "more than once" in [each.found for each in target_findings([target, target])]


def test_a_refusal_shows_no_password(run: Run) -> None:
    target = {"name": "disk", "path": "/nowhere", "user": "u", "password": PASSWORD}
    failed = run(targets=[target])
    assert failed["failed"] and PASSWORD not in json.dumps(failed)


def test_a_host_without_an_address_is_refused(run: Run) -> None:
    assert "address to serve on: found none" in run(address="")["msg"]


def test_an_initiator_needs_its_kernel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kernel, "offers", lambda feature: False)
    assert "none of the iSCSI initiator" in run(initiator=True)["msg"]
    monkeypatch.setattr(_kernel, "offers", lambda feature: True)
    assert not run(initiator=True).get("failed")
