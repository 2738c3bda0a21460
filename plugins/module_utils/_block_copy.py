# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Copying a disk block by block: each block is read once, hashed, written, flushed, read back, hashed and recorded.

Blocks of zeros are neither read where the source tells that they are, nor written.
"""

from __future__ import annotations

import functools
import hashlib
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Recorded

BLOCK_SIZE = 4 * 2**20
"""Bytes of a block: an object of RBD, so that a block is one write there."""

# A flush costs some milliseconds on disks; what is lost by a kill is at most this many blocks.
_BATCH = 16
_SAMPLES = 16


class Source(t.Protocol):
    """Where a disk is read. ``size`` is in bytes."""

    @property
    def size(self) -> int: ...

    def extents(self) -> Sequence[tuple[int, int]]:
        """Offset and length of what may have data, in order; the rest is zeros."""

    def read(self, offset: int, length: int) -> bytes:
        """The data there."""


class Readable(t.Protocol):
    """What can be read at an offset."""

    def read(self, offset: int, length: int) -> bytes:
        """The data there, of the storage and not of a cache."""


class Target(Readable, t.Protocol):
    """Where a disk is written; ``is_blank`` when what was never written reads as zeros."""

    @property
    def is_blank(self) -> bool: ...

    def write(self, offset: int, data: bytes) -> None:
        """Write the data there."""

    def flush(self) -> None:
        """Wait until everything written is on stable storage."""


class Notes(t.Protocol):
    """A journal: what is recorded of an earlier copy, None without one."""

    @property
    def recorded(self) -> Recorded | None: ...

    def record(self, digests: Mapping[int, str]) -> None:
        """Note that these blocks are at the destination."""


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


@functools.cache
def zeros_digest(length: int) -> str:
    return hashlib.sha256(bytes(length)).hexdigest()


def digest_of(source: Source, thing: str) -> str:
    """As Copied.source_digest, of a source that is only read."""
    reader = _Reader(source)
    blocks = _read_ahead(reader, range(block_count(source.size)))
    return _combined({block.number: block.digest for block in blocks}, source.size, thing)


def found_digest(readable: Readable, size: int, thing: str) -> str:
    """As Copied.destination_digest, of the first ``size`` bytes of what is there now."""
    return _combined({number: block_digest(readable, number, size) for number in range(block_count(size))}, size, thing)


def block_digest(readable: Readable, number: int, size: int) -> str:
    """The SHA-256 of one block of a disk of ``size`` bytes."""
    return hashlib.sha256(readable.read(number * BLOCK_SIZE, block_length(number, size))).hexdigest()


class Copy:
    """One copy of ``source`` to ``target``; with ``read_back`` every block is read again from where it was written.

    Blocks recorded of the same state of the source are not read from it again. Of another state, or of one that cannot
    be told, all are read, and those written that differ.
    """

    def __init__(self, source: Source, target: Target, journal: Notes, read_back: bool, thing: str) -> None:
        self._source, self._target, self._journal = source, target, journal
        self._read_back, self._thing = read_back, thing
        self._of_source: dict[int, str] = {}
        self._of_destination: dict[int, str] = {}
        self._written = self._resumed = 0
        recorded, last = journal.recorded, block_count(source.size)
        self._is_current = recorded is None or recorded.is_current
        # What was written to a source's hole before is only recorded when that pass came to its end.
        self._is_blank = target.is_blank and (recorded is None or recorded.is_current or recorded.is_complete)
        blocks = recorded.blocks if recorded else {}
        self._recorded = {number: digest for number, digest in blocks.items() if 0 <= number < last}

    def run(self) -> Copied:
        """Copy what is not there yet. LifeboatError for the first block that cannot be read, written or trusted."""
        began = time.monotonic()
        size, reader = self._source.size, _Reader(self._source)
        if self._is_current:
            for number, digest in self._recorded.items():
                if self._found(number) == digest:
                    self._of_source[number] = digest
                    self._keep(number, digest)
        missing = [number for number in range(block_count(size)) if number not in self._of_source]
        if not self._target.is_blank:
            # Without the first block nobody takes what is there for a disk.
            missing.sort(key=lambda number: (number == 0, number))
        batch: list[_Block] = []
        for block in _read_ahead(reader, missing):
            self._of_source[block.number] = block.digest
            if self._is_there(block):
                continue
            self._target.write(block.number * BLOCK_SIZE, block.data or bytes(block_length(block.number, size)))
            self._written += block_length(block.number, size)
            batch.append(block)
            if len(batch) == _BATCH:
                self._acknowledge(batch)
                batch = []
        self._acknowledge(batch)
        return Copied(
            size=size,
            read=reader.read,
            written=self._written,
            resumed=self._resumed,
            source_digest=_combined(self._of_source, size, self._thing),
            destination_digest=_combined(self._of_destination, size, self._thing),
            seconds=round(time.monotonic() - began, 3),
        )

    @property
    def samples(self) -> dict[int, str]:
        """The SHA-256 of some blocks at the destination, spread over those that are not zeros."""
        size = self._source.size
        numbers = sorted(
            number
            for number, digest in self._of_destination.items()
            if digest != zeros_digest(block_length(number, size))
        )
        last = len(numbers) - 1
        chosen = {numbers[last * index // (_SAMPLES - 1)] for index in range(_SAMPLES)} if numbers else {0}
        return {number: self._of_destination[number] for number in sorted(chosen)}

    def _is_there(self, block: _Block) -> bool:
        """Whether the target has the block already."""
        recorded = self._recorded.get(block.number)
        if recorded is None and block.data is None:
            is_there = self._is_blank or self._found(block.number) == block.digest
            if is_there:
                self._of_destination[block.number] = block.digest
            return is_there
        if recorded != block.digest or self._is_current or (self._read_back and self._found(block.number) != recorded):
            return False
        self._keep(block.number, block.digest)
        return True

    def _keep(self, number: int, digest: str) -> None:
        self._of_destination[number] = digest
        self._resumed += block_length(number, self._source.size)

    def _found(self, number: int) -> str:
        return block_digest(self._target, number, self._source.size)

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
