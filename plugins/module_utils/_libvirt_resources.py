# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a hypervisor has for domains besides processors and memory: storage pools, networks, interfaces, secrets."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Described


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool. ``source`` is where its volumes come from, such as C(nfs1:/export), None for a directory.

    ``capacity`` and ``available`` are bytes, as they were at its last refresh; 0 while it is not ``active``.
    """

    name: str
    type: str
    active: bool
    path: str | None
    source: str | None
    capacity: int
    available: int


@dataclass(frozen=True, slots=True)
class Network:
    """A network of libvirt's own."""

    name: str
    active: bool
    bridge: str | None


@dataclass(frozen=True, slots=True)
class Resources:
    """What libvirt cannot tell is None. ``interfaces`` are names, ``secrets`` UUIDs."""

    pools: tuple[Pool, ...] | None
    networks: tuple[Network, ...] | None
    interfaces: tuple[str, ...] | None
    secrets: tuple[str, ...] | None


def read_resources(connection: Connection) -> Resources:
    """The resources of the host at the other end."""
    pools, networks = connection.pools(), connection.networks()
    # Every host has some. Where udev does not run, as in a container, libvirt finds none.
    interfaces = connection.interfaces() or None
    secrets = connection.secrets()
    return Resources(
        pools=None if pools is None else tuple(sorted(map(_pool, pools), key=lambda each: each.name)),
        networks=None if networks is None else tuple(sorted(map(_network, networks), key=lambda each: each.name)),
        interfaces=None if interfaces is None else tuple(sorted(set(interfaces))),
        secrets=None if secrets is None else tuple(sorted(each.lower() for each in secrets)),
    )


def _pool(described: Described) -> Pool:
    root = ElementTree.fromstring(described.xml)
    return Pool(
        name=root.findtext("name") or "",
        type=root.get("type", ""),
        active=described.active,
        path=root.findtext("target/path"),
        source=_source(root.find("source")),
        # XML of pools always gives bytes.
        capacity=int(root.findtext("capacity") or 0) if described.active else 0,
        available=int(root.findtext("available") or 0) if described.active else 0,
    )


def _source(source: Element | None) -> str | None:
    """Hosts and what they give, alike on every host that has it from there."""
    if source is None:
        return None
    hosts = sorted(":".join(filter(None, (each.get("name"), each.get("port")))) for each in source.findall("host"))
    parts = [each.get("path", "") for tag in ("device", "dir") for each in source.findall(tag)]
    parts += [source.findtext("name") or ""]
    given = ",".join(part for part in parts if part)
    return ":".join(filter(None, (",".join(hosts), given))) or None


def _network(described: Described) -> Network:
    root = ElementTree.fromstring(described.xml)
    bridge = root.find("bridge")
    return Network(root.findtext("name") or "", described.active, bridge.get("name") if bridge is not None else None)
