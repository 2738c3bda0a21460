# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a disk, for real: qemu-nbd reads it, and a file gets it."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import Options, import_disk, is_gone
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination, FileTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._ova import open_package
from ansible_collections.lifeboat.cloud.plugins.modules import disk_import
from ansible_collections.lifeboat.cloud.tests.unit.disk_copies import (
    DATA_BLOCKS,
    found_again,
    guest_of,
    imported,
    left_in,
    looked_at,
)
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import EXTENTS, MIB, OPTIONS, SIZE, make_image, make_raw
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, write_ova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

pytestmark = pytest.mark.usefixtures("libnbd")


@pytest.mark.parametrize("name", [*OPTIONS, "disk.raw"])
def test_every_format_arrives_bit_by_bit(images: Path, tmp_path: Path, name: str) -> None:
    before = (images / name).stat()
    copied = imported(looked_at(images / name), tmp_path / "out.raw")
    assert (tmp_path / "out.raw").read_bytes() == (images / "disk.raw").read_bytes()
    assert copied.source_digest == copied.destination_digest
    assert copied.size == SIZE
    assert left_in(tmp_path) == [".out.raw.lifeboat-receipt", "out.raw"]
    after = (images / name).stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)


def test_holes_are_neither_read_nor_written(images: Path, tmp_path: Path) -> None:
    copied = imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw")
    assert copied.read == sum(length for _offset, length in EXTENTS)
    assert copied.written == DATA_BLOCKS * BLOCK_SIZE
    assert (tmp_path / "out.raw").stat().st_blocks * 512 <= DATA_BLOCKS * BLOCK_SIZE + MIB


def test_the_digest_is_of_the_content_and_not_of_the_format(images: Path, tmp_path: Path) -> None:
    digests = {
        imported(looked_at(images / name), tmp_path / f"{name}.raw").source_digest
        for name in ("disk.raw", "disk.qcow2")
    }
    assert len(digests) == 1
    other = make_raw(tmp_path / "other", seed=2)
    assert imported(looked_at(other), tmp_path / "other.raw").source_digest not in digests


def test_disks_of_an_archive_are_read_in_place(images: Path, tmp_path: Path) -> None:
    second = make_image(make_raw(tmp_path / "second.raw", seed=2), "sparse.vmdk")
    disks = [SampleDisk("a.vmdk", (images / "stream.vmdk").read_bytes()), SampleDisk("b.vmdk", second.read_bytes())]
    located = open_package(str(write_ova(tmp_path / "vm.ova", disks)))
    for disk, raw in zip(disks, (images / "disk.raw", tmp_path / "second.raw"), strict=True):
        image = inspect(located.parts[disk.file], "vmdk", "image")
        imported(image, tmp_path / f"{disk.file}.out")
        assert (tmp_path / f"{disk.file}.out").read_bytes() == raw.read_bytes()


def test_what_is_there_already_is_found_again(images: Path, tmp_path: Path) -> None:
    image, destination = looked_at(images / "disk.qcow2"), FileDestination(str(tmp_path / "out.raw"))
    assert found_again(image, destination) is None
    copied = import_disk(image, destination, Options(), "image")
    receipt = found_again(image, destination)
    assert receipt is not None
    assert receipt["source_digest"] == copied.source_digest
    with pytest.raises(LifeboatError, match="a copy of another disk"):
        found_again(looked_at(images / "stream.vmdk"), destination)
    (tmp_path / "mine").write_bytes(b"data")
    with pytest.raises(LifeboatError, match="found something else"):
        found_again(image, FileDestination(str(tmp_path / "mine")))


def test_what_is_there_goes_when_it_is_a_copy_and_as_it_was_left(images: Path, tmp_path: Path) -> None:
    place = tmp_path / "copies"
    place.mkdir()
    copy, gone = place / "out.raw", {"dest": str(place / "out.raw"), "state": "absent"}
    assert run_module(disk_import.main, **gone)["changed"] is False
    imported(looked_at(images / "disk.qcow2"), copy)
    planned = run_module(disk_import.main, check=True, **gone)
    assert copy.exists() and planned["actions"] == [f"remove file {copy}"]
    done = run_module(disk_import.main, **gone)
    assert (done["changed"], done["actions"], left_in(place)) == (True, planned["actions"], [])
    assert run_module(disk_import.main, **gone)["changed"] is False
    copy.write_bytes(b"mine")
    assert run_module(disk_import.main, **gone)["changed"] is False and copy.read_bytes() == b"mine"


