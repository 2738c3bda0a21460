# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From the JSON file of a run, as the role migration writes it, to its values."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import (
    Forecast,
    Phase,
    Planned,
    Receipt,
    Run,
    Seen,
    State,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.beside import read_receipts
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.reading import (
    Fields,
    as_amount,
    as_flag,
    as_moment,
    as_number,
    as_text,
    as_texts,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REMEDY = "Receipts are written by the playbooks that move servers; see docs/migrate.md for their shape."


def read_run(path: Path) -> Run:
    """The run in a file of receipts, or LifeboatError with the first thing that is wrong."""
    return read_receipts(path, "receipts of a run", _REMEDY, lambda place, value: _run(path.stem, place, value))


def read_seen(measured: Mapping[str, object]) -> dict[str, Seen]:
    """What clients saw, by server id, from the module's option."""
    try:
        return {server: _seen(f"measured.{server}", value) for server, value in measured.items()}
    except LifeboatError as error:
        raise LifeboatError(error.thing, error.found, error.expected, "Correct measured.") from error


def _run(name: str, place: str, value: object) -> Run:
    fields = Fields(place, value)
    return Run(
        name=name,
        goal=fields.take("goal", as_text),
        began=fields.take_if_there("began", _as_named),
        forecast=fields.take("plan", _forecast),
        stayed=fields.take("stayed", as_texts),
        receipts=fields.take_each("receipts", _receipt),
    )


def _as_named(place: str, value: object) -> float:
    """A moment as files are named by it, without colons."""
    day, _t, time = as_text(place, value).partition("T")
    return as_moment(place, f"{day}T{time.replace('-', ':')}")


def _forecast(place: str, value: object) -> Forecast:
    fields = Fields(place, value)
    return Forecast(
        total_s=fields.take_if_there("total_s", as_amount),
        lower_bound_s=fields.take_if_there("lower_bound_s", as_amount),
        transferred=fields.take_if_there("bytes", as_amount),
    )


def _receipt(place: str, value: object) -> Receipt:
    fields = Fields(place, value)
    return Receipt(
        server=fields.take("server", as_text),
        name=fields.take("name", as_text),
        kind=fields.take("kind", as_text),
        planned=fields.take("planned", _planned),
        moved=fields.take("moved", as_flag),
        found=fields.take("found", as_text),
        source=fields.take("source", as_text),
        destination=fields.take_or_none("destination", as_text),
        began=fields.take_if_there("began", as_moment),
        seconds=fields.take_or_none("seconds", as_amount),
        transferred=fields.take("transferred", _amounts),
        timeline=fields.take_each("timeline", _state),
        phases=fields.take_each("phases", _phase),
        warnings=fields.take("warnings", as_texts),
    )


def _planned(place: str, value: object) -> Planned:
    fields = Fields(place, value)
    start, end = (fields.take_if_there(name, as_number) for name in ("start_s", "end_s"))
    return Planned(
        step=t.cast("dict[str, t.Any]", value),
        mode=fields.take("mode", as_text),
        total_s=end - start if start is not None and end is not None else None,
        downtime_s=fields.take_if_there("downtime_s", as_amount),
        transferred=fields.take_if_there("transferred", as_amount),
        stops_server=fields.take_if_there("stops_server", as_flag),
    )


def _state(place: str, value: object) -> State:
    fields = Fields(place, value)
    return State(
        at_s=fields.take("at_s", as_amount),
        record=fields.take("record", as_text),
        server=fields.take("server", as_text),
        task=fields.take_or_none("task", as_text),
    )


def _phase(place: str, value: object) -> Phase:
    fields = Fields(place, value)
    return Phase(
        name=fields.take("name", as_text),
        host=fields.take_or_none("host", as_text),
        began=fields.take("began", as_moment),
        seconds=fields.take_or_none("seconds", as_number),
        result=fields.take_or_none("result", as_text),
    )


def _seen(place: str, value: object) -> Seen:
    fields = Fields(place, value)
    seen = Seen(fields.take_if_there("gap_s", as_amount), fields.take_if_there("same_boot", as_flag))
    fields.refuse_others()
    return seen


def _amounts(place: str, value: object) -> dict[str, float]:
    fields = Fields(place, value)
    return {name: fields.take(name, as_amount) for name in t.cast("dict[str, object]", value)}
