# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Capabilities of Ceph's entities, compared by what they allow and not by how they are written.

The grammars are those of Ceph's C(MonCap.cc), C(OSDCap.cc), C(MgrCap.cc) and C(MDSAuthCaps.cc): grants separated by
commas or semicolons, in any order, whose rights add up; ``allow`` is optional before ``profile``, a keyword may be
joined to its value by a blank or by ``=``, and values may be quoted.
"""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# One grant: whom it is limited to, in order, and the rights there.
Grants = frozenset[tuple[tuple[str, ...], frozenset[str]]]

_SEPARATOR = re.compile(r"""[,;](?=(?:[^"']|"[^"]*"|'[^']*')*$)""")
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
_EQUALS = re.compile(r"\s*=\s*")
_RIGHTS = re.compile(r"[rwxpsf]+|\*|all|class-read|class-write")
_KEYWORDS = (
    *("auid", "command", "fsname", "gids", "module", "namespace", "network", "object_prefix"),
    *("path", "pool", "profile", "service", "tag", "uid"),
)
_ALL = frozenset({"*"})


def same_caps(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether both give the same rights at every type of daemon; a type without a grant is as good as absent."""
    return _by_daemon(one) == _by_daemon(other)


def described(caps: Mapping[str, str]) -> str:
    """Caps in one line, for a report."""
    return "; ".join(f"{daemon}: {caps[daemon]}" for daemon in sorted(caps) if caps[daemon].strip()) or "no caps"


def _by_daemon(caps: Mapping[str, str]) -> dict[str, Grants]:
    parsed = {daemon: grants_of(text) for daemon, text in caps.items()}
    return {daemon: grants for daemon, grants in parsed.items() if grants}


def grants_of(text: str) -> Grants:
    """What the caps of one type of daemon allow."""
    rights: dict[tuple[str, ...], frozenset[str]] = {}
    for part in filter(str.strip, _SEPARATOR.split(text)):
        limits, letters = _grant(_words(part))
        rights[limits] = rights.get(limits, frozenset()) | letters
    return frozenset((limits, _ALL if "*" in letters else letters) for limits, letters in rights.items())


def _words(part: str) -> list[str]:
    """The words of a grant without quotes; a keyword and its value are one word."""
    words: list[str] = []
    for word in _WORD.findall(_EQUALS.sub("=", part)):
        bare = word.replace('"', "").replace("'", "")
        if words and words[-1] in _KEYWORDS:
            words[-1] += f"={bare}"
        else:
            words.append(bare)
    return words


def _grant(words: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    limits: list[str] = []
    rights: set[str] = set()
    for word in words:
        if _RIGHTS.fullmatch(word) and not {"with", "class"} & set(limits):
            rights |= {"*"} if word in ("*", "all") else {word} if word.startswith("class-") else set(word)
        elif word != "allow" or limits:
            limits.append(word)
    return tuple(limits), frozenset(rights)
