# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Figures as a reader wants them: three digits that matter, with their unit."""

from __future__ import annotations

import datetime

NOTHING = "\N{EN DASH}"


def number(value: float) -> str:
    """Seconds without their unit: 0.312, 1.31, 12.4, 358."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    shown = f"{value:.{digits}f}"
    if float(shown) > 0:
        return shown
    return "0" if value == 0 else "< 0.001"


def seconds(value: float | None) -> str:
    """A duration with its unit."""
    return NOTHING if value is None else f"{number(value)} s"


def interval(low: float, high: float | None) -> str:
    """Two durations with one unit; an open end is said."""
    if high is None:
        return f"≥ {number(low)} s"
    return f"{number(high)} s" if number(low) == number(high) else f"{number(low)} \N{EN DASH} {number(high)} s"


def milliseconds(value: float | None) -> str:
    """A latency in milliseconds, without its unit."""
    if value is None:
        return NOTHING
    digits = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def count(value: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return NOTHING if value is None else f"{value:,}".replace(",", "\u202f")


def amount(value: float | None) -> str:
    """Bytes with their unit: 358 MiB, 1.31 GiB."""
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} TiB"


def percent(share: float | None) -> str:
    """A share in percent: 8 %, 131 %."""
    return NOTHING if share is None else f"{100 * share:.0f} %"


def offset(at: float, origin: float) -> str:
    """A moment relative to another: +1.31 s."""
    distance = at - origin
    sign = "\N{MINUS SIGN}" if distance < 0 else "+"
    return f"{sign}{abs(distance):.2f} s"


def moment(at: float | None) -> str:
    """A moment in UTC."""
    if at is None:
        return NOTHING
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def phrase(name: str) -> str:
    """An identifier as words: active_writer becomes active writer."""
    return name.replace("_", " ")
