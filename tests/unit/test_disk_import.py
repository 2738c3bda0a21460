# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a disk, for real: qemu-nbd reads it, a file gets it, and it is killed on the way."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy, _qemu_source
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE, Copied
from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Recorded
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import (
    Options,
    earlier_import,
    import_disk,
    is_gone,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination, FileTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import whole_file
from ansible_collections.lifeboat.cloud.plugins.module_utils._ova import open_package
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import (
    EXTENTS,
    MIB,
    OPTIONS,
    SIZE,
    make_image,
    make_raw,
    qemu_img,
)
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, write_ova

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_DEBIANS_LIBRARIES = "/usr/lib/python3/dist-packages"
# With the blocks that the extents touch: 0, 1, 7-9 and 15.
DATA_BLOCKS = 6


@pytest.fixture(scope="module", autouse=True)
def libnbd() -> t.Iterator[None]:
    """libnbd comes with the system and not from PyPI."""
    sys.path.append(_DEBIANS_LIBRARIES)
    try:
        _qemu_source.nbd = importlib.import_module("nbd")
    finally:
        sys.path.remove(_DEBIANS_LIBRARIES)
    yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("images")
    raw = make_raw(directory / "disk.raw")
    for name in OPTIONS:
        make_image(raw, name)
    return directory


def looked_at(path: Path) -> DiskImage:
    return inspect(whole_file(str(path)), None, "image")


def imported(image: DiskImage, path: Path, **options: t.Any) -> Copied:
    return import_disk(image, FileDestination(str(path)), Options(**options), "image")


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


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


def test_a_source_that_changed_while_its_copy_was_broken_off(images: Path, tmp_path: Path) -> None:
    """What is there of the earlier state is kept where it is right, and replaced where it is not, zeros included."""
    path, out = tmp_path / "in.raw", tmp_path / "out.raw"
    shutil.copyfile(images / "disk.raw", path)
    killed(looked_at(path), out, blocks=4)
    with path.open("r+b") as file:
        file.write(bytes(BLOCK_SIZE))
        file.seek(20 * MIB)
        file.write(b"new")
    copied = imported(looked_at(path), out)
    assert copied.resumed > 0
    assert out.read_bytes() == path.read_bytes()


def found_again(image: DiskImage, destination: FileDestination) -> dict[str, t.Any] | None:
    return earlier_import(image, destination, Options(), "image")


def _import_slowly(image: DiskImage, path: str) -> None:
    """In a process of its own: a copy that takes its time, so that it can be killed."""
    sys.path.append(_DEBIANS_LIBRARIES)
    _qemu_source.nbd = importlib.import_module("nbd")
    _block_copy._BATCH = 1
    flush = FileTarget.flush

    def slow(self: FileTarget) -> None:
        flush(self)
        time.sleep(0.2)

    FileTarget.flush = slow  # type: ignore[method-assign]
    import_disk(image, FileDestination(path), Options(), "image")


def killed(image: DiskImage, path: Path, blocks: int) -> None:
    """A copy that is killed when so many blocks are recorded."""
    journal = Path(FileDestination(str(path)).journal)
    process = multiprocessing.get_context("spawn").Process(target=_import_slowly, args=(image, str(path)))
    process.start()
    deadline = time.monotonic() + 30
    while not journal.exists() or journal.read_bytes().count(b"\n") <= blocks:
        assert time.monotonic() < deadline, "the copy did not get so far within 30 s"
        assert process.is_alive(), "the copy has ended by itself"
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)


def test_a_killed_copy_goes_on_where_it_was(images: Path, tmp_path: Path) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    killed(image, path, blocks=3)
    assert not path.exists()
    assert left_in(tmp_path) == [".out.raw.lifeboat-journal", ".out.raw.lifeboat-partial"]
    copied = imported(image, path)
    assert copied.resumed >= 3 * BLOCK_SIZE
    assert copied.resumed + copied.written == DATA_BLOCKS * BLOCK_SIZE
    assert path.read_bytes() == (images / "disk.raw").read_bytes()
    assert copied.source_digest == imported(image, tmp_path / "whole.raw").source_digest


