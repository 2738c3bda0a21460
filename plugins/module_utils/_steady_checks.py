# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Asks the components of one controller, on that controller, all at the same time and each with a time limit."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils import _haproxy, _rabbitmq
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import active_states, output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera_member import SOCKET, read_status
from ansible_collections.lifeboat.cloud.plugins.module_utils._hosts import parse_addresses
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_facts import (
    Cache,
    Database,
    Identity,
    LoadBalancer,
    MessageQueue,
    Vip,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ServiceFacts: t.TypeAlias = "Vip | LoadBalancer | Database | MessageQueue | Cache | Identity"
Result = t.TypeVar("Result")

CACHE_PORT = 11211
IDENTITY_PORT = 5000
UNITS = {
    "vip": "keepalived.service",
    "load_balancer": "haproxy.service",
    "database": "mariadb.service",
    "message_queue": "rabbitmq-server.service",
    "cache": "memcached.service",
    "identity": "keystone.service",
}
_BLANK: dict[str, ServiceFacts] = {
    "vip": Vip(),
    "load_balancer": LoadBalancer(),
    "database": Database(),
    "message_queue": MessageQueue(),
    "cache": Cache(),
    "identity": Identity(),
}
# Where the kernel's and systemd's dumps land, and the working directories of the servers.
_DUMP_DIRECTORIES = (
    "/var/lib/systemd/coredump",
    "/var/crash",
    "/var/lib/mysql",
    "/var/lib/rabbitmq",
    "/var/lib/haproxy",
)
_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
# What a check needs beyond its own time limit to say that it ran into it.
_GRACE_S = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Where the components of this controller are; ``management`` is None when RabbitMQ is not asked."""

    vip: str
    address: str
    management: _rabbitmq.Management | None
    queues: tuple[str, ...] = ()
    load_balancer_socket: str = _haproxy.SOCKET
    database_socket: str = SOCKET
    cache_port: int = CACHE_PORT
    identity_port: int = IDENTITY_PORT
    dumps_since: float = 0.0
    timeout_s: float = 3.0


def steady_state(controller: Controller, components: Sequence[str]) -> dict[str, t.Any]:
    """The facts of ``components`` as JSON. What does not answer is said in its ``error``; nothing here fails for it."""
    services = [component for component in components if component in UNITS]
    units = [UNITS[component] for component in services]
    work: dict[str, Callable[[], t.Any]] = {component: _bound(CHECKS[component], controller) for component in services}
    results = concurrently(
        {**work, "states": lambda: active_states(units, controller.timeout_s) if units else {}},
        controller.timeout_s + _GRACE_S,
    )
    states = results.pop("states")
    steady: dict[str, t.Any] = {component: _facts(component, results[component], states) for component in services}
    if "core_dumps" in components:
        steady["core_dumps"] = core_dumps(controller.dumps_since)
    return steady


def _bound(check: Callable[[Controller], ServiceFacts], controller: Controller) -> Callable[[], ServiceFacts]:
    return lambda: check(controller)


def _facts(component: str, answer: ServiceFacts | Exception, states: Mapping[str, str] | Exception) -> dict[str, t.Any]:
    facts = _BLANK[component]
    if isinstance(answer, Exception):
        said = str(answer) if isinstance(answer, LifeboatError) else f"{type(answer).__name__}: {answer}"
        facts = dataclasses.replace(facts, error=said)
    else:
        facts = answer
    if isinstance(states, Exception):
        facts = dataclasses.replace(facts, error=facts.error or str(states))
    else:
        facts = dataclasses.replace(facts, running=states[UNITS[component]] in ("active", "reloading"))
    return dataclasses.asdict(facts)


def concurrently(work: Mapping[str, Callable[[], Result]], timeout_s: float) -> dict[str, Result | Exception]:
    """Every result, or what went wrong; whatever is not done after ``timeout_s`` is given up."""
    results: dict[str, Result | Exception] = {}

    def run(name: str, call: Callable[[], Result]) -> None:
        try:
            result: Result | Exception = call()
        # The end of a thread: whatever a broken service brings about is its finding, not a failure of the others.
        except Exception as error:
            result = error
        results[name] = result

    # Daemons, so that one that hangs does not hold up the end of the program.
    threads = [threading.Thread(target=run, args=item, daemon=True) for item in work.items()]
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    finished = dict(results)
    return {name: finished[name] if name in finished else _given_up(name, timeout_s) for name in work}


def _given_up(name: str, timeout_s: float) -> LifeboatError:
    return LifeboatError(name, f"no answer within {timeout_s:g} s", "an answer", "See whether the service hangs.")


def _check_vip(controller: Controller) -> Vip:
    shown = output_of(["ip", "-json", "address", "show"], controller.timeout_s)
    addresses = tuple(address for name, held in parse_addresses(shown).items() if name != "lo" for address in held)
    return Vip(holds=controller.vip in addresses, addresses=addresses)


def _check_load_balancer(controller: Controller) -> LoadBalancer:
    said = _haproxy.statistics(controller.load_balancer_socket, controller.timeout_s)
    return LoadBalancer(version=said.version, backends=said.backends)


def _check_database(controller: Controller) -> Database:
    return Database(**dataclasses.asdict(read_status(controller.database_socket, controller.timeout_s)))


def _check_message_queue(controller: Controller) -> MessageQueue:
    if controller.management is None:
        raise LifeboatError("rabbitmq_user", "nothing", "a user of the management API", "Give rabbitmq_user.")
    deadline = time.monotonic() + controller.timeout_s
    nodes = _rabbitmq.nodes(controller.management, controller.timeout_s)
    left = max(0.01, deadline - time.monotonic())
    return MessageQueue(
        nodes=tuple(node.name for node in nodes if node.running),
        alarms=tuple(alarm for node in nodes for alarm in node.alarms),
        partitions=tuple(sorted({name for node in nodes for name in node.partitions})),
        queues=_rabbitmq.queues(controller.management, controller.queues, left),
    )


def _check_cache(controller: Controller) -> Cache:
    address = (controller.address, controller.cache_port)
    with socket.create_connection(address, timeout=controller.timeout_s) as stream:
        stream.sendall(b"version\r\n")
        answer = stream.recv(256)
    if not answer.startswith(b"VERSION "):
        found = repr(answer.decode(errors="replace").strip())
        raise LifeboatError(f"memcached at {controller.address}", found, "VERSION", "See what listens on its port.")
    return Cache(answering=True)


def _check_identity(controller: Controller) -> Identity:
    connection = http.client.HTTPConnection(controller.address, controller.identity_port, timeout=controller.timeout_s)
    try:
        connection.request("GET", "/healthcheck")
        status = connection.getresponse().status
    finally:
        connection.close()
    return Identity(answering=True, status=status)


CHECKS: dict[str, Callable[[Controller], ServiceFacts]] = {
    "vip": _check_vip,
    "load_balancer": _check_load_balancer,
    "database": _check_database,
    "message_queue": _check_message_queue,
    "cache": _check_cache,
    "identity": _check_identity,
}


def core_dumps(since: float, directories: Iterable[Path] | None = None) -> list[str]:
    """The core dumps written after ``since`` (seconds since 1970) in the places where this host leaves them."""
    places = set(map(Path, _DUMP_DIRECTORIES) if directories is None else directories)
    pattern = _CORE_PATTERN.read_text(encoding="utf-8").strip() if directories is None else ""
    if pattern.startswith("/"):
        places.add(Path(pattern).parent)
    return sorted(str(path) for place in places for path in place.glob("core*") if _newer(path, since))


def _newer(path: Path, since: float) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime > since
    except FileNotFoundError:
        return False
