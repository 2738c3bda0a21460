# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledgers: the arithmetic, and the database's outcomes with a fake store."""

from __future__ import annotations

import asyncio
import threading
import time
import typing as t
from dataclasses import dataclass, field

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe import database
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import DatabaseLedger
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.database import DatabaseTarget, is_refusal
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import Ledger, Outcome
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(0, 3)), max_size=80))
def test_every_write_is_counted_once(rows: list[tuple[Outcome, int]]) -> None:
    ledger = Ledger()
    for number, (outcome, _times) in enumerate(rows):
        ledger.open(number)
        ledger.note(number, outcome)
    balance = ledger.balance({number: times for number, (_outcome, times) in enumerate(rows) if times})
    assert balance.acknowledged + balance.refused + balance.unknown == len(rows)
    assert balance.lost == rows.count((Outcome.ACKNOWLEDGED, 0))
    assert balance.unexpected == sum(outcome == Outcome.REFUSED and times > 0 for outcome, times in rows)
    assert balance.duplicated == sum(times > 1 for _outcome, times in rows)
    assert len(balance.lost_examples) == min(10, rows.count((Outcome.ACKNOWLEDGED, 0)))


def test_what_could_not_be_read_back_is_not_called_complete() -> None:
    ledger = Ledger()
    ledger.note(0, Outcome.ACKNOWLEDGED)
    assert ledger.balance(None).lost is None
    assert ledger.balance({}).lost == 1


def test_a_closed_ledger_ignores_late_words() -> None:
    ledger = Ledger()
    ledger.open(0)
    ledger.close()
    ledger.note(0, Outcome.ACKNOWLEDGED)
    assert ledger.balance({}).lost == 0


class DatabaseError(Exception):
    """As those of PyMySQL: a number and a text."""


@dataclass
class FakeStore:
    """Rows of a table, and what the next statements are to run into."""

    rows: list[tuple[str, int]] = field(default_factory=list)
    faults: dict[int, BaseException] = field(default_factory=dict)
    stores_despite_fault: set[int] = field(default_factory=set)
    forgets: set[int] = field(default_factory=set)
    refuses_connections: bool = False
    connections: int = 0
    hang: threading.Event | None = None

    def connect(self, timeout: float) -> FakeConnection:
        if self.refuses_connections:
            raise DatabaseError(2003, "Can't connect to MySQL server on 'x'")
        self.connections += 1
        return FakeConnection(self)


@dataclass
class FakeConnection:
    store: FakeStore
    found: list[tuple[int, int]] = field(default_factory=list)

    def cursor(self) -> FakeConnection:
        return self

    def close(self) -> None:
        self.store.connections -= 1

    def execute(self, query: str, args: t.Sequence[t.Any] | None = None) -> int:
        if query.startswith("INSERT") and args:
            return self.insert(args[0], args[1])
        if query.startswith("SELECT") and args:
            numbers = [number for run, number in self.store.rows if run == args[0]]
            self.found = [(number, numbers.count(number)) for number in sorted(set(numbers))]
        if query.startswith("DELETE"):
            self.store.rows.clear()
        if query.startswith("SET"):
            raise DatabaseError(1193, "Unknown system variable 'wsrep_sync_wait'")
        return 0

    def insert(self, run: str, number: int) -> int:
        if self.store.hang is not None:
            self.store.hang.wait(5)
        fault = self.store.faults.get(number)
        if (fault is None or number in self.store.stores_despite_fault) and number not in self.store.forgets:
            self.store.rows.append((run, number))
        if fault is not None:
            raise fault
        return 1

    def fetchall(self) -> list[tuple[int, int]]:
        return self.found


def database_target(store: FakeStore, connections: int = 4) -> DatabaseTarget:
    settings = DatabaseLedger(host="x", user="drill", database="drill", password="s3cret", connections=connections)
    return DatabaseTarget(settings, "run/ledger", 5.0, store.connect)


async def insert_all(target: DatabaseTarget, count: int) -> list[str]:
    await target.open()
    reasons = []
    for number in range(count):
        try:
            await target.request(number, 0.0)
        except Failure as failure:
            reasons.append(str(failure))
    return reasons


def test_the_database_ledger_tells_lost_unexpected_unknown_and_duplicated() -> None:
    store = FakeStore(
        faults={
            1: DatabaseError(1047, "WSREP has not yet prepared node for application use"),
            2: DatabaseError(2013, "Lost connection to server during query"),
            3: DatabaseError(1213, "Deadlock found"),
        },
        stores_despite_fault={2, 3},
        forgets={4},
    )

    async def scenario() -> tuple[list[str], t.Any]:
        target = database_target(store)
        reasons = await insert_all(target, 6)
        store.rows.append(("run/ledger", 5))
        balance = await target.balance()
        await target.close()
        return reasons, balance

    reasons, balance = asyncio.run(scenario())
    assert reasons[0].startswith("error 1047 WSREP")
    assert (balance.acknowledged, balance.refused, balance.unknown) == (3, 2, 1)
    assert (balance.lost, balance.unexpected, balance.duplicated) == (1, 1, 1)
    assert balance.lost_examples == (4,)
    assert store.rows == []
    assert store.connections == 0


def test_a_row_that_was_never_sent_is_refused_and_the_next_one_connects_again() -> None:
    store = FakeStore(refuses_connections=True)

    async def scenario() -> tuple[list[str], Ledger]:
        target = database_target(store)
        reasons = await insert_all(target, 1)
        store.refuses_connections = False
        await target.request(1, 0.0)
        await target.close()
        return reasons, target.ledger

    reasons, ledger = asyncio.run(scenario())
    assert reasons == ["connect: error 2003 Can't connect to MySQL server on 'x'"]
    assert (ledger.outcome(0), ledger.outcome(1)) == (Outcome.REFUSED, Outcome.ACKNOWLEDGED)


def test_a_hanging_database_takes_no_more_than_its_connections() -> None:
    store = FakeStore(hang=threading.Event())

    async def scenario() -> tuple[list[BaseException | None], Ledger]:
        target = database_target(store, connections=3)
        await target.open()
        started = time.monotonic()
        tasks = [asyncio.ensure_future(target.request(number, 0.0)) for number in range(5)]
        await asyncio.sleep(0.1)
        assert time.monotonic() - started < 1
        assert store.connections == 3
        assert store.hang is not None
        store.hang.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await target.close()
        return ends, target.ledger

    ends, ledger = asyncio.run(scenario())
    assert [str(end) for end in ends if end] == ["all 3 connections are busy"] * 2
    assert len(ledger.numbers(Outcome.ACKNOWLEDGED)) == 3


def test_a_database_that_stays_away_leaves_the_balance_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "READ_BACK_SECONDS", 0.1)
    store = FakeStore()

    async def scenario() -> tuple[t.Any, str]:
        target = database_target(store)
        await target.request(0, 0.0)
        store.refuses_connections = True
        balance = await target.balance()
        return balance, target.read_back_error

    balance, error = asyncio.run(scenario())
    assert (balance.acknowledged, balance.lost) == (1, None)
    assert "2003" in error


@pytest.mark.parametrize(
    ("number", "refused"),
    [(1047, True), (1213, True), (4028, True), (1180, False), (1317, False), (2006, False), (2013, False), (0, False)],
)
def test_only_a_word_before_the_commit_is_a_refusal(number: int, refused: bool) -> None:
    assert is_refusal(DatabaseError(number, "text")) is refused
    assert is_refusal(DatabaseError()) is False
