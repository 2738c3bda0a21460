# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of playbooks that move servers: many add to it at the same time."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_kept import receipts_kept
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import ReceiptFile
from ansible_collections.lifeboat.cloud.plugins.modules import migration_journal
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import receipt
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

ENTRY = {"asked": "2026-11-22T13:42:11+00:00", "step": {"server": "web1", "destination": None}}
LINES = 50


def _add(path: str, writer: int) -> None:
    file = ReceiptFile(path)
    for number in range(LINES):
        file.add({"writer": writer, "number": number})


def test_an_entry_is_a_line_and_check_mode_writes_none(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    assert run_module(migration_journal.main, True, path=str(path), entry=ENTRY)["changed"] and not path.exists()
    for _time in range(2):
        assert run_module(migration_journal.main, path=str(path), entry=ENTRY)["changed"]
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [ENTRY, ENTRY]


def test_a_disk_without_room_is_said_and_the_line_that_it_cut_off_takes_no_other_one_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, room, write = tmp_path / "run.jsonl", 100, os.write

    def into_what_is_left(descriptor: int, line: bytes) -> int:
        left = room - path.stat().st_size
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, line[:left])

    monkeypatch.setattr(os, "write", into_what_is_left)
    first, second, third = (receipt(name) for name in ("web-1", "web-2", "web-3"))
    full = run_module(migration_journal.main, path=str(path), entry=first)
    assert full["failed"] and "No space left" in full["found"] and path.stat().st_size == room
    room = 10**6
    for each in (second, third):
        assert run_module(migration_journal.main, path=str(path), entry=each)["changed"]
    assert receipts_kept(path) == [second, third] and receipts_kept(tmp_path / "none.jsonl") == []


def test_without_a_directory_it_says_so(tmp_path: Path) -> None:
    refused = run_module(migration_journal.main, path=str(tmp_path / "none" / "run.jsonl"), entry=ENTRY)
    assert refused["failed"] and refused["found"] == "no directory for it"


def test_many_writers_lose_no_line_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writers = [multiprocessing.get_context("spawn").Process(target=_add, args=(str(path), each)) for each in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(60)
    # Whoever sees another one's line half written begins with a line of its own, which is empty then.
    seen = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    assert sorted((each["writer"], each["number"]) for each in seen) == [
        (writer, number) for writer in range(4) for number in range(LINES)
    ]
