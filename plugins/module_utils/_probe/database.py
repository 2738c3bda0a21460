# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The database ledger: numbered rows, each committed by itself, read back when the drill is over."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import Balance, Ledger, Outcome
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import DatabaseLedger

READ_BACK_SECONDS = 30.0
READ_TIMEOUT = 10.0
_MAX_IDLE = 8
_DELETE_ROWS = 5000
# Numbers of MariaDB's own errors; from 2000 to 2999 the client speaks, and the server's word is not known.
_CLIENT_ERRORS = range(2000, 3000)
# Shutdown, error during COMMIT, query interrupted, connection killed: said by the server, but not before the commit.
_UNDECIDED = frozenset({1053, 1180, 1317, 1927})


class Cursor(t.Protocol):
    """What is used of a cursor."""

    def execute(self, query: str, args: t.Sequence[t.Any] | None = None) -> int:
        """Run one statement; returns the number of rows."""

    def fetchall(self) -> t.Sequence[t.Sequence[t.Any]]:
        """All rows."""


class Connection(t.Protocol):
    """What is used of a PyMySQL connection; its errors carry (number, text)."""

    def cursor(self) -> Cursor:
        """A cursor."""

    def close(self) -> None:
        """Say goodbye and close; may raise when the server is gone."""


class DatabaseTarget:
    """Inserts in threads, at most one for each connection; a request that finds all of them busy fails at once.

    The table has a key of its own beside (run, id), so that a row that is written twice shows as two.
    """

    def __init__(
        self, settings: DatabaseLedger, run: str, timeout: float, connect: Callable[[float], Connection] | None = None
    ) -> None:
        self.ledger = Ledger()
        self.read_back_error = ""
        self._settings = settings
        self._run = run
        self._timeout = timeout
        self._connect = connect or self._connect_pymysql
        self._pool = ThreadPoolExecutor(settings.connections, "ledger")
        self._free = threading.Semaphore(settings.connections)
        self._idle: list[Connection] = []
        self._table_exists = False

    async def open(self) -> None:
        """Load the client library; the table is made by the first connection."""
        if self._connect == self._connect_pymysql:
            importlib.import_module("pymysql")

    async def request(self, number: int, scheduled: float) -> None:
        """Insert row ``number``."""
        self.ledger.open(number)
        if not self._free.acquire(blocking=False):
            self.ledger.note(number, Outcome.REFUSED)
            raise Failure(f"all {self._settings.connections} connections are busy")
        await asyncio.get_running_loop().run_in_executor(self._pool, self._insert, number)

    async def balance(self) -> Balance:
        """Read the rows of this run back, compare, and delete them. Bounded by READ_BACK_SECONDS."""
        self.ledger.close()
        if not self._table_exists:
            # No connection ever got as far as the table: nothing was sent, nothing can be there.
            return self.ledger.balance({})
        present = await asyncio.get_running_loop().run_in_executor(None, self._read_back)
        return self.ledger.balance(present)

    async def close(self) -> None:
        """Close the idle connections and let busy threads run into their timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            _close(self._idle.pop())

    def _insert(self, number: int) -> None:
        try:
            connection = self._take(number)
            try:
                connection.cursor().execute(
                    f"INSERT INTO `{self._settings.table}` (run, id) VALUES (%s, %s)", (self._run, number)
                )
            except Exception as error:
                _close(connection)
                self.ledger.note(number, Outcome.REFUSED if is_refusal(error) else Outcome.UNKNOWN)
                raise Failure(describe(error)) from None
            self.ledger.note(number, Outcome.ACKNOWLEDGED)
            self._give_back(connection)
        finally:
            self._free.release()

    def _take(self, number: int) -> Connection:
        """An idle connection or a new one. What fails here has not been sent: the row is refused."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        try:
            connection = self._connect(self._timeout)
            if not self._table_exists:
                connection.cursor().execute(
                    f"CREATE TABLE IF NOT EXISTS `{self._settings.table}` ("
                    "sequence BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
                    "run VARCHAR(160) NOT NULL, id BIGINT UNSIGNED NOT NULL, KEY run_id (run, id))"
                )
                self._table_exists = True
        except Exception as error:
            self.ledger.note(number, Outcome.REFUSED)
            raise Failure(f"connect: {describe(error)}") from None
        return connection

    def _give_back(self, connection: Connection) -> None:
        if len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            _close(connection)

    def _read_back(self) -> dict[int, int] | None:
        """{id: times present}; ``None`` when the rows could not be read in time."""
        deadline = time.monotonic() + READ_BACK_SECONDS
        while True:
            try:
                return self._read_rows()
            except Exception as error:
                self.read_back_error = describe(error)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.25)

    def _read_rows(self) -> dict[int, int]:
        connection = self._connect(READ_TIMEOUT)
        try:
            cursor = connection.cursor()
            # A Galera member may lag behind the one that acknowledged; a server without Galera lacks the variable.
            with contextlib.suppress(Exception):
                cursor.execute("SET SESSION wsrep_sync_wait = 1")
            cursor.execute(
                f"SELECT id, COUNT(*) FROM `{self._settings.table}` WHERE run = %s GROUP BY id", (self._run,)
            )
            present = {int(number): int(times) for number, times in cursor.fetchall()}
            # Rows that stay behind are only litter under a run's own name; what was read counts.
            with contextlib.suppress(Exception):
                self._delete_rows(cursor)
            return present
        finally:
            _close(connection)

    def _delete_rows(self, cursor: Cursor) -> None:
        statement = f"DELETE FROM `{self._settings.table}` WHERE run = %s LIMIT {_DELETE_ROWS}"
        while cursor.execute(statement, (self._run,)) == _DELETE_ROWS:
            pass

    def _connect_pymysql(self, timeout: float) -> Connection:
        settings = self._settings
        tls = {"ssl": {"ca": settings.ca_file}} if settings.ca_file else {}
        connection: Connection = importlib.import_module("pymysql").connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password,
            database=settings.database,
            autocommit=True,
            connect_timeout=timeout,
            read_timeout=timeout,
            write_timeout=timeout,
            **tls,
        )
        return connection


def is_refusal(error: BaseException) -> bool:
    """Whether the server said no before the commit; anything else leaves the row unknown."""
    number = error.args[0] if error.args else None
    return isinstance(number, int) and number > 0 and number not in _CLIENT_ERRORS and number not in _UNDECIDED


def describe(error: BaseException) -> str:
    """The number of a database error and the beginning of its text; the class of any other error."""
    number = error.args[0] if error.args else None
    if isinstance(number, int) and len(error.args) > 1:
        return f"error {number} {str(error.args[1]).splitlines()[0] if error.args[1] else ''}".strip()
    return type(error).__name__


def _close(connection: Connection) -> None:
    with contextlib.suppress(Exception):
        connection.close()
