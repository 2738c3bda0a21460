# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The steps of a plan, and how far each server has come with them, as the cloud has it."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Move

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record

Json = dict[str, t.Any]
# The key of a step that is given back while it is under way.
NOTES = "so_far"


@dataclass(frozen=True, slots=True)
class Step:
    """A move of the plan; ``planned`` is the plan's own entry, ``notes`` what an earlier call saw of its journey.

    ``seconds`` and ``size``, in bytes, are predictions; ``stops``: a server that runs is stopped for it; ``own``: it
    was asked for by a run, and not by somebody else; ``dirty_rate``, in bytes per second, is what the plan rests on.
    """

    move: Move
    name: str
    mode: str
    alone: bool
    stops: bool
    seconds: float
    size: float
    planned: Json
    notes: Json | None
    own: bool = True
    dirty_rate: float | None = None

    def __str__(self) -> str:
        return f"server {self.name}"

    @property
    def kind(self) -> t.Literal["live", "cold"]:
        return "cold" if self.mode == "cold" else "live"


def steps_of(entries: Iterable[Json]) -> list[Step]:
    """From the steps of a plan, or of an earlier call; LifeboatError for what is none."""
    steps = [_step(entry) for entry in entries]
    twice = [move for move, count in Counter(step.move for step in steps).items() if count > 1]
    if twice:
        found = f"two steps from {twice[0].source} to {twice[0].destination}"
        raise LifeboatError(f"server {twice[0].server}", found, "one", "Give each step once.")
    return steps


def _step(entry: Json) -> Step:
    planned = {name: value for name, value in entry.items() if name != NOTES}
    thing = f"step of {entry.get('server', '?')}"
    try:
        dirty_rate = dict(entry.get("assumed") or {}).get("dirty_rate")
        return Step(
            move=Move(*(str(entry[name]) for name in ("server", "source", "destination"))),
            name=str(entry.get("name") or entry["server"]),
            mode=str(entry["mode"]),
            alone=bool(entry.get("alone")),
            stops=bool(entry.get("stops_server")),
            seconds=float(entry["end_s"]) - float(entry["start_s"]),
            size=float(entry.get("transferred") or 0),
            planned=planned,
            notes=entry.get(NOTES),
            dirty_rate=None if dirty_rate is None else float(dirty_rate),
        )
    except KeyError as error:
        raise LifeboatError(thing, f"no {error.args[0]}", "a step of migration_plan", "Give it as planned.") from error
    except (TypeError, ValueError) as error:
        raise LifeboatError(thing, str(error), "a step of migration_plan", "Give it as planned.") from error


def by_server(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """The steps of each server in their order: one that goes by way of a third host has two."""
    chains: dict[str, list[Step]] = {}
    for step in steps:
        chains.setdefault(step.move.server, []).append(step)
    return chains


def step_of_record(chain: Sequence[Step], record: Record) -> int | None:
    """Which of a server's steps Nova's record belongs to. At first Nova notes no destination."""
    for place, step in enumerate(chain):
        same_way = (step.kind, step.move.source) == (record.kind, record.source)
        if same_way and record.destination in (None, step.move.destination):
            return place
    return None


def steps_done(chain: Sequence[Step], host: str) -> int:
    """How many of its steps a server has behind it; LifeboatError when it is where none of them would have it."""
    reached = [place for place, step in enumerate(chain) if step.move.destination == host]
    if reached:
        return reached[-1] + 1
    if host != chain[0].move.source:
        raise elsewhere(chain[0], host)
    return 0


def elsewhere(step: Step, host: str) -> LifeboatError:
    """Of a server that is not where its step begins."""
    return LifeboatError(str(step), f"it is on {host}", f"it on {step.move.source}", "Plan anew.")
