# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a domain needs of a hypervisor by name, so that it can come to it: networks, storage, secrets.

What libvirt cannot tell of a host it is taken to have.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import Disk, DomainFacts
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Pool, Resources

_PartKind = t.Literal[
    "network", "bridge", "interface", "secret", "storage pool", "storage pool for", "shared directory"
]
# Pools whose volumes every host reaches that has the pool.
_SHARED_POOLS = frozenset({"gluster", "iscsi", "iscsi-direct", "netfs", "rbd", "sheepdog"})
# By the type of the guest's interface, what its source is.
_SOURCES: dict[str, _PartKind] = {"network": "network", "bridge": "bridge", "direct": "interface"}


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a host has; ``source`` is where a shared directory comes from, as far as libvirt knows."""

    kind: _PartKind
    name: str
    source: str = ""

    @property
    def is_network(self) -> bool:
        return self.kind in {"network", "bridge", "interface"}

    def __str__(self) -> str:
        return f"{self.kind} {self.name}{f' from {self.source}' if self.source else ''}"


@dataclass(frozen=True, slots=True)
class OwnDisks:
    """Disks that only their host has. ``copied`` can go along, ``kept`` cannot; both are targets.

    ``size`` is what the copies may become, ``written`` at most what is in them, in bytes.
    """

    copied: tuple[str, ...]
    kept: tuple[str, ...]
    size: int
    written: int


def has(resources: Resources, shared: Collection[str], part: Part) -> bool:
    """Whether a host has the part; ``shared`` are directories that its user says are on storage that hosts share."""
    names: Collection[str] | None
    pools = None if resources.pools is None else [pool for pool in resources.pools if pool.active]
    match part.kind:
        case "network":
            networks = resources.networks
            names = None if networks is None else [each.name for each in networks if each.active]
        case "bridge" | "interface":
            names = resources.interfaces
        case "secret":
            names = resources.secrets
        case "storage pool":
            names = None if pools is None else [pool.name for pool in pools]
        case "storage pool for":
            names = None if pools is None else [pool.path for pool in pools if pool.path]
        case "shared directory" if not part.source:
            names = shared
        case "shared directory":
            names = None if pools is None else [str(pool.path) for pool in pools if pool.source == part.source]
    return names is None or part.name in names


def parts_of(domain: DomainFacts, resources: Resources, shared: Collection[str]) -> Iterator[Part]:
    """What the domain needs of any host, from it and from the ``resources`` of its own."""
    for interface in domain.interfaces:
        kind = _SOURCES.get(interface.type)
        if kind and interface.source:
            yield Part(kind, interface.source)
    for secret in domain.secrets:
        yield Part("secret", secret)
    for disk in domain.disks:
        if disk.source and disk.type == "volume":
            yield Part("storage pool", disk.source.partition("/")[0])
        elif disk.source and disk.type in {"file", "block"}:
            directory = _shared_directory(disk.source, resources, shared)
            if directory is not None:
                yield directory
            elif _is_own(disk, resources, shared):
                yield Part("storage pool for", posixpath.dirname(disk.source))


def own_disks(domain: DomainFacts, resources: Resources, shared: Collection[str]) -> OwnDisks:
    """The disks that the domain writes to and that no other host reaches."""
    own = [disk for disk in domain.disks if _is_own(disk, resources, shared)]
    copied = [disk for disk in own if disk.type != "volume"]
    return OwnDisks(
        tuple(disk.target for disk in copied),
        tuple(disk.target for disk in own if disk.type == "volume"),
        sum(_size(disk) for disk in copied),
        sum(_written(disk) for disk in copied),
    )


def _is_own(disk: Disk, resources: Resources, shared: Collection[str]) -> bool:
    if not disk.source or disk.device != "disk" or disk.read_only or disk.shareable:
        return False
    if disk.type == "volume":
        named = disk.source.partition("/")[0]
        pool = next((each for each in resources.pools or () if each.name == named), None)
        return pool is not None and pool.type not in _SHARED_POOLS
    return disk.type in {"file", "block"} and _shared_directory(disk.source, resources, shared) is None


def _shared_directory(path: str, resources: Resources, shared: Collection[str]) -> Part | None:
    for directory in shared:
        if _is_in(path, directory):
            return Part("shared directory", directory)
    pools: list[Pool] = [each for each in resources.pools or () if each.type in _SHARED_POOLS and each.active]
    for pool in pools:
        # What an iSCSI target gives is all over /dev, in pools that differ by their source.
        if pool.path and pool.source and _is_in(path, pool.path):
            return Part("shared directory", pool.path, pool.source)
    return None


def _is_in(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _size(disk: Disk) -> int:
    return int(disk.statistics.get("capacity") or 0)


def _written(disk: Disk) -> int:
    # What libvirt calls allocation is only the highest offset written to since the guest started.
    return min(_size(disk), int(disk.statistics.get("physical") or _size(disk)))
