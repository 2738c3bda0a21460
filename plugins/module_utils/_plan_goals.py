# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From what is wanted of a cloud to the moves that bring it there.

The moves are decided one after the other on a ledger that has the earlier ones done, so that in this order each finds
its room. The same input gives the same moves.
"""

from __future__ import annotations

import bisect
import typing as t
from dataclasses import dataclass
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Obstacle, Weight
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Move

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Host, Server

    Staying = Callable[[Server], "Obstacle | None"]

# Among the least loaded hosts that fit, so many are compared by the load that they would have.
_COMPARED = 8
# A move that relieves a host by less of its capacity is not worth making.
_LEAST_GAIN = 0.01


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Servers that stay for the same reasons: hosts with what speaks against them, or no hosts when it is the server.

    ``servers`` are alike; each is an id.
    """

    servers: tuple[str, ...]
    reasons: tuple[tuple[tuple[str, ...], tuple[Obstacle, ...]], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Moves, and the servers that should have moved and cannot."""

    moves: tuple[Move, ...]
    unplaced: tuple[Unplaced, ...] = ()


class _Ranking:
    """Hosts by their load, kept in order while it changes."""

    def __init__(self, layout: Layout, hosts: Iterable[str]) -> None:
        self._layout = layout
        self._load = {host: layout.load(host) for host in hosts}
        self.ascending = sorted((load, host) for host, load in self._load.items())

    def update(self, host: str) -> None:
        if host in self._load:
            del self.ascending[bisect.bisect_left(self.ascending, (self._load[host], host))]
            self._load[host] = self._layout.load(host)
            bisect.insort(self.ascending, (self._load[host], host))


class _Planner:
    """The ledger with what was decided so far."""

    def __init__(self, fleet: Fleet, matrix: Matrix, staying: Staying) -> None:
        self.fleet = fleet
        self.layout = Layout(fleet)
        self.ranking = _Ranking(self.layout, (name for name, host in fleet.hosts.items() if usable(host)))
        self.moves: list[Move] = []
        self.moved: set[str] = set()
        self._matrix = matrix
        self._staying = staying
        self._stuck: dict[object, tuple[list[str], Unplaced]] = {}

    def staying(self, server: Server) -> Obstacle | None:
        return self._staying(server)

    def on(self, host: str) -> list[Server]:
        """The servers of a host, first those that matter most, then the largest, which are the hardest to place."""
        servers = (self.fleet.servers[each] for each in self.layout.on[host])
        return sorted(servers, key=lambda each: (-each.priority, -each.takes.memory, -each.takes.vcpus, each.id))

    def move(self, server: Server, destination: str) -> None:
        source = self.layout.host_of[server.id]
        self.moves.append(Move(server.id, source, destination))
        self.moved.add(server.id)
        self._put(server, source, destination)

    def undo(self) -> None:
        """Take the last move back."""
        last = self.moves.pop()
        self.moved.remove(last.server)
        self._put(self.fleet.servers[last.server], last.destination, last.source)

    def _put(self, server: Server, source: str, destination: str) -> None:
        self.layout.move(server, destination)
        self.ranking.update(source)
        self.ranking.update(destination)

    def emptiest(self, server: Server, without: Collection[str]) -> str | None:
        """The host that would be loaded least with it, or liked most by its group; without a risk where possible."""
        allowed = self._matrix.destinations(server, self.layout.host_of[server.id])
        for hosts in (allowed.safe, allowed.risky):
            found: list[tuple[int, float, str]] = []
            for host in self._fitting(server, hosts, without, (host for _load, host in self.ranking.ascending)):
                discomfort = self.layout.discomfort(server, host)
                found.append((discomfort, self.layout.load(host, server.takes), host))
                if sum(not each[0] for each in found[-_COMPARED:]) == _COMPARED:
                    break
            if found:
                return min(found)[2]
        return None

    def fullest(self, server: Server, without: Collection[str], ceiling: float) -> str | None:
        """The most loaded host, or one liked more by its group, that is not empty and would stay below the ceiling."""
        layout = self.layout
        allowed = self._matrix.destinations(server, layout.host_of[server.id])
        for hosts in (allowed.safe, allowed.risky):
            descending = (host for load, host in reversed(self.ranking.ascending) if load < ceiling and layout.on[host])
            found = (
                host
                for host in self._fitting(server, hosts, without, descending)
                if layout.load(host, server.takes) <= ceiling
            )
            best = min(found, key=partial(layout.discomfort, server), default=None)
            if best is not None:
                return best
        return None

    def _fitting(
        self, server: Server, allowed: Collection[str], without: Collection[str], order: Iterable[str]
    ) -> Iterator[str]:
        layout = self.layout
        source = layout.host_of[server.id]
        for host in order:
            if host not in allowed or host == source or host in without or host in server.avoid:
                continue
            if layout.has_room(server, host) and layout.keeps_groups(server, host):
                yield host

    def leave(self, server: Server, without: Collection[str]) -> None:
        """Move it to the best host, or note why it stays; one that is leaving already is let go.

        The hosts ``without`` take nothing. Where one of a sort found no place, no other is looked for: all that leaves
        these hosts only takes room elsewhere.
        """
        if server.bound_for is not None and server.bound_for not in without:
            return
        obstacle = self.staying(server)
        if obstacle is not None:
            self._note(server, (obstacle.reason,), lambda: (((), (obstacle,)),))
            return
        source = self.layout.host_of[server.id]
        alike = (self._matrix.class_of(server, source), server.takes, server.group, server.avoid)
        destination = None if without and alike in self._stuck else self.emptiest(server, without)
        if destination is not None:
            self.move(server, destination)
            return
        self._note(server, alike, lambda: self._reasons(server, without))

    def _note(self, server: Server, alike: object, reasons: Callable[[], t.Any]) -> None:
        if alike not in self._stuck:
            self._stuck[alike] = ([], Unplaced((), reasons()))
        self._stuck[alike][0].append(server.id)

    def _reasons(self, server: Server, without: Collection[str]) -> tuple[t.Any, ...]:
        found: dict[tuple[Obstacle, ...], list[str]] = {}
        emptied = (Obstacle("goal", Weight.BLOCKS, "the host is to be emptied itself"),)
        for host in self.fleet.hosts:
            if host != self.layout.host_of[server.id]:
                against = emptied if host in without else self._matrix.against(server, host, self.layout)
                found.setdefault(against, []).append(host)
        return tuple((tuple(hosts), against) for against, hosts in found.items())

    def decision(self) -> Decision:
        unplaced = (Unplaced(tuple(servers), each.reasons) for servers, each in self._stuck.values())
        return Decision(tuple(self.moves), tuple(unplaced))


def usable(host: Host) -> bool:
    """Whether servers may be brought to it."""
    return (host.state, host.status) == ("up", "enabled")


def drain(fleet: Fleet, matrix: Matrix, staying: Staying, hosts: Collection[str]) -> Decision:
    """Everything leaves these hosts, spread over the others so that the least loaded get it."""
    if unknown := sorted(set(hosts) - fleet.hosts.keys()):
        raise LifeboatError(f"host {', '.join(unknown)}", "no such host", "hosts of the cloud", "Correct the goal.")
    planner = _Planner(fleet, matrix, staying)
    for host in sorted(set(hosts)):
        for server in planner.on(host):
            planner.leave(server, hosts)
    return planner.decision()


def balance(fleet: Fleet, matrix: Matrix, staying: Staying, tolerance: float) -> Decision:
    """Few moves, each from a most loaded host, until the loads differ by ``tolerance`` at most or nothing helps.

    The load of a host is the larger of the shares of its VCPUs and memory that are allocated. No server moves twice,
    and none to where a soft policy likes it less, so that what ``spread`` has parted stays apart.
    """
    planner = _Planner(fleet, matrix, staying)
    done: set[str] = set()
    while True:
        ascending = planner.ranking.ascending
        highest = next(((load, host) for load, host in reversed(ascending) if host not in done), None)
        if highest is None or highest[0] - ascending[0][0] <= tolerance:
            return planner.decision()
        best = max(_reliefs(planner, highest[1]), default=None)
        if best is None:
            done.add(highest[1])
        else:
            planner.move(fleet.servers[best[1]], best[2])


def _reliefs(planner: _Planner, host: str) -> Iterator[tuple[float, str, str]]:
    """For each server that may leave the host: how much lower the squares of the loads get, and by going where."""
    layout = planner.layout
    before = layout.load(host)
    for server in planner.on(host):
        if server.id in planner.moved or planner.staying(server) is not None:
            continue
        destination = planner.emptiest(server, ())
        if destination is None or layout.discomfort(server, destination) > layout.discomfort(server, host):
            continue
        here, there = layout.load(host, server.takes, -1), layout.load(destination, server.takes)
        if before - max(here, there) >= _LEAST_GAIN:
            yield before**2 + layout.load(destination) ** 2 - here**2 - there**2, server.id, destination


def consolidate(fleet: Fleet, matrix: Matrix, staying: Staying, ceiling: float) -> Decision:
    """Empty as many of the least loaded hosts as others can take in, which are filled up to the load ``ceiling``.

    Of these a soft policy chooses; it keeps no host from being emptied.
    """
    planner = _Planner(fleet, matrix, staying)
    emptied: set[str] = set()
    filled: set[str] = set()
    for _load, host in list(planner.ranking.ascending):
        servers = planner.on(host)
        if not servers or host in filled or any(planner.staying(each) is not None for each in servers):
            continue
        without = emptied | {host}
        for count, server in enumerate(servers):
            destination = planner.fullest(server, without, ceiling)
            if destination is None:
                for _each in range(count):
                    planner.undo()
                break
            planner.move(server, destination)
        else:
            emptied.add(host)
            filled.update(move.destination for move in planner.moves[-len(servers) :])
    return planner.decision()


def spread(fleet: Fleet, matrix: Matrix, staying: Staying) -> Decision:
    """Servers of one anti-affinity group part where a host has too many; those that cannot move or are largest stay.

    A soft policy is followed where it can be, and a group of more servers than there are hosts is spread evenly. Only
    of a hard one it is said who could not part.
    """
    planner = _Planner(fleet, matrix, staying)
    for name, group in sorted(fleet.groups.items()):
        if group.policy not in {"anti-affinity", "soft-anti-affinity"}:
            continue
        for host in planner.layout.crowded(name):
            members = [each for each in planner.on(host) if each.group == name]
            members.sort(key=lambda each: (planner.staying(each) is None, -each.memory, each.id))
            for server in members[group.max_server_per_host :]:
                _part(planner, server, hard=group.policy == "anti-affinity")
    return planner.decision()


def _part(planner: _Planner, server: Server, hard: bool) -> None:
    if hard:
        planner.leave(server, ())
    elif planner.staying(server) is None:
        destination, layout = planner.emptiest(server, ()), planner.layout
        here = layout.discomfort(server, layout.host_of[server.id])
        if destination is not None and layout.discomfort(server, destination) < here:
            planner.move(server, destination)


def as_wished(fleet: Fleet, matrix: Matrix, staying: Staying, wished: Iterable[Move]) -> Decision:
    """The moves that somebody wishes, as far as the hosts can take them all in; they may swap their places."""
    unplaced: list[Unplaced] = []
    moves: list[Move] = []
    layout = Layout(fleet)
    for move in wished:
        server = fleet.servers[move.server]
        obstacle = staying(server)
        fixed = matrix.obstacles(server, move.source, move.destination)
        against = tuple(each for each in fixed if each.weight is Weight.BLOCKS)
        if obstacle is not None:
            unplaced.append(Unplaced((server.id,), (((), (obstacle,)),)))
        elif against:
            unplaced.append(Unplaced((server.id,), (((move.destination,), against),)))
        else:
            moves.append(move)
    while (excess := _excess(layout, moves)) is not None:
        move, against = excess
        moves.remove(move)
        unplaced.append(Unplaced((move.server,), (((move.destination,), against),)))
    return Decision(tuple(moves), tuple(unplaced))


def _excess(start: Layout, moves: list[Move]) -> tuple[Move, tuple[Obstacle, ...]] | None:
    """The last of the moves for which there is no place when all others are done, with the reasons."""
    layout, fleet = Layout(start.fleet), start.fleet
    for move in moves:
        layout.remove(fleet.servers[move.server], move.source)
    found = None
    for move in moves:
        server = fleet.servers[move.server]
        against = tuple(layout.obstacles(server, move.destination))
        if against:
            found = move, against
        layout.add(server, move.destination)
    return found
