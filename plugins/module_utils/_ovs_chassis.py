# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Open vSwitch on a chassis: external ids, bridges with their ports, and managers, in one transaction."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Vsctl = Callable[[Sequence[str]], str]

TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge; ``datapath_type`` is empty for the kernel's, ``netdev`` for the one in user space."""

    name: str
    datapath_type: str = ""
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chassis:
    """What Open vSwitch holds, or shall hold; a wanted external id of None is taken away."""

    external_ids: Mapping[str, str | None] = field(default_factory=dict)
    bridges: tuple[Bridge, ...] = ()
    managers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One difference in words, and the part of the transaction that removes it."""

    says: str
    words: tuple[str, ...]


def vsctl(words: Sequence[str]) -> str:
    """What ovs-vsctl prints."""
    return output_of(["ovs-vsctl", f"--timeout={TIMEOUT_S}", *words], TIMEOUT_S + 5)


def look(ask: Vsctl) -> Chassis:
    """What Open vSwitch holds."""
    ids = _records(ask(["--format=json", "--columns=external_ids", "list", "Open_vSwitch"]))
    ports = {
        row["_uuid"][1]: row["name"] for row in _records(ask(["--format=json", "--columns=_uuid,name", "list", "Port"]))
    }
    bridges = _records(ask(["--format=json", "--columns=name,datapath_type,ports", "list", "Bridge"]))
    return Chassis(
        dict(ids[0]["external_ids"][1]) if ids else {},
        tuple(
            Bridge(row["name"], row["datapath_type"], tuple(sorted(ports[each] for each in _uuids(row["ports"]))))
            for row in bridges
        ),
        tuple(ask(["get-manager"]).split()),
    )


def _records(printed: str) -> list[dict[str, t.Any]]:
    """The rows of ``ovs-vsctl --format=json list``."""
    table = json.loads(printed) if printed.strip() else {"headings": [], "data": []}
    return [dict(zip(table["headings"], row, strict=True)) for row in table["data"]]


def _uuids(value: Sequence[t.Any]) -> list[str]:
    """A set of references, which OVSDB writes as the reference itself when it is one (RFC 7047, 5.1)."""
    return [value[1]] if value[0] == "uuid" else [each[1] for each in value[1]]


def differences(wanted: Chassis, found: Chassis) -> Iterator[Step]:
    """What has to be done; what is not named in ``wanted`` is left alone."""
    existing = {bridge.name: bridge for bridge in found.bridges}
    for bridge in wanted.bridges:
        was = existing.get(bridge.name)
        if was is None:
            yield Step(f"add bridge {bridge.name}", ("add-br", bridge.name))
        if bridge.datapath_type != (was.datapath_type if was else ""):
            words = ("set", "Bridge", bridge.name, f"datapath_type={bridge.datapath_type or 'system'}")
            yield Step(f"give bridge {bridge.name} the datapath {bridge.datapath_type or 'system'}", words)
        for port in sorted(set(bridge.ports) - set(was.ports if was else ())):
            yield Step(f"add port {port} to bridge {bridge.name}", ("add-port", bridge.name, port))
    for key, value in wanted.external_ids.items():
        if value is None and key in found.external_ids:
            yield Step(f"remove {key}", ("remove", "Open_vSwitch", ".", "external_ids", key))
        elif value is not None and value != found.external_ids.get(key):
            words = ("set", "Open_vSwitch", ".", f"external_ids:{key}={json.dumps(value)}")
            yield Step(f"set {key} to {value}", words)
    if wanted.managers is not None and sorted(wanted.managers) != sorted(found.managers or ()):
        says = f"be managed over {', '.join(wanted.managers)}" if wanted.managers else "be managed by nobody"
        yield Step(says, ("set-manager", *wanted.managers) if wanted.managers else ("del-manager",))


def carry_out(steps: Sequence[Step], ask: Vsctl) -> None:
    """All steps in one transaction."""
    words: list[str] = []
    for step in steps:
        words += ["--", *step.words]
    if words:
        ask(words)
