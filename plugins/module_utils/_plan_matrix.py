# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Which hosts could take which servers, with the reasons against the others.

Hosts with the same traits, and servers with the same needs on hosts with the same traits, are one class. A cloud of
500 hosts and 10,000 servers has a few classes, so that a few comparisons stand for five million.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import (
    Obstacle,
    Weight,
    can_migrate,
    obstacles_of_kind,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Host, Needs, Server, Traits


@dataclass(frozen=True, slots=True)
class Destinations:
    """The hosts that nothing blocks but room and groups; those that bear no risk either apart."""

    safe: frozenset[str]
    risky: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """Servers that are alike, the hosts that could take one of them now, and why the others cannot."""

    servers: tuple[str, ...]
    fits: tuple[str, ...]
    refused: tuple[tuple[tuple[str, ...], tuple[Obstacle, ...]], ...]


class Matrix:
    """Of servers and hosts, by classes, each compared when it is first asked for."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        numbers: dict[object, int] = {}
        self._host_class = {
            name: numbers.setdefault((host.state, host.status, host.traits), len(numbers))
            for name, host in fleet.hosts.items()
        }
        self._hosts: dict[int, list[str]] = {}
        for name, number in self._host_class.items():
            self._hosts.setdefault(number, []).append(name)
        self._needs_class = {
            each.id: numbers.setdefault((each.needs, _goes_live(each)), len(numbers)) for each in fleet.servers.values()
        }
        self._known: dict[tuple[int, int, int], tuple[Obstacle, ...]] = {}
        self._destinations: dict[tuple[int, int], Destinations] = {}

    def class_of(self, server: Server, source: str) -> tuple[int, int]:
        """Servers of one class have the same destinations."""
        return self._needs_class[server.id], self._host_class[source]

    def obstacles(self, server: Server, source: str, destination: str) -> tuple[Obstacle, ...]:
        """What speaks against moving the server, whatever else runs on the destination."""
        key = (*self.class_of(server, source), self._host_class[destination])
        if key not in self._known:
            hosts = self._fleet.hosts
            live = _goes_live(server)
            self._known[key] = tuple(_obstacles(server.needs, hosts[source], hosts[destination], live=live))
        return self._known[key]

    def destinations(self, server: Server, source: str) -> Destinations:
        """Where it could go; ``source`` itself is among them, if it would be taken there."""
        key = self.class_of(server, source)
        if key not in self._destinations:
            safe: list[str] = []
            risky: list[str] = []
            for members in self._hosts.values():
                against = self.obstacles(server, source, members[0])
                if can_migrate(list(against)):
                    (risky if against else safe).extend(members)
            self._destinations[key] = Destinations(frozenset(safe), frozenset(risky))
        return self._destinations[key]

    def against(self, server: Server, destination: str, layout: Layout) -> tuple[Obstacle, ...]:
        """What blocks this destination now, room and groups included."""
        fixed = self.obstacles(server, layout.host_of[server.id], destination)
        return (*(each for each in fixed if each.weight is Weight.BLOCKS), *layout.obstacles(server, destination))

    def rows(self, servers: Iterable[Server], layout: Layout) -> list[Row]:
        """For each sort of these servers where they fit, and why not elsewhere; an only host of theirs is left out."""
        alike: dict[object, list[Server]] = {}
        for server in servers:
            source = layout.host_of[server.id]
            key = (*self.class_of(server, source), server.takes, server.group, server.avoid)
            alike.setdefault(key, []).append(server)
        return [self._row(each, layout) for each in alike.values()]

    def _row(self, servers: list[Server], layout: Layout) -> Row:
        server = servers[0]
        sources = {layout.host_of[each.id] for each in servers}
        refused: dict[tuple[Obstacle, ...], list[str]] = {}
        for host in self._fleet.hosts:
            if sources != {host}:
                refused.setdefault(self.against(server, host, layout), []).append(host)
        fits = tuple(refused.pop((), ()))
        why = tuple((tuple(hosts), against) for against, hosts in refused.items())
        return Row(tuple(each.id for each in servers), fits, why)


def _goes_live(server: Server) -> bool:
    return server.running and server.movable != "cold"


def _obstacles(needs: Needs, source: Host, destination: Host, *, live: bool) -> Iterator[Obstacle]:
    here, there = source.traits, destination.traits
    if (destination.state, destination.status) != ("up", "enabled"):
        yield _blocks("state", f"the host is {destination.state} and {destination.status}")
    if here.shared_names & there.shared_names:
        names = ", ".join(sorted(here.shared_names & there.shared_names))
        yield _blocks("identity", f"both hosts have the {names}: libvirt takes them for one host")
    if here.libvirt and there.libvirt:
        yield from obstacles_of_kind(here.libvirt, there.libvirt, needs.guest)
    else:
        yield from _versions(here, there, live=live)
        yield from _cpus(needs, here, there)
        if needs.machine and there.machines and needs.machine not in there.machines:
            yield _blocks("machine type", f"the host does not know {needs.machine}")
    if needs.storage == "shared" and here.storage != there.storage:
        yield _blocks("storage", f"the disk is on {here.storage or 'a disk of its host'}, which the host does not have")
    if needs.zone and needs.zone != there.zone:
        yield _blocks("zone", f"the server belongs to {needs.zone}, the host to {there.zone or 'none'}")
    for subject, wanted, has in (
        ("aggregate or trait", needs.aggregates, there.aggregates),
        ("network", needs.networks, there.networks),
        ("storage", needs.parts, there.parts),
    ):
        if wanted - has:
            yield _blocks(subject, f"the host lacks {', '.join(sorted(wanted - has))}")


def _versions(here: Traits, there: Traits, *, live: bool) -> Iterator[Obstacle]:
    if here.hypervisor != there.hypervisor:
        yield _blocks("hypervisor", f"{here.hypervisor} on the source, {there.hypervisor} on the destination")
    # Nova refuses this one itself (DestinationHypervisorTooOld), and only while the server runs.
    elif live and _older(there.hypervisor_version, here.hypervisor_version):
        reason = f"{there.hypervisor_version} on the destination is older than {here.hypervisor_version} on the source"
        yield _blocks("hypervisor", reason)
    if live and _older(there.libvirt_version, here.libvirt_version):
        reason = f"{there.libvirt_version} on the destination is older than {here.libvirt_version} on the source"
        yield Obstacle("libvirt", Weight.RISK, f"{reason}: that way is untested")


def _cpus(needs: Needs, here: Traits, there: Traits) -> Iterator[Obstacle]:
    if needs.cpu_mode in {"host-passthrough", "maximum"}:
        if (here.cpu_model, here.cpu_features) != (there.cpu_model, there.cpu_features):
            yield _blocks("cpu", f"the server has {needs.cpu_mode}, and the hosts' processors differ")
        return
    can_give = there.cpu_models | {there.cpu_model}
    if needs.cpu_model and there.cpu_model and needs.cpu_model not in can_give:
        yield _blocks("cpu", f"the host, with {there.cpu_model}, cannot give {needs.cpu_model}")
    if there.cpu_features and needs.cpu_features - there.cpu_features:
        lacking = ", ".join(sorted(needs.cpu_features - there.cpu_features))
        yield _blocks("cpu", f"the host's processor lacks {lacking}")


def _blocks(subject: str, reason: str) -> Obstacle:
    return Obstacle(subject, Weight.BLOCKS, reason)


def _older(one: str, other: str) -> bool:
    return bool(one and other) and _number(one) < _number(other)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
