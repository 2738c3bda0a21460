# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Which moves may begin now: decided by slots, room and server groups, never by the clock.

The same decisions are taken for a forecast, in a simulation and for real migrations, whatever tells of their ends.
"""

from __future__ import annotations

import heapq
import typing as t
from collections import Counter, defaultdict

from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Move

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits

Key = tuple[str, ...]


class Dispatch:
    """Moves in their order; a move waits at the first thing that is in its way, and is looked at when that is freed."""

    def __init__(
        self, layout: Layout, matrix: Matrix, limits: Limits, moves: Sequence[Move], alone: Iterable[Move]
    ) -> None:
        """``alone`` are the moves that take all slots of their two hosts.

        The move of a server that is not at the move's source follows the one that brings it there.
        """
        self._layout = layout
        self._matrix = matrix
        self._limits = limits
        self._moves = [move for move in moves if layout.host_of[move.server] == move.source]
        self._alone = set(alone)
        self._slots: Counter[Key] = Counter()
        self._waiting: defaultdict[Key, list[int]] = defaultdict(list)
        self._onward = {move.server: move for move in moves if layout.host_of[move.server] != move.source}
        self._detoured = set(self._onward)
        self._coming: dict[str, Move] = {}
        self._fresh = list(range(len(self._moves)))

    @property
    def under_way(self) -> list[Move]:
        return list(self._coming.values())

    @property
    def waiting(self) -> list[Move]:
        """In their order."""
        places = sorted(place for places in self._waiting.values() for place in places)
        return [self._moves[place] for place in sorted(places + self._fresh)]

    def resume(self, move: Move) -> None:
        """Count a move that is under way already, whether or not the fleet says so."""
        self._begin(move)

    def take(self) -> list[Move]:
        """The moves that begin now. Their room is taken on the destination, too."""
        fresh, self._fresh = self._fresh, []
        return [self._moves[place] for place in sorted(fresh) if self._try(place)]

    def end(self, move: Move, arrived: bool) -> list[Move]:
        """The move has ended, at its destination or, after a failure, where it began; the moves that begin then."""
        del self._coming[move.server]
        server = self._layout.fleet.servers[move.server]
        self._layout.remove(server, move.source if arrived else move.destination)
        if arrived:
            self._layout.host_of[move.server] = move.destination
            onward = self._onward.pop(move.server, None)
            if onward is not None:
                self._fresh.append(len(self._moves))
                self._moves.append(onward)
        for key in self._slot_keys(move):
            self._slots[key] -= self._weight(key, move)
        left = move.source if arrived else move.destination
        return self._woken([*self._slot_keys(move), ("room", left), ("group", str(server.group))])

    def detour(self, possible: Callable[[Move], bool]) -> bool:
        """Have a server go to a third host first, where moves wait for each other; False if none can.

        It begins with the next ``take``. ``possible`` says whether a move can be made at all. Each server goes at most
        one such way: one that nothing is gained by moving would be sent about for ever.
        """
        wanted = {(*key, self._moves[place].destination) for key, places in self._waiting.items() for place in places}
        for move in sorted(self.waiting, key=self._size):
            source, group = move.source, self._layout.fleet.servers[move.server].group
            frees = {("room", source, source), ("group", group, source)}
            if wanted & frees and move.server not in self._detoured:
                for host in sorted(self._third_hosts(move)):
                    first, onward = Move(move.server, source, host), Move(move.server, host, move.destination)
                    if possible(first) and possible(onward):
                        self._redirect(move, first)
                        return True
        return False

    def in_the_way(self, move: Move) -> str:
        """What now speaks against a move that waits."""
        obstacles = self._layout.obstacles(self._layout.fleet.servers[move.server], move.destination)
        return f"{move.destination}: {'; '.join(each.reason for each in obstacles)}"

    def drop(self) -> list[Move]:
        """Give up all that wait."""
        waiting = self.waiting
        self._waiting.clear()
        self._fresh = []
        return waiting

    def _third_hosts(self, move: Move) -> list[str]:
        """Those that take it now, and from where nothing speaks against its way on that it has not met anyway."""
        server, matrix = self._layout.fleet.servers[move.server], self._matrix
        straight = set(matrix.obstacles(server, move.source, move.destination))
        safe = matrix.destinations(server, move.source).safe - {move.source, move.destination}
        return [
            host
            for host in safe
            if straight.issuperset(matrix.obstacles(server, host, move.destination))
            and not self._layout.obstacles(server, host)
        ]

    def _redirect(self, move: Move, first: Move) -> None:
        for places in self._waiting.values():
            for place in [each for each in places if self._moves[each] == move]:
                places.remove(place)
                heapq.heapify(places)
                self._moves[place] = first
                self._fresh.append(place)
        self._detoured.add(move.server)
        self._onward[move.server] = Move(move.server, first.destination, move.destination)

    def _size(self, move: Move) -> tuple[float, str]:
        return self._layout.fleet.servers[move.server].takes.memory, move.server

    def _woken(self, keys: Iterable[Key]) -> list[Move]:
        begun = self.take()
        for key in keys:
            if key[0] in {"room", "group"}:
                # One may be too large for what was freed while the next is not.
                begun += [self._moves[place] for place in sorted(self._waiting.pop(key, ())) if self._try(place)]
                continue
            waiting = self._waiting[key]
            while waiting:
                place = heapq.heappop(waiting)
                if self._try(place):
                    begun.append(self._moves[place])
                elif waiting and waiting[0] == place:
                    # Whoever is behind the first one that gets no slot would get none either.
                    break
        return begun

    def _try(self, place: int) -> bool:
        move = self._moves[place]
        obstacle = self._in_the_way(move)
        if obstacle is not None:
            heapq.heappush(self._waiting[obstacle], place)
            return False
        self._begin(move)
        return True

    def _begin(self, move: Move) -> None:
        self._coming[move.server] = move
        server = self._layout.fleet.servers[move.server]
        if server.bound_for != move.destination:
            self._layout.add(server, move.destination)
        for key in self._slot_keys(move):
            self._slots[key] += self._weight(key, move)

    def _in_the_way(self, move: Move) -> Key | None:
        for key in self._slot_keys(move):
            if self._slots[key] + self._weight(key, move) > self._limit(key):
                return key
        server = self._layout.fleet.servers[move.server]
        if not self._layout.has_room(server, move.destination):
            return ("room", move.destination)
        if not self._layout.keeps_groups(server, move.destination):
            return ("group", str(server.group))
        return None

    def _slot_keys(self, move: Move) -> list[Key]:
        return [("total",), *parts_of(self._layout.fleet.hosts, move)]

    def _weight(self, key: Key, move: Move) -> int:
        return self._limit(key) if move in self._alone and key[0] in {"out", "in"} else 1

    def _limit(self, key: Key) -> int:
        limits = self._limits
        return {"total": limits.total, "out": limits.outgoing, "in": limits.incoming}.get(key[0], limits.link)


def parts_of(hosts: t.Mapping[str, t.Any], move: Move) -> list[Key]:
    """The parts of a move's way that it shares with others: two hosts, and their links where these differ."""
    parts: list[Key] = [("out", move.source), ("in", move.destination)]
    source, destination = hosts[move.source].link, hosts[move.destination].link
    if source != destination:
        parts += [(way, link) for way, link in (("up", source), ("down", destination)) if link is not None]
    return parts
