# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Carries out a plan of migrations, many at a time, from one process.

Nothing is remembered between two calls but what the caller gives back: where each server is, and what is under way, is
read from the cloud. What was asked for is written down, but only so that each migration gets its receipt. Which moves
may begin is decided by Dispatch, how one goes by its Journey. In memory is what is under way; the records of all
migrations are never read, only the latest.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections import deque
from dataclasses import dataclass
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import ComputeService, read_services
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import asked_of, receipt_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record, read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import NOTES, elsewhere
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_survey import asked, latest_by_server, survey
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_dispatch import Dispatch
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_schedule import remaining
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_travel import Travel
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_journey import Journey
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import (
    TASKS,
    WAITS,
    Wanted,
    announced,
    began_in,
    gone,
    gone_on_with,
    in_progress,
    refuse,
    refuse_other,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server, read_server

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import Json, Step
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet, Move
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_options import Planning

# Between two looks, at least and at most; with many under way it is longer. A busy cloud is left alone for so many
# times what the look took, since it needs its processors for the migrations.
_PAUSE_S = (0.5, 2.0)
_PAUSE_FOR_EACH_S = 0.05
_PAUSE_FOR_LOOK = 3.0
# Of the time of a slice hosts and servers are read for a tenth at most, since nothing begins meanwhile.
_SLICE_FOR_SURVEY = 10.0
# Nova counts what is sent every five seconds; so many are asked for it with each look.
_COUNTED_S = 5.0
_COUNTED = 5
# How many of the latest records are read: the least, and for each one under way.
_RECORDS = (100, 4)


@dataclass(frozen=True, slots=True)
class Rules:
    """A migration may take ``times`` what was planned, ``least_s`` in any case; else ``on_timeout`` becomes of it."""

    times: float
    least_s: float
    on_timeout: t.Literal["abort", "force", "leave"]

    def wanted(self, step: Step) -> Wanted:
        return Wanted(
            server=step.move.server,
            host=step.move.destination,
            kind=step.kind,
            # What somebody else began is theirs to end.
            after_cold="confirm" if step.own else "leave",
            timeout_s=max(step.seconds * self.times, self.least_s),
            # What runs on its destination already can only go on.
            on_timeout="leave" if not step.own else "force" if step.mode == "post-copy" else self.on_timeout,
        )


class Run:
    """``left`` are the steps that have not ended, in their order; ``actions`` and ``receipts`` are of this run."""

    def __init__(
        self,
        cloud: Cloud,
        steps: Iterable[Step],
        planning: Planning,
        rules: Rules,
        keep: Callable[[Json], None],
        *,
        begins: bool = True,
    ) -> None:
        """``keep`` gets what is asked for, before it is, and each receipt as soon as there is one.

        Without ``begins`` only what is under way is watched.
        """
        self.left = {step.move: step for step in steps}
        self.receipts: list[Json] = []
        self._compute = cloud.compute
        self._planning, self._rules, self._keep = planning, rules, keep
        self._actions: list[str] = []
        self._journeys: dict[Move, Journey] = {}
        self._counted: dict[Move, float] = {}
        self._services: list[ComputeService] | None = None
        self._read_records()
        since = time.monotonic()
        seen = survey(cloud, self.left, planning, self._records)
        self._least_s = _SLICE_FOR_SURVEY * (time.monotonic() - since)
        self._fleet, self._going = seen.fleet, seen.going
        for move in seen.done:
            del self.left[move]
        for move, found in seen.lost.items():
            self._note(self.left[move], found)
        if not begins:
            self.left = {move: step for move, step in self.left.items() if move in self._going}
        self._layout = Layout(seen.fleet)
        waiting = [move for move in self.left if move not in self._going]
        alone = [move for move, step in self.left.items() if step.alone]
        self._dispatch = Dispatch(self._layout, Matrix(seen.fleet), planning.limits, waiting, alone)
        for move in self._going:
            self._dispatch.resume(move)

    @property
    def actions(self) -> list[str]:
        """What was asked of Nova."""
        return self._actions + [each for journey in self._journeys.values() for each in _told(journey)]

    def foretold(self) -> list[str]:
        """What would be asked of Nova, and what would be gone on with."""
        said = []
        for move, step in self.left.items():
            record = self._going.get(move)
            if record is None:
                said.append(announced(str(step), step.kind, move.source, move.destination))
                continue
            # An earlier call has told of what it has seen.
            if not step.notes:
                said.append(gone_on_with(str(step), step.kind, move.source))
            if step.kind == "cold" and step.own and not record.settled:
                said.append(f"{step}: confirm it")
        return said

    def go(self, slice_s: float | None, stopped: Callable[[], bool]) -> None:
        """Until all steps have ended, or ``slice_s`` have passed, or ``stopped``; then nothing begins any more.

        A slice is longer where hosts and servers take long to be read.
        What Nova has been asked for is seen into its records before the call ends, unless it was stopped.
        """
        end = None if slice_s is None else time.monotonic() + max(slice_s, self._least_s)
        took_s = 0.0
        ready: deque[Move] = deque()
        for move, record in self._going.items():
            ready += self._resume(move, record)
        ready += self._dispatch.take()
        while not stopped():
            over = end is not None and time.monotonic() >= end
            if ready and not over:
                ready += self._begin(ready.popleft())
                continue
            if over and all(journey.recorded for journey in self._journeys.values()):
                return
            if not self._journeys:
                self._give_up()
                return
            least_s, most_s = _PAUSE_S
            wanted_s = max(_PAUSE_FOR_EACH_S * len(self._journeys), _PAUSE_FOR_LOOK * took_s)
            time.sleep(min(most_s, max(least_s, wanted_s)))
            since = time.monotonic()
            ready += self._look()
            took_s = time.monotonic() - since

    def steps(self) -> list[Json]:
        """The steps that are left, to be given back."""
        left = []
        for move, step in self.left.items():
            journey = self._journeys.get(move)
            notes = {NOTES: journey.notes()} if journey and journey.recorded else {}
            left.append(step.planned | notes)
        return left

    def under_way(self) -> list[Json]:
        """What Nova does just now."""
        return [
            {
                **dataclasses.asdict(move),
                "name": self.left[move].name,
                "status": journey.receipt.record.status if journey.receipt.record else "asked for",
                "seconds": journey.receipt.seconds,
                "transferred": journey.receipt.transferred,
            }
            for move, journey in self._journeys.items()
        ]

    def remaining(self) -> Json:
        """What is still to be expected, in seconds and bytes."""
        if not self.left:
            return {"seconds": 0.0, "bytes": 0, "moves": 0}
        sent = {move: _sent(journey) for move, journey in self._journeys.items()}
        fleet = self._fleet_now()
        planned = {move.server: step.dirty_rate for move, step in self.left.items() if step.dirty_rate is not None}
        estimates = self._planning.estimates.with_dirty_rates(planned)
        travel = Travel(fleet, self._planning.limits, self._planning.policy, estimates)
        waiting = [move for move in self.left if move not in sent]
        expected = remaining(Matrix(fleet), travel, waiting, sent)
        size = sum(max(0.0, step.size - sent.get(move, 0.0)) for move, step in self.left.items())
        return {"seconds": round(expected.seconds, 1), "bytes": round(size), "moves": len(self.left)}

    def _read_records(self) -> None:
        count = max(_RECORDS[0], _RECORDS[1] * len(self._journeys))
        self._records = latest_by_server(self._compute, count)

    def _journey(self, step: Step, server: Server) -> Journey:
        return Journey(self._compute, server, self._rules.wanted(step), closely=False)

    def _server(self, step: Step) -> Server:
        try:
            return asked(partial(read_server, self._compute, step.move.server))
        except RefusalError as refusal:
            if refusal.status != 404:
                raise
            raise gone(str(step)) from refusal

    def _resume(self, move: Move, record: Record) -> list[Move]:
        """Watch a move that Nova makes already; those that begin when it has come to nothing."""
        step = self.left[move]
        try:
            journey = self._journey(step, self._server(step))
        except LifeboatError as error:
            self._note(step, error.found)
            return self._leave(move, arrived=False)
        journey.go_on(record)
        journey.receipt.began = began_in(record.created_at)
        if step.notes:
            journey.recall(step.notes)
        self._journeys[move] = journey
        return []

    def _begin(self, move: Move) -> list[Move]:
        """Ask for the move; those that begin instead when it cannot be made."""
        step = self.left[move]
        try:
            server = self._server(step)
            if server.host == move.destination:
                del self.left[move]
                return self._dispatch.end(move, arrived=True)
            self._journeys[move] = self._begun(step, server)
        except LifeboatError as error:
            self._note(step, error.found)
            return self._leave(move, arrived=False)
        return []

    def _begun(self, step: Step, server: Server) -> Journey:
        if server.host != step.move.source:
            raise elsewhere(step, server.host)
        journey = self._journey(step, server)
        # All of its own: one that the latest of all servers do not show would be taken for new later.
        own = asked(partial(read_records, self._compute, {"instance_uuid": server.id}))
        if server.task == TASKS[step.kind] or server.status == WAITS:
            record = in_progress(server, own)
            if record is not None:
                refuse_other(server, record, journey.wanted)
                journey.go_on(record)
                return journey
        if self._services is None:
            self._services = asked(partial(read_services, self._compute))
        refuse(server, journey.wanted, self._services)
        self._keep(asked_of(step, journey.receipt.began_at))
        journey.begin(record.id for record in own)
        return journey

    def _look(self) -> list[Move]:
        """Look at all that are under way; the moves that begin then."""
        self._services = None
        self._read_records()
        ready = []
        for move, journey in list(self._journeys.items()):
            journey.look(self._records.get(move.server, []))
            if journey.ended:
                ready += self._finish(move, journey)
        self._count()
        return ready

    def _count(self) -> None:
        """Read what was sent of those for which that was done longest ago."""
        now = time.monotonic()
        last = {move: self._counted.get(move, journey.receipt.began) for move, journey in self._journeys.items()}
        for move in sorted(last, key=lambda move: last[move])[:_COUNTED]:
            if now - last[move] >= _COUNTED_S:
                self._journeys[move].count()
                self._counted[move] = now

    def _finish(self, move: Move, journey: Journey) -> list[Move]:
        error = journey.error
        found = error.found if isinstance(error, LifeboatError) else str(error or "")
        del self._journeys[move]
        self._counted.pop(move, None)
        self._actions += _told(journey)
        self._note(self.left[move], found, journey)
        return self._leave(move, journey.server.host == move.destination)

    def _leave(self, move: Move, arrived: bool) -> list[Move]:
        if not arrived:
            for step in [step for step in self.left.values() if step.move.server == move.server]:
                self._note(step, f"it did not come to {move.destination}, from where this step goes on")
        return self._dispatch.end(move, arrived)

    def _note(self, step: Step, found: str, journey: Journey | None = None) -> None:
        """Leave the receipt of a step that has ended; ``found`` is empty where all is well."""
        receipt = receipt_of(step, found, journey)
        self._keep(receipt)
        self.receipts.append(receipt)
        del self.left[step.move]

    def _give_up(self) -> None:
        """Nothing is under way, so that what waits now waits for ever."""
        for move in self._dispatch.drop():
            self._note(self.left[move], f"it was not begun: {self._dispatch.in_the_way(move)}")
        for step in list(self.left.values()):
            self._note(step, "it was not begun, since the step before it was not")

    def _fleet_now(self) -> Fleet:
        """The fleet with what has changed since it was read."""
        bound = {move.server: move.destination for move in self._journeys}
        servers = {
            key: server
            if (server.host, server.bound_for) == (self._layout.host_of[key], bound.get(key))
            else dataclasses.replace(server, host=self._layout.host_of[key], bound_for=bound.get(key))
            for key, server in self._fleet.servers.items()
        }
        return dataclasses.replace(self._fleet, servers=servers)


def _told(journey: Journey) -> list[str]:
    who = str(journey.server)
    return [each if who in each else f"{who}: {each}" for each in journey.receipt.actions]


def _sent(journey: Journey) -> float:
    counts = journey.receipt.transferred
    return float(counts.get("memory_processed", 0) + counts.get("disk_processed", 0))
