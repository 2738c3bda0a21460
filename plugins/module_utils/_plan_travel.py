# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How each server can travel: whether at all, in which mode, and what it costs on a path of some bandwidth."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Obstacle, Weight
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import (
    Guest,
    Mode,
    Path,
    choose,
    cold,
    post_copy,
    pre_copy,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy, Prediction
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Limits, Move, Server

# A guest that has to send this much more when it shares its hosts' bandwidth is not worth sharing it.
_WORTH_SHARING = 1.1


@dataclass(frozen=True, slots=True)
class Trip:
    """A move in its mode over the whole bandwidth: ``least`` bytes in ``seconds``; ``alone`` is best without others."""

    move: Move
    mode: Mode
    alone: bool
    least: float
    seconds: float
    fixed_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What is sent, and how long the guest stands still and how much it is slowed down."""

    transferred: float
    downtime_s: float
    slowdown: float


class Travel:
    """Predictions by _migration_model, with what was learned; each sort of guest and path is computed once."""

    def __init__(self, fleet: Fleet, limits: Limits, policy: Policy, estimates: Estimates) -> None:
        self.fleet = fleet
        self.limits = limits
        self._policy = policy
        self.estimates = estimates
        self._chosen: dict[tuple[Guest, Path, bool], Prediction] = {}
        widest = sorted((host.bandwidth for host in fleet.hosts.values()), reverse=True)
        self._widest = Path(widest[0])

    def staying(self, server: Server) -> Obstacle | None:
        """Why the server cannot leave its host, wherever to."""
        if server.bound_for is not None:
            return Obstacle("server", Weight.BLOCKS, f"it is under way to {server.bound_for}")
        if self.fleet.hosts[server.host].state != "up":
            return Obstacle("server", Weight.BLOCKS, "its host is down, so that it can only be evacuated")
        if server.movable == "none":
            return Obstacle("server", Weight.BLOCKS, server.reason or "it is not to be moved")
        if server.movable == "cold" and server.running and not self._may_stop(server):
            reason = server.reason or "it cannot move while it runs"
            why = "the policy does not allow to stop it"
            if not server.stoppable:
                why = f"one that is {server.status} is not stopped for its move"
            return Obstacle("server", Weight.BLOCKS, f"{reason}, and {why}")
        if server.movable == "live" and server.running:
            try:
                self._choose(server, self._widest)
            except LifeboatError as error:
                return Obstacle("server", Weight.BLOCKS, f"{error.found}. {error.remedy}")
        return None

    def trip(self, move: Move) -> Trip:
        """How the move is best made, or LifeboatError when none of the modes that are allowed ends."""
        server = self.fleet.servers[move.server]
        path = self._path(move, self._bandwidth(move, shared=False))
        pair, disk = (move.source, move.destination), self.estimates.disk(server)
        fixed, cold_fixed = self.estimates.setup_s(*pair), self.estimates.cold_setup_s(*pair)
        if not server.running or server.movable == "cold":
            best = cold(self._guest(server), self._path_of(server, path), disk)
            fixed = cold_fixed
            return Trip(move, "cold", False, disk, best.total_s + fixed, fixed + self._reboot(server, path))
        best = self._choose(server, path)
        if best.mode == "cold":
            seconds = disk / path.bandwidth + path.reboot_s
            return Trip(move, "cold", False, disk, seconds + cold_fixed, cold_fixed + path.reboot_s)
        return Trip(
            move,
            best.mode,
            self._better_alone(server, move, best),
            best.transferred + disk,
            best.total_s + disk / path.bandwidth + fixed,
            fixed + path.switch_s,
        )

    def cost(self, trip: Trip, bandwidth: float) -> Cost:
        """Of a trip that gets this much of its hosts' bandwidth when it begins."""
        server = self.fleet.servers[trip.move.server]
        path = self._path(trip.move, bandwidth)
        guest, disk = self._guest(server), self.estimates.disk(server)
        if trip.mode == "cold":
            return Cost(disk, disk / path.bandwidth + path.reboot_s if server.running else 0.0, 0.0)
        if trip.mode == "post-copy":
            seen = post_copy(guest, path)
        else:
            seen = pre_copy(guest, path, self._policy, throttling=trip.mode == "auto-converge")
        return Cost(seen.transferred + disk, seen.downtime_s, seen.slowdown)

    def factor(self, move: Move) -> float:
        """What a path really carried, as a share of what its hosts' bandwidths promise."""
        return self.estimates.bandwidth(move.source, move.destination)

    def _better_alone(self, server: Server, move: Move, best: Prediction) -> bool:
        if best.mode == "post-copy":
            return False
        path = self._path(move, self._bandwidth(move, shared=True))
        shared = pre_copy(self._guest(server), path, self._policy)
        return not shared.converges or shared.transferred > _WORTH_SHARING * best.transferred

    def _bandwidth(self, move: Move, shared: bool) -> float:
        """Of the narrowest part of the way; ``shared`` with as many as the limits allow."""
        hosts, limits = self.fleet.hosts, self.limits
        source, destination = hosts[move.source], hosts[move.destination]
        parts = [(source.bandwidth, limits.outgoing), (destination.bandwidth, limits.incoming)]
        if source.link != destination.link:
            parts += [(self.fleet.links[each], limits.link) for each in (source.link, destination.link) if each]
        return min(bandwidth / (sharers if shared else 1) for bandwidth, sharers in parts)

    def _path(self, move: Move, bandwidth: float) -> Path:
        pair = move.source, move.destination
        return Path(bandwidth * self.factor(move), self.estimates.switch_s(*pair), self.estimates.reboot_s(*pair))

    def _path_of(self, server: Server, path: Path) -> Path:
        return Path(path.bandwidth, path.switch_s, self._reboot(server, path))

    @staticmethod
    def _reboot(server: Server, path: Path) -> float:
        return path.reboot_s if server.running else 0.0

    def _guest(self, server: Server) -> Guest:
        learned = self.estimates.guest(server)
        return Guest(learned.memory, learned.dirty_rate, server.working_set)

    def _may_stop(self, server: Server) -> bool:
        return self._policy.cold and server.stoppable

    def _choose(self, server: Server, path: Path) -> Prediction:
        guest, stops = self._guest(server), self._may_stop(server)
        key = guest, path, stops
        if key not in self._chosen:
            self._chosen[key] = choose(guest, path, dataclasses.replace(self._policy, cold=stops))
        return self._chosen[key]
