# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whom a fault hits, and whether it may: redundancy at the start, the observer, and the majority that must remain."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_move import Moving, choose_moving
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import (
    QUORUM_COMPONENTS,
    STANDBY_PICKS,
    Component,
    Pick,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, Fault
    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_facts import HostFacts


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """The host that runs the probes, the queue that they use, and between what servers can be moved.

    These are the drills' own ``servers`` (id, name, host, status), and the ``hypervisors`` that are up and enabled.
    """

    observer: str = ""
    queue: str = ""
    servers: Sequence[Mapping[str, t.Any]] = ()
    hypervisors: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The hosts that are hit, the other members (of the component, or all other hosts), who held the VIP before.

    ``moving`` are the servers to be moved, ``refused`` is the reason why the drill must not start, or None.
    """

    victims: tuple[str, ...]
    peers: tuple[str, ...]
    holder: str
    refused: str | None
    moving: tuple[Moving, ...] = ()


def choose(drill: Drill, hosts: Sequence[HostFacts], surroundings: Surroundings) -> Choice:
    """Pick the victims of ``drill`` among ``hosts``, and the servers that it moves."""
    try:
        _check_needs(drill, hosts)
        if drill.move is not None:
            moving = choose_moving(drill.move, surroundings.servers, surroundings.hypervisors)
            victims = _moved_hosts(drill.fault, moving)
            _check_observer(victims, surroundings.observer)
            return Choice(victims, (), "", None, moving)
        if drill.fault is None:
            return Choice((), (), "", None)
        victims = _pick(drill.fault, hosts, surroundings.queue)
        _check_observer(victims, surroundings.observer)
        _check_majority(drill.fault, hosts, victims)
    except LifeboatError as error:
        return Choice(victims=(), peers=(), holder="", refused=str(error))
    members = _members(drill.fault, hosts)
    return Choice(
        victims=victims,
        peers=tuple(host.name for host in members if host.name not in victims),
        holder=next((host.name for host in hosts if host.holds_vip), ""),
        refused=None,
    )


def _moved_hosts(fault: Fault | None, moving: Sequence[Moving]) -> tuple[str, ...]:
    if fault is None:
        return ()
    return (moving[0].source if fault.pick is Pick.MOVE_SOURCE else moving[0].destination,)


def _members(fault: Fault, hosts: Sequence[HostFacts]) -> tuple[HostFacts, ...]:
    component = fault.component
    return tuple(host for host in hosts if (component in host.present if component else host.present))


def _healthy(host: HostFacts, component: Component | None) -> bool:
    return host.present == host.healthy if component is None else component in host.healthy


def _pick(fault: Fault, hosts: Sequence[HostFacts], queue: str) -> tuple[str, ...]:
    pick, component = fault.pick, fault.component
    members = _members(fault, hosts)
    if pick is Pick.ALL:
        return tuple(host.name for host in members)
    active = "" if pick is Pick.ANY else _active(pick, hosts, queue)
    if pick not in STANDBY_PICKS and pick is not Pick.ANY:
        if active not in [host.name for host in members]:
            names = ", ".join(host.name for host in members) or "none"
            raise _refusal(f"pick {pick}", active, f"one of the hosts of {component or 'the drill'}: {names}")
        return (active,)
    others = [host for host in members if host.name != active and _healthy(host, component)]
    if not others:
        raise _refusal(f"pick {pick}", f"no healthy host with {component or 'everything'}", "at least one")
    # A drill that does not aim at the holder of the VIP leaves it alone, or it would measure two losses.
    return ((([host for host in others if not host.holds_vip] or others)[-1]).name,)


def _active(pick: Pick, hosts: Sequence[HostFacts], queue: str) -> str:
    if pick in {Pick.VIP_HOLDER, Pick.NOT_VIP_HOLDER}:
        return _vip_holder(hosts).name
    if pick in {Pick.ACTIVE_WRITER, Pick.NOT_ACTIVE_WRITER}:
        return _active_writer(_vip_holder(hosts))
    return _queue_leader(hosts, queue)


def _vip_holder(hosts: Sequence[HostFacts]) -> HostFacts:
    holders = [host for host in hosts if host.holds_vip]
    if len(holders) != 1:
        found = ", ".join(host.name for host in holders) or "nobody"
        raise _refusal("holder of the VIP", found, "exactly one host")
    return holders[0]


def _active_writer(holder: HostFacts) -> str:
    servers = [server for server in holder.database_servers if server.up]
    serving = [server.host for server in servers if not server.backup] or [server.host for server in servers]
    if not serving:
        raise _refusal(f"backend database of the load balancer on {holder.name}", "no server that is up", "a writer")
    return serving[0]


def _queue_leader(hosts: Sequence[HostFacts], queue: str) -> str:
    seen = {
        (name, leader)
        for host in hosts
        if Component.MESSAGE_QUEUE in host.healthy
        for name, leader in host.queue_leaders
        if not queue or name == queue
    }
    if len(seen) != 1:
        found = ", ".join(f"{name} on {leader}" for name, leader in sorted(seen)) or "none"
        raise _refusal(f"leader of the queue {queue or 'of the probes'}", found, "exactly one queue with one leader")
    ((_name, leader),) = seen
    # RabbitMQ names its nodes by short or by full host names, the inventory does as it likes.
    short = [host.name for host in hosts if host.name.partition(".")[0] == leader.partition(".")[0]]
    return short[0] if short else leader


def _check_needs(drill: Drill, hosts: Sequence[HostFacts]) -> None:
    for component, needed in drill.needs:
        healthy = [host.name for host in hosts if component in host.healthy]
        if len(healthy) < needed:
            found = f"{len(healthy)} healthy ({', '.join(healthy) or 'none'})"
            raise _refusal(f"members of {component}", found, f"at least {needed} before the drill starts")


def _check_observer(victims: Sequence[str], observer: str) -> None:
    if observer and observer in victims:
        remedy = "Run the probes from a host that is no member of the control plane."
        raise LifeboatError("observer", f"{observer}, which the fault hits", "a host that the fault spares", remedy)


def _check_majority(fault: Fault, hosts: Sequence[HostFacts], victims: Sequence[str]) -> None:
    """Refuse a fault that leaves a minority, except where all members are picked, which is then the drill's point."""
    if fault.pick is Pick.ALL:
        return
    hit = QUORUM_COMPONENTS if fault.component is None else QUORUM_COMPONENTS & {fault.component}
    for component in sorted(hit):
        members = [host for host in hosts if component in host.present]
        left = [host.name for host in members if component in host.healthy and host.name not in victims]
        if members and 2 * len(left) <= len(members):
            found = f"{len(left)} healthy of {len(members)} without {', '.join(victims)}"
            raise _refusal(f"majority of {component}", found, "more than half")
    controllers = _members(fault, hosts)
    if fault.component is None and 2 * (len(controllers) - len(victims)) <= len(controllers):
        found = f"{len(controllers) - len(victims)} of {len(controllers)} left"
        raise _refusal("majority of the controllers", found, "more than half")


def _refusal(thing: str, found: str, expected: str) -> LifeboatError:
    return LifeboatError(thing, found, expected, "Bring the cloud to its steady state (playbooks/verify.yml) first.")
