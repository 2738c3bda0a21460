# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The one error that a module shows to its user."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping


class LifeboatError(Exception):
    """Something is wrong, said in full: the thing, what was found, what was expected, what to do.

    ``more`` is what the module returns besides, such as what it has done until then.
    """

    def __init__(
        self, thing: str, found: str, expected: str, remedy: str, more: Mapping[str, t.Any] | None = None
    ) -> None:
        super().__init__(f"{thing}: found {found}; expected {expected}. {remedy}")
        self.thing = thing
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.more = more or {}
