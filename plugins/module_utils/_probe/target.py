# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the runner asks of every kind of probe, and how failures are named."""

from __future__ import annotations

import os
import socket
import ssl
import typing as t

MAX_LENGTH = 120


class Failure(Exception):  # noqa: N818 - the request failed, not the program
    """A request failed; the text is the reason that is counted and shown."""


class Target(t.Protocol):
    """What requests are sent to. ``request`` may be called while earlier ones are still under way."""

    async def open(self) -> None:
        """Prepare; a target that cannot be reached is no error here, its requests will fail."""

    async def request(self, number: int, scheduled: float) -> None:
        """Send the request that was due at ``scheduled`` and wait for its answer; cancelled at its timeout.

        Raises Failure or OSError.
        """

    async def close(self) -> None:
        """Release everything; called once, after the last request."""


def reason_of(error: BaseException) -> str:
    """A short reason, the same for the same cause, without addresses or secrets."""
    if isinstance(error, Failure):
        return str(error)[:MAX_LENGTH]
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', None) or error.reason or 'handshake failed'}"[:MAX_LENGTH]
    if isinstance(error, socket.gaierror):
        return "name not resolved"
    if isinstance(error, OSError):
        # A timeout of asyncio is an OSError without a number; so is a connection refused at several addresses.
        unnumbered = "timeout" if isinstance(error, TimeoutError) else "connection failed"
        return unnumbered if error.errno is None else os.strerror(error.errno).lower()
    return type(error).__name__
