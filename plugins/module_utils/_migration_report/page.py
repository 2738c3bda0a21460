# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The run as one HTML page, made of the same parts as the page of the drills."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.chart import LOOKS, chart
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.measures import amount, ratio
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.findings import Finding, weight
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Content, Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.parts import (
    badge,
    beside,
    document,
    facts,
    figure,
    headed,
    line,
    scrolled,
    table,
    tally,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import (
        Phase,
        Receipt,
        Run,
        State,
    )
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.summary import Summary

_HEADS = ("Server", "Verdict", "From, to", "Began, UTC", "Time", "Bytes", "Stood still")


def page(run: Run, judged: Sequence[Judged], summary: Summary) -> str:
    """The page."""
    drawn = chart(judged)
    return document(
        f"Migrations {run.name}",
        _header(run, summary),
        _figures(summary),
        _attention(judged),
        _stayed(run),
        join(element("h2", "Over time"), _key(), element("div", scrolled(drawn), class_="drill card"))
        if drawn
        else None,
        element("h2", "All migrations") if judged else None,
        element("div", _overview(judged), class_="overview card") if judged else None,
        _footer(),
    )


def _header(run: Run, summary: Summary) -> Markup:
    total = len(run.receipts)
    moved = summary.moved + summary.moved_with_warnings
    title = (
        f"All {figures.count(total)} migrations arrived"
        if moved == total
        else (f"{figures.count(moved)} of {figures.count(total)} migrations arrived")
    )
    if total == 1 and moved:
        title = "The migration arrived"
    return element(
        "header",
        element("p", f"lifeboat.cloud, {run.goal}, run {run.name}", class_="eyebrow"),
        element("h1", title if total else "Nothing was moved"),
        tally((verdict.value, LOOKS[verdict], count) for verdict, count in summary.counts().items()),
    )


def _figures(summary: Summary) -> Markup:
    serious = element("span", str(summary.serious), class_="failed") if summary.serious else "0"
    return element(
        "dl",
        figure("Time of all", figures.seconds(summary.elapsed_s), _planned(summary)),
        figure("Median error of the predictions", figures.percent(summary.prediction_error), "of the time of a server"),
        figure("Sent", figures.amount(summary.bytes) if summary.bytes else None, "at least, as was said last"),
        figure("Longest stand-still", figures.seconds(summary.longest_downtime_s), "as far as it was measured"),
        figure("Serious findings", serious, f"and {summary.harmless} harmless"),
        class_="figures",
    )


def _planned(summary: Summary) -> Markup | None:
    if summary.predicted_s is None:
        return None
    said = f"predicted {figures.seconds(summary.predicted_s)}"
    if summary.lower_bound_s is not None:
        said += f", at least {figures.seconds(summary.lower_bound_s)}"
    against = f"{figures.percent(summary.ratio)} of the prediction" if summary.ratio is not None else None
    return join(said, line(against))


def _attention(judged: Sequence[Judged]) -> Markup | None:
    """Servers that did not move or that somebody should look at."""
    items = [
        element(
            "li",
            badge(each.verdict.value, LOOKS[each.verdict]),
            element("div", _link(number, each), element("div", said, class_="soft")),
        )
        for number, each in enumerate(judged)
        for said in [_worries(each)]
        if said
    ]
    return (
        join(element("h2", "Needs attention"), element("ul", *items, class_="attention long card")) if items else None
    )


def _worries(each: Judged) -> str:
    told = [] if each.case.receipt.moved else [each.case.receipt.found or "no reason was given"]
    told += [finding.says for finding in each.findings if finding.serious]
    return "; ".join(told)


def _link(number: int, each: Judged) -> Markup:
    return element("a", each.case.receipt.name, href=f"#m{number}")


def _stayed(run: Run) -> Markup | None:
    if not run.stayed:
        return None
    note = "For these no way was found; the plan has the reasons."
    names = element("p", ", ".join(run.stayed))
    return join(element("h2", "Stayed"), element("div", names, element("small", note), class_="environment card"))


def _key() -> Markup:
    def sample(class_: str, top: float, height: float) -> Markup:
        box = element("rect", x=1, y=top, width=24, height=height, rx=2, class_=class_)
        return element("svg", box, viewBox="0 0 26 20", width=26, height=20, aria_hidden="true")

    return element(
        "div",
        element("span", sample("limit", 3, 14), "predicted"),
        element("span", sample("bin-ok", 6.5, 7), "moved"),
        element("span", sample("bin-slow", 6.5, 7), "moved with warnings"),
        element("span", sample("bin-failed", 6.5, 7), "not moved"),
        class_="key",
    )


def _overview(judged: Sequence[Judged]) -> Markup:
    rows = [_row(number, each) for number, each in enumerate(judged)]
    return table(_HEADS, rows, numbers=(4, 5, 6), below=[_below(each) for each in judged])


def _row(number: int, each: Judged) -> list[Content]:
    case, receipt = each.case, each.case.receipt
    planned = receipt.planned
    stood = [f"{one.method} {figures.seconds(one.seconds)}" for one in case.downtimes]
    return [
        element("div", element("b", receipt.name), id=f"m{number}"),
        join(badge(each.verdict.value, LOOKS[each.verdict]), element("small", _way(receipt))),
        element(
            "span", f"{receipt.source} \N{RIGHTWARDS ARROW} {receipt.destination or figures.NOTHING}", class_="whole"
        ),
        element("span", figures.moment(receipt.begins).removesuffix(" UTC"), class_="whole"),
        beside(figures.seconds(receipt.seconds), figures.seconds(planned.total_s), case.slowness),
        beside(amount(case.sent), figures.amount(planned.transferred), None),
        beside(
            ", ".join(stood) or figures.NOTHING,
            figures.seconds(planned.downtime_s),
            ratio(case.downtime_s, planned.downtime_s),
        ),
    ]


def _way(receipt: Receipt) -> str:
    mode = receipt.planned.mode
    return receipt.kind if mode == receipt.kind else f"{receipt.kind}, {mode}"


def _finding(finding: Finding) -> Markup:
    return element("small", weight(finding), f": {finding.says}. {finding.why}")


def _below(each: Judged) -> Markup:
    """What is to be said of one migration, and what was seen of it, folded until somebody asks."""
    said = (line(each.case.receipt.found), *(_finding(finding) for finding in each.findings))
    return join(*said, _folded(each))


def _folded(each: Judged) -> Markup:
    receipt = each.case.receipt
    assumed = receipt.planned.step.get("assumed")
    expected = [(figures.phrase(name), f"{value:.4g}") for name, value in _numbers(assumed)]
    moved = [
        (figures.phrase(name), figures.amount(value))
        for name, value in receipt.transferred.items()
        if name.startswith(("memory_", "disk_"))
    ]
    return element(
        "details",
        element("summary", f"{len(receipt.phases)} phases, {len(receipt.timeline)} states"),
        element("code", receipt.server),
        headed("Phases", _phases(receipt.phases)),
        headed("States", _states(receipt.timeline)),
        headed("Sent, as was said last", facts(moved) if moved else None),
        headed("Assumed, in bytes and seconds", facts(expected) if expected else None),
    )


def _numbers(assumed: object) -> list[tuple[str, float]]:
    if not isinstance(assumed, dict):
        return []
    return [(str(name), float(value)) for name, value in assumed.items() if isinstance(value, (int, float))]


def _phases(phases: Sequence[Phase]) -> Markup | None:
    if not phases:
        return None
    origin = phases[0].began
    rows = [
        [
            figures.offset(each.began, origin),
            each.name,
            each.host,
            figures.seconds(each.seconds),
            each.result if each.result != "Error" else element("span", "Error", class_="alarm"),
        ]
        for each in phases
    ]
    return table(("When", "Phase", "Host", "Took", "Result"), rows, numbers=(0, 3))


def _states(states: Sequence[State]) -> Markup | None:
    if not states:
        return None
    rows = [[f"+{each.at_s:.2f} s", each.record, each.server, each.task] for each in states]
    return table(("When", "Record", "Server", "Task"), rows, numbers=(0,))


def _footer() -> Markup:
    return element(
        "footer",
        element(
            "p",
            "Time is from the request until Nova is through with the server. Bytes are those that the hypervisor "
            "counted in the end, or else that Nova said last, every five seconds, with ≥ where more was sent later. A "
            "server's stand-still is "
            "as long as a client outside saw it (client), as the hypervisor counted (libvirt), or from its shutting "
            "down to its start (Nova, in whole seconds, for cold migrations).",
        ),
        element(
            "p",
            "Moved: the server is on another host. Not moved: it is where it was, or must be looked for. Stayed: there "
            "was no way for it. Serious is what somebody has to look at. The same figures are in the receipts beside "
            "this page.",
        ),
    )
