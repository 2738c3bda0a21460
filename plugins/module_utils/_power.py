# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Power and network cables of whole hosts, behind one interface; podman's containers as the hosts of the lab."""

from __future__ import annotations

import json
import typing as t
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import must, wait_until
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Runner, Step, run_command

STATE_TIMEOUT_S = 15.0
COMMAND_TIMEOUT_S = 60.0


class PowerState(StrEnum):
    """What a host can be."""

    ON = "on"
    OFF = "off"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A running host's place on a network: the host-side interface, by name and index, and the bridge it belongs to.

    ``attached`` is False while the network is cut.
    """

    network: str
    interface: str
    index: int
    bridge: str
    attached: bool


@dataclass(frozen=True, slots=True)
class PowerDriver(ABC):
    """What every driver can do to a host that it knows by name. Errors are LifeboatError; every wait is bounded.

    ``arguments`` are the driver's own, put before every command of its tool.
    """

    arguments: tuple[str, ...] = ()
    run: Runner = run_command

    @abstractmethod
    def status(self, host: str) -> PowerState:
        """On, off or frozen."""

    @abstractmethod
    def off(self, host: str) -> None:
        """Cut the power: nothing on the host is told."""

    @abstractmethod
    def on(self, host: str) -> None:
        """Give power; returns when the host has it, not when it has booted."""

    @abstractmethod
    def freeze(self, host: str) -> None:
        """Stop everything on the host in the middle of what it does."""

    @abstractmethod
    def thaw(self, host: str) -> None:
        """Let a frozen host go on."""

    @abstractmethod
    def attachments(self, host: str) -> tuple[Attachment, ...]:
        """The host's networks; none when it is off."""

    @abstractmethod
    def cut(self, attachment: Attachment) -> None:
        """Cut one network, silently: inside, the addresses and the link stay."""

    @abstractmethod
    def on_steps(self, host: str) -> tuple[Step, ...]:
        """The recipe of on()."""

    @abstractmethod
    def thaw_steps(self, host: str) -> tuple[Step, ...]:
        """The recipe of thaw(); nothing to do for a host that is not frozen."""

    @abstractmethod
    def mend_steps(self, attachment: Attachment) -> tuple[Step, ...]:
        """The recipe of mending a cut; nothing to do when the power was off since, which makes a cut void."""

    def networks_cut(self, host: str) -> tuple[str, ...]:
        """The networks that are cut now."""
        return tuple(attachment.network for attachment in self.attachments(host) if not attachment.attached)

    def attachment(self, host: str, network: str) -> Attachment:
        """The host's place on ``network``."""
        places = self.attachments(host)
        for place in places:
            if place.network == network:
                return place
        known = ", ".join(place.network for place in places) or "none, for it is off"
        raise LifeboatError(f"network {network} of host {host}", f"networks {known}", "one of these", "Correct it.")

    def mend(self, attachment: Attachment) -> None:
        """Mend a cut."""
        for step in self.mend_steps(attachment):
            if reason := step.failure(self.run):
                raise LifeboatError(f"network {attachment.network}", reason, "it to be mended", "Look at the bridge.")


@dataclass(frozen=True, slots=True)
class PodmanPower(PowerDriver):
    """A container with an init is the host; a network is cut by taking the host's end of its veth off the bridge."""

    def _podman(self, *arguments: str) -> tuple[str, ...]:
        return ("podman", *self.arguments, *arguments)

    def _do(self, verb: str, host: str) -> None:
        remedy = "Look at 'podman ps --all' and at the container's log."
        must(self.run, self._podman(verb, host), f"host {host}", remedy, timeout_s=COMMAND_TIMEOUT_S)

    def _inspect(self, host: str) -> dict[str, t.Any]:
        remedy = "Name a container of this machine, and the arguments with which it was made."
        argv = self._podman("container", "inspect", host)
        text = must(self.run, argv, f"host {host}", remedy, timeout_s=COMMAND_TIMEOUT_S)
        found: list[dict[str, t.Any]] = json.loads(text)
        return found[0]

    def _reach(self, host: str, state: PowerState) -> None:
        seen: list[PowerState] = []

        def reached() -> bool:
            seen.append(self.status(host))
            return seen[-1] is state

        if not wait_until(reached, STATE_TIMEOUT_S):
            raise LifeboatError(
                f"host {host}", f"power {seen[-1]} after {STATE_TIMEOUT_S:g} s", f"power {state}", "Look at podman."
            )

    def status(self, host: str) -> PowerState:
        """From the container's state."""
        status = self._inspect(host)["State"]["Status"]
        return {"running": PowerState.ON, "paused": PowerState.FROZEN}.get(status, PowerState.OFF)

    def off(self, host: str) -> None:
        """SIGKILL of everything."""
        self._do("kill", host)
        self._reach(host, PowerState.OFF)

    def on(self, host: str) -> None:
        """Start the container."""
        self._do("start", host)
        self._reach(host, PowerState.ON)

    def freeze(self, host: str) -> None:
        """Pause the container."""
        self._do("pause", host)
        self._reach(host, PowerState.FROZEN)

    def thaw(self, host: str) -> None:
        """Unpause the container."""
        self._do("unpause", host)
        self._reach(host, PowerState.ON)

    def attachments(self, host: str) -> tuple[Attachment, ...]:
        """From podman, the container's network namespace and this machine's interfaces."""
        container = self._inspect(host)
        pid = container["State"]["Pid"]
        if not pid:
            return ()
        inside = self._interfaces("nsenter", "--target", str(pid), "--net", "ip", "-json", "address")
        outside = self._interfaces("ip", "-json", "link")
        networks = container["NetworkSettings"]["Networks"]
        return tuple(
            find_attachment(name, networks[name]["MacAddress"], inside, outside, self._bridge(name))
            for name in sorted(networks)
        )

    def _interfaces(self, *argv: str) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = json.loads(must(self.run, argv, "network interfaces", "Be root."))
        return found

    def _bridge(self, network: str) -> str:
        argv = self._podman("network", "inspect", network)
        remedy = "The network must be a bridge made by netavark."
        found = json.loads(must(self.run, argv, f"network {network}", remedy, timeout_s=COMMAND_TIMEOUT_S))
        return str(found[0]["network_interface"])

    def cut(self, attachment: Attachment) -> None:
        """Take the interface off the bridge."""
        argv = ("ip", "link", "set", attachment.interface, "nomaster")
        must(self.run, argv, f"network {attachment.network}", "Is the host on?")

    def on_steps(self, host: str) -> tuple[Step, ...]:
        """Starting what runs is no error for podman."""
        return (*self.thaw_steps(host), Step(run=self._podman("start", host), timeout_s=COMMAND_TIMEOUT_S))

    def thaw_steps(self, host: str) -> tuple[Step, ...]:
        """Unpause what is paused."""
        status = self._podman("container", "inspect", "--format", "{{.State.Status}}", host)
        paused = Condition(run=status, matches="^paused$")
        return (Step(run=self._podman("unpause", host), timeout_s=COMMAND_TIMEOUT_S, only_if=paused),)

    def mend_steps(self, attachment: Attachment) -> tuple[Step, ...]:
        """The index proves that it is the same interface: a restarted container has a new one, perhaps of this name."""
        same = Condition(file=f"/sys/class/net/{attachment.interface}/ifindex", matches=f"^{attachment.index}$")
        change = ("ip", "link", "set", attachment.interface)
        return (
            Step(run=(*change, "master", attachment.bridge), only_if=same),
            Step(run=(*change, "up"), only_if=same),
        )


