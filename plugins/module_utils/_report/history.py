# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The history of all runs: one line of JSON per drill and run, for the trend in the report."""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.reading import (
    Fields,
    as_amount,
    as_count,
    as_interval,
    as_text,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What the history keeps of one drill in one run; the outage is that of the drill's headline probe, seconds."""

    run: str
    drill: str
    verdict: Verdict
    finished_at: float
    probe: str | None
    longest_outage_s: float | None
    longest_outage_lower_s: float | None
    bound_s: float | None
    limit_s: tuple[float, float] | None
    lost: int | None
    recovery_s: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the file. ``figures`` is None when it cannot be read; such a line is kept as it is and not used."""

    text: str
    figures: Figures | None


def figures_of(run: str, drill: Drill) -> Figures:
    """The figures of ``drill`` that the history keeps."""
    probe = drill.headline
    return Figures(
        run=run,
        drill=drill.name,
        verdict=drill.verdict,
        finished_at=drill.finished_at,
        probe=probe.name if probe else None,
        longest_outage_s=probe.longest_outage if probe else None,
        longest_outage_lower_s=probe.longest_outage_lower if probe else None,
        bound_s=probe.bound if probe else None,
        limit_s=drill.limit,
        lost=drill.lost,
        recovery_s=drill.recovery,
    )


def read_history(text: str) -> tuple[Line, ...]:
    """The lines of a history file."""
    return tuple(Line(line, _read_figures(line)) for line in text.splitlines() if line.strip())


def with_figures(history: tuple[Line, ...], figures: Figures) -> tuple[Line, ...]:
    """``history`` with ``figures`` in place of the line of the same run and drill, or at the end."""
    line = Line(json.dumps(dataclasses.asdict(figures), ensure_ascii=False), figures)
    places = [index for index, old in enumerate(history) if old.figures and _key(old.figures) == _key(figures)]
    if not places:
        return (*history, line)
    return tuple(line if index == places[0] else old for index, old in enumerate(history) if index not in places[1:])


def earlier(history: tuple[Line, ...], run: str, drill: Drill) -> tuple[Figures, ...]:
    """The figures of the same drill in runs that finished before this one, oldest first."""
    found = [line.figures for line in history if line.figures and line.figures.drill == drill.name]
    before = [figures for figures in found if figures.run != run and figures.finished_at < drill.finished_at]
    return tuple(sorted(before, key=lambda figures: figures.finished_at))


def _key(figures: Figures) -> tuple[str, str]:
    return figures.run, figures.drill


def _read_figures(line: str) -> Figures | None:
    try:
        fields = Fields("history", json.loads(line))
        return Figures(
            run=fields.take("run", as_text),
            drill=fields.take("drill", as_text),
            verdict=fields.take("verdict", read_verdict),
            finished_at=fields.take("finished_at", as_amount),
            probe=fields.take_or_none("probe", as_text),
            longest_outage_s=fields.take_or_none("longest_outage_s", as_amount),
            longest_outage_lower_s=fields.take_or_none("longest_outage_lower_s", as_amount),
            bound_s=fields.take_or_none("bound_s", as_amount),
            limit_s=fields.take_or_none("limit_s", as_interval),
            lost=fields.take_or_none("lost", as_count),
            recovery_s=fields.take_or_none("recovery_s", as_amount),
        )
    except (ValueError, LifeboatError):
        return None
