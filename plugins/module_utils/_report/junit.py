# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The report as JUnit XML: one test case per drill, for CI systems that show test results."""

from __future__ import annotations

import datetime
import re
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Report, Verdict

_OUTCOMES = {
    Verdict.FAILED: "failure",
    Verdict.MISSED: "failure",
    Verdict.VOID: "error",
    Verdict.REFUSED: "skipped",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report) -> str:
    """The report as a JUnit document."""
    counts = report.summary
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": "lifeboat.drill",
            "id": _clean(report.run),
            "tests": str(len(report.drills)),
            "failures": str(counts["failed"] + counts["missed"]),
            "errors": str(counts["void"]),
            "skipped": str(counts["refused"]),
            "time": f"{sum(_duration(drill) for drill in report.drills):.3f}",
            "timestamp": datetime.datetime.fromtimestamp(report.started_at or 0, datetime.UTC).strftime(
                "%Y-%m-%dT%H:%M:%S"
            ),
        },
    )
    suite.extend(_test_case(drill) for drill in report.drills)
    document = ElementTree.Element("testsuites", {"name": "lifeboat.cloud"})
    document.append(suite)
    ElementTree.indent(document)
    return ElementTree.tostring(document, encoding="unicode", xml_declaration=True) + "\n"


def _test_case(drill: Drill) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", {"classname": "lifeboat.drill", "name": drill.name, "time": f"{_duration(drill):.3f}"}
    )
    properties = ElementTree.SubElement(case, "properties")
    for name, value in _properties(drill):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    if drill.verdict in _OUTCOMES:
        message = "; ".join(drill.reasons) or drill.verdict
        outcome = ElementTree.SubElement(
            case, _OUTCOMES[drill.verdict], {"type": drill.verdict, "message": _clean(message)}
        )
        outcome.text = _clean("\n".join([drill.says, *drill.reasons]))
    return case


def _properties(drill: Drill) -> list[tuple[str, str]]:
    """The figures of the drill; durations in seconds."""
    figures: list[tuple[str, object]] = [("verdict", drill.verdict.value)]
    if drill.limit:
        figures += [("limit_min_s", drill.limit[0]), ("limit_max_s", drill.limit[1])]
    figures += [("ratio_to_limit", drill.ratio_to_limit), ("recovery_s", drill.recovery), ("lost", drill.lost)]
    for probe in drill.probes:
        figures += [
            (f"{probe.name}.longest_outage_lower_s", probe.longest_outage_lower),
            (f"{probe.name}.longest_outage_s", probe.longest_outage),
            (f"{probe.name}.bound_s", probe.bound),
            (f"{probe.name}.requests", probe.requests),
            (f"{probe.name}.failed", probe.failed),
        ]
    return [(name, str(value)) for name, value in figures if value is not None]


def _duration(drill: Drill) -> float:
    return max(0.0, drill.finished_at - drill.started_at)


def _clean(value: str) -> str:
    """``value`` without the characters that XML cannot carry."""
    return _NOT_XML.sub("�", value)
