# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Reading one JSON object strictly: what is asked for must be there, what was not asked for must not."""

from __future__ import annotations

import math
import typing as t
from datetime import UTC, datetime

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

Value = t.TypeVar("Value")

REMEDY = "See docs/report.md and report.schema.json for the shape of a report."


def wrong(place: str, found: object, expected: str) -> LifeboatError:
    """The error for ``place`` (a path such as entry.probes[0].requests)."""
    shown = repr(found)
    return LifeboatError(place, shown if len(shown) <= 80 else f"{shown[:77]}...", expected, REMEDY)


def as_text(place: str, value: object) -> str:
    """``value`` as text, or an error."""
    if not isinstance(value, str):
        raise wrong(place, value, "text")
    return str(value)


def as_number(place: str, value: object) -> float:
    """``value`` as a finite number, or an error."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise wrong(place, value, "a finite number")
    return float(value)


def as_amount(place: str, value: object) -> float:
    """``value`` as a finite number that is not negative, or an error."""
    number = as_number(place, value)
    if number < 0:
        raise wrong(place, value, "a number of at least 0")
    return number


def as_count(place: str, value: object) -> int:
    """``value`` as a whole number that is not negative, or an error."""
    number = as_amount(place, value)
    if not number.is_integer():
        raise wrong(place, value, "a whole number")
    return int(number)


def as_flag(place: str, value: object) -> bool:
    """``value`` as a boolean, or an error."""
    if not isinstance(value, bool):
        raise wrong(place, value, "true or false")
    return value


def as_items(place: str, value: object) -> list[object]:
    """``value`` as a list, or an error."""
    if not isinstance(value, list):
        raise wrong(place, value, "a list")
    return value


def as_interval(place: str, value: object) -> tuple[float, float]:
    """``value`` as [minimum, maximum] in seconds, or an error."""
    items = as_items(place, value)
    if len(items) != 2:
        raise wrong(place, value, "a list of two numbers, [minimum, maximum]")
    low, high = as_amount(f"{place}[0]", items[0]), as_amount(f"{place}[1]", items[1])
    if low > high:
        raise wrong(place, value, "a minimum that is not above the maximum")
    return low, high


def as_texts(place: str, value: object) -> tuple[str, ...]:
    """``value`` as a list of texts, or an error."""
    return tuple(as_text(f"{place}[{index}]", item) for index, item in enumerate(as_items(place, value)))


def as_moment(place: str, value: object) -> float:
    """``value``, a time in ISO 8601, as seconds since the Unix epoch, or an error; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(as_text(place, value))
    except ValueError:
        raise wrong(place, value, "a time in ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Fields:
    """The fields of one JSON object at ``place``."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, dict):
            raise wrong(place, value, "an object")
        self._place = place
        self._values: dict[str, object] = value
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, read: t.Callable[[str, object], Value]) -> Value:
        """The field ``key``, which must be there."""
        self._asked.add(key)
        if key not in self._values:
            raise wrong(self._place, sorted(self._values), f"the key {key}")
        return read(f"{self._place}.{key}", self._values[key])

    def take_or_none(self, key: str, read: t.Callable[[str, object], Value]) -> Value | None:
        """The field ``key``, which must be there and may be null."""
        return self.take(key, lambda place, value: None if value is None else read(place, value))

    def take_if_there(self, key: str, read: t.Callable[[str, object], Value]) -> Value | None:
        """The field ``key``, which may be null or missing."""
        return self.take_or_none(key, read) if key in self else None

    def take_each(self, key: str, read: t.Callable[[str, object], Value]) -> tuple[Value, ...]:
        """Every item of the list ``key``."""
        items = self.take(key, as_items)
        return tuple(read(f"{self._place}.{key}[{index}]", item) for index, item in enumerate(items))

    def refuse_others(self) -> None:
        """An error when there is a field that was not asked for."""
        others = sorted(set(self._values) - self._asked)
        if others:
            raise wrong(self._place, others, "only the keys of the schema")
