# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether a domain can migrate from one host to another, and what speaks against it.

From what both hosts say of themselves. The hypervisor has the last word: a domain that passes can still be refused for
its storage, its devices or its network.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import CpuModel

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import HostFacts

_UNSET_UUID = "00000000-0000-0000-0000-000000000000"


class Weight(StrEnum):
    """``BLOCKS``: libvirt or QEMU will refuse. ``RISK``: it may work, nobody promises it."""

    BLOCKS = "blocks"
    RISK = "risk"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What speaks against a migration."""

    subject: str
    weight: Weight
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What of a domain matters. ``cpu_mode`` is custom, host-model, host-passthrough, maximum, or empty for none."""

    virtualization: str
    arch: str
    machine: str
    cpu_mode: str = ""
    cpu: CpuModel | None = None


def guest_of(definition: Element) -> Guest:
    """From a domain's definition; of a running one from its live definition, which has the CPU resolved."""
    kind, cpu = definition.find("os/type"), definition.find("cpu")
    model = (cpu.findtext("model") if cpu is not None else None) or ""
    features = [] if cpu is None else [(each.get("name", ""), each.get("policy")) for each in cpu.findall("feature")]
    return Guest(
        virtualization=definition.get("type", ""),
        arch=kind.get("arch", "") if kind is not None else "",
        machine=kind.get("machine", "") if kind is not None else "",
        # Without a mode a CPU with a model is custom.
        cpu_mode="" if cpu is None else cpu.get("mode", "custom" if model else ""),
        cpu=CpuModel(
            model,
            cpu.findtext("vendor") if cpu is not None else None,
            frozenset(name for name, policy in features if policy in {None, "require", "force"}),
            frozenset(name for name, policy in features if policy in {"disable", "forbid"}),
        )
        if model
        else None,
    )


def can_migrate(obstacles: list[Obstacle]) -> bool:
    """Whether nothing blocks."""
    return all(each.weight is not Weight.BLOCKS for each in obstacles)


def obstacles(source: HostFacts, destination: HostFacts, guest: Guest | None = None) -> list[Obstacle]:
    """What speaks against moving ``guest``; without one, against moving domains with C(host-model) in general."""
    return [*_identities(source, destination), *obstacles_of_kind(source, destination, guest)]


def obstacles_of_kind(source: HostFacts, destination: HostFacts, guest: Guest | None = None) -> list[Obstacle]:
    """The same of hosts like these, whoever they are."""
    return [
        *_versions(source, destination),
        *_kinds(source, destination, guest),
        *_machines(source, destination, guest),
        *_cpus(source, destination, guest),
    ]


def _blocks(subject: str, reason: str) -> Obstacle:
    return Obstacle(subject, Weight.BLOCKS, reason)


def _risk(subject: str, reason: str) -> Obstacle:
    return Obstacle(subject, Weight.RISK, reason)


def _identities(source: HostFacts, destination: HostFacts) -> Iterator[Obstacle]:
    if source.uuid == destination.uuid or _UNSET_UUID in {source.uuid, destination.uuid}:
        yield _blocks(
            "host uuid",
            f"both hosts say that their UUID is {destination.uuid}: libvirt takes them for one host. Give each its own "
            "host_uuid in libvirtd.conf.",
        )
    if source.hostname == destination.hostname:
        yield _blocks(
            "hostname", f"both hosts are called {source.hostname}: libvirt takes them for one host. Rename one."
        )


def _versions(source: HostFacts, destination: HostFacts) -> Iterator[Obstacle]:
    if source.hypervisor != destination.hypervisor:
        yield _blocks("hypervisor", f"{source.hypervisor} on the source, {destination.hypervisor} on the destination")
        return
    for subject, here, there in (
        (source.hypervisor, source.hypervisor_version, destination.hypervisor_version),
        ("libvirt", source.libvirt_version, destination.libvirt_version),
    ):
        if _number(there) < _number(here):
            yield _risk(subject, f"{there} on the destination is older than {here} on the source: that way is untested")
    for host, name in ((source, "source"), (destination, "destination")):
        if not host.live_migration:
            yield _blocks("live migration", f"libvirt on the {name} has no live migration for {host.hypervisor}")


