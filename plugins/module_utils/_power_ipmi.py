# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power of servers by IPMI, with ipmitool."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._power import PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_bmc import BmcPower


@dataclass(frozen=True, slots=True)
class IpmiPower(BmcPower):
    """The address is the BMC's host name or IP address."""

    name: t.ClassVar[str] = "ipmi"
    secret_option: t.ClassVar[str] = "-f"
    telling: t.ClassVar[str] = "-[PEakKyY]"
    says: t.ClassVar[str] = r"Chassis Power is (\w+)"
    says_on: t.ClassVar[str] = "Chassis Power is on"

    def _ipmitool(self, word: str) -> tuple[str, ...]:
        return ("ipmitool", "-I", "lanplus", "-H", self.address, *self.arguments, "chassis", "power", word)

    def status_command(self) -> tuple[str, ...]:
        """Whether the chassis has power."""
        return self._ipmitool("status")

    def power_command(self, state: PowerState) -> tuple[str, ...]:
        """Chassis control."""
        return self._ipmitool(str(state))
