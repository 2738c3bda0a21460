# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A plan of migrations: from a fleet and a goal to steps in time, with reasons for what stays."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils import _plan_goals as goals
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_schedule import schedule
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_travel import Travel

if t.TYPE_CHECKING:
    from collections.abc import Collection

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Obstacle
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_goals import Decision, Unplaced
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Row
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Limits, Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_schedule import Schedule, Step

Kind = t.Literal["drain", "balance", "consolidate", "spread", "move"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted. ``hosts`` are those to drain, ``moves`` those wished for.

    ``tolerance`` is the difference of load that balancing leaves, ``ceiling`` the load up to which hosts are filled.
    """

    kind: Kind
    hosts: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    tolerance: float = 0.2
    ceiling: float = 0.9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done when, what cannot be, and on what it rests."""

    fleet: Fleet
    schedule: Schedule
    unplaced: tuple[Unplaced, ...]
    rows: tuple[Row, ...]
    estimates: Estimates


def make_plan(fleet: Fleet, goal: Goal, limits: Limits, policy: Policy, estimates: Estimates) -> Plan:
    """Decide on the moves and put them in order.

    Servers that run and find no place so are stopped for their moves, where the policy allows it and it helps.
    """

    def decided(of: Fleet) -> tuple[Fleet, Matrix, Travel, Decision]:
        matrix, travel = Matrix(of), Travel(of, limits, policy, estimates)
        return of, matrix, travel, decide(of, matrix, travel, goal)

    first = decided(fleet)
    staying = _without_place(first[-1])
    second = decided(_stopped(fleet, staying)) if policy.cold and staying else first
    # Nobody else is left behind for it.
    fleet, matrix, travel, decision = second if _without_place(second[-1]) < staying else first
    seen = schedule(matrix, travel, decision.moves)
    concerned = [each.server for each in decision.moves]
    concerned += [server for each in decision.unplaced for server in each.servers]
    rows = matrix.rows((fleet.servers[each] for each in dict.fromkeys(concerned)), Layout(fleet))
    return Plan(fleet, seen, decision.unplaced, tuple(rows), estimates)


def _without_place(decision: Decision) -> set[str]:
    return {server for each in decision.unplaced for server in each.servers}


def _stopped(fleet: Fleet, those: Collection[str]) -> Fleet:
    """The fleet, those of its servers stopped for their moves that Nova would move so."""
    servers = dict(fleet.servers)
    for server in (fleet.servers[each] for each in those):
        if (server.movable, server.status) == ("live", "ACTIVE"):
            servers[server.id] = server.stopped("no host takes it while it runs")
    return dataclasses.replace(fleet, servers=servers)


def decide(fleet: Fleet, matrix: Matrix, travel: Travel, goal: Goal) -> Decision:
    match goal.kind:
        case "drain":
            return goals.drain(fleet, matrix, travel.staying, goal.hosts)
        case "balance":
            return goals.balance(fleet, matrix, travel.staying, goal.tolerance)
        case "consolidate":
            return goals.consolidate(fleet, matrix, travel.staying, goal.ceiling)
        case "spread":
            return goals.spread(fleet, matrix, travel.staying)
        case "move":
            return goals.as_wished(fleet, matrix, travel.staying, goal.moves)


def plan_json(plan: Plan) -> dict[str, t.Any]:
    """The plan as plain values."""
    seen, servers = plan.schedule, plan.fleet.servers
    emptied = {step.move.source for step in seen.steps} - _staying_on(plan)
    return {
        "steps": [_step_json(plan, step) for step in seen.steps],
        "refused": [
            {**dataclasses.asdict(each.move), "name": servers[each.move.server].name, "reason": each.reason}
            for each in seen.refused
        ],
        "unplaced": [_unplaced_json(plan.fleet, each) for each in plan.unplaced],
        "compatibility": [_row_json(row) for row in plan.rows],
        "learned": [dataclasses.asdict(lesson) for lesson in plan.estimates.lessons()],
        "summary": {
            "moves": len(seen.steps),
            "staying": len(seen.refused) + sum(len(each.servers) for each in plan.unplaced),
            "bytes": sum(step.cost.transferred for step in seen.steps),
            "total_s": round(seen.makespan_s, 3),
            "lower_bound_s": round(seen.lower_bound_s, 3),
            "longest_downtime_s": round(max((step.cost.downtime_s for step in seen.steps), default=0.0), 3),
            "emptied_hosts": sorted(emptied),
            "measured": len({step.move.server for step in seen.steps} & plan.estimates.dirty_rates.keys()),
            "prediction_error": plan.estimates.error,
        },
    }


def _staying_on(plan: Plan) -> set[str]:
    """The hosts that have servers when all is done."""
    where = {server.id: server.host for server in plan.fleet.servers.values()}
    for step in sorted(plan.schedule.steps, key=lambda step: step.end_s):
        where[step.move.server] = step.move.destination
    return set(where.values())


def _step_json(plan: Plan, step: Step) -> dict[str, t.Any]:
    server, move, estimates = plan.fleet.servers[step.move.server], step.move, plan.estimates
    return {
        **dataclasses.asdict(move),
        "name": server.name,
        "mode": step.trip.mode,
        "alone": step.trip.alone,
        "stops_server": step.trip.mode == "cold" and server.running,
        "start_s": round(step.start_s, 3),
        "end_s": round(step.end_s, 3),
        "downtime_s": round(step.cost.downtime_s, 3),
        "transferred": round(step.cost.transferred),
        "slowdown": round(step.cost.slowdown, 2),
        "assumed": {
            "bandwidth": step.bandwidth,
            "carried_share": estimates.bandwidth(move.source, move.destination),
            "memory": server.memory,
            "disk": server.local_disk,
            "disk_share": estimates.disk_share(server),
            "dirty_rate": estimates.guest(server).dirty_rate,
            "switch_s": estimates.switch_s(move.source, move.destination),
            "downtime_s": step.cost.downtime_s,
            "total_s": step.end_s - step.start_s,
        },
    }


def _unplaced_json(fleet: Fleet, unplaced: Unplaced) -> dict[str, t.Any]:
    return {
        "servers": [
            {"server": each, "name": fleet.servers[each].name, "host": fleet.servers[each].host}
            for each in unplaced.servers
        ],
        "reasons": [_reason_json(hosts, against) for hosts, against in unplaced.reasons],
    }


def _row_json(row: Row) -> dict[str, t.Any]:
    refused = [_reason_json(hosts, against) for hosts, against in row.refused]
    return {"servers": list(row.servers), "fits": list(row.fits), "refused": refused}


def _reason_json(hosts: tuple[str, ...], against: tuple[Obstacle, ...]) -> dict[str, t.Any]:
    return {"hosts": list(hosts), "obstacles": [{"subject": each.subject, "reason": each.reason} for each in against]}
