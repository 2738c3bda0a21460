# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power and networks of virtual machines, with a virsh of paper that says what virsh 9.0.0 said."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, Condition, Step, follow
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_host import HostFreeze, NetworkCut, PowerOff
from ansible_collections.lifeboat.cloud.plugins.module_utils._host_power import HostPower, set_power
from ansible_collections.lifeboat.cloud.plugins.module_utils._power import Attachment, PowerState
from ansible_collections.lifeboat.cloud.plugins.module_utils._power_libvirt import LibvirtPower

ARGUMENTS = ("-c", "qemu:///system")
DOMINFO = """Id:             {id}
Name:           cloud_ctl1
UUID:           6695eb01-f6a4-8304-79aa-97f2502e193f
OS Type:        hvm
State:          {state}
CPU(s):         2
CPU time:       1795266620.9s
Max memory:     8388608 KiB
Used memory:    2097152 KiB
Persistent:     {persistent}
Autostart:      disable
Managed save:   no
"""
DOMIFLIST = """ vnet0   bridge    br-mgmt   virtio   52:54:00:00:00:01
 vnet1   network   default   virtio   52:54:00:00:00:02
 vnet2   network   default   virtio   52:54:00:00:00:03
"""
ELSEWHERE = """ macvtap0   direct    eth0       virtio   52:54:00:00:00:04
 -          user      -          virtio   52:54:00:00:00:05
 vnet6      network   nobridge   virtio   52:54:00:00:00:06
 vnet7      bridge    br-ovs     virtio   52:54:00:00:00:07
 vnet8      bridge    br-mgmt    virtio   52:54:00:00:00:08
 vnet9      bridge    br-sto     virtio   52:54:00:00:00:09
"""
NET_INFO = """Name:           {name}
UUID:           dd8fe884-6c02-601e-7551-cca97df1c5df
Active:         yes
Persistent:     yes
Autostart:      no
"""
LINKS = [
    {"ifindex": 1, "ifname": "lo", "address": "00:00:00:00:00:00"},
    {"ifindex": 12, "ifname": "vnet0", "master": "br-mgmt", "address": "fe:54:00:00:00:01"},
    {"ifindex": 13, "ifname": "vnet1", "master": "virbr0", "address": "fe:54:00:00:00:02"},
    {"ifindex": 14, "ifname": "vnet2", "master": "virbr0", "address": "fe:54:00:00:00:03"},
    {"ifindex": 15, "ifname": "macvtap0", "address": "52:54:00:00:00:04"},
    {"ifindex": 16, "ifname": "vnet6", "address": "fe:54:00:00:00:06"},
    {"ifindex": 17, "ifname": "vnet7", "master": "ovs-system", "address": "fe:54:00:00:00:07"},
    # The tap of another domain, of the name that the domain's own tap has on another machine; vnet9 is not here at all.
    {"ifindex": 18, "ifname": "vnet8", "master": "br-mgmt", "address": "fe:54:00:00:00:99"},
]


class Virsh:
    """One domain, cloud_ctl1, in the state of ``virsh domstate``, and this machine's links."""

    def __init__(self, state: str = "running") -> None:
        self.state = state
        self.persistent = "yes"
        self.domiflist = DOMIFLIST
        self.links = {str(link["ifname"]): dict(link) for link in LINKS}
        self.dead = False
        self.done: list[str] = []

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        words = list(argv)
        if words[0] == "ip":
            return self._ip(words)
        assert words[:4] == ["virsh", "--quiet", *ARGUMENTS]
        verb, target = words[4], words[5:]
        if self.dead:
            return CommandResult(1, "", "error: failed to connect to the hypervisor")
        if verb == "net-info":
            bridge = "Bridge:         virbr0\n" if target == ["--network", "default"] else ""
            return CommandResult(0, NET_INFO.format(name=target[1]) + bridge)
        if target != ["--domain", "cloud_ctl1"]:
            return CommandResult(1, "", f"error: failed to get domain '{target[-1]}'")
        return self._domain(verb)

    def _domain(self, verb: str) -> CommandResult:
        known = {
            "dominfo": DOMINFO.format(id=1, state=self.state, persistent=self.persistent),
            "domstate": f"{self.state}\n",
            "domiflist": self.domiflist,
        }
        if verb in known:
            return CommandResult(0, known[verb])
        needed = {"start": ("shut off",), "resume": ("paused",), "suspend": ("running",)}
        if self.state not in needed.get(verb, ("running", "paused")):
            return CommandResult(1, "", "error: Requested operation is not valid")
        self.done.append(verb)
        self.state = {"destroy": "shut off", "suspend": "paused"}.get(verb, "running")
        return CommandResult(0)

    def _ip(self, words: list[str]) -> CommandResult:
        if words[1:] == ["-json", "link"]:
            return CommandResult(0, json.dumps(list(self.links.values())))
        self.done.append(" ".join(words))
        assert words[4:] == ["nomaster"]
        del self.links[words[3]]["master"]
        return CommandResult(0)


