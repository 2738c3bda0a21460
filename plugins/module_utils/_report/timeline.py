# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The drawing of a drill over time: the fault as a band, one lane per probe, outages and events.

In a lane answers stand at the bottom, as high as the slowest of their slice (square-root scale), and failures hang from
the top, as long as their share of the slice: the two differ without colour too.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.charts import nice_ticks
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Bin, Drill, Event, Outage, Probe

# Of a drawing: its width, and where its axis begins and ends; of a letter, its width.
WIDTH, LEFT, RIGHT = 1180.0, 170.0, 1168.0
LETTER = 6.9
_LANE, _LANE_STEP = 44.0, 72.0
_LABEL_ROW = 16.0
_MOST_COLUMNS = 320
_MOST_ROWS = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Axis:
    """From time to place. ``origin`` is the moment that the axis calls 0."""

    start: float
    end: float
    origin: float

    def x(self, at: float) -> float:
        """The place of a moment, kept inside the drawing."""
        inside = min(max(at, self.start), self.end)
        return LEFT + (inside - self.start) / (self.end - self.start) * (RIGHT - LEFT)


class Band(t.NamedTuple):
    """What happened, when it began and when it ended; None when nobody saw it end."""

    what: str
    start: float
    end: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """A text beside the line at ``x``; it starts at ``left`` and is in row ``row``, or in none when all are full."""

    x: float
    left: float
    row: int | None
    text: str


def drawing(drill: Drill) -> Markup | None:
    """The drawing, or None when nothing was measured."""
    if not drill.probes:
        return None
    axis = axis_of(drill)
    labels = packed([(axis.x(event.at), _event_text(event)) for event in drill.timeline])
    rows = 1 + max((label.row for label in labels if label.row is not None), default=-1)
    top = 30.0 + rows * _LABEL_ROW
    bottom = top + _LANE_STEP * len(drill.probes)
    return element(
        "svg",
        element("title", f"What clients saw during {figures.phrase(drill.name)}"),
        *(_lane(probe, axis, top + index * _LANE_STEP) for index, probe in enumerate(drill.probes)),
        *_bands(drill, axis, top, bottom),
        *(_event_line(label, top, bottom) for label in labels),
        *(_event_name(label) for label in labels),
        axis_line(axis, bottom),
        viewBox=f"0 0 {WIDTH:g} {bottom + 40:g}",
        class_="wide",
        role="img",
    )


def axis_of(drill: Drill) -> Axis:
    """The axis that holds everything measured; 0 is the injection, or else the start."""
    moments = [event.at for event in drill.timeline]
    for probe in drill.probes:
        moments += [one.at for one in probe.series]
        moments += [one.at + width for one, width in zip(probe.series[-1:], [slice_width(probe.series)], strict=False)]
    moments = moments or [drill.started_at, drill.finished_at]
    if drill.disturbed_at is not None:
        moments.append(drill.disturbed_at)
    origin = drill.disturbed_at if drill.disturbed_at is not None else min(moments)
    start, end = min(moments), max(moments)
    return Axis(start, end if end > start else start + 1.0, origin)


def slice_width(series: t.Sequence[Bin]) -> float:
    """The width of a slice in seconds: the smallest distance of two."""
    distances = [later.at - sooner.at for sooner, later in itertools.pairwise(series) if later.at > sooner.at]
    return min(distances, default=1.0)


def merged(series: t.Sequence[Bin], most: int = _MOST_COLUMNS) -> list[Bin]:
    """Neighbouring slices put together until there are at most ``most``; nothing counted is lost."""
    together = max(1, math.ceil(len(series) / most))
    groups = [series[index : index + together] for index in range(0, len(series), together)]
    return [
        Bin(
            at=group[0].at,
            ok=sum(one.ok for one in group),
            failed=sum(one.failed for one in group),
            worst_ms=max((one.worst_ms for one in group if one.worst_ms is not None), default=None),
        )
        for group in groups
    ]


def packed(wanted: t.Sequence[tuple[float, str]]) -> list[Label]:
    """Labels in rows so that no two overlap; a label that would leave the drawing stands left of its line."""
    ends: list[list[tuple[float, float]]] = []
    labels = []
    for x, content in wanted:
        width = len(content) * LETTER + 10
        left = x + 5 if x + 5 + width <= WIDTH else max(0.0, x - 5 - width)
        row = next((index for index, taken in enumerate(ends) if _free(taken, left, left + width)), len(ends))
        if row < _MOST_ROWS:
            if row == len(ends):
                ends.append([])
            ends[row].append((left, left + width))
        labels.append(Label(x, left, row if row < _MOST_ROWS else None, content))
    return labels


def _free(taken: list[tuple[float, float]], left: float, right: float) -> bool:
    return all(right <= start or left >= end for start, end in taken)


def _event_text(event: Event) -> str:
    said = f"{event.what} ({event.host})" if event.host else event.what
    return said if len(said) <= 60 else f"{said[:59]}…"


def _event_line(label: Label, top: float, bottom: float) -> Markup:
    return join(
        element("line", x1=label.x, x2=label.x, y1=_label_y(label) - 10, y2=bottom, class_="event"),
        element("circle", cx=label.x, cy=top - 6, r=2.5, class_="event-head"),
    )


def _event_name(label: Label) -> Markup | None:
    return None if label.row is None else element("text", label.text, x=label.left, y=_label_y(label))


def _label_y(label: Label) -> float:
    return 14 + (label.row or 0) * _LABEL_ROW


