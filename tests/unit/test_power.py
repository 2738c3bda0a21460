# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power and networks of the lab's hosts, with a podman of paper."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, Condition, follow
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_host import HostFreeze, NetworkCut, PowerOff
from ansible_collections.lifeboat.cloud.plugins.module_utils._host_power import HostPower, set_power
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import Attachment, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_drivers import power_driver
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_podman import PodmanPower, find_attachment, near_end

# What `ip -json address` printed in a container, and `ip -json link` on its machine, shortened.
INSIDE = json.loads("""[
 {"ifindex": 1, "ifname": "lo", "address": "00:00:00:00:00:00"},
 {"ifindex": 2, "link_index": 46, "ifname": "eth0", "address": "1a:72:17:4a:5a:59", "link_netnsid": 0,
  "addr_info": [{"family": "inet", "local": "10.0.0.11", "prefixlen": 24}]},
 {"ifindex": 3, "link_index": 48, "ifname": "eth1", "address": "1a:72:17:4a:5a:60", "link_netnsid": 0}]""")
OUTSIDE = json.loads("""[
 {"ifindex": 1, "ifname": "lo", "address": "00:00:00:00:00:00"},
 {"ifindex": 45, "ifname": "podman5", "address": "b2:60:c5:0d:c4:97"},
 {"ifindex": 46, "link_index": 2, "ifname": "veth4", "master": "podman5", "link_netnsid": 1},
 {"ifindex": 48, "link_index": 3, "ifname": "veth6", "master": "podman6", "link_netnsid": 1}]""")
ARGUMENTS = ("--cgroup-manager=cgroupfs",)


class Podman:
    """One container, ctl1, on the networks management and storage."""

    def __init__(self, status: str = "running") -> None:
        self.status = status
        self.stuck = False
        self.master = {"veth4": "podman5", "veth6": "podman6"}
        self.done: list[str] = []

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        words = list(argv)
        if words[0] != "podman":
            return self._ip(words)
        assert words[1] == ARGUMENTS[0]
        return self._podman(words[2:])

    def _ip(self, words: list[str]) -> CommandResult:
        if words[0] == "nsenter":
            assert words[1:4] == ["--target", "4711", "--net"]
            return CommandResult(0, json.dumps(INSIDE))
        if words[1] == "-json":
            links = [{**link, "master": self.master.get(link["ifname"])} for link in OUTSIDE]
            return CommandResult(0, json.dumps(links))
        self.done.append(" ".join(words))
        interface, change = words[3], words[4:]
        if change != ["up"]:
            self.master[interface] = change[1] if change[0] == "master" else ""
        return CommandResult(0)

    def _podman(self, words: list[str]) -> CommandResult:
        if words[:2] == ["network", "inspect"]:
            return CommandResult(
                0, json.dumps([{"network_interface": {"mgmt": "podman5", "sto": "podman6"}[words[2]]}])
            )
        if words[-1] != "ctl1":
            return CommandResult(125, "", f'no such container "{words[-1]}"')
        if words[:2] == ["container", "inspect"]:
            return CommandResult(0, self.status if "--format" in words else json.dumps([self._container()]))
        self.done.append(" ".join(words))
        new = {"kill": "exited", "start": "running", "pause": "paused", "unpause": "running"}[words[0]]
        self.status = self.status if self.stuck else new
        return CommandResult(0)

    def _container(self) -> dict[str, object]:
        networks = {"mgmt": {"MacAddress": "1A:72:17:4a:5a:59"}, "sto": {"MacAddress": "1a:72:17:4a:5a:60"}}
        pid = 4711 if self.status in ("running", "paused") else 0
        return {"State": {"Status": self.status, "Pid": pid}, "NetworkSettings": {"Networks": networks}}


def driver(podman: Podman) -> PodmanPower:
    return PodmanPower("ctl1", "ctl1", ARGUMENTS, podman)


