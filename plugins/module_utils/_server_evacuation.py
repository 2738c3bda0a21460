# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Rebuilds a server of a dead host on another one, and only when that host is certain not to run it any more.

Nova itself takes a host for dead whose nova-compute does not report, though its servers may run and write on. Two
copies of a server on one disk destroy it, so a proof is asked for: that an operator, or a fencing device's answer, has
forced the service down. The other copy may also be where the server was on its way to when its host died: libvirt lets
it run there some seconds before Nova knows. And where the dead host alone has a server's disks, Nova would make it anew
from its image, and delete the disks once the host is back.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import (
    read_services,
    require_destination,
    service_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_reasons import failure_in
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record, read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import act, asked_again, no_answer
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import abandoned, began_in, in_utc
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import (
    MICROVERSION,
    events_of,
    find_server,
    read_server,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import ComputeService
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server

_PAUSE_S = 0.5
# How long Nova may be unable to tell.
_GRACE_S = 120.0
# What Nova evacuates. A stopped server is moved and stays stopped.
_STATUSES = ("ACTIVE", "SHUTOFF", "ERROR")


@dataclass(frozen=True, slots=True)
class Wanted:
    """``server`` shall not be on the dead host ``away_from`` any more, but on ``host`` or where Nova puts it.

    ``keeps_disks``: the hosts share them, so that they outlive their host, or nobody minds that they are lost.
    ``proof_follows``: what is foretold is foretold for a host that is proven dead by then. ``not_running_on``: hosts on
    which somebody has seen that the server does not run.
    """

    server: str
    away_from: str
    host: str | None
    keeps_disks: bool
    timeout_s: float
    proof_follows: bool = False
    not_running_on: tuple[str, ...] = ()


@dataclass(slots=True)
class Receipt:
    """What has been done; ``known`` are the numbers of earlier records, ``doubt`` is why it may not have been taken."""

    actions: list[str] = field(default_factory=list)
    record: Record | None = None
    began: float = field(default_factory=time.monotonic)
    known: frozenset[int] = frozenset()
    doubt: str = ""

    @property
    def began_at(self) -> str | None:
        """When it was asked for, in UTC; None of a server that had left its host without a record."""
        if self.actions:
            return in_utc(self.began)
        return in_utc(began_in(self.record.created_at)) if self.record else None

    @property
    def seconds(self) -> float:
        """Since the request; of what had ended before, from Nova's record."""
        if self.record and not self.actions:
            return self.record.seconds
        return round(time.monotonic() - self.began, 2)


def converge(compute: Service, wanted: Wanted, dry_run: bool) -> tuple[Server, Receipt]:
    """Bring the server to where it shall be; the server afterwards and what was done, foretold with ``dry_run``."""
    if wanted.host == wanted.away_from:
        thing, found = f"server {wanted.server}", f"{wanted.host} both as host and as away_from"
        raise LifeboatError(thing, found, "two hosts", "Give another host, or none.")
    server = find_server(compute, wanted.server)
    receipt = Receipt()
    of_all_kinds = read_records(compute, {"instance_uuid": server.id})
    records = _evacuations(of_all_kinds)
    if server.host != wanted.away_from:
        receipt.record = next((each for each in records if each.source == wanted.away_from), None)
        return server, receipt
    record = records[0] if records and not records[0].ended and not abandoned(server, records[0]) else None
    if record is None:
        _refuse(compute, server, of_all_kinds, wanted, proven=dry_run and wanted.proof_follows)
        where = wanted.host or "a host that Nova chooses"
        receipt.actions.append(f"rebuild {server} of the dead host {wanted.away_from} on {where}")
    else:
        _refuse_other(server, record, wanted)
        receipt.actions.append(f"go on with the evacuation of {server} from {wanted.away_from}")
        receipt.began = began_in(record.created_at)
    if dry_run:
        return server, receipt
    if record is None:
        receipt.began, receipt.known = time.monotonic(), frozenset(each.id for each in records)
        receipt.doubt = _ask(compute, server, wanted)
    return _watch(compute, server, wanted, receipt), receipt


def _ask(compute: Service, server: Server, wanted: Wanted) -> str:
    """Ask for it; why it may not have been taken, which shows in the records, and asking twice would be wrong."""
    body = {"evacuate": {"host": wanted.host} if wanted.host else {}}
    try:
        act(compute, f"/servers/{server.id}/action", body, MICROVERSION)
    except Exception as error:
        if not no_answer(error):
            raise
        return f", and {error}"
    return ""


def _evacuations(records: Sequence[Record]) -> list[Record]:
    return [each for each in records if each.kind == "evacuation"]


def _refuse_other(server: Server, record: Record, wanted: Wanted) -> None:
    if wanted.host and record.destination and record.destination != wanted.host:
        found = f"an evacuation to {record.destination} under way"
        remedy = "Run it without host, which watches that one to its end, and migrate the server afterwards."
        raise LifeboatError(str(server), found, f"one to {wanted.host}, or none", remedy)


def _refuse_second_copy(
    services: Sequence[ComputeService], server: Server, records: Sequence[Record], wanted: Wanted
) -> None:
    """LifeboatError where the server may have begun to run on another host. ``records``: all, the latest first.

    A migration that the dead host's end has left open may have got there; so may one that has failed of a server that
    is in ERROR since, which is how Nova leaves one of which the last step, after libvirt's, has failed.
    """
    cleared = {None, wanted.away_from, *wanted.not_running_on, *(each.host for each in services if each.forced_down)}
    for record in records:
        if record.settled and not record.failed:
            return  # Nova has known since where it is.
        there, kind = record.destination, {"live": "live migration"}.get(record.kind, record.kind)
        is_open = not record.settled or (record.kind == "live" and server.status == "ERROR")
        starts_there = record.kind in ("live", "evacuation") and record.source == wanted.away_from
        if not (is_open and starts_there) or there in cleared:
            continue
        found = (
            f"a {kind} to {there} that is {record.status}, so it may run there although Nova has it on {server.host}"
        )
        remedy = (
            f"See on {there} whether it runs (virsh list), and if so, end it (virsh destroy). Then name the host in "
            "not_running_on, and reset the server's state (openstack server set --state) if Nova is busy with it."
        )
        raise LifeboatError(str(server), found, "a server that runs nowhere else", remedy)


def _refuse(compute: Service, server: Server, records: Sequence[Record], wanted: Wanted, *, proven: bool) -> None:
    """LifeboatError without the proof that the server runs nowhere, and for what Nova would refuse."""
    services = read_services(compute)
    source = service_of(services, wanted.away_from)
    if not (source.forced_down or proven):
        remedy = (
            "See that the host is powered off (host_power, or the device's own display), then set forced_down=true "
            "with compute_service; server_migration moves servers of a host that lives."
        )
        found = f"state {source.state} and not forced down, so its servers may still run and write to their disks"
        raise LifeboatError(str(source), found, "a service that is forced down, as proof that the host is dead", remedy)
    _refuse_second_copy(services, server, records, wanted)
    if server.status not in _STATUSES or server.task:
        task = f" and Nova busy with {server.task}" if server.task else ""
        remedy = "Wait, or end what goes on; reset its state (openstack server set --state) when the dead host held it."
        raise LifeboatError(str(server), f"status {server.status}{task}", f"{', '.join(_STATUSES)} and no task", remedy)
    if server.has_disks and not wanted.keeps_disks:
        found = f"disks of its own on {wanted.away_from}, which another host would make anew from the image"
        remedy = (
            "Name the storage that the hosts share (shared_storage), repair the host, or accept that what is on these "
            "disks is lost (lose_disks=true)."
        )
        raise LifeboatError(str(server), found, "disks that outlive their host", remedy)
    if wanted.host:
        require_destination(services, wanted.host)


def _watch(compute: Service, before: Server, wanted: Wanted, receipt: Receipt) -> Server:
    """Until the server is on its new host as it was before, running or stopped."""
    end = time.monotonic() + wanted.timeout_s
    busy_until = time.monotonic() + _GRACE_S
    while True:
        server = asked_again(lambda: read_server(compute, before.id), _GRACE_S, _PAUSE_S)
        records = asked_again(lambda: read_records(compute, {"instance_uuid": before.id}), _GRACE_S, _PAUSE_S)
        receipt.record = next((each for each in _evacuations(records) if each.id not in receipt.known), None)
        status = receipt.record.status if receipt.record else "not recorded"
        if server.host != wanted.away_from and not server.task and server.status in ("ACTIVE", "SHUTOFF"):
            return server
        failed = receipt.record is not None and receipt.record.failed
        # What was taken without an answer shows by what Nova does; until then the failure may be an earlier one's.
        if server.task or receipt.record:
            receipt.doubt = ""
        said = ""
        if not (server.task or receipt.doubt):
            said = failure_in(asked_again(lambda: events_of(compute, before, "evacuate"), _GRACE_S, _PAUSE_S))
        if said or (failed and not server.task):
            found = f"an evacuation that is {status}: {said or 'no reason'}"
            remedy = f"It is {server.status} on {server.host}. Read the logs of nova-scheduler and nova-compute."
            raise LifeboatError(str(server), found, "its end", remedy)
        if server.task:
            busy_until = time.monotonic() + _GRACE_S
        if time.monotonic() >= busy_until:
            found = f"Nova doing nothing with it for {_GRACE_S:.0f} s, evacuation {status}{receipt.doubt}"
            remedy = "Read the logs of nova-conductor and nova-compute, and run it again."
            raise LifeboatError(str(server), found, "a server on another host", remedy)
        if time.monotonic() >= end:
            found = f"status {server.status}, task {server.task}, evacuation {status} after {receipt.seconds:.0f} s"
            remedy = "Nova goes on with it; the next run of this module watches it further."
            raise LifeboatError(str(server), found, "a server on another host", remedy)
        time.sleep(_PAUSE_S)
