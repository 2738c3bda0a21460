# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""One server on its way to another host, as a state machine: asked for, watched, confirmed, ended.

Whoever drives it looks again and again, at one journey or at many; a look never sleeps. A migration is over when its
record has ended *and* Nova does nothing with the server any more: the record of a live one is closed before the
server's network is, and is now and then wrong.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_reasons import (
    failure_in,
    unexplained,
    what_to_do,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import (
    Record,
    read_progress,
    read_records,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, act, no_answer, remove
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import (
    ACTIONS,
    MEASURES,
    POST_COPY,
    TASKS,
    WAITS,
    Receipt,
    State,
    announced,
    began_in,
    can_be_ended,
    gone,
    gone_on_with,
    refuse_end,
    refuse_other,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import (
    MICROVERSION,
    aborted_by,
    events_of,
    read_server,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import Wanted
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server

# How long Nova may be unable to tell, may take to write a record, to take back what it was asked to abort, or to end
# what it was asked to force.
GRACE_S = 120.0
# How long after the end of a migration Nova may still write what it notes of it.
_LATE_S = 30.0
# Nova refuses to force what it has not begun to send. For some seconds more it takes the request, and does nothing but
# write into nova-compute's log that libvirt would not switch to post-copy yet, or has no job to abort yet; asked twice,
# it does no harm.
_REFUSED_S = 1.0
_DROPPED_S = 10.0
_BLOCK: dict[str, str | bool] = {"auto": "auto", "shared": False, "block": True}


class Journey:
    """``ended`` once nothing is left to be done, with ``error`` when the server is not where it shall be.

    With ``closely`` each look reads the server and what has been sent, else only when the record alone does not tell.
    """

    def __init__(self, compute: Service, server: Server, wanted: Wanted, closely: bool = True) -> None:
        self.server = server
        self.wanted = wanted
        self.receipt = Receipt(time.monotonic(), server.host, wanted.host, found_on=server.host)
        self.ended = False
        self.error: Exception | None = None
        self._compute = compute
        self._closely = closely
        self._stage: Callable[[Sequence[Record]], None] = self._await_record
        self._known: frozenset[int] = frozenset()
        self._doubt = ""
        self._due = self._answered = time.monotonic()
        self._late: float | None = None
        self._measure: str | None = None
        self._ask_again = 0.0
        # Of one that ended while nobody looked.
        self._took_s: float | None = None

    @property
    def says(self) -> str:
        """What is to be done, before it is done."""
        if self.wanted.state in MEASURES:
            return f"{MEASURES[self.wanted.state]} the live migration of {self.server} from {self.receipt.source}"
        where = self.wanted.host or f"a host that Nova chooses, away from {self.server.host}"
        return announced(str(self.server), self.wanted.kind, self.server.host, where)

    @property
    def recorded(self) -> bool:
        """Whether Nova has a record of it."""
        return self.receipt.record is not None

    @property
    def arrived(self) -> bool:
        return self.ended and self.error is None

    def begin(self, known: Iterable[int]) -> None:
        """Ask for the migration; ``known`` are the numbers of the records that the server has already."""
        self._known = frozenset(known)
        self._due = time.monotonic() + GRACE_S
        self.receipt.actions.append(self.says)
        self.receipt.timeline.append(State(0.0, "", self.server.status, self.server.task))
        # Asked for by a run that was killed before Nova had written a record.
        if self.server.task == TASKS[self.wanted.kind]:
            return
        body: Json = {"migrate": {"host": self.wanted.host}}
        if self.wanted.kind == "live":
            block = _BLOCK[self.wanted.storage]
            body = {"os-migrateLive": {"host": self.wanted.host, "block_migration": block}}
        try:
            act(self._compute, f"/servers/{self.server.id}/action", body, MICROVERSION)
        except Exception as error:
            # Whether it was taken shows in the records, and asking twice would be wrong.
            if not no_answer(error):
                raise
            self._doubt = f", and {error}"

    def go_on(self, record: Record) -> None:
        """Watch a migration that is under way, or that waits to be confirmed."""
        self.receipt.actions.append(gone_on_with(str(self.server), record.kind, record.source))
        self._follow(record)

    def end_now(self, record: Record | None, known: Iterable[int]) -> None:
        """Abort or force a live migration that is under way; ``known`` as for ``begin`` while it has no record yet."""
        self._measure = MEASURES[self.wanted.state]
        if record is None:
            self._known, self._due = frozenset(known), time.monotonic() + GRACE_S
        else:
            self._follow(record)

    @property
    def foretold(self) -> list[str]:
        """Of ``end_now``: what would be asked of Nova."""
        record = self.receipt.record
        return [self.says] if record is None or can_be_ended(self.server, record) else []

    def notes(self) -> dict[str, t.Any]:
        """What was seen so far, as plain values for ``recall`` in another process."""
        seen = self.receipt
        return {
            "record": seen.record.id if seen.record else None,
            "began": seen.began_at,
            "due_s": round(self._due - seen.began, 3),
            "measure": self._measure,
            "timeline": [dataclasses.asdict(state) for state in seen.timeline],
            "transferred": seen.transferred,
        }

    def recall(self, notes: Mapping[str, t.Any]) -> None:
        """After ``go_on``: with the bounds and from what was seen in an earlier process."""
        seen = self.receipt
        seen.began = began_in(notes["began"])
        seen.timeline = [State(**state) for state in notes["timeline"]]
        seen.transferred = dict(notes["transferred"])
        # What was done then has been told then.
        seen.actions.clear()
        if seen.record and seen.record.ended and not seen.record.failed:
            self._took_s = seen.record.seconds
        self._due = seen.began + notes["due_s"]
        self._measure = notes["measure"]

    def look(self, records: Sequence[Record]) -> None:
        """Take the next step, if it is time for one. ``records`` are the server's, the latest first, or some of them.

        An error that is the server's ends the journey. While Nova cannot tell, nothing changes.
        """
        try:
            self._stage(records)
        except Exception as error:
            silent = no_answer(error)
            if silent and time.monotonic() - self._answered < GRACE_S:
                return
            if not silent and not isinstance(error, LifeboatError):
                raise
            self._end(error)
        else:
            self._answered = time.monotonic()

    def count(self) -> None:
        """Read what has been sent; when Nova cannot tell, it is what it was."""
        record = self.receipt.record
        if record and record.kind == "live" and not record.ended:
            try:
                self.receipt.transferred |= read_progress(self._compute, record)
            except Exception as error:
                if not no_answer(error):
                    raise

    def _end(self, error: Exception | None = None) -> None:
        self.ended, self.error = True, error
        self.receipt.took_s = self.receipt.seconds if self._took_s is None else self._took_s

    def _follow(self, record: Record) -> None:
        self.receipt.record, self.receipt.source, self.receipt.destination = record, record.source, record.destination
        self._due = time.monotonic() + self.wanted.timeout_s
        self._stage = self._watch

    def _await_record(self, records: Sequence[Record]) -> None:
        new = [each for each in records if each.id not in self._known and each.kind == self.wanted.kind]
        if new:
            refuse_other(self.server, new[0], self.wanted)
            self._follow(new[0])
            self._watch(records)
            return
        # Where no host will do, Nova ends without a record.
        self.server = self._read()
        if self.wanted.state in MEASURES and not self.server.task:
            self._end()
            return
        # What was taken without an answer shows by what Nova does; until then the failure may be an earlier one's.
        if self.server.task:
            self._doubt = ""
        failure = failure_in(events_of(self._compute, self.server, ACTIONS[self.wanted.kind]))
        if failure and not self.server.task and not self._doubt:
            raise self._failed(f"no migration: {failure}")
        if time.monotonic() >= self._due:
            raise self._failed(f"no record of a migration after {GRACE_S:.0f} s{self._doubt}")

    def _watch(self, records: Sequence[Record]) -> None:
        record, looked = self._see(records)
        # With what is left of an earlier failure Nova takes a record that it still works on for failed, and corrects it
        # only at the very end.
        doubtful = record.failed and self.server.host != record.source
        over = looked and record.ended and not self.server.task
        if over and (not doubtful or self.receipt.unchanged_s >= _LATE_S):
            self._arrive(record)
        elif self._measure and not record.ended and self._ask_again <= time.monotonic() < self._due:
            self._end_it(record)
        elif time.monotonic() >= self._due:
            self._overdue(record)

    def _arrive(self, record: Record) -> None:
        if self._measure == "abort" and record.failed and self.wanted.state == "migrated":
            raise self._failed(f"a migration that took over {self.wanted.timeout_s:.0f} s and was aborted")
        if record.kind == "cold" and self.server.status == WAITS and self.wanted.after_cold != "leave":
            verb = "confirmResize" if self.wanted.after_cold == "confirm" else "revertResize"
            act(self._compute, f"/servers/{self.server.id}/action", {verb: None}, MICROVERSION)
            self.receipt.actions.append(f"{self.wanted.after_cold} it")
            self._due = time.monotonic() + self.wanted.timeout_s
            self._stage = self._settle
            return
        self._close(record)

    def _settle(self, records: Sequence[Record]) -> None:
        before = self.server.host
        record, looked = self._see(records)
        server, after = self.server, self.wanted.after_cold
        status = "confirmed" if after == "confirm" else "reverted"
        if looked and record.status == status and not server.task and server.status != WAITS:
            self._close(record)
        elif server.status == "ERROR":
            raise self._failed(f"an error while Nova was to {after} it: {server.fault}")
        elif time.monotonic() >= self._due:
            found = f"a record that is {record.status}, the server {server.status} on {server.host} (before: {before})"
            remedy = "Read nova-compute's log on both hosts; the next run of this module goes on."
            raise LifeboatError(str(server), found, f"{status} within {self.wanted.timeout_s:.0f} s", remedy)

    def _close(self, record: Record) -> None:
        """Ended as far as Nova is concerned: note its phases, and judge it."""
        server, wanted = self.server, self.wanted
        self.receipt.phases = events_of(self._compute, server, ACTIONS[record.kind])
        if wanted.state == "aborted":
            self._judge_aborted(record)
            return
        arrived = wanted.fulfilled_by(server.host) and server.host != record.source
        if record.failed and not arrived:
            # Nova writes why after the record.
            self._late = self._late or time.monotonic() + _LATE_S
            reason = self._reason(record)
            if not reason and time.monotonic() < self._late:
                return
            reason = reason or unexplained(record, self.receipt.phases)
            raise self._failed(f"a migration that is {record.status}: {reason}")
        if record.failed:
            self.receipt.warnings.append(
                f"Nova's record of migration {record.id} says {record.status}, yet {server} has arrived."
            )
        went_back = record.status == "reverted" and wanted.after_cold == "revert"
        if not went_back and not wanted.fulfilled_by(server.host):
            raise self._failed(f"host {server.host} after a migration that is {record.status}")
        self._end()

    def _reason(self, record: Record) -> str:
        """Why it came to nothing, as far as Nova tells by now."""
        aborted = "it was aborted" if record.status == "cancelled" else ""
        # Nova often writes of an abort that the migration failed: libvirt's thread ends before Nova sees it cancelled.
        user = aborted_by(self._compute, self.server, record.created_at, record.updated_at or record.created_at)
        if user:
            aborted = f"it was aborted by user {user}"
        return "; ".join(filter(None, (aborted, failure_in(self.receipt.phases))))

    def _judge_aborted(self, record: Record) -> None:
        server = self.server
        if server.status == "ERROR":
            raise self._failed(f"an error after a migration that is {record.status}: {server.fault}")
        if server.host != record.source:
            self.receipt.warnings.append(f"{server} has arrived on {server.host} before it could be aborted.")
        self._end()

    def _overdue(self, record: Record) -> None:
        if self._measure or self.wanted.on_timeout == "leave" or record.kind != "live":
            found = f"a migration that is {record.status} after {self.receipt.seconds:.0f} s"
            remedy = "Nova goes on with it; the next run of this module watches it further."
            raise LifeboatError(str(self.server), found, "its end", remedy)
        self._measure = self.wanted.on_timeout
        # What is forced still sends the rest: with post-copy that is as much as the memory that was not sent yet.
        more_s = self.wanted.timeout_s if self._measure == "force" else 0.0
        self._due = time.monotonic() + max(GRACE_S, more_s)
        self._end_it(record)

    def _end_it(self, record: Record) -> None:
        """Abort or force the migration. One that has just ended, or not begun to send, cannot be, which is no error."""
        if record.status == POST_COPY:
            refuse_end(self.server, record, self.wanted)
            return
        url = f"/servers/{record.server}/migrations/{record.id}"
        try:
            if self._measure == "force":
                act(self._compute, f"{url}/action", {"force_complete": None}, MICROVERSION)
            else:
                remove(self._compute, url, MICROVERSION)
        except RefusalError as refusal:
            # 400 for a state in which it cannot be done (yet), 404 for one that has ended, 409 for a server that is
            # through with it, though the record is not closed.
            if refusal.status not in (400, 404, 409):
                raise
            self._ask_again = time.monotonic() + _REFUSED_S
        else:
            self._ask_again = time.monotonic() + _DROPPED_S
            says = f"{self._measure} it after {self.wanted.timeout_s:.0f} s"
            if self.wanted.state in MEASURES:
                says = self.says
            if says not in self.receipt.actions:
                self.receipt.actions.append(says)

    def _see(self, records: Sequence[Record]) -> tuple[Record, bool]:
        """How the record stands now, and whether the server was read, too; noted when something has changed."""
        last = t.cast("Record", self.receipt.record)
        found = [each for each in records if each.id == last.id]
        # Among many records the latest do not tell of one that began long ago.
        if not found:
            own = read_records(self._compute, {"instance_uuid": self.server.id})
            found = [each for each in own if each.id == last.id]
        record = found[0] if found else last
        self.receipt.record, self.receipt.destination = record, record.destination
        looked = self._closely or record.ended or not found or time.monotonic() >= self._due
        if looked:
            self.server = self._read()
        if self._closely:
            self.count()
        state = State(self.receipt.seconds, record.status, *self._shown(looked))
        before = self.receipt.timeline[-1] if self.receipt.timeline else None
        if before is None or (before.record, before.server, before.task) != (state.record, state.server, state.task):
            self.receipt.timeline.append(state)
        return record, looked

    def _shown(self, looked: bool) -> tuple[str, str | None]:
        return (self.server.status, self.server.task) if looked else ("", None)

    def _read(self) -> Server:
        try:
            return read_server(self._compute, self.server.id)
        except RefusalError as refusal:
            if refusal.status != 404:
                raise
            raise gone(str(self.server)) from refusal

    def _failed(self, found: str) -> LifeboatError:
        server, wanted = self.server, self.wanted
        where = f"on {wanted.host}" if wanted.host else f"away from {wanted.away_from or server.host}"
        if wanted.state == "aborted":
            where = f"on {self.receipt.source}"
        advice = what_to_do(found, self.receipt.source, self.receipt.destination or wanted.host)
        remedy = f"The server is {server.status} on {server.host}. {advice}"
        return LifeboatError(str(server), found, f"the server {where}", remedy)
