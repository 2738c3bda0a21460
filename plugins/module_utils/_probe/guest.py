# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Probes of a guest that is moved: whether it is the same boot, whether it forgets, and whether an open session lives.

The guest is one of the role guest_image. It answers ``/state`` with its boot id and a counter that is on its disk
before the answer is sent, and echoes what it gets on port 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.http import MAX_HEAD, http_payload
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import MAX_EXAMPLES, Balance
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import GuestLedger, Session

_MESSAGE_BYTES = 8


class GuestTarget:
    """Asks for the counter, on a new connection each time."""

    def __init__(self, settings: GuestLedger) -> None:
        self._settings = settings
        self._payload = http_payload(f"http://{settings.host}:{settings.port}/state", "GET", {})
        # The highest that any answer has told so far: every request sent from then on must be told more.
        self._highest = 0
        self._answered = 0
        self._went_back: list[int] = []
        self._seen: set[int] = set()
        self._repeated = 0
        self._boots: list[str] = []

    async def open(self) -> None:
        """Nothing to prepare."""

    async def request(self, number: int, scheduled: float) -> None:
        """One answer, judged by what had been told before it was asked for."""
        told_before = self._highest
        reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
        try:
            writer.write(self._payload)
            answer = await reader.read(MAX_HEAD)
            while more := await reader.read(MAX_HEAD):
                answer += more
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        boot, counter = _state(answer)
        self._note(boot, counter, told_before)

    def _note(self, boot: str, counter: int, told_before: int) -> None:
        self._answered += 1
        if boot not in self._boots:
            self._boots.append(boot)
        if counter <= told_before:
            self._went_back.append(counter)
        self._repeated += counter in self._seen
        self._seen.add(counter)
        self._highest = max(self._highest, counter)

    async def balance(self) -> Balance:
        """``lost``: answers that told no more than one before them; ``unexpected``: how often it booted meanwhile."""
        return Balance(
            acknowledged=self._answered,
            refused=0,
            unknown=0,
            lost=len(self._went_back),
            unexpected=max(0, len(self._boots) - 1),
            duplicated=self._repeated,
            lost_examples=tuple(self._went_back[:MAX_EXAMPLES]),
        )

    async def close(self) -> None:
        """Nothing to release."""


def _state(answer: bytes) -> tuple[str, int]:
    head, _separator, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise Failure("no HTTP answer")
    if words[1] != b"200":
        raise Failure(f"status {words[1].decode(errors='replace')}")
    try:
        state = json.loads(body)
        return str(state["boot_id"]), int(state["counter"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failure("no state of a guest") from error


class SessionTarget:
    """One connection for all requests. Once it is lost it stays lost, as it would for its user."""

    def __init__(self, settings: Session) -> None:
        self._settings = settings
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._session: asyncio.Task[asyncio.StreamWriter] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lost = ""

    async def open(self) -> None:
        """Begin to connect; until then requests wait."""
        self._session = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))
        return writer

    async def request(self, number: int, scheduled: float) -> None:
        """One message and its echo."""
        if self._session is None or self._lost:
            raise Failure(self._lost or "no session")
        # A request that is given up does not end the session.
        writer = await asyncio.shield(self._session)
        message = number.to_bytes(_MESSAGE_BYTES, "big")
        self._waiting[message] = asyncio.get_running_loop().create_future()
        try:
            writer.write(message)
            await self._waiting[message]
        finally:
            self._waiting.pop(message, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                message = await reader.readexactly(_MESSAGE_BYTES)
                echoed = self._waiting.get(message)
                if echoed is not None and not echoed.done():
                    echoed.set_result(None)
        except (OSError, asyncio.IncompleteReadError):
            self._lost = "session lost"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Failure(self._lost))

    async def close(self) -> None:
        """Close the session."""
        if self._reading is not None:
            self._reading.cancel()
        if self._session is None or not self._session.done():
            return
        with contextlib.suppress(OSError):
            writer = self._session.result()
            writer.close()
            await writer.wait_closed()
