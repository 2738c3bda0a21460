# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The part of the page that shows one drill in full."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.charts import scale_chart
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Content, Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Fault, Move, Probe
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.parts import badge, facts, headed, scrolled, table
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.timeline import drawing


def broken(fault: Fault | None) -> str:
    """What was broken, in words: silence of mariadb on controller2."""
    if fault is None:
        return "nothing was broken"
    what = f"{figures.phrase(fault.form)} of {fault.component}" if fault.component else figures.phrase(fault.form)
    where = f"{what} on {', '.join(fault.target)}" if fault.target else what
    return where if fault.injected_at is not None else f"{where}, not injected"


def moved(move: Move) -> str:
    """What was moved, in words: live migration of web-1 from cmp1 to cmp2 in 9.1 s, 7.9 s predicted."""
    first, names = move.servers[0] if move.servers else None, ", ".join(server.name for server in move.servers)
    way = f" of {names} from {first.source} to {first.destination}" if first else ""
    took = move.measured_s if move.measured_s is not None else move.ended_at - move.began_at
    predicted = f", {figures.seconds(move.predicted_s)} predicted" if move.predicted_s is not None else ""
    return f"{figures.phrase(move.kind)} migration{way} in {figures.seconds(took)}{predicted}"


def drill_section(drill: Drill) -> Markup:
    """Everything that is known about one drill."""
    return element(
        "section",
        element(
            "header",
            element("h3", figures.phrase(drill.name)),
            badge(drill.verdict.value, drill.verdict.value),
            element("small", f"{figures.moment(drill.started_at)}, {figures.seconds(_duration(drill))}"),
        ),
        element("p", drill.says, class_="says"),
        element("ul", *(element("li", reason) for reason in drill.reasons), class_="reasons")
        if drill.reasons
        else None,
        facts(_facts(drill)),
        headed("What clients saw", scrolled(drawing(drill))),
        headed("Measured against allowed", scrolled(_scale(drill))),
        headed("Probes", _probes(drill)),
        headed("Ledgers", _ledgers(drill)),
        headed("Servers", _servers(drill.move)),
        headed("Guests", _guests(drill.move)),
        headed("Refusals", _refusals(drill.move)),
        headed("Proof of fault", _proof(drill.fault)),
        headed("Audits", _audits(drill)),
        _events(drill),
        id=f"drill-{drill.name}",
        class_="drill card",
    )


def _duration(drill: Drill) -> float:
    return max(0.0, drill.finished_at - drill.started_at)


def _facts(drill: Drill) -> list[tuple[str, Content]]:
    probe, fault = drill.headline, drill.fault
    picked = f", picked as {figures.phrase(fault.pick)}" if fault and fault.pick else ""
    outage = None
    if probe:
        measured = figures.interval(probe.longest_outage_lower, probe.longest_outage)
        outage = f"{measured} ({figures.phrase(probe.name)})"
    ratio = f", {drill.ratio_to_limit:.0%} of it reached" if drill.ratio_to_limit is not None else ""
    formula = join(" ", element("code", drill.limit_formula)) if drill.limit_formula else None
    return [
        ("Moved", moved(drill.move) if drill.move else None),
        ("Broken", broken(fault) + picked if fault or not drill.move else None),
        ("Outage", outage),
        ("Bound", figures.seconds(probe.bound) if probe and probe.bound is not None else None),
        ("Limit", join(figures.interval(*drill.limit), ratio, formula) if drill.limit else None),
        ("Recovery", figures.seconds(drill.recovery) if drill.recovery is not None else None),
        ("Tags", ", ".join(drill.tags)),
    ]


def _scale(drill: Drill) -> Markup | None:
    judged = [probe for probe in drill.probes if probe.bound is not None or drill.limit_of(probe)]
    return scale_chart(drill, judged) if judged else None


def _probes(drill: Drill) -> Markup | None:
    if not drill.probes:
        return None
    return table(
        [
            "Probe",
            "Requests",
            "Failed",
            "Slow",
            "Longest outage",
            "In all",
            "Bound",
            "Uncertainty",
            "Late p99",
            "Latency, ms",
        ],
        [_probe_row(drill, probe) for probe in drill.probes],
        numbers=range(1, 10),
    )


