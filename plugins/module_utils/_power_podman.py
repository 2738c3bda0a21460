# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power of the lab's hosts: containers of podman, each with an init."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import must
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import COMMAND_TIMEOUT_S, Attachment, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_bridge import BridgedPower


@dataclass(frozen=True, slots=True)
class PodmanPower(BridgedPower):
    """A container is the host; a network is cut by taking the host's end of its veth off the bridge."""

    name: t.ClassVar[str] = "podman"

    def _podman(self, *arguments: str) -> tuple[str, ...]:
        return ("podman", *self.arguments, *arguments)

    def _do(self, verb: str, state: PowerState) -> None:
        self.ask(self._podman(verb, self.address), "Look at 'podman ps --all' and at the container's log.")
        self.reach(state)

    def _inspect(self) -> dict[str, t.Any]:
        remedy = "Name a container of this machine, and the arguments with which it was made."
        found: list[dict[str, t.Any]] = json.loads(self.ask(self._podman("container", "inspect", self.address), remedy))
        return found[0]

    def status(self) -> PowerState:
        """From the container's state."""
        status = self._inspect()["State"]["Status"]
        return {"running": PowerState.ON, "paused": PowerState.FROZEN}.get(status, PowerState.OFF)

    def off(self) -> None:
        """SIGKILL of everything."""
        self._do("kill", PowerState.OFF)

    def on(self) -> None:
        """Start the container."""
        self._do("start", PowerState.ON)

    def freeze(self) -> None:
        """Pause the container."""
        self._do("pause", PowerState.FROZEN)

    def thaw(self) -> None:
        """Unpause the container."""
        self._do("unpause", PowerState.ON)

    def attachments(self) -> tuple[Attachment, ...]:
        """From podman, the container's network namespace and this machine's interfaces."""
        container = self._inspect()
        pid = container["State"]["Pid"]
        if not pid:
            return ()
        inside = self.interfaces("nsenter", "--target", str(pid), "--net", "ip", "-json", "address")
        outside = self.interfaces("ip", "-json", "link")
        networks = container["NetworkSettings"]["Networks"]
        return tuple(
            find_attachment(name, near_end(networks[name], inside), inside, outside, self._bridge(name))
            for name in sorted(networks)
        )

    def _bridge(self, network: str) -> str:
        argv = self._podman("network", "inspect", network)
        remedy = "The network must be a bridge made by netavark."
        found = json.loads(must(self.run, argv, f"network {network}", remedy, timeout_s=COMMAND_TIMEOUT_S))
        return str(found[0]["network_interface"])

    def on_steps(self) -> tuple[Step, ...]:
        """Starting what runs is no error for podman."""
        return (*self.thaw_steps(), Step(run=self._podman("start", self.address), timeout_s=COMMAND_TIMEOUT_S))

    def thaw_steps(self) -> tuple[Step, ...]:
        """Unpause what is paused."""
        status = self._podman("container", "inspect", "--format", "{{.State.Status}}", self.address)
        paused = Condition(run=status, matches="^paused$")
        return (Step(run=self._podman("unpause", self.address), timeout_s=COMMAND_TIMEOUT_S, only_if=paused),)


def near_end(network: dict[str, t.Any], inside: Sequence[dict[str, t.Any]]) -> dict[str, t.Any] | None:
    """The container's interface on a network: with its hardware address, which udev in the container may have changed,
    or with its address, which may have moved to a bridge.

    ``network`` is of ``podman inspect``, ``inside`` what ``ip -json address`` prints in the container.
    """
    mac, address = network["MacAddress"].lower(), network.get("IPAddress") or None
    for link in inside:
        addresses = [each.get("local") for each in link.get("addr_info", [])]
        if "link_index" in link and (link.get("address", "").lower() == mac or address in addresses):
            return link
    return None


def find_attachment(
    network: str,
    near: dict[str, t.Any] | None,
    inside: Sequence[dict[str, t.Any]],
    outside: Sequence[dict[str, t.Any]],
    bridge: str,
) -> Attachment:
    """Follow an interface of the container to its other end on this machine.

    ``outside`` is the list that ``ip -json link`` prints here. Where Open vSwitch in the container has taken the
    address as well, no near end is known: then it is the interface whose other end is on the network's bridge.
    """
    peers = {link.get("link_index") for link in ([near] if near else inside)}
    ends = [link for link in outside if link["ifindex"] in peers and (near or link.get("master") == bridge)]
    far = ends[0] if len(ends) == 1 else None
    if far is None:
        raise LifeboatError(
            f"network {network}",
            f"no interface of this machine that is the other end of {'its own' if near is None else near['ifname']}",
            "a veth pair on a bridge",
            "Use a podman network of the driver bridge.",
        )
    return Attachment(network, far["ifname"], int(far["ifindex"]), bridge, far.get("master") == bridge)
