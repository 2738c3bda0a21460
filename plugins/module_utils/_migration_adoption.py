# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Migrations that nobody watches any more, as steps that are under way: a run sees them to their end."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from datetime import UTC, datetime
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import EVACUATION, owed
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import read_latest, read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import Step, steps_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_survey import asked
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Move
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_journey import GRACE_S
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import TASKS, abandoned
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server, moment, read_server

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_run import Rules
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import Json
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Service

_PAUSE_S = 0.5
# How many of the latest records are searched for what others have begun.
_LATEST = 1000
# How much earlier than the control node Nova may take the request to have been.
_SKEW_S = 60.0
# How long a module that has lost its playbook may take to write down what it saw end, at least a look.
_LATER_S = 3.0


def adopted(compute: Service, directory: Path, rules: Rules) -> list[Step]:
    """What an interrupted run has asked for without a receipt in ``directory``, ended or not, and what else Nova moves.

    What never reached Nova is not among it. It is waited until Nova has chosen destinations and written its records.
    """
    end = time.monotonic() + GRACE_S
    found = _Found(compute, rules)
    while True:
        # Before the files are read: what is asked for between both is not somebody else's.
        latest = asked(partial(read_latest, compute, _LATEST))
        # What is rebuilt from a dead host is for whoever takes that up again.
        entries = [entry for entry in owed(directory) if entry["step"].get("mode") != EVACUATION]
        unclear = found.own(entries)
        unclear |= found.others(latest, {entry["step"]["server"] for entry in entries})
        if not unclear or time.monotonic() >= end:
            return list(found.steps.values())
        time.sleep(_PAUSE_S)


def still_owed(receipts: Sequence[Json], steps: Sequence[Step], directory: Path) -> list[Json]:
    """The receipts that nobody else has left by now: a module may outlive its playbook, and see the same end."""
    own = {step.move.server for step in steps if step.own}
    if own & {receipt["server"] for receipt in receipts}:
        time.sleep(_LATER_S)
    open_yet = {entry["step"]["server"] for entry in owed(directory)}
    return [receipt for receipt in receipts if receipt["server"] not in own - open_yet]


class _Found:
    """``steps`` by the numbers of their records."""

    def __init__(self, compute: Service, rules: Rules) -> None:
        self.steps: dict[int, Step] = {}
        self._compute, self._rules = compute, rules

    def own(self, entries: Sequence[Json]) -> bool:
        """Look for what runs have asked for; whether Nova has still to write a record."""
        unclear = False
        for entry in entries:
            [step] = steps_of([entry["step"]])
            record = next(self._records_of(step, datetime.fromisoformat(entry["asked"])), None)
            if record is None:
                server = self._server(step.move.server)
                unclear |= server is not None and server.task == TASKS[step.kind]
            else:
                due_s = self._rules.wanted(step).timeout_s
                self.steps[record.id] = _under_way(step, record, entry["asked"], due_s)
        return unclear

    def others(self, latest: Sequence[Record], known: set[str]) -> bool:
        """Look for what somebody else has asked for, beside ``known`` servers; whether Nova has still to choose."""
        unclear = False
        newest: dict[str, Record] = {}
        for record in latest:
            newest.setdefault(record.server, record)
        for record in newest.values():
            # What waits to be confirmed or reverted is for whoever began it.
            if record.ended or record.kind not in TASKS or record.server in known:
                continue
            server = self._server(record.server)
            if server is None or abandoned(server, record):
                continue
            if record.destination is None:
                unclear = True
            else:
                self.steps[record.id] = self._of_others(server, record, record.destination)
        return unclear

    def _of_others(self, server: Server, record: Record, destination: str) -> Step:
        mode = "live" if record.kind == "live" else "cold"
        planned = {"name": server.name, "source": record.source, "destination": destination, "mode": mode}
        step = Step(
            move=Move(server.id, record.source, destination),
            name=server.name,
            mode=mode,
            alone=False,
            stops=False,
            seconds=0.0,
            size=0.0,
            planned={"server": server.id} | planned,
            notes=None,
            own=False,
        )
        so_far = (datetime.now(UTC) - moment(record.created_at).replace(tzinfo=UTC)).total_seconds()
        return _under_way(step, record, record.created_at, so_far + self._rules.wanted(step).timeout_s)

    def _records_of(self, step: Step, when: datetime) -> Iterator[Record]:
        move = step.move
        for record in asked(partial(read_records, self._compute, {"instance_uuid": move.server})):
            same_way = (record.kind, record.source) == (step.kind, move.source)
            after_s = (moment(record.created_at).replace(tzinfo=UTC) - when).total_seconds()
            if same_way and record.destination in (None, move.destination) and -_SKEW_S <= after_s <= GRACE_S:
                yield record

    def _server(self, key: str) -> Server | None:
        try:
            return asked(partial(read_server, self._compute, key))
        except RefusalError as refusal:
            if refusal.status != 404:
                raise
            return None


def _under_way(step: Step, record: Record, began: str, due_s: float) -> Step:
    """With notes as an earlier call would have given them back."""
    notes = {"record": record.id, "began": began, "due_s": due_s, "measure": None, "timeline": [], "transferred": {}}
    return dataclasses.replace(step, notes=notes)