def test_one_that_somebody_has_changed_stays(images: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out.raw"
    imported(looked_at(images / "disk.qcow2"), copy)
    copy.write_bytes(b"mine")
    assert run_module(disk_import.main, dest=str(copy), state="absent")["changed"] is False
    assert copy.read_bytes() == b"mine"


def test_the_source_is_not_the_place_of_its_copy(tmp_path: Path) -> None:
    source, link = make_raw(tmp_path / "disk.raw"), tmp_path / "link.raw"
    link.symlink_to(source)
    for dest in (source, link):
        said = run_module(disk_import.main, src=str(source), dest=str(dest))["msg"]
        assert "found the source itself; expected another place. Choose another place." in said


def test_a_file_that_somebody_made_meanwhile_is_not_taken_for_the_copy(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, destination = looked_at(images / "disk.qcow2"), FileDestination(str(tmp_path / "out.raw"))
    publish = FileDestination.publish

    def late(self: FileDestination, receipt: dict[str, t.Any]) -> None:
        (tmp_path / "out.raw").write_bytes(b"mine")
        publish(self, receipt)

    monkeypatch.setattr(FileDestination, "publish", late)
    with pytest.raises(LifeboatError, match="File exists"):
        import_disk(image, destination, Options(), "image")
    assert (tmp_path / "out.raw").read_bytes() == b"mine"
    with pytest.raises(LifeboatError, match="found something else"):
        found_again(image, destination)


def copy_of_raw(images: Path, tmp_path: Path) -> tuple[Path, FileDestination, DiskImage]:
    """A source of its own, and its copy."""
    path, destination = tmp_path / "in.raw", FileDestination(str(tmp_path / "out.raw"))
    shutil.copyfile(images / "disk.raw", path)
    import_disk(looked_at(path), destination, Options(), "image")
    return path, destination, looked_at(path)


def change(path: Path, offset: int, keep_times: bool) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"changed")
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_copy_that_was_touched_but_not_changed_is_still_the_copy(images: Path, tmp_path: Path) -> None:
    _path, destination, image = copy_of_raw(images, tmp_path)
    os.utime(tmp_path / "out.raw")
    assert found_again(image, destination) is not None


@pytest.mark.parametrize(("offset", "keep_times"), [(20 * MIB, False), (6 * MIB, True), (SIZE, False)])
def test_a_copy_that_was_changed_since_is_refused_and_left_alone(
    images: Path, tmp_path: Path, offset: int, keep_times: bool
) -> None:
    _path, destination, image = copy_of_raw(images, tmp_path)
    change(tmp_path / "out.raw", offset, keep_times)
    changed = (tmp_path / "out.raw").read_bytes()
    with pytest.raises(LifeboatError, match="a copy of this disk that was changed since"):
        found_again(image, destination)
    assert (tmp_path / "out.raw").read_bytes() == changed


def test_a_copy_that_was_removed_is_made_again(images: Path, tmp_path: Path) -> None:
    path, destination, image = copy_of_raw(images, tmp_path)
    (tmp_path / "out.raw").unlink()
    assert (found_again(image, destination), is_gone(destination)) == (None, True)
    imported(image, tmp_path / "out.raw")
    assert not is_gone(destination)
    assert (tmp_path / "out.raw").read_bytes() == path.read_bytes()


def test_another_disk_with_the_name_size_and_time_of_the_source(images: Path, tmp_path: Path) -> None:
    path, destination, image = copy_of_raw(images, tmp_path)
    before = path.stat()
    shutil.copyfile(path, tmp_path / "same")
    change(tmp_path / "same", 20 * MIB, keep_times=False)
    for content, is_same in ((tmp_path / "same", False), (images / "disk.raw", True)):
        shutil.copyfile(content, tmp_path / "new")
        os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "new").rename(path)
        if is_same:
            assert found_again(image, destination) is not None
        else:
            with pytest.raises(LifeboatError, match="a source of the same name with the digest"):
                found_again(image, destination)


def test_a_destination_that_does_not_keep_what_was_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FileTarget.write

    def lie(self: FileTarget, offset: int, data: bytes) -> None:
        write(self, offset, data if offset < 28 * MIB else data[:-1] + b"!")

    monkeypatch.setattr(FileTarget, "write", lie)
    monkeypatch.setattr(_block_copy, "_BATCH", 1)
    image = looked_at(images / "stream.vmdk")
    with pytest.raises(LifeboatError, match=r"block 7 .*2 blocks of 4194304 bytes are kept as .*partial"):
        imported(image, tmp_path / "out.raw")
    assert not (tmp_path / "out.raw").exists()
    with pytest.raises(LifeboatError, match="does not keep what was written"):
        imported(image, tmp_path / "out.raw", resume=False)
    assert left_in(tmp_path) == []


def test_a_full_disk_leaves_nothing_that_is_of_no_use(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileTarget, "write", full)
    with pytest.raises(LifeboatError, match="No space left on device"):
        imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw")
    assert left_in(tmp_path) == []


def test_too_little_room_is_told_before_the_first_block(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((*found[:4], 1, *found[5:])))
    with pytest.raises(LifeboatError, match="bytes free; expected"):
        imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw")
    assert left_in(tmp_path) == []


def test_an_image_that_something_has_open_is_refused(images: Path, tmp_path: Path) -> None:
    image = looked_at(images / "disk.qcow2")
    with (
        guest_of(images / "disk.qcow2", "qcow2", tmp_path / "socket"),
        pytest.raises(LifeboatError, match="Shut its guest down"),
    ):
        imported(image, tmp_path / "out.raw")
    assert not (tmp_path / "out.raw").exists()


def test_two_copies_to_one_place(images: Path, tmp_path: Path) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    destination = FileDestination(str(path))
    with Path(destination.journal).open("wb") as file:
        importlib.import_module("fcntl").flock(file, 2)
        with pytest.raises(LifeboatError, match="a copy under way"):
            import_disk(image, destination, Options(), "image")


def test_a_read_that_takes_too_long(images: Path, tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match=r"no answer about .* within 1e-06 s"):
        imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw", timeout_s=1e-6)
    assert left_in(tmp_path) == []


def test_the_receipt_tells_what_was_copied(images: Path, tmp_path: Path) -> None:
    imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw")
    receipt = json.loads((tmp_path / ".out.raw.lifeboat-receipt").read_text())
    assert receipt["source"]["files"][0][0] == str(images / "stream.vmdk")
    assert receipt["size"] == SIZE