def _probe_row(drill: Drill, probe: Probe) -> list[Content]:
    latency = probe.latency
    tail = [("p95", latency.p95), ("p99", latency.p99), ("p99.9", latency.p999), ("worst", latency.max)]
    errors = ", ".join(f"{figures.count(count)} \N{MULTIPLICATION SIGN} {reason}" for reason, count in probe.errors)
    outage = figures.interval(probe.longest_outage_lower, probe.longest_outage)
    return [
        element(
            "div",
            element("b", figures.phrase(probe.name)),
            element("small", f"{figures.phrase(probe.kind)}, {_schedule(probe)}"),
            element("small", errors) if errors else None,
            class_="probe",
        ),
        figures.count(probe.requests),
        figures.count(probe.failed),
        figures.count(probe.slow),
        element("span", outage, class_="alarm") if drill.exceeded_by(probe) else outage,
        figures.seconds(probe.total_outage),
        figures.seconds(probe.bound),
        f"± {figures.seconds(probe.uncertainty)}",
        f"{figures.milliseconds(probe.lateness.p99)} ms",
        join(
            f"p50 {figures.milliseconds(latency.p50)}",
            element("small", ", ".join(f"{name} {figures.milliseconds(value)}" for name, value in tail)),
        ),
    ]


def _schedule(probe: Probe) -> str:
    rate = f"every {1000 * probe.period:g} ms"
    return f"{rate}, slow above {1000 * probe.slo:g} ms" if probe.slo is not None else rate


def _ledgers(drill: Drill) -> Markup | None:
    rows = [
        [
            figures.phrase(probe.name),
            figures.count(ledger.acknowledged),
            figures.count(ledger.refused),
            figures.count(ledger.unknown),
            _alarming(ledger.lost),
            _alarming(ledger.unexpected),
            _alarming(ledger.duplicated),
        ]
        for probe in drill.probes
        for ledger in [probe.ledger]
        if ledger
    ]
    heads = ["Ledger", "Acknowledged", "Refused", "No answer", "Lost", "Unexpected", "Duplicated"]
    return table(heads, rows, numbers=range(1, 7)) if rows else None


def _alarming(value: int) -> Content:
    return element("span", figures.count(value), class_="alarm") if value else figures.count(value)


def _servers(move: Move | None) -> Markup | None:
    if move is None or not move.servers:
        return None
    return table(
        ["Server", "From", "To", "Found on", "Status"],
        [[each.name, each.source, each.destination, each.host, each.status] for each in move.servers],
    )


def _guests(move: Move | None) -> Markup | None:
    if move is None or not move.guests:
        return None
    return table(
        ["Guest", "Same boot", "Counter before", "Counter after", "MiB written a second"],
        [
            [
                each.address,
                None
                if each.boot_before is None or each.boot_after is None
                else _yes(each.boot_before == each.boot_after),
                figures.count(each.counter_before),
                figures.count(each.counter_after),
                None if each.writes_mib_s is None else figures.number(each.writes_mib_s),
            ]
            for each in move.guests
        ],
        numbers=(2, 3, 4),
    )


def _refusals(move: Move | None) -> Markup | None:
    if move is None or not move.refused:
        return None
    return table(
        ["Without", "Refused", "Reason"],
        [[figures.phrase(each.without), _yes(each.refused), each.found] for each in move.refused],
    )


def _proof(fault: Fault | None) -> Markup | None:
    if fault is None or not fault.proof:
        return None
    active = {True: "yes", False: "no", None: "no such role"}
    return table(
        ["Host", "Fault landed", "Was active", "Evidence"],
        [
            [
                proof.host,
                _yes(proof.landed),
                _yes(proof.active) if proof.active is False else active[proof.active],
                proof.evidence,
            ]
            for proof in fault.proof
        ],
    )


def _yes(value: bool) -> Content:
    return "yes" if value else element("span", "no", class_="alarm")


def _audits(drill: Drill) -> Markup | None:
    if not drill.audits:
        return None
    held = {True: element("span", "held", class_="passed"), False: element("span", "broken", class_="alarm")}
    return table(
        ["Audit", "Result", "Found"],
        [[figures.phrase(audit.name), held[audit.passed], audit.detail] for audit in drill.audits],
    )


def _events(drill: Drill) -> Markup | None:
    if not drill.timeline:
        return None
    origin = drill.disturbed_at if drill.disturbed_at is not None else drill.timeline[0].at
    rows = [[figures.offset(event.at, origin), event.host, event.what] for event in drill.timeline]
    return element(
        "details",
        element("summary", f"{len(rows)} events"),
        table(["When", "Host", "What"], rows),
    )
