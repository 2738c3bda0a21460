# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""HAProxy as it runs, asked over its statistics socket."""

from __future__ import annotations

import csv
import io
import socket
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "/run/haproxy/admin.sock"
_NOT_SERVERS = frozenset({"FRONTEND", "BACKEND"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of a backend. ``status`` in HAProxy's words: UP, DOWN, ``UP 1/2``, MAINT, DRAIN, ``no check``.

    ``check`` is the last check's result (L7OK, L4CON ...), empty without checks; counters count from HAProxy's start.
    """

    status: str
    backup: bool = False
    sessions: int = 0
    check: str = ""
    downtime_s: int = 0
    sessions_total: int = 0
    connection_errors: int = 0
    response_errors: int = 0
    retries: int = 0
    redispatches: int = 0
    since_change_s: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A running HAProxy: its version, and its backends as ``{backend: {server: Server}}``."""

    version: str
    backends: Mapping[str, Mapping[str, Server]]

    @property
    def silent(self) -> list[str]:
        """The backends that have servers, none of which takes requests, by name."""
        up = ("UP", "no check")
        return sorted(
            name
            for name, servers in self.backends.items()
            if not any(server.status.startswith(up) for server in servers.values())
        )


def statistics(path: str, timeout_s: float) -> Statistics:
    """Ask the HAProxy at the socket ``path``; LifeboatError when it does not answer within about ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    return Statistics(
        version=parse_version(_ask(path, "show info", deadline)),
        backends=parse_statistics(_ask(path, "show stat", deadline)),
    )


def _ask(path: str, command: str, deadline: float) -> str:
    thing = f"HAProxy at {path}"
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(_left(deadline))
            stream.connect(path)
            stream.sendall(f"{command}\n".encode())
            while part := stream.recv(65536):
                parts.append(part)
                stream.settimeout(_left(deadline))
    except TimeoutError as error:
        found = f"no answer to '{command}' in time"
        raise LifeboatError(
            thing, found, "an answer", "See whether HAProxy hangs: systemctl status haproxy."
        ) from error
    except OSError as error:
        remedy = "Start HAProxy, and see that its configuration has this statistics socket."
        raise LifeboatError(thing, str(error), "a statistics socket that answers", remedy) from error
    return b"".join(parts).decode(errors="replace")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def parse_version(information: str) -> str:
    """The version in the answer to ``show info``."""
    for line in information.splitlines():
        name, _colon, value = line.partition(":")
        if name == "Version":
            return value.strip()
    raise LifeboatError("HAProxy", "'show info' without a version", "its version", "See which HAProxy runs.")


def parse_statistics(table: str) -> dict[str, dict[str, Server]]:
    """``{backend: {server: Server}}`` from the CSV answer to ``show stat``; a backend without servers is left out."""
    if not table.startswith("# "):
        found = table.strip().splitlines()[0] if table.strip() else "nothing"
        raise LifeboatError("HAProxy's statistics", repr(found), "a table", "See which HAProxy runs.")
    backends: dict[str, dict[str, Server]] = {}
    for row in csv.DictReader(io.StringIO(table.removeprefix("# "))):
        if row["svname"] not in _NOT_SERVERS:
            backends.setdefault(row["pxname"], {})[row["svname"]] = _server(row)
    return backends


def _server(row: Mapping[str, str | None]) -> Server:
    def count(name: str) -> int:
        return int(row.get(name) or 0)

    return Server(
        status=row.get("status") or "",
        backup=row.get("bck") == "1",
        sessions=count("scur"),
        # An asterisk marks a check that is going on.
        check=(row.get("check_status") or "").removeprefix("* "),
        downtime_s=count("downtime"),
        sessions_total=count("stot"),
        connection_errors=count("econ"),
        response_errors=count("eresp"),
        retries=count("wretr"),
        redispatches=count("wredis"),
        since_change_s=count("lastchg"),
        address=row.get("addr") or "",
    )