def _kinds(source: HostFacts, destination: HostFacts, guest: Guest | None) -> Iterator[Obstacle]:
    arch = guest.arch if guest and guest.arch else source.arch
    if arch != destination.arch:
        yield _blocks("architecture", f"{arch} in the domain, {destination.arch} on the destination")
    wanted = guest.virtualization if guest else "kvm" if source.accelerated else "qemu"
    if wanted not in destination.virtualization:
        has = ", ".join(destination.virtualization) or "nothing"
        yield _blocks("virtualization", f"the domain is of type {wanted}, the destination has {has}")


def _machines(source: HostFacts, destination: HostFacts, guest: Guest | None) -> Iterator[Obstacle]:
    there = {name for each in destination.machines for name in (each.name, each.canonical)}
    if guest is None:
        lacking = sorted({each.canonical for each in source.machines} - there)
        if lacking and len(lacking) == len({each.canonical for each in source.machines}):
            yield _blocks("machine type", "the hosts have no machine type in common")
        elif lacking:
            yield _risk("machine type", f"the destination does not know {', '.join(lacking)}")
        return
    machine = {each.name: each.canonical for each in source.machines}.get(guest.machine, guest.machine)
    if machine and machine not in there:
        yield _blocks("machine type", f"the destination does not know {machine}")


def _cpus(source: HostFacts, destination: HostFacts, guest: Guest | None) -> Iterator[Obstacle]:
    mode = guest.cpu_mode if guest else "host-model"
    if mode in {"host-passthrough", "maximum"}:
        if source.cpu != destination.cpu:
            yield _blocks("cpu", f"the domain has {mode}: {_differing(source.cpu, destination.cpu)}")
        else:
            yield _risk("cpu", f"the domain has {mode}, which also needs the same microcode and kernel on both hosts")
    elif mode:
        wanted = guest.cpu if guest and guest.cpu else source.guest_cpu
        yield from _model(wanted, source, destination)


def _model(wanted: CpuModel | None, source: HostFacts, destination: HostFacts) -> Iterator[Obstacle]:
    has = destination.guest_cpu
    if wanted is None or has is None:
        yield _risk("cpu", "libvirt does not say what CPU the domain has, or which the destination can give")
    elif wanted.model != has.model and destination.usable_models and wanted.model not in destination.usable_models:
        yield _blocks("cpu", f"the destination, with {has.model}, cannot give {wanted.model}")
    else:
        yield from _features(wanted, source.guest_cpu, has)


def _features(wanted: CpuModel, here: CpuModel | None, there: CpuModel) -> Iterator[Obstacle]:
    # What a model includes only libvirt knows. It names beside the model only what the model does not include.
    beyond = here.features if here is not None and here.model == wanted.model else frozenset()
    missing = wanted.features - there.features
    certain = missing & there.without
    if wanted.model == there.model:
        certain |= (missing & beyond) | (there.without - wanted.without)
    if certain:
        yield _blocks("cpu", f"{there.model} on the destination lacks {', '.join(sorted(certain))}")
    if missing - certain:
        yield _risk(
            "cpu",
            f"whether {there.model} on the destination includes {', '.join(sorted(missing - certain))} is not known "
            "here; virConnectCompareHypervisorCPU on the destination tells",
        )


def _differing(here: CpuModel | None, there: CpuModel | None) -> str:
    if here is None or there is None:
        return "libvirt does not say what CPU both hosts have"
    if here.model != there.model:
        return f"{here.model} on the source, {there.model} on the destination"
    odd = sorted((here.features ^ there.features) | (here.without ^ there.without))
    return f"the hosts differ in {', '.join(odd) or 'the vendor'}"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
