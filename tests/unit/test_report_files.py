# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the report and the history: kept whole, in order, and replaced only when they differ."""

from __future__ import annotations

import copy
import json
import os
import typing as t
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import (
    charts,
    figures,
    history,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.store import Plan, carry_out, plan_entry
from ansible_collections.lifeboat.cloud.plugins.modules import drill_report
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import (
    RUN,
    SAMPLES,
    SCHEMA,
    START,
    TEXTS,
    Entry,
    changed,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given, settings
from hypothesis import strategies as st

REPORT_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def record(directory: Path, entry: Entry, run: str = RUN, environment: Entry | None = None) -> Plan:
    plan = plan_entry(directory, run, entry, environment or {})
    carry_out(plan)
    return plan


def files(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_a_run_is_kept(tmp_path: Path) -> None:
    for sample in SAMPLES.values():
        plan = record(tmp_path, sample, environment={"machine": "two processors"})
    kept = json.loads(plan.paths.report.read_text())
    REPORT_VALIDATOR.validate(kept)
    assert kept["drills"] == list(SAMPLES.values())
    assert kept["summary"] == {"passed": 15, "failed": 2, "void": 1, "missed": 1, "refused": 1} == plan.report.summary
    assert kept["started_at"] == START
    assert kept["finished_at"] == max(sample["finished_at"] for sample in SAMPLES.values())
    names = {"report.json", "report.html", "junit.xml", "metrics.prom"}
    assert {path.name for path in (tmp_path / "latest").iterdir()} == names
    assert os.readlink(tmp_path / "latest") == RUN
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 20
    assert {path.name for path in tmp_path.iterdir()} == {RUN, "latest", "history.jsonl"}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in (tmp_path / RUN).iterdir())


def test_planning_writes_nothing(tmp_path: Path, entry: Entry) -> None:
    plan = plan_entry(tmp_path / "reports", RUN, entry, {})
    assert len(plan.changes) == 6
    assert not list(tmp_path.iterdir())


def test_the_same_entry_changes_nothing(tmp_path: Path, entry: Entry) -> None:
    record(tmp_path, entry, environment={"machine": "one"})
    before = files(tmp_path)
    assert record(tmp_path, entry).changes == ()
    assert files(tmp_path) == before


def test_an_entry_is_replaced(tmp_path: Path, entry: Entry) -> None:
    record(tmp_path, entry)
    plan = record(tmp_path, changed(entry, verdict="failed"))
    assert plan.before == entry
    assert plan.report.summary["failed"] == 1
    assert len(plan.report.drills) == 1
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["failed"]


def test_drills_are_in_the_order_of_their_start(tmp_path: Path, entry: Entry) -> None:
    record(tmp_path, changed(entry, name="second", started_at=START + 50))
    plan = record(tmp_path, changed(entry, name="first", started_at=START))
    assert [drill.name for drill in plan.report.drills] == ["first", "second"]


def test_environment_is_kept_and_its_keys_replaced(tmp_path: Path, entry: Entry) -> None:
    record(tmp_path, entry, environment={"machine": "one", "profile": "fast"})
    plan = record(tmp_path, entry, environment={"machine": "two"})
    assert json.loads(plan.paths.report.read_text())["environment"] == {"machine": "two", "profile": "fast"}


def test_latest_follows_the_run(tmp_path: Path, entry: Entry) -> None:
    record(tmp_path, entry, run="one")
    record(tmp_path, entry, run="two")
    assert os.readlink(tmp_path / "latest") == "two"
    assert record(tmp_path, entry, run="one").changes == (tmp_path / "latest",)


def test_latest_that_is_no_link_is_refused(tmp_path: Path, entry: Entry) -> None:
    (tmp_path / "latest").mkdir()
    with pytest.raises(LifeboatError, match="latest: found a file or directory"):
        record(tmp_path, entry)
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


@pytest.mark.parametrize("run", ["", "latest", "../elsewhere", "a/b", ".hidden", "two words"])
def test_a_run_is_a_plain_name(tmp_path: Path, entry: Entry, run: str) -> None:
    with pytest.raises(LifeboatError, match="run: found"):
        plan_entry(tmp_path, run, entry, {})


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 2, "environment": {}, "drills": []}', "{}"])
def test_a_foreign_report_is_not_overwritten(tmp_path: Path, entry: Entry, content: str) -> None:
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / "report.json").write_text(content)
    with pytest.raises(LifeboatError, match=r"report\.json: found"):
        record(tmp_path, entry)
    assert files(tmp_path) == {f"{RUN}/report.json": content}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, entry)
    before = files(tmp_path)

    def refuse(*_: object) -> t.NoReturn:
        raise OSError(28, "No space left on device", "report.json")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(LifeboatError, match="No space left on device"):
        record(tmp_path, changed(entry, verdict="failed"))
    assert files(tmp_path) == before


