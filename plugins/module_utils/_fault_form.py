# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What every form of fault is made of: the request, the form's interface, the evidence, a command that must succeed."""

from __future__ import annotations

import ipaddress
import re
import time
import typing as t
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, Runner, Step, run_command

POLL_S = 0.05
# Becomes a file name, the name of a systemd unit and of an nftables table.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class FaultRequest:
    """One fault as the operator asks for it. Without peers: everybody; without a network: all networks of the host."""

    id: str
    form: str
    units: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    served_ports: tuple[int, ...] = ()
    addresses: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    direction: str = "both"
    delay_ms: int = 0
    loss_percent: float = 0.0
    path: str = ""
    leave_mib: int = 0
    iops: int = 0
    step_s: int = 0
    host: str = ""
    power_driver: str = "podman"
    power_address: str = ""
    power_arguments: tuple[str, ...] = ()
    network: str = ""
    start_on_heal: bool = True
    journal: str = ""

    @property
    def key(self) -> str:
        """The entry's name in the journal: a power controller keeps one entry for each host of the same run."""
        return ".".join(part for part in (self.id, self.host, self.network) if part)

    def validate(self) -> None:
        """Refuse what no form can use."""
        for thing, value in (("id", self.id), ("host", self.host), ("network", self.network)):
            if value and not NAME.fullmatch(value):
                raise LifeboatError(
                    f"{thing} of the fault",
                    repr(value),
                    "letters, digits, '.', '_' and '-', beginning with a letter or digit",
                    "Choose another name.",
                )
        if self.id == "all":
            raise LifeboatError("id of the fault", "'all'", "a name of its own", "'all' is for healing only.")
        for option, addresses in (("peers", self.peers), ("addresses", self.addresses)):
            for address in addresses:
                try:
                    ipaddress.ip_address(address)
                except ValueError as error:
                    raise LifeboatError(
                        f"{option} of the fault", repr(address), "an IP address", f"Correct {option}."
                    ) from error
        for port in (*self.ports, *self.served_ports):
            if not 0 < port < 65536 or port == 22:
                raise LifeboatError(
                    "port of the fault", str(port), "1 to 65535, not 22", "SSH is never touched. Correct it."
                )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether the fault landed, on what that judgement rests, and what was seen, as JSON."""

    landed: bool
    basis: str
    details: dict[str, t.Any] = field(default_factory=dict)


@dataclass(slots=True)
class Form(ABC):
    """A form of fault. The engine calls: check, recipe, prepare when arming; observe, act, evidence when injecting."""

    request: FaultRequest
    run: Runner = run_command

    @abstractmethod
    def check(self) -> None:
        """Refuse, before anything is changed, what cannot be done here."""

    @abstractmethod
    def recipe(self) -> tuple[Step, ...]:
        """How to heal. Must be right whether the fault was made or not, and when something else healed it."""

    def prepare(self) -> None:  # noqa: B027
        """Do beforehand what must not cost time when the fault is made."""

    def observe(self) -> None:  # noqa: B027
        """Look at the victim just before the fault."""

    @abstractmethod
    def act(self) -> None:
        """Make the fault, now."""

    @abstractmethod
    def evidence(self) -> Evidence:
        """Look, for a bounded time, whether the fault landed."""

    @abstractmethod
    def plan(self) -> tuple[str, ...]:
        """What arming and injecting do, for check mode."""

    def require(self, option: str, given: object) -> None:
        """Refuse a request that lacks an option which this form needs."""
        if not given:
            raise LifeboatError(f"fault form {self.request.form}", f"no {option}", f"{option}", f"Set {option}.")


def must(run: Runner, argv: Sequence[str], thing: str, remedy: str, *, timeout_s: float = 30.0, stdin: str = "") -> str:
    """Run a command that has to succeed; its standard output."""
    result: CommandResult = run(argv, timeout_s, stdin)
    if result.code != 0:
        said = (result.err or result.out).strip() or "no output"
        raise LifeboatError(thing, f"exit code {result.code}: {said}", f"'{' '.join(argv)}' to succeed", remedy)
    return result.out


def wait_until(condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Look until the condition holds or the time is over; whether it held."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(poll_s)
    return True
