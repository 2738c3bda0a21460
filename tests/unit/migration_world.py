# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud in discrete time, on which the real planner acts, with what can go wrong.

The world knows what guests really write and what links really carry; the planner knows what it was told. Migrations
copy page by page in their rounds, those that share a host share its bandwidth. Every tick the world looks
with its own eyes whether something has happened that must not.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal, decide
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_dispatch import Dispatch
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults, Estimates
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Limits, Move
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_schedule import trips_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_travel import Travel, Trip

TICK = 0.1
SETUP_S, SWITCH_S, REBOOT_S = 1.0, 0.2, 10.0
ATTEMPTS = 3
LONGEST_S = 20_000.0


@dataclass(frozen=True)
class Event:
    """At ``at`` seconds ``what`` happens: ``dies`` to a host, ``fails`` to the migration of a server, ``restart``."""

    at: float
    what: t.Literal["dies", "fails", "restart"]
    whom: str = ""


@dataclass
class Copy:
    """A migration under way: what of its round is left, and how long the round has taken."""

    trip: Trip
    left: float
    round_s: float = 0.0
    waits_s: float = SETUP_S
    last: bool = False
    throttle: float = 0.0
    stuck: int = 0
    size: float = 0.0

    @property
    def move(self) -> Move:
        return self.trip.move


@dataclass
class World:
    """``dirty`` are the true dirty rates where they differ from what the fleet says, ``carries`` the true bandwidth."""

    fleet: Fleet
    policy: Policy = field(default_factory=Policy)
    dirty: dict[str, float] = field(default_factory=dict)
    carries: float = 1.0

    def __post_init__(self) -> None:
        self.now = 0.0
        self.at = {server.id: server.host for server in self.fleet.servers.values()}
        self.down: set[str] = set()
        self.copies: dict[str, Copy] = {}
        self.log: list[str] = []

    def say(self, text: str) -> None:
        self.log.append(f"t={self.now:.1f} {text}")

    def way(self, move: Move) -> str:
        return f"{move.source} -> {move.destination} {move.server}"

    def begin(self, trip: Trip) -> None:
        server = self.fleet.servers[trip.move.server]
        assert self.at[server.id] == trip.move.source and server.id not in self.copies
        assert {trip.move.source, trip.move.destination}.isdisjoint(self.down)
        stops = trip.mode == "cold" and server.running
        assert not stops or self.policy.cold, f"{server.id} is stopped"
        here, there = (self.fleet.hosts[each].traits for each in (trip.move.source, trip.move.destination))
        live = server.running and not stops
        assert not live or here.hypervisor_version <= there.hypervisor_version, f"{server.id} goes to an older host"
        bytes_ = server.local_disk if trip.mode == "cold" else server.memory + server.local_disk
        self.copies[server.id] = Copy(trip, bytes_, size=bytes_)
        self.say(f"{self.way(trip.move)} {trip.mode} begins{', the server is stopped' if stops else ''}")

    def tick(self) -> list[tuple[Move, bool]]:
        """The moves that end in this tick, and whether they arrived."""
        self.now = round(self.now + TICK, 6)
        sharing = Counter(part for copy in self.copies.values() if copy.left > 0 for part in self._parts(copy.move))
        ended = [(copy.move, True) for copy in list(self.copies.values()) if self._progress(copy, sharing)]
        for move, _arrived in ended:
            del self.copies[move.server]
            self.at[move.server] = move.destination
            self.say(f"{self.way(move)} arrived")
        return ended

    def _parts(self, move: Move) -> list[tuple[str, str]]:
        return [("out", move.source), ("in", move.destination)]

    def _progress(self, copy: Copy, sharing: Counter[tuple[str, str]]) -> bool:
        """Whether the migration has ended."""
        if copy.waits_s > 0:
            copy.waits_s -= TICK
            return copy.last and copy.waits_s <= 0
        if copy.left <= 0 and not copy.last:
            return self._switch(copy)
        hosts = self.fleet.hosts
        rate = min(hosts[name].bandwidth / max(1, sharing[way, name]) for way, name in self._parts(copy.move))
        copy.left -= rate * self.carries * TICK
        copy.round_s += TICK
        if copy.left <= 0:
            self._round(copy, rate * self.carries)
        return False

    def _round(self, copy: Copy, rate: float) -> None:
        server = self.fleet.servers[copy.move.server]
        written = self.dirty.get(server.id, server.dirty_rate) * (1 - copy.throttle) * copy.round_s
        left = min(written, server.memory if server.working_set is None else server.working_set)
        if copy.trip.mode in {"cold", "post-copy"} or left / rate <= self.policy.downtime_s:
            self._switch(copy)
            return
        copy.stuck = copy.stuck + 1 if left >= copy.size / 2 else 0
        # As QEMU does after two rounds without getting ahead.
        if copy.trip.mode == "auto-converge" and copy.stuck >= 2:
            copy.throttle, copy.stuck = min(0.99, copy.throttle + 0.1 if copy.throttle else 0.2), 0
        copy.left = copy.size = left
        copy.round_s = 0.0

    def _switch(self, copy: Copy) -> bool:
        server = self.fleet.servers[copy.move.server]
        cold = copy.trip.mode == "cold" and server.running
        copy.left, copy.last, copy.waits_s = 0.0, True, REBOOT_S if cold else SWITCH_S
        return False

    def break_off(self, server: str, why: str) -> Move:
        move = self.copies.pop(server).move
        self.say(f"{self.way(move)} failed: {why}")
        return move

    def check(self) -> None:
        """What must hold at every moment."""
        used: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        members: Counter[tuple[str, str]] = Counter()
        for server in self.fleet.servers.values():
            copy = self.copies.get(server.id)
            # Until it arrives it takes room on both hosts.
            for host in {self.at[server.id]} | ({copy.move.destination} if copy else set()):
                used[host][0] += server.takes.vcpus
                used[host][1] += server.takes.memory
                if server.group is not None and self.fleet.groups[server.group].policy == "anti-affinity":
                    members[server.group, host] += 1
        for name, (vcpus, memory) in used.items():
            has = self.fleet.hosts[name].capacity
            assert vcpus <= has.vcpus and memory <= has.memory, f"{name} is over its capacity"
        for (group, _host), count in members.items():
            assert count <= self.fleet.groups[group].max_server_per_host, members


