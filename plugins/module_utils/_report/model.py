# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The figures of a drill as values: times are seconds since the Unix epoch, durations seconds unless named ms."""

from __future__ import annotations

import collections
import dataclasses
import enum
import typing as t

# A drill passes up to this factor of the limit's maximum: the formulas hold to a few per cent.
TOLERANCE = 1.1


class Verdict(enum.StrEnum):
    """How a drill was judged."""

    PASSED = "passed"
    FAILED = "failed"
    VOID = "void"
    MISSED = "missed"
    REFUSED = "refused"


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """Evidence that the fault landed on a host, and that the host was the active member (None: no such role)."""

    host: str
    landed: bool
    active: bool | None
    evidence: str


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What was broken, where, and from when to when."""

    form: str
    component: str | None
    target: tuple[str, ...]
    pick: str | None
    proof: tuple[Proof, ...]
    injected_at: float | None
    healed_at: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class MovedServer:
    """Where a server was, where it was to go, and where (None: nowhere) and in which status it was found at last."""

    name: str
    source: str
    destination: str
    host: str | None
    status: str


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """A migration that was tried without one of its prerequisites, and the reason that was found and expected."""

    without: str
    refused: bool
    found: str
    expected: str


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """What a guest told of itself before it was moved and after, at its address; None where it was not asked or silent.

    ``boot_before`` and ``boot_after`` are ids that differ with each boot, the counters are on its disk and only grow.
    ``writes_mib_s`` is MiB a second that it wrote to its memory before it was moved, ``still_writes`` whether it did
    after.
    """

    address: str
    boot_before: str | None
    boot_after: str | None
    counter_before: int | None
    counter_after: int | None
    writes_mib_s: float | None
    still_writes: bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """What was moved, from when to when, when it was disturbed (None: not at all), and what was said at last.

    ``predicted_s`` is what the planner had foretold for the whole and ``measured_s`` what whoever moved them measured,
    without the drill's own work; None where nothing was said.
    """

    kind: str
    servers: tuple[MovedServer, ...]
    began_at: float
    ended_at: float
    interrupted_at: float | None
    predicted_s: float | None
    measured_s: float | None
    found: str
    refused: tuple[Refused, ...]
    guests: tuple[Guest, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Outage:
    """One outage of one probe; ``upper`` is None when service had not come back before the probe ended."""

    start: float
    lower: float
    upper: float | None
    requests: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Bin:
    """What a probe saw in one slice of time; ``worst_ms`` is None when nothing was answered."""

    at: float
    ok: int
    failed: int
    worst_ms: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """The fate of uniquely numbered writes, read back after recovery."""

    acknowledged: int
    refused: int
    unknown: int
    lost: int
    unexpected: int
    duplicated: int


@dataclasses.dataclass(frozen=True, slots=True)
class Lateness:
    """How late the probe itself sent its requests, milliseconds."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Latency:
    """How long answers took, milliseconds; None without any answer."""

    p50: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """What one client saw. The true longest outage lies between ``longest_outage_lower`` and ``longest_outage``."""

    name: str
    kind: str
    requests: int
    failed: int
    slow: int
    longest_outage: float
    longest_outage_lower: float
    total_outage: float
    uncertainty: float
    lateness: Lateness
    bound: float | None
    latency: Latency
    period: float
    slo: float | None
    outages: tuple[Outage, ...]
    errors: tuple[tuple[str, int], ...]
    series: tuple[Bin, ...]
    ledger: Ledger | None


@dataclasses.dataclass(frozen=True, slots=True)
class Audit:
    """One thing that had to be true afterwards."""

    name: str
    passed: bool
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened during the drill."""

    at: float
    what: str
    host: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Drill:
    """One drill, judged. ``limit`` is the interval that the protocol allows with the settings read on the targets."""

    name: str
    says: str
    tags: tuple[str, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    fault: Fault | None
    move: Move | None
    probes: tuple[Probe, ...]
    limit: tuple[float, float] | None
    limit_formula: str | None
    limit_probe: str | None
    ratio_to_limit: float | None
    recovery: float | None
    audits: tuple[Audit, ...]
    timeline: tuple[Event, ...]
    started_at: float
    finished_at: float

    @property
    def disturbed_at(self) -> float | None:
        """When clients may have begun to notice something; None when nothing was done."""
        moments = [self.move.began_at if self.move else None, self.fault.injected_at if self.fault else None]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def headline(self) -> Probe | None:
        """The probe that speaks for the drill: the limit's, else the longest out, preferably one with a bound."""
        named = next((probe for probe in self.probes if probe.name == self.limit_probe), None)
        if named:
            return named
        bounded = [probe for probe in self.probes if probe.bound is not None]
        return max(bounded or self.probes, key=lambda probe: probe.longest_outage, default=None)

    def limit_of(self, probe: Probe) -> tuple[float, float] | None:
        """The limit where it applies to ``probe``: without a named probe, to each that has a bound."""
        applies = probe.bound is not None if self.limit_probe is None else probe.name == self.limit_probe
        return self.limit if applies else None

    def exceeded_by(self, probe: Probe) -> bool:
        """Whether the probe's longest outage is above its bound or above the tolerated limit."""
        limit = self.limit_of(probe)
        above_bound = probe.bound is not None and probe.longest_outage > probe.bound
        return above_bound or (limit is not None and probe.longest_outage > TOLERANCE * limit[1])

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """The ledgers of all probes that keep one."""
        return tuple(probe.ledger for probe in self.probes if probe.ledger is not None)

    @property
    def lost(self) -> int | None:
        """Acknowledged writes that were lost; None when no probe kept a ledger."""
        return sum(ledger.lost for ledger in self.ledgers) if self.ledgers else None


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """One run: its drills in the order in which they started, and free facts about where it ran."""

    run: str
    environment: t.Mapping[str, object]
    drills: tuple[Drill, ...]

    @property
    def started_at(self) -> float | None:
        """When the first drill started."""
        return min((drill.started_at for drill in self.drills), default=None)

    @property
    def finished_at(self) -> float | None:
        """When the last drill finished."""
        return max((drill.finished_at for drill in self.drills), default=None)

    @property
    def summary(self) -> dict[str, int]:
        """The number of drills with each verdict."""
        counted = collections.Counter(drill.verdict for drill in self.drills)
        return {verdict.value: counted[verdict] for verdict in Verdict}
