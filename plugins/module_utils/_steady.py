# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether the control plane is in its steady state, judged from what every controller says."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_facts import COMPONENTS, HostFacts, host_facts

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq_facts import Queue

# These are reached without the load balancer; every other component has a backend of its name.
_WITHOUT_BACKEND = frozenset({"vip", "load_balancer", "message_queue", "cache", "core_dumps"})
_UNITS = {
    "vip": "keepalived",
    "load_balancer": "haproxy",
    "database": "mariadb",
    "message_queue": "rabbitmq-server",
    "cache": "memcached",
    "identity": "keystone",
}
# The size of a quorum queue's group unless it is declared with another one.
_REPLICAS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; ``host`` is None when it is not one host's."""

    component: str
    host: str | None
    found: str
    expected: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The facts of every host, and which hosts each component is expected on."""

    hosts: Mapping[str, HostFacts]
    expected: Mapping[str, Sequence[str]]

    def on(self, component: str) -> tuple[str, ...]:
        """The hosts of a component."""
        return tuple(self.expected.get(component, ()))

    def facts(self, host: str) -> HostFacts:
        """What a host said; nothing when it did not answer."""
        return self.hosts.get(host, HostFacts())

    def holders(self) -> tuple[str, ...]:
        """The hosts that have the VIP."""
        return tuple(host for host in self.on("vip") if (vip := self.facts(host).vip) is not None and vip.holds)


def scope_of(facts_by_host: object, expected: object) -> Scope:
    """From the JSON of ``steady_state`` by host and the names of hosts by component; else a LifeboatError."""
    if not isinstance(facts_by_host, Mapping) or not isinstance(expected, Mapping):
        found = f"{type(facts_by_host).__name__} and {type(expected).__name__}"
        remedy = "Give the facts by host and the expected hosts by component."
        raise LifeboatError("facts and expectation", found, "two dictionaries", remedy)
    for component in expected:
        if component not in COMPONENTS:
            remedy = "Correct the name."
            raise LifeboatError("expected component", str(component), f"one of {', '.join(COMPONENTS)}", remedy)
    return Scope(
        {str(host): host_facts(steady) for host, steady in facts_by_host.items()},
        {str(component): tuple(map(str, hosts)) for component, hosts in expected.items()},
    )


def steady_findings(scope: Scope) -> list[Finding]:
    """Everything that is not steady; empty when all is."""
    return [
        *_service_findings(scope),
        *_vip_findings(scope),
        *backend_findings(scope),
        *_database_findings(scope),
        *_message_queue_findings(scope),
        *queue_findings(scope),
        *_identity_findings(scope),
    ]


def _service_findings(scope: Scope) -> Iterator[Finding]:
    """What every component is asked: did its host answer, does its unit run, did the service answer?"""
    for component, unit in _UNITS.items():
        for host in scope.on(component):
            fact = getattr(scope.facts(host), component)
            if fact is None:
                yield Finding(component, host, "nothing known of it", "an answer", f"See whether {host} is up.")
            elif not fact.running:
                found = f"{unit} not running{f' ({fact.error})' if fact.error else ''}"
                yield Finding(component, host, found, "running", f"Start {unit} and read its journal.")
            elif fact.error:
                yield Finding(component, host, fact.error, "an answer", f"Read the journal of {unit}.")


def _vip_findings(scope: Scope) -> Iterator[Finding]:
    holders = scope.holders()
    if scope.on("vip") and len(holders) != 1:
        remedy = "Start Keepalived where it is down and see that the hosts hear each other's advertisements."
        yield Finding("vip", None, f"{len(holders)} holders{_named(holders)}", "exactly one holder", remedy)


def backend_findings(scope: Scope) -> list[Finding]:
    """The backends as every VIP holder's load balancer sees them."""
    wanted = {name: scope.on(name) for name in scope.expected if name not in _WITHOUT_BACKEND}
    findings: list[Finding] = []
    for holder in scope.holders():
        balancer = scope.facts(holder).load_balancer
        if not scope.on("load_balancer") or balancer is None or balancer.error:
            continue
        for backend in sorted({*wanted, *balancer.backends}):
            servers = balancer.backends.get(backend, {})
            for host in sorted({*wanted.get(backend, ()), *servers}):
                status = servers[host].status if host in servers else "no such server"
                if status != "UP":
                    last = f", last check {servers[host].check}" if host in servers and servers[host].check else ""
                    found = f"{status} in backend {backend} of {holder}{last}"
                    remedy = f"Bring {backend} on {host} to answer its health check."
                    findings.append(Finding("load_balancer", host, found, f"UP in backend {backend}", remedy))
    return findings


