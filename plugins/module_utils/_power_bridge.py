# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Hosts whose cable ends at an interface of this machine: cut by taking it off its bridge."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import must
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import Attachment, PowerDriver


@dataclass(frozen=True, slots=True)
class BridgedPower(PowerDriver):
    """What the drivers of containers and virtual machines have in common."""

    def interfaces(self, *argv: str) -> list[dict[str, t.Any]]:
        """What a command of ``ip -json`` prints."""
        found: list[dict[str, t.Any]] = json.loads(must(self.run, argv, "network interfaces", "Be root."))
        return found

    def cut(self, attachment: Attachment) -> None:
        """Take the interface off the bridge."""
        argv = ("ip", "link", "set", attachment.interface, "nomaster")
        must(self.run, argv, f"network {attachment.network}", "Is the host on?")

    def mend_steps(self, attachment: Attachment) -> tuple[Step, ...]:
        """The index proves that it is the same interface: a restarted host has a new one, perhaps of this name."""
        same = Condition(file=f"/sys/class/net/{attachment.interface}/ifindex", matches=f"^{attachment.index}$")
        change = ("ip", "link", "set", attachment.interface)
        return (
            Step(run=(*change, "master", attachment.bridge), only_if=same),
            Step(run=(*change, "up"), only_if=same),
        )
