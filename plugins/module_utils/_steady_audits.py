# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Invariants that must hold after a drill, beyond an answer to the clients."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import Scope, backend_findings, queue_findings

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import Finding


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of one audit; ``detail`` says what was seen, passed or not."""

    name: str
    passed: bool
    detail: str


def audit(scope: Scope, name: str) -> Audit:
    """One audit by name; LifeboatError when there is none of that name. What nobody answered for has not passed."""
    if name not in AUDITS:
        raise LifeboatError("audit", name, f"one of {', '.join(sorted(AUDITS))}", "Correct the name.")
    problems, seen = AUDITS[name](scope)
    return Audit(name, not problems, "; ".join(problems) or seen)


def _silent(scope: Scope, component: str) -> list[str]:
    """The hosts of which nothing is known; an audit of no host at all proves nothing either."""
    hosts = scope.on(component)
    silent = [f"{host} did not answer" for host in hosts if getattr(scope.facts(host), component) is None]
    return silent if hosts else [f"no host is expected to have {component}"]


def _one_vip_holder(scope: Scope) -> tuple[list[str], str]:
    holders = scope.holders()
    # A host that cannot read its addresses may hold the VIP unseen.
    unread = [
        f"{host}: {vip.error}" for host in scope.on("vip") if (vip := scope.facts(host).vip) is not None and vip.error
    ]
    wrong = [] if len(holders) == 1 else [f"{len(holders)} holders: {', '.join(holders) or 'none'}"]
    return [*_silent(scope, "vip"), *unread, *wrong], f"held by {', '.join(holders)}"


def _galera_position_equal(scope: Scope) -> tuple[list[str], str]:
    members = {host: scope.facts(host).database for host in scope.on("database")}
    positions = {
        host: f"{member.uuid}:{member.last_committed}"
        for host, member in members.items()
        if member is not None and member.uuid is not None and member.last_committed is not None
    }
    unknown = [f"{host} has no position" for host, member in members.items() if member and host not in positions]
    seen = ", ".join(f"{host} at {position}" for host, position in positions.items())
    differ = [f"different positions: {seen}"] if len(set(positions.values())) > 1 else []
    return [*_silent(scope, "database"), *unknown, *differ], seen


def _queue_replicas_complete(scope: Scope) -> tuple[list[str], str]:
    nodes = {host: scope.facts(host).message_queue for host in scope.on("message_queue")}
    errors = [f"{host}: {node.error}" for host, node in nodes.items() if node is not None and node.error]
    count = max((len(node.queues) for node in nodes.values() if node is not None), default=0)
    unseen = [] if count or errors or _silent(scope, "message_queue") else ["no queue seen"]
    problems = [*_silent(scope, "message_queue"), *errors, *unseen, *_found(queue_findings(scope))]
    return problems, f"{count} queues complete"


def _no_core_dump(scope: Scope) -> tuple[list[str], str]:
    dumps = [f"{host}: {path}" for host in scope.on("core_dumps") for path in scope.facts(host).core_dumps or ()]
    return [*_silent(scope, "core_dumps"), *dumps], f"none on {len(scope.on('core_dumps'))} hosts"


def _backends_up(scope: Scope) -> tuple[list[str], str]:
    holders = scope.holders()
    unasked = [] if holders else ["no VIP holder, so nobody's view of the backends"]
    balancers = {holder: scope.facts(holder).load_balancer for holder in holders}
    errors = [
        f"{holder}: {balancer.error if balancer else 'nothing known of its load balancer'}"
        for holder, balancer in balancers.items()
        if balancer is None or balancer.error
    ]
    problems = [f"{finding.host} {finding.found}" for finding in backend_findings(scope)]
    count = max((len(balancer.backends) for balancer in balancers.values() if balancer is not None), default=0)
    return [*unasked, *errors, *problems], f"all servers of {count} backends UP on {', '.join(holders)}"


def _found(findings: Sequence[Finding]) -> list[str]:
    return [finding.found for finding in findings]


AUDITS: dict[str, Callable[[Scope], tuple[list[str], str]]] = {
    "backends_up": _backends_up,
    "galera_position_equal": _galera_position_equal,
    "no_core_dump": _no_core_dump,
    "one_vip_holder": _one_vip_holder,
    "queue_replicas_complete": _queue_replicas_complete,
}
