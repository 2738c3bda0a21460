# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import json
import statistics
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.charts import scale_bar, sparkline
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.history import Figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Content, Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Report, Verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.parts import (
    badge,
    document,
    facts,
    figure,
    table,
    tally,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.section import broken, drill_section, moved

Trends = t.Mapping[str, t.Sequence[Figures]]


def report_page(report: Report, trends: Trends) -> str:
    """The page. ``trends`` has the earlier figures of each drill by its name, oldest first."""
    return document(
        f"Failure drills {report.run}",
        _header(report),
        _key_figures(report),
        _attention(report),
        element("h2", "All drills"),
        _key(),
        element("div", _overview(report, trends), class_="overview card"),
        element("h2", "Environment"),
        element("div", _environment(report), class_="environment card"),
        element("h2", "Each drill") if report.drills else None,
        _timeline_key() if report.drills else None,
        *(drill_section(drill) for drill in report.drills),
        _footer(),
    )


def _header(report: Report) -> Markup:
    counts = report.summary
    total = len(report.drills)
    if counts["passed"] == total:
        title = f"All {total} failure drills passed" if total != 1 else "The failure drill passed"
    else:
        title = f"{counts['passed']} of {total} failure drills passed"
    return element(
        "header",
        element("p", f"lifeboat.cloud, run {report.run}", class_="eyebrow"),
        element("h1", title if total else "No drill has run"),
        element("p", f"{figures.moment(report.started_at)} to {figures.moment(report.finished_at)}", class_="lead"),
        tally((name, name, count) for name, count in counts.items()),
    )


def _key_figures(report: Report) -> Markup:
    judged = [
        (drill, probe) for drill in report.drills for probe in [drill.headline] if probe and probe.bound is not None
    ]
    longest = max(judged, key=lambda pair: pair[1].longest_outage, default=None)
    nearest = max(
        (drill for drill in report.drills if drill.ratio_to_limit is not None),
        key=lambda drill: drill.ratio_to_limit or 0.0,
        default=None,
    )
    slowest = max(
        (drill for drill in report.drills if drill.recovery is not None),
        key=lambda drill: drill.recovery or 0.0,
        default=None,
    )
    ledgers = [ledger for drill in report.drills for ledger in drill.ledgers]
    acknowledged, lost = sum(one.acknowledged for one in ledgers), sum(one.lost for one in ledgers)
    return element(
        "dl",
        figure(
            "Acknowledged writes lost",
            element("span", figures.count(lost), class_="failed" if lost else None) if ledgers else figures.NOTHING,
            f"of {figures.count(acknowledged)} acknowledged" if ledgers else "no ledger was kept",
        ),
        figure(
            "Longest outage with a bound",
            figures.seconds(longest[1].longest_outage) if longest else None,
            _link(longest[0]) if longest else None,
        ),
        figure(
            "Closest to its limit",
            f"{nearest.ratio_to_limit:.0%}" if nearest and nearest.ratio_to_limit is not None else None,
            _link(nearest) if nearest else None,
        ),
        figure(
            "Slowest recovery",
            figures.seconds(slowest.recovery) if slowest else None,
            _link(slowest) if slowest else None,
        ),
        class_="figures",
    )


def _done(drill: Drill) -> str:
    return moved(drill.move) if drill.move else broken(drill.fault)


def _link(drill: Drill) -> Markup:
    return element("a", figures.phrase(drill.name), href=f"#drill-{drill.name}")


def _attention(report: Report) -> Markup | None:
    others = [drill for drill in report.drills if drill.verdict is not Verdict.PASSED]
    if not others:
        return None
    items = [
        element(
            "li",
            badge(drill.verdict.value, drill.verdict.value),
            element("div", _link(drill), element("div", " ".join(drill.reasons), class_="soft")),
        )
        for drill in others
    ]
    return join(element("h2", "Needs attention"), element("ul", *items, class_="attention card"))


def _overview(report: Report, trends: Trends) -> Markup:
    heads = [
        "Drill",
        "Verdict",
        "Outage",
        "Bound",
        "Limit",
        "Measured against allowed",
        "Lost writes",
        "Recovery",
        "Trend",
    ]
    rows = [_overview_row(drill, trends.get(drill.name, ())) for drill in report.drills]
    return table(heads, rows, numbers=(2, 3, 4, 6, 7))


def _overview_row(drill: Drill, before: t.Sequence[Figures]) -> list[Content]:
    probe, lost = drill.headline, drill.lost
    outage = figures.interval(probe.longest_outage_lower, probe.longest_outage) if probe else figures.NOTHING
    return [
        element("div", _link(drill), element("small", _done(drill)), class_="name"),
        badge(drill.verdict.value, drill.verdict.value),
        join(
            element("span", outage, class_="alarm" if probe and drill.exceeded_by(probe) else None),
            element("small", figures.phrase(probe.name)) if probe else None,
        ),
        figures.seconds(probe.bound) if probe else figures.NOTHING,
        figures.interval(*drill.limit) if drill.limit else figures.NOTHING,
        element("div", scale_bar(drill, probe), element("small", _ratio(drill)), class_="measure") if probe else None,
        element("span", figures.count(lost), class_="alarm" if lost else None),
        figures.seconds(drill.recovery),
        _trend(drill, before),
    ]


def _ratio(drill: Drill) -> str | None:
    return None if drill.ratio_to_limit is None else f"{drill.ratio_to_limit:.0%} of the limit"


def _trend(drill: Drill, before: t.Sequence[Figures]) -> Content:
    line = sparkline(before, drill)
    if line is None:
        return element("small", "first run")
    outages = [one.longest_outage_s for one in before if one.longest_outage_s is not None]
    return join(line, element("small", f"median {figures.seconds(statistics.median(outages))}", class_="whole"))


def _key() -> Markup:
    def sample(*shapes: Markup) -> Markup:
        return element("svg", *shapes, viewBox="0 0 26 20", width=26, height=20, aria_hidden="true")

    limit = element("rect", x=1, y=2, width=24, height=16, rx=3, class_="limit")
    measured = element("rect", x=1, y=6.5, width=24, height=7, rx=1.5, class_="measured")
    bound = join(
        element("line", x1=13, x2=13, y1=1, y2=19, class_="bound"), element("path", d="M9 0h8l-4 5z", class_="flag")
    )
    return element(
        "div",
        element("span", sample(measured), "measured, from least to most"),
        element("span", sample(limit), "what the protocol allows with the settings in force"),
        element("span", sample(bound), "what the drill accepts"),
        class_="key",
    )


def _timeline_key() -> Markup:
    def sample(class_: str, top: float, height: float) -> Markup:
        box = element("rect", x=4, y=top, width=9, height=height, class_=class_)
        return element("svg", box, viewBox="0 0 18 20", width=18, height=20, aria_hidden="true")

    outage = element(
        "svg",
        element("line", x1=0, x2=30, y1=10, y2=10, class_="outage"),
        element("line", x1=6, x2=24, y1=10, y2=10, class_="outage certain"),
        viewBox="0 0 30 20",
        width=30,
        height=20,
        aria_hidden="true",
    )
    return element(
        "div",
        element("span", sample("bin-ok", 9, 11), "answered; the higher, the slower (square-root scale)"),
        element("span", sample("bin-slow", 2, 18), "slower than its objective (dashed line)"),
        element("span", sample("bin-failed", 0, 14), "failed, from the top; the longer, the larger the share"),
        element("span", outage, "outage: certain, and at most"),
        element(
            "span",
            element(
                "svg",
                element("rect", x=0, y=0, width=26, height=20, class_="fault"),
                viewBox="0 0 26 20",
                width=26,
                height=20,
            ),
            "fault in effect",
        ),
        class_="key",
    )


def _environment(report: Report) -> Markup:
    if not report.environment:
        return element("p", "Nothing was said about where the drills ran.", class_="soft")
    return facts((figures.phrase(name), _said(value)) for name, value in report.environment.items())


def _said(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(item)}" for name, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _footer() -> Markup:
    return element(
        "footer",
        element(
            "p",
            "An outage is given as an interval: at least the time from the first to the last failed request, at most "
            "the time from the last success before to the first success after. Answers slower than the probe's "
            "objective count as outage. Probes send on a fixed schedule, whether or not the last answer has come.",
        ),
        element(
            "p",
            "Passed: bound and 110 % of the limit held, no acknowledged write was lost, every audit held. Failed: one "
            "of these did not hold. Void: the measurement could not tell. Missed: the fault did not hit the active "
            "member. Refused: not started, because it would not have been safe. The same figures are in report.json "
            "beside this page.",
        ),
    )
