# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Bring a host into a power state, with certain networks cut."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import Ability, PowerDriver, PowerState


@dataclass(frozen=True, slots=True)
class HostPower:
    """How a host is: its power, and the networks that are cut off it, sorted."""

    state: PowerState
    networks_cut: tuple[str, ...] = ()

    @classmethod
    def of(cls, driver: PowerDriver) -> HostPower:
        """How it is now."""
        return cls(driver.status(), driver.networks_cut())

    def to_json(self) -> dict[str, t.Any]:
        """The shape that the host_power module returns."""
        return {"state": str(self.state), "networks_cut": list(self.networks_cut)}


def set_power(
    driver: PowerDriver, before: HostPower, state: PowerState, networks_cut: tuple[str, ...] | None, *, dry_run: bool
) -> HostPower:
    """Bring the host, found to be ``before``, into ``state``, with exactly these networks cut (None: as they are)."""
    if state is PowerState.OFF and networks_cut:
        raise LifeboatError(
            f"host {driver.host}", "networks_cut together with power off", "one of both", "A host that is off has none."
        )
    if state is PowerState.FROZEN:
        driver.require(Ability.FREEZE)
    if networks_cut:
        driver.require(Ability.CUT)
    kept = before.networks_cut if networks_cut is None else networks_cut
    after = HostPower(state, () if state is PowerState.OFF else kept)
    if before.state is not PowerState.OFF:
        _check_networks(driver, kept)
    if dry_run:
        return after
    _set_state(driver, before.state, state)
    if state is not PowerState.OFF:
        for place in driver.attachments():
            if place.attached and place.network in kept:
                driver.cut(place)
            elif not place.attached and place.network not in kept:
                driver.mend(place)
        _check_networks(driver, kept)
    return after


def _check_networks(driver: PowerDriver, networks: tuple[str, ...]) -> None:
    """Refuse a network that the host is not on."""
    for network in networks:
        driver.places(network)


def _set_state(driver: PowerDriver, before: PowerState, state: PowerState) -> None:
    """Take the ways that exist: off and frozen are reached from on and left through on, except frozen to off."""
    if before is state:
        return
    if state is PowerState.OFF:
        driver.off()
        return
    if before is PowerState.OFF:
        driver.on()
    elif before is PowerState.FROZEN:
        driver.thaw()
    if state is PowerState.FROZEN:
        driver.freeze()
