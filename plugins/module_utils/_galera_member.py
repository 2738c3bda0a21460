# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Reads one Galera member on its own host: over the server's socket, or from its data directory when it is stopped."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import traceback
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import active_states
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera import (
    NIL_UUID,
    STATUS_NAMES,
    UNKNOWN_SEQNO,
    MemberStatus,
    Position,
    ProviderSettings,
    SavedState,
    SavedView,
    member_status,
    parse_recovered_position,
    parse_saved_state,
    parse_saved_view,
    provider_settings,
)

try:
    import pymysql
except ImportError:
    PYMYSQL_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PYMYSQL_IMPORT_ERROR = None

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNIT = "mariadb.service"
SOCKET = "/run/mysqld/mysqld.sock"
DATA_DIRECTORY = "/var/lib/mysql"
SERVER = "/usr/sbin/mariadbd"
_SERVER_USER = "mysql"
_STOPPED = frozenset({"inactive", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as found. ``status`` is None when it is stopped or does not answer, ``error`` then says why.

    ``position`` is the running member's, or that of the data of a stopped one; None when it is not known.
    """

    running: bool
    status: MemberStatus | None = None
    position: Position | None = None
    saved_state: SavedState | None = None
    saved_view: SavedView | None = None
    recovered: Position | None = None
    error: str | None = None


def running(timeout_s: float) -> bool:
    """Whether the server's unit runs or is about to."""
    return active_states([UNIT], timeout_s)[UNIT] not in _STOPPED


def read_member(socket: str, data_directory: Path, timeout_s: float, recover_timeout_s: float | None = None) -> Member:
    """The member on this host; the server recovers a stopped one's position when ``recover_timeout_s`` is given."""
    if running(timeout_s):
        try:
            status = read_status(socket, timeout_s)
        except LifeboatError as error:
            return Member(running=True, error=str(error))
        return Member(running=True, status=status, position=status.position)
    return read_stopped(data_directory, recover_timeout_s)


def read_stopped(data_directory: Path, recover_timeout_s: float | None) -> Member:
    """A stopped member, from its files and, when ``recover_timeout_s`` is given, from InnoDB."""
    saved_state = parse_saved_state(_text(data_directory / "grastate.dat"))
    saved_view = parse_saved_view(_text(data_directory / "gvwstate.dat"))
    found = Member(running=False, saved_state=saved_state, saved_view=saved_view)
    if not (data_directory / "ibdata1").exists():
        return replace(found, position=Position(NIL_UUID, UNKNOWN_SEQNO))
    if saved_state is not None and saved_state.position.nil:
        # Galera writes the nil UUID while a state transfer runs and when it finds the data inconsistent.
        return replace(found, position=saved_state.position)
    if recover_timeout_s is None:
        return replace(found, position=saved_state.position if saved_state else None)
    try:
        return _judged(found, recover_position(data_directory, recover_timeout_s))
    except LifeboatError as error:
        unknown = Position(saved_state.position.uuid, UNKNOWN_SEQNO) if saved_state else None
        return replace(found, position=unknown, error=str(error))


def _judged(found: Member, recovered: Position) -> Member:
    """InnoDB's word counts, unless it contradicts grastate.dat: then the position is unknown."""
    saved = found.saved_state.position if found.saved_state else None
    if saved is None or saved.uuid == recovered.uuid:
        return replace(found, position=recovered, recovered=recovered)
    error = f"grastate.dat says {saved}, InnoDB says {recovered}"
    return replace(found, position=Position(saved.uuid, UNKNOWN_SEQNO), recovered=recovered, error=error)


def recover_position(data_directory: Path, timeout_s: float, server: str = SERVER) -> Position:
    """The position in InnoDB: the server starts, recovers InnoDB (this writes to the data), says it and ends."""
    thing = f"position of the data in {data_directory}"
    with tempfile.TemporaryDirectory(prefix="wsrep-recover-") as scratch, tempfile.TemporaryFile("w+b") as log:
        # The server makes its socket there under its own user.
        Path(scratch).chmod(0o1733)
        arguments = [
            server,
            f"--user={_SERVER_USER}",
            f"--datadir={data_directory}",
            # The running directory of the unit is gone while the unit is stopped.
            f"--socket={scratch}/socket",
            "--skip-networking",
            "--disable-log-error",
            "--wsrep-recover",
        ]
        try:
            done = subprocess.run(arguments, stdout=log, stderr=log, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            found = f"mariadbd --wsrep-recover still busy after {timeout_s:g} s"
            raise LifeboatError(thing, found, "its end", "Allow more time with recover_timeout.") from error
        except OSError as error:
            raise LifeboatError(thing, str(error), "a server to recover it", "Install mariadb-server.") from error
        log.seek(0)
        said = log.read().decode(errors="replace")
    position = parse_recovered_position(said)
    if position is None:
        last = [line for line in said.splitlines() if "ERROR" in line][-1:] or said.splitlines()[-1:] or ["nothing"]
        found = f"exit status {done.returncode} of mariadbd --wsrep-recover, which said: {last[0].strip()}"
        raise LifeboatError(
            thing, found, "a line 'WSREP: Recovered position'", "Repair InnoDB, or rebuild this member."
        )
    return position


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def read_status(socket: str, timeout_s: float) -> MemberStatus:
    """The status of the running server."""
    with _connection(socket, timeout_s) as connection:
        status = _show(connection, "STATUS", STATUS_NAMES)
        return member_status(status, _show(connection, "VARIABLES", ["read_only"]))


def read_provider_settings(socket: str, timeout_s: float) -> ProviderSettings:
    """The settings of the running server."""
    with _connection(socket, timeout_s) as connection:
        names = ["wsrep_provider_options", "innodb_flush_log_at_trx_commit"]
        return provider_settings(_show(connection, "VARIABLES", names))


@contextlib.contextmanager
def _connection(socket: str, timeout_s: float) -> Iterator[t.Any]:
    """A session of root; the server knows it by the socket's peer. Any failure becomes a LifeboatError."""
    if PYMYSQL_IMPORT_ERROR is not None:
        raise LifeboatError("PyMySQL", "no such library", "an installed one", "Install python3-pymysql on the host.")
    limits = {"connect_timeout": timeout_s, "read_timeout": timeout_s, "write_timeout": timeout_s}
    try:
        with pymysql.connect(user="root", unix_socket=socket, **limits) as connection:
            yield connection
    except (pymysql.MySQLError, OSError) as error:
        found = ": ".join(str(argument) for argument in error.args) or type(error).__name__
        remedy = "Start MariaDB, or look at its log when it runs."
        raise LifeboatError(f"MariaDB at {socket}", found, f"an answer within {timeout_s:g} s", remedy) from error


def _show(connection: t.Any, what: str, names: Sequence[str]) -> dict[str, str]:
    # SHOW is what a member outside of the primary component still answers.
    marks = ", ".join(["%s"] * len(names))
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW GLOBAL {what} WHERE Variable_name IN ({marks})", tuple(names))
        return {str(name): str(value) for name, value in cursor.fetchall()}
