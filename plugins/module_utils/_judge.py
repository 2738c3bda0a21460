# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The verdict on a drill.

Failed outweighs void, void outweighs missed; every reason is kept. *Failed*: a bound, 1.1 times the predicted maximum,
an audit or the recovery was not kept. *Void*: the measurement cannot tell. *Missed*: the fault did not hit.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_moved import doubts
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import ACTIVE_PICKS, STANDBY_PICKS
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Verdict

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, Fault
    from ansible_collections.lifeboat.cloud.plugins.module_utils._limit_scene import Interval
    from ansible_collections.lifeboat.cloud.plugins.module_utils._measurement import Measurement, Span
    from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Audit, Move, Proof

ABOVE_MAXIMUM = 1.1
BELOW_MINIMUM = 0.9


@dataclasses.dataclass(frozen=True, slots=True)
class Recovered:
    """Whether the steady state came back, after how many seconds, and what was still amiss when it did not."""

    recovered: bool
    seconds: float | None
    findings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """All that a drill left behind."""

    victims: tuple[str, ...]
    limit: Interval | None
    proofs: tuple[Proof, ...]
    measurements: tuple[Measurement, ...]
    recovery: Recovered
    audits: tuple[Audit, ...]
    allowance_s: float = 0.0
    move: Move | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, its reasons as sentences, and the longest outage over the predicted maximum."""

    verdict: Verdict
    reasons: tuple[str, ...]
    ratio_to_limit: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One reason and the verdict it speaks for."""

    verdict: Verdict
    reason: str


def refuse(reason: str) -> Judgement:
    """The judgement on a drill that was not started."""
    return Judgement(Verdict.REFUSED, (reason,))


def judge(drill: Drill, record: Record) -> Judgement:
    """The judgement on a drill that was carried out."""
    misses = list(_misses(drill.fault, record)) if drill.fault else []
    findings = [
        *(finding for measurement in record.measurements for finding in _judge_probe(measurement, hit=not misses)),
        *_judge_limit(drill, record),
        *_judge_aftermath(drill, record),
        *_absent_probes(drill, record),
        *_judge_move(drill, record),
        *misses,
    ]
    verdicts = {finding.verdict for finding in findings}
    order = (Verdict.FAILED, Verdict.VOID, Verdict.MISSED)
    return Judgement(
        verdict=next((verdict for verdict in order if verdict in verdicts), Verdict.PASSED),
        reasons=tuple(finding.reason for verdict in order for finding in findings if finding.verdict is verdict),
        ratio_to_limit=_ratio(drill, record),
    )


def _misses(fault: Fault, record: Record) -> Iterator[Finding]:
    """Whether the fault landed on every victim, and the victim was in the role that the drill aims at."""
    proofs = {proof.host: proof for proof in record.proofs}
    pick = fault.pick
    for victim in record.victims:
        proof = proofs.get(victim)
        if proof is None or not proof.landed:
            evidence = proof.evidence if proof else "none"
            yield _missed(f"The fault {fault.form} did not land on {victim}; evidence: {evidence}.")
        elif pick in ACTIVE_PICKS and not proof.active:
            role = "was not" if proof.active is False else "was not shown to be"
            yield _missed(f"{victim} {role} the active member ({pick}) when the fault hit it.")
        elif pick in STANDBY_PICKS and proof.active:
            yield _missed(f"{victim} was the active member when the fault hit it, though the drill aims at {pick}.")
    if not record.victims:
        yield _missed("No host was hit.")


def _judge_move(drill: Drill, record: Record) -> Iterator[Finding]:
    if drill.move is None:
        return
    if record.move is None:
        yield _void("What became of the servers was not looked at.")
        return
    reboots = max((demand.bound.reboots or 0 for demand in drill.probes), default=0)
    for doubt in doubts(drill.move, record.move, reboots):
        yield (_missed if doubt.missed else _failed)(doubt.reason)


