# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power of servers by Redfish, with curl: the run and the journal's recipe use the same commands."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_bmc import BmcPower

REQUEST_TIMEOUT_S = 15
RESET_TYPES = {PowerState.ON: "On", PowerState.OFF: "ForceOff"}


@dataclass(frozen=True, slots=True)
class RedfishPower(BmcPower):
    """The address is the URL of the server's ComputerSystem, ``https://BMC/redfish/v1/Systems/ID``."""

    name: t.ClassVar[str] = "redfish"
    secret_option: t.ClassVar[str] = "--netrc-file"
    telling: t.ClassVar[str] = "-[uUHK]|--(user|proxy-user|header|oauth2-bearer|config)$"
    says: t.ClassVar[str] = r'"PowerState"\s*:\s*"(\w+)"'
    says_on: t.ClassVar[str] = r'"PowerState"\s*:\s*"(On|PoweringOn)"'

    def __post_init__(self) -> None:
        BmcPower.__post_init__(self)
        url = urlsplit(self.address)
        if url.scheme != "https" or not url.hostname or url.username is not None:
            raise LifeboatError(
                f"address of the BMC of host {self.host}",
                # Not the address, which may contain a password.
                f"scheme {url.scheme or 'none'}, host {url.hostname}" + (", an account" if url.username else ""),
                "https://BMC/redfish/v1/Systems/ID",
                "Give the URL of the server's system; the account belongs into the file.",
            )

    def _curl(self, *arguments: str) -> tuple[str, ...]:
        # No file of the user's, no proxy: the dead man's switch must do the same as the run.
        return (
            *("curl", "--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"),
            *("--max-time", str(REQUEST_TIMEOUT_S), *self.arguments, *arguments),
        )

    def status_command(self) -> tuple[str, ...]:
        """The system, as JSON."""
        return self._curl("--retry", "2", self.address)

    def power_command(self, state: PowerState) -> tuple[str, ...]:
        """The system's action Reset."""
        body = json.dumps({"ResetType": RESET_TYPES[state]})
        return self._curl("--json", body, f"{self.address.rstrip('/')}/Actions/ComputerSystem.Reset")
