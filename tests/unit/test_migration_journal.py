# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of playbooks that move servers: many add to it at the same time."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import ReceiptFile
from ansible_collections.lifeboat.cloud.plugins.modules import migration_journal
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
    seen = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert sorted((each["writer"], each["number"]) for each in seen) == [
        (writer, number) for writer in range(4) for number in range(LINES)
    ]
