# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The settings of HAProxy's configuration that decide how long clients wait for a lost backend.

Defaults are HAProxy's own, from its configuration manual (3.0): inter 2 s, fastinter and downinter as inter, fall 3,
rise 2, a check that may last as long as inter when there is no ``timeout check``, retry-on conn-failure, no redispatch.
"""

from __future__ import annotations

import copy
import re
import shlex
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TIME = re.compile(r"(\d+)(us|ms|s|m|h|d)?")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SECTIONS = frozenset(
    {
        *("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "mailers", "userlist"),
        *("program", "http-errors", "ring", "log-forward", "cache", "fcgi-app", "crt-store", "traces", "acme"),
    }
)
_SERVER_VALUES = frozenset({"inter", "fastinter", "downinter", "fall", "rise", "observe", "on-error", "error-limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """Times in seconds; where servers of a backend differ, the slowest value. None: no such limit or no single value.

    ``checked``: every server is checked at all.
    """

    checked: bool
    inter_s: float
    fastinter_s: float
    downinter_s: float
    fall: int
    rise: int
    check_timeout_s: float
    redispatch: bool
    retries: int
    observe: str | None
    error_limit: int
    on_error_mark_down: bool
    retry_on: tuple[str, ...]
    connect_timeout_s: float | None


@dataclass(slots=True)
class _Proxy:
    """What a section says, begun from its defaults section."""

    timeouts: dict[str, float] = field(default_factory=dict)
    redispatch: bool = False
    retries: int = 3
    retry_on: tuple[str, ...] = ("conn-failure",)
    default_server: dict[str, str] = field(default_factory=dict)
    servers: list[dict[str, str]] = field(default_factory=list)


def time_s(value: str) -> float:
    """A time of HAProxy's configuration in seconds; milliseconds without a unit."""
    match = _TIME.fullmatch(value)
    if match is None:
        expected = "a number with us, ms, s, m, h, d or no unit"
        raise LifeboatError("time in HAProxy's configuration", repr(value), expected, "Correct it.")
    return int(match.group(1)) * _UNITS[match.group(2) or "ms"]


def parse_backends(texts: Iterable[str]) -> dict[str, BackendSettings]:
    """The backends with servers in the configuration files ``texts``, given in the order HAProxy reads them."""
    reader = _Reader()
    for text in texts:
        for number, line in enumerate(text.splitlines(), 1):
            words = _words(line, number)
            if words:
                reader.read(words)
    return {name: _settings(proxy) for name, proxy in reader.proxies.items() if proxy.servers}


def _words(line: str, number: int) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise LifeboatError(
            f"line {number} of HAProxy's configuration", f"{line.strip()} ({error})", "closed quotes", "Correct it."
        ) from error


class _Reader:
    """Goes through the lines. ``proxies`` are the backend and listen sections by name."""

    def __init__(self) -> None:
        self.proxies: dict[str, _Proxy] = {}
        self._last_defaults = _Proxy()
        self._named_defaults: dict[str, _Proxy] = {}
        self._section: _Proxy | None = None

    def read(self, words: Sequence[str]) -> None:
        """Take in one line."""
        if words[0] in _SECTIONS:
            self._begin(words[0], words[1:])
        elif self._section is not None:
            _take(self._section, words)

    def _begin(self, kind: str, words: Sequence[str]) -> None:
        name = words[0] if words and words[0] != "from" else ""
        base = self._named_defaults[words[words.index("from") + 1]] if "from" in words else None
        self._section = None
        if kind == "defaults":
            self._section = copy.deepcopy(base) if base is not None else _Proxy()
            self._last_defaults = self._section
            self._named_defaults[name] = self._section
        elif kind in ("backend", "listen"):
            self._section = copy.deepcopy(base if base is not None else self._last_defaults)
            self.proxies[name] = self._section


def _take(proxy: _Proxy, words: Sequence[str]) -> None:
    match list(words):
        case ["timeout", name, value]:
            proxy.timeouts[name] = time_s(value)
        case ["option", "redispatch", *_]:
            proxy.redispatch = True
        case ["no", "option", "redispatch", *_]:
            proxy.redispatch = False
        case ["retries", count]:
            proxy.retries = int(count)
        case ["retry-on", *events]:
            proxy.retry_on = tuple(events)
        case ["default-server", *keywords]:
            proxy.default_server |= _server_keywords(keywords)
        case ["server", _, _, *keywords]:
            proxy.servers.append(proxy.default_server | _server_keywords(keywords))


def _server_keywords(words: Sequence[str]) -> dict[str, str]:
    """The keywords that matter here, ``check`` as yes or no."""
    found: dict[str, str] = {}
    for position, word in enumerate(words):
        if word in _SERVER_VALUES and position + 1 < len(words):
            found[word] = words[position + 1]
        elif word in ("check", "no-check"):
            found["check"] = "no" if word == "no-check" else "yes"
    return found


def _settings(proxy: _Proxy) -> BackendSettings:
    servers = proxy.servers
    inters = [time_s(server.get("inter", "2s")) for server in servers]

    def slowest(name: str) -> float:
        return max(
            time_s(server[name]) if name in server else inter for server, inter in zip(servers, inters, strict=True)
        )

    def most(name: str, default: int) -> int:
        return max(int(server.get(name, default)) for server in servers)

    observed = {server.get("observe", "none") for server in servers}
    return BackendSettings(
        checked=all(server.get("check") == "yes" for server in servers),
        inter_s=max(inters),
        fastinter_s=slowest("fastinter"),
        downinter_s=slowest("downinter"),
        fall=most("fall", 3),
        rise=most("rise", 2),
        check_timeout_s=proxy.timeouts.get("check", max(inters)),
        redispatch=proxy.redispatch,
        retries=proxy.retries,
        observe=observed.pop() if observed != {"none"} and len(observed) == 1 else None,
        error_limit=most("error-limit", 10),
        on_error_mark_down=all(server.get("on-error") == "mark-down" for server in servers),
        retry_on=proxy.retry_on,
        connect_timeout_s=proxy.timeouts.get("connect"),
    )
