# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for people: the page, its drawings and its figures say what was measured."""

from __future__ import annotations

import copy
import html.parser
import itertools
import re
import string
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import (
    charts,
    figures,
    markup,
    timeline,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Bin, Report
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.page import report_page
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import (
    ENTRY,
    RUN,
    SAMPLES,
    TEXTS,
    Entry,
    changed,
    report_of,
)
from hypothesis import given
from hypothesis import strategies as st


class Reader(html.parser.HTMLParser):
    """Collects text and attributes and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def read_page(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def test_page_needs_nothing_else() -> None:
    page = report_page(report_of(*SAMPLES.values()), {})
    reader = read_page(page)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(reader.tags)
    references = [value for _tag, name, value in reader.attributes if name in ("src", "href")]
    assert all(value.startswith("#") for value in references)
    assert not re.search(r"url\(|@import|https?://", page)
    assert not [name for _tag, name, _value in reader.attributes if name.startswith("on")]


def test_page_says_what_was_measured() -> None:
    reader = read_page(report_page(report_of(*SAMPLES.values()), {}))
    said = "\n".join(reader.texts)
    assert "15 of 20 failure drills passed" in said
    for sample in SAMPLES.values():
        assert sample["says"] in said
        assert all(reason in said for reason in sample["reasons"])
        assert sample["limit_formula"] is None or sample["limit_formula"] in said
    assert "6.10 \N{EN DASH} 6.12 s" in said
    assert "controller1, controller3 hold 10.0.0.5" in said
    targets = {value for _tag, name, value in reader.attributes if name == "id"}
    links = {value.removeprefix("#") for _tag, name, value in reader.attributes if name == "href"}
    assert links == targets == {f"drill-{name}" for name in SAMPLES}


def test_verdicts_are_said_in_words() -> None:
    reader = read_page(report_page(report_of(*SAMPLES.values()), {}))
    assert {"passed", "failed", "void", "missed", "refused"} <= set(reader.texts)


def test_page_without_drills() -> None:
    assert "No drill has run" in read_page(report_page(Report(RUN, {}, ()), {})).texts


HOSTILE = "</style><script>alert(\"1\")</script>&amp;' onload='x"


def hostile(value: t.Any, key: str = "") -> t.Any:
    """The entry with every free text replaced."""
    if isinstance(value, dict):
        return {(HOSTILE if key == "errors" else name): hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key not in ("name", "verdict") else value


def test_text_is_never_markup(entry: Entry) -> None:
    nasty = hostile(entry)
    nasty["probes"][0]["name"] = nasty["audits"][0]["name"] = HOSTILE
    report = Report(RUN, {HOSTILE: [HOSTILE], "x": {HOSTILE: HOSTILE}}, (read_drill("entry", nasty),))
    page = report_page(report, {})
    reader = read_page(page)
    assert "<script" not in page
    assert "script" not in reader.tags
    assert not [name for _tag, name, _value in reader.attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in reader.texts) > 15


@given(content=TEXTS, value=TEXTS)
def test_element_carries_any_text(content: str, value: str) -> None:
    reader = read_page(markup.element("p", "x", content, title=value))
    clean = str.maketrans({"\r": "\n"})
    assert "".join(reader.texts).translate(clean) == f"x{content}".translate(clean)
    assert reader.attributes == [("p", "title", value)]


@given(st.lists(st.tuples(st.floats(170, 1168), st.text(string.ascii_letters, min_size=1, max_size=60)), max_size=30))
def test_labels_do_not_overlap(wanted: list[tuple[float, str]]) -> None:
    labels = timeline.packed(wanted)
    assert [label.text for label in labels] == [content for _place, content in wanted]
    rows: dict[int, list[tuple[float, float]]] = {}
    for label in labels:
        if label.row is not None:
            rows.setdefault(label.row, []).append((label.left, label.left + 6 * len(label.text)))
    for spans in rows.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


COUNTS = st.integers(0, 50)
BINS = st.builds(Bin, at=st.just(0.0), ok=COUNTS, failed=COUNTS, worst_ms=st.none() | st.floats(0, 1e4))


@given(st.lists(BINS, max_size=90), st.integers(1, 40))
def test_merging_loses_nothing(series: list[Bin], most: int) -> None:
    columns = timeline.merged(series, most)
    assert len(columns) <= most
    assert sum(one.ok for one in columns) == sum(one.ok for one in series)
    assert sum(one.failed for one in columns) == sum(one.failed for one in series)
    worst = [one.worst_ms for one in series if one.worst_ms is not None]
    assert max((one.worst_ms for one in columns if one.worst_ms is not None), default=None) == max(worst, default=None)


@given(st.floats(-1e4, 1e4), st.floats(0.001, 1e4), st.integers(2, 12))
def test_ticks_are_inside_and_enough(low: float, length: float, wanted: int) -> None:
    ticks = charts.nice_ticks(low, low + length, wanted)
    slack = 1e-6 * (abs(low) + length)
    assert all(low - slack <= tick <= low + length + slack for tick in ticks)
    assert wanted / 2.6 - 1 <= len(ticks) <= wanted + 1


SECONDS = st.floats(0, 1000)


@given(
    SECONDS, SECONDS, st.none() | SECONDS, st.none() | st.tuples(SECONDS, SECONDS).map(lambda pair: tuple(sorted(pair)))
)
def test_bars_stay_on_their_scale(
    one: float, other: float, bound: float | None, limit: tuple[float, float] | None
) -> None:
    sample = copy.deepcopy(ENTRY["probes"][0])
    sample |= {"longest_outage_lower_s": min(one, other), "longest_outage_s": max(one, other), "bound_s": bound}
    limit_s = list(limit) if limit else None
    drill = read_drill("entry", changed(ENTRY, probes=[sample], limit_s=limit_s, limit_probe=sample["name"]))
    reader = read_page(charts.scale_bar(drill, drill.probes[0]))
    rects = [float(value) for tag, name, value in reader.attributes if tag == "rect" and name == "x"]
    widths = [float(value) for tag, name, value in reader.attributes if tag == "rect" and name == "width"]
    assert len(rects) == 1 + (limit is not None)
    assert all(left >= 0 and left + width <= 192.1 for left, width in zip(rects, widths, strict=True))


def test_an_outage_without_end_is_drawn_and_said(entry: Entry) -> None:
    entry["probes"][0]["outages"][0]["upper_s"] = None
    entry["fault"]["healed_at"] = None
    drawing = timeline.drawing(read_drill("entry", entry))
    assert drawing is not None
    said = read_page(drawing).texts
    assert "\N{GREATER-THAN OR EQUAL TO} 1.19 s" in said
    assert "hang, not healed" in said


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0001, "< 0.001"), (0.3124, "0.312"), (1.306, "1.31"), (12.44, "12.4"), (358.4, "358")],
)
def test_three_digits_that_matter(value: float, shown: str) -> None:
    assert figures.number(value) == shown


def test_intervals_are_said_once_when_equal() -> None:
    assert figures.interval(20.29, 20.31) == "20.3 s"
    assert figures.interval(0.25, 0.27) == "0.250 \N{EN DASH} 0.270 s"