def _database_findings(scope: Scope) -> Iterator[Finding]:
    hosts = scope.on("database")
    remedy = "Read MariaDB's journal there; when no member is Primary use the recover playbook."
    uuids: set[str | None] = set()
    for host in hosts:
        member = scope.facts(host).database
        if member is None or not member.running or member.error:
            continue
        uuids.add(member.uuid)
        checks = (
            (str(member.status), "Primary"),
            (str(member.state), "Synced"),
            (f"cluster size {member.size}", f"cluster size {len(hosts)}"),
            (f"ready {_switch(member.ready)}", "ready ON"),
            (f"connected {_switch(member.connected)}", "connected ON"),
            (f"read_only {_switch(member.read_only)}", "read_only OFF"),
        )
        yield from (Finding("database", host, found, right, remedy) for found, right in checks if found != right)
    if len(uuids) > 1:
        found = f"cluster UUIDs {', '.join(sorted(map(str, uuids)))}"
        yield Finding("database", None, found, "one cluster UUID", "Find out which cluster has the data to keep.")


def _message_queue_findings(scope: Scope) -> Iterator[Finding]:
    hosts = scope.on("message_queue")
    for host in hosts:
        node = scope.facts(host).message_queue
        if node is None or not node.running or node.error:
            continue
        missing = sorted({_short(each) for each in hosts} - {_short(name) for name in node.nodes})
        if missing:
            remedy = "Start RabbitMQ there, or see that the nodes reach each other."
            yield Finding("message_queue", host, f"{', '.join(missing)} not seen running", "all nodes running", remedy)
        if node.alarms:
            remedy = "Give RabbitMQ memory or disk space: while an alarm lasts publishers are blocked."
            yield Finding("message_queue", host, f"alarms: {', '.join(node.alarms)}", "no alarms", remedy)
        if node.partitions:
            found = f"partitioned from {', '.join(node.partitions)}"
            yield Finding("message_queue", host, found, "no partitions", "Restart RabbitMQ on the smaller side.")


def queue_findings(scope: Scope) -> list[Finding]:
    """The queues in the eyes of the first node that answers: a leader, all replicas, all of them online."""
    hosts = scope.on("message_queue")
    nodes = (scope.facts(host).message_queue for host in hosts)
    node = next((node for node in nodes if node is not None and node.running and not node.error), None)
    queues = node.queues if node is not None else {}
    wanted = min(_REPLICAS, len(hosts))
    remedy = "Wait until the member has caught up, or add the replica with rabbitmq-queues grow."
    return [
        Finding("message_queue", None, f"queue {name}: {problem}", f"{wanted} members, all online, one leader", remedy)
        for name, queue in queues.items()
        if (problem := _queue_problem(queue, wanted))
    ]


def _queue_problem(queue: Queue, wanted: int) -> str | None:
    if queue.type is None:
        return "does not exist"
    if queue.type not in ("quorum", "stream"):
        return f"type {queue.type}, without replicas"
    if len(queue.members) < wanted:
        return f"{len(queue.members)} members"
    offline = sorted(set(queue.members) - set(queue.online))
    if offline:
        return f"{', '.join(offline)} not online"
    return None if queue.leader in queue.members else "no leader"


def _identity_findings(scope: Scope) -> Iterator[Finding]:
    for host in scope.on("identity"):
        fact = scope.facts(host).identity
        if fact is not None and fact.running and not fact.error and fact.status != 200:
            yield Finding("identity", host, f"status {fact.status}", "status 200", "Read Keystone's log there.")


def _short(name: str) -> str:
    """The bare host name in ``rabbit@HOST``, ``HOST`` or ``HOST.DOMAIN``."""
    return name.rpartition("@")[2].partition(".")[0]


def _switch(value: bool) -> str:
    return "ON" if value else "OFF"


def _named(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
