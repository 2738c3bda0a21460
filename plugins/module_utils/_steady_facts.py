# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What one controller says about its components: the values between ``steady_state`` and those who judge them."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible_collections.lifeboat.cloud.plugins.module_utils._haproxy import Server
from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq_facts import Queue

COMPONENTS = ("vip", "load_balancer", "database", "message_queue", "cache", "identity", "core_dumps")

Fact = t.TypeVar("Fact")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vip:
    """Keepalived. ``holds``: the VIP is configured on this host, whoever put it there."""

    running: bool = False
    holds: bool = False
    addresses: tuple[str, ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """HAProxy; ``backends`` as ``{backend: {server: Server}}``."""

    running: bool = False
    version: str | None = None
    backends: Mapping[str, Mapping[str, Server]] = dataclasses.field(default_factory=dict)
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A Galera member; see ``MemberStatus``."""

    running: bool = False
    status: str | None = None
    state: str | None = None
    size: int | None = None
    uuid: str | None = None
    last_committed: int | None = None
    ready: bool = False
    read_only: bool = False
    connected: bool = False
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MessageQueue:
    """RabbitMQ as this node sees its cluster. ``nodes`` are the running ones."""

    running: bool = False
    nodes: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    queues: Mapping[str, Queue] = dataclasses.field(default_factory=dict)
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """memcached."""

    running: bool = False
    answering: bool = False
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Keystone; ``status`` is the HTTP status of its health check."""

    running: bool = False
    answering: bool = False
    status: int | None = None
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Everything of one host; a component that was not asked for, or a host that did not answer, is None."""

    vip: Vip | None = None
    load_balancer: LoadBalancer | None = None
    database: Database | None = None
    message_queue: MessageQueue | None = None
    cache: Cache | None = None
    identity: Identity | None = None
    core_dumps: tuple[str, ...] | None = None


def host_facts(steady: object) -> HostFacts:
    """From the JSON that ``steady_state`` returns; anything but a dictionary is a host that did not answer."""
    if not isinstance(steady, Mapping):
        return HostFacts()
    balancer = _read(LoadBalancer, steady.get("load_balancer"))
    if balancer is not None:
        backends = {name: _all(Server, servers) for name, servers in balancer.backends.items()}
        balancer = dataclasses.replace(balancer, backends=backends)
    queue = _read(MessageQueue, steady.get("message_queue"))
    if queue is not None:
        queue = dataclasses.replace(queue, queues=_all(Queue, queue.queues))
    dumps = steady.get("core_dumps")
    return HostFacts(
        vip=_read(Vip, steady.get("vip")),
        load_balancer=balancer,
        database=_read(Database, steady.get("database")),
        message_queue=queue,
        cache=_read(Cache, steady.get("cache")),
        identity=_read(Identity, steady.get("identity")),
        core_dumps=tuple(dumps) if isinstance(dumps, (list, tuple)) else None,
    )


def _read(kind: type[Fact], values: object) -> Fact | None:
    if not isinstance(values, Mapping):
        return None
    names = {field.name for field in dataclasses.fields(t.cast("type[t.Any]", kind))}
    known = {name: value for name, value in values.items() if name in names}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})


def _all(kind: type[Fact], values: Mapping[str, t.Any]) -> dict[str, Fact]:
    read = {name: _read(kind, value) for name, value in values.items()}
    return {name: value for name, value in read.items() if value is not None}