def find_attachment(
    network: str, mac: str, inside: Sequence[dict[str, t.Any]], outside: Sequence[dict[str, t.Any]], bridge: str
) -> Attachment:
    """Follow the link with address ``mac`` in the container to its other end on this machine.

    ``inside`` and ``outside`` are the lists that ``ip -json`` prints in the container and here.
    """
    near = next((link for link in inside if link.get("address", "").lower() == mac.lower()), None)
    peer = None if near is None else near.get("link_index")
    far = next((link for link in outside if link["ifindex"] == peer), None)
    if far is None:
        raise LifeboatError(
            f"network {network}",
            f"no interface of this machine that is the other end of {mac}",
            "a veth pair on a bridge",
            "Use a podman network of the driver bridge.",
        )
    return Attachment(network, far["ifname"], int(far["ifindex"]), bridge, far.get("master") == bridge)


DRIVERS: dict[str, type[PowerDriver]] = {"podman": PodmanPower}


def power_driver(name: str, arguments: Sequence[str] = (), run: Runner = run_command) -> PowerDriver:
    """The driver of that name."""
    if name not in DRIVERS:
        raise LifeboatError("power driver", repr(name), f"one of {', '.join(sorted(DRIVERS))}", "Correct its name.")
    return DRIVERS[name](tuple(arguments), run)


@dataclass(frozen=True, slots=True)
class HostPower:
    """How a host is: its power, and the networks that are cut off it, sorted."""

    host: str
    state: PowerState
    networks_cut: tuple[str, ...] = ()

    @classmethod
    def of(cls, driver: PowerDriver, host: str) -> HostPower:
        """How it is now."""
        return cls(host, driver.status(host), tuple(sorted(driver.networks_cut(host))))

    def to_json(self) -> dict[str, t.Any]:
        """The shape that the host_power module returns."""
        return {"state": str(self.state), "networks_cut": list(self.networks_cut)}


def set_power(
    driver: PowerDriver, before: HostPower, state: PowerState, networks_cut: tuple[str, ...] | None, *, dry_run: bool
) -> HostPower:
    """Bring the host of ``before`` into ``state``, with exactly these networks cut (None: as they are)."""
    if state is PowerState.OFF and networks_cut:
        raise LifeboatError(
            f"host {before.host}", "networks_cut together with power off", "one of both", "A host that is off has none."
        )
    kept = before.networks_cut if networks_cut is None else networks_cut
    after = HostPower(before.host, state, () if state is PowerState.OFF else kept)
    if before.state is not PowerState.OFF:
        _check_networks(driver, before.host, kept)
    if dry_run:
        return after
    _set_state(driver, before, state)
    if state is not PowerState.OFF:
        for place in driver.attachments(before.host):
            if place.attached and place.network in kept:
                driver.cut(place)
            elif not place.attached and place.network not in kept:
                driver.mend(place)
        _check_networks(driver, before.host, kept)
    return after


def _check_networks(driver: PowerDriver, host: str, networks: tuple[str, ...]) -> None:
    """Refuse a network that the host is not on."""
    for network in networks:
        driver.attachment(host, network)


def _set_state(driver: PowerDriver, before: HostPower, state: PowerState) -> None:
    """Take the ways that exist: off and frozen are reached from on and left through on, except frozen to off."""
    if before.state is state:
        return
    if state is PowerState.OFF:
        driver.off(before.host)
        return
    if before.state is PowerState.OFF:
        driver.on(before.host)
    elif before.state is PowerState.FROZEN:
        driver.thaw(before.host)
    if state is PowerState.FROZEN:
        driver.freeze(before.host)
