# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""One AMQP channel kept open on one of several hosts, without ever blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import ssl
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure, reason_of

if t.TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import MessageLedger

CONNECT_SECONDS = 1.0
OPEN_SECONDS = 3.0
BACKOFF_SECONDS = 0.05
_WATCH_SECONDS = 0.05
_HEARTBEAT_SECONDS = 4


@dataclass(eq=False, slots=True)
class Session:
    """An open channel. ``lost`` resolves with the reason when the channel or its connection is gone.

    ``given_up`` is said before that, when its owner has no more use for it: what still arrives is nobody's.
    """

    host: str
    connection: t.Any
    channel: t.Any
    lost: asyncio.Future[str]
    last_progress: float
    given_up: bool = False
    # What was published and not confirmed: delivery tag -> the owner's note.
    pending: dict[int, t.Any] = field(default_factory=dict)
    next_tag: int = 1


def connection_parameters(settings: MessageLedger, host: str) -> t.Any:
    """Short timeouts and a heartbeat; a host that does not answer costs at most CONNECT_SECONDS."""
    pika = importlib.import_module("pika")
    # The library reports each lost connection as an error; here losing connections is the point.
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)
    tls = None
    if settings.ca_file:
        tls = pika.SSLOptions(ssl.create_default_context(cafile=settings.ca_file), host)
    return pika.ConnectionParameters(
        host=host,
        port=settings.port,
        virtual_host=settings.vhost,
        credentials=pika.PlainCredentials(settings.user, settings.password),
        ssl_options=tls,
        heartbeat=_HEARTBEAT_SECONDS,
        connection_attempts=1,
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=OPEN_SECONDS,
    )


async def open_session(parameters: t.Any) -> Session:
    """Connect and open a channel. Raises Failure with the reason."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[t.Any] = loop.create_future()
    lost: asyncio.Future[str] = loop.create_future()

    def gone(_source: t.Any, error: BaseException) -> None:
        if not lost.done():
            lost.set_result(amqp_reason(error))
        if not opened.done():
            opened.set_exception(Failure(lost.result()))

    def on_channel(channel: t.Any) -> None:
        channel.add_on_close_callback(gone)
        if not opened.done():
            opened.set_result(channel)

    connection = importlib.import_module("pika.adapters.asyncio_connection").AsyncioConnection(
        parameters,
        on_open_callback=lambda made: made.channel(on_open_callback=on_channel),
        on_open_error_callback=gone,
        on_close_callback=gone,
        custom_ioloop=loop,
    )
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            channel = await opened
    except BaseException:
        _close(connection)
        raise
    return Session(parameters.host, connection, channel, lost, loop.time())


async def call(session: Session, request: Callable[[Callable[[t.Any], None]], t.Any]) -> None:
    """Send a method that the broker answers and wait for the answer. Raises Failure when the session is lost first."""
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    request(lambda _frame: None if answered.done() else answered.set_result(None))
    await asyncio.wait((answered, session.lost), return_when=asyncio.FIRST_COMPLETED)
    if not answered.done():
        raise Failure(session.lost.result())


class Link:
    """Keeps a session: on loss the next host at once, on a stall the next host as soon as that one answers.

    ``prepare`` makes a session ready for use, ``stalled`` says whether the owner waits in vain on it, and
    ``dropped`` is told of each session that is given up, with the reason.
    """

    def __init__(
        self,
        candidates: Sequence[t.Any],
        prepare: Callable[[Session], Awaitable[None]],
        stalled: Callable[[Session], bool],
        dropped: Callable[[Session, str], None],
    ) -> None:
        self.session: Session | None = None
        self.last_error = "not connected yet"
        self._candidates = candidates
        self._prepare = prepare
        self._stalled = stalled
        self._dropped = dropped
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect and stay connected until :meth:`close`."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Stop reconnecting and say goodbye."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.session is not None:
            _give_up(self.session)
            # The goodbye leaves with the next turns of the loop; nobody waits for the answer.
            await asyncio.wait((self.session.lost,), timeout=CONNECT_SECONDS)

    async def _keep(self) -> None:
        index = 0
        while True:
            session = await self._open(index)
            if session is not None:
                self.session = session
                index = await self._watch(session, index)
                continue
            index += 1
            if index % len(self._candidates) == 0:
                await asyncio.sleep(BACKOFF_SECONDS)

    async def _watch(self, session: Session, index: int) -> int:
        """Return the index of the host to try next, once the session is lost; a stalled one is replaced meanwhile."""
        while not session.lost.done():
            await asyncio.wait((session.lost,), timeout=_WATCH_SECONDS)
            if session.lost.done() or not self._stalled(session):
                continue
            index += 1
            progress = session.last_progress
            replacement = await self._open(index)
            # The stall may have ended while the other host was asked; what the replacement took does not end it.
            ended = session.last_progress > progress and not self._stalled(session)
            if replacement is not None and ended and not session.lost.done():
                _give_up(replacement)
            elif replacement is not None:
                self._drop(session, "no confirmation or delivery came any more")
                self.session = session = replacement
        self._drop(session, session.lost.result())
        return index + 1

    def _drop(self, session: Session, reason: str) -> None:
        self.last_error = reason
        self.session = None
        _give_up(session)
        self._dropped(session, reason)

    async def _open(self, index: int) -> Session | None:
        session = None
        try:
            session = await open_session(self._candidates[index % len(self._candidates)])
            async with asyncio.timeout(OPEN_SECONDS):
                await self._prepare(session)
        except Exception as error:  # whatever the library raises, the next host is tried
            self.last_error = reason_of(error)
            if session is not None:
                _give_up(session)
            return None
        return session


def amqp_reason(error: BaseException) -> str:
    """The code and text of a reply, the cause of a connection that could not be made, or the class of the error."""
    code, text = getattr(error, "reply_code", None), getattr(error, "reply_text", None)
    if isinstance(code, int) and code:
        return f"{code} {str(text).splitlines()[0] if text else ''}".strip()
    causes = getattr(error, "exceptions", None) or [getattr(error, "exception", None), *error.args]
    for cause in reversed(causes):
        if isinstance(cause, BaseException):
            return amqp_reason(cause)
    return reason_of(error) if isinstance(error, OSError) else type(error).__name__


def _give_up(session: Session) -> None:
    session.given_up = True
    _close(session.connection)


def _close(connection: t.Any) -> None:
    """Say goodbye without waiting; the broker hangs up, or the heartbeat does."""
    with contextlib.suppress(Exception):
        connection.close()