def test_a_kill_leaves_no_process_behind(images: Path, tmp_path: Path) -> None:
    image = looked_at(images / "disk.qcow2")
    with _qemu_source.open_source(image, 10, "image"):
        assert len(readers_of(images / "disk.qcow2")) == 1
    killed(image, tmp_path / "out.raw", blocks=1)
    deadline = time.monotonic() + 5
    while (found := readers_of(images / "disk.qcow2")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == []


def readers_of(image: Path) -> list[int]:
    """The processes of qemu-nbd that have the image among their arguments, without those that have ended."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = line.read_bytes().split(b"\0")
            if arguments[0].endswith(b"qemu-nbd") and any(str(image).encode() in each for each in arguments):
                found.append(int(line.parent.name))
    return found


def test_a_block_that_has_changed_since_is_copied_again(images: Path, tmp_path: Path) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    killed(image, path, blocks=3)
    with (tmp_path / ".out.raw.lifeboat-partial").open("r+b") as file:
        file.write(b"tampered")
    copied = imported(image, path)
    assert copied.resumed + copied.written == DATA_BLOCKS * BLOCK_SIZE
    assert path.read_bytes() == (images / "disk.raw").read_bytes()


def test_an_unfinished_copy_of_another_source_is_not_gone_on_with(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.raw"
    killed(looked_at(images / "stream.vmdk"), path, blocks=2)
    other = make_raw(tmp_path / "other", seed=2)
    assert imported(looked_at(other), path).resumed == 0
    assert path.read_bytes() == other.read_bytes()


def test_without_resuming_it_begins_anew(images: Path, tmp_path: Path) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    killed(image, path, blocks=2)
    assert imported(image, path, resume=False).resumed == 0
    assert path.read_bytes() == (images / "disk.raw").read_bytes()


def test_a_line_that_was_torn_is_not_believed(images: Path, tmp_path: Path) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    killed(image, path, blocks=3)
    with (tmp_path / ".out.raw.lifeboat-journal").open("ab") as file:
        file.write(b'[15, "00')
    imported(image, path)
    assert path.read_bytes() == (images / "disk.raw").read_bytes()


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


def test_what_was_copied_already_needs_no_more_room(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    killed(image, path, blocks=3)
    found = os.statvfs(tmp_path)
    # As it is when the first three blocks were written: what is left of them is too little for all.
    pages = 4 * MIB // found.f_frsize
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((*found[:4], pages, *found[5:])))
    assert imported(image, path).resumed >= 3 * BLOCK_SIZE


def test_an_image_that_something_has_open_is_refused(images: Path, tmp_path: Path) -> None:
    image = looked_at(images / "disk.qcow2")
    writer = [
        "qemu-nbd",
        "--socket",
        str(tmp_path / "socket"),
        "--persistent",
        "-f",
        "qcow2",
        str(images / "disk.qcow2"),
    ]
    with subprocess.Popen(writer) as process:
        try:
            while not (tmp_path / "socket").exists():
                time.sleep(0.01)
            with pytest.raises(LifeboatError, match="Shut its guest down"):
                imported(image, tmp_path / "out.raw")
        finally:
            process.kill()
    assert not (tmp_path / "out.raw").exists()


def test_a_source_whose_reader_dies_is_a_clear_error_and_can_be_resumed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, path = looked_at(images / "stream.vmdk"), tmp_path / "out.raw"
    monkeypatch.setattr(_block_copy, "_BATCH", 1)
    read = _qemu_source.QemuSource.read

    def dying(self: _qemu_source.QemuSource, offset: int, length: int) -> bytes:
        if offset >= 32 * MIB:
            for pid in readers_of(images / "stream.vmdk"):
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.2)
        return read(self, offset, length)

    with monkeypatch.context() as patched:
        patched.setattr(_qemu_source.QemuSource, "read", dying)
        with pytest.raises(LifeboatError, match=r"on reading .* bytes from .* are kept as"):
            imported(image, path)
    assert imported(image, path).resumed >= 2 * BLOCK_SIZE
    assert path.read_bytes() == (images / "disk.raw").read_bytes()


@contextlib.contextmanager
def guest_of(path: Path, form: str) -> t.Iterator[str]:
    """A program that has the image open to write, as the QEMU of a guest has, and the address at which it is."""
    socket = path.with_suffix(".socket")
    with subprocess.Popen(["qemu-nbd", "--socket", socket, "--persistent", "-f", form, path]) as process:
        try:
            while not socket.exists():
                time.sleep(0.01)
            yield f"nbd+unix:///?socket={socket}"
        finally:
            process.terminate()


def guest_writes(address: str, *commands: str) -> None:
    arguments = [part for command in (*commands, "flush") for part in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "raw", *arguments, address], check=True, timeout=30, capture_output=True)


@pytest.mark.parametrize("name", ["disk.qcow2", "disk.raw"])
def test_a_machine_that_runs_is_copied_in_passes_and_finished_when_it_is_off(
    images: Path, tmp_path: Path, name: str
) -> None:
    path, out = tmp_path / name, tmp_path / "out.raw"
    shutil.copyfile(images / name, path)
    with guest_of(path, name.rpartition(".")[2]) as guest:
        first = imported(looked_at_running(path), out, is_running=True)
        assert (first.resumed, first.written, out.exists()) == (0, DATA_BLOCKS * BLOCK_SIZE, False)
        guest_writes(guest, f"write -P 7 {20 * MIB} 1M", f"write -z {28 * MIB} 4M", f"write -P 9 {60 * MIB} 4k")
        second = imported(looked_at_running(path), out, is_running=True)
        assert second.written == 3 * BLOCK_SIZE
        guest_writes(guest, f"write -P 8 {21 * MIB} 1M")
        with pytest.raises(LifeboatError, match="Shut its guest down"):
            imported(looked_at_running(path), out)
    last = imported(looked_at(path), out)
    assert (last.written, out.exists()) == (BLOCK_SIZE, True)
    qemu_img("convert", "-O", "raw", str(path), str(tmp_path / "expected.raw"))
    assert out.read_bytes() == (tmp_path / "expected.raw").read_bytes()
    assert left_in(tmp_path) == sorted([".out.raw.lifeboat-receipt", "expected.raw", name, "out.raw"])
    assert found_again(looked_at(path), FileDestination(str(out))) is not None
    with pytest.raises(LifeboatError, match="a copy that was finished"):
        earlier_import(looked_at(path), FileDestination(str(out)), Options(is_running=True), "image")


def test_a_pass_over_a_running_machine_that_was_killed(images: Path, tmp_path: Path) -> None:
    """What it wrote without recording it, where there are zeros now, is found all the same."""
    path, out = tmp_path / "in.raw", tmp_path / "out.raw"
    shutil.copyfile(images / "disk.raw", path)
    imported(looked_at(path), out, is_running=True)
    journal = tmp_path / ".out.raw.lifeboat-journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if not line.startswith(("[7,", '"ended"'))))
    with path.open("r+b") as file:
        file.seek(7 * BLOCK_SIZE)
        file.write(bytes(BLOCK_SIZE))
    imported(looked_at(path), out)
    assert out.read_bytes() == path.read_bytes()


def looked_at_running(path: Path) -> DiskImage:
    return inspect(whole_file(str(path)), None, "image", is_running=True)


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


class MemorySource:
    """A disk in memory whose extents are all that is not zero, cut at random."""

    def __init__(self, content: bytes, extents: list[tuple[int, int]]) -> None:
        self.size, self._content, self._extents = len(content), content, extents

    def extents(self) -> list[tuple[int, int]]:
        return self._extents

    def read(self, offset: int, length: int) -> bytes:
        assert any(start <= offset and offset + length <= start + size for start, size in self._extents)
        return self._content[offset : offset + length]


class MemoryTarget:
    def __init__(self, content: bytes, is_blank: bool) -> None:
        self.content, self.is_blank = bytearray(content), is_blank

    def write(self, offset: int, data: bytes) -> None:
        self.content[offset : offset + len(data)] = data

    def flush(self) -> None: ...

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])


class MemoryJournal:
    def __init__(self, recorded: Recorded | None) -> None:
        self.recorded = recorded

    def record(self, digests: Mapping[int, str]) -> None:
        self.recorded = Recorded({**(self.recorded.blocks if self.recorded else {}), **digests})


@pytest.mark.parametrize("seed", range(40))
def test_any_extents_and_any_journal(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, random extents, and a journal that lies about some blocks: the content is always right."""
    monkeypatch.setattr(_block_copy, "BLOCK_SIZE", 64)
    dice = random.Random(seed)
    size = dice.randrange(1, 2000)
    cuts = sorted(dice.sample(range(size + 1), min(size + 1, 2 * dice.randrange(1, 9))))
    extents = [(start, end - start) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    content = bytearray(size)
    for start, length in extents:
        content[start : start + length] = dice.choice([dice.randbytes(length), bytes(length)])
    is_blank = dice.choice([True, False])
    target = MemoryTarget(bytes(size) if is_blank else dice.randbytes(size), is_blank)
    journal = MemoryJournal(Recorded({dice.randrange(40): "00" * 32 for _number in range(5)}))
    source = MemorySource(bytes(content), extents)
    copied = _block_copy.Copy(source, target, journal, True, "copy").run()
    assert target.content == content
    assert copied.source_digest == copied.destination_digest
    again = _block_copy.Copy(source, target, journal, True, "copy").run()
    assert (again.written, again.source_digest) == (0, copied.source_digest)
    assert _block_copy.digest_of(source, "copy") == _block_copy.found_digest(target, size, "copy")


@pytest.mark.parametrize("seed", range(40))
def test_any_later_state_of_the_source(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that became data, zeros or others, after a pass that was whole or broke off: it is always right."""
    monkeypatch.setattr(_block_copy, "BLOCK_SIZE", 64)
    dice = random.Random(seed)
    blocks = [dice.choice([bytes(64), dice.randbytes(64)]) for _number in range(20)]
    target, journal = MemoryTarget(bytes(20 * 64), True), MemoryJournal(None)
    _block_copy.Copy(memory_source(blocks), target, journal, True, "copy").run()
    assert journal.recorded is not None
    is_complete = dice.choice([True, False])
    known = dict(journal.recorded.blocks)
    for number in dice.sample(sorted(known), 0 if is_complete else 3):
        del known[number]
    journal.recorded = Recorded(known, is_current=False, is_complete=is_complete)
    later = [dice.choice([bytes(64), dice.randbytes(64), block, block]) for block in blocks]
    copied = _block_copy.Copy(memory_source(later), target, journal, True, "copy").run()
    assert target.content == b"".join(later)
    differing = sum(old != new for old, new in zip(blocks, later, strict=True))
    assert differing * 64 <= copied.written <= (differing + (0 if is_complete else 3)) * 64


def memory_source(blocks: list[bytes]) -> MemorySource:
    extents = [(number * 64, 64) for number, block in enumerate(blocks) if any(block)]
    return MemorySource(b"".join(blocks), extents)


def test_the_receipt_tells_what_was_copied(images: Path, tmp_path: Path) -> None:
    imported(looked_at(images / "stream.vmdk"), tmp_path / "out.raw")
    receipt = json.loads((tmp_path / ".out.raw.lifeboat-receipt").read_text())
    assert receipt["source"]["files"][0][0] == str(images / "stream.vmdk")
    assert receipt["size"] == SIZE
