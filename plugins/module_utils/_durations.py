# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Durations as operators write them: 500ms, 1.5s, 2min, 1h, 30d, or a plain number of seconds."""

from __future__ import annotations

import re

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")


def seconds(value: object, thing: str) -> float:
    """The duration ``value`` in seconds; ``thing`` names it in the error when it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _PATTERN.fullmatch(str(value).strip())
    if match is None:
        raise LifeboatError(thing, repr(value), "a duration such as 500ms, 1.5s, 2min, 1h or 30d", "Correct the value.")
    return float(match.group(1)) * _UNITS[match.group(2)]
