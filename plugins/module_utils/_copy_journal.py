# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The journal of a copy: which blocks have reached the destination, so that a broken copy goes on where it broke off.

A line is written after its block has been flushed and, where that is wanted, read back. It is a claim all the same:
whoever resumes reads the block again before trusting it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Subject:
    """What is copied: path, size and time of change (ns) of the source's files, and the disk's size in bytes."""

    files: tuple[tuple[str, int, int], ...]
    size: int
    block_size: int

    def header(self) -> dict[str, t.Any]:
        return {"files": [list(file) for file in self.files], "size": self.size, "block_size": self.block_size}


class Journal:
    """An open journal; ``recorded`` has the SHA-256 of each block of an earlier copy of the same subject."""

    def __init__(self, file: t.IO[bytes], recorded: Mapping[int, str], is_resumed: bool) -> None:
        self._file, self.recorded, self.is_resumed = file, recorded, is_resumed

    def record(self, digests: Mapping[int, str]) -> None:
        """Note that these blocks are at the destination, and wait until the note is on its disk."""
        self._append(*([block, digest] for block, digest in digests.items()))

    def restart(self, subject: Subject) -> None:
        """Forget everything, and begin with this subject."""
        self._file.seek(0)
        self._file.truncate()
        self._append(subject.header())

    def _append(self, *lines: t.Any) -> None:
        self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._file.flush()
        os.fdatasync(self._file.fileno())


@contextlib.contextmanager
def open_journal(path: str, subject: Subject, thing: str) -> Iterator[Journal]:
    """The journal at ``path`` for this process alone. One of another subject counts as empty and is not resumed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        found = f"{error.strerror or error} for the journal {path}"
        raise LifeboatError(thing, found, "a place to write to", "Correct the directory's permissions.") from error
    with open(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait until it has ended."
            raise LifeboatError(thing, "a copy under way", "no other copy to the same place", remedy) from error
        if not os.fstat(file.fileno()).st_nlink:
            raise LifeboatError(thing, "another copy that has just ended", "the only copy", "Run this again.")
        recorded, end = read_journal(file.read(), subject)
        # What a dying process has written of a line goes, lest the next line is joined to it.
        file.seek(end)
        file.truncate()
        yield Journal(file, recorded or {}, recorded is not None)


def read_journal(content: bytes, subject: Subject) -> tuple[dict[int, str] | None, int]:
    """The blocks recorded for this subject, None when there is none, and how many bytes of it are whole."""
    header, *lines = content.splitlines(keepends=True) or [b""]
    if _parsed(header) != subject.header():
        return None, 0
    recorded: dict[int, str] = {}
    end = len(header)
    for line in lines:
        match _parsed(line):
            case [int(block), str(digest)]:
                recorded[block] = digest
            case _:
                break
        end += len(line)
    return recorded, end


def _parsed(line: bytes) -> t.Any:
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None
