# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OSDs: making one that was interrupted anywhere, and removing one without loss.

fixtures/ceph/lsblk.json is a server with a disk of every kind in the form that lsblk 2.41 gives.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import struct
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import (
    _block_devices,
    _ceph_osd_making,
    _ceph_osd_removal,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import parse_lsblk
from ansible_collections.lifeboat.cloud.plugins.module_utils._bluestore_label import read_label
from ansible_collections.lifeboat.cloud.plugins.module_utils._systemd_units import UnitsPlan
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_osd
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import Run, runner

FIXTURES = Path(__file__).parent / "fixtures" / "ceph"
DEVICES = parse_lsblk((FIXTURES / "lsblk.json").read_text())
FSID = "59ec7030-a38f-4de5-8869-e4b49601033e"
OTHER = "11111111-a38f-4de5-8869-e4b49601033e"
GIB = 2**30
NOTHING = UnitsPlan(False, (), (), ())


def label_block(osd_uuid: str, meta: dict[str, str]) -> bytes:
    """A label as BlueStore writes it."""

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode()

    pairs = b"".join(text(part) for pair in meta.items() for part in pair)
    body = bytes.fromhex(osd_uuid.replace("-", "")) + bytes(16) + text("main") + struct.pack("<I", len(meta)) + pairs
    return f"bluestore block device\n{osd_uuid}\n".encode() + struct.pack("<BBI", 2, 1, len(body)) + body


class Host:
    """Ceph's tools on files below a directory, and its monitors. ``dies_at`` is where the run is killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.osds: dict[int, dict[str, t.Any]] = {}
        self.keys: dict[str, str] = {}
        self.dies_at = ""
        self.done: list[str] = []
        self.safe_after = 0
        self.stoppable = True

    def device(self, name: str = "disk") -> str:
        return str(self.root / "devices" / name)

    def output_of(self, arguments: Sequence[str], timeout_s: float, given: str | None = None) -> str:
        self.done.append(f"{arguments[0]} {arguments[1]}")
        if self.dies_at and self.dies_at in " ".join(arguments):
            raise KeyboardInterrupt
        options = dict(itertools.pairwise(arguments))
        if arguments[0] == "ceph-osd":
            directory = Path(options["--osd-data"])
            assert given and given not in arguments
            meta = {"ceph_fsid": FSID, "whoami": options["--id"], "osd_key": given, "ready": "ready"}
            with open(directory / "block", "r+b") as block:
                block.write(label_block(options["--osd-uuid"], meta))
            (directory / "ready").write_text("ready\n")
            (directory / "ceph_fsid").write_text(f"{FSID}\n")
        elif arguments[0] == "ceph-bluestore-tool":
            label = read_label(options["--dev"])
            assert label is not None
            for name, text in {"fsid": label.osd_uuid, "ceph_fsid": label.cluster, "ready": "ready"}.items():
                (Path(options["--path"]) / name).write_text(f"{text}\n")
        return ""

    def mon_command(
        self, cmd: str, inbuf: bytes, timeout: int = 0, target: str | None = None
    ) -> tuple[int, bytes, str]:
        command = json.loads(cmd)
        prefix = command["prefix"]
        self.done.append(prefix)
        if self.dies_at == prefix:
            raise KeyboardInterrupt
        code, answer, said = getattr(self, "do_" + prefix.replace(" ", "_").replace("-", "_"))(command, inbuf)
        if self.dies_at == f"after {prefix}":
            raise KeyboardInterrupt
        return code, json.dumps(answer).encode(), said

    def do_osd_new(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        key = json.loads(inbuf)["cephx_secret"]
        known = {osd["uuid"]: number for number, osd in self.osds.items()}
        if command["uuid"] in known:
            number = known[command["uuid"]]
            if self.keys[command["uuid"]] != key:
                return -errno.EEXIST, {}, f"entity osd.{number} exists but key does not match"
            return 0, {"osdid": number}, ""
        number = min(set(range(9)) - set(self.osds))
        self.osds[number] = {"osd": number, "uuid": command["uuid"], "up": 1, "in": 1}
        self.keys[command["uuid"]] = key
        return 0, {"osdid": number}, ""

    def do_osd_dump(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        return 0, {"osds": [*self.osds.values()]}, ""

    def do_osd_out(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        self.osds[int(command["ids"][0])]["in"] = 0
        return 0, {}, ""

    def do_osd_in(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        self.osds[int(command["ids"][0])]["in"] = 1
        return 0, {}, ""

    def do_osd_safe_to_destroy(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        self.safe_after -= 1
        ids = [int(number) for number in command["ids"]]
        safe = self.safe_after < 0
        # Ceph 18.2.7 gives no error code when JSON is asked for.
        return 0, {"safe_to_destroy": ids if safe else [], "active": [] if safe else ids}, ""

    def do_osd_ok_to_stop(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        return 0, {"ok_to_stop": self.stoppable, "num_not_ok_pgs": 0 if self.stoppable else 5}, ""

    def do_osd_purge_actual(self, command: dict[str, t.Any], inbuf: bytes) -> tuple[int, t.Any, str]:
        del self.osds[command["id"]]
        return 0, {}, ""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    root = tmp_path / "osd"
    root.mkdir()
    for module in (ceph_osd, _ceph_osd_making):
        monkeypatch.setattr(module, "OSD_ROOT", root)
    for module in (_ceph_osd_making, _ceph_osd_removal):
        monkeypatch.setattr(module, "output_of", made.output_of)
    monkeypatch.setattr(ceph_osd, "unit_plan", lambda numbers: NOTHING)
    monkeypatch.setattr(_ceph_osd_making, "unit_plan", lambda numbers: NOTHING)
    monkeypatch.setattr(_ceph_osd_making, "carry_out", lambda plan, names, ask, timeout_s: None)
    monkeypatch.setattr(_ceph_osd_removal, "POLL_S", 0.0)
    monkeypatch.setattr(shutil, "chown", lambda path, user, group: None)
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, host: Host) -> Run:
    plain = runner(monkeypatch, ceph_osd.main, host)
    return lambda check=False, **options: plain(check=check, fsid=FSID, **options)


def killed(run: Run, **options: t.Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(**options)


def test_an_osd_is_made_once(run: Run, host: Host) -> None:
    options = {"devices": [host.device()], "file_size": f"{6 * GIB}"}
    would = run(check=True, **options)
    assert would["changed"] and would["osds"] == [{"id": None, "uuid": None, "device": host.device()}]
    assert host.done == [] and not os.path.exists(host.device())
    made = run(**options)
    assert made["actions"] == would["actions"] == [f"create an OSD on {host.device()}"]
    assert made["osds"] == [{"id": 0, "uuid": host.osds[0]["uuid"], "device": host.device()}]
    again = run(**options)
    assert again["changed"] is False and again["osds"] == made["osds"]
    assert run(check=True, **options)["changed"] is False
    assert len(host.osds) == 1


def test_keys_show_nowhere(run: Run, host: Host) -> None:
    made = run(devices=[host.device()], file_size=f"{6 * GIB}")
    (key,) = host.keys.values()
    assert key not in json.dumps(made) and key not in " ".join(host.done)
    assert (host.root / "osd" / "ceph-0" / "keyring").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("moment", ["osd new", "after osd new", "--mkfs", "osd dump"])
def test_a_run_that_was_killed_is_finished_by_the_next_one(run: Run, host: Host, moment: str) -> None:
    options = {"devices": [host.device()], "file_size": f"{6 * GIB}"}
    host.dies_at = moment
    killed(run, **options)
    host.dies_at = ""
    uuids = [osd["uuid"] for osd in host.osds.values()]
    run(**options)
    assert list(host.osds) == [0]
    assert uuids in ([], [host.osds[0]["uuid"]])
    assert [path.name for path in (host.root / "osd").iterdir()] == ["ceph-0"]
    assert run(**options)["changed"] is False


def test_an_osd_whose_directory_is_lost_is_taken_back(run: Run, host: Host) -> None:
    made = run(devices=[host.device()], file_size=f"{6 * GIB}")
    shutil.rmtree(host.root / "osd" / "ceph-0")
    back = run(devices=[host.device()])
    assert back["actions"] == [f"take back the OSD on {host.device()}"]
    assert back["osds"] == made["osds"]
    assert run(devices=[host.device()])["changed"] is False


def test_an_osd_that_the_cluster_has_forgotten_is_not_taken_back(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    shutil.rmtree(host.root / "osd" / "ceph-0")
    host.osds.clear()
    assert "which the cluster does not know" in run(devices=[host.device()])["found"]


def test_a_device_that_has_another_name_now_keeps_its_osd(run: Run, host: Host) -> None:
    made = run(devices=[host.device()], file_size=f"{6 * GIB}")
    os.rename(host.device(), host.device("renamed"))
    back = run(devices=[host.device("renamed")])
    assert (back["osds"][0]["id"], back["osds"][0]["uuid"]) == (0, made["osds"][0]["uuid"])
    assert os.path.realpath(host.root / "osd" / "ceph-0" / "block") == host.device("renamed")


def test_a_new_disk_in_the_place_of_an_old_one_is_no_old_osd(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    os.unlink(host.device())
    failed = run(devices=[host.device()], file_size=f"{6 * GIB}")
    assert "osd.0" in failed["found"] and "ids: [0]" in failed["remedy"]


def test_an_osd_of_another_cluster_is_refused_unless_it_may_be_wiped(run: Run, host: Host) -> None:
    os.mkdir(host.root / "devices")
    meta = {"ceph_fsid": OTHER, "whoami": "4", "ready": "ready"}
    with open(host.device(), "wb") as disk:
        disk.write(label_block("d25fe886-e3c6-41a9-8568-2cc7ea550082", meta))
        disk.truncate(6 * GIB)
    failed = run(devices=[host.device()])
    assert failed["found"] == f"osd.4 of the cluster {OTHER}"
    assert host.done == []
    assert run(devices=[host.device()], force_used=True)["osds"][0]["id"] == 0


def test_a_host_of_another_cluster_is_refused(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    (host.root / "osd" / "ceph-0" / "ceph_fsid").write_text(OTHER)
    assert OTHER in run(devices=[host.device()])["found"]


def test_everything_that_is_wrong_is_told_at_once(run: Run, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_block_devices, "look", lambda wanted: (DEVICES, {}))
    os.mkdir(host.root / "devices")
    Path(host.device("used")).write_text("data")
    failed = run(devices=["/dev/nosuch0", host.device("used"), host.device("none"), host.device("none")])
    for words in ("no such device", "data in it", "no file and no size", "the same as"):
        assert words in failed["msg"]
    assert host.done == [] and host.osds == {}
    small = run(devices=[host.device("small")], file_size="1G")
    assert "file_size 1073741824" in small["found"]


def test_an_osd_is_removed_when_its_data_is_elsewhere(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    gone = {"state": "absent", "devices": [host.device()]}
    host.safe_after = 3
    assert run(check=True, **gone)["actions"] == ["remove osd.0"]
    assert 0 in host.osds
    removed = run(**gone)
    assert removed["osds"][0]["id"] == 0 and host.osds == {}
    order = [each for each in host.done if each in ("osd out", "systemctl disable", "osd purge-actual")]
    assert order == ["osd out", "systemctl disable", "osd purge-actual"]
    assert [*(host.root / "osd").iterdir()] == [] and not os.path.exists(host.device())
    assert run(**gone)["changed"] is False
    assert run(devices=[host.device()], file_size=f"{6 * GIB}")["osds"][0]["id"] == 0


def test_an_osd_that_is_needed_stays_in_use(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    host.safe_after = 10**9
    failed = run(state="absent", ids=[0], removal_timeout=0)
    assert "placement groups are on it" in failed["found"]
    assert host.osds[0]["in"] == 1 and "systemctl disable" not in host.done
    assert run(devices=[host.device()])["changed"] is False


def test_redundancy_may_be_given_up_but_not_data(run: Run, host: Host) -> None:
    run(devices=[host.device()], file_size=f"{6 * GIB}")
    host.stoppable = False
    gone = {"state": "absent", "ids": [0], "accept_reduced_redundancy": True}
    assert "5 placement groups that would stand still" in run(**gone)["found"]
    host.stoppable = True
    assert run(**gone)["changed"] and host.osds == {}


def test_the_osd_on_a_device_is_removed_and_not_the_one_that_had_its_name(run: Run, host: Host) -> None:
    run(devices=[host.device("one"), host.device("two")], file_size=f"{6 * GIB}")
    uuids = [host.osds[number]["uuid"] for number in (0, 1)]
    os.rename(host.device("one"), host.device("was one"))
    os.rename(host.device("two"), host.device("one"))
    os.rename(host.device("was one"), host.device("two"))
    removed = run(state="absent", devices=[host.device("one")])
    assert [each["uuid"] for each in removed["osds"]] == uuids[1:]
    assert [osd["uuid"] for osd in host.osds.values()] == uuids[:1]
    left = read_label(host.device("two"))
    assert left is not None and left.osd_uuid == uuids[0]
    assert not os.path.exists(host.device("one"))


def test_a_device_that_carries_another_osd_now_is_not_wiped(run: Run, host: Host) -> None:
    run(devices=[host.device("one"), host.device("two")], file_size=f"{6 * GIB}")
    with open(host.device("one"), "r+b") as one, open(host.device("two"), "rb") as two:
        one.write(two.read(4096))
    removed = run(state="absent", ids=[0])
    assert removed["osds"][0]["device"] is None
    assert os.path.exists(host.device("one")) and list(host.osds) == [1]
