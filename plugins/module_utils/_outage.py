# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Arithmetic on the samples of an open-loop probe: outages as intervals, latency, lateness.

All times are seconds on one monotonic clock. A request is *good* when it succeeded within the service
level objective, counted from the moment at which it was *scheduled*: what a late probe or a queue in
front of the service adds is waited for by clients too (no coordinated omission). Everything else is
bad: an error, or a *stall* (a success that came too late).

An outage is a maximal run of bad requests, ordered by start. Its true length is known only between two
bounds, because the service is seen only where a request meets it:

upper bound
    From the last good request before the run to the first good one after it. Both met a living service
    at an unknown point of their duration, the same fraction of it for both; the worst case over that
    fraction is the larger of the distance of their starts and the distance of their ends.

lower bound
    From the first proof of absence to the last one inside the run. A request that failed within the
    objective met a dead service between its start and its end. A request that waited longer had not
    been served by its start plus the *service time* (95th percentile of the good requests before the
    first bad one, since what follows a fault is slower for it). A stall proves absence until its end
    minus the service time, unless a request that was started after it was served earlier: then only
    this one request was stuck (a lost packet, one hung backend). A request served in time that was
    merely started late proves presence, and separates proofs.
"""

from __future__ import annotations

import itertools
import math
import typing as t
from collections import Counter
from dataclasses import dataclass
from operator import attrgetter

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STALL = "slower than the objective"
MIN_UNDISTURBED = 20


class Sample(t.NamedTuple):
    """One request: when it was due, when it began, when it ended (seconds), and how."""

    scheduled: float
    started: float
    finished: float
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outage:
    """A maximal run of bad requests. ``started`` is the start of the first one; lengths in seconds."""

    started: float
    lower: float
    upper: float
    requests: int
    reason: str

    @property
    def estimate(self) -> float:
        """The middle of the interval."""
        return (self.lower + self.upper) / 2


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles in seconds; all 0 when there was nothing to measure."""

    p50: float
    p95: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the samples of one probe say. Lengths in seconds.

    ``failed`` counts errors, ``slow`` counts stalls; latency is that of the successes, from the scheduled time.
    """

    requests: int
    failed: int
    slow: int
    outages: tuple[Outage, ...]
    longest: Outage | None
    total_outage: float
    uncertainty: float
    lateness: Percentiles
    latency: Percentiles


@dataclass(frozen=True, slots=True)
class _Run:
    """The bad samples between two good ones; ``None`` where the samples begin or end with the outage."""

    before: Sample | None
    bad: Sequence[Sample]
    after: Sample | None
    # The earliest end among all good requests that were started after the run.
    served_again: float


def is_good(sample: Sample, slo: float) -> bool:
    """Whether the request succeeded within ``slo`` seconds of its scheduled time."""
    return sample.ok and sample.finished - sample.scheduled <= slo


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile of ascending values; 0 when there are none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def percentiles(values: Iterable[float]) -> Percentiles:
    """The percentiles of the values, in any order."""
    ordered = sorted(values)
    return Percentiles(*(percentile(ordered, fraction) for fraction in (0.5, 0.95, 0.99, 0.999, 1.0)))


def analyse(samples: Iterable[Sample], slo: float, period: float) -> Analysis:
    """Judge the samples of one probe; without any outage the uncertainty is two periods."""
    ordered = sorted(samples, key=attrgetter("started"))
    service_time = _service_time(ordered, slo)
    outages = tuple(_outage(run, slo, service_time) for run in _runs(ordered, slo))
    longest = max(outages, key=lambda outage: outage.upper, default=None)
    successes = [sample for sample in ordered if sample.ok]
    return Analysis(
        requests=len(ordered),
        failed=len(ordered) - len(successes),
        slow=sum(1 for sample in successes if not is_good(sample, slo)),
        outages=outages,
        longest=longest,
        total_outage=sum(outage.upper for outage in outages),
        uncertainty=longest.upper - longest.lower if longest else 2 * period,
        lateness=percentiles(sample.started - sample.scheduled for sample in ordered),
        latency=percentiles(sample.finished - sample.scheduled for sample in successes),
    )


def _service_time(ordered: Sequence[Sample], slo: float) -> float:
    """From the good requests before the first bad one; from all good ones when those are few; else the objective."""
    undisturbed = list(itertools.takewhile(lambda sample: is_good(sample, slo), ordered))
    if len(undisturbed) < MIN_UNDISTURBED:
        undisturbed = [sample for sample in ordered if is_good(sample, slo)]
    durations = sorted(sample.finished - sample.started for sample in undisturbed)
    return percentile(durations, 0.95) if durations else slo


def _runs(ordered: Sequence[Sample], slo: float) -> list[_Run]:
    """The maximal runs of bad samples, in order."""
    found: list[_Run] = []
    served_again = math.inf
    after: Sample | None = None
    end = len(ordered)
    # Backwards, because served_again looks at everything that follows.
    for index in range(len(ordered) - 1, -2, -1):
        before = ordered[index] if index >= 0 else None
        if before is not None and not is_good(before, slo):
            continue
        if end - index > 1:
            found.append(_Run(before, ordered[index + 1 : end], after, served_again))
        if before is not None:
            served_again = min(served_again, before.finished)
        after, end = before, index
    return found[::-1]


def _outage(run: _Run, slo: float, service_time: float) -> Outage:
    upper = _upper_bound(run)
    reasons = Counter(STALL if sample.ok else sample.reason for sample in run.bad)
    return Outage(
        started=run.bad[0].started,
        lower=min(upper, _lower_bound(run, slo, service_time)),
        upper=upper,
        requests=len(run.bad),
        reason=reasons.most_common(1)[0][0],
    )


def _upper_bound(run: _Run) -> float:
    """Where the samples begin or end with the outage, nothing outside of them is counted."""
    first = run.bad[0]
    last_end = max(sample.finished for sample in run.bad)
    started, ended = (run.before.started, run.before.finished) if run.before else (first.scheduled, first.scheduled)
    again_started, again_ended = (run.after.started, run.after.finished) if run.after else (last_end, last_end)
    return max(again_started - started, again_ended - ended)


def _lower_bound(run: _Run, slo: float, service_time: float) -> float:
    longest = 0.0
    absent_since = math.inf
    for sample in run.bad:
        waited = sample.finished - sample.started > slo
        if sample.ok and not waited:
            absent_since = math.inf
            continue
        absent_since = min(absent_since, sample.started + service_time if waited else sample.finished)
        absent_until = sample.started
        if sample.ok and sample.finished - service_time <= run.served_again:
            absent_until = sample.finished - service_time
            longest = max(longest, absent_until - sample.started)
        longest = max(longest, absent_until - absent_since)
    return longest
