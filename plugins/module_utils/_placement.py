# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What Placement's resource providers have, and what is taken of it, in its own classes, units and arithmetic."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read, read_list

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

# 1.18 brought the query by trait, 1.20 is as old (Rocky) and what openstacksdk asks for.
_MICROVERSION = "1.20"
_SHARING_TRAIT = "MISC_SHARES_VIA_AGGREGATE"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a provider has of one resource class; MEMORY_MB in MiB, DISK_GB in GiB."""

    total: int
    reserved: int
    allocation_ratio: float
    min_unit: int
    max_unit: int
    step_size: int
    used: int

    @property
    def capacity(self) -> int:
        """What may be allocated in all, as ``Inventory.capacity`` of Placement, floating point included."""
        return int((self.total - self.reserved) * self.allocation_ratio)

    @property
    def free(self) -> int:
        """What may still be allocated. Negative where more is used, as after the ratio was lowered."""
        return self.capacity - self.used

    def fits(self, amount: int) -> int:
        """How many allocations of ``amount`` (more than 0) Placement would still accept, one after the other."""
        if not self.min_unit <= amount <= self.max_unit or amount % self.step_size:
            return 0
        return max(0, self.free // amount)


Inventories = dict[str, Inventory]


@dataclass(frozen=True, slots=True)
class Provider:
    """A resource provider; ``inventories`` by resource class."""

    id: str
    name: str
    inventories: Inventories


@dataclass(frozen=True, slots=True)
class SharingProvider:
    """A provider, such as shared storage, whose inventory the trees with these roots may use, its own among them."""

    provider: Provider
    roots: frozenset[str]


def provider_names(placement: Service) -> dict[str, str]:
    """The names of all providers by UUID."""
    return {body["uuid"]: body["name"] for body in _providers(placement)}


def read_inventories(placement: Service, provider_id: str) -> Inventories:
    """What the provider itself, without nested ones, has of each class."""
    inventories = read(placement, f"/resource_providers/{provider_id}/inventories", _MICROVERSION)["inventories"]
    usages = read(placement, f"/resource_providers/{provider_id}/usages", _MICROVERSION)["usages"]
    fields = ("total", "reserved", "allocation_ratio", "min_unit", "max_unit", "step_size")
    return {
        name: Inventory(**{field: body[field] for field in fields}, used=usages.get(name, 0))
        for name, body in inventories.items()
    }


def read_traits(placement: Service, provider_id: str) -> tuple[str, ...]:
    """The provider's traits, sorted."""
    return tuple(sorted(read(placement, f"/resource_providers/{provider_id}/traits", _MICROVERSION)["traits"]))


def sharing_providers(placement: Service) -> list[SharingProvider]:
    """The providers that share through an aggregate, each with the root providers of the trees it shares with."""
    shared = []
    for body in _providers(placement, required=_SHARING_TRAIT):
        aggregates = read(placement, f"/resource_providers/{body['uuid']}/aggregates", _MICROVERSION)["aggregates"]
        members = _providers(placement, member_of=f"in:{','.join(aggregates)}") if aggregates else []
        roots = frozenset(member["root_provider_uuid"] for member in members)
        inventories = read_inventories(placement, body["uuid"])
        shared.append(SharingProvider(Provider(body["uuid"], body["name"], inventories), roots))
    return shared


def _providers(placement: Service, **query: str) -> list[Json]:
    return read_list(placement, "/resource_providers", "resource_providers", _MICROVERSION, **query)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Sums over providers of one resource class."""

    total: int = 0
    reserved: int = 0
    capacity: int = 0
    used: int = 0
    free: int = 0


def summed(inventories: Iterable[Inventories]) -> dict[str, Amounts]:
    """The sums by resource class."""
    sums: dict[str, Amounts] = {}
    for each in inventories:
        for name, inventory in each.items():
            so_far = sums.get(name, Amounts())
            sums[name] = Amounts(
                total=so_far.total + inventory.total,
                reserved=so_far.reserved + inventory.reserved,
                capacity=so_far.capacity + inventory.capacity,
                used=so_far.used + inventory.used,
                free=so_far.free + inventory.free,
            )
    return sums
