# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Hosts and servers of a plan as libvirt_host_info and libvirt_domain_info have told of them.

What libvirt does not tell is assumed by the caller: bandwidths and dirty rates. A server's id is its domain's UUID.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Guest
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_needs import Part, has, own_disks, parts_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_results import domains_of, host_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import Entry, Reader, joined, links_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import (
    Amounts,
    Group,
    Host,
    Needs,
    Server,
    Traits,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import DomainFacts
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import HostFacts
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_needs import OwnDisks
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Resources
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Movable

_STATUS = {
    State.RUNNING.value: "ACTIVE",
    State.BLOCKED.value: "ACTIVE",
    State.PAUSED.value: "PAUSED",
    State.SHUT_OFF.value: "SHUTOFF",
}
# Reasons for which a domain stands still, or runs, between two hosts.
_IN_BETWEEN = {"migration", "postcopy", "postcopy_failed"}
# For a host whose storage libvirt does not know.
_BOUNDLESS = float(2**62)


@dataclass(frozen=True, slots=True)
class _Site:
    """A hypervisor: what was said of it, and what libvirt there told. ``disk`` is None where nothing was said."""

    name: str
    facts: HostFacts
    resources: Resources
    domains: tuple[DomainFacts, ...]
    room: Amounts
    disk: float | None
    bandwidth: float
    link: str | None
    status: str
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a domain counts; one that is under way is ``bound_for`` another host."""

    site: _Site
    domain: DomainFacts
    bound_for: str | None = None


def fleet_of_libvirt(
    entries: Iterable[Entry], links: Iterable[Entry] = (), assumed: Mapping[str, float | None] | None = None
) -> Fleet:
    """The fleet, or LifeboatError. ``assumed`` may have ``bandwidth`` and ``dirty_rate``.

    Each entry has ``name``, and in ``host`` and ``domains`` the results of libvirt_host_info and libvirt_domain_info
    there. It may have ``bandwidth``, ``link``, ``status``, ``vcpus``, ``memory`` and ``disk`` as a host of fleet_of
    has, and ``shared``, directories on storage that hosts share.
    """
    known = assumed or {}
    sites = [_site(each, known) for each in entries]
    _check_names(sites)
    places = _places(sites)
    needed = [frozenset(parts_of(place.domain, place.site.resources, place.site.shared)) for place in places]
    all_needed = frozenset[Part]().union(*needed)
    emulated = not any(site.facts.accelerated for site in sites)
    groups = _groups(places)
    servers = [
        _server(place, parts, groups, known.get("dirty_rate") or 0.0, judge_emulated=emulated)
        for place, parts in zip(places, needed, strict=True)
    ]
    shared_names = _shared_names(sites)
    hosts = [_host(site, all_needed, servers, shared_names) for site in sites]
    return joined(hosts, servers, dict.fromkeys(groups.values(), Group("anti-affinity")), links_of(links))


def _site(entry: Entry, known: Mapping[str, float | None]) -> _Site:
    reader = Reader("host", entry, known)
    name = reader.text("name")
    facts, resources = host_of(reader.anything("host"), name)
    memory = sum(node.memory for node in facts.nodes)
    if not memory and entry.get("memory") is None:
        found = "no NUMA node with memory in what libvirt tells"
        raise LifeboatError(f"host {name}", found, "its memory in bytes", "Give memory in its entry.")
    disk = reader.number("disk", -1.0, -1.0)
    site = _Site(
        name,
        facts,
        resources,
        domains_of(reader.anything("domains"), name),
        Amounts(reader.number("vcpus", facts.cpus), reader.number("memory", memory)),
        None if disk < 0 else disk,
        reader.number("bandwidth", least=1.0),
        reader.optional("link"),
        reader.text("status", "enabled", ("enabled", "disabled")),
        tuple(sorted(reader.names("shared"))),
    )
    reader.nothing_else()
    return site


def _check_names(sites: Sequence[_Site]) -> None:
    twice = sorted(name for name, count in Counter(site.name for site in sites).items() if count > 1)
    if twice:
        raise LifeboatError(f"host {', '.join(twice)}", "two entries", "one", "Give each once.")


def _places(sites: Sequence[_Site]) -> list[_Place]:
    """Each domain once: where it runs, else on the first host that has its definition."""
    found: defaultdict[str, list[_Place]] = defaultdict(list)
    for site in sites:
        for domain in site.domains:
            found[domain.uuid.lower()].append(_Place(site, domain))
    return [_only(places) for places in found.values()]


def _only(places: Sequence[_Place]) -> _Place:
    active = [place for place in places if place.domain.state != State.SHUT_OFF.value]
    leaving = [place for place in active if place.domain.job and place.domain.job.operation == "migration_out"]
    if len(active) == 2 and len(leaving) == 1:
        [other] = [place for place in active if place is not leaving[0]]
        return dataclasses.replace(leaving[0], bound_for=other.site.name)
    if len(active) > 1:
        where = " and ".join(f"{each.site.name} ({each.domain.state})" for each in active)
        raise LifeboatError(
            f"domain {active[0].domain.name} ({active[0].domain.uuid})",
            f"it on {where}",
            "one host that runs it",
            "Read all hosts anew in case it has moved meanwhile. Else stop one: two that run ruin its disks.",
        )
    return (active or places)[0]


def _groups(places: Iterable[_Place]) -> dict[str, str]:
    """Domains of one name exclude each other on a host, which has one domain of a name. Their group, by name."""
    count = Counter(place.domain.name for place in places)
    return {name: f"domains called {name}" for name, number in count.items() if number > 1}


def _server(
    place: _Place, parts: frozenset[Part], groups: Mapping[str, str], dirty_rate: float, *, judge_emulated: bool
) -> Server:
    domain, site = place.domain, place.site
    own = own_disks(domain, site.resources, site.shared)
    movable, reason = _movable(domain, own)
    return Server(
        id=domain.uuid.lower(),
        name=domain.name,
        host=site.name,
        takes=Amounts(domain.vcpus, domain.max_memory_kib * 1024, own.size),
        memory=domain.memory_kib * 1024,
        dirty_rate=dirty_rate,
        local_disk=own.written,
        status=_STATUS.get(domain.state, domain.state.upper()),
        needs=Needs(
            storage="local" if own.copied else "volume",
            networks=_named(part for part in parts if part.is_network),
            parts=_named(part for part in parts if not part.is_network),
            guest=_guest(domain, judge_emulated=judge_emulated),
        ),
        group=groups.get(domain.name),
        movable=movable,
        reason=reason,
        bound_for=place.bound_for,
    )


def _named(parts: Iterable[Part]) -> frozenset[str]:
    return frozenset(str(part) for part in parts)


def _guest(domain: DomainFacts, *, judge_emulated: bool) -> Guest:
    # A host with KVM tells of the processors that KVM can give, not of those that QEMU emulates.
    judged = domain.virtualization == "kvm" or judge_emulated
    return Guest(
        virtualization=domain.virtualization,
        arch=domain.arch,
        machine=domain.machine,
        cpu_mode=domain.cpu_mode if judged else "",
        cpu=domain.cpu if judged else None,
    )


def _movable(domain: DomainFacts, own: OwnDisks) -> tuple[Movable, str]:
    """As libvirt_migration sees it."""
    off = domain.state == State.SHUT_OFF.value
    left = [(domain.snapshots, "snapshots"), (domain.checkpoints, "checkpoints")]
    against = [
        (domain.job is not None, f"libvirt is busy with it ({domain.job.operation if domain.job else ''})"),
        (
            domain.state not in _STATUS or (not off and domain.reason in _IN_BETWEEN),
            f"it is {domain.state} ({domain.reason})",
        ),
        (bool(domain.pinned), f"it has what stays with its host: {', '.join(domain.pinned)}"),
        *((count > 0, f"it has {count} {what} of libvirt, which do not move") for count, what in left),
        (domain.managed_save, "its saved memory does not move"),
        (bool(own.kept), f"its disk {', '.join(own.kept)} is a volume that only its host has"),
        (
            off and bool(own.copied),
            f"it is off, and libvirt copies disks such as {', '.join(own.copied)} only while it runs",
        ),
    ]
    reason = next((reason for holds, reason in against if holds), "")
    return ("none" if reason else "cold" if off else "live"), reason


def _shared_names(sites: Sequence[_Site]) -> frozenset[str]:
    """Names by which libvirt tells hosts apart and that several have."""
    count = Counter(name for site in sites for name in _names_of(site.facts))
    return frozenset(name for name, number in count.items() if number > 1)


def _names_of(facts: HostFacts) -> tuple[str, str]:
    return f"UUID {facts.uuid}", f"hostname {facts.hostname}"


def _host(site: _Site, needed: Iterable[Part], servers: Iterable[Server], shared_names: frozenset[str]) -> Host:
    there = [part for part in needed if has(site.resources, site.shared, part)]
    facts = site.facts
    cpu = facts.cpu
    return Host(
        name=site.name,
        capacity=dataclasses.replace(site.room, disk=_disk_room(site, there, servers)),
        bandwidth=site.bandwidth,
        link=site.link,
        status=site.status,
        traits=Traits(
            hypervisor=facts.hypervisor,
            hypervisor_version=facts.hypervisor_version,
            libvirt_version=facts.libvirt_version,
            cpu_model=cpu.model if cpu else "",
            networks=_named(part for part in there if part.is_network),
            parts=_named(part for part in there if not part.is_network),
            shared_names=shared_names.intersection(_names_of(facts)),
            libvirt=_alike(facts),
        ),
    )


def _alike(facts: HostFacts) -> HostFacts:
    """Without what is the host's own, so that hosts that are alike are one class."""
    return dataclasses.replace(
        facts,
        uri="",
        transport="",
        uuid="",
        hostname="",
        client_version="",
        guest_cpu_xml=None,
        cpus=0,
        nodes=(),
        migration_transports=(),
    )


def _disk_room(site: _Site, there: Iterable[Part], servers: Iterable[Server]) -> float:
    """Bytes for disks that are copied: what is free in the pools that such disks need, and what servers have there."""
    if site.disk is not None:
        return site.disk
    if site.resources.pools is None:
        return _BOUNDLESS
    directories = {part.name for part in there if part.kind == "storage pool for"}
    pools = [pool for pool in site.resources.pools if pool.active and pool.path in directories]
    # Pools with the same numbers are directories of one file system.
    free = sum(available for _capacity, available in {(pool.capacity, pool.available) for pool in pools})
    taken = sum(each.takes.disk for each in servers if site.name in {each.host, each.bound_for})
    return free + taken
