# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The samples of one probe in compact arrays: 18 bytes a request, so that a run of minutes stays small.

Clock: times are seconds of the monotonic clock (``time.monotonic``). It is anchored to the wall clock once,
when the run starts: epoch = monotonic + :attr:`Clock.epoch`. A step of the wall clock during a drill
therefore moves neither outages nor latencies.
"""

from __future__ import annotations

import math
import time
import typing as t
from array import array
from collections import Counter
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._outage import Sample

if t.TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REASONS = 20
OTHER_REASONS = "other errors"
UNFINISHED = "unfinished when the probes were stopped"
MAX_BINS = 240
_PENDING = -1
_SUCCESS = 0


@dataclass(frozen=True, slots=True)
class Clock:
    """The anchor of the monotonic clock to the wall clock, taken once."""

    epoch: float

    @classmethod
    def anchored(cls) -> Clock:
        """The anchor of now."""
        return cls(time.time() - time.monotonic())

    def wall(self, moment: float) -> float:
        """Seconds since 1970 of a moment of the monotonic clock."""
        return self.epoch + moment


@dataclass(frozen=True, slots=True)
class Bin:
    """A stretch of the time line: successes and errors that were due in it, and the worst latency in seconds."""

    start: float
    ok: int
    failed: int
    worst_latency: float


class Series:
    """Samples in the order of their number; a sample is added when it starts and settled when it ends."""

    def __init__(self, slo: float, period: float) -> None:
        self.slo = slo
        self.period = period
        self.good = 0
        self.successes = 0
        self.last_success: float | None = None
        self.last_error = ""
        self.errors: Counter[str] = Counter()
        self._scheduled = array("d")
        self._lateness = array("f")
        self._duration = array("f")
        self._outcome = array("h")
        self._reasons: list[str] = []
        self._first_due: float | None = None
        self._last_good_start: float | None = None
        self._last_bad_start = -math.inf

    def __len__(self) -> int:
        return len(self._outcome)

    def start(self, scheduled: float, started: float) -> int:
        """Note a request that begins; returns its index."""
        self._scheduled.append(scheduled)
        self._lateness.append(started - scheduled)
        self._duration.append(0.0)
        self._outcome.append(_PENDING)
        if self._first_due is None:
            self._first_due = scheduled
        return len(self._outcome) - 1

    def settle(self, index: int, finished: float, failure: str | None = None) -> None:
        """Note the end of a request: success, or the reason of its failure. Only the first end counts."""
        if self._outcome[index] != _PENDING:
            return
        started = self._scheduled[index] + self._lateness[index]
        self._duration[index] = finished - started
        if failure is None:
            self._outcome[index] = _SUCCESS
            self.successes += 1
            self.last_success = finished
        else:
            self._outcome[index] = self._reason(failure)
        if failure is None and finished - self._scheduled[index] <= self.slo:
            self.good += 1
            self._last_good_start = max(started, self._last_good_start or started)
        else:
            self._last_bad_start = max(started, self._last_bad_start)

    def settle_rest(self, finished: float) -> None:
        """Fail what is still under way when the run ends."""
        for index, outcome in enumerate(self._outcome):
            if outcome == _PENDING:
                self.settle(index, finished, UNFINISHED)

    def current_outage(self, now: float) -> float:
        """Seconds since the start of the last good request if bad or overdue ones followed it, else 0."""
        since = self._first_due if self._last_good_start is None else self._last_good_start
        if since is None:
            return 0.0
        failing = self._last_bad_start > since or (self._last_good_start is None and self._last_bad_start >= since)
        overdue = now - since > self.slo + 2 * self.period
        return max(0.0, now - since) if failing or overdue else 0.0

    def samples(self) -> Iterator[Sample]:
        """All samples, made one by one."""
        for scheduled, lateness, duration, outcome in zip(
            self._scheduled, self._lateness, self._duration, self._outcome, strict=True
        ):
            started = scheduled + lateness
            reason = UNFINISHED if outcome == _PENDING else self._reasons[outcome - 1] if outcome > 0 else ""
            yield Sample(scheduled, started, started + duration, outcome == _SUCCESS, reason)

    def bins(self) -> list[Bin]:
        """The time line in at most 240 equal bins, none shorter than a period."""
        if not len(self):
            return []
        first, last = min(self._scheduled), max(self._scheduled)
        # The last sample lies on the edge of the last bin and belongs into it.
        width = max(self.period, (last - first) / MAX_BINS)
        count = min(MAX_BINS, int((last - first) / width) + 1)
        ok, failed, worst = [0] * count, [0] * count, [0.0] * count
        for sample in self.samples():
            index = min(count - 1, int((sample.scheduled - first) / width))
            ok[index] += sample.ok
            failed[index] += not sample.ok
            worst[index] = max(worst[index], sample.finished - sample.scheduled)
        return [Bin(first + index * width, *values) for index, values in enumerate(zip(ok, failed, worst, strict=True))]

    def _reason(self, failure: str) -> int:
        """The code of a reason, from 1; reasons beyond the first twenty share one code."""
        self.last_error = failure
        if failure not in self._reasons:
            if len(self._reasons) >= MAX_REASONS:
                failure = OTHER_REASONS
            if failure not in self._reasons:
                self._reasons.append(failure)
        self.errors[failure] += 1
        return self._reasons.index(failure) + 1