@pytest.fixture(autouse=True)
def links(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mending looks at the index of the interface in /sys, which the machine of the tests does not have."""

    def holds(condition: object, run: object) -> bool:
        file = getattr(condition, "file", "")
        known = {"veth4": "^46$", "veth6": "^48$"}
        return getattr(condition, "matches", "") == known.get(file.split("/")[4]) if file else original(condition, run)

    original = Condition.holds
    monkeypatch.setattr(Condition, "holds", holds)


def test_the_far_end_of_the_veth_is_found() -> None:
    near = near_end({"MacAddress": "1A:72:17:4A:5A:59", "IPAddress": ""}, INSIDE)
    assert find_attachment("mgmt", near, INSIDE, OUTSIDE, "podman5") == Attachment("mgmt", "veth4", 46, "podman5", True)
    assert not find_attachment("mgmt", near, INSIDE, OUTSIDE, "other").attached


def test_an_interface_whose_hardware_address_udev_has_changed_is_found_by_its_address() -> None:
    near = near_end({"MacAddress": "1a:72:17:4a:5a:99", "IPAddress": "10.0.0.11"}, INSIDE)
    assert near is not None
    assert near["ifname"] == "eth0"


@pytest.mark.parametrize("mac", ["1a:72:17:4a:5a:99", "00:00:00:00:00:00"])
def test_a_network_without_a_veth_is_refused(mac: str) -> None:
    near = near_end({"MacAddress": mac, "IPAddress": "10.0.0.99"}, INSIDE)
    with pytest.raises(LifeboatError, match="network mgmt"):
        find_attachment("mgmt", near, INSIDE, OUTSIDE, "podman9")


def test_an_interface_that_has_lost_both_addresses_to_a_switch_is_found_by_its_bridge() -> None:
    assert near_end({"MacAddress": "1a:72:17:4a:5a:99", "IPAddress": "10.0.1.11"}, INSIDE) is None
    found = find_attachment("tenant", None, INSIDE, OUTSIDE, "podman6")
    assert found == Attachment("tenant", "veth6", 48, "podman6", True)


@pytest.mark.parametrize(
    ("status", "state"),
    [("running", "on"), ("paused", "frozen"), ("exited", "off"), ("created", "off"), ("stopped", "off")],
)
def test_states(status: str, state: str) -> None:
    assert driver(Podman(status)).status() == state


def test_cut_and_mend_are_idempotent() -> None:
    podman = Podman()
    power = driver(podman)
    (place,) = power.places("mgmt")
    power.cut(place)
    assert power.networks_cut() == ("mgmt",)
    power.mend(place)
    power.mend(place)
    assert power.networks_cut() == ()
    assert podman.done[0] == "ip link set veth4 nomaster"
    assert podman.done[1:3] == ["ip link set veth4 master podman5", "ip link set veth4 up"]


def test_a_cut_is_void_when_the_interface_is_another_one() -> None:
    podman = Podman()
    stale = replace(driver(podman).places("mgmt")[0], index=12)
    driver(podman).mend(stale)
    assert podman.done == []


def test_unknown_names_are_told_with_the_known_ones() -> None:
    with pytest.raises(LifeboatError, match=r"'podmann'.*podman, libvirt, ipmi, redfish"):
        power_driver("podmann", "ctl1")
    with pytest.raises(LifeboatError, match=r"network public of host ctl1: found networks mgmt, sto"):
        driver(Podman()).places("public")
    with pytest.raises(LifeboatError, match=r"host ctl9: .*no such container \"other\""):
        power_driver("podman", "ctl9", "other", ARGUMENTS, Podman()).status()


def test_waiting_for_a_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PodmanPower, "state_timeout_s", 0.1)
    podman = Podman()
    podman.stuck = True
    with pytest.raises(LifeboatError, match=r"power on after 0\.1 s; expected power off"):
        driver(podman).off()


@pytest.mark.parametrize(
    ("before", "after", "verbs"),
    [
        ("running", "on", []),
        ("running", "off", ["kill"]),
        ("running", "frozen", ["pause"]),
        ("paused", "on", ["unpause"]),
        ("paused", "off", ["kill"]),
        ("paused", "frozen", []),
        ("exited", "on", ["start"]),
        ("exited", "off", []),
        ("exited", "frozen", ["start", "pause"]),
    ],
)
def test_every_way_between_states(before: str, after: str, verbs: list[str]) -> None:
    podman = Podman(before)
    power = driver(podman)
    was = HostPower.of(power)
    told = set_power(power, was, PowerState(after), None, dry_run=True)
    assert podman.done == []
    assert set_power(power, was, PowerState(after), None, dry_run=False) == told
    assert podman.done == [f"{verb} ctl1" for verb in verbs]
    assert HostPower.of(power) == told


def test_the_networks_cut_are_exactly_those_wanted() -> None:
    podman = Podman()
    power = driver(podman)
    power.cut(power.places("mgmt")[0])
    after = set_power(power, HostPower.of(power), PowerState.ON, ("sto",), dry_run=False)
    assert HostPower.of(power) == after == HostPower(PowerState.ON, ("sto",))


def test_networks_left_alone_and_networks_refused() -> None:
    podman = Podman()
    power = driver(podman)
    power.cut(power.places("mgmt")[0])
    was = HostPower.of(power)
    assert set_power(power, was, PowerState.ON, None, dry_run=False).networks_cut == ("mgmt",)
    podman.done.clear()
    for state, cut in ((PowerState.OFF, ("mgmt",)), (PowerState.FROZEN, ("public",))):
        with pytest.raises(LifeboatError):
            set_power(power, was, state, cut, dry_run=False)
    assert podman.done == []


def test_host_faults_land_and_heal() -> None:
    for form, verb, heals in (
        (PowerOff, "kill ctl1", ["start ctl1"]),
        (HostFreeze, "pause ctl1", ["unpause ctl1"]),
    ):
        podman = Podman()
        fault = form(FaultRequest("run1", "power_off", host="ctl1", power_arguments=ARGUMENTS), podman)
        fault.check()
        assert not fault.evidence().landed
        fault.act()
        assert fault.evidence().landed
        assert podman.done == [verb]
        podman.done.clear()
        assert follow(fault.recipe(), podman) == ()
        assert podman.done == heals
        assert podman.status == "running"
        # Healed already: a frozen host is not unpaused twice, which podman refuses.
        assert follow(HostFreeze.recipe(fault), podman) == ()
        assert podman.done == heals


@pytest.mark.parametrize(("network", "cut"), [("sto", ["sto"]), ("", ["mgmt", "sto"])])
def test_one_network_is_cut_or_all(network: str, cut: list[str]) -> None:
    podman = Podman()
    fault = NetworkCut(
        FaultRequest("run1", "network_cut", host="ctl1", network=network, power_arguments=ARGUMENTS), podman
    )
    fault.check()
    fault.act()
    evidence = fault.evidence()
    assert (evidence.landed, evidence.details["cut"]) == (True, cut)
    with pytest.raises(LifeboatError, match="cut"):
        fault.check()
    assert follow(fault.recipe(), podman) == ()
    assert driver(podman).networks_cut() == ()


@pytest.mark.parametrize("status", ["exited", "paused"])
def test_a_host_that_is_not_on_cannot_fail(status: str) -> None:
    with pytest.raises(LifeboatError, match="power on"):
        PowerOff(FaultRequest("run1", "power_off", host="ctl1", power_arguments=ARGUMENTS), Podman(status)).check()
