# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt that is made of a module's result: the report reads it, and the planner learns from it."""

from __future__ import annotations

import json
import os
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.migration_receipt import migration_receipt
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_owed import receipts_owed
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_unreported import receipts_unreported
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, receipt, run_of, step

if t.TYPE_CHECKING:
    from pathlib import Path

BEGAN = "2026-11-22T13:42:05Z"
# What server_migration returns beside what the receipt takes over.
OTHERS = {"changed": True, "actions": [], "migration": {}, "diff": {}}
TAKEN = ("seconds", "timeline", "phases", "transferred")


def moved(**changes: t.Any) -> dict[str, t.Any]:
    seen = receipt()
    return OTHERS | {name: seen[name] for name in TAKEN} | {"server": {"host": "cmp2"}} | changes


def test_the_report_reads_it_and_the_planner_learns_from_it(tmp_path: Path) -> None:
    made = migration_receipt(moved(warnings=["slow"]), step(), BEGAN)
    run = {"goal": "move", "began": BEGAN, "plan": {}, "stayed": [], "receipts": [made]}
    (tmp_path / f"{RUN}.json").write_text(json.dumps(run), encoding="utf-8")
    [read] = read_run(tmp_path / f"{RUN}.json").receipts
    assert (read.kind, read.moved, read.destination, read.warnings) == ("live", True, "cmp2", ("slow",))
    [outcome] = read_history(tmp_path).outcomes
    assert outcome.measured_total_s == made["seconds"]


def test_where_nova_took_it_counts_and_where_it_could_not_the_plan_does() -> None:
    assert migration_receipt(moved(server={"host": "cmp3"}), step(), BEGAN)["destination"] == "cmp3"
    failed = migration_receipt({"failed": True, "msg": "no: found a; expected b.", "found": "a"}, step(), BEGAN)
    assert (failed["moved"], failed["found"], failed["destination"], failed["seconds"]) == (False, "a", "cmp2", None)


def test_of_a_dead_host_there_is_no_plan() -> None:
    wanted = rebuilt("web-1")
    made = migration_receipt({"changed": True, "server": {"host": "cmp2"}, "seconds": 20.5}, wanted, BEGAN)
    assert (made["kind"], made["moved"], made["destination"], made["timeline"]) == ("evacuation", True, "cmp2", [])


def rebuilt(name: str) -> dict[str, t.Any]:
    return {"server": f"id-{name}", "name": name, "source": "cmp1", "destination": None, "mode": "evacuation"}


def test_what_was_asked_for_is_owed_until_its_receipt_is_there(tmp_path: Path) -> None:
    assert receipts_owed(tmp_path / "none") == []
    journal = tmp_path / "2026-11-22T13-42-05Z.jsonl"
    asked = [{"asked": BEGAN, "step": each} for each in (rebuilt("web-1"), rebuilt("web-2"), step("web-3"))]
    journal.write_text("".join(f"{json.dumps(each)}\n" for each in asked), encoding="utf-8")
    assert [each["name"] for each in receipts_owed(tmp_path)] == ["web-1", "web-2", "web-3"]
    with journal.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(migration_receipt({"server": {"host": "cmp2"}}, rebuilt("web-1"), BEGAN)))
    assert receipts_owed(tmp_path)[0] == {**rebuilt("web-2"), "asked": BEGAN}


def test_when_the_module_asked_for_it_counts_more_than_when_it_was_to() -> None:
    told = {"server": {"host": "cmp2"}, "seconds": 20.5, "began": "2026-11-22T13:46:05.000+00:00"}
    assert migration_receipt(told, rebuilt("web-1"), BEGAN)["began"] == told["began"]
    assert migration_receipt({"failed": True, "found": "a"}, rebuilt("web-1"), BEGAN)["began"] == BEGAN


def written(directory: Path) -> dict[str, dict[str, t.Any]]:
    """As the role writes what is missing; the next run finds nothing."""
    found = receipts_unreported(directory)
    for run, document in found.items():
        (directory / f"{run}.json").write_text(json.dumps(document), encoding="utf-8")
    assert receipts_unreported(directory) == {}
    return found


def test_what_an_interrupted_run_has_left_is_shown_and_learned_from(tmp_path: Path) -> None:
    assert receipts_unreported(tmp_path / "none") == {}
    # One of migration_run alone, which nobody has made a page of.
    (tmp_path / "2026-11-22.jsonl").write_text(f"{json.dumps(receipt('web-9'))}\n", encoding="utf-8")
    journal, seen = tmp_path / f"{RUN}.jsonl", [receipt("web-1"), receipt("web-2"), receipt("web-3")]
    asked = json.dumps({"asked": BEGAN, "step": step("web-1")})
    journal.write_text(f"{asked}\n", encoding="utf-8")
    assert written(tmp_path) == {}
    journal.write_text(f"{asked}\n{json.dumps(seen[0])}\n{json.dumps(seen[1])[:50]}", encoding="utf-8")
    written(tmp_path)
    run = read_run(tmp_path / f"{RUN}.json")
    assert run.goal == "interrupted" and [each.name for each in run.receipts] == ["web-1"]
    assert len(read_history(tmp_path).outcomes) == 1
    # A module that has outlived its playbook adds to it later, and what was made of the others stays.
    (tmp_path / f"{RUN}.json").write_text(json.dumps(run_of(seen[0] | {"warnings": ["slow"]})), encoding="utf-8")
    with journal.open("a", encoding="utf-8") as lines:
        lines.write("".join(f"\n{json.dumps(each)}" for each in seen[1:]))
    os.utime(journal, (2e9, 2e9))
    assert receipts_unreported(tmp_path)[RUN]["receipts"] == [seen[0] | {"warnings": ["slow"]}, *seen[1:]]
    assert receipts_unreported(tmp_path)[RUN]["goal"] == "drain"
    (tmp_path / f"{RUN}.json").write_text("[]", encoding="utf-8")
    assert receipts_unreported(tmp_path) == {}


@pytest.mark.parametrize(("result", "wanted"), [("done", step()), ({}, None), ({}, {"server": "web-1"})])
def test_what_is_no_result_or_no_step_is_refused(result: object, wanted: object) -> None:
    with pytest.raises(AnsibleFilterError, match="migration_receipt: found"):
        migration_receipt(result, wanted, BEGAN)
