# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""When each move begins and ends, how good that is, and how much remains.

Moves that need long begin first (list scheduling, longest first, Graham 1969), as soon as slots, room and server
groups let them. Moves that share a host or a link share its bandwidth in equal parts, host's network cards and links
carry both directions at the same time, and what _migration_model predicts for a move is sent at the rate of the
moment. Nobody can be faster than the lower bound ::

    max( sum of b(m) over the moves through a part / its bandwidth     for each part: host out, host in, link each way
         sum of d(m) over the moves through a part / its slots         for each part, and for all moves together
         d(m)                                                          for each move )

with b(m) the bytes that the move needs and d(m) its seconds when it has the whole way for itself. Of a way that was
learned to carry more than its bandwidth, b(m) is as much less. Room on hosts, which can make moves wait for each other,
is left out, so that the bound stays below what is possible.
"""

from __future__ import annotations

import dataclasses
import heapq
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_dispatch import Dispatch, Key, parts_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_travel import Cost, Travel, Trip


@dataclass(frozen=True, slots=True)
class Step:
    """A move in time, seconds after the beginning. ``bandwidth`` is what it is expected to get on average."""

    trip: Trip
    start_s: float
    end_s: float
    cost: Cost
    bandwidth: float

    @property
    def move(self) -> Move:
        return self.trip.move


@dataclass(frozen=True, slots=True)
class Refusal:
    """A move that cannot be made."""

    move: Move
    reason: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps in the order of their beginnings."""

    steps: tuple[Step, ...]
    refused: tuple[Refusal, ...]
    makespan_s: float
    lower_bound_s: float


@dataclass(slots=True)
class _Flow:
    """A move under way: ``left`` bytes at the time ``seen_s``, sent at ``rate``; then ``fixed_s`` without sending."""

    trip: Trip
    parts: list[Key]
    start_s: float
    cost: Cost | None = None
    left: float = 0.0
    seen_s: float = 0.0
    rate: float = 0.0
    version: int = 0
    sent_s: float | None = None


