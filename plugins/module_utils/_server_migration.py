# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Moves one server of Nova to another host, live or cold, and watches until Nova's record and the server both say so.

What is found half-way (a migration that another run has begun, a cold one that waits to be confirmed) is gone on with
and never begun again. A live one that is found can be aborted or forced instead.
"""

from __future__ import annotations

import time
import typing as t
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import read_services
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import asked_again
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_journey import GRACE_S, Journey
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import (
    MEASURES,
    TASKS,
    WAITS,
    has_come_back,
    in_progress,
    refuse,
    refuse_end,
    refuse_other,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import find_server

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import Receipt, Wanted
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server

_PAUSE_S = 0.5


def converge(compute: Service, wanted: Wanted, dry_run: bool) -> tuple[Server, Receipt]:
    """Bring the server to where it shall be; the server afterwards and what was done, foretold with ``dry_run``."""
    if wanted.host and wanted.host == wanted.away_from:
        found = f"{wanted.host} both as host and as away_from"
        remedy = "Name another host, or leave host out and let Nova choose one."
        raise LifeboatError(f"server {wanted.server}", found, "two hosts", remedy)
    server = find_server(compute, wanted.server)
    journey = Journey(compute, server, wanted)
    records = read_records(compute, {"instance_uuid": server.id})
    record = in_progress(server, records)
    if wanted.state in MEASURES:
        refuse_end(server, record, wanted)
        if record is None and server.task != TASKS["live"]:
            return server, journey.receipt
        # What has ended is not what Nova works on now, of which there is no record yet.
        journey.end_now(None if record and record.ended else record, (each.id for each in records))
        if dry_run:
            journey.receipt.actions += journey.foretold
    elif server.status == WAITS and wanted.after_cold == "leave" and wanted.fulfilled_by(server.host):
        journey.receipt.record = record
        return server, journey.receipt
    elif record is not None:
        refuse_other(server, record, wanted)
        journey.go_on(record)
    elif has_come_back(server, records, wanted):
        journey.receipt.record, journey.receipt.destination = records[0], None
        return server, journey.receipt
    elif wanted.fulfilled_by(server.host):
        journey.receipt.destination = None
        return server, journey.receipt
    else:
        refuse(server, wanted, read_services(compute))
        if dry_run:
            journey.receipt.actions.append(journey.says)
        else:
            journey.begin(each.id for each in records)
    if not dry_run:
        _watch(compute, journey)
    return journey.server, journey.receipt


def _watch(compute: Service, journey: Journey) -> None:
    """Look until it has ended; its error is raised."""
    read = partial(read_records, compute, {"instance_uuid": journey.server.id})
    while True:
        journey.look(asked_again(read, GRACE_S, _PAUSE_S))
        if journey.error:
            raise journey.error
        if journey.ended:
            return
        time.sleep(_PAUSE_S)