def _judge_probe(measurement: Measurement, *, hit: bool) -> Iterator[Finding]:
    name, demand = measurement.probe.name, measurement.demand
    if measurement.uncovered:
        yield _void(f"{name} did not watch the whole fault: {measurement.uncovered}.")
    if measurement.early_outage and measurement.judged_by_time:
        length = measurement.early_outage
        yield _void(f"The cloud was not steady: {name} saw an outage of {length:.2f} s before the fault.")
    if measurement.late:
        yield _void(
            f"{name} was itself late by {measurement.probe.lateness.p99 or 0:.0f} ms (p99), more than "
            f"{measurement.tolerance * 1000:.0f} ms, so its times tell nothing."
        )
    else:
        yield from _judge_rates(measurement)
    told = [span.lower for span in measurement.told]
    yield from _judge_span(measurement, "outage", measurement.longest, max(told, default=0.0), demand.bound.outage)
    yield from _judge_span(measurement, "total outage", measurement.total, sum(told), demand.bound.total)
    yield from _judge_ledger(measurement)
    # A service that was not seen to fail says nothing about it when nothing hit it or nobody looked.
    if hit and not measurement.uncovered:
        yield from _judge_at_least(measurement)


def _judge_span(measurement: Measurement, what: str, span: Span, told: float, bound: float | None) -> Iterator[Finding]:
    """A late probe convicts only by an excess beyond its own worst lateness, and not at all on a shared machine.

    ``told`` is the part of ``span.lower`` that is the cloud's own.
    """
    name = measurement.probe.name
    if bound is None:
        return
    if told - measurement.excuse > bound:
        yield _failed(f"{name}: {what} of at least {told:.2f} s, bound {bound:.2f} s.")
    elif span.lower > bound:
        why = "the probe itself was late" if measurement.late else "a host booted on the same machine meanwhile"
        yield _void(f"{name}: {what} of at least {span.lower:.2f} s, bound {bound:.2f} s, but {why}.")
    elif span.upper > bound:
        upper = "an unknown time" if math.isinf(span.upper) else f"{span.upper:.2f} s"
        yield _void(f"{name}: {what} between {span.lower:.2f} s and {upper}, bound {bound:.2f} s in between.")


def _judge_rates(measurement: Measurement) -> Iterator[Finding]:
    probe, bound = measurement.probe, measurement.demand.bound
    unwanted = measurement.demand.error_lacks
    counted = sum(count for reason, count in probe.errors if unwanted is not None and unwanted in reason)
    if counted:
        yield _failed(f"{probe.name}: {counted} of {probe.requests} requests failed with {unwanted!r}, bound 0.")
    if bound.failed is not None and probe.failed > bound.failed:
        yield _failed(f"{probe.name}: {probe.failed} of {probe.requests} requests failed, bound {bound.failed}.")
    for key, allowed, measured in (("p99", bound.p99, probe.latency.p99), ("p99.9", bound.p999, probe.latency.p999)):
        if allowed is not None and measured is not None and measured / 1000 > allowed:
            yield _failed(f"{probe.name}: {key} latency {measured / 1000:.2f} s, bound {allowed:.2f} s.")


def _judge_ledger(measurement: Measurement) -> Iterator[Finding]:
    """Nothing that was acknowledged may be lost, unless the drill says otherwise."""
    ledger, allowed = measurement.probe.ledger, measurement.demand.bound.lost
    if ledger is not None and ledger.lost > (allowed or 0):
        yield _failed(
            f"{measurement.probe.name}: {ledger.lost} of {ledger.acknowledged} acknowledged writes are lost, "
            f"bound {allowed or 0}."
        )
    reboots = measurement.demand.bound.reboots
    if ledger is not None and reboots is not None and ledger.unexpected > reboots:
        yield _failed(f"{measurement.probe.name}: booted {ledger.unexpected} times meanwhile, bound {reboots}.")
    if measurement.ledger_unread or (ledger is None and allowed is not None):
        yield _void(f"{measurement.probe.name}: no ledger was read back, so a loss cannot be told.")


