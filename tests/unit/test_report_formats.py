# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for machines: JUnit XML and Prometheus text."""

from __future__ import annotations

import copy
import re
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.junit import junit_xml
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.metrics import metrics_text
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import (
    RUN,
    SAMPLES,
    TEXTS,
    Entry,
    changed,
    report_of,
)
from hypothesis import given


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
