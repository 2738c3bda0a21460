# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Erlang terms as they stand in configuration files (``[{kernel, [{net_ticktime, 10}]}].``)."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

Term: t.TypeAlias = "str | int | float | tuple[Term, ...] | list[Term]"

_TOKEN = re.compile(
    r"""(?P<space>\s+|%[^\n]*)
    |(?P<number>[+-]?\d+(?:\.\d+(?:[eE][+-]?\d+)?)?)
    |(?P<atom>[a-z][A-Za-z0-9_@]*)
    |(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<mark><<|>>|[\[\]{},.])""",
    re.VERBOSE,
)
_CLOSING = {"[": "]", "{": "}", "<<": ">>"}


def parse_term(text: str) -> Term:
    """The one term of a file: atoms, strings and binaries as str, tuples as tuple; LifeboatError when it is none."""
    tokens = _tokens(text)
    term, position = _term(tokens, 0)
    if tokens[position:] != ["."]:
        raise _wrong(f"{' '.join(tokens[position:]) or 'nothing'} after the term", "one term and a full stop")
    return term


def lookup(term: Term, *path: str) -> Term | None:
    """The value below the keys ``path`` in nested lists of pairs, or None."""
    for key in path:
        pairs = term if isinstance(term, list) else []
        values = [pair[1] for pair in pairs if isinstance(pair, tuple) and len(pair) == 2 and pair[0] == key]
        if not values:
            return None
        term = values[0]
    return term


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _wrong(repr(text[position : position + 20]), "an Erlang term")
        if match.lastgroup != "space":
            tokens.append(match.group())
        position = match.end()
    return tokens


def _term(tokens: list[str], position: int) -> tuple[Term, int]:
    if position >= len(tokens):
        raise _wrong("the end of the file", "a term")
    token = tokens[position]
    if token in _CLOSING:
        return _sequence(tokens, position + 1, token)
    if token[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", token[1:-1]), position + 1
    if token[0].isdigit() or token[0] in "+-":
        return float(token) if "." in token else int(token), position + 1
    if token[0].isalpha():
        return token, position + 1
    raise _wrong(repr(token), "a term")


def _sequence(tokens: list[str], position: int, opening: str) -> tuple[Term, int]:
    closing = _CLOSING[opening]
    terms: list[Term] = []
    while tokens[position : position + 1] != [closing]:
        if terms:
            if tokens[position : position + 1] != [","]:
                raise _wrong(" ".join(tokens[position : position + 1]) or "the end of the file", f"',' or '{closing}'")
            position += 1
        term, position = _term(tokens, position)
        terms.append(term)
    if opening == "[":
        return terms, position + 1
    if opening == "{":
        return tuple(terms), position + 1
    return "".join(map(str, terms)), position + 1


def _wrong(found: str, expected: str) -> LifeboatError:
    return LifeboatError("Erlang configuration", found, expected, "Correct the file.")
