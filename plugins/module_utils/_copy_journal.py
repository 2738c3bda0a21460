# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The journal of a copy: which blocks have reached the destination, so that a broken copy goes on where it broke off.

A line is written after its block has been flushed and, where that is wanted, read back. It is a claim all the same:
whoever resumes reads the block again before trusting it. Each pass over a source that is not as it was at the pass
before begins with a line about the source, and one that came to its end with a running source ends with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._file_lock import open_alone

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import FileState

Json = dict[str, t.Any]
_ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is copied: the source's files, and the disk's size in bytes. ``is_running`` while its machine writes."""

    files: tuple[FileState, ...]
    size: int
    block_size: int
    is_running: bool = False

    def header(self) -> Json:
        files = [list(file) for file in self.files]
        return {"files": files, "size": self.size, "block_size": self.block_size, "is_running": self.is_running}

    @property
    def tells_changes(self) -> bool:
        """Whether equal headers mean an equal content."""
        return not self.is_running and not any(file.is_device for file in self.files)

    def is_same_disk(self, header: object) -> bool:
        """Whether a header is of the disk in these files, at whatever time."""
        match header:
            case {"files": [*files], "size": self.size, "block_size": self.block_size}:
                return [file[:1] for file in files] == [[file.path] for file in self.files]
        return False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal says: the SHA-256 of blocks at the destination, and how many bytes of the journal are whole.

    ``is_current`` when all of it was copied from the source as it is now, ``is_complete`` when nothing was written that
    is not recorded.
    """

    blocks: Mapping[int, str] = field(default_factory=dict)
    end: int = 0
    is_current: bool = True
    is_complete: bool = True


class Journal:
    """An open journal; ``recorded`` is None when it has nothing of this disk."""

    def __init__(self, file: t.IO[bytes], recorded: Recorded | None) -> None:
        self._file, self.recorded = file, recorded
        self.blocks = len(recorded.blocks) if recorded else 0

    def record(self, digests: Mapping[int, str]) -> None:
        """Note that these blocks are at the destination, and wait until the note is on its disk."""
        self._append(*([block, digest] for block, digest in digests.items()))
        self.blocks += len(digests)

    def restart(self, subject: Subject) -> None:
        """Forget everything, and begin with this subject."""
        self._file.seek(0)
        self._file.truncate()
        self.recorded, self.blocks = None, 0
        self._append(subject.header())

    def go_on(self, subject: Subject) -> None:
        """Begin another pass over the same disk, unless what is recorded is of the very same state of it."""
        if self.recorded is not None and not self.recorded.is_current:
            self._append(subject.header())

    def end(self) -> None:
        """Note that all of this pass is recorded."""
        self._append(_ENDED)

    def _append(self, *lines: t.Any) -> None:
        self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._file.flush()
        os.fdatasync(self._file.fileno())


@contextlib.contextmanager
def open_journal(path: str, subject: Subject, thing: str) -> Iterator[Journal]:
    """The journal at ``path`` for this process alone. One of another disk counts as empty and is not resumed."""
    with open_alone(path, thing, "copy") as file:
        recorded = read_journal(file.read(), subject)
        # What a dying process has written of a line goes, lest the next line is joined to it.
        end = recorded.end if recorded else 0
        file.seek(end)
        file.truncate()
        yield Journal(file, recorded)


def read_journal(content: bytes, subject: Subject) -> Recorded | None:
    """What is recorded of this disk; None when there is nothing."""
    header, *lines = content.splitlines(keepends=True) or [b""]
    if not subject.is_same_disk(_parsed(header)):
        return None
    is_current = subject.tells_changes and _parsed(header) == subject.header()
    blocks: dict[int, str] = {}
    end, is_complete = len(header), False
    for line in lines:
        match _parsed(line):
            case [int(block), str(digest)]:
                blocks[block] = digest
            case str():
                is_complete = True
            case {"files": [*_files]} as other if subject.is_same_disk(other):
                is_current = is_complete = False
            case _:
                break
        end += len(line)
    return Recorded(blocks, end, is_current, is_complete)


def read_receipt(path: str) -> Json | None:
    """The receipt that an earlier copy has left in the file; None without one that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found: Json = json.load(file)
            return found
    except (FileNotFoundError, ValueError):
        return None


def recorded_digest(path: str, number: int) -> str | None:
    """What the journal at ``path``, of whatever disk, says last of one block; None when it says nothing."""
    found = None
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        for line in file:
            match _parsed(line):
                case [int(block), str(digest)] if block == number:
                    found = digest
    return found


def _parsed(line: bytes) -> t.Any:
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None
