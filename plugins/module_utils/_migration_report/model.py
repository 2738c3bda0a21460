# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The receipts of a run as values: moments are seconds since the Unix epoch, durations seconds, amounts bytes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan said of it. ``step`` is the whole step; the rest is None where nothing was predicted."""

    step: Mapping[str, t.Any]
    mode: str
    total_s: float | None
    downtime_s: float | None
    transferred: float | None
    stops_server: bool | None


@dataclass(frozen=True, slots=True)
class State:
    """What Nova said of the migration and of the server, ``at_s`` seconds after the request.

    ``record`` is empty before the request, ``server`` where only the record was looked at.
    """

    at_s: float
    record: str
    server: str
    task: str | None


@dataclass(frozen=True, slots=True)
class Phase:
    """One step that Nova noted, with its resolution of one second; ``seconds`` is None while it lasted."""

    name: str
    host: str | None
    began: float
    seconds: float | None
    result: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one server. ``seconds`` is None where it was not moved, ``began`` in receipts of old."""

    server: str
    name: str
    kind: str
    planned: Planned
    moved: bool
    found: str
    source: str
    destination: str | None
    began: float | None
    seconds: float | None
    transferred: Mapping[str, float]
    timeline: tuple[State, ...]
    phases: tuple[Phase, ...]
    warnings: tuple[str, ...]

    @property
    def begins(self) -> float | None:
        """When it was asked for, or else when Nova noted its first step."""
        return self.began if self.began is not None else min((each.began for each in self.phases), default=None)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the plan said of the whole; None is what it did not say, as a lower bound for servers of a dead host."""

    total_s: float | None
    lower_bound_s: float | None
    transferred: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """All receipts of a run that ``began`` then, None if nobody tells, and the names of servers without a place."""

    name: str
    goal: str
    began: float | None
    forecast: Forecast
    stayed: tuple[str, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client outside saw of a server: how long it did not answer, and whether it is the same boot."""

    gap_s: float | None
    same_boot: bool | None