def driver(virsh: Virsh, domain: str = "cloud_ctl1") -> LibvirtPower:
    return LibvirtPower("ctl1", domain, ARGUMENTS, virsh)


def request(form: str, network: str = "") -> FaultRequest:
    return FaultRequest(
        "run1",
        form,
        host="ctl1",
        power_driver="libvirt",
        power_address="cloud_ctl1",
        power_arguments=ARGUMENTS,
        network=network,
    )


@pytest.mark.parametrize(
    ("said", "state"),
    [("running", "on"), ("in shutdown", "on"), ("paused", "frozen"), ("shut off", "off"), ("crashed", "off")],
)
def test_states(said: str, state: str) -> None:
    assert driver(Virsh(said)).status() == state


def test_a_domain_that_would_be_gone_is_refused() -> None:
    virsh = Virsh()
    virsh.persistent = "no"
    with pytest.raises(LifeboatError, match="host ctl1: found domain cloud_ctl1 with Persistent: no"):
        PowerOff(request("power_off"), virsh).check()


def test_an_unknown_domain_is_named() -> None:
    with pytest.raises(LifeboatError, match=r"host ctl1: .*failed to get domain 'ctl9'"):
        driver(Virsh(), "ctl9").status()


@pytest.mark.parametrize(
    ("before", "after", "verbs"),
    [
        ("running", "off", ["destroy"]),
        ("running", "frozen", ["suspend"]),
        ("paused", "on", ["resume"]),
        ("paused", "off", ["destroy"]),
        ("shut off", "on", ["start"]),
        ("shut off", "frozen", ["start", "suspend"]),
    ],
)
def test_the_ways_between_states(before: str, after: str, verbs: list[str]) -> None:
    virsh = Virsh(before)
    power = driver(virsh)
    told = set_power(power, HostPower.of(power), PowerState(after), None, dry_run=False)
    assert HostPower.of(power) == told == HostPower(PowerState(after))
    assert virsh.done == verbs


def test_attachments_are_taps_on_bridges() -> None:
    assert driver(Virsh()).attachments() == (
        Attachment("br-mgmt", "vnet0", 12, "br-mgmt", True),
        Attachment("default", "vnet1", 13, "virbr0", True),
        Attachment("default", "vnet2", 14, "virbr0", True),
    )
    assert driver(Virsh("shut off")).attachments() == ()


@pytest.mark.parametrize("network", ["eth0", "-", "nobridge", "br-ovs", "br-mgmt", "br-sto", ""])
def test_an_interface_that_is_no_tap_on_a_bridge_here_is_not_cut(network: str) -> None:
    virsh = Virsh()
    virsh.domiflist = ELSEWHERE
    power = driver(virsh)
    assert HostPower.of(power) == HostPower(PowerState.ON, ())
    with pytest.raises(LifeboatError, match="none of this machine on a Linux bridge"):
        NetworkCut(request("network_cut", network), virsh).check()
    assert virsh.done == []


def test_a_network_is_cut_with_all_its_interfaces() -> None:
    virsh = Virsh()
    power = driver(virsh)
    fault = NetworkCut(request("network_cut", "default"), virsh)
    fault.check()
    recipe = fault.recipe()
    power.cut(power.places("default")[0])
    assert not fault.evidence().landed
    virsh.links["vnet1"]["master"] = "virbr0"
    virsh.done.clear()
    fault.act()
    assert virsh.done == ["ip link set vnet1 nomaster", "ip link set vnet2 nomaster"]
    evidence = fault.evidence()
    assert (evidence.landed, evidence.details["interfaces"]) == (True, ["vnet1", "vnet2"])
    assert power.networks_cut() == ("default",)
    same = Condition(file="/sys/class/net/vnet2/ifindex", matches="^14$")
    assert recipe[2:] == (
        Step(run=("ip", "link", "set", "vnet2", "master", "virbr0"), only_if=same),
        Step(run=("ip", "link", "set", "vnet2", "up"), only_if=same),
    )


@pytest.mark.parametrize(("form", "verb", "heals"), [(PowerOff, "destroy", "start"), (HostFreeze, "suspend", "resume")])
def test_faults_land_and_heal(form: type[PowerOff | HostFreeze], verb: str, heals: str) -> None:
    virsh = Virsh()
    fault = form(request("power_off"), virsh)
    fault.check()
    recipe = fault.recipe()
    fault.act()
    assert fault.evidence().landed
    assert follow(recipe, virsh) == ()
    assert follow(recipe, virsh) == ()
    assert virsh.done == [verb, heals]


def test_healing_fails_when_libvirt_gives_no_answer() -> None:
    virsh = Virsh("shut off")
    recipe = driver(virsh).on_steps()
    virsh.dead = True
    failures = follow(recipe, virsh, lambda _seconds: None)
    assert [failure.partition(" --domain")[0].split()[-1] for failure in failures] == ["resume", "start"]
    assert "failed to connect" in failures[1]