def test_slices_stand_on_one_line(tmp_path: Path, entry: Entry) -> None:
    lines = record(tmp_path, entry).paths.report.read_text().splitlines()
    first = ", ".join(json.dumps(value) for value in entry["probes"][0]["series"][0])
    assert any(line.strip() == f"[{first}]," for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(environment=st.dictionaries(TEXTS, JSON, max_size=4))
def test_any_environment_survives(tmp_path_factory: pytest.TempPathFactory, environment: Entry) -> None:
    place = tmp_path_factory.mktemp("reports")
    plan = record(place, SAMPLES["cache_hang"], environment=environment)
    assert json.loads(plan.paths.report.read_text())["environment"] == environment
    assert record(place, SAMPLES["cache_hang"], environment=environment).changes == ()


def test_history_keeps_lines_that_it_cannot_read(tmp_path: Path, entry: Entry) -> None:
    (tmp_path / "history.jsonl").write_text('{"from": "the future"}\nnot json\n')
    record(tmp_path, entry)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert lines[:2] == ['{"from": "the future"}', "not json"]
    assert json.loads(lines[2])["drill"] == entry["name"]


def test_history_is_read_as_written(entry: Entry) -> None:
    wanted = history.figures_of(RUN, read_drill("entry", entry))
    text = "\n".join(line.text for line in history.with_figures((), wanted))
    assert [line.figures for line in history.read_history(text)] == [wanted]


def test_trend_has_earlier_runs_of_the_same_drill_only(entry: Entry) -> None:
    lines: tuple[history.Line, ...] = ()
    for run, name, end in [("c", "x", 30.0), ("a", "x", 10.0), ("b", "x", 20.0), ("a", "y", 10.0), ("d", "x", 40.0)]:
        drill = read_drill("entry", changed(entry, name=name, finished_at=end))
        lines = history.with_figures(lines, history.figures_of(run, drill))
    now = read_drill("entry", changed(entry, name="x", finished_at=30.0))
    assert [figures.run for figures in history.earlier(lines, "c", now)] == ["a", "b"]


def test_sparkline_needs_an_earlier_run(entry: Entry) -> None:
    drill = read_drill("entry", entry)
    assert charts.sparkline((), drill) is None
    line = charts.sparkline([history.figures_of("before", drill)], drill)
    assert line is not None
    assert line.count(figures.seconds(entry["probes"][0]["longest_outage_s"])) >= 2


def test_module_in_check_mode_and_for_real(tmp_path: Path, entry: Entry) -> None:
    arguments: Entry = {
        "directory": str(tmp_path / "reports"),
        "run": RUN,
        "entry": entry,
        "environment": {"machine": "one"},
    }
    would = run_module(drill_report.main, check=True, **arguments)
    assert not list(tmp_path.iterdir())
    did = run_module(drill_report.main, **arguments)
    assert {key: would[key] for key in did if key != "invocation"} == {
        key: did[key] for key in did if key != "invocation"
    }
    assert did["changed"] and did["summary"]["passed"] == 1
    assert all(Path(path).exists() for path in did["paths"].values())
    assert run_module(drill_report.main, check=True, **arguments)["changed"] is False
    again = run_module(drill_report.main, **arguments)
    assert again["changed"] is False and again["changed_paths"] == []
    assert again["diff"]["before"] == again["diff"]["after"]


def test_module_says_what_is_wrong(tmp_path: Path, entry: Entry) -> None:
    del entry["fault"]["proof"][0]["active"]
    result = run_module(drill_report.main, directory=str(tmp_path), run=RUN, entry=entry)
    assert result["failed"]
    assert result["thing"] == "entry.fault.proof[0]"
    assert result["expected"] == "the key active"
    assert not list(tmp_path.iterdir())


def test_difference_shows_no_slices(entry: Entry) -> None:
    shown = drill_report.without_series(entry)
    assert shown["probes"][0]["series"].startswith("40 slices, sha256 ")
    other = copy.deepcopy(entry)
    other["probes"][0]["series"][0][1] += 1
    assert drill_report.without_series(other) != shown
