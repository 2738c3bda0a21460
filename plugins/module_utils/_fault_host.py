# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Faults of whole hosts, made on the power controller's host: power_off, host_freeze and network_cut."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import (
    Attachment,
    PowerDriver,
    PowerState,
    power_driver,
)


@dataclass(slots=True)
class HostForm(Form):
    """A host that is on, and its driver."""

    @property
    def driver(self) -> PowerDriver:
        """The driver that the request names."""
        return power_driver(self.request.power_driver, self.request.podman_arguments, self.run)

    def check(self) -> None:
        """A host that is off cannot fail."""
        self.require("host", self.request.host)
        state = self.driver.status(self.request.host)
        if state is not PowerState.ON:
            raise LifeboatError(f"host {self.request.host}", f"power {state}", "power on", "Bring the host up first.")

    def power_evidence(self, expected: PowerState) -> Evidence:
        """The driver's word; it comes from the state itself, not from the command."""
        state = self.driver.status(self.request.host)
        return Evidence(state is expected, "power state", {"before": str(PowerState.ON), "after": str(state)})


class PowerOff(HostForm):
    """A power cut."""

    __slots__ = ()

    def recipe(self) -> tuple[Step, ...]:
        """Power on."""
        return self.driver.on_steps(self.request.host)

    def act(self) -> None:
        """Power off."""
        self.driver.off(self.request.host)

    def evidence(self) -> Evidence:
        """It is off."""
        return self.power_evidence(PowerState.OFF)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"cut the power of {self.request.host} ({self.request.power_driver})",)


class HostFreeze(HostForm):
    """Everything on the host stands still."""

    __slots__ = ()

    def recipe(self) -> tuple[Step, ...]:
        """Thaw."""
        return self.driver.thaw_steps(self.request.host)

    def act(self) -> None:
        """Freeze."""
        self.driver.freeze(self.request.host)

    def evidence(self) -> Evidence:
        """It is frozen."""
        return self.power_evidence(PowerState.FROZEN)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"freeze {self.request.host} ({self.request.power_driver})",)


@dataclass(slots=True)
class NetworkCut(HostForm):
    """One network of the host, or all of them."""

    cables: tuple[Attachment, ...] = field(default=())

    def check(self) -> None:
        """The networks are there and not cut already."""
        HostForm.check(self)
        host, network = self.request.host, self.request.network
        driver = self.driver
        self.cables = (driver.attachment(host, network),) if network else driver.attachments(host)
        cut = [cable.network for cable in self.cables if not cable.attached]
        if cut or not self.cables:
            raise LifeboatError(
                f"networks of host {host}", f"{', '.join(cut) or 'none'} cut", "uncut networks", "Mend them first."
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
        now = self.driver.networks_cut(self.request.host)
        wanted = [cable.network for cable in self.cables]
        details = {"cut": list(now), "interfaces": {cable.network: cable.interface for cable in self.cables}}
        return Evidence(set(wanted) <= set(now), "bridge membership", details)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return tuple(f"take {cable.interface} off {cable.bridge} ({cable.network})" for cable in self.cables)
