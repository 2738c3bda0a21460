# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes of a guest that is moved, against a guest that boots anew, forgets or drops its sessions."""

from __future__ import annotations

import asyncio
import json
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import GuestLedger, Session, parse_run
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.guest import GuestTarget, SessionTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.runner import Runner
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure


class Guest:
    """Answers /state and echoes; ``states`` are the answers to come, the last one for ever."""

    def __init__(self, *states: tuple[str, int]) -> None:
        self.states = list(states)
        self.body: bytes | None = None
        self.sessions: list[asyncio.StreamWriter] = []

    async def state(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /state HTTP/1.1\r\n")
        boot, counter = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        body = self.body or json.dumps({"boot_id": boot, "counter": counter}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        writer.close()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions.append(writer)
        while data := await reader.read(64):
            writer.write(data)
        writer.close()


def with_guest(guest: Guest, work: t.Callable[[int, int], t.Awaitable[t.Any]]) -> t.Any:
    async def run() -> t.Any:
        servers = [await asyncio.start_server(handler, "127.0.0.1", 0) for handler in (guest.state, guest.echo)]
        try:
            return await work(*(server.sockets[0].getsockname()[1] for server in servers))
        finally:
            for server in servers:
                server.close()

    return asyncio.run(run())


def balance_of(*states: tuple[str, int]) -> t.Any:
    async def ask(port: int, _echo: int) -> t.Any:
        target = GuestTarget(GuestLedger("127.0.0.1", port))
        for number in range(len(states)):
            await target.request(number, 0.0)
        return await target.balance()

    return with_guest(Guest(*states), ask)


@pytest.mark.parametrize(
    ("states", "lost", "boots", "repeated"),
    [
        ([("a", 1), ("a", 2), ("a", 5)], 0, 0, 0),
        ([("a", 7), ("b", 8)], 0, 1, 0),
        ([("a", 7), ("a", 8), ("b", 7), ("b", 9)], 1, 1, 1),
        ([("a", 7), ("a", 7)], 1, 0, 1),
        ([("a", 9), ("b", 1), ("c", 2)], 2, 2, 0),
    ],
)
def test_a_counter_that_goes_back_is_lost_and_a_new_boot_is_seen(
    states: list[tuple[str, int]], lost: int, boots: int, repeated: int
) -> None:
    balance = balance_of(*states)
    assert (balance.acknowledged, balance.lost, balance.unexpected, balance.duplicated) == (
        len(states),
        lost,
        boots,
        repeated,
    )


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"boot_id": "a"}'])
def test_what_is_no_state_is_a_failure(body: bytes) -> None:
    guest = Guest(("a", 1))
    guest.body = body

    async def ask(port: int, _echo: int) -> None:
        with pytest.raises(Failure, match="no state of a guest"):
            await GuestTarget(GuestLedger("127.0.0.1", port)).request(0, 0.0)

    with_guest(guest, ask)


def test_a_session_that_is_lost_stays_lost() -> None:
    guest = Guest(("a", 1))

    async def talk(_state: int, port: int) -> None:
        target = SessionTarget(Session("127.0.0.1", port))
        await target.open()
        await asyncio.gather(*(target.request(number, 0.0) for number in range(20)))
        under_way = asyncio.create_task(target.request(20, 0.0))
        guest.sessions[0].transport.abort()
        with pytest.raises(Failure, match="session lost"):
            await under_way
        with pytest.raises(Failure, match="session lost"):
            await target.request(21, 0.0)
        assert len(guest.sessions) == 1
        await target.close()

    with_guest(guest, talk)


def test_a_session_that_cannot_be_opened_fails_each_request() -> None:
    async def talk() -> None:
        target = SessionTarget(Session("127.0.0.1", 1))
        await target.open()
        for number in range(2):
            with pytest.raises(ConnectionRefusedError):
                await target.request(number, 0.0)
        await target.close()

    asyncio.run(talk())


def test_both_in_the_program_with_their_results(tmp_path: t.Any) -> None:
    guest = Guest(*[("a", number) for number in range(1, 400)], ("b", 3))

    async def probe(state: int, echo: int) -> list[dict[str, t.Any]]:
        probes = [
            {"name": "memory", "kind": "guest_ledger", "host": "127.0.0.1", "port": state, "rate": 50},
            {"name": "session", "kind": "session", "host": "127.0.0.1", "port": echo, "rate": 50},
        ]
        config = parse_run({"run": "move", "probes": probes, "max_seconds": 0.6})
        await Runner(config, tmp_path).run()
        return json.loads((tmp_path / "results.json").read_text())

    memory, session = with_guest(guest, probe)
    assert memory["failed"] == session["failed"] == 0 and memory["requests"] > 20 < session["requests"]
    assert (memory["lost"], memory["unexpected"], memory["acknowledged"]) == (0, 0, memory["requests"])
    assert "lost" not in session and len(guest.sessions) == 1
