# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The message ledger: numbered messages, confirmed by the broker, consumed again on a connection of their own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.amqp import (
    OPEN_SECONDS,
    Link,
    Session,
    call,
    connection_parameters,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import Balance, Ledger, Outcome
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import MessageLedger
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.series import Series

DRAIN_SECONDS = 20.0
_PREFETCH = 500
_POLL_SECONDS = 0.05


class _Publication(t.NamedTuple):
    """A message on its way: its number, when it was due and sent, and who waits for its confirmation."""

    number: int
    scheduled: float
    sent: float
    confirmed: asyncio.Future[None]


class MessageTarget:
    """A request is good when its message was confirmed; ``consumption`` has a sample for each confirmed message.

    Messages published while there is no session fail at once: they were never sent, hence refused.
    """

    def __init__(self, settings: MessageLedger, run: str, timeout: float, consumption: Series) -> None:
        self.ledger = Ledger()
        self.consumption = consumption
        self._settings = settings
        self._run = run
        self._timeout = timeout
        self._queue_declared = False
        self._returned: set[int] = set()
        self._deliveries: dict[int, int] = {}
        self._delivered_at: dict[int, float] = {}
        self._awaited: dict[int, tuple[int, float]] = {}
        self._expired: dict[int, float] = {}

    async def open(self) -> None:
        """Load the client library and connect, the consumer to the second host of the list.

        Waits at most OPEN_SECONDS for both; what is published before there is a connection fails.
        """
        self._loop = asyncio.get_running_loop()
        candidates = [connection_parameters(self._settings, host) for host in self._settings.hosts]
        self._properties = importlib.import_module("pika").BasicProperties
        self._publisher = Link(candidates, self._prepare_publisher, self._unconfirmed, self._lose_publisher)
        self._consumer = Link(
            [*candidates[1:], candidates[0]], self._prepare_consumer, self._undelivered, lambda _session, _reason: None
        )
        self._publisher.start()
        self._consumer.start()
        self._expiry = self._loop.create_task(self._expire())
        deadline = self._loop.time() + OPEN_SECONDS
        while None in (self._publisher.session, self._consumer.session) and self._loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)

    async def request(self, number: int, scheduled: float) -> None:
        """Publish message ``number`` and wait for its confirmation."""
        self.ledger.open(number)
        session = self._publisher.session
        if session is None or not session.channel.is_open:
            self.ledger.note(number, Outcome.REFUSED)
            raise Failure(f"not connected: {self._publisher.last_error}")
        session.channel.basic_publish(
            exchange="",
            routing_key=self._settings.queue,
            body=f"{self._run} {number}".encode(),
            properties=self._properties(delivery_mode=2, message_id=str(number)),
            mandatory=True,
        )
        confirmed: asyncio.Future[None] = self._loop.create_future()
        session.pending[session.next_tag] = _Publication(number, scheduled, self._loop.time(), confirmed)
        session.next_tag += 1
        await confirmed

    async def balance(self) -> Balance:
        """Wait (at most DRAIN_SECONDS) until every confirmed message was delivered, then compare."""
        deadline = self._loop.time() + DRAIN_SECONDS
        while (self._awaited or self._expired) and self._loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        return self.ledger.balance(self._deliveries)

    async def close(self) -> None:
        """Close both connections."""
        self._expiry.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._expiry
        await asyncio.gather(self._publisher.close(), self._consumer.close())

    # publishing

    async def _prepare_publisher(self, session: Session) -> None:
        # Asking for a queue whose leader is lost may hang; once it is there, publishing needs no declaration.
        if not self._queue_declared:
            await self._declare_queue(session)
        session.channel.add_on_return_callback(self._note_return)
        await call(
            session,
            lambda answer: session.channel.confirm_delivery(
                lambda frame: self._settle(session, frame.method), callback=answer
            ),
        )

    async def _declare_queue(self, session: Session) -> None:
        await call(
            session,
            lambda answer: session.channel.queue_declare(
                self._settings.queue, durable=True, arguments={"x-queue-type": "quorum"}, callback=answer
            ),
        )
        self._queue_declared = True

    def _settle(self, session: Session, method: t.Any) -> None:
        """Take a confirmation (ack) or a refusal (nack) of one message, or of all up to one."""
        session.last_progress = self._loop.time()
        tag: int = method.delivery_tag
        tags = [one for one in session.pending if one <= tag] if method.multiple else [tag]
        for one in tags:
            publication: _Publication | None = session.pending.pop(one, None)
            if publication is not None:
                self._note_answer(publication, method.NAME.endswith("Ack"))

    def _note_answer(self, publication: _Publication, acknowledged: bool) -> None:
        number, confirmed = publication.number, publication.confirmed
        if acknowledged and number not in self._returned:
            self.ledger.note(number, Outcome.ACKNOWLEDGED)
            self._expect(publication)
            if not confirmed.done():
                confirmed.set_result(None)
            return
        self.ledger.note(number, Outcome.REFUSED)
        if not confirmed.done():
            confirmed.set_exception(Failure("returned: no queue" if acknowledged else "refused by the broker"))

    def _note_return(self, _channel: t.Any, _method: t.Any, properties: t.Any, _body: bytes) -> None:
        self._returned.add(int(properties.message_id))

    def _unconfirmed(self, session: Session) -> bool:
        if not session.pending:
            return False
        oldest: _Publication = next(iter(session.pending.values()))
        return self._loop.time() - max(oldest.sent, session.last_progress) > self._settings.stall_reconnect

    def _lose_publisher(self, session: Session, reason: str) -> None:
        for publication in session.pending.values():
            if not publication.confirmed.done():
                publication.confirmed.set_exception(Failure(f"lost before the confirmation: {reason}"))
        session.pending.clear()

    # consuming

    async def _prepare_consumer(self, session: Session) -> None:
        if not self._queue_declared:
            await self._declare_queue(session)
        channel = session.channel
        channel.add_on_cancel_callback(lambda _frame: channel.close())
        await call(session, lambda answer: channel.basic_qos(prefetch_count=_PREFETCH, callback=answer))
        await call(
            session,
            lambda answer: channel.basic_consume(
                self._settings.queue,
                lambda _channel, method, _properties, body: self._deliver(session, method.delivery_tag, body),
                callback=answer,
            ),
        )

    def _deliver(self, session: Session, tag: int, body: bytes) -> None:
        # A session that is being prepared has deliveries too: they come with the answer to its request.
        if session.given_up or session.lost.done():
            return
        session.last_progress = self._loop.time()
        session.channel.basic_ack(tag)
        run, _space, text = body.decode(errors="replace").rpartition(" ")
        if run != self._run or not text.isdigit():
            return
        number = int(text)
        self._deliveries[number] = self._deliveries.get(number, 0) + 1
        self._expired.pop(number, None)
        awaited = self._awaited.pop(number, None)
        if awaited is not None:
            self.consumption.settle(awaited[0], self._loop.time())
        elif self._deliveries[number] == 1 and self.ledger.outcome(number) != Outcome.ACKNOWLEDGED:
            self._delivered_at[number] = self._loop.time()

    def _expect(self, publication: _Publication) -> None:
        """Begin the consuming sample of a confirmed message; its delivery may have come before the confirmation."""
        index = self.consumption.start(publication.scheduled, publication.sent)
        delivered = self._delivered_at.pop(publication.number, None)
        if delivered is not None:
            self.consumption.settle(index, delivered)
        else:
            self._awaited[publication.number] = (index, self._loop.time())

    def _undelivered(self, session: Session) -> bool:
        # What expired was confirmed before all that has not, and is still to come: publishing may have ended.
        waits = itertools.chain(self._expired.values(), (confirmed for _index, confirmed in self._awaited.values()))
        oldest = next(waits, None)
        if oldest is None:
            return False
        return self._loop.time() - max(oldest, session.last_progress) > self._settings.stall_reconnect

    async def _expire(self) -> None:
        """Fail the consuming sample of a message that did not come within the timeout; it is awaited on, unmeasured."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            now = self._loop.time()
            while self._awaited:
                number, (index, confirmed) = next(iter(self._awaited.items()))
                if now - confirmed <= self._timeout:
                    break
                del self._awaited[number]
                self._expired[number] = confirmed
                self.consumption.settle(index, now, "not delivered")
