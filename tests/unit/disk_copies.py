# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are copied for real: by qemu-nbd, into a file, also in a process that is killed on the way."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy, _qemu_source
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import Copied
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import Options, earlier_import, import_disk
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination, FileTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import whole_file

_DEBIANS_LIBRARIES = "/usr/lib/python3/dist-packages"


# With the blocks that the extents touch: 0, 1, 7-9 and 15.
DATA_BLOCKS = 6


def load_libnbd() -> None:
    """It comes with the system and not from PyPI."""
    sys.path.append(_DEBIANS_LIBRARIES)
    try:
        _qemu_source.nbd = importlib.import_module("nbd")
    finally:
        sys.path.remove(_DEBIANS_LIBRARIES)


def looked_at(path: Path) -> DiskImage:
    return inspect(whole_file(str(path)), None, "image")


def imported(image: DiskImage, path: Path, **options: t.Any) -> Copied:
    return import_disk(image, FileDestination(str(path)), Options(**options), "image")


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def found_again(image: DiskImage, destination: FileDestination) -> dict[str, t.Any] | None:
    return earlier_import(image, destination, Options(), "image")


def _import_slowly(image: DiskImage, path: str) -> None:
    """In a process of its own: a copy that takes its time, so that it can be killed."""
    load_libnbd()
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


def readers_of(image: Path) -> list[int]:
    """The processes of qemu-nbd that have the image among their arguments, without those that have ended."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = line.read_bytes().split(b"\0")
            if arguments[0].endswith(b"qemu-nbd") and any(str(image).encode() in each for each in arguments):
                found.append(int(line.parent.name))
    return found


@contextlib.contextmanager
def guest_of(path: Path | str, form: str, socket: Path) -> t.Iterator[str]:
    """A program that has the image open to write, as the QEMU of a guest has, and the address at which it is."""
    with subprocess.Popen(["qemu-nbd", "--socket", socket, "--persistent", "-f", form, path]) as process:
        try:
            deadline = time.monotonic() + 30
            while not socket.exists():
                assert time.monotonic() < deadline, "qemu-nbd has no socket after 30 s"
                assert process.poll() is None, "qemu-nbd has ended by itself"
                time.sleep(0.01)
            yield f"nbd+unix:///?socket={socket}"
        finally:
            process.terminate()
