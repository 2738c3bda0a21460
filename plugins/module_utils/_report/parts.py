# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What every page of a report is put together from."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Content, Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.style import STYLE


def document(title: str, *contents: Content) -> str:
    """A whole page that needs nothing else: no script, no font, no picture from elsewhere."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', *contents)), lang='en')}\n"


def badge(word: str, look: str) -> Markup:
    """A verdict as a word; ``look`` is one of the style sheet's verdicts, for colour and border."""
    return element("span", word, class_=f"badge {look}")


def tally(counts: t.Iterable[tuple[str, str, int]]) -> Markup:
    """Words, their looks and how often each was: as a bar of shares, and as a list."""
    counts = list(counts)
    return join(
        element(
            "div",
            *(element("span", class_=look, style=f"flex:{count}") for _word, look, count in counts if count),
            class_="tally",
            aria_hidden="true",
        ),
        element(
            "ul",
            *(
                element(
                    "li",
                    element("b", str(count), class_=look if count else None),
                    word,
                    class_=None if count else "none",
                )
                for word, look, count in counts
            ),
            class_="counts",
        ),
    )


def figure(name: str, value: Content, note: Content) -> Markup:
    """One of the figures at the top of a page, for a list of them."""
    return element(
        "div",
        element("dt", name),
        element("dd", value or figures.NOTHING, element("small", note) if note else None),
        class_="card",
    )


def line(said: Content) -> Markup | None:
    """A small line of its own; nothing without content."""
    return element("small", said) if said else None


def beside(measured: str, predicted: str, share: float | None) -> Markup:
    """What was measured with what was predicted below it, and its share of that."""
    compared = f"predicted {predicted}" + (f", {figures.percent(share)} of it" if share is not None else "")
    return join(measured, line(compared) if predicted != figures.NOTHING else None)


def facts(pairs: t.Iterable[tuple[str, Content]]) -> Markup:
    """Names and what they are; a pair without content is left out."""
    return element(
        "dl",
        *(join(element("dt", name), element("dd", content)) for name, content in pairs if content),
        class_="facts",
    )


def table(
    heads: t.Sequence[str],
    rows: t.Iterable[t.Sequence[Content]],
    numbers: t.Container[int] = (),
    below: t.Iterable[Content] = (),
) -> Markup:
    """A table; the columns whose places are in ``numbers`` are set to the right. ``below`` is below each row."""

    def cells(tag: str, contents: t.Sequence[Content], class_: str | None = None) -> Markup:
        return element(
            "tr",
            *(
                element(tag, content, class_="number" if place in numbers else None)
                for place, content in enumerate(contents)
            ),
            class_=class_,
        )

    lines = []
    for row, content in itertools.zip_longest(rows, below):
        lines.append(cells("td", row, class_="open" if content else None))
        if content:
            lines.append(element("tr", element("td", content, colspan=len(heads))))
    return element(
        "div", element("table", element("thead", cells("th", heads)), element("tbody", *lines)), class_="scroll"
    )


def headed(heading: str, content: Markup | None) -> Markup | None:
    """The content under its heading; nothing without content."""
    return join(element("h4", heading), content) if content else None


def scrolled(content: Markup | None) -> Markup | None:
    """The content so that it can be wider than the page."""
    return element("div", content, class_="scroll") if content else None
