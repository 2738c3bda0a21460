# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message ledger with a broker that speaks AMQP."""

from __future__ import annotations

import asyncio
import contextlib
import time
import typing as t
from dataclasses import dataclass, field

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe import messages
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import MessageLedger
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.messages import MessageTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.series import Series

pika = pytest.importorskip("pika")


@dataclass
class Broker:
    """As much of an AMQP 0-9-1 broker as the probe needs; ``manner``: serve, hang (reads, says nothing) or nack.

    Brokers that share ``queue`` are one cluster: a message goes to any consumer of any of them. What a consumer has not
    acknowledged when it goes is queued again.
    """

    queue: list[bytes] = field(default_factory=list)
    manner: str = "serve"
    port: int = 0
    loses: set[bytes] = field(default_factory=set)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    consumers: list[tuple[asyncio.StreamWriter, str]] = field(default_factory=list)
    unacknowledged: dict[int, tuple[asyncio.StreamWriter, bytes]] = field(default_factory=dict)
    deliveries: int = 0
    clients: int = 0

    async def start(self, host: str, port: int = 0) -> None:
        self.server = await asyncio.start_server(self._serve, host, port)
        self.port = self.server.sockets[0].getsockname()[1]

    def kill(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(8)
            if self.manner != "hang":
                properties = {"capabilities": {"publisher_confirms": True, "basic.nack": True}}
                self._send(writer, 0, pika.spec.Connection.Start(server_properties=properties, mechanisms="PLAIN"))
            buffered, published = b"", 0
            while data := await reader.read(65536):
                buffered += data
                while (frame := pika.frame.decode_frame(buffered))[1] is not None:
                    buffered = buffered[frame[0] :]
                    if self.manner != "hang":
                        published = self._take(writer, frame[1], published)
        writer.close()
        left = [tag for tag, (holder, _body) in self.unacknowledged.items() if holder is writer]
        self.queue[:0] = [self.unacknowledged.pop(tag)[1] for tag in left]

    def _send(self, writer: asyncio.StreamWriter, channel: int, method: t.Any) -> None:
        if not writer.is_closing():
            writer.write(pika.frame.Method(channel, method).marshal())

    def _take(self, writer: asyncio.StreamWriter, frame: t.Any, published: int) -> int:
        spec = pika.spec
        if isinstance(frame, pika.frame.Body):
            self._store(writer, frame.channel_number, frame.fragment, published + 1)
            return published + 1
        if not isinstance(frame, pika.frame.Method):
            return published
        method = frame.method
        answers: dict[type, list[t.Any]] = {
            spec.Connection.StartOk: [spec.Connection.Tune(0, 131072, 0)],
            spec.Connection.Open: [spec.Connection.OpenOk()],
            spec.Connection.Close: [spec.Connection.CloseOk()],
            spec.Channel.Open: [spec.Channel.OpenOk()],
            spec.Channel.Close: [spec.Channel.CloseOk()],
            spec.Confirm.Select: [spec.Confirm.SelectOk()],
            spec.Basic.Qos: [spec.Basic.QosOk()],
            spec.Queue.Declare: [spec.Queue.DeclareOk("q", 0, 0)],
        }
        for answer in answers.get(type(method), []):
            self._send(writer, frame.channel_number, answer)
        if isinstance(method, spec.Basic.Ack):
            self.unacknowledged.pop(method.delivery_tag, None)
        if isinstance(method, spec.Basic.Consume):
            self._send(writer, frame.channel_number, spec.Basic.ConsumeOk(method.consumer_tag))
            self.consumers.append((writer, method.consumer_tag))
            # As RabbitMQ does: what waits in the queue leaves together with the answer.
            self.deliver()
        return published

    def _store(self, writer: asyncio.StreamWriter, channel: int, body: bytes, tag: int) -> None:
        if self.manner == "nack":
            self._send(writer, channel, pika.spec.Basic.Nack(tag, multiple=False, requeue=False))
            return
        if body not in self.loses:
            self.queue.append(body)
        self._send(writer, channel, pika.spec.Basic.Ack(tag, multiple=False))

    def deliver(self) -> None:
        """Hand everything that is queued to the newest consumer of this broker."""
        alive = [(writer, tag) for writer, tag in self.consumers if not writer.is_closing()]
        if not alive or self.manner == "hang":
            return
        writer, tag = alive[-1]
        while self.queue:
            body = self.queue.pop(0)
            self.deliveries += 1
            self.unacknowledged[self.deliveries] = (writer, body)
            self._send(writer, 1, pika.spec.Basic.Deliver(tag, self.deliveries, False, "", "q"))
            writer.write(pika.frame.Header(1, len(body), pika.spec.BasicProperties()).marshal())
            writer.write(pika.frame.Body(1, body).marshal())


@dataclass
class Cluster:
    """Two brokers with one queue, and the ledger that uses them."""

    first: Broker
    second: Broker
    target: MessageTarget
    consumption: Series

    async def publish(self, numbers: range, pause: float = 0.02) -> list[str | None]:
        """Publish, open loop; the reason of each failure."""
        tasks = []
        for number in numbers:
            tasks.append(asyncio.ensure_future(self.target.request(number, time.monotonic())))
            await asyncio.sleep(pause)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        return [None if end is None else str(end) for end in ends]


async def until(holds: t.Callable[[], object], limit: float = 20.0) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(limit):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def cluster() -> t.AsyncIterator[Cluster]:
    first = Broker()
    second = Broker(queue=first.queue)
    await first.start("127.0.0.1")
    await second.start("127.0.0.2", first.port)
    settings = MessageLedger(
        hosts=("127.0.0.1", "127.0.0.2"), port=first.port, user="u", queue="q", password="p", stall_reconnect=0.3
    )
    consumption = Series(slo=0.5, period=0.02)
    target = MessageTarget(settings, "run/messages", 1.0, consumption)
    await target.open()

    async def deliver() -> None:
        while True:
            first.deliver()
            second.deliver()
            await asyncio.sleep(0.01)

    delivering = asyncio.ensure_future(deliver())
    assert target._publisher.session is not None, target._publisher.last_error
    assert target._consumer.session is not None, target._consumer.last_error
    yield Cluster(first, second, target, consumption)
    delivering.cancel()
    await target.close()
    for broker in (first, second):
        broker.kill()


def test_messages_are_confirmed_and_consumed_and_losses_are_seen() -> None:
    async def scenario() -> None:
        async with cluster() as lab:
            lab.first.loses.add(b"run/messages 3")
            assert await lab.publish(range(10)) == [None] * 10
            lab.first.queue += [b"run/messages 5", b"another run 1"]
            lab.first.manner = "nack"
            assert await lab.publish(range(10, 12)) == ["refused by the broker"] * 2
            lab.first.queue.append(b"run/messages 10")
            await until(lambda: lab.target._expired and 10 in lab.target._deliveries)
            lab.target._expired.clear()
            balance = await lab.target.balance()
            assert (balance.acknowledged, balance.refused, balance.unknown) == (10, 2, 0)
            assert (balance.lost, balance.unexpected, balance.duplicated) == (1, 1, 1)
            assert balance.lost_examples == (3,)
            assert lab.consumption.successes == 9
            assert lab.consumption.errors == {"not delivered": 1}

    asyncio.run(scenario())


def test_a_killed_broker_costs_only_what_was_under_way() -> None:
    async def scenario() -> None:
        async with cluster() as lab:
            assert await lab.publish(range(5)) == [None] * 5
            publishing = asyncio.ensure_future(lab.publish(range(5, 40)))
            await asyncio.sleep(0.2)
            lab.first.manner = "hang"
            await asyncio.sleep(0.1)
            lab.first.kill()
            reasons = await publishing
            failed = [reason for reason in reasons if reason]
            assert 1 <= len(failed) <= 30
            assert failed[0].startswith("lost before the confirmation: ")
            assert reasons[-5:] == [None] * 5
            balance = await lab.target.balance()
            assert balance.lost == 0
            assert balance.acknowledged == 40 - len(failed)
            assert 1 <= balance.unknown <= len(failed)

    asyncio.run(scenario())


def test_a_broker_that_falls_silent_is_left_for_one_that_answers() -> None:
    async def scenario() -> None:
        async with cluster() as lab:
            await lab.publish(range(5))
            lab.first.manner = "hang"
            reasons = await lab.publish(range(5, 65))
            stalled = [reason for reason in reasons if reason]
            assert stalled
            # One after the other, from when it fell silent until another was found.
            first = next(number for number, reason in enumerate(reasons) if reason)
            assert all(reasons[first : first + len(stalled)])
            assert stalled[0] == "lost before the confirmation: no confirmation or delivery came any more"
            assert reasons[-5:] == [None] * 5
            balance = await lab.target.balance()
            assert (balance.lost, balance.unknown) == (0, len(stalled))

    asyncio.run(scenario())


def test_a_stalled_connection_is_kept_while_no_other_host_answers() -> None:
    async def scenario() -> None:
        async with cluster() as lab:
            await lab.publish(range(3))
            session = lab.target._publisher.session
            lab.second.kill()
            lab.first.manner = "hang"
            tasks = asyncio.ensure_future(lab.publish(range(3, 5)))
            await asyncio.sleep(0.8)
            assert lab.target._publisher.session is session
            tasks.cancel()

    asyncio.run(scenario())


def test_a_consumer_whose_broker_hangs_moves_on() -> None:
    async def scenario() -> None:
        async with cluster() as lab:
            lab.second.manner = "hang"
            assert await lab.publish(range(40)) == [None] * 40
            balance = await lab.target.balance()
            assert (balance.lost, balance.duplicated) == (0, 0)
            assert lab.consumption.good >= 15
            assert lab.consumption.last_success is not None
            session = lab.target._consumer.session
            assert session is not None and session.host == "127.0.0.1"

    asyncio.run(scenario())


def test_a_consumer_moves_on_for_messages_that_came_too_late_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    # Less than it takes the heartbeat to miss the broker.
    monkeypatch.setattr(messages, "DRAIN_SECONDS", 5.0)

    async def scenario() -> None:
        async with cluster() as lab:
            lab.second.manner = "hang"
            # What is connected stays so; nobody can connect anew.
            for broker in (lab.first, lab.second):
                broker.server.close()
            assert await lab.publish(range(5)) == [None] * 5
            await until(lambda: len(lab.target._expired) == 5)
            await lab.first.start("127.0.0.1", lab.first.port)
            balance = await lab.target.balance()
            assert (balance.acknowledged, balance.lost) == (5, 0)
            assert lab.consumption.errors == {"not delivered": 5}
            session = lab.target._consumer.session
            assert session is not None and session.host == "127.0.0.1"

    asyncio.run(scenario())
