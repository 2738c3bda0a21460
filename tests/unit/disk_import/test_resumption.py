# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a disk that is killed, broken off or made in passes, and goes on where it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy, _qemu_source
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import Options, earlier_import
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import whole_file
from ansible_collections.lifeboat.cloud.tests.unit.disk_copies import (
    DATA_BLOCKS,
    found_again,
    guest_of,
    imported,
    killed,
    left_in,
    looked_at,
    readers_of,
)
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import MIB, make_raw, qemu_img

pytestmark = pytest.mark.usefixtures("libnbd")


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


def guest_writes(address: str, *commands: str) -> None:
    arguments = [part for command in (*commands, "flush") for part in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "raw", *arguments, address], check=True, timeout=30, capture_output=True)


@pytest.mark.parametrize("name", ["disk.qcow2", "disk.raw"])
def test_a_machine_that_runs_is_copied_in_passes_and_finished_when_it_is_off(
    images: Path, tmp_path: Path, name: str
) -> None:
    path, out = tmp_path / name, tmp_path / "out.raw"
    shutil.copyfile(images / name, path)
    with guest_of(path, name.rpartition(".")[2], tmp_path / "socket") as guest:
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
