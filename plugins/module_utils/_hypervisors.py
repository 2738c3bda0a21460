# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The hypervisors as Nova has them, with what Placement says of their resources."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._capacity import (
    Flavor,
    Room,
    fits_in_all,
    fits_on,
    pool_sizes,
    room_on,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read_list
from ansible_collections.lifeboat.cloud.plugins.module_utils._placement import (
    Inventories,
    SharingProvider,
    provider_names,
    read_inventories,
    read_traits,
    sharing_providers,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service

# 2.53 names hypervisors as Placement does. From 2.88 on Nova may ask every host for its uptime, and wait for dead ones.
_MICROVERSION = "2.53"
_POWER_STATE_RUNNING = "1"


@dataclass(frozen=True, slots=True)
class Placing:
    """Where the scheduler counts a hypervisor's host: its availability zone and its aggregates, by name."""

    zone: str
    aggregates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """A hypervisor; ``version`` is 10000000 for 10.0.0.

    What was not asked for is None, and ``inventories`` is None where Placement does not know it.
    """

    id: str
    name: str
    host: str
    type: str
    version: int
    state: str
    status: str
    disabled_reason: str | None
    servers: frozenset[str]
    running: frozenset[str]
    inventories: Inventories | None
    traits: tuple[str, ...] | None
    placing: Placing | None

    @property
    def schedulable(self) -> bool:
        return (self.state, self.status) == ("up", "enabled")


@dataclass(frozen=True, slots=True)
class Survey:
    """Hypervisors, and the providers that share with at least one of them."""

    hypervisors: tuple[Hypervisor, ...]
    sharing: tuple[SharingProvider, ...]

    def pools_of(self, hypervisor: Hypervisor) -> tuple[SharingProvider, ...]:
        """The providers that share with this hypervisor."""
        return tuple(each for each in self.sharing if hypervisor.id in each.roots)

    def inventories(self) -> list[Inventories]:
        """Every provider's inventories, each once, also of a hypervisor that itself shares."""
        own = {each.id: each.inventories for each in self.hypervisors if each.inventories is not None}
        return list((own | {each.provider.id: each.provider.inventories for each in self.sharing}).values())


@dataclass(frozen=True, slots=True)
class Fits:
    """How many more servers fit: alone on each hypervisor, by id, and on all at the same time."""

    on_each: dict[str, int]
    in_all: int


def survey(cloud: Cloud, names: Sequence[str], traits: bool = False, placing: bool = False) -> Survey:
    """Read the hypervisors with these names or hosts, all without names; LifeboatError for a name that is none."""
    bodies = _chosen(_compute_list(cloud.compute, "/os-hypervisors/detail", "hypervisors", with_servers="true"), names)
    running = _running_servers(cloud.compute)
    known = provider_names(cloud.placement)
    placings = _placings(cloud.compute) if placing else {}
    hypervisors = []
    for body in bodies:
        servers = frozenset(server["uuid"] for server in body.get("servers") or ())
        provider = body["id"] if body["id"] in known else None
        hypervisors.append(
            Hypervisor(
                id=body["id"],
                name=body["hypervisor_hostname"],
                host=body["service"]["host"],
                type=body["hypervisor_type"],
                version=body["hypervisor_version"],
                state=body["state"],
                status=body["status"],
                disabled_reason=body["service"]["disabled_reason"],
                servers=servers,
                running=servers & running,
                inventories=read_inventories(cloud.placement, provider) if provider else None,
                traits=read_traits(cloud.placement, provider) if provider and traits else None,
                placing=placings.get(body["service"]["host"]),
            )
        )
    ids = {hypervisor.id for hypervisor in hypervisors}
    sharing = tuple(each for each in sharing_providers(cloud.placement) if each.roots & ids)
    return Survey(tuple(hypervisors), sharing)


def fits(of: Survey, flavor: Flavor) -> Fits:
    """What the numbers of Placement leave room for, on hypervisors that are up and enabled."""
    sizes = pool_sizes({each.provider.id: each.provider.inventories for each in of.sharing}, flavor)
    rooms = {each.id: _room(of, each, flavor) for each in of.hypervisors}
    on_each = {hypervisor: fits_on(room, sizes) for hypervisor, room in rooms.items()}
    return Fits(on_each, fits_in_all(rooms.values(), sizes))


def _room(of: Survey, hypervisor: Hypervisor, flavor: Flavor) -> Room:
    if not hypervisor.schedulable or hypervisor.inventories is None:
        return Room(0, 0, frozenset())
    room = room_on(hypervisor.inventories, (pool.provider.id for pool in of.pools_of(hypervisor)), flavor)
    return dataclasses.replace(room, own=0) if hypervisor.id in room.pools else room


def _chosen(bodies: list[Json], names: Sequence[str]) -> list[Json]:
    called = [{body["hypervisor_hostname"], body["service"]["host"]} for body in bodies]
    unknown = [name for name in names if not any(name in each for each in called)]
    if unknown:
        known = ", ".join(sorted(body["hypervisor_hostname"] for body in bodies)) or "none"
        raise LifeboatError(
            f"hypervisor {', '.join(unknown)}", f"only {known}", "a name of these", "Correct the option names."
        )
    return [body for body, each in zip(bodies, called, strict=True) if not names or each.intersection(names)]


def _running_servers(compute: Service) -> frozenset[str]:
    """The UUIDs of all servers that run, as Nova saw them last."""
    query = {"all_tenants": "true", "power_state": _POWER_STATE_RUNNING}
    return frozenset(body["id"] for body in _compute_list(compute, "/servers", "servers", **query))


def _placings(compute: Service) -> dict[str, Placing]:
    """By host."""
    aggregates = _compute_list(compute, "/os-aggregates", "aggregates")
    services = _compute_list(compute, "/os-services", "services", binary="nova-compute")
    return {
        service["host"]: Placing(
            zone=service["zone"],
            aggregates=tuple(sorted(each["name"] for each in aggregates if service["host"] in each["hosts"])),
        )
        for service in services
    }


def _compute_list(compute: Service, url: str, key: str, **query: str) -> list[Json]:
    return read_list(compute, url, key, _MICROVERSION, **query)
