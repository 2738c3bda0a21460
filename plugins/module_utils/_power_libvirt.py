# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power of virtual machines, by virsh."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import COMMAND_TIMEOUT_S, Attachment, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_bridge import BridgedPower

STATES = {"paused": PowerState.FROZEN, "shut off": PowerState.OFF, "crashed": PowerState.OFF}


@dataclass(frozen=True, slots=True)
class LibvirtPower(BridgedPower):
    """A domain is the host; a network is cut by taking the domain's tap off the bridge.

    virsh's domif-setlink would not do: the guest sees that link go down.
    """

    name: t.ClassVar[str] = "libvirt"

    def _virsh(self, verb: str, *arguments: str) -> tuple[str, ...]:
        return ("virsh", "--quiet", *self.arguments, verb, *(arguments or ("--domain", self.address)))

    def _say(self, verb: str, *arguments: str) -> str:
        return self.ask(self._virsh(verb, *arguments), "Name a domain of 'virsh list --all', and the right connection.")

    def _do(self, verb: str, state: PowerState) -> None:
        self._say(verb)
        self.reach(state)

    def status(self) -> PowerState:
        """From the domain's state. A transient domain is refused: it would be gone once it is off."""
        said = fields(self._say("dominfo"))
        if said.get("Persistent") != "yes":
            raise LifeboatError(
                f"host {self.host}",
                f"domain {self.address} with Persistent: {said.get('Persistent')}",
                "a persistent domain",
                "Define it ('virsh define'), else nothing can turn it on again.",
            )
        return STATES.get(said["State"], PowerState.ON)

    def off(self) -> None:
        """The virtual power plug."""
        self._do("destroy", PowerState.OFF)

    def on(self) -> None:
        """Start the domain."""
        self._do("start", PowerState.ON)

    def freeze(self) -> None:
        """Stop its processors."""
        self._do("suspend", PowerState.FROZEN)

    def thaw(self) -> None:
        """Let its processors go on."""
        self._do("resume", PowerState.ON)

    def attachments(self) -> tuple[Attachment, ...]:
        """The domain's interfaces; a network is called by its source in ``virsh domiflist``."""
        if self.status() is PowerState.OFF:
            return ()
        links = {link["ifname"]: link for link in self.interfaces("ip", "-json", "link")}
        rows = [line.split() for line in self._say("domiflist").splitlines() if line.strip()]
        return tuple(
            find_tap(source, interface, mac, self._bridge(kind, source), links.get(interface, {}))
            for interface, kind, source, _model, mac in rows
        )

    def _bridge(self, kind: str, source: str) -> str:
        if kind == "network":
            return fields(self._say("net-info", "--network", source)).get("Bridge", "")
        return source if kind == "bridge" else ""

    def on_steps(self) -> tuple[Step, ...]:
        """Starting what runs is an error for virsh."""
        return (*self.thaw_steps(), self._step("start", "shut off$|crashed$"))

    def thaw_steps(self) -> tuple[Step, ...]:
        """So is resuming what is not paused."""
        return (self._step("resume", "paused$"),)

    def _step(self, verb: str, states: str) -> Step:
        """The verb for a domain in one of these states, and for one whose state virsh does not tell: it says why."""
        other = Condition(run=self._virsh("domstate"), matches=f"^(?!{states})")
        return Step(run=self._virsh(verb), timeout_s=COMMAND_TIMEOUT_S, unless=other)


def fields(text: str) -> dict[str, str]:
    """What ``virsh dominfo`` and ``virsh net-info`` print, name to value."""
    parts = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _colon, value in parts}


def find_tap(network: str, interface: str, mac: str, bridge: str, link: dict[str, t.Any]) -> Attachment:
    """The domain's tap, with what ``ip -json link`` says of the interface of that name here; without bridge when that
    is another one (of a domain elsewhere), or belongs to Open vSwitch.

    libvirt gives a tap the guest's address with another first byte.
    """
    same = link.get("address", "")[2:].lower() == mac[2:].lower()
    if not bridge or not same or link.get("master") not in (None, bridge):
        return Attachment(network, interface, 0, "", True)
    return Attachment(network, interface, int(link["ifindex"]), bridge, link.get("master") == bridge)
