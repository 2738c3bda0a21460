# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How far the steps of a plan have come, as the cloud has it at this moment."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import read_latest, read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import (
    by_server,
    step_of_record,
    steps_done,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, asked_again
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_source import fleet_from
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_journey import GRACE_S
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import TASKS, abandoned, gone
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import read_server

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import Step
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_options import Planning

    Answer = t.TypeVar("Answer")

_PAUSE_S = 0.5


@dataclass(slots=True)
class Survey:
    """``going`` are the moves that Nova is about, or that ended since an earlier call saw them under way.

    ``done`` are those that need not be made any more, ``lost`` those that are not to be made, with the reason.
    """

    fleet: Fleet
    going: dict[Move, Record]
    done: list[Move] = field(default_factory=list)
    lost: dict[Move, str] = field(default_factory=dict)


def asked(ask: Callable[[], Answer]) -> Answer:
    """What ``ask`` returns, asked again while a service cannot tell."""
    return asked_again(ask, GRACE_S, _PAUSE_S)


def latest_by_server(compute: Service, count: int) -> dict[str, list[Record]]:
    """The latest records of migrations, by server."""
    found: dict[str, list[Record]] = {}
    for record in asked(partial(read_latest, compute, count)):
        found.setdefault(record.server, []).append(record)
    return found


def survey(
    cloud: Cloud, steps: Mapping[Move, Step], planning: Planning, records: Mapping[str, Sequence[Record]]
) -> Survey:
    """Look where the servers are. ``records`` are the latest."""
    chains = by_server(steps.values())
    going: dict[Move, Record] = {}
    for server, chain in chains.items():
        record = _record_of(cloud.compute, chain, records.get(server, ()))
        place = None if record is None else step_of_record(chain, record)
        if record is not None and place is not None:
            going[chain[place].move] = record
    if not chains:
        return Survey(Fleet({}, {}), going)
    found = Survey(_fleet(cloud, planning, {move: steps[move] for move in going}), going)
    for chain in chains.values():
        try:
            found.done += [step.move for step in chain[: _done(found, chain)]]
        except LifeboatError as error:
            for step in chain:
                going.pop(step.move, None)
                found.lost[step.move] = error.found
    return found


def _record_of(compute: Service, chain: Sequence[Step], own: Sequence[Record]) -> Record | None:
    """The one that an earlier call has noted, or the one that Nova works on."""
    noted = [step.notes["record"] for step in chain if step.notes]
    if noted:
        return next((each for each in own if each.id == noted[0]), None) or asked(
            partial(_read_noted, compute, chain[0].move.server, noted[0])
        )
    if not own or own[0].kind not in TASKS or own[0].settled:
        return None
    server = asked(partial(read_server, compute, own[0].server))
    return None if abandoned(server, own[0]) else own[0]


def _read_noted(compute: Service, server: str, number: int) -> Record:
    filters = {"instance_uuid": server}
    for record in read_records(compute, filters):
        if record.id == number:
            return record
    # It was there, and Nova deletes none: with a cell that does not answer it may tell of none.
    raise RefusalError(
        "GET", "/os-migrations", 503, f"no migration {number} of server {server}, which was there before"
    )


def _fleet(cloud: Cloud, planning: Planning, going: Mapping[Move, Step]) -> Fleet:
    bound = {move.server: move for move in going}
    fleet = asked(partial(fleet_from, cloud, planning.assumed, planning.storage, bound, planning.uplinks))
    servers = dict(fleet.servers)
    for move, step in going.items():
        if move.server in servers:
            # Nova's status of one that is under way does not tell whether it runs.
            status = "SHUTOFF" if step.kind == "cold" and not step.stops else "ACTIVE"
            servers[move.server] = dataclasses.replace(servers[move.server], status=status, movable=step.kind)
    return dataclasses.replace(fleet, servers=servers)


def _done(seen: Survey, chain: Sequence[Step]) -> int:
    """How many of a server's steps are; LifeboatError when the others are not to be taken."""
    server = seen.fleet.servers.get(chain[0].move.server)
    if server is None:
        raise gone(str(chain[0]))
    named = {host for step in chain for host in (step.move.source, step.move.destination)}
    unknown = named - seen.fleet.hosts.keys()
    if unknown:
        found = f"unknown host {', '.join(sorted(unknown))}"
        raise LifeboatError(str(chain[0]), found, "hosts that Nova knows", "Plan anew.")
    going = [place for place, step in enumerate(chain) if step.move in seen.going]
    return going[0] if going else steps_done(chain, server.host)
