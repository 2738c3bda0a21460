# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What one probe of a drill measured: whether it can tell anything, and its outages from the fault on."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Demand
    from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Outage, Probe

BEFORE_FAULT_S = 0.2
"""An outage may begin this much before the recorded time of the fault: clocks and commands are that exact."""

SHARE = 0.1
# A request that starts up to this many periods late still has its true start in the arithmetic of the outage.
PERIODS = 2
"""A probe tells nothing about a time of which its own error is more than this share."""

LONGEST_GAP_S = 2.0
"""A gap in the series that is longer than this, and than two of its slices, means that nothing was sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """From the first injection to the last healing, seconds since the epoch."""

    injected_at: float
    healed_at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """An outage: its true length lies between ``lower`` and ``upper`` seconds."""

    lower: float = 0.0
    upper: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Measurement:
    """A probe's figures beside what is demanded; ``limit_s`` is the predicted maximum when the limit is its own.

    ``shared``: the observer runs on the machine that carries the cloud's hosts, so what made it late held them up too.
    ``boots``: on such a machine a host boots when the fault is healed, and takes the others' processors meanwhile.
    """

    probe: Probe
    demand: Demand
    started_at: float
    stopped_at: float
    window: Window | None
    limit_s: float | None
    ledger_unread: bool = False
    shared: bool = False
    boots: bool = False

    @property
    def tolerance(self) -> float:
        """The error of the probe's own clockwork, in seconds, up to which its figures tell something."""
        return max(
            PERIODS * self.probe.period, SHARE * (self.limit_s or 0.0), SHARE * (self.demand.bound.outage or 0.0)
        )

    @property
    def late(self) -> bool:
        """Whether the probe itself was too late to judge times."""
        return self.probe.lateness.p99 is not None and self.probe.lateness.p99 / 1000 > self.tolerance

    @property
    def judged_by_time(self) -> bool:
        """Whether anything is demanded of the length of its outages."""
        bound = self.demand.bound
        demanded = (bound.outage, bound.total, self.demand.at_least.outage, self.limit_s)
        return any(each is not None for each in demanded)

    @property
    def excuse(self) -> float:
        """What a late probe, or what made it late, may have added to an outage: its latest request, in seconds.

        Without an end where the hosts were held up by the same: nobody knows how long they would have taken.
        """
        if not self.late:
            return 0.0
        return math.inf if self.shared else (self.probe.lateness.max or 0.0) / 1000

    @property
    def uncovered(self) -> str | None:
        """Why the probe did not watch from before the fault until its healing, or None."""
        window = self.window
        if window is None:
            return None
        gap = self._longest_gap(window)
        complaints = (
            (not self.probe.requests, "it sent no request"),
            (
                self.stopped_at < window.injected_at,
                f"it stopped {window.injected_at - self.stopped_at:.2f} s before it",
            ),
            (self.started_at > window.injected_at, f"it started {self.started_at - window.injected_at:.2f} s after it"),
            (
                self.stopped_at < window.healed_at,
                f"it stopped {window.healed_at - self.stopped_at:.2f} s before its end",
            ),
            (gap > self._longest_pause, f"it sent nothing for {gap:.1f} s meanwhile"),
        )
        return next((complaint for applies, complaint in complaints if applies), None)

    @property
    def _longest_pause(self) -> float:
        """How far apart the slices of the series may be when nothing is missing."""
        starts = [piece.at for piece in self.probe.series]
        width = min((later - earlier for earlier, later in itertools.pairwise(starts)), default=0.0)
        return max(LONGEST_GAP_S, 2 * self.probe.period, 2 * width)

    def _longest_gap(self, window: Window) -> float:
        slices = [piece.at for piece in self.probe.series if piece.ok + piece.failed]
        inside = [at for at in slices if window.injected_at <= at <= window.healed_at]
        moments = [window.injected_at, *inside, window.healed_at]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    @property
    def early_outage(self) -> float:
        """The longest outage that was over before the fault, in seconds, ignoring what is within the tolerance."""
        early = [_span(outage, self.stopped_at).upper for outage in self.probe.outages if not self._counts(outage)]
        return max((upper for upper in early if upper > max(self.tolerance, 2 * self.probe.period)), default=0.0)

    @property
    def longest(self) -> Span:
        """The longest outage from the fault on; one that is over within two periods goes unseen."""
        spans = list(self._spans())
        return Span(
            max((span.lower for span in spans), default=0.0),
            max((span.upper for span in spans), default=2 * self.probe.period),
        )

    @property
    def told(self) -> tuple[Span, ...]:
        """The outages that are the cloud's own: none that began while a host booted on the same machine."""
        return tuple(
            _span(outage, math.inf) for outage in self.probe.outages if self._counts(outage) and self._told(outage)
        )

    def _told(self, outage: Outage) -> bool:
        return not (self.boots and self.window is not None and outage.start >= self.window.healed_at)

    @property
    def total(self) -> Span:
        """All outages from the fault on, added up."""
        spans = list(self._spans())
        return Span(sum(span.lower for span in spans), sum(span.upper for span in spans))

    def _spans(self) -> Iterable[Span]:
        return (_span(outage, math.inf) for outage in self.probe.outages if self._counts(outage))

    def _counts(self, outage: Outage) -> bool:
        if self.window is None:
            return True
        return outage.start + _span(outage, math.inf).upper >= self.window.injected_at - BEFORE_FAULT_S


def _span(outage: Outage, end: float) -> Span:
    """The outage's bounds; service that did not come back while the probe watched leaves the upper one open."""
    return Span(outage.lower, outage.upper if outage.upper is not None else max(outage.lower, end - outage.start))
