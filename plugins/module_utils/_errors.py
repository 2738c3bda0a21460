# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The one error that a module shows to its user."""

from __future__ import annotations


class LifeboatError(Exception):
    """Something is wrong, said in full: the thing, what was found, what was expected, what to do."""

    def __init__(self, thing: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{thing}: found {found}; expected {expected}. {remedy}")
        self.thing = thing
        self.found = found
        self.expected = expected
        self.remedy = remedy
