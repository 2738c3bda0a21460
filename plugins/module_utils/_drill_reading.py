# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Reading a mapping written by people: every error names the file, the key, what was found and what is possible."""

from __future__ import annotations

import difflib
import enum
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._durations import seconds
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterable

Word = t.TypeVar("Word", bound=enum.StrEnum)


def nearest(word: str, known: Iterable[str]) -> str:
    """The remedy for a misspelt ``word``: the known words that look like it, or all of them."""
    words = sorted(known)
    alike = difflib.get_close_matches(word, words, n=3)
    return f"Did you mean {' or '.join(alike)}?" if alike else f"Known: {', '.join(words) or 'none'}."


def unknown(thing: str, word: object, kind: str, known: Iterable[str]) -> LifeboatError:
    """The error for a ``word`` that is not among the ``known`` ones of its ``kind``."""
    words = sorted(known)
    return LifeboatError(thing, repr(word), f"a known {kind}", nearest(str(word), words))


class Fields:
    """The mapping ``value`` found in ``source``, a file's path or as ``kind`` says, under ``key`` (dotted)."""

    def __init__(self, source: str, value: object, key: str = "", kind: str = "drill file") -> None:
        self._source = source
        self._kind = kind
        self._key = key
        if not isinstance(value, dict):
            raise LifeboatError(self.place(""), repr(value), "a mapping of keys to values", f"Correct the {kind}.")
        self._values: dict[object, object] = value

    def place(self, key: str) -> str:
        """How errors name ``key`` of this mapping."""
        path = ".".join(part for part in (self._key, key) if part)
        return f"{self._kind} {self._source}" + (f", key {path}" if path else "")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def given(self, key: str) -> bool:
        """Whether the key has a value; a normalised drill has empty ones for what is absent."""
        return bool(self._values.get(key))

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order of the file."""
        return tuple(str(key) for key in self._values)

    def allow(self, *known: str) -> None:
        """Refuse every key that is not ``known``."""
        for key in self.keys:
            if key not in known:
                raise unknown(self.place(key), key, "key", known)

    def raw(self, key: str, expected: str) -> object:
        """The value of ``key``, which must be there."""
        if key not in self._values:
            raise LifeboatError(self.place(key), "nothing", expected, f"Add the key {key}.")
        return self._values[key]

    def inner(self, key: str) -> Fields:
        """The mapping under ``key``; an absent or empty one has no keys."""
        value = self._values.get(key)
        return Fields(self._source, {} if value is None else value, f"{self._key}.{key}".lstrip("."), self._kind)

    def text(self, key: str) -> str:
        """Text that is not empty."""
        value = self.raw(key, "text")
        if not isinstance(value, str) or not value.strip():
            raise LifeboatError(self.place(key), repr(value), "text", "Write a word or a sentence.")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; absent is empty."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise LifeboatError(self.place(key), repr(value), "a list of words", "Write it as [one, two].")
        return tuple(value)

    def duration(self, key: str) -> float:
        """A duration, in seconds."""
        return seconds(self.raw(key, "a duration such as 500ms or 1.5s"), self.place(key))

    def duration_or_none(self, key: str) -> float | None:
        """A duration in seconds, or None when the key is absent."""
        return self.duration(key) if key in self else None

    def count(self, key: str, least: int = 0) -> int:
        """A whole number of at least ``least``."""
        value = self.raw(key, "a whole number")
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            expected = f"a whole number of at least {least}"
            raise LifeboatError(self.place(key), repr(value), expected, "Correct the value.")
        return value

    def count_or_none(self, key: str, least: int = 0) -> int | None:
        """A whole number of at least ``least``, or None when the key is absent."""
        return self.count(key, least) if key in self else None

    def flag(self, key: str, usual: bool) -> bool:
        """True or false; absent is ``usual``."""
        value = self._values.get(key, usual)
        if not isinstance(value, bool):
            raise LifeboatError(self.place(key), repr(value), "true or false", "Correct the value.")
        return value

    def word(self, key: str, words: type[Word], kind: str, usual: Word | None = None) -> Word:
        """One of the ``words`` of a ``kind``; absent is the ``usual`` one, if there is one."""
        if usual is not None and key not in self._values:
            return usual
        return self._as_word(key, self.raw(key, f"one of {', '.join(words)}"), words, kind)

    def words(self, key: str, words: type[Word], kind: str) -> tuple[Word, ...]:
        """A list of ``words``; absent is empty."""
        return tuple(self._as_word(key, item, words, kind) for item in self.texts(key))

    def _as_word(self, key: str, value: object, words: type[Word], kind: str) -> Word:
        try:
            return words(str(value))
        except ValueError:
            raise unknown(self.place(key), value, kind, words) from None
