# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A raw file as the destination of a copy.

It is written under another name beside it, as a sparse file, and gets its own name when it is whole. A receipt beside
it tells of what it is a copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import read_receipt
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, t.Any]
# Whatever the file system's blocks are, stat counts in these (POSIX's st_blocks).
_STAT_BLOCK = 512


class FileDestination:
    """The file at ``path``."""

    to_replace = "remove it, if nobody needs it"

    def __init__(self, path: str) -> None:
        directory, name = os.path.split(os.path.abspath(path))
        self._path, self._directory = os.path.join(directory, name), directory
        self.partial = os.path.join(directory, f".{name}.lifeboat-partial")
        self.journal = os.path.join(directory, f".{name}.lifeboat-journal")
        self._receipt = os.path.join(directory, f".{name}.lifeboat-receipt")
        self.thing = f"file {self._path}"

    def exists(self) -> bool:
        """LifeboatError when something else than a file has the name."""
        if os.path.lexists(self._path) and (os.path.islink(self._path) or not os.path.isfile(self._path)):
            remedy = "Choose another name."
            raise LifeboatError(self.thing, "a link, a device or a directory", "a plain file, or nothing", remedy)
        return os.path.lexists(self._path)

    def receipt(self) -> Json | None:
        """Of what the file is a copy; None when nothing tells it."""
        return read_receipt(self._receipt)

    def is_own(self) -> bool:
        """Whether the file, or what is left of one, is a copy that nobody has touched since it was made."""
        receipt = self.receipt()
        return receipt is not None and (not os.path.lexists(self._path) or self.stamp() == receipt.get("stamp"))

    def remove(self) -> None:
        """Remove the file and then its receipt, without which it would count as somebody else's."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        os.unlink(self._receipt)

    def stamp(self) -> list[int]:
        """Size, time of change (ns) and inode of the file."""
        return _stamp(self._path)

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[FileTarget]:
        """The file, to be read."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield FileTarget(descriptor)
        finally:
            os.close(descriptor)

    def check_room(self, needed: int) -> None:
        """LifeboatError when the file system has less than ``needed`` bytes, or there is no such directory.

        What an unfinished copy has taken counts as free, since it is gone on with or makes room.
        """
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            said = error.strerror or str(error)
            raise LifeboatError(self.thing, said, "a directory for it", f"Make {self._directory}.") from error
        free = found.f_bavail * found.f_frsize + self._taken()
        if free < needed:
            remedy = "Free some, or choose another place."
            raise LifeboatError(self.thing, f"{free} bytes free", f"{needed}, the source's data", remedy)

    def _taken(self) -> int:
        """The bytes on its file system that the unfinished file has, which may have holes."""
        try:
            return os.lstat(self.partial).st_blocks * _STAT_BLOCK
        except OSError:
            return 0

    def has_partial(self, size: int) -> bool:
        return os.path.isfile(self.partial) and os.path.getsize(self.partial) == size

    @contextlib.contextmanager
    def open_partial(self, size: int) -> Iterator[FileTarget]:
        """The unfinished file, made when there is none, and on its disk when the block has ended."""
        descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            yield FileTarget(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def publish(self, receipt: Json) -> None:
        """Give the unfinished file its name. The receipt goes first: a file without one counts as somebody else's."""
        write_receipt(self._receipt, {**receipt, "stamp": _stamp(self.partial)})
        try:
            # Unlike a renaming this fails when somebody has made a file of the name meanwhile.
            os.link(self.partial, self._path)
        except OSError:
            os.unlink(self._receipt)
            raise
        os.unlink(self.partial)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard_partial(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.partial)


def write_receipt(path: str, receipt: Json) -> None:
    """Write it, and wait until it is on its disk."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(receipt, file)
        file.flush()
        os.fsync(file.fileno())


def _stamp(path: str) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns, found.st_ino]


class FileTarget:
    """An open file; holes of it read as zeros."""

    is_blank: bool = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def flush(self) -> None:
        os.fdatasync(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        # Pages that are on disk leave the cache, so that it is the disk that answers.
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return os.pread(self._descriptor, length, offset)
