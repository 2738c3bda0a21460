# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Copying a disk block by block: each block is read once, hashed, written, flushed, read back, hashed and recorded.

Blocks of zeros are neither read where the source tells that they are, nor written.
"""

from __future__ import annotations

import hashlib
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Journal

BLOCK_SIZE = 4 * 2**20
"""Bytes of a block: an object of RBD, so that a block is one write there."""

# A flush costs some milliseconds on disks; what is lost by a kill is at most this many blocks.
_BATCH = 16


class Source(t.Protocol):
    """Where a disk is read. ``size`` is in bytes."""

    @property
    def size(self) -> int: ...

    def extents(self) -> Sequence[tuple[int, int]]:
        """Offset and length of what may have data, in order; the rest is zeros."""

    def read(self, offset: int, length: int) -> bytes:
        """The data there."""


class Target(t.Protocol):
    """Where a disk is written; what was never written reads as zeros."""

    def write(self, offset: int, data: bytes) -> None:
        """Write the data there."""

    def flush(self) -> None:
        """Wait until everything written is on stable storage."""

    def read(self, offset: int, length: int) -> bytes:
        """What the storage, and not a cache, has there."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did. Bytes; ``resumed`` of them were there from an earlier one, and found to be right.

    Both digests are SHA-256 over the SHA-256 of all blocks in their order, of the source's as they were read and of
    the destination's as they were read back (or, without that, as it acknowledged them).
    """

    size: int
    read: int
    written: int
    resumed: int
    source_digest: str
    destination_digest: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Block:
    """One block; ``data`` is None when it is zeros."""

    number: int
    digest: str
    data: bytes | None


class _Reader:
    """Reads a source's blocks; counts the bytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces = _by_block(source.extents())
        self.read = 0

    def block(self, number: int) -> _Block:
        length = block_length(number, self._source.size)
        pieces = self._pieces.get(number)
        if not pieces:
            return _Block(number, zeros_digest(length), None)
        data = self._data(number * BLOCK_SIZE, length, pieces)
        is_zero = data == bytes(length)
        return _Block(number, hashlib.sha256(data).hexdigest(), None if is_zero else data)

    def _data(self, start: int, length: int, pieces: Sequence[tuple[int, int]]) -> bytes:
        self.read += sum(size for _offset, size in pieces)
        if pieces == [(start, length)]:
            return self._source.read(start, length)
        data = bytearray(length)
        for offset, size in pieces:
            data[offset - start : offset - start + size] = self._source.read(offset, size)
        return bytes(data)


def _by_block(extents: Sequence[tuple[int, int]]) -> Mapping[int, list[tuple[int, int]]]:
    """The pieces of the extents that lie in each block."""
    found: dict[int, list[tuple[int, int]]] = {}
    for offset, length in extents:
        position, end = offset, offset + length
        while position < end:
            number = position // BLOCK_SIZE
            stop = min(end, (number + 1) * BLOCK_SIZE)
            found.setdefault(number, []).append((position, stop - position))
            position = stop
    return found


def block_count(size: int) -> int:
    return -(-size // BLOCK_SIZE)


def block_length(number: int, size: int) -> int:
    return min(BLOCK_SIZE, size - number * BLOCK_SIZE)


def zeros_digest(length: int) -> str:
    return _FULL_ZEROS if length == BLOCK_SIZE else hashlib.sha256(bytes(length)).hexdigest()


_FULL_ZEROS = hashlib.sha256(bytes(BLOCK_SIZE)).hexdigest()


class Copy:
    """One copy of ``source`` to ``target``; with ``read_back`` every block is read again from where it was written."""

    def __init__(self, source: Source, target: Target, journal: Journal, read_back: bool, thing: str) -> None:
        self._source, self._target, self._journal = source, target, journal
        self._read_back, self._thing = read_back, thing
        self._of_source: dict[int, str] = {}
        self._of_destination: dict[int, str] = {}
        self._written = 0

    def run(self) -> Copied:
        """Copy what is not there yet. LifeboatError for the first block that cannot be read, written or trusted."""
        began = time.monotonic()
        size, reader = self._source.size, _Reader(self._source)
        resumed = self._trusted()
        self._of_source |= resumed
        self._of_destination |= resumed
        missing = [number for number in range(block_count(size)) if number not in resumed]
        batch: list[_Block] = []
        for block in _read_ahead(reader, missing):
            self._of_source[block.number] = block.digest
            if block.data is None:
                self._of_destination[block.number] = block.digest
                continue
            self._target.write(block.number * BLOCK_SIZE, block.data)
            self._written += len(block.data)
            batch.append(block)
            if len(batch) == _BATCH:
                self._acknowledge(batch)
                batch = []
        self._acknowledge(batch)
        return Copied(
            size=size,
            read=reader.read,
            written=self._written,
            resumed=sum(block_length(number, size) for number in resumed),
            source_digest=_combined(self._of_source, size, self._thing),
            destination_digest=_combined(self._of_destination, size, self._thing),
            seconds=round(time.monotonic() - began, 3),
        )

    def _trusted(self) -> dict[int, str]:
        """The recorded blocks that the target really has."""
        last = block_count(self._source.size)
        recorded = {number: digest for number, digest in self._journal.recorded.items() if 0 <= number < last}
        return {number: digest for number, digest in recorded.items() if self._found(number) == digest}

    def _found(self, number: int) -> str:
        length = block_length(number, self._source.size)
        return hashlib.sha256(self._target.read(number * BLOCK_SIZE, length)).hexdigest()

    def _acknowledge(self, batch: Sequence[_Block]) -> None:
        """Flush, read back, compare and record."""
        if not batch:
            return
        self._target.flush()
        for block in batch:
            found = self._found(block.number) if self._read_back else block.digest
            if found != block.digest:
                says = f"block {block.number} (at byte {block.number * BLOCK_SIZE}) with SHA-256 {found}"
                remedy = "The destination does not keep what was written: see its storage's health and logs."
                raise LifeboatError(self._thing, says, f"{block.digest} as it was read from the source", remedy)
            self._of_destination[block.number] = found
        self._journal.record({block.number: block.digest for block in batch})


def _read_ahead(reader: _Reader, numbers: Sequence[int]) -> Iterator[_Block]:
    """The blocks in their order, the next one being read and hashed while one is used."""
    with ThreadPoolExecutor(1) as executor:
        ahead: Future[_Block] | None = None
        for number in numbers:
            now, ahead = ahead, executor.submit(reader.block, number)
            if now is not None:
                yield now.result()
        if ahead is not None:
            yield ahead.result()


def _combined(digests: Mapping[int, str], size: int, thing: str) -> str:
    whole = hashlib.sha256()
    for number in range(block_count(size)):
        if number not in digests:
            raise LifeboatError(thing, f"no block {number}", "every block", "Report this: the copy lost count.")
        whole.update(bytes.fromhex(digests[number]))
    return whole.hexdigest()
