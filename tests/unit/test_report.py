# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill report: schema and reader agree, files are kept well, every rendering says what was measured."""

from __future__ import annotations

import copy
import html.parser
import itertools
import json
import os
import re
import string
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import (
    charts,
    figures,
    history,
    markup,
    section,
    timeline,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.junit import junit_xml
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.metrics import metrics_text
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Bin, Report
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.page import report_page
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.store import Plan, carry_out, plan_entry
from ansible_collections.lifeboat.cloud.plugins.modules import drill_report
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import START, Entry, changed, make_entries
from hypothesis import given, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RUN = "20261121T101500Z"
SCHEMA = json.loads((ROOT / "roles/drill/files/report.schema.json").read_text(encoding="utf-8"))
DRILL_SCHEMA = {"$schema": SCHEMA["$schema"], "$ref": "#/$defs/drill", "$defs": SCHEMA["$defs"]}
REPORT_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DRILL_VALIDATOR = jsonschema.Draft202012Validator(DRILL_SCHEMA)
ENTRY: Entry = json.loads((HERE / "fixtures/report_entry.json").read_text(encoding="utf-8"))
SAMPLES = {entry["name"]: entry for entry in make_entries()}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture
def entry() -> Entry:
    return copy.deepcopy(ENTRY)


def record(directory: Path, entry: Entry, run: str = RUN, environment: Entry | None = None) -> Plan:
    plan = plan_entry(directory, run, entry, environment or {})
    carry_out(plan)
    return plan


def report_of(*entries: Entry) -> Report:
    return Report(RUN, {}, tuple(read_drill("entry", entry) for entry in entries))


def files(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


# The schema and the reader


def reads(entry: object) -> bool:
    try:
        read_drill("entry", entry)
    except LifeboatError:
        return False
    return True


def places(value: object, path: tuple[str | int, ...] = ()) -> t.Iterator[tuple[str | int, ...]]:
    yield path
    items: t.Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    if isinstance(value, list):
        items = list(enumerate(value))[:1]
    for key, item in items:
        yield from places(item, (*path, key))


def at(value: t.Any, path: tuple[str | int, ...]) -> t.Any:
    for key in path:
        value = value[key]
    return value


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("sample", [ENTRY, *SAMPLES.values()], ids=lambda sample: sample["name"])
def test_samples_are_valid(sample: Entry) -> None:
    DRILL_VALIDATOR.validate(sample)
    assert reads(sample)


@pytest.mark.parametrize("path", [path for path in places(ENTRY) if path], ids=lambda path: ".".join(map(str, path)))
def test_schema_and_reader_agree_on_a_missing_value(path: tuple[str | int, ...], entry: Entry) -> None:
    parent = at(entry, path[:-1])
    del parent[path[-1]]
    assert reads(entry) == DRILL_VALIDATOR.is_valid(entry)


@pytest.mark.parametrize("wrong", [None, True, "text", -1, 0.25, [], {}, [1], {"a": "b"}], ids=repr)
def test_schema_and_reader_agree_on_a_wrong_value(wrong: object, entry: Entry) -> None:
    for path in places(ENTRY):
        if path:
            broken = copy.deepcopy(entry)
            at(broken, path[:-1])[path[-1]] = wrong
            assert reads(broken) == DRILL_VALIDATOR.is_valid(broken), path


def test_unknown_keys_are_allowed_in_probes_only(entry: Entry) -> None:
    for path in places(ENTRY):
        if isinstance(at(entry, path), dict) and path[-1:] != ("errors",):
            broken = copy.deepcopy(entry)
            at(broken, path)["surplus"] = 1
            assert reads(broken) == DRILL_VALIDATOR.is_valid(broken) == (path == ("probes", 0)), path


def test_error_names_the_place(entry: Entry) -> None:
    entry["probes"][1]["latency_ms"]["p99"] = "fast"
    with pytest.raises(
        LifeboatError, match=r"entry\.probes\[1\]\.latency_ms\.p99: found 'fast'; expected a finite number"
    ):
        read_drill("entry", entry)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(entry: Entry, value: float) -> None:
    entry["recovery_s"] = value
    assert not reads(entry)


def test_limit_is_an_interval(entry: Entry) -> None:
    entry["limit_s"] = [2.0, 1.0]
    with pytest.raises(LifeboatError, match=r"entry\.limit_s"):
        read_drill("entry", entry)


# Which probe speaks for the drill


def test_headline_is_the_longest_outage_with_a_bound(entry: Entry) -> None:
    del entry["limit_probe"]
    bounded, observer = entry["probes"]
    observer |= {"bound_s": None, "longest_outage_s": 99.0}
    headline = read_drill("entry", entry).headline
    assert headline and headline.name == bounded["name"]
    bounded["bound_s"] = None
    headline = read_drill("entry", entry).headline
    assert headline and headline.name == observer["name"]


def test_the_probe_of_the_limit_speaks_for_the_drill(entry: Entry) -> None:
    limited, other = entry["probes"]
    limited |= {"bound_s": None, "longest_outage_s": 5.0}
    other |= {"bound_s": 9.0, "longest_outage_s": 8.0}
    drill = read_drill("entry", changed(entry, limit_s=[1.0, 2.0], limit_probe=limited["name"]))
    assert drill.headline is drill.probes[0]
    assert [drill.exceeded_by(probe) for probe in drill.probes] == [True, False]


def test_what_was_planned_is_not_said_to_be_broken(entry: Entry) -> None:
    entry["fault"]["injected_at"] = None
    fault = read_drill("entry", entry).fault
    assert section.broken(fault) == "hang of mariadb on controller1, not injected"
    assert section.broken(None) == "nothing was broken"


def test_no_ledger_is_not_no_loss(entry: Entry) -> None:
    assert read_drill("entry", entry).lost == 0
    for probe in entry["probes"]:
        probe.pop("acknowledged", None)
    assert read_drill("entry", entry).lost is None


# The files


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


@settings(max_examples=60, deadline=None)
@given(environment=st.dictionaries(TEXTS, JSON, max_size=4))
def test_any_environment_survives(tmp_path_factory: pytest.TempPathFactory, environment: Entry) -> None:
    place = tmp_path_factory.mktemp("reports")
    plan = record(place, SAMPLES["cache_hang"], environment=environment)
    assert json.loads(plan.paths.report.read_text())["environment"] == environment
    assert record(place, SAMPLES["cache_hang"], environment=environment).changes == ()


# The history


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


# JUnit


def test_junit_has_one_case_per_drill() -> None:
    suites = ElementTree.fromstring(junit_xml(report_of(*SAMPLES.values())))
    suite = suites[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "20", "failures": "3", "errors": "1", "skipped": "1"}
    cases = {case.get("name"): case for case in suite}
    outcomes = {"passed": None, "failed": "failure", "missed": "failure", "void": "error", "refused": "skipped"}
    for name, sample in SAMPLES.items():
        case = cases[name]
        assert case.get("classname") == "lifeboat.drill"
        assert float(case.get("time", "")) == pytest.approx(sample["finished_at"] - sample["started_at"])
        said = [child for child in case if child.tag != "properties"]
        assert [child.tag for child in said] == [tag for tag in [outcomes[sample["verdict"]]] if tag]
        assert all(reason in (child.text or "") for child in said for reason in sample["reasons"])


def test_junit_carries_the_figures(entry: Entry) -> None:
    suites = ElementTree.fromstring(junit_xml(report_of(entry)))
    properties = {one.get("name"): one.get("value") for one in suites.iter("property")}
    assert properties["database_ledger.longest_outage_s"] == str(entry["probes"][0]["longest_outage_s"])
    assert properties["limit_max_s"] == "1.3"
    assert properties["lost"] == "0"


@given(reason=TEXTS)
def test_junit_is_xml_whatever_the_reason(reason: str) -> None:
    sample = changed(SAMPLES["cache_hang"], reasons=[reason])
    ElementTree.fromstring(junit_xml(report_of(sample)))


# Prometheus

SAMPLE_LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
UNESCAPED = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')


def parse_metrics(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of an exposition, after checking that each metric is announced once, before its samples."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    helped: list[str] = []
    typed: list[str] = []
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            helped.append(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            assert line.split(" ")[3] == "gauge"
            typed.append(line.split(" ")[2])
        else:
            match = SAMPLE_LINE.fullmatch(line)
            assert match, line
            assert match[1] == helped[-1] == typed[-1]
            labels = frozenset(
                (name, re.sub(r"\\.", lambda two: UNESCAPED[two[0]], value))
                for name, value in LABEL.findall(match[2] or "")
            )
            assert (match[1], labels) not in found
            found[match[1], labels] = float(match[3])
    assert len(set(helped)) == len(helped) and helped == typed
    return found


def test_metrics_carry_the_figures() -> None:
    found = parse_metrics(metrics_text(report_of(*SAMPLES.values())))

    def value(name: str, **labels: str) -> float | None:
        return found.get((f"lifeboat_drill_{name}", frozenset(labels.items())))

    silence = SAMPLES["database_member_silence"]
    assert value("outage_seconds", drill=silence["name"], probe="database_ledger") == 6.12
    assert value("outage_lower_seconds", drill=silence["name"], probe="database_ledger") == 6.1
    assert value("limit_seconds", drill=silence["name"], edge="min") == 1.1
    assert value("limit_seconds", drill=silence["name"], edge="max") == 1.3
    assert value("bound_seconds", drill=silence["name"], probe="database_ledger") == 1.6
    assert value("bound_seconds", drill=silence["name"], probe="identity_token") is None
    assert value("lost_writes", drill=silence["name"], probe="database_ledger") == 3
    assert value("lost_writes", drill=silence["name"], probe="identity_token") is None
    assert value("recovery_seconds", drill=silence["name"]) == silence["recovery_s"]
    verdicts = {
        verdict: value("verdict", drill=silence["name"], verdict=verdict) for verdict in ("passed", "failed", "void")
    }
    assert verdicts == {"passed": 0, "failed": 1, "void": 0}
    assert value("run_timestamp_seconds") == max(sample["finished_at"] for sample in SAMPLES.values())
    assert value("run_info", run=RUN) == 1


@given(name=TEXTS)
def test_labels_survive(name: str) -> None:
    sample = copy.deepcopy(SAMPLES["keystone_crash"])
    sample["probes"][0]["name"] = name
    found = parse_metrics(metrics_text(report_of(sample)))
    assert ("lifeboat_drill_outage_seconds", frozenset({("drill", sample["name"]), ("probe", name)})) in found


# The page


class Reader(html.parser.HTMLParser):
    """Collects text and attributes and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def read_page(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def test_page_needs_nothing_else() -> None:
    page = report_page(report_of(*SAMPLES.values()), {})
    reader = read_page(page)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(reader.tags)
    references = [value for _tag, name, value in reader.attributes if name in ("src", "href")]
    assert all(value.startswith("#") for value in references)
    assert not re.search(r"url\(|@import|https?://", page)
    assert not [name for _tag, name, _value in reader.attributes if name.startswith("on")]


def test_page_says_what_was_measured() -> None:
    reader = read_page(report_page(report_of(*SAMPLES.values()), {}))
    said = "\n".join(reader.texts)
    assert "15 of 20 failure drills passed" in said
    for sample in SAMPLES.values():
        assert sample["says"] in said
        assert all(reason in said for reason in sample["reasons"])
        assert sample["limit_formula"] is None or sample["limit_formula"] in said
    assert "6.10 \N{EN DASH} 6.12 s" in said
    assert "controller1, controller3 hold 10.0.0.5" in said
    targets = {value for _tag, name, value in reader.attributes if name == "id"}
    links = {value.removeprefix("#") for _tag, name, value in reader.attributes if name == "href"}
    assert links == targets == {f"drill-{name}" for name in SAMPLES}


def test_verdicts_are_said_in_words() -> None:
    reader = read_page(report_page(report_of(*SAMPLES.values()), {}))
    assert {"passed", "failed", "void", "missed", "refused"} <= set(reader.texts)


def test_page_without_drills() -> None:
    assert "No drill has run" in read_page(report_page(Report(RUN, {}, ()), {})).texts


HOSTILE = "</style><script>alert(\"1\")</script>&amp;' onload='x"


def hostile(value: t.Any, key: str = "") -> t.Any:
    """The entry with every free text replaced."""
    if isinstance(value, dict):
        return {(HOSTILE if key == "errors" else name): hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key not in ("name", "verdict") else value


def test_text_is_never_markup(entry: Entry) -> None:
    nasty = hostile(entry)
    nasty["probes"][0]["name"] = nasty["audits"][0]["name"] = HOSTILE
    report = Report(RUN, {HOSTILE: [HOSTILE], "x": {HOSTILE: HOSTILE}}, (read_drill("entry", nasty),))
    page = report_page(report, {})
    reader = read_page(page)
    assert "<script" not in page
    assert "script" not in reader.tags
    assert not [name for _tag, name, _value in reader.attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in reader.texts) > 15


@given(content=TEXTS, value=TEXTS)
def test_element_carries_any_text(content: str, value: str) -> None:
    reader = read_page(markup.element("p", "x", content, title=value))
    clean = str.maketrans({"\r": "\n"})
    assert "".join(reader.texts).translate(clean) == f"x{content}".translate(clean)
    assert reader.attributes == [("p", "title", value)]


# Drawings


@given(st.lists(st.tuples(st.floats(170, 1168), st.text(string.ascii_letters, min_size=1, max_size=60)), max_size=30))
def test_labels_do_not_overlap(wanted: list[tuple[float, str]]) -> None:
    labels = timeline.packed(wanted)
    assert [label.text for label in labels] == [content for _place, content in wanted]
    rows: dict[int, list[tuple[float, float]]] = {}
    for label in labels:
        if label.row is not None:
            rows.setdefault(label.row, []).append((label.left, label.left + 6 * len(label.text)))
    for spans in rows.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


COUNTS = st.integers(0, 50)
BINS = st.builds(Bin, at=st.just(0.0), ok=COUNTS, failed=COUNTS, worst_ms=st.none() | st.floats(0, 1e4))


@given(st.lists(BINS, max_size=90), st.integers(1, 40))
def test_merging_loses_nothing(series: list[Bin], most: int) -> None:
    columns = timeline.merged(series, most)
    assert len(columns) <= most
    assert sum(one.ok for one in columns) == sum(one.ok for one in series)
    assert sum(one.failed for one in columns) == sum(one.failed for one in series)
    worst = [one.worst_ms for one in series if one.worst_ms is not None]
    assert max((one.worst_ms for one in columns if one.worst_ms is not None), default=None) == max(worst, default=None)


@given(st.floats(-1e4, 1e4), st.floats(0.001, 1e4), st.integers(2, 12))
def test_ticks_are_inside_and_enough(low: float, length: float, wanted: int) -> None:
    ticks = charts.nice_ticks(low, low + length, wanted)
    slack = 1e-6 * (abs(low) + length)
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)
    assert wanted / 2.6 - 1 <= len(ticks) <= wanted + 1


SECONDS = st.floats(0, 1000)


@given(
    SECONDS, SECONDS, st.none() | SECONDS, st.none() | st.tuples(SECONDS, SECONDS).map(lambda pair: tuple(sorted(pair)))
)
def test_bars_stay_on_their_scale(
    one: float, other: float, bound: float | None, limit: tuple[float, float] | None
) -> None:
    sample = copy.deepcopy(ENTRY["probes"][0])
    sample |= {"longest_outage_lower_s": min(one, other), "longest_outage_s": max(one, other), "bound_s": bound}
    limit_s = list(limit) if limit else None
    drill = read_drill("entry", changed(ENTRY, probes=[sample], limit_s=limit_s, limit_probe=sample["name"]))
    reader = read_page(charts.scale_bar(drill, drill.probes[0]))
    rects = [float(value) for tag, name, value in reader.attributes if tag == "rect" and name == "x"]
    widths = [float(value) for tag, name, value in reader.attributes if tag == "rect" and name == "width"]
    assert len(rects) == 1 + (limit is not None)
    assert all(left >= 0 and left + width <= 192.1 for left, width in zip(rects, widths, strict=True))


@pytest.mark.parametrize(
    ("outage", "bound", "limit", "over"),
    [
        (1.0, 1.0, None, False),
        (1.01, 1.0, None, True),
        (1.09, 9.0, (0.5, 1.0), False),
        (1.11, 9.0, (0.5, 1.0), True),
        (9.0, None, (0.5, 1.0), False),
    ],
)
def test_what_counts_as_over(
    entry: Entry, outage: float, bound: float | None, limit: tuple[float, float] | None, over: bool
) -> None:
    del entry["limit_probe"]
    entry["probes"][0] |= {"longest_outage_s": outage, "bound_s": bound}
    entry["limit_s"] = list(limit) if limit else None
    drill = read_drill("entry", entry)
    assert drill.exceeded_by(drill.probes[0]) is over


def test_an_outage_without_end_is_drawn_and_said(entry: Entry) -> None:
    entry["probes"][0]["outages"][0]["upper_s"] = None
    entry["fault"]["healed_at"] = None
    drawing = timeline.drawing(read_drill("entry", entry))
    assert drawing is not None
    said = read_page(drawing).texts
    assert "\N{GREATER-THAN OR EQUAL TO} 1.19 s" in said
    assert "hang, not healed" in said


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0001, "< 0.001"), (0.3124, "0.312"), (1.306, "1.31"), (12.44, "12.4"), (358.4, "358")],
)
def test_three_digits_that_matter(value: float, shown: str) -> None:
    assert figures.number(value) == shown


def test_intervals_are_said_once_when_equal() -> None:
    assert figures.interval(20.29, 20.31) == "20.3 s"
    assert figures.interval(0.25, 0.27) == "0.250 \N{EN DASH} 0.270 s"


# The module


def run(capsys: pytest.CaptureFixture[str], *, check: bool = False, **arguments: object) -> Entry:
    with (
        patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
        pytest.raises(SystemExit),
    ):
        drill_report.main()
    result: Entry = json.loads(capsys.readouterr().out)
    return result


def test_module_in_check_mode_and_for_real(tmp_path: Path, entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    arguments: Entry = {
        "directory": str(tmp_path / "reports"),
        "run": RUN,
        "entry": entry,
        "environment": {"machine": "one"},
    }
    would = run(capsys, check=True, **arguments)
    assert not list(tmp_path.iterdir())
    did = run(capsys, **arguments)
    assert {key: would[key] for key in did if key != "invocation"} == {
        key: did[key] for key in did if key != "invocation"
    }
    assert did["changed"] and did["summary"]["passed"] == 1
    assert all(Path(path).exists() for path in did["paths"].values())
    assert run(capsys, check=True, **arguments)["changed"] is False
    again = run(capsys, **arguments)
    assert again["changed"] is False and again["changed_paths"] == []
    assert again["diff"]["before"] == again["diff"]["after"]


def test_module_says_what_is_wrong(tmp_path: Path, entry: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    del entry["fault"]["proof"][0]["active"]
    result = run(capsys, directory=str(tmp_path), run=RUN, entry=entry)
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
