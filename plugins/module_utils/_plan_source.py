# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Hosts and servers of a plan as Nova and Placement have them.

What the APIs do not tell is said by the caller: bandwidths, the links that hosts share, dirty rates, and whether hosts
share the storage of servers' disks. A server that moves while it runs is taken to use every feature of its host's
processor, as with libvirt's C(host-model).
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import defaultdict

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._hypervisors import survey
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import joined
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import (
    Amounts,
    Group,
    Host,
    Needs,
    Server,
    Traits,
    Uplinks,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import details_of_servers

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._hypervisors import Hypervisor, Survey
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import (
        Fleet,
        Movable,
        Move,
        Storage,
    )

# 2.96 tells the zone that a server is pinned to; it came with Nova 30 (2024.2).
_SERVERS = "2.96"
# 2.64 made of a server group's policies one, and gave it rules.
_GROUPS = "2.64"
_MIB, _GIB = 2**20, 2**30
# Nova moves servers only in these, PAUSED ones while they stay so.
_LIVE, _COLD = {"ACTIVE", "PAUSED"}, {"SHUTOFF"}
# What a flavor asks for that Nova moves only with a server that is stopped.
_PINNED = {
    "pci_passthrough:alias": "it has a PCI device",
    "resources:VGPU": "it has a virtual GPU",
    "hw:mem_encryption": "its memory is encrypted",
}
# For a host without a disk of its own: what it uses is counted elsewhere.
_BOUNDLESS = float(2**62)


def fleet_from(
    cloud: Cloud,
    assumed: Mapping[str, float | None],
    storage: str | None = None,
    under_way: Mapping[str, Move] | None = None,
    uplinks: Uplinks | None = None,
) -> Fleet:
    """The whole cloud. ``assumed`` has ``bandwidth``, and ``dirty_rate`` if it is not 0.

    ``storage`` is what all hosts share; without it they share what a sharing provider of Placement gives them.
    ``under_way`` are moves, by server, that Nova makes just now: these servers take their room on both hosts.
    ``uplinks`` are of its hosts; LifeboatError for a host that it does not have.
    """
    uplinks = uplinks or Uplinks()
    bandwidth = assumed.get("bandwidth")
    if not bandwidth:
        remedy = "Say what migrations get, in bytes per second."
        raise LifeboatError("bandwidth of the hosts", "none", "a number, which Nova does not know", remedy)
    if uplinks.bandwidths and not uplinks.of_hosts:
        remedy = "Say in host_links which hosts are at which link."
        raise LifeboatError("links", f"{', '.join(uplinks.bandwidths)}, and no host at any", "hosts at them", remedy)
    found = survey(cloud, [], traits=True, placing=True)
    if unknown := sorted(uplinks.of_hosts.keys() - {each.host for each in found.hypervisors}):
        remedy = "Correct host_links; it takes the names that Nova has for hosts."
        raise LifeboatError(f"host {', '.join(unknown)} of host_links", "no such host", "hosts of the cloud", remedy)
    groups = _groups(cloud.compute)
    group_of = {member: group["id"] for group in groups for member in group["members"]}
    stored = {each.host: storage or _shared(found, each) for each in found.hypervisors}
    features = {each.host: _features(each) for each in found.hypervisors}
    servers = [
        _server(body, stored, features, group_of.get(body["id"]), assumed.get("dirty_rate") or 0.0)
        for body in _placed(details_of_servers(cloud.compute, _SERVERS, all_tenants="true"))
    ]
    servers = [_on_its_way(each, (under_way or {}).get(each.id)) for each in servers]
    on: defaultdict[str, list[Server]] = defaultdict(list)
    for server in servers:
        for host in sorted({server.host, server.bound_for or server.host}):
            on[host].append(server)
    hosts = [
        _host(each, stored[each.host], on[each.host], bandwidth, uplinks.of_hosts.get(each.host))
        for each in found.hypervisors
    ]
    return joined(hosts, servers, {group["id"]: _group(group) for group in groups}, uplinks.bandwidths)


def _groups(compute: Service) -> list[Json]:
    """All server groups. Nova cuts their list, and unlike with others does not say where it goes on."""
    groups: list[Json] = []
    while True:
        query = {"all_projects": "true", "offset": str(len(groups))}
        page = read(compute, "/os-server-groups", _GROUPS, **query)["server_groups"]
        if not page:
            return groups
        groups += page


def _group(body: Json) -> Group:
    return Group(body["policy"], body["rules"].get("max_server_per_host", 1))


def _on_its_way(server: Server, move: Move | None) -> Server:
    return dataclasses.replace(server, host=move.source, bound_for=move.destination) if move else server


def _placed(bodies: Sequence[Json]) -> list[Json]:
    """Those that are on a host; what is shelved, or was never scheduled, is nowhere."""
    # Since 2.69 Nova answers for a cell that is down with little more than this.
    unknown = [body["id"] for body in bodies if body["status"] == "UNKNOWN"]
    if unknown:
        found = f"Nova knows nothing of {len(unknown)} servers, such as {unknown[0]}, whose cell does not answer"
        raise RefusalError("GET", "/servers/detail", 503, found)
    return [body for body in bodies if body["OS-EXT-SRV-ATTR:host"]]


def _shared(found: Survey, hypervisor: Hypervisor) -> str | None:
    return next((pool.provider.name for pool in found.pools_of(hypervisor)), None)


def _features(hypervisor: Hypervisor) -> frozenset[str]:
    return _of_processor(hypervisor.traits or ())


def _of_processor(traits: Iterable[str]) -> frozenset[str]:
    return frozenset(each for each in traits if each.startswith("HW_CPU_"))


def _host(
    hypervisor: Hypervisor, storage: str | None, servers: Sequence[Server], bandwidth: float, link: str | None
) -> Host:
    placing = hypervisor.placing
    custom = set(hypervisor.traits or ()) - _features(hypervisor)
    return Host(
        name=hypervisor.host,
        capacity=Amounts(
            _capacity(hypervisor, "VCPU", 1, sum(each.takes.vcpus for each in servers)),
            _capacity(hypervisor, "MEMORY_MB", _MIB, sum(each.takes.memory for each in servers)),
            _capacity(hypervisor, "DISK_GB", _GIB, sum(each.takes.disk for each in servers)),
        ),
        bandwidth=bandwidth,
        link=link,
        state=hypervisor.state,
        status=hypervisor.status,
        traits=Traits(
            hypervisor=hypervisor.type,
            hypervisor_version=_version(hypervisor.version),
            cpu_features=_features(hypervisor),
            zone=placing.zone if placing else "",
            aggregates=frozenset(placing.aggregates if placing else ()) | custom,
            storage=storage,
        ),
    )


def _capacity(hypervisor: Hypervisor, name: str, unit: int, of_servers: float) -> float:
    """What servers may take. What others have allocated, such as migrations under way, is not there for them."""
    inventories = hypervisor.inventories
    if inventories is None:
        return 0.0
    if name not in inventories:
        return _BOUNDLESS if name == "DISK_GB" else 0.0
    inventory = inventories[name]
    return inventory.capacity * unit - max(0.0, inventory.used * unit - of_servers)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _server(
    body: Json,
    stored: Mapping[str, str | None],
    features: Mapping[str, frozenset[str]],
    group: str | None,
    dirty_rate: float,
) -> Server:
    host, flavor = body["OS-EXT-SRV-ATTR:host"], body["flavor"]
    specs = flavor.get("extra_specs") or {}
    # A server that started from a volume has no image, and no root disk but the volume.
    root = 0 if not body["image"] else flavor["disk"]
    disk = (root + flavor["ephemeral"]) * _GIB + flavor["swap"] * _MIB
    storage: Storage = "volume" if not disk else "shared" if stored.get(host) else "local"
    movable, reason = _movable(body, specs)
    required = {name.removeprefix("trait:") for name, value in specs.items() if value == "required"}
    # One that starts anew gets what its new host has, and needs only what its flavor asks for.
    anew = Needs(
        storage=storage,
        cpu_features=_of_processor(required),
        zone=body.get("pinned_availability_zone") or "",
        aggregates=frozenset(required - _of_processor(required)),
    )
    running = dataclasses.replace(anew, cpu_features=anew.cpu_features | features.get(host, frozenset()))
    return Server(
        id=body["id"],
        name=body["name"],
        host=host,
        takes=Amounts(flavor["vcpus"], flavor["ram"] * _MIB, disk),
        memory=flavor["ram"] * _MIB,
        dirty_rate=dirty_rate,
        local_disk=disk if storage == "local" else 0.0,
        status=body["status"],
        needs=anew if movable == "cold" else running,
        needs_anew=anew,
        group=group,
        movable=movable,
        reason=reason,
    )


def _movable(body: Json, specs: Mapping[str, str]) -> tuple[Movable, str]:
    task, status = body["OS-EXT-STS:task_state"], body["status"]
    if task:
        return "none", f"Nova is busy with it ({task})"
    if body["locked"]:
        return "none", f"it is locked ({body.get('locked_reason') or 'without a reason'})"
    if status not in _LIVE | _COLD:
        return "none", f"its status is {status}"
    pinned = next((reason for name, reason in _PINNED.items() if name in specs), "")
    return ("cold" if pinned or status in _COLD else "live"), pinned
