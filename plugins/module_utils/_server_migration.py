# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Moves one server of Nova to another host, live or cold, and watches until Nova's record and the server both say so.

A migration is over when its record has ended *and* Nova does nothing with the server any more: the record of a live one
is closed before the server's network is. What is found half-way (a migration that another run has begun, a cold one
that waits to be confirmed) is gone on with and never begun again.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import (
    find_service,
    require_destination,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import (
    Record,
    read_progress,
    read_records,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, act, asked_again, remove
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import (
    MICROVERSION,
    Event,
    events_of,
    failure_of,
    find_server,
    read_server,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server

_PAUSE_S = 0.5
# How long Nova may take to take back what it was asked to abort, or to end what it was asked to force.
_GRACE_S = 120.0
# How long after the end of a migration Nova may still write what it notes of it.
_LATE_S = 30.0
_BLOCK: dict[str, str | bool] = {"auto": "auto", "shared": False, "block": True}
_ACTIONS = {"live": "live-migration", "cold": "migrate"}
# What a server may be doing for each kind of migration, as Nova's API decides it.
_STATUSES = {"live": ("ACTIVE", "PAUSED"), "cold": ("ACTIVE", "SHUTOFF")}
_WAITS = "VERIFY_RESIZE"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where ``server`` shall be: on ``host``, or anywhere but on ``away_from``; and how it may come there.

    ``after_cold``: what becomes of a cold migration: confirm, revert or leave. ``on_timeout``: what becomes of a live
    one that takes longer than ``timeout_s``: abort, force or leave.
    """

    server: str
    host: str | None = None
    away_from: str | None = None
    kind: t.Literal["live", "cold"] = "live"
    storage: t.Literal["auto", "shared", "block"] = "auto"
    after_cold: t.Literal["confirm", "revert", "leave"] = "confirm"
    timeout_s: float = 600.0
    on_timeout: t.Literal["abort", "force", "leave"] = "abort"

    def fulfilled_by(self, host: str) -> bool:
        """Whether a server on ``host`` is where it shall be."""
        return host == self.host if self.host else host != self.away_from


@dataclass(frozen=True, slots=True)
class State:
    """What a server and the record of its migration said ``at_s`` seconds after the request."""

    at_s: float
    record: str
    server: str
    task: str | None


@dataclass(slots=True)
class Receipt:
    """What has been done and seen; ``transferred`` in bytes, as Nova said last."""

    source: str = ""
    destination: str | None = None
    actions: list[str] = field(default_factory=list)
    record: Record | None = None
    warnings: list[str] = field(default_factory=list)
    timeline: list[State] = field(default_factory=list)
    phases: list[Event] = field(default_factory=list)
    transferred: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the request."""
        return round(time.monotonic() - self.began, 2)

    @property
    def unchanged_s(self) -> float:
        """How long everything has stood as it does."""
        return self.seconds - self.timeline[-1].at_s


def converge(compute: Service, wanted: Wanted, dry_run: bool) -> tuple[Server, Receipt]:
    """Bring the server to where it shall be; the server afterwards and what was done, foretold with ``dry_run``."""
    if wanted.host and wanted.host == wanted.away_from:
        found = f"{wanted.host} both as host and as away_from"
        raise LifeboatError(f"server {wanted.server}", found, "two hosts", "Leave away_from out.")
    server = find_server(compute, wanted.server)
    receipt = Receipt(source=server.host)
    record = _in_progress(compute, server)
    if record is not None:
        _refuse_other(server, record, wanted)
        receipt.source, receipt.destination = record.source, record.destination
        receipt.actions.append(f"go on with the {record.kind} migration of {server} from {record.source}")
    elif wanted.fulfilled_by(server.host):
        return server, receipt
    else:
        _refuse(compute, server, wanted)
        receipt.destination = wanted.host
        receipt.actions.append(_says(server, wanted))
    if dry_run:
        return server, receipt
    if record is None:
        record = _begin(compute, server, wanted)
    return _finish(compute, server, record, wanted, receipt), receipt


def _says(server: Server, wanted: Wanted) -> str:
    where = wanted.host or f"a host that Nova chooses, away from {server.host}"
    return f"migrate {server} {wanted.kind} from {server.host} to {where}"


def _in_progress(compute: Service, server: Server) -> Record | None:
    """The migration that Nova works on, or that waits to be confirmed."""
    records = read_records(compute, {"instance_uuid": server.id})
    # A resize that waits is its owner's to confirm, whatever was moved before it.
    if not records or records[0].kind not in _ACTIONS or (records[0].ended and server.status != _WAITS):
        return None
    return records[0]


def _refuse_other(server: Server, record: Record, wanted: Wanted) -> None:
    """LifeboatError when what is under way does not lead where the server shall be."""
    if record.destination is None or wanted.fulfilled_by(record.destination):
        return
    found = f"a {record.kind} migration from {record.source} to {record.destination} that is {record.status}"
    remedy = f"Let it end with host={record.destination}, or abort or revert it, and ask again."
    raise LifeboatError(str(server), found, f"none, or one to {wanted.host or 'another host'}", remedy)


def _refuse(compute: Service, server: Server, wanted: Wanted) -> None:
    """LifeboatError for what Nova would refuse, or find out only after it has begun."""
    allowed = _STATUSES[wanted.kind]
    if server.status not in allowed or server.task:
        task = f" and Nova busy with {server.task}" if server.task else ""
        remedy = (
            "Start the server, or migrate it cold." if server.status == "SHUTOFF" else "Wait, or repair the server."
        )
        expected = f"{' or '.join(allowed)} and nothing going on for a {wanted.kind} migration"
        raise LifeboatError(str(server), f"status {server.status}{task}", expected, remedy)
    source = find_service(compute, server.host, "nova-compute")
    if source.state != "up":
        remedy = "Bring nova-compute up again; when the host is dead, use server_evacuation."
        raise LifeboatError(str(source), f"state {source.state}", "up, since it has to send the server", remedy)
    if wanted.host:
        require_destination(compute, wanted.host)


def _begin(compute: Service, server: Server, wanted: Wanted) -> Record:
    """Ask for the migration; its record as soon as there is one."""
    before = {record.id for record in read_records(compute, {"instance_uuid": server.id})}
    body: Json = {"migrate": {"host": wanted.host}}
    if wanted.kind == "live":
        body = {"os-migrateLive": {"host": wanted.host, "block_migration": _BLOCK[wanted.storage]}}
    act(compute, f"/servers/{server.id}/action", body, MICROVERSION)
    end = time.monotonic() + _GRACE_S
    while True:
        new = [each for each in read_records(compute, {"instance_uuid": server.id}) if each.id not in before]
        if new:
            return new[0]
        # Where no host will do, Nova ends without a record.
        now = read_server(compute, server.id)
        failure = failure_of(compute, server, _ACTIONS[wanted.kind])
        if failure and not now.task:
            raise _failed(now, f"no migration: {failure}", wanted)
        if time.monotonic() >= end:
            raise _failed(now, f"no record of a migration after {_GRACE_S:.0f} s", wanted)
        time.sleep(_PAUSE_S)


def _late_failure(compute: Service, server: Server, kind: str) -> str:
    """Why it failed, waited for, since Nova writes it after the record."""
    end = time.monotonic() + _LATE_S
    while not (reason := failure_of(compute, server, _ACTIONS[kind])) and time.monotonic() < end:
        time.sleep(_PAUSE_S)
    return reason or "Nova gives no reason"


def _failed(server: Server, found: str, wanted: Wanted) -> LifeboatError:
    where = f"on {wanted.host}" if wanted.host else f"away from {wanted.away_from or server.host}"
    remedy = f"The server is {server.status} on {server.host}. Read the logs of nova-scheduler and nova-compute."
    return LifeboatError(str(server), found, f"the server {where}", remedy)


def _finish(compute: Service, server: Server, record: Record, wanted: Wanted, receipt: Receipt) -> Server:
    """Watch the migration to its end, with what is to be done when it waits or takes too long."""
    if not (record.ended and server.status == _WAITS):
        server, record = _watch(compute, record, wanted, receipt)
    receipt.record, receipt.destination = record, record.destination
    if record.kind == "cold" and server.status == _WAITS and wanted.after_cold != "leave":
        server, record = _settle(compute, server, record, wanted, receipt)
        receipt.record = record
    receipt.phases = events_of(compute, server, _ACTIONS[record.kind])
    arrived = wanted.fulfilled_by(server.host) and server.host != record.source
    if record.failed and not arrived:
        reason = _late_failure(compute, server, record.kind)
        raise _failed(server, f"a migration that is {record.status}: {reason}", wanted)
    if record.failed:
        receipt.warnings.append(
            f"Nova's record of migration {record.id} says {record.status}, yet {server} has arrived."
        )
    if record.status != "reverted" and not wanted.fulfilled_by(server.host):
        raise _failed(server, f"host {server.host} after a migration that is {record.status}", wanted)
    return server


def _watch(compute: Service, record: Record, wanted: Wanted, receipt: Receipt) -> tuple[Server, Record]:
    """Until the record has ended and Nova does nothing with the server any more."""
    end = time.monotonic() + wanted.timeout_s
    measure: str | None = None
    while True:
        record, server = asked_again(partial(_look, compute, record, receipt), _GRACE_S, _PAUSE_S)
        # With what is left of an earlier failure Nova takes a record that it still works on for failed, and corrects it
        # only at the very end.
        doubtful = record.failed and server.host != record.source
        if record.ended and not server.task and (not doubtful or receipt.unchanged_s >= _LATE_S):
            if measure == "abort" and record.failed:
                raise _failed(server, f"a migration that took over {wanted.timeout_s:.0f} s and was aborted", wanted)
            return server, record
        if time.monotonic() >= end:
            found = f"a migration that is {record.status} after {receipt.seconds:.0f} s"
            if measure or wanted.on_timeout == "leave" or record.kind != "live":
                remedy = "Nova goes on with it; the next run of this module watches it further."
                raise LifeboatError(str(server), found, "its end", remedy)
            measure = _act_on_timeout(compute, record, wanted, receipt)
            end = time.monotonic() + _GRACE_S
        time.sleep(_PAUSE_S)


def _look(compute: Service, record: Record, receipt: Receipt) -> tuple[Record, Server]:
    """How both stand now; noted when they have changed."""
    (record,) = [each for each in read_records(compute, {"instance_uuid": record.server}) if each.id == record.id]
    server = read_server(compute, record.server)
    if record.kind == "live" and not record.ended:
        receipt.transferred |= read_progress(compute, record)
    state = State(receipt.seconds, record.status, server.status, server.task)
    last = receipt.timeline[-1] if receipt.timeline else None
    if last is None or (last.record, last.server, last.task) != (state.record, state.server, state.task):
        receipt.timeline.append(state)
    return record, server


def _act_on_timeout(compute: Service, record: Record, wanted: Wanted, receipt: Receipt) -> str:
    """Abort or force the migration, and which of them; one that has just ended cannot be, which is no error."""
    url = f"/servers/{record.server}/migrations/{record.id}"
    try:
        if wanted.on_timeout == "force":
            act(compute, f"{url}/action", {"force_complete": None}, MICROVERSION)
        else:
            remove(compute, url, MICROVERSION)
    except RefusalError as refusal:
        # 400 for a state in which it cannot be done, 404 for one that has ended.
        if refusal.status not in (400, 404):
            raise
    else:
        receipt.actions.append(f"{wanted.on_timeout} it after {wanted.timeout_s:.0f} s")
    return wanted.on_timeout


def _settle(
    compute: Service, server: Server, record: Record, wanted: Wanted, receipt: Receipt
) -> tuple[Server, Record]:
    """Confirm or revert a cold migration and wait until it is."""
    receipt.actions.append(f"{wanted.after_cold} it")
    before = server.host
    verb, status = ("confirmResize", "confirmed") if wanted.after_cold == "confirm" else ("revertResize", "reverted")
    act(compute, f"/servers/{server.id}/action", {verb: None}, MICROVERSION)
    end = time.monotonic() + wanted.timeout_s
    while True:
        record, server = asked_again(partial(_look, compute, record, receipt), _GRACE_S, _PAUSE_S)
        if record.status == status and not server.task and server.status != _WAITS:
            return server, record
        if server.status == "ERROR":
            raise _failed(server, f"an error while Nova was to {wanted.after_cold} it: {server.fault}", wanted)
        if time.monotonic() >= end:
            found = f"a record that is {record.status}, the server {server.status} on {server.host} (before: {before})"
            remedy = "Read nova-compute's log on both hosts; the next run of this module goes on."
            raise LifeboatError(str(server), found, f"{status} within {wanted.timeout_s:.0f} s", remedy)
        time.sleep(_PAUSE_S)
