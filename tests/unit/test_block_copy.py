# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy itself, in memory: whatever was recorded and whatever has changed, the content is right."""

from __future__ import annotations

import random
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Recorded

if t.TYPE_CHECKING:
    from collections.abc import Mapping


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
