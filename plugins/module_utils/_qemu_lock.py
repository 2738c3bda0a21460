# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The locks by which the programs of QEMU keep each other from an image, on a file or a block device.

One that uses an image has a shared lock on byte 100 + n for each permission n that it needs, and on 200 + n for each
that it leaves to nobody else (QEMU's block/file-posix.c). They are kept for as long as it has the image open.
"""

from __future__ import annotations

import fcntl
import os
import struct

# struct flock of 64-bit Linux.
_FLOCK = "hhqqi0q"
_FIRST, _BYTES = 100, 200
# BLK_PERM_WRITE is bit 1.
_WRITES = 101


def is_open(descriptor: int) -> bool:
    """Whether QEMU has it open in any way."""
    return _is_locked(descriptor, _FIRST, _BYTES)


def is_written(path: str) -> bool:
    """Whether QEMU has the file open to write. What QEMU says of a raw image itself does not tell it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _is_locked(descriptor, _WRITES, 1)
    finally:
        os.close(descriptor)


def hold(descriptor: int) -> None:
    """Keep QEMU from opening it until the descriptor is closed. BlockingIOError when it has it open."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _flock(_FIRST, _BYTES))


def _is_locked(descriptor: int, first: int, count: int) -> bool:
    said = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(first, count))
    kind: int = struct.unpack(_FLOCK, said)[0]
    return kind != fcntl.F_UNLCK


def _flock(first: int, count: int) -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first, count, 0)
