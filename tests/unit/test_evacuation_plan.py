# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of the servers of a dead host it is said beforehand how long they take, and kept beside what they took."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.evacuation_plan import evacuation_plan
from ansible_collections.lifeboat.cloud.plugins.filter.migration_receipt import migration_receipt
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_owed import receipts_owed
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.tests.unit import receipt_samples as samples
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, run_of

if t.TYPE_CHECKING:
    from pathlib import Path

BEGAN = "2026-11-22T13:42:05Z"


def servers(*names: str) -> list[dict[str, t.Any]]:
    return [{"server": f"id-{name}", "name": name} for name in names]


def test_so_many_at_a_time_go_in_turns(tmp_path: Path) -> None:
    earlier = [samples.evacuated("x", 0, seconds=took) for took in (20.0, 24.0)]
    samples.write(tmp_path, run_of(*earlier))
    planned = evacuation_plan(iter(servers("a", "b", "c", "d", "e")), "cmp3", 2, tmp_path)
    assert [(each["start_s"], each["end_s"]) for each in planned["steps"]] == [
        (0.0, 22.0),
        (0.0, 22.0),
        (22.0, 44.0),
        (22.0, 44.0),
        (44.0, 66.0),
    ]
    assert planned["summary"] == {"moves": 5, "total_s": 66.0, "rebuild_s": 22.0, "learned_from": 2}
    assert (planned["unplaced"], planned["refused"]) == ([], [])


def test_without_receipts_it_is_assumed_and_said_so(tmp_path: Path) -> None:
    planned = evacuation_plan(servers("a"), "cmp3", 3, tmp_path / "none")
    assert planned["summary"] == {"moves": 1, "total_s": 25.0, "rebuild_s": 25.0, "learned_from": 0}
    assert evacuation_plan([], "cmp3", 3, tmp_path)["summary"]["total_s"] == 0.0


def test_the_receipt_keeps_it_beside_the_result(tmp_path: Path) -> None:
    [step] = evacuation_plan(servers("a"), "cmp3", 1, tmp_path)["steps"]
    made = migration_receipt({"server": {"host": "cmp1"}, "seconds": 21.0}, step, BEGAN)
    samples.write(tmp_path, run_of(made))
    [read] = read_run(tmp_path / f"{RUN}.json").receipts
    assert (read.kind, read.source, read.destination) == ("evacuation", "cmp3", "cmp1")
    assert (read.seconds, read.planned.total_s) == (21.0, 25.0)


def test_what_an_interrupted_run_has_predicted_stays_and_is_not_waited_for(tmp_path: Path) -> None:
    first = evacuation_plan(servers("a", "b"), "cmp3", 1, tmp_path)["steps"]
    lines = [json.dumps({"asked": BEGAN, "step": each}) for each in first]
    (tmp_path / f"{RUN}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    samples.write(tmp_path, run_of(samples.evacuated("z", 0, seconds=40.0)), "2026-11-23T00-00-00Z")
    owed = receipts_owed(tmp_path)
    again = evacuation_plan([*servers("c"), *owed], "cmp3", 1, tmp_path)
    assert again["steps"][1:] == first
    assert (again["steps"][0]["end_s"], again["summary"]["total_s"], again["summary"]["moves"]) == (40.0, 40.0, 3)
    # Of a run of old, which has predicted nothing.
    [of_old] = evacuation_plan([{**servers("d")[0], "asked": BEGAN}], "cmp3", 1, tmp_path)["steps"]
    assert (of_old["source"], of_old["mode"], of_old["end_s"]) == ("cmp3", "evacuation", 40.0)


def test_receipts_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "2026-11-22T13-42-05Z.json").write_text("{", encoding="utf-8")
    assert evacuation_plan(servers("a"), "cmp3", 1, tmp_path)["summary"]["learned_from"] == 0
    assert "Nothing is learned from" in "".join(capsys.readouterr()).replace("\n", " ")


@pytest.mark.parametrize(("given", "at_once"), [("web-1", 1), ([{"name": "a"}], 1), (servers("a"), 0), (["a"], 1)])
def test_what_is_no_server_is_refused(given: object, at_once: int, tmp_path: Path) -> None:
    with pytest.raises(AnsibleFilterError, match="evacuation_plan: found"):
        evacuation_plan(given, "cmp3", at_once, tmp_path)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnsibleFilterError, match="expected a directory of receipts"):
        evacuation_plan(servers("a"), "cmp3", 1, tmp_path / "file")
