# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices are refused for an OSD and why, and what is known of those that have one by their labels.

fixtures/ceph/bluestore_label.b64 is the label of an OSD of Ceph 18.2.7 with a key that is made up, lsblk.json a server
with a disk of every kind in the form that lsblk 2.41 gives.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_devices
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import (
    Permissions,
    device_findings,
    parse_lsblk,
    parse_wipefs,
    shared_disk_findings,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._bluestore_label import parse_label

FIXTURES = Path(__file__).parent / "fixtures" / "ceph"
OSD, CLUSTER = "d25fe886-e3c6-41a9-8568-2cc7ea550082", "59ec7030-a38f-4de5-8869-e4b49601033e"
LABEL = base64.b64decode((FIXTURES / "bluestore_label.b64").read_text())
DEVICES = parse_lsblk((FIXTURES / "lsblk.json").read_text())


def found_on(path: str, allowed: Permissions | None = None) -> list[str]:
    return [finding.found for finding in device_findings(path, DEVICES, [], allowed or Permissions())]


def test_a_label_that_ceph_wrote_is_read() -> None:
    label = parse_label(LABEL.ljust(4096, b"\0"))
    assert label is not None and label.ready
    assert (label.osd_uuid, label.cluster, label.osd_id) == (OSD, CLUSTER, 0)
    assert "AQC" not in repr(label)


@pytest.mark.parametrize("block", [b"", bytes(4096), LABEL[:100], LABEL[:400], b"bluestore block device\n" + bytes(90)])
def test_what_is_no_whole_label_is_none(block: bytes) -> None:
    label = parse_label(block)
    assert label is None or not label.ready


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/sda", "the system disk, mounted at /boot/efi, /, [SWAP]"),
        ("/dev/sda3", "a part of /dev/sda, the system disk with /, [SWAP]"),
        ("/dev/mapper/system-root", "the system disk, mounted at /"),
        ("/dev/sdc", "mounted at /srv"),
        ("/dev/sdd", "something on it: LVM2_member"),
        ("/dev/sde", "a volume of a RAID controller (DELL PERC H730P Mini)"),
        ("/dev/sdf", "something on it: gpt with /dev/sdf1, /dev/sdf2"),
        ("/dev/sdg", "something on it: linux_raid_member with /dev/md0"),
        ("/dev/md0", "the type raid1"),
        ("/dev/sdi", "2000000000 bytes"),
        ("/dev/sdj", "a read-only device"),
        ("/dev/sr0", "the type rom"),
        ("/dev/nvme0n1", "something on it: ceph_bluestore"),
        ("/dev/nosuch", "no such block device"),
    ],
)
def test_a_device_that_should_not_be_used_is_refused_with_the_reason(path: str, words: str) -> None:
    assert words in found_on(path)


@pytest.mark.parametrize("path", ["/dev/sdb", "/dev/sdf1"])
def test_an_empty_disk_or_partition_is_good(path: str) -> None:
    assert found_on(path) == []


def test_each_permission_lifts_its_refusal_only() -> None:
    assert found_on("/dev/sdd", Permissions(used=True)) == []
    assert found_on("/dev/sde", Permissions(raid=True)) == []
    assert found_on("/dev/sda3", Permissions(shared_disk=True)) == []
    for path in ("/dev/sda", "/dev/sdc"):
        assert found_on(path, Permissions(used=True, raid=True, shared_disk=True))
    for path, allowed in (("/dev/sde", Permissions(used=True)), ("/dev/sdd", Permissions(raid=True))):
        assert found_on(path, allowed)


@pytest.mark.parametrize(
    "model",
    [
        "AVAGO MR9361-8i",
        "HP LOGICAL VOLUME",
        "LSI MegaRAID SAS RMB",
        "IBM ServeRAID M5210",
        "DELL PERC 6/i",
        "Intel RAID",
    ],
)
def test_volumes_of_raid_controllers_are_known_by_their_name(model: str) -> None:
    assert _block_devices._RAID.search(model)


@pytest.mark.parametrize(
    "model", ["ATA ST2000NM0008", "SAMSUNG MZQL21T9HCJR-00A07", "0x1af4", "SEAGATE ST4000NM0023", ""]
)
def test_a_disk_is_not_taken_for_one(model: str) -> None:
    assert not _block_devices._RAID.search(model)


def test_signatures_of_wipefs_count_where_lsblk_shows_none() -> None:
    shown = '{"signatures": [{"device": "loop1", "offset": "0x438", "type": "ext4", "uuid": "x", "label": null}]}'
    (finding,) = device_findings("/dev/sdb", DEVICES, parse_wipefs(shown), Permissions())
    assert finding.found == "something on it: ext4"
    assert parse_wipefs("") == [] and parse_wipefs('{"signatures": []}') == []


def test_one_osd_on_a_disk() -> None:
    both = ["/dev/sdf1", "/dev/sdf2"]
    assert [*shared_disk_findings(both, [], DEVICES, Permissions())]
    assert [*shared_disk_findings(both[:1], both[1:], DEVICES, Permissions())]
    assert not [*shared_disk_findings(both, [], DEVICES, Permissions(shared_disk=True))]
    assert not [*shared_disk_findings(["/dev/sdb", "/dev/sdf1"], [], DEVICES, Permissions())]
    # Two that are there already are nobody's business now.
    assert not [*shared_disk_findings(["/dev/sdb"], both, DEVICES, Permissions())]
