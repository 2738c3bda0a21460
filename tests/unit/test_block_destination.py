# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk copied to a block device: a loop device, where the machine allows one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_destination import (
    BlockDestination,
    BlockTarget,
    uses_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import parse_lsblk
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import Options, earlier_import, import_disk
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import whole_file
from ansible_collections.lifeboat.cloud.plugins.modules import disk_import
from ansible_collections.lifeboat.cloud.tests.unit.disk_copies import guest_of
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import MIB, SIZE, make_image, make_raw
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

pytestmark = pytest.mark.usefixtures("libnbd")
_SPARE = 8 * MIB


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk with a partition table, and the same as VMDK beside it."""
    path = make_raw(tmp_path_factory.mktemp("source") / "disk.raw")
    with path.open("r+b") as file:
        file.seek(446)
        file.write(bytes.fromhex("80 000000 83 000000 00080000 00100000") + bytes(48) + b"\x55\xaa")
    make_image(path, "stream.vmdk")
    return path


@pytest.fixture
def device(tmp_path: Path) -> t.Iterator[str]:
    """A loop device that is larger than the disk, and has random data everywhere but at its beginning."""
    backing = tmp_path / "backing"
    backing.write_bytes(bytes(MIB) + random.Random(7).randbytes(SIZE + _SPARE - MIB))
    if os.geteuid():
        pytest.skip("loop devices need root")
    made = subprocess.run(["losetup", "--find", "--show", backing], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    path = made.stdout.strip()
    try:
        yield path
    finally:
        subprocess.run(["losetup", "--detach", path], check=True, timeout=30)


def destination(device: str, tmp_path: Path, size: int = SIZE) -> BlockDestination:
    return BlockDestination(device, str(tmp_path / "journals"), size)


def image_of(path: Path) -> DiskImage:
    return inspect(whole_file(str(path)), None, "image")


def content(device: str) -> bytes:
    with open(device, "rb") as file:
        return file.read()


def test_a_device_gets_the_disk_with_its_zeros_and_keeps_what_is_behind(
    source: Path, device: str, tmp_path: Path
) -> None:
    behind = content(device)[SIZE:]
    arguments = {
        "src": str(source.with_name("stream.vmdk")),
        "dest": device,
        "journal_dir": str(tmp_path / "journals"),
    }
    planned = run_module(disk_import.main, check=True, **arguments)
    assert not (tmp_path / "journals").exists()
    done = run_module(disk_import.main, **arguments)
    assert (planned["changed"], planned["actions"]) == (True, done["actions"])
    assert content(device) == source.read_bytes() + behind
    assert done["copy"]["source_digest"] == done["copy"]["destination_digest"]
    again = run_module(disk_import.main, **arguments)
    assert (again["changed"], again["copy"]) == (False, done["copy"])
    with open(device, "r+b") as file:
        file.seek(20 * MIB)
        file.write(b"guest")
    changed = run_module(disk_import.main, **arguments)
    assert "changed since" in changed["msg"] and "lifeboat-receipt" in changed["msg"]
    other = run_module(disk_import.main, **arguments | {"src": str(source)})
    assert "a copy of another disk" in other["msg"]


def test_zeros_that_are_there_are_not_written(source: Path, device: str, tmp_path: Path) -> None:
    with open(device, "r+b") as file:
        file.write(bytes(SIZE))
    copied = import_disk(image_of(source), destination(device, tmp_path), Options(), "disk")
    assert copied.written == 6 * BLOCK_SIZE


def test_a_broken_copy_shows_no_partitions_and_goes_on(
    source: Path, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, place = image_of(source), destination(device, tmp_path)
    write = BlockTarget.write

    def fail(self: BlockTarget, offset: int, data: bytes) -> None:
        if offset == 0 and any(data):
            raise OSError(5, "Input/output error")
        write(self, offset, data)

    with monkeypatch.context() as patched:
        patched.setattr(BlockTarget, "write", fail)
        patched.setattr(_block_copy, "_BATCH", 1)
        with pytest.raises(LifeboatError, match=r"Input/output error.*15 blocks of .* are kept as /dev/loop"):
            import_disk(image, place, Options(), "disk")
    assert content(device)[:BLOCK_SIZE] == bytes(BLOCK_SIZE)
    assert earlier_import(image, place, Options(), "disk") is None
    copied = import_disk(image, place, Options(), "disk")
    assert (copied.resumed, copied.written) == (15 * BLOCK_SIZE, BLOCK_SIZE)
    assert content(device)[:SIZE] == source.read_bytes()


def test_a_finished_copy_without_its_receipt_is_somebody_elses_unless_the_journal_tells(
    source: Path, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, place = image_of(source), destination(device, tmp_path)

    def killed(_self: BlockDestination, _receipt: dict[str, t.Any]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(BlockDestination, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            import_disk(image, place, Options(), "disk")
    assert earlier_import(image, place, Options(), "disk") is None
    journal = Path(place.journal)
    journal.rename(tmp_path / "elsewhere")
    with pytest.raises(LifeboatError, match=r"with dos.*wipefs"):
        earlier_import(image, place, Options(), "disk")
    (tmp_path / "elsewhere").rename(journal)
    assert import_disk(image, place, Options(), "disk").written == 0
    assert not journal.exists()


def test_a_copy_that_is_not_to_be_resumed_leaves_no_first_block(
    source: Path, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: BlockTarget) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(BlockTarget, "flush", fail)
    with pytest.raises(LifeboatError, match="Input/output error"):
        import_disk(image_of(source), destination(device, tmp_path), Options(resume=False), "disk")
    assert content(device)[:BLOCK_SIZE] == bytes(BLOCK_SIZE)
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_device_that_qemu_has_open_is_refused(source: Path, device: str, tmp_path: Path) -> None:
    with guest_of(device, "raw", tmp_path / "socket"):
        with pytest.raises(LifeboatError, match="open in the kernel or a program"):
            destination(device, tmp_path).exists()
        with pytest.raises(LifeboatError, match="a program that has it open"):
            import_disk(image_of(source), destination(device, tmp_path), Options(), "disk")


def test_a_device_that_something_else_holds_or_that_is_the_source(source: Path, device: str, tmp_path: Path) -> None:
    descriptor = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(LifeboatError, match="open in the kernel or a program"):
            destination(device, tmp_path).exists()
    finally:
        os.close(descriptor)
    with pytest.raises(LifeboatError, match=f"{SIZE + _SPARE} bytes; expected an unused device of"):
        destination(device, tmp_path, SIZE + _SPARE + 1).exists()
    assert "the source itself" in run_module(disk_import.main, src=device, dest=device)["msg"]


def listed(**device: t.Any) -> str:
    node = {"path": "/dev/sdb", "type": "disk", "size": SIZE, "fstype": None, "pttype": None, "ro": False}
    rest = {"mountpoints": [None], "vendor": None, "model": None}
    return json.dumps({"blockdevices": [node | rest | device]})


@pytest.mark.parametrize(
    ("device", "signatures", "expected"),
    [
        ({}, [], []),
        ({"mountpoints": ["/srv"]}, [], ["mounted at /srv"]),
        ({"ro": True}, [], ["a read-only device"]),
        ({"size": SIZE - 1}, [], [f"{SIZE - 1} bytes"]),
        ({}, ["ceph_bluestore"], ["with ceph_bluestore"]),
        (
            {"children": [json.loads(listed(path="/dev/sdb1", mountpoints=["/"]))["blockdevices"][0]]},
            ["gpt"],
            ["mounted at /", "with gpt", "with /dev/sdb1 on it"],
        ),
        ({"path": "/dev/sdc"}, [], ["nothing that lsblk knows"]),
    ],
)
def test_what_speaks_against_a_device(device: dict[str, t.Any], signatures: list[str], expected: list[str]) -> None:
    assert list(uses_of("/dev/sdb", parse_lsblk(listed(**device)), signatures, SIZE)) == expected
