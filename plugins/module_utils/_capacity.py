# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How many servers of one flavor still fit, on each host and on all at the same time.

On all it is less than the sum over the hosts where hosts share storage, since each part of it can be given once.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._placement import Inventories

_SHAREABLE = "DISK_GB"


@dataclass(frozen=True, slots=True)
class Flavor:
    """What a server takes: VCPUs, memory in MiB, disk in GiB (root, ephemeral and swap together)."""

    vcpus: int
    ram: int
    disk: int = 0

    def __post_init__(self) -> None:
        if self.vcpus < 1 or self.ram < 1 or self.disk < 0:
            expected = "at least 1 VCPU, 1 MiB and 0 GiB"
            raise LifeboatError("flavor", f"{self.vcpus}, {self.ram} and {self.disk}", expected, "Correct the option.")

    @property
    def resources(self) -> dict[str, int]:
        """By resource class; of what it takes nothing Placement is not asked."""
        amounts = {"VCPU": self.vcpus, "MEMORY_MB": self.ram, _SHAREABLE: self.disk}
        return {name: amount for name, amount in amounts.items() if amount}


@dataclass(frozen=True, slots=True)
class Room:
    """How many servers a host has room for: by all but disks, on its own disk, and the storage that it may also use."""

    slots: int
    own: int
    pools: frozenset[str]


def room_on(inventories: Inventories, pools: Iterable[str], flavor: Flavor) -> Room:
    """The room of a host with these inventories of its own, that may use these pools."""
    counts = {
        name: inventories[name].fits(amount) if name in inventories else 0 for name, amount in flavor.resources.items()
    }
    own_disk = counts.pop(_SHAREABLE, None)
    slots = min(counts.values())
    if own_disk is None:
        return Room(slots, slots, frozenset())
    return Room(slots, own_disk, frozenset(pools))


def pool_sizes(pools: Mapping[str, Inventories], flavor: Flavor) -> dict[str, int]:
    """How many of the flavor's disks fit on each of the pools."""
    return {
        name: inventories[_SHAREABLE].fits(flavor.disk)
        for name, inventories in pools.items()
        if _SHAREABLE in inventories and flavor.disk
    }


def fits_on(room: Room, sizes: Mapping[str, int]) -> int:
    """How many servers fit on the host when no other host takes any."""
    return min(room.slots, room.own + sum(sizes.get(pool, 0) for pool in room.pools))


def fits_in_all(rooms: Iterable[Room], sizes: Mapping[str, int]) -> int:
    """How many servers fit on all hosts at the same time.

    A host's own disk is of use to it alone, so it is filled first; what the hosts have room for beyond it is the
    maximum flow to the pools.
    """
    count = 0
    needs: Counter[frozenset[str]] = Counter()
    for room in rooms:
        on_own_disk = min(room.slots, room.own)
        count += on_own_disk
        needs[room.pools.intersection(sizes)] += room.slots - on_own_disk
    return count + _Pools(sizes).serve(needs)


class _Pools:
    """Pools from which groups of hosts are served, along augmenting paths."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._left = dict(sizes)
        self._given: Counter[tuple[frozenset[str], str]] = Counter()

    def serve(self, needs: Mapping[frozenset[str], int]) -> int:
        """Give each group as much of its need as possible without taking from the others; how much was given."""
        for group, need in needs.items():
            missing = need
            while missing and (got := self._give(group, missing, set())):
                missing -= got
        return sum(self._given.values())

    def _give(self, group: frozenset[str], wanted: int, seen: set[str]) -> int:
        """Give the group something, at most ``wanted``, from a pool that is not ``seen``; 0 when there is nothing."""
        for pool in group:
            if pool in seen:
                continue
            seen.add(pool)
            if got := self._free(pool, wanted, seen):
                self._left[pool] -= got
                self._given[group, pool] += got
                return got
        return 0

    def _free(self, pool: str, wanted: int, seen: set[str]) -> int:
        """See that something is left in the pool, if need be by serving another group elsewhere; how much, at most."""
        if self._left[pool]:
            return min(wanted, self._left[pool])
        for (group, source), amount in list(self._given.items()):
            if source == pool and amount and (moved := self._give(group, min(wanted, amount), seen)):
                self._given[group, pool] -= moved
                self._left[pool] += moved
                return moved
        return 0
