# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What would make libvirt refuse a migration half-way, found out before it begins."""

from __future__ import annotations

import os.path
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Weight, guest_of, obstacles
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import read_host
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse, size_kib

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
        Migration,
        Site,
        WantedMigration,
    )


@dataclass(frozen=True, slots=True)
class OwnDisk:
    """A disk that only its host has; ``there`` when the destination has a volume of this path already."""

    target: str
    path: str
    there: bool


def check(migration: Migration, domain: Domain) -> tuple[OwnDisk, ...]:
    """The disks to be copied; LifeboatError for what speaks against the migration."""
    destination, wanted = migration.destination, migration.wanted
    live = domain.definition(live=not wanted.offline)
    definition = parse(live, f"definition of domain {wanted.name}")
    _check_leftovers(domain, wanted)
    _check_hosts(migration, definition)
    if destination.calls.accepts_cpu(live) is False:
        remedy = "Choose a host that can, or give the domain a CPU that both have (libvirt_host_info: guest_cpu_xml)."
        found = f"a CPU that {destination.connection.uri} cannot give"
        raise LifeboatError(f"domain {wanted.name}", found, "one that it can", remedy)
    if wanted.offline:
        _check_tpm(definition, wanted)
    else:
        _check_memory(destination, definition, wanted)
        _check_networks(destination, definition, wanted)
    return tuple(_disks(destination, definition, wanted)) if wanted.storage is not None else ()


def left_behind(domain: Domain, wanted: WantedMigration) -> Iterator[str]:
    """What libvirt does not move with the definition of a guest that is off, besides its disks, for a warning."""
    if not wanted.offline:
        return
    nvram = parse(domain.definition(), f"definition of domain {wanted.name}").find("os/nvram")
    if nvram is not None and nvram.get("type") != "network":
        source = nvram.find("source")
        path = (nvram.text or "").strip() if source is None else source.get("file") or source.get("dev")
        yield (
            f"The UEFI variables of domain {wanted.name} ({path}) are not moved. Unless both hosts share them, copy "
            "them to the destination before it is started there, or it boots with those of a new guest."
        )


def _check_tpm(definition: Element, wanted: WantedMigration) -> None:
    # libvirt copies its state only while the guest runs. On the source it goes with the definition, unless that says
    # persistent_state.
    if definition.find("devices/tpm/backend[@type='emulator']") is not None:
        remedy = "Start the guest, paused if it is not to run, with libvirt_domain, and move it with mode=live."
        found = "an emulated TPM, whose state libvirt would not move"
        raise LifeboatError(f"domain {wanted.name}", found, "none on a guest that moves while it is off", remedy)


def _check_leftovers(domain: Domain, wanted: WantedMigration) -> None:
    left = domain.leftovers()
    for found, there, remedy in (
        (f"{left.snapshots} snapshots", left.snapshots, "Delete them with libvirt_snapshot: libvirt moves none."),
        (f"{left.checkpoints} checkpoints", left.checkpoints, "Delete them with libvirt_backup: libvirt moves none."),
        ("a managed save", left.managed_save, "Start the guest from it, or drop it, with libvirt_saved_state."),
    ):
        if there:
            raise LifeboatError(f"domain {wanted.name}", found, "none on a domain that moves", remedy)


def _check_hosts(migration: Migration, definition: Element) -> None:
    guest = guest_of(definition)
    here, there = (
        read_host(each.connection, guest.virtualization) for each in (migration.source, migration.destination)
    )
    found = obstacles(here, there, guest)
    blocking = [f"{each.subject}: {each.reason}" for each in found if each.weight is Weight.BLOCKS]
    if blocking:
        remedy = "Choose another destination, or remove the obstacle; libvirt_host_info shows both hosts."
        raise LifeboatError(migration.wanted.thing, "; ".join(blocking), "hosts that can exchange it", remedy)


def _check_memory(destination: Site, definition: Element, wanted: WantedMigration) -> None:
    has, needed = destination.calls.available_memory(), _memory_kib(definition)
    if has is not None and needed is not None and has < needed * 1024:
        found = f"{has >> 20} MiB of memory available at {destination.connection.uri}"
        expected = f"the {-(-needed // 1024)} MiB that its guest has"
        remedy = "Choose a host with more, make room there, or take memory from the guest first (virsh setmem --live)."
        raise LifeboatError(f"domain {wanted.name}", found, expected, remedy)


def _memory_kib(definition: Element) -> int | None:
    """What the guest has of its host's free memory: nothing when it has pages kept for that, or files."""
    if any(definition.find(f"memoryBacking/{kind}") is not None for kind in ("hugepages", "source[@type='file']")):
        return None
    # Its balloon holds the rest of what it was given.
    sizes = [*definition.findall("currentMemory"), *definition.findall("memory")]
    return size_kib(sizes[0]) if sizes else None


def _check_networks(destination: Site, definition: Element, wanted: WantedMigration) -> None:
    """Only virtual networks. Whether a host has a bridge libvirt cannot tell for certain."""
    # One on a network of bridges becomes one on a bridge while the guest runs, and still names its network.
    names = {each.get("network", "") for each in definition.findall("devices/interface/source")} - {""}
    active = destination.calls.networks() if names else None
    if active is None:
        return
    missing = sorted(name for name in names if not active.get(name))
    if missing:
        where = f"at {destination.connection.uri}"
        found = ", ".join(f"{name} {'not active' if name in active else 'not defined'}" for name in missing)
        remedy = "Start them there (virsh net-start), and before that define what is not defined (virsh net-define)."
        raise LifeboatError(f"networks of domain {wanted.name}", f"{found} {where}", "all of them active", remedy)


def _disks(destination: Site, definition: Element, wanted: WantedMigration) -> Iterator[OwnDisk]:
    own = dict(_own_disks(definition))
    names = (wanted.storage.disks if wanted.storage else ()) or tuple(own)
    unknown = [name for name in names if name not in own]
    if unknown or not names:
        found = f"no local disk that is written to called {', '.join(unknown)}" if unknown else "no local disk"
        expected = f"some of {', '.join(own)}" if own else "a disk of a file or a block device"
        remedy = "Correct copy_disks; disks on the network are not copied, both hosts reach them."
        raise LifeboatError(f"domain {wanted.name}", found, expected, remedy)
    for name in names:
        path = own[name]
        # Before the look at its files: a pool that nobody refreshed lists those of another time.
        kept = destination.calls.refresh(path)
        there = destination.connection.find_volume(path) is not None
        if not there and not kept:
            found = f"no started storage pool for {os.path.dirname(path)} at {destination.connection.uri}"
            remedy = "Define and start a pool of type dir there, with this directory as its target."
            raise LifeboatError(f"disk {name} of domain {wanted.name}", found, "one, for its copy", remedy)
        yield OwnDisk(name, path, there)


def _own_disks(definition: Element) -> Iterator[tuple[str, str]]:
    """Target and path of the disks to copy. One that both hosts share would be overwritten with itself."""
    for disk in definition.findall("devices/disk"):
        source, target = disk.find("source"), disk.find("target")
        shared = disk.find("shareable") is not None or disk.find("readonly") is not None
        if source is None or target is None or shared or disk.get("device", "disk") != "disk":
            continue
        path = source.get("file") or source.get("dev")
        if path:
            yield target.get("dev", ""), path
