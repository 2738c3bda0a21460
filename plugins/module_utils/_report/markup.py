# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Building HTML, SVG and their text so that nothing from outside is ever taken for markup."""

from __future__ import annotations

import html
import typing as t

_VOID = frozenset({"meta", "br", "hr", "col"})


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


Content: t.TypeAlias = "str | None"


def text(content: Content) -> Markup:
    """``content`` escaped, unless it is markup already; None is nothing."""
    if content is None:
        return Markup("")
    return content if isinstance(content, Markup) else Markup(html.escape(content))


def join(*contents: Content, between: str = "") -> Markup:
    """The contents one after another."""
    return Markup(html.escape(between).join(text(content) for content in contents))


def element(tag: str, *contents: Content, **attributes: str | float | None) -> Markup:
    """An element. ``class_`` is class, ``stroke_width`` is stroke-width; an attribute that is None is left out."""
    opening = tag
    for name, value in attributes.items():
        if value is not None:
            shown = value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
            opening += f' {name.rstrip("_").replace("_", "-")}="{html.escape(shown)}"'
    if tag in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(*contents)}</{tag}>")
