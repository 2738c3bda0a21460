# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Hosts that only their management controller (BMC) reaches: power on and off, nothing else."""

from __future__ import annotations

import re
import typing as t
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import (
    COMMAND_TIMEOUT_S,
    Ability,
    Attachment,
    PowerDriver,
    PowerState,
)


@dataclass(frozen=True, slots=True)
class BmcPower(PowerDriver):
    """A driver gives the commands; ``address`` is the controller's.

    The password comes from a file, whose name follows ``secret_option`` in the arguments: not from an argument, which
    every user of the machine could read, nor from the environment, which the dead man's switch does not have.
    ``telling`` matches an argument that would bring it otherwise. ``says`` finds the state in what the tool prints, and
    ``says_on`` that it is on.
    """

    abilities: t.ClassVar[frozenset[Ability]] = frozenset()
    # A server takes seconds to be off, and its controller to say so.
    state_timeout_s: t.ClassVar[float] = 60.0
    poll_s: t.ClassVar[float] = 0.5
    secret_option: t.ClassVar[str]
    telling: t.ClassVar[str]
    says: t.ClassVar[str]
    says_on: t.ClassVar[str]

    @abstractmethod
    def status_command(self) -> tuple[str, ...]:
        """Prints the power state."""

    @abstractmethod
    def power_command(self, state: PowerState) -> tuple[str, ...]:
        """Switches the power on or off, without warning."""

    def __post_init__(self) -> None:
        for argument in self.arguments:
            if found := re.match(self.telling, argument):
                raise self._unsafe(f"option {found[0]}")
        given = (*self.arguments, "")
        name = given[given.index(self.secret_option) + 1] if self.secret_option in given else ""
        if not Path(name).is_absolute():
            raise self._unsafe(f"{self.secret_option} {name}".rstrip() if name else f"no {self.secret_option}")
        if not Path(name).is_file():
            raise self._unsafe(f"no file {name} on the power controller")
        mode = Path(name).stat().st_mode & 0o777
        if mode & 0o077:
            raise self._unsafe(f"file {name} with mode {mode:04o}")

    def _unsafe(self, found: str) -> LifeboatError:
        return LifeboatError(
            f"password of the BMC of host {self.host}",
            found,
            f"{self.secret_option} FILE, its absolute path, mode 0600",
            "Put the password into such a file on the power controller, nowhere else.",
        )

    def _ask(self, argv: tuple[str, ...]) -> str:
        return self.ask(argv, f"Look at the BMC {self.address}, its account and the arguments.")

    def status(self) -> PowerState:
        """From the controller."""
        said = self._ask(self.status_command())
        state = re.search(self.says, said)
        if state is None:
            raise LifeboatError(
                f"power of host {self.host}", repr(said[:200]), "on or off", f"Look at the BMC {self.address}."
            )
        return PowerState.OFF if state[1].lower() == "off" else PowerState.ON

    def off(self) -> None:
        """Off at once, not by way of the operating system."""
        self._ask(self.power_command(PowerState.OFF))
        self.reach(PowerState.OFF)

    def on(self) -> None:
        """As with the button."""
        self._ask(self.power_command(PowerState.ON))
        self.reach(PowerState.ON)

    def freeze(self) -> None:
        """Refuse."""
        self.require(Ability.FREEZE)

    def thaw(self) -> None:
        """Refuse."""
        self.require(Ability.FREEZE)

    def attachments(self) -> tuple[Attachment, ...]:
        """Not known."""
        return ()

    def cut(self, attachment: Attachment) -> None:
        """Refuse."""
        self.require(Ability.CUT)

    def on_steps(self) -> tuple[Step, ...]:
        """Some controllers refuse to turn on what is on."""
        is_on = Condition(run=self.status_command(), matches=self.says_on)
        return (Step(run=self.power_command(PowerState.ON), timeout_s=COMMAND_TIMEOUT_S, unless=is_on),)

    def thaw_steps(self) -> tuple[Step, ...]:
        """Refuse."""
        self.require(Ability.FREEZE)
        return ()

    def mend_steps(self, attachment: Attachment) -> tuple[Step, ...]:
        """Refuse."""
        self.require(Ability.CUT)
        return ()