def schedule(matrix: Matrix, travel: Travel, moves: Iterable[Move]) -> Schedule:
    """The moves, as far as they can be made, in time."""
    trips, refused = trips_of(travel, moves)
    return _Clock(matrix, travel, trips).run(refused)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is still to be expected, in seconds from now."""

    seconds: float
    lower_bound_s: float
    ends_s: Mapping[str, float]


def remaining(matrix: Matrix, travel: Travel, waiting: Iterable[Move], running: Mapping[Move, float]) -> Remaining:
    """An estimate while a plan is being carried out, from the fleet as it is now.

    ``waiting`` are the moves that have not begun, ``running`` those that have, each with the bytes that it has sent.
    """
    trips, _refused = trips_of(travel, waiting)
    under_way, _none = trips_of(travel, running)
    clock = _Clock(matrix, travel, trips)
    for trip in under_way:
        clock.resume(trip, running[trip.move])
    seen = clock.run([])
    bound = lower_bound(travel, [_rest(travel, trip, running[trip.move]) for trip in under_way] + trips)
    return Remaining(seen.makespan_s, bound, {step.move.server: step.end_s for step in seen.steps})


def _rest(travel: Travel, trip: Trip, sent: float) -> Trip:
    """What is left of a trip of which so many bytes were sent."""
    left = max(0.0, trip.least - sent)
    share = left / trip.least if trip.least else 0.0
    return dataclasses.replace(trip, least=left, seconds=trip.fixed_s + (trip.seconds - trip.fixed_s) * share)


def lower_bound(travel: Travel, trips: Iterable[Trip]) -> float:
    """Seconds that nobody can beat, by the formula above."""
    fleet, limits = travel.fleet, travel.limits
    sent: defaultdict[Key, float] = defaultdict(float)
    busy: defaultdict[Key, float] = defaultdict(float)
    longest = 0.0
    for trip in trips:
        longest = max(longest, trip.seconds)
        for part in parts_of(fleet.hosts, trip.move):
            # Where more was learned to be carried than the hosts' bandwidths promise, the bytes need less of them.
            sent[part] += trip.least / max(1.0, travel.factor(trip.move))
            busy[part] += trip.seconds
        busy["total",] += trip.seconds
    slots = {"out": limits.outgoing, "in": limits.incoming, "total": limits.total}
    by_bytes = (amount / _bandwidth(fleet, part) for part, amount in sent.items())
    by_slots = (seconds / slots.get(part[0], limits.link) for part, seconds in busy.items())
    return max(longest, *by_bytes, *by_slots) if busy else 0.0


def _bandwidth(fleet: Fleet, part: Key) -> float:
    kind, name = part
    return fleet.hosts[name].bandwidth if kind in {"out", "in"} else fleet.links[name]


def trips_of(travel: Travel, moves: Iterable[Move]) -> tuple[list[Trip], list[Refusal]]:
    """The moves that can be made, those of higher priority and those that need long first."""
    trips, refused = [], []
    for move in moves:
        try:
            trips.append(travel.trip(move))
        except LifeboatError as error:
            refused.append(Refusal(move, f"{error.found}. {error.remedy}"))
    trips.sort(key=lambda trip: (-travel.fleet.servers[trip.move.server].priority, -trip.seconds, trip.move.server))
    return trips, refused


class _Clock:
    """Lets the moves begin and end in a time that it makes up."""

    def __init__(self, matrix: Matrix, travel: Travel, trips: Sequence[Trip]) -> None:
        self._fleet = travel.fleet
        self._travel = travel
        self._trips = {trip.move: trip for trip in trips}
        alone = [trip.move for trip in trips if trip.alone]
        layout = Layout(travel.fleet)
        self._dispatch = Dispatch(layout, matrix, travel.limits, [trip.move for trip in trips], alone)
        self._flows: dict[Move, _Flow] = {}
        self._sharing: defaultdict[Key, dict[Move, None]] = defaultdict(dict)
        self._events: list[tuple[float, int, int, Move]] = []
        self._count = 0
        self._now = 0.0
        self._steps: list[Step] = []
        self._resumed: dict[Move, float] = {}

    def resume(self, trip: Trip, sent: float) -> None:
        """Have a move under way that has sent so much."""
        self._trips[trip.move] = trip
        self._dispatch.resume(trip.move)
        self._resumed[trip.move] = sent

    def run(self, refused: list[Refusal]) -> Schedule:
        bound = lower_bound(self._travel, self._trips.values())
        self._begin([*self._resumed, *self._dispatch.take()])
        while True:
            while self._events:
                self._next()
            if not self._dispatch.waiting:
                break
            if not self._dispatch.detour(self._possible):
                refused += [
                    Refusal(move, f"{self._dispatch.in_the_way(move)}. No way by a third host helps")
                    for move in self._dispatch.drop()
                ]
                break
            self._begin(self._dispatch.take())
        steps = tuple(sorted(self._steps, key=lambda step: (step.start_s, step.end_s, step.move.server)))
        makespan = max((step.end_s for step in steps), default=0.0)
        return Schedule(steps, tuple(refused), makespan, bound)

    def _next(self) -> None:
        at, _count, version, move = heapq.heappop(self._events)
        flow = self._flows.get(move)
        if flow is None or version != flow.version:
            return
        self._now = at
        if flow.sent_s is None:
            flow.sent_s, flow.left = at, 0.0
            self._leave(flow)
            self._expect(flow, at + flow.trip.fixed_s)
        else:
            self._finish(flow)

    def _finish(self, flow: _Flow) -> None:
        move, cost = flow.trip.move, flow.cost
        if cost is None or flow.sent_s is None:
            raise AssertionError(f"{move} ends before all of it was sent")
        del self._flows[move]
        copying = flow.sent_s - flow.start_s
        bandwidth = cost.transferred / copying if copying else flow.rate
        self._steps.append(Step(flow.trip, flow.start_s, self._now, cost, bandwidth))
        self._begin(self._dispatch.end(move, arrived=True))

    def _begin(self, moves: Sequence[Move]) -> None:
        for move in moves:
            flow = _Flow(self._trip(move), parts_of(self._fleet.hosts, move), self._now, seen_s=self._now)
            self._flows[move] = flow
            for part in flow.parts:
                self._sharing[part][move] = None
        begun = [self._flows[move] for move in moves]
        for flow in begun:
            flow.rate = self._rate(flow)
            share = flow.rate / self._travel.factor(flow.trip.move)
            flow.cost = self._travel.cost(flow.trip, share)
            flow.left = max(0.0, flow.cost.transferred - self._resumed.pop(flow.trip.move, 0.0))
        self._share_anew({part: None for flow in begun for part in flow.parts})

    def _possible(self, move: Move) -> bool:
        try:
            self._trip(move)
        except LifeboatError:
            return False
        return True

    def _trip(self, move: Move) -> Trip:
        # Detours, and what follows them, are moves of which nobody has thought before.
        if move not in self._trips:
            self._trips[move] = self._travel.trip(move)
        return self._trips[move]

    def _leave(self, flow: _Flow) -> None:
        for part in flow.parts:
            del self._sharing[part][flow.trip.move]
        self._share_anew(dict.fromkeys(flow.parts))

    def _share_anew(self, parts: Mapping[Key, None]) -> None:
        for move in {move: None for part in parts for move in self._sharing[part]}:
            flow = self._flows[move]
            flow.left = max(0.0, flow.left - flow.rate * (self._now - flow.seen_s))
            flow.seen_s, flow.rate = self._now, self._rate(flow)
            self._expect(flow, self._now + flow.left / flow.rate)

    def _rate(self, flow: _Flow) -> float:
        share = min(_bandwidth(self._fleet, part) / len(self._sharing[part]) for part in flow.parts)
        return share * self._travel.factor(flow.trip.move)

    def _expect(self, flow: _Flow, at: float) -> None:
        flow.version += 1
        self._count += 1
        heapq.heappush(self._events, (at, self._count, flow.version, flow.trip.move))
