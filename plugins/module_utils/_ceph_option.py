# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Values of Ceph's options: the same value written in two ways is one value.

The monitors keep the value of an option in a form of its type, so ``8G`` comes back as ``8589934592``. The rules are
those of Ceph's C(src/common/options.cc) and C(src/common/strtol.cc).
"""

from __future__ import annotations

import re
import typing as t

_SIZE = re.compile(r"([+-]?[0-9]+)([BKMGTPE]|[KMGTPE]i)?B?")
_COUNT = re.compile(r"([+-]?[0-9]+)([BKMGTPE])?")
_DURATION = re.compile(r"(?:[0-9]+\s*[a-z]+\s*)+")
_DURATION_PART = re.compile(r"([0-9]+)\s*([a-z]+)")
_POWERS = "BKMGTPE"
_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
_SECONDS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}


def text_of(value: object) -> str:
    """A value as Ansible hands it over, as Ceph reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def canonical(kind: str, text: str) -> object:
    """The value that ``text`` means for an option of the type ``kind``; ValueError when it means none.

    Text of types that Ceph checks itself, such as addresses, is taken as it is.
    """
    parser = _PARSERS.get(kind)
    return text if parser is None else parser(text)


def _bool(text: str) -> bool:
    named = {"true": True, "false": False}.get(text.lower())
    return bool(int(text)) if named is None else named


def _count(text: str) -> int:
    return _scaled(_COUNT, text, 1000)


def _size(text: str) -> int:
    return _scaled(_SIZE, text, 1024)


def _scaled(pattern: re.Pattern[str], text: str, base: int) -> int:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * int(base ** _POWERS.index((match[2] or "B")[0]))


def _duration(text: str) -> object:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    parts = _DURATION_PART.findall(text) if _DURATION.fullmatch(text) else []
    units = [_SECONDS.get(unit if unit in _SECONDS else unit.removesuffix("s")) for _number, unit in parts]
    if not parts or None in units:
        return text
    return sum(int(number) * (unit or 0) for (number, _unit), unit in zip(parts, units, strict=True))


_PARSERS: dict[str, t.Callable[[str], object]] = {
    "bool": _bool,
    "int": _count,
    "uint": _count,
    "size": _size,
    "float": float,
    "secs": _duration,
    "millisecs": int,
}
