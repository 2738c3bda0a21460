# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Faults of whole hosts, made on the power controller's host: power_off, host_freeze and network_cut."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import Ability, Attachment, PowerDriver, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_drivers import power_driver


@dataclass(slots=True)
class HostForm(Form):
    """A host that is on, and its driver, which must have the ``ability`` that the form needs beside power."""

    ability: t.ClassVar[Ability | None] = None

    @property
    def driver(self) -> PowerDriver:
        """The driver that the request names."""
        request = self.request
        return power_driver(
            request.power_driver, request.host, request.power_address, request.power_arguments, self.run
        )

    def check(self) -> None:
        """A host that is off cannot fail."""
        self.require("host", self.request.host)
        driver = self.driver
        if self.ability is not None:
            driver.require(self.ability)
        state = driver.status()
        if state is not PowerState.ON:
            raise LifeboatError(f"host {self.request.host}", f"power {state}", "power on", "Bring the host up first.")

    def power_evidence(self, expected: PowerState) -> Evidence:
        """The driver's word; it comes from the state itself, not from the command."""
        state = self.driver.status()
        return Evidence(state is expected, "power state", {"before": str(PowerState.ON), "after": str(state)})


class PowerOff(HostForm):
    """A power cut."""

    __slots__ = ()

    def recipe(self) -> tuple[Step, ...]:
        """Power on."""
        return self.driver.on_steps()

    def act(self) -> None:
        """Power off."""
        self.driver.off()

    def evidence(self) -> Evidence:
        """It is off."""
        return self.power_evidence(PowerState.OFF)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"cut the power of {self.request.host} ({self.request.power_driver})",)


class HostFreeze(HostForm):
    """Everything on the host stands still."""

    __slots__ = ()
    ability = Ability.FREEZE

    def recipe(self) -> tuple[Step, ...]:
        """Thaw."""
        return self.driver.thaw_steps()

    def act(self) -> None:
        """Freeze."""
        self.driver.freeze()

    def evidence(self) -> Evidence:
        """It is frozen."""
        return self.power_evidence(PowerState.FROZEN)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"freeze {self.request.host} ({self.request.power_driver})",)


@dataclass(slots=True)
class NetworkCut(HostForm):
    """One network of the host, or all of them."""

    ability: t.ClassVar[Ability | None] = Ability.CUT

    cables: tuple[Attachment, ...] = field(default=())

    def check(self) -> None:
        """The networks are there and not cut already."""
        HostForm.check(self)
        self.cables = self.driver.places(self.request.network)
        if cut := [cable.network for cable in self.cables if not cable.attached]:
            raise LifeboatError(
                f"networks of host {self.request.host}", f"{', '.join(cut)} cut", "uncut networks", "Mend them first."
            )

    def recipe(self) -> tuple[Step, ...]:
        """Mend each."""
        return tuple(step for cable in self.cables for step in self.driver.mend_steps(cable))

    def act(self) -> None:
        """Cut each."""
        driver = self.driver
        for cable in self.cables:
            driver.cut(cable)

    def evidence(self) -> Evidence:
        """The interfaces are on no bridge."""
        off = [cable for cable in self.driver.attachments() if not cable.attached]
        details = {"cut": [cable.network for cable in off], "interfaces": [cable.interface for cable in off]}
        wanted = {cable.interface for cable in self.cables}
        return Evidence(wanted <= set(details["interfaces"]), "bridge membership", details)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return tuple(f"take {cable.interface} off {cable.bridge} ({cable.network})" for cable in self.cables)
