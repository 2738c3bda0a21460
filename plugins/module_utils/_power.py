# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power and network cables of whole hosts: the interface of every power driver."""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import must, wait_until
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Runner, Step, run_command

COMMAND_TIMEOUT_S = 60.0


class PowerState(StrEnum):
    """What a host can be."""

    ON = "on"
    OFF = "off"
    FROZEN = "frozen"


class Ability(StrEnum):
    """What some drivers can do beside switching the power."""

    FREEZE = "freezing a host"
    CUT = "cutting a network"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A running host's place on a network: the host-side interface, by name and index, and the bridge it belongs to.

    ``attached`` is False while the network is cut. Without a bridge it cannot be cut from this machine.
    """

    network: str
    interface: str
    index: int
    bridge: str
    attached: bool


@dataclass(frozen=True, slots=True)
class PowerDriver(ABC):
    """What every driver can do to one host. Errors are LifeboatError; every wait is bounded.

    ``host`` is its name in the inventory, ``address`` what the driver's tool calls it. ``arguments`` are for that tool,
    put before each of its commands.
    """

    name: t.ClassVar[str]
    abilities: t.ClassVar[frozenset[Ability]] = frozenset(Ability)
    state_timeout_s: t.ClassVar[float] = 15.0
    poll_s: t.ClassVar[float] = 0.05

    host: str
    address: str
    arguments: tuple[str, ...] = ()
    run: Runner = run_command

    @abstractmethod
    def status(self) -> PowerState:
        """On, off or frozen."""

    @abstractmethod
    def off(self) -> None:
        """Cut the power: nothing on the host is told. Returns when the host is off."""

    @abstractmethod
    def on(self) -> None:
        """Give power; returns when the host has it, not when it has booted."""

    @abstractmethod
    def freeze(self) -> None:
        """Stop everything on the host in the middle of what it does."""

    @abstractmethod
    def thaw(self) -> None:
        """Let a frozen host go on."""

    @abstractmethod
    def attachments(self) -> tuple[Attachment, ...]:
        """The host's networks; none when it is off, or when the driver does not know them."""

    @abstractmethod
    def cut(self, attachment: Attachment) -> None:
        """Cut one network, silently: inside, the addresses and the link stay."""

    @abstractmethod
    def on_steps(self) -> tuple[Step, ...]:
        """The recipe of on(). Must fail, not do nothing, when the driver's tool gets no answer."""

    @abstractmethod
    def thaw_steps(self) -> tuple[Step, ...]:
        """The recipe of thaw(); nothing to do for a host that is not frozen."""

    @abstractmethod
    def mend_steps(self, attachment: Attachment) -> tuple[Step, ...]:
        """The recipe of mending a cut; nothing to do when the power was off since, which makes a cut void."""

    def require(self, ability: Ability) -> None:
        """Refuse, before anything is done, what this kind of driver cannot do."""
        if ability not in self.abilities:
            raise LifeboatError(
                f"host {self.host}",
                f"the power driver {self.name}, for which {ability} is impossible",
                "podman or libvirt",
                "Choose power off for this host.",
            )

    def networks_cut(self) -> tuple[str, ...]:
        """The networks that are cut now, sorted."""
        return tuple(sorted({place.network for place in self.attachments() if not place.attached}))

    def places(self, network: str = "") -> tuple[Attachment, ...]:
        """The host's places on ``network``, on all networks when empty; refuses when one of them cannot be cut."""
        self.require(Ability.CUT)
        everywhere = self.attachments()
        found = tuple(place for place in everywhere if network in ("", place.network))
        if not found:
            known = ", ".join(place.network for place in everywhere) or "none, for it is off or has none"
            thing = f"network {network} of host {self.host}" if network else f"networks of host {self.host}"
            raise LifeboatError(thing, f"networks {known}", "one of these", "Correct it.")
        for place in found:
            if not place.bridge:
                raise LifeboatError(
                    f"network {place.network} of host {self.host}",
                    f"interface {place.interface}, which is none of this machine on a Linux bridge",
                    "an interface here, on a Linux bridge",
                    "Let the power controller be the machine that carries the host.",
                )
        return found

    def mend(self, attachment: Attachment) -> None:
        """Mend a cut."""
        for step in self.mend_steps(attachment):
            if reason := step.failure(self.run):
                raise LifeboatError(f"network {attachment.network}", reason, "it to be mended", "Look at the bridge.")

    def ask(self, argv: tuple[str, ...], remedy: str) -> str:
        """What a command about this host says; it has to succeed."""
        return must(self.run, argv, f"host {self.host}", remedy, timeout_s=COMMAND_TIMEOUT_S)

    def reach(self, state: PowerState) -> None:
        """Wait for the state."""
        seen: list[PowerState] = []

        def reached() -> bool:
            seen.append(self.status())
            return seen[-1] is state

        if not wait_until(reached, self.state_timeout_s, self.poll_s):
            raise LifeboatError(
                f"host {self.host}",
                f"power {seen[-1]} after {self.state_timeout_s:g} s",
                f"power {state}",
                f"Look at {self.address} with the tool of the power driver {self.name}.",
            )
