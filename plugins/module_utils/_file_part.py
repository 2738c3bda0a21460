# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A file, or a piece of an archive that is one."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class FilePart:
    """``size`` bytes from ``offset`` on of the file or the block device at ``path``."""

    path: str
    offset: int
    size: int
    is_device: bool = False

    def read(self, position: int, most: int) -> bytes:
        """Up to ``most`` bytes from ``position`` on, which may be behind the end."""
        with open(self.path, "rb") as file:
            file.seek(self.offset + position)
            return file.read(max(0, min(most, self.size - position)))

    def digest(self, algorithm: str) -> str:
        """Its hash in hexadecimal, read piece by piece."""
        digest, left = hashlib.new(algorithm), self.size
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            while left and (piece := file.read(min(_CHUNK, left))):
                digest.update(piece)
                left -= len(piece)
        return digest.hexdigest()


def whole_file(path: str) -> FilePart:
    """A file or a block device as a whole, behind links. LifeboatError for anything else."""
    thing, real = f"disk image {path}", os.path.realpath(path)
    try:
        found = os.stat(real)
        with open(real, "rb") as file:
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        said = error.strerror or str(error)
        raise LifeboatError(thing, said, "a readable file", "Correct the path, or its permissions.") from error
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISBLK(found.st_mode):
        raise LifeboatError(thing, "neither a file nor a block device", "one of them", "Correct the path.")
    return FilePart(real, 0, size, stat.S_ISBLK(found.st_mode))