def _bands(drill: Drill, axis: Axis, top: float, bottom: float) -> list[Markup]:
    """When servers were moved and when something was broken, the names of both one above the other."""
    bands: list[Band] = []
    if drill.move is not None:
        bands.append(Band(f"{figures.phrase(drill.move.kind)} migration", drill.move.began_at, drill.move.ended_at))
    if drill.fault is not None and drill.fault.injected_at is not None:
        bands.append(Band(figures.phrase(drill.fault.form), drill.fault.injected_at, drill.fault.healed_at))
    return [
        join(_band(band, axis, top, bottom), _band_name(band, axis, bottom - 8 - 14 * row))
        for row, band in enumerate(bands)
    ]


def _edges(band: Band, axis: Axis) -> tuple[float, float]:
    return axis.x(band.start), axis.x(band.end) if band.end is not None else RIGHT


def _band(band: Band, axis: Axis, top: float, bottom: float) -> Markup:
    left, right = _edges(band, axis)
    return join(
        element("rect", x=left, y=top - 2, width=max(1.0, right - left), height=bottom - top, class_="fault"),
        element("line", x1=left, x2=left, y1=top - 2, y2=bottom - 2, class_="fault-edge"),
    )


def _band_name(band: Band, axis: Axis, y: float) -> Markup:
    said = f"{band.what}, {'not healed' if band.end is None else figures.seconds(band.end - band.start)}"
    left, right = _edges(band, axis)
    fits = right - left > len(said) * LETTER + 12
    place, anchor = (right - 6, "end") if fits else (left + 6, None)
    return element("text", said, x=place, y=y, text_anchor=anchor, class_="fault-label")


def axis_line(axis: Axis, y: float) -> Markup:
    """The line below a drawing with its seconds."""
    ticks = nice_ticks(axis.start - axis.origin, axis.end - axis.origin, 10)
    marks = [
        join(
            element("line", x1=x, x2=x, y1=y, y2=y + 5, class_="event"),
            element("text", _distance(tick), x=x, y=y + 19, text_anchor="middle"),
        )
        for tick in ticks
        for x in [axis.x(axis.origin + tick)]
    ]
    return join(element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="event"), *marks)


def _distance(tick: float) -> str:
    return f"{tick:+g} s".replace("-", "\N{MINUS SIGN}") if tick else "0"


def _lane(probe: Probe, axis: Axis, top: float) -> Markup:
    worst = max((one.worst_ms for one in probe.series if one.worst_ms is not None), default=0.0)
    scale = max(worst, 1000 * (probe.slo or 0.0) * 1.25) or 1.0
    note = f"worst {figures.milliseconds(worst)} ms" if probe.series else "no series kept"
    return join(
        element("text", figures.phrase(probe.name), x=0, y=top + 18, class_="strong"),
        element("text", note, x=0, y=top + 35),
        element("rect", x=LEFT, y=top, width=RIGHT - LEFT, height=_LANE, rx=3, class_="lane"),
        *_columns(probe, axis, top, scale),
        _slo(probe, top, scale),
        *_outages(probe, axis, top + _LANE + 7),
    )


def _slo(probe: Probe, top: float, scale: float) -> Markup | None:
    if probe.slo is None:
        return None
    y = top + _LANE - _height(1000 * probe.slo, scale)
    return element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="slo")


def _height(milliseconds: float, scale: float) -> float:
    return math.sqrt(milliseconds / scale) * _LANE


def _columns(probe: Probe, axis: Axis, top: float, scale: float) -> list[Markup]:
    """One path for the answers in time, one for the slow, one for the failures."""
    columns = merged(probe.series)
    width = slice_width(columns) if len(columns) > 1 else slice_width(probe.series)
    paths: dict[str, list[str]] = {"bin-ok": [], "bin-slow": [], "bin-failed": []}
    for one in columns:
        left = axis.x(one.at)
        thick = max(0.8, axis.x(one.at + width) - left - 0.4)
        if one.worst_ms is not None:
            slow = probe.slo is not None and one.worst_ms > 1000 * probe.slo
            height = max(1.5, _height(one.worst_ms, scale))
            paths["bin-slow" if slow else "bin-ok"].append(_box(left, top + _LANE - height, thick, height))
        if one.failed:
            height = max(5.0, _LANE * one.failed / (one.ok + one.failed))
            paths["bin-failed"].append(_box(left, top, thick, height))
    return [element("path", d="".join(boxes), class_=name) for name, boxes in paths.items() if boxes]


def _box(left: float, top: float, width: float, height: float) -> str:
    return f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"


def _outages(probe: Probe, axis: Axis, y: float) -> list[Markup]:
    """A thin line as long as an outage's upper end, a thick one as long as its lower; labelled while there is room."""
    drawn: list[Markup] = []
    free_from = LEFT
    for outage in probe.outages:
        left, right = _reach(outage, axis)
        drawn.append(element("line", x1=left, x2=max(right, left + 1.5), y1=y, y2=y, class_="outage"))
        certain = axis.x(outage.start), axis.x(outage.start + outage.lower)
        drawn.append(
            element("line", x1=certain[0], x2=max(certain[1], certain[0] + 1.5), y1=y, y2=y, class_="outage certain")
        )
        said = figures.interval(outage.lower, outage.upper)
        place, below = max(right, certain[1]) + 6, 4
        if place + len(said) * LETTER > WIDTH:
            place, below = min(left, WIDTH - len(said) * LETTER), 17
        if place >= free_from:
            drawn.append(element("text", said, x=place, y=y + below, class_="outage-label"))
            free_from = place + len(said) * LETTER + 8
    return drawn


def _reach(outage: Outage, axis: Axis) -> tuple[float, float]:
    """The ends of the longest time that the outage may have had: half of the doubt before it, half after."""
    if outage.upper is None:
        return axis.x(outage.start), axis.x(axis.end)
    doubt = max(0.0, outage.upper - outage.lower) / 2
    return axis.x(outage.start - doubt), axis.x(outage.start + outage.lower + doubt)
