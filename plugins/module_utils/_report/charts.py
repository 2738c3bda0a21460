# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Small drawings: measured against allowed on one scale, and the trend over runs."""

from __future__ import annotations

import math
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.history import Figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Probe


def scale_bar(drill: Drill, probe: Probe) -> Markup:
    """Limit interval, measured interval and bound of one probe on one linear scale that starts at 0."""
    width, height = 190.0, 26.0
    reach = _reach(drill, [probe])
    said = _said(probe, drill.limit_of(probe))
    return element(
        "svg",
        element("title", said),
        _bar(drill, probe, reach, left=1, width=width - 2, middle=height / 2),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=said,
    )


def scale_chart(drill: Drill, probes: t.Sequence[Probe]) -> Markup:
    """The same for several probes, one below the other, with an axis in seconds."""
    left, width, row = 190.0, 720.0, 34.0
    reach = _reach(drill, probes)
    bottom = row * len(probes) + 4
    rows = [
        join(
            element("text", figures.phrase(probe.name), x=0, y=row * index + 22, class_="strong"),
            _bar(drill, probe, reach, left=left, width=width, middle=row * index + 18),
            element(
                "text",
                figures.interval(probe.longest_outage_lower, probe.longest_outage),
                x=left + width + 16,
                y=row * index + 22,
            ),
        )
        for index, probe in enumerate(probes)
    ]
    ticks = [
        join(
            element("line", x1=x, x2=x, y1=0, y2=bottom, class_="grid"),
            element("text", f"{tick:g} s", x=x, y=bottom + 16, text_anchor="middle"),
        )
        for tick in nice_ticks(0, reach, 6)
        for x in [left + tick / reach * width]
    ]
    return element(
        "svg",
        element("title", "Measured outage of each judged probe, against its bound and the limit"),
        *ticks,
        *rows,
        viewBox=f"0 0 1060 {bottom + 24:g}",
        class_="wide",
        role="img",
    )


def sparkline(before: t.Sequence[Figures], drill: Drill) -> Markup | None:
    """The longest outage of the drill over the last runs, this one last; None without an earlier run."""
    probe = drill.headline
    outages = [one.longest_outage_s for one in before if one.longest_outage_s is not None][-19:]
    if probe is None or not outages:
        return None
    outages.append(probe.longest_outage)
    width, height, edge = 96.0, 26.0, 4.0
    top = max([*outages, drill.limit[1] if drill.limit else 0.0]) or 1.0
    points = [
        (edge + index * (width - 2 * edge) / (len(outages) - 1), height - edge - value / top * (height - 2 * edge))
        for index, value in enumerate(outages)
    ]
    limit_y = height - edge - drill.limit[1] / top * (height - 2 * edge) if drill.limit else None
    said = "Longest outage over the runs, oldest first: " + ", ".join(figures.seconds(value) for value in outages)
    return element(
        "svg",
        element("title", said),
        element("line", x1=0, x2=width, y1=limit_y, y2=limit_y, class_="trend-limit") if limit_y is not None else None,
        element("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_="trend"),
        element(
            "circle",
            cx=points[-1][0],
            cy=points[-1][1],
            r=3.5,
            class_="now over" if drill.exceeded_by(probe) else "now",
        ),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=said,
    )


def nice_ticks(low: float, high: float, wanted: int) -> list[float]:
    """About ``wanted`` round numbers from ``low`` to ``high``."""
    rough = (high - low) / wanted
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 9) for index in range(first, last + 1)]


def _reach(drill: Drill, probes: t.Sequence[Probe]) -> float:
    """The right end of a scale that holds everything shown on it."""
    shown = [0.0]
    for probe in probes:
        limit = drill.limit_of(probe)
        shown += [probe.longest_outage, probe.bound or 0.0, limit[1] if limit else 0.0]
    return max(shown) * 1.04 or 1.0


def _bar(drill: Drill, probe: Probe, reach: float, *, left: float, width: float, middle: float) -> Markup:
    def x(value: float) -> float:
        return left + min(value, reach) / reach * width

    limit = drill.limit_of(probe)
    low, high = x(probe.longest_outage_lower), x(probe.longest_outage)
    thick = max(3.0, high - low)
    measured = "measured over" if drill.exceeded_by(probe) else "measured"
    parts = [element("line", x1=left, x2=left + width, y1=middle, y2=middle, class_="track")]
    if limit:
        span = max(1.0, x(limit[1]) - x(limit[0]))
        parts.append(element("rect", x=x(limit[0]), y=middle - 8, width=span, height=16, rx=3, class_="limit"))
    parts.append(element("rect", x=low, y=middle - 3.5, width=thick, height=7, rx=1.5, class_=measured))
    if probe.bound is not None:
        at = x(probe.bound)
        parts.append(element("line", x1=at, x2=at, y1=middle - 11, y2=middle + 11, class_="bound"))
        parts.append(element("path", d=f"M{at - 4:.1f} {middle - 12:.1f}h8l-4 5z", class_="flag"))
    return join(*parts)


def _said(probe: Probe, limit: tuple[float, float] | None) -> str:
    parts = [f"Measured {figures.interval(probe.longest_outage_lower, probe.longest_outage)}"]
    if limit:
        parts.append(f"limit {figures.interval(*limit)}")
    if probe.bound is not None:
        parts.append(f"bound {figures.seconds(probe.bound)}")
    return ", ".join(parts)
