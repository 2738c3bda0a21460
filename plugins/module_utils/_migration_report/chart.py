# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The drawing of a run: each migration as a bar over time, below the host that it left."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged, Verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.timeline import (
    LEFT,
    LETTER,
    RIGHT,
    WIDTH,
    Axis,
    axis_line,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

LOOKS = {
    Verdict.MOVED: "passed",
    Verdict.WARNED: "void",
    Verdict.NOT_MOVED: "failed",
    Verdict.STAYED: "refused",
}
_BARS = {Verdict.MOVED: "bin-ok", Verdict.WARNED: "bin-slow", Verdict.NOT_MOVED: "bin-failed"}
_ROW, _GAP, _TOP = 22.0, 14.0, 10.0
# With more bars than this their names would need a row each.
_MOST_NAMES = 120


@dataclass(frozen=True, slots=True)
class _Bar:
    """One migration in the drawing; ``number`` is its place in the table."""

    number: int
    judged: Judged
    begins: float

    @property
    def seconds(self) -> float:
        return self.judged.case.receipt.seconds or 0.0

    @property
    def reaches(self) -> float:
        """The end of what is drawn, measured or predicted."""
        return self.begins + max(self.seconds, self.judged.case.receipt.planned.total_s or 0.0)


def chart(judged: Sequence[Judged]) -> Markup | None:
    """The drawing of all that have a known beginning; None when none has."""
    bars = [
        _Bar(number, each, each.case.receipt.begins)
        for number, each in enumerate(judged)
        if each.case.receipt.begins is not None
    ]
    if not bars:
        return None
    start, end = min(piece.begins for piece in bars), max(piece.reaches for piece in bars)
    axis = Axis(start, end if end > start else start + 1.0, start)
    named = len(bars) <= _MOST_NAMES
    top, drawn = _TOP, []
    for host in sorted({piece.judged.case.receipt.source for piece in bars}):
        mine = sorted(
            (piece for piece in bars if piece.judged.case.receipt.source == host), key=lambda piece: piece.begins
        )
        rows, placed = _packed(mine, axis, named)
        drawn.append(_lane(host, len(mine), top, rows))
        drawn += [_bar(piece, axis, top + row * _ROW, named) for piece, row in placed]
        top += rows * _ROW + _GAP
    return element(
        "svg",
        element("title", "Migrations over time, by the host that they left"),
        *drawn,
        axis_line(axis, top),
        viewBox=f"0 0 {WIDTH:g} {top + 40:g}",
        class_="wide",
        role="img",
    )


def _packed(bars: Sequence[_Bar], axis: Axis, named: bool) -> tuple[int, list[tuple[_Bar, int]]]:
    """Each in the first row where it covers nothing, and how many rows that takes, two at least."""
    ends: list[float] = []
    placed = []
    for piece in bars:
        left, right = axis.x(piece.begins), axis.x(piece.reaches)
        if named:
            room = len(_said(piece)) * LETTER + 12
            left, right = (left, right + room) if right + room <= WIDTH else (left - room, right)
        row = next((index for index, end in enumerate(ends) if end <= left), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = max(right, left + 2) + 1
        placed.append((piece, row))
    return max(2, len(ends)), placed


def _lane(host: str, count: int, top: float, rows: int) -> Markup:
    height = rows * _ROW
    return join(
        element("text", host, x=0, y=top + 15, class_="strong"),
        element("text", f"{figures.count(count)} left" if count > 1 else "1 left", x=0, y=top + 32),
        element("rect", x=LEFT, y=top, width=RIGHT - LEFT, height=height, rx=3, class_="lane"),
    )


def _bar(piece: _Bar, axis: Axis, top: float, named: bool) -> Markup:
    receipt = piece.judged.case.receipt
    left = axis.x(piece.begins)
    predicted = receipt.planned.total_s
    band = None
    if predicted is not None:
        width = max(1.0, axis.x(piece.begins + predicted) - left)
        band = element("rect", x=left, y=top + 4, width=width, height=14, rx=2, class_="limit")
    wide = max(2.0, axis.x(piece.begins + piece.seconds) - left)
    told = f"{receipt.name}, {receipt.source} to {receipt.destination or 'nowhere'}: {piece.judged.verdict.value}, "
    told += f"{figures.seconds(receipt.seconds)}, predicted {figures.seconds(predicted)}"
    return element(
        "a",
        element("title", told),
        band,
        element("rect", x=left, y=top + 7.5, width=wide, height=7, rx=1.5, class_=_BARS[piece.judged.verdict]),
        _name(piece, axis, top) if named else None,
        href=f"#m{piece.number}",
    )


def _name(piece: _Bar, axis: Axis, top: float) -> Markup:
    said = _said(piece)
    left, right = axis.x(piece.begins), axis.x(piece.reaches)
    inside = right + len(said) * LETTER + 12 <= WIDTH
    place, anchor = (right + 6, None) if inside else (left - 6, "end")
    return element("text", said, x=place, y=top + 15.5, text_anchor=anchor)


def _said(piece: _Bar) -> str:
    receipt = piece.judged.case.receipt
    failed = "" if receipt.moved else ", not moved"
    return f"{receipt.name} \N{RIGHTWARDS ARROW} {receipt.destination or '?'}{failed}"
