# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module fault_info: every fault that stands, and no silence about one that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Entry, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.modules import fault_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


def entry(key: str, armed_at: float) -> Entry:
    recipe = (Step(run=("systemctl", "kill", "--signal=CONT", "mariadb.service")),)
    return Entry(key, "run1", "hang", armed_at, armed_at + 60.0, recipe, units=("mariadb.service",), state="injected")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "faults")
    made.open()
    return made


@pytest.mark.parametrize("check", [False, True])
def test_every_fault_that_stands_is_listed_the_oldest_first(journal: Journal, check: bool) -> None:
    later, earlier = journal.write(entry("a", 200.0)), journal.write(entry("b", 100.0))
    before = {path.name: path.read_bytes() for path in journal.directory.iterdir()}
    result = run_module(fault_info.main, check, journal_dir=str(journal.directory))
    assert result["changed"] is False
    assert [Entry.from_json(fault) for fault in result["faults"]] == [earlier, later]
    assert {path.name: path.read_bytes() for path in journal.directory.iterdir()} == before


def test_a_host_without_a_journal_has_no_fault_and_gets_no_journal(tmp_path: Path) -> None:
    assert run_module(fault_info.main, journal_dir=str(tmp_path / "faults"))["faults"] == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "7"])
def test_an_entry_that_cannot_be_read_is_a_failure_that_names_it(journal: Journal, text: str) -> None:
    journal.write(entry("a", 200.0))
    (journal.directory / "odd.json").write_text(text)
    failed = run_module(fault_info.main, journal_dir=str(journal.directory))
    assert failed["failed"] and "faults" not in failed
    assert failed["thing"] == f"fault journal {journal.directory / 'odd.json'}"
    assert "Undo the fault by hand" in failed["remedy"]
