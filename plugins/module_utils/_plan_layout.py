# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Which servers are where while they move, and what room that leaves: the ledger that plans are made on."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Obstacle, Weight

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Amounts, Fleet, Server

_UNITS = {"vcpus": ("VCPUs", 1.0), "memory": ("GiB of memory", 2.0**30), "disk": ("GiB of disk", 2.0**30)}


class Layout:
    """A server that is under way takes its room on both hosts, as Placement counts it, until it has left."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.host_of: dict[str, str] = {}
        self.on: dict[str, dict[str, None]] = {name: {} for name in fleet.hosts}
        self._used = {name: [0.0, 0.0, 0.0] for name in fleet.hosts}
        self._members: defaultdict[str, Counter[str]] = defaultdict(Counter)
        # Of the servers that are in a group; one that is under way has two.
        self._places: Counter[str] = Counter()
        for server in fleet.servers.values():
            self.add(server, server.host)
            self.host_of[server.id] = server.host
            if server.bound_for is not None:
                self.add(server, server.bound_for)

    def add(self, server: Server, host: str) -> None:
        """Give it room on the host."""
        self._count(server, host, 1)
        self.on[host][server.id] = None

    def remove(self, server: Server, host: str) -> None:
        """Take its room on the host away."""
        self._count(server, host, -1)
        del self.on[host][server.id]

    def move(self, server: Server, destination: str) -> None:
        """Have it moved, all at once."""
        self.remove(server, self.host_of[server.id])
        self.add(server, destination)
        self.host_of[server.id] = destination

    def _count(self, server: Server, host: str, sign: int) -> None:
        used, takes = self._used[host], server.takes
        used[0] += sign * takes.vcpus
        used[1] += sign * takes.memory
        used[2] += sign * takes.disk
        if server.group is not None:
            self._members[server.group][host] += sign
            self._places[server.id] += sign

    def used(self, host: str) -> tuple[float, float, float]:
        """VCPUs, memory and disk that are taken on the host."""
        vcpus, memory, disk = self._used[host]
        return vcpus, memory, disk

    def has_room(self, server: Server, host: str) -> bool:
        used, has, takes = self._used[host], self.fleet.hosts[host].capacity, server.takes
        return (
            used[0] + takes.vcpus <= has.vcpus
            and used[1] + takes.memory <= has.memory
            and used[2] + takes.disk <= has.disk
        )

    def load(self, host: str, beside: Amounts | None = None, sign: int = 1) -> float:
        """The larger of the shares of VCPUs and memory that are taken, with or without something ``beside`` them."""
        used, has = self._used[host], self.fleet.hosts[host].capacity
        vcpus, memory = used[0], used[1]
        if beside is not None:
            vcpus, memory = vcpus + sign * beside.vcpus, memory + sign * beside.memory
        return max(vcpus / has.vcpus if has.vcpus else 1.0, memory / has.memory if has.memory else 1.0)

    def crowded(self, group: str) -> list[str]:
        """The hosts with more members than the group allows or, with a soft policy, than one; those with most first."""
        most, members = self.fleet.groups[group].max_server_per_host, self._members[group]
        return sorted((host for host in members if members[host] > most), key=lambda host: (-members[host], host))

    def keeps_groups(self, server: Server, host: str) -> bool:
        """Whether the hard policy of its group lets it come to the host."""
        if server.group is None:
            return True
        group, there = self.fleet.groups[server.group], self._members[server.group][host]
        if group.policy == "anti-affinity":
            return there < group.max_server_per_host
        return group.policy != "affinity" or bool(there) or not self._others(server)

    def _others(self, server: Server) -> int:
        """How many places the other members of its group have. It may itself have none while moves are weighed."""
        return self._members[str(server.group)].total() - self._places[server.id]

    def discomfort(self, server: Server, host: str) -> int:
        """How far the server on the host is from what a soft policy would like; 0 for what it likes.

        With soft-anti-affinity it is the number of others of its group that are there.
        """
        if server.group is None:
            return 0
        policy = self.fleet.groups[server.group].policy
        there = self._members[server.group][host] - (server.id in self.on[host])
        if policy == "soft-anti-affinity":
            return there
        return int(policy == "soft-affinity" and not there)

    def obstacles(self, server: Server, host: str) -> list[Obstacle]:
        """What now speaks against the host: room, groups, and earlier attempts."""
        found = []
        used, has, takes = self._used[host], self.fleet.hosts[host].capacity, server.takes
        for place, (name, (unit, size)) in enumerate(_UNITS.items()):
            if used[place] + getattr(takes, name) > getattr(has, name):
                reason = f"needs {getattr(takes, name) / size:.4g} {unit}, which the host does not have free"
                found.append(Obstacle("capacity", Weight.BLOCKS, reason))
        if not self.keeps_groups(server, host):
            found.append(Obstacle("group", Weight.BLOCKS, self._against_group(str(server.group), host)))
        if host in server.avoid:
            found.append(Obstacle("history", Weight.BLOCKS, "a migration of the server to it has failed"))
        return found

    def _against_group(self, name: str, host: str) -> str:
        group = self.fleet.groups[name]
        if group.policy == "affinity":
            return f"server group {name} has none there, and its policy affinity wants all on one host"
        there, most = self._members[name][host], group.max_server_per_host
        return f"server group {name} has {there} there, and its policy {group.policy} allows {most} on a host"
