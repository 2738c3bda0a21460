# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers load balancers over HTTP whether this Galera member serves: 200 when Synced in a Primary component, else 503.

Usage: galera-health ADDRESS PORT. One connection to the member is kept and asked anew every POLL_S; an answer
older than FRESH_S counts as none, so that a member that hangs is not reported as healthy.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pymysql

SOCKET = "/run/mysqld/mysqld.sock"
POLL_S = 0.1
FRESH_S = 0.4
ANSWER_TIMEOUT_S = 1
HEALTHY = {"wsrep_local_state_comment": "Synced", "wsrep_cluster_status": "Primary", "wsrep_ready": "ON"}
QUESTION = f"SHOW GLOBAL STATUS WHERE Variable_name IN {tuple(HEALTHY)}"


class Member:
    """What the member said last, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self.said = "has not answered yet"
        self.healthy = False
        self.at = float("-inf")

    def watch(self) -> None:
        """Ask for ever; runs in a thread of its own."""
        connection = None
        while True:
            try:
                connection = connection or pymysql.connect(
                    unix_socket=SOCKET,
                    user="galera-health",
                    connect_timeout=ANSWER_TIMEOUT_S,
                    read_timeout=ANSWER_TIMEOUT_S,
                )
                with connection.cursor() as cursor:
                    cursor.execute(QUESTION)
                    status = dict(cursor.fetchall())
                self.said = ", ".join(f"{name}={value}" for name, value in sorted(status.items()))
                self.healthy = status == HEALTHY
                self.at = time.monotonic()
            except (pymysql.MySQLError, OSError) as error:
                self.said, self.healthy, connection = f"no answer: {error}", False, None
            time.sleep(POLL_S)

    def answer(self) -> bytes:
        """The HTTP response to any request."""
        age = time.monotonic() - self.at
        healthy = self.healthy and age < FRESH_S
        text = f"{self.said}; {age:.1f} s ago\n".encode()
        status = b"200 OK" if healthy else b"503 Service Unavailable"
        return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(text), text)


async def serve(address: str, port: int, member: Member) -> None:
    """Answer every connection; what it asks does not matter."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(member.answer())
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(reply, address, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    watched = Member()
    threading.Thread(target=watched.watch, daemon=True).start()
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), watched))