@dataclass
class Operator:
    """Who plans and starts migrations; knows nothing but what the world shows, and forgets all in a restart."""

    world: World
    goal: Goal
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.avoid: defaultdict[str, set[str]] = defaultdict(set)
        self.stale = False
        self.dispatch: Dispatch

    def seen(self) -> Fleet:
        """The fleet as it is now."""
        world, given = self.world, self.world.fleet
        servers = {}
        for server in given.servers.values():
            copy = world.copies.get(server.id)
            gave_up = self.failures[server.id] >= ATTEMPTS
            servers[server.id] = dataclasses.replace(
                server,
                host=world.at[server.id],
                bound_for=copy.move.destination if copy else None,
                avoid=frozenset(self.avoid[server.id]),
                movable="none" if gave_up else server.movable,
                reason=f"{ATTEMPTS} attempts failed" if gave_up else server.reason,
            )
        hosts = {
            name: dataclasses.replace(host, state="down" if name in world.down else "up")
            for name, host in given.hosts.items()
        }
        return dataclasses.replace(given, hosts=hosts, servers=servers)

    def plan(self) -> None:
        """Anew, from what is to be seen."""
        self.stale = False
        fleet = self.seen()
        matrix = Matrix(fleet)
        estimates = Estimates(defaults=Defaults(SWITCH_S, SETUP_S, REBOOT_S))
        self.travel = Travel(fleet, self.limits, self.world.policy, estimates)
        decision = decide(fleet, matrix, self.travel, dataclasses.replace(self.goal, moves=self._wishes()))
        trips, refused = trips_of(self.travel, decision.moves)
        self.staying = {server: each for each in decision.unplaced for server in each.servers}
        self.world.say(f"plan: {len(trips)} moves, {len(self.staying) + len(refused)} servers stay")
        for server, each in self.staying.items():
            reason = each.reasons[0][1][0].reason if each.reasons else "there is no other host"
            self.world.say(f"{self.world.at[server]} keeps {server}: {reason}")
        moves = [trip.move for trip in trips]
        self.dispatch = Dispatch(Layout(fleet), matrix, self.limits, moves, [each.move for each in trips if each.alone])
        for copy in self.world.copies.values():
            self.dispatch.resume(copy.move)
        self.start(self.dispatch.take())

    def _wishes(self) -> tuple[Move, ...]:
        """Those that have not come true."""
        at = self.world.at
        wishes = (dataclasses.replace(each, source=at[each.server]) for each in self.goal.moves)
        return tuple(each for each in wishes if each.source != each.destination)

    def start(self, moves: t.Iterable[Move]) -> None:
        for move in moves:
            self.world.begin(self.travel.trip(move))

    def ended(self, move: Move, arrived: bool) -> None:
        if not arrived:
            self.failures[move.server] += 1
            self.avoid[move.server].add(move.destination)
            self.stale = True
        begun = self.dispatch.end(move, arrived)
        if not self.stale:
            self.start(begun)

    def detour(self) -> bool:
        if not self.dispatch.waiting or not self.dispatch.detour(lambda move: bool(trips_of(self.travel, [move])[0])):
            return False
        self.start(self.dispatch.take())
        return True


def simulate(world: World, goal: Goal, limits: Limits | None = None, events: t.Sequence[Event] = ()) -> Operator:
    """Let the operator reach the goal, whatever happens; AssertionError when something is as it must not be."""
    operator = Operator(world, goal, limits or Limits())
    coming = sorted(events, key=lambda event: event.at)
    world.check()
    operator.plan()
    while world.copies or operator.detour():
        assert world.now < LONGEST_S, "it does not end"
        ended = world.tick()
        restarted = False
        while coming and coming[0].at <= world.now:
            event = coming.pop(0)
            restarted |= event.what == "restart"
            # Nova's service of that host is down, which an operator sees before anything begins.
            operator.stale |= event.what == "dies"
            ended += [(move, False) for move in _happen(world, event)]
        if restarted:
            world.say("the control node comes back and knows nothing of its plan")
            operator = Operator(world, goal, operator.limits)
            operator.plan()
        else:
            for move, arrived in ended:
                operator.ended(move, arrived)
            if operator.stale:
                operator.plan()
        world.check()
    world.say("end")
    return operator


def _happen(world: World, event: Event) -> list[Move]:
    """The moves that fail of it."""
    if event.what == "fails":
        return [world.break_off(event.whom, "the hypervisor says so")] if event.whom in world.copies else []
    if event.what == "dies":
        world.say(f"{event.whom} dies")
        world.down.add(event.whom)
        lost = [name for name, copy in world.copies.items() if event.whom in {copy.move.source, copy.move.destination}]
        return [world.break_off(name, f"{event.whom} is down") for name in lost]
    return []
