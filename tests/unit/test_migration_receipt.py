# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt that is made of a module's result: the report reads it, and the planner learns from it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.migration_receipt import migration_receipt
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_owed import receipts_owed
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, receipt, step

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


@pytest.mark.parametrize(("result", "wanted"), [("done", step()), ({}, None), ({}, {"server": "web-1"})])
def test_what_is_no_result_or_no_step_is_refused(result: object, wanted: object) -> None:
    with pytest.raises(AnsibleFilterError, match="migration_receipt: found"):
        migration_receipt(result, wanted, BEGAN)
