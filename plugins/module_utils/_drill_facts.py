# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the steady state says about each host, as far as victims are picked by it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Component

if t.TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server of the backend C(database) as a load balancer sees it."""

    host: str
    up: bool
    backup: bool


@dataclasses.dataclass(frozen=True, slots=True)
class HostFacts:
    """One host: its components, the healthy ones, and what makes it the active member of something."""

    name: str
    present: frozenset[Component]
    healthy: frozenset[Component]
    holds_vip: bool
    database_servers: tuple[Server, ...]
    queue_leaders: tuple[tuple[str, str], ...]


def read_facts(facts: Mapping[str, object]) -> tuple[HostFacts, ...]:
    """The hosts of C(facts) (shape: see ``drill_plan``) in the natural order of their names."""
    return tuple(_read_host(name, _mapping(facts[name])) for name in sorted(facts, key=natural))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts ctl2 before ctl10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_host(name: str, parts: Mapping[str, object]) -> HostFacts:
    present = frozenset(component for component in Component if component in parts)
    backends = _mapping(_mapping(parts.get(Component.LOAD_BALANCER)).get("backends"))
    queues = _mapping(_mapping(parts.get(Component.MESSAGE_QUEUE)).get("queues"))
    return HostFacts(
        name=name,
        present=present,
        healthy=frozenset(part for part in present if _HEALTH[part](_mapping(parts[part]))),
        holds_vip=bool(_mapping(parts.get(Component.VIP)).get("holds")),
        database_servers=tuple(
            _read_server(host, _mapping(server)) for host, server in _mapping(backends.get(Component.DATABASE)).items()
        ),
        queue_leaders=tuple(
            (queue, str(leader).rpartition("@")[2])
            for queue, values in queues.items()
            if (leader := _mapping(values).get("leader"))
        ),
    )


def _read_server(host: str, server: Mapping[str, object]) -> Server:
    # HAProxy says "UP 1/2" while a check has begun to fail, and uses servers without any check.
    up = str(server.get("status")).startswith(("UP", "no check"))
    return Server(host=host, up=up, backup=bool(server.get("backup")))


def _mapping(value: object) -> Mapping[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _runs(part: Mapping[str, t.Any]) -> bool:
    return bool(part.get("running"))


def _answers(part: Mapping[str, t.Any]) -> bool:
    return _runs(part) and bool(part.get("answering"))


def _in_galera(part: Mapping[str, t.Any]) -> bool:
    synced = part.get("status") == "Primary" and part.get("state") == "Synced"
    return _runs(part) and synced and bool(part.get("ready"))


def _in_rabbitmq(part: Mapping[str, t.Any]) -> bool:
    return _runs(part) and not part.get("alarms") and not part.get("partitions")


_HEALTH = {
    Component.VIP: _runs,
    Component.LOAD_BALANCER: _runs,
    Component.DATABASE: _in_galera,
    Component.MESSAGE_QUEUE: _in_rabbitmq,
    Component.CACHE: _answers,
    Component.IDENTITY: _answers,
}
