# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From the JSON file of an import, as the role machine_import writes it, to its values."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

from ansible_collections.lifeboat.cloud.plugins.module_utils._import_forecast import Forecast, Part
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.model import (
    Copy,
    Disk,
    Loss,
    Machine,
    Planned,
    Receipt,
    Round,
    Step,
    Stop,
    Warm,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.beside import read_receipts
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.reading import (
    Fields,
    Value,
    as_amount,
    as_count,
    as_flag,
    as_moment,
    as_number,
    as_text,
    as_texts,
    wrong,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REMEDY = "Receipts are written by the playbook that brings machines in; see docs/import.md for what they have."


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file, or LifeboatError with the first thing that is wrong."""
    return read_receipts(path, "the receipt of an import", _REMEDY, _receipt)


def _receipt(place: str, value: object) -> Receipt:
    fields = Fields(place, value)
    return Receipt(
        source=fields.take("source", as_text),
        host=fields.take("host", as_text),
        cloud=fields.take("cloud", as_text),
        address=fields.take("address", as_text),
        began=fields.take("began", _name_of_run),
        machine=fields.take("machine", _machine),
        checksums=fields.take_each("checksums", _checksum),
        losses=fields.take_each("findings", _loss),
        properties=fields.take("properties", _by_name(as_text)),
        plan=fields.take("plan", _plan),
        rehearsal=fields.take("rehearsal", as_flag),
        converted=fields.take("converted", as_flag),
        copies=fields.take("copies", _by_name(_copy)),
        steps=fields.take_each("steps", _step),
        server_s=fields.take("server_seconds", _by_name(as_amount)),
        warm=fields.take("warm", lambda inside, found: _warm(inside, found) if found else None),
        answered=fields.take("answered", as_flag),
        failure=fields.take("failure", as_text),
        is_left=fields.take("left", as_flag),
        is_kept=fields.take("kept", as_flag),
        is_started_again=fields.take("started_again", as_flag),
    )


def _by_name(read: Callable[[str, object], Value]) -> Callable[[str, object], dict[str, Value]]:
    def read_all(place: str, value: object) -> dict[str, Value]:
        fields = Fields(place, value)
        return {name: fields.take(name, read) for name in t.cast("dict[str, object]", value)}

    return read_all


def _name_of_run(place: str, value: object) -> float:
    """Runs are named after the second in which they began, with what file names can have."""
    try:
        return datetime.strptime(as_text(place, value), "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise wrong(place, value, "a time such as 2026-11-22T13-42-05Z") from None


def _machine(place: str, value: object) -> Machine:
    fields = Fields(place, value)
    return Machine(
        name=fields.take("name", as_text),
        vcpus=fields.take_or_none("vcpus", as_count),
        memory=fields.take_or_none("memory", as_count),
        firmware=fields.take_or_none("firmware", as_text),
        machine_type=fields.take_or_none("machine_type", as_text),
    )


def _checksum(place: str, value: object) -> str:
    return Fields(place, value).take("file", as_text)


def _loss(place: str, value: object) -> Loss:
    fields = Fields(place, value)
    return Loss(fields.take("says", as_text), fields.take("serious", as_flag))


def _copy(place: str, value: object) -> Copy:
    fields = Fields(place, value)
    return Copy(
        size=fields.take("size", as_count),
        read=fields.take("read", as_count),
        written=fields.take("written", as_count),
        resumed=fields.take("resumed", as_count),
        source_digest=fields.take("source_digest", as_text),
        destination_digest=fields.take("destination_digest", as_text),
        seconds=fields.take("seconds", as_amount),
    )


def _plan(place: str, value: object) -> Planned:
    fields = Fields(place, value)
    return Planned(
        server=fields.take("server", as_text),
        is_new=fields.take("make", as_flag),
        flavor=fields.take("flavor", as_text),
        networks=fields.take("networks", as_texts),
        disks=fields.take_each("disks", _disk),
    )


def _disk(place: str, value: object) -> Disk:
    fields = Fields(place, value)
    image, volume = (fields.take_or_none(name, as_text) for name in ("image", "volume"))
    return Disk(fields.take("disk", as_text), image, volume)


def _step(place: str, value: object) -> Step:
    """A clock that was set back meanwhile has made a step shorter than nothing."""
    fields = Fields(place, value)
    return Step(fields.take("step", as_text), max(0.0, fields.take("seconds", as_number)))


def _warm(place: str, value: object) -> Warm:
    fields = Fields(place, value)
    return Warm(
        rounds=fields.take_each("rounds", _round),
        predicted=fields.take_or_none("predicted", _predicted),
        stop=fields.take("stopped", lambda inside, found: _stop(inside, found) if found else None),
        offline_s=fields.take_or_none("offline_seconds", as_number),
    )


def _round(place: str, value: object) -> Round:
    fields = Fields(place, value)
    return Round(
        read=fields.take("read", as_count),
        written=fields.take("written", as_count),
        seconds=fields.take("seconds", as_number),
    )


def _predicted(place: str, value: object) -> Forecast:
    fields = Fields(place, value)
    return Forecast(fields.take("seconds", as_amount), fields.take_each("parts", _part))


def _part(place: str, value: object) -> Part:
    fields = Fields(place, value)
    return Part(fields.take("step", as_text), fields.take("seconds", as_amount), fields.take("known", as_text))


def _stop(place: str, value: object) -> Stop:
    fields = Fields(place, value)
    return Stop(fields.take("since", as_moment), fields.take("by", as_text))