def _judge_at_least(measurement: Measurement) -> Iterator[Finding]:
    probe, least, longest = measurement.probe, measurement.demand.at_least, measurement.longest
    if least.outage is not None and longest.upper < least.outage:
        yield _failed(f"{probe.name}: outage of at most {longest.upper:.2f} s, must be at least {least.outage:.2f} s.")
    elif least.outage is not None and longest.lower < least.outage:
        yield _void(
            f"{probe.name}: outage between {longest.lower:.2f} s and {longest.upper:.2f} s, "
            f"must be at least {least.outage:.2f} s."
        )
    if least.failed is not None and probe.failed < least.failed:
        yield _failed(f"{probe.name}: {probe.failed} requests failed, must be at least {least.failed}.")
    sought = measurement.demand.error_contains
    reasons = [reason for reason, _count in probe.errors]
    if sought is not None and not any(sought in reason for reason in reasons):
        yield _failed(f"{probe.name}: no error contains {sought!r}; seen: {', '.join(reasons) or 'none'}.")


def _limited(drill: Drill, measurements: Iterable[Measurement]) -> Measurement | None:
    name = drill.limit.probe if drill.limit else None
    return next((measurement for measurement in measurements if measurement.probe.name == name), None)


def _judge_limit(drill: Drill, record: Record) -> Iterator[Finding]:
    measurement, limit = _limited(drill, record.measurements), record.limit
    if measurement is None or limit is None or measurement.uncovered:
        return
    name, longest = measurement.probe.name, measurement.longest
    told = max((span.lower for span in measurement.told), default=0.0)
    if told - measurement.excuse > ABOVE_MAXIMUM * limit.maximum + record.allowance_s:
        allowed = f" and this machine {record.allowance_s:.2f} s more" if record.allowance_s else ""
        yield _failed(
            f"{name}: outage of at least {told:.2f} s, though the protocol allows "
            f"at most {limit.maximum:.2f} s{allowed}."
        )
    if longest.upper < BELOW_MINIMUM * limit.minimum:
        yield _missed(
            f"{name}: outage of at most {longest.upper:.2f} s, though a fault that hits costs "
            f"at least {limit.minimum:.2f} s."
        )


def _ratio(drill: Drill, record: Record) -> float | None:
    measurement, limit = _limited(drill, record.measurements), record.limit
    if measurement is None or limit is None or limit.maximum <= 0:
        return None
    return round(min(measurement.longest.upper, measurement.probe.longest_outage) / limit.maximum, 4)


def _judge_aftermath(drill: Drill, record: Record) -> Iterator[Finding]:
    recovery, within = record.recovery, drill.recovery.within
    if not recovery.recovered:
        yield _failed(
            f"The steady state did not come back within {within:g} s: {'; '.join(recovery.findings) or 'no findings'}."
        )
    elif recovery.seconds is not None and recovery.seconds > within:
        yield _failed(f"The steady state came back after {recovery.seconds:.1f} s, not within {within:g} s.")
    for audit in record.audits:
        if not audit.passed:
            yield _failed(f"Audit {audit.name}: {audit.detail}.")
    audited = {audit.name for audit in record.audits}
    for name in drill.audits:
        if name not in audited:
            yield _void(f"The audit {name} was not made.")


def _absent_probes(drill: Drill, record: Record) -> Iterator[Finding]:
    present = {measurement.probe.name for measurement in record.measurements}
    for demand in drill.probes:
        if demand.name not in present:
            yield _void(f"{demand.name} left no result.")


def _failed(reason: str) -> Finding:
    return Finding(Verdict.FAILED, reason)


def _void(reason: str) -> Finding:
    return Finding(Verdict.VOID, reason)


def _missed(reason: str) -> Finding:
    return Finding(Verdict.MISSED, reason)
