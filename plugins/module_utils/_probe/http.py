# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Probes of connections and HTTP: a new connection for every request, as a new client would make it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
import typing as t
from urllib.parse import SplitResult, urlsplit

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import Http, IdentityToken, Tcp

MAX_HEAD = 65536
READ_BYTES = 16384
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TcpTarget:
    """Connects and closes."""

    def __init__(self, settings: Tcp) -> None:
        self._settings = settings

    async def open(self) -> None:
        """Nothing to prepare."""

    async def request(self, number: int, scheduled: float) -> None:
        """One connection."""
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.create_connection(asyncio.Protocol, self._settings.host, self._settings.port)
        transport.abort()

    async def close(self) -> None:
        """Nothing to release."""


class HttpTarget:
    """Sends the same bytes each time and judges the status of the answer, which must arrive whole."""

    def __init__(self, url: str, payload: bytes, status: tuple[int, ...], ca_file: str | None) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = _port(parts)
        self._payload = payload
        self._status = status
        self._context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._address = _literal(self._host)
        self._server_name = self._host if self._context else None

    @classmethod
    def from_settings(cls, settings: Http) -> HttpTarget:
        """The request that the settings describe."""
        payload = http_payload(settings.url, settings.method, settings.headers)
        return cls(settings.url, payload, settings.status, settings.ca_file)

    @classmethod
    def issuing_token(cls, settings: IdentityToken) -> HttpTarget:
        """POST /auth/tokens with a password, scoped to a project; 201 is expected."""
        url = f"{settings.url.rstrip('/')}/auth/tokens"
        domain = {"name": settings.domain}
        user = {"name": settings.user, "domain": domain, "password": settings.password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": settings.project, "domain": domain}}
        body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
        payload = http_payload(url, "POST", {"Content-Type": "application/json"}, body)
        return cls(url, payload, (201,), settings.ca_file)

    async def open(self) -> None:
        """Nothing to prepare: names are resolved by each request, as clients do."""

    async def request(self, number: int, scheduled: float) -> None:
        """One exchange on a connection of its own."""
        if self._address is not None and self._context is None:
            status = await self._exchange_plainly(*self._address)
        else:
            status = await self._exchange_over_transport()
        if status not in self._status:
            raise Failure(f"status {status}")

    async def _exchange_plainly(self, family: socket.AddressFamily, host: str) -> int:
        """Without a transport: half the processor time, which counts when one core carries hundreds a second."""
        loop = asyncio.get_running_loop()
        answer = Answer(self._payload)
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, (host, self._port))
            await loop.sock_sendall(connection, self._payload)
            while not answer.complete:
                data = await loop.sock_recv(connection, READ_BYTES)
                if not data:
                    answer.end()
                answer.feed(data)
        return answer.status

    async def _exchange_over_transport(self) -> int:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[int] = loop.create_future()
        transport, _protocol = await loop.create_connection(
            lambda: _Exchange(self._payload, answered),
            self._host,
            self._port,
            ssl=self._context,
            server_hostname=self._server_name,
        )
        try:
            return await answered
        finally:
            transport.abort()

    async def close(self) -> None:
        """Nothing to release."""


def http_payload(url: str, method: str, headers: t.Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of an HTTP/1.1 request that asks for the connection to be closed after the answer."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    fields = {"Host": f"{host}:{_port(parts)}", "Connection": "close", "Accept": "*/*", **headers}
    if body:
        fields["Content-Length"] = str(len(body))
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _literal(host: str) -> tuple[socket.AddressFamily, str] | None:
    """The family and text of an address; ``None`` for a name."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return (socket.AF_INET if version == 4 else socket.AF_INET6), host


class Answer:
    """An HTTP answer as it comes in; its body is counted and thrown away."""

    def __init__(self, request: bytes) -> None:
        self._bodiless = request.startswith(b"HEAD ")
        self.status = 0
        self.complete = False
        self._head = b""
        # Bytes of body still to come; None when the answer ends with the connection.
        self._missing: int | None = None

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises Failure when it is no HTTP."""
        if self.status:
            self._take(len(data))
            return
        self._head += data
        head, separator, body = self._head.partition(b"\r\n\r\n")
        if separator:
            self._read_head(head)
            self._take(len(body))
        elif len(self._head) > MAX_HEAD:
            raise Failure("no HTTP answer")

    def end(self) -> None:
        """The connection has ended. Raises Failure when the answer has not."""
        if not self.complete and (not self.status or self._missing is not None):
            raise Failure("answer cut short" if self._head else "connection closed without an answer")
        self.complete = True

    def _read_head(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        words = lines[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise Failure("no HTTP answer")
        self.status = int(words[1])
        if self._bodiless:
            self._missing = 0
            return
        for line in lines[1:]:
            name, _colon, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                self._missing = int(value)

    def _take(self, received: int) -> None:
        if self._missing is not None:
            self._missing -= received
            self.complete = self._missing <= 0


class _Exchange(asyncio.Protocol):
    """Writes the request and resolves the future with the status when the answer is complete."""

    def __init__(self, payload: bytes, answered: asyncio.Future[int]) -> None:
        self._payload = payload
        self._answered = answered
        self._answer = Answer(payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        t.cast("asyncio.Transport", transport).write(self._payload)

    def data_received(self, data: bytes) -> None:
        self._progress(lambda: self._answer.feed(data))

    def eof_received(self) -> None:
        self._progress(self._answer.end)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._answered.done():
            self._answered.set_exception(exc)
        self._progress(self._answer.end)

    def _progress(self, step: t.Callable[[], None]) -> None:
        if self._answered.done():
            return
        try:
            step()
        except Failure as failure:
            self._answered.set_exception(failure)
            return
        if self._answer.complete:
            self._answered.set_result(self._answer.status)
