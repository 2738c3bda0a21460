# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is wanted of a server that shall move, what speaks against it, and what came of it."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import require_destination, service_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import ComputeService
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Event, Server

# As Nova calls the actions.
ACTIONS = {"live": "live-migration", "cold": "migrate"}
# What a server may be doing for each kind of migration, as Nova's API decides it.
_STATUSES = {"live": ("ACTIVE", "PAUSED"), "cold": ("ACTIVE", "SHUTOFF")}
# What Nova's API notes at the server before there is a record.
TASKS = {"live": "migrating", "cold": "resize_prep"}
# How long after Nova is through with a server it may close the record, clocks that differ allowed for.
_CLOSING_S = 180.0
# A cold migration that has arrived, until it is confirmed or reverted.
WAITS = "VERIFY_RESIZE"
# The status of a record whose server runs on its destination already. Nova neither aborts nor forces it any more.
POST_COPY = "running (post-copy)"
# What is asked of Nova for each state that ends a migration.
MEASURES: dict[str, t.Literal["abort", "force"]] = {"aborted": "abort", "completed": "force"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where ``server`` shall be: on ``host``, or anywhere but on ``away_from``; and how it may come there.

    ``state``: migrated, or for a live migration that is under way, wherever it leads: aborted or completed.
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
    state: t.Literal["migrated", "aborted", "completed"] = "migrated"

    def fulfilled_by(self, host: str) -> bool:
        """Whether a server on ``host`` is where it shall be."""
        return host == self.host if self.host else host != self.away_from


@dataclass(frozen=True, slots=True)
class State:
    """What a server and the record of its migration said ``at_s`` seconds after the request.

    ``record`` is empty before the request, ``server`` where only the record was looked at.
    """

    at_s: float
    record: str
    server: str
    task: str | None


@dataclass(slots=True)
class Receipt:
    """What has been done and seen; ``transferred`` in bytes, as Nova said last; ``began`` on the monotonic clock.

    ``found_on`` is where the server was before anything was done: of a cold migration that waits, its destination.
    """

    began: float
    source: str = ""
    destination: str | None = None
    found_on: str = ""
    actions: list[str] = field(default_factory=list)
    record: Record | None = None
    warnings: list[str] = field(default_factory=list)
    timeline: list[State] = field(default_factory=list)
    phases: list[Event] = field(default_factory=list)
    transferred: dict[str, int] = field(default_factory=dict)
    took_s: float | None = None

    @property
    def seconds(self) -> float:
        """From the request to the end, or until now."""
        return round(time.monotonic() - self.began, 2) if self.took_s is None else self.took_s

    @property
    def began_at(self) -> str:
        """When it was asked for, in UTC."""
        return in_utc(self.began)

    @property
    def unchanged_s(self) -> float:
        """How long everything has stood as it does."""
        return self.seconds - self.timeline[-1].at_s


def announced(server: str, kind: str, source: str, destination: str) -> str:
    """A migration, before it is asked for."""
    return f"migrate {server} {kind} from {source} to {destination}"


def gone_on_with(server: str, kind: str, source: str) -> str:
    """One that is under way, before it is watched."""
    return f"go on with the {kind} migration of {server} from {source}"


def in_utc(began: float) -> str:
    """A moment on the monotonic clock in ISO 8601, the reverse of ``began_in``."""
    moment = datetime.now(UTC) - timedelta(seconds=time.monotonic() - began)
    return moment.isoformat(timespec="milliseconds")


def began_in(text: str) -> float:
    """A moment in ISO 8601, of UTC where it names no zone, on the monotonic clock."""
    moment = datetime.fromisoformat(text)
    past = datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return time.monotonic() - max(0.0, past.total_seconds())


def abandoned(server: Server, record: Record) -> bool:
    """Whether nobody will close the record: who wrote it has died, and Nova does nothing with the server."""
    through = not server.task and server.status != WAITS
    return not record.settled and through and record.unchanged_s >= _CLOSING_S


def in_progress(server: Server, records: Sequence[Record]) -> Record | None:
    """Of a server's records, the latest first, the one that Nova works on, or that waits to be confirmed."""
    # A resize that waits is its owner's to confirm, whatever was moved before it.
    if not records or records[0].kind not in ACTIONS or abandoned(server, records[0]):
        return None
    # A record is now and then closed while the server is still on its way.
    if records[0].ended and server.status != WAITS and server.task != TASKS[records[0].kind]:
        return None
    return records[0]


def has_come_back(server: Server, records: Sequence[Record], wanted: Wanted) -> bool:
    """Whether a server's latest migration, the first of its records, is one that was reverted, as it is wanted."""
    if not records or (wanted.kind, wanted.after_cold) != ("cold", "revert"):
        return False
    latest = records[0]
    there = latest.destination is not None and wanted.fulfilled_by(latest.destination)
    return (latest.kind, latest.status, latest.source) == ("cold", "reverted", server.host) and there


def refuse_other(server: Server, record: Record, wanted: Wanted) -> None:
    """LifeboatError when what is under way does not lead where the server shall be."""
    if record.destination is None or wanted.fulfilled_by(record.destination):
        return
    found = f"a {record.kind} migration from {record.source} to {record.destination} that is {record.status}"
    remedy = f"Let it end with host={record.destination}, or abort or revert it, and ask again."
    raise LifeboatError(str(server), found, f"none, or one to {wanted.host or 'another host'}", remedy)


def refuse_end(server: Server, record: Record | None, wanted: Wanted) -> None:
    """LifeboatError when what is under way cannot be aborted or forced, as ``wanted.state`` says."""
    expected = f"a live migration or nothing under way, for state={wanted.state}"
    if record is not None and record.kind == "cold":
        found = f"a cold migration from {record.source} to {record.destination} that is {record.status}"
        when = "Confirm or revert it" if server.status == WAITS else "Nova goes on with it: confirm or revert it then"
        remedy = f"{when}, with kind=cold host={record.destination} after_cold=confirm or after_cold=revert."
        raise LifeboatError(str(server), found, expected, remedy)
    if server.task not in (None, TASKS["live"]):
        raise LifeboatError(str(server), f"Nova busy with {server.task}", expected, "Wait for its end.")
    if record is not None and record.status == POST_COPY and wanted.state == "aborted":
        found = f"a live migration in post-copy: it runs on {record.destination}, with memory on both hosts"
        remedy = "Let it end; state=completed waits for that."
        raise LifeboatError(str(server), found, "one that can still be aborted", remedy)


def can_be_ended(server: Server, record: Record) -> bool:
    """Whether Nova has still something to abort or to force."""
    return server.task == TASKS["live"] and not record.ended and record.status != POST_COPY


def refuse(server: Server, wanted: Wanted, services: Sequence[ComputeService]) -> None:
    """LifeboatError for what Nova would refuse, or find out only after it has begun. ``services``: nova-compute's."""
    if server.task == TASKS[wanted.kind]:
        return
    allowed = _STATUSES[wanted.kind]
    if server.status not in allowed or server.task:
        task = f" and Nova busy with {server.task}" if server.task else ""
        remedy = (
            "Start the server, or migrate it cold." if server.status == "SHUTOFF" else "Wait, or repair the server."
        )
        expected = f"{' or '.join(allowed)} and nothing going on for a {wanted.kind} migration"
        raise LifeboatError(str(server), f"status {server.status}{task}", expected, remedy)
    source = service_of(services, server.host)
    if source.state != "up":
        remedy = "Bring nova-compute up again; when the host is dead, use server_evacuation."
        raise LifeboatError(str(source), f"state {source.state}", "up, since it has to send the server", remedy)
    if wanted.host:
        require_destination(services, wanted.host)


def gone(server: str) -> LifeboatError:
    """Of a server that was there when the migrations were decided on."""
    return LifeboatError(server, "no such server any more", "the server", "Nothing, if it was deleted.")
