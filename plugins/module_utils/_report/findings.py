# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Something odd that a page shows: harmless, or serious where somebody has to look."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Markup, element, text


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd, and why it is serious or not."""

    says: str
    why: str
    serious: bool


def weight(finding: Finding) -> Markup:
    """Whether it is serious, as a word."""
    return element("span", "serious", class_="alarm") if finding.serious else text("harmless")
