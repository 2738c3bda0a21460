# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Echo requests over one socket: without privileges where the kernel allows it, raw otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import Icmp

_HEADER = struct.Struct("!BBHHH")
_ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_ECHO_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


class IcmpTarget:
    """Replies are recognised by a token of this probe and the sequence number, since a raw socket sees all of them."""

    def __init__(self, settings: Icmp) -> None:
        self._host = settings.host
        self._token = os.urandom(8)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._socket: socket.socket | None = None
        self._address: tuple[t.Any, ...] = ()

    async def open(self) -> None:
        """Resolve the host once and open the socket; raises OSError when neither kind of socket is allowed."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, None, type=socket.SOCK_DGRAM)
        family, self._address = socket.AddressFamily(found[0][0]), found[0][4]
        self._socket = _open_socket(family)
        loop.add_reader(self._socket, self._receive)

    async def request(self, number: int, scheduled: float) -> None:
        """One echo request; answered when its reply is seen."""
        if self._socket is None:
            raise Failure("no ICMP socket")
        sequence = number & 0xFFFF
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = reply
        try:
            self._socket.sendto(echo_request(self._socket.family, sequence, self._token), self._address)
            await reply
        finally:
            if self._waiting.get(sequence) is reply:
                del self._waiting[sequence]

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _receive(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            while True:
                packet = self._socket.recv(2048)
                sequence = reply_sequence(self._socket.family, packet, self._token)
                reply = self._waiting.get(sequence) if sequence is not None else None
                if reply is not None and not reply.done():
                    reply.set_result(None)


def _open_socket(family: socket.AddressFamily) -> socket.socket:
    try:
        opened = socket.socket(family, socket.SOCK_DGRAM, _PROTOCOL[family])
    except PermissionError:
        opened = socket.socket(family, socket.SOCK_RAW, _PROTOCOL[family])
    opened.setblocking(False)
    return opened


def echo_request(family: int, sequence: int, token: bytes) -> bytes:
    """The packet; the kernel fills in the identifier of a datagram socket and the checksum of IPv6."""
    kind, identifier = _ECHO_REQUEST[socket.AddressFamily(family)], os.getpid() & 0xFFFF
    unsigned = _HEADER.pack(kind, 0, 0, identifier, sequence) + token
    return _HEADER.pack(kind, 0, checksum(unsigned), identifier, sequence) + token


def reply_sequence(family: int, packet: bytes, token: bytes) -> int | None:
    """The sequence number of an echo reply that carries our token, else ``None``."""
    # A raw IPv4 socket delivers the IP header too; a datagram socket and IPv6 do not.
    offset = (packet[0] & 0x0F) * 4 if family == socket.AF_INET and packet[:1] >= b"\x40" else 0
    if len(packet) < offset + _HEADER.size or packet[offset + _HEADER.size :] != token:
        return None
    header: tuple[int, ...] = _HEADER.unpack_from(packet, offset)
    kind, sequence = header[0], header[4]
    return sequence if kind == _ECHO_REPLY[socket.AddressFamily(family)] else None


def checksum(data: bytes) -> int:
    """The internet checksum, RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    words: tuple[int, ...] = struct.unpack(f"!{len(padded) // 2}H", padded)
    total = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
