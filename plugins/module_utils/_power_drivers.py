# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The power drivers by name."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Runner, run_command
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import PowerDriver
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_ipmi import IpmiPower
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_libvirt import LibvirtPower
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_podman import PodmanPower
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_redfish import RedfishPower

DRIVERS: dict[str, type[PowerDriver]] = {
    driver.name: driver for driver in (PodmanPower, LibvirtPower, IpmiPower, RedfishPower)
}


def power_driver(
    name: str, host: str, address: str = "", arguments: Sequence[str] = (), run: Runner = run_command
) -> PowerDriver:
    """The driver of that name for one host, whose address is its name in the inventory when empty."""
    if name not in DRIVERS:
        raise LifeboatError("power driver", repr(name), f"one of {', '.join(DRIVERS)}", "Correct its name.")
    return DRIVERS[name](host, address or host, tuple(arguments), run)
