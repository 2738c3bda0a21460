# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A Ceph cluster's monitors: commands and answers in JSON, errors explained.

Written against MonitorConnection, which ``rados.Rados`` is, and the tests' recorded cluster.
"""

from __future__ import annotations

import errno
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

Json = dict[str, t.Any]
_REMEDIES = {
    errno.EACCES: "Give the client the caps that the command needs, or use another client.",
    errno.EPERM: "Do what the message asks for, or give the client the caps that the command needs.",
    errno.ETIMEDOUT: "See that a majority of the monitors runs; raise command_timeout when they are only slow.",
}


class MonitorConnection(t.Protocol):
    """What is used of ``rados.Rados``."""

    def mon_command(
        self, cmd: str, inbuf: bytes, timeout: int = 0, target: str | None = None
    ) -> tuple[int, bytes, str]:
        """0 or a negative errno, the output, and a message for people. ``target`` is one monitor's name."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """0 or a negative errno, the message for people, and the answer, empty when there is none."""

    code: int
    said: str
    answer: Json


class Ceph:
    """Commands for the monitors. ``timeout_s`` is what the connection itself was told, for messages."""

    def __init__(self, connection: MonitorConnection, timeout_s: int) -> None:
        self.connection = connection
        self._timeout_s = timeout_s

    def read(self, prefix: str, **arguments: t.Any) -> t.Any:
        """The answer of a command that only reads."""
        return self._answer(prefix, arguments, None)

    def find(self, prefix: str, **arguments: t.Any) -> t.Any:
        """The same, or None when the monitors say that there is no such thing."""
        code, output, message = self._run(prefix, arguments, None)
        if code == -errno.ENOENT:
            return None
        return self._parsed(prefix, code, output, message)

    def change(self, prefix: str, **arguments: t.Any) -> None:
        """A command that changes the cluster."""
        code, _output, message = self._run(prefix, arguments, None)
        if code < 0:
            raise self._explained(prefix, code, message)

    def create(self, prefix: str, given: str, **arguments: t.Any) -> t.Any:
        """The answer of a command that changes the cluster and gets a text, such as a secret, beside its arguments."""
        code, output, message = self._run(prefix, arguments, None, given.encode())
        return self._parsed(prefix, code, output, message)

    def attempt(self, prefix: str, **arguments: t.Any) -> Attempt:
        """What comes of a command whose refusal is an answer."""
        code, output, message = self._run(prefix, arguments, None)
        try:
            return Attempt(code, message.strip(), json.loads(output))
        except ValueError:
            return Attempt(code, message.strip(), {})

    def leader_setting(self, name: str) -> str:
        """An option as the leading monitor uses it, wherever it was set: file, cluster configuration, default."""
        leader = self.read("quorum_status")["quorum_leader_name"]
        return str(self._answer("config get", {"var": name}, leader)[name])

    def _answer(self, prefix: str, arguments: Json, target: str | None) -> t.Any:
        code, output, message = self._run(prefix, arguments, target)
        return self._parsed(prefix, code, output, message)

    def _run(self, prefix: str, arguments: Json, target: str | None, given: bytes = b"") -> tuple[int, bytes, str]:
        named = {name: value for name, value in arguments.items() if value is not None}
        command = json.dumps({"prefix": prefix, "format": "json", **named})
        return self.connection.mon_command(command, given, 0, target)

    def _parsed(self, prefix: str, code: int, output: bytes, message: str) -> t.Any:
        if code < 0:
            raise self._explained(prefix, code, message)
        try:
            return json.loads(output)
        except ValueError as error:
            found = f"{len(output)} bytes that are no JSON"
            raise LifeboatError(
                f"Ceph command '{prefix}'", found, "an answer in JSON", "Use Ceph Pacific or later."
            ) from error

    def _explained(self, prefix: str, code: int, message: str) -> LifeboatError:
        number = -code
        name = errno.errorcode.get(number, str(number))
        found = f"no answer within {self._timeout_s} s" if number == errno.ETIMEDOUT else f"{name}: {message.strip()}"
        remedy = _REMEDIES.get(number, "Correct what the monitors complain about.")
        return LifeboatError(f"Ceph command '{prefix}'", found, "a command that succeeds", remedy)
