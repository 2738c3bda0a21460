#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a fault on a host, and heal it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fault
short_description: Make a fault on a host, and heal it
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes one fault for a failure drill, proves that it landed, and heals it.
  - Before the fault is made, its recipe for healing is put into a journal on the disk and a dead man's switch is armed
    that follows the recipe when the Ansible run dies. The recipe is the only way to heal, for the switch, for this run
    and for a later run that finds the journal.
  - Faults of services and of the network run on the target host. Faults of whole hosts (V(power_off),
    V(host_freeze), V(network_cut)) run on the host of the power controller; for podman and libvirt, where the
    containers or virtual machines run.
  - SSH (TCP port 22) is never dropped nor delayed, except by faults of whole hosts.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  id:
    description:
      - Identifier of the drill's run. One run makes at most one fault on a host, and one on each network of a host by
        O(form=network_cut).
      - V(all) heals whatever the journal holds. Only for O(state=healed).
    type: str
    required: true
  state:
    description:
      - V(armed) writes the journal, arms the switch and prepares, so that the fault itself costs no time.
      - V(injected) makes the fault, and does first what V(armed) does when that was not done.
      - V(healed) undoes the fault, disarms the switch and forgets the entry.
    type: str
    choices: [armed, injected, healed]
    required: true
  form:
    description:
      - V(crash), SIGKILL of all processes of O(units), which systemd does not restart.
      - V(hang), all processes of O(units) are frozen.
      - V(stop), an orderly stop of O(units).
      - V(silence), packets from and to the TCP ports O(ports) and O(served_ports) are dropped without an answer.
      - V(partition), all packets from and to O(peers) are dropped, whatever the port.
      - V(loss), a part of the packets of O(ports), O(served_ports) and O(peers) is dropped.
      - V(delay), packets of O(ports) and O(peers) leave the host late; needs the kernel's sch_prio and sch_netem.
        IPv4 peers only.
      - V(full_disk), the file system of O(path) has no free blocks.
      - V(slow_disk), O(units) read and write at most O(iops) times per second on the disk that carries O(path).
        Needs systemd and the cgroup v2 controller C(io).
      - V(clock_step), the wall clock jumps by O(step_s) while the time service is stopped. Needs systemd, and a clock
        that is the host's own, so it is refused in a container. No other fault may stand on the host meanwhile.
      - V(power_off), V(host_freeze), V(network_cut), faults of the whole O(host) through O(power_driver). The drivers
        V(ipmi) and V(redfish) can do the first only.
      - Needed unless O(state=healed).
    type: str
    choices:
      - crash
      - hang
      - silence
      - partition
      - stop
      - delay
      - loss
      - full_disk
      - slow_disk
      - clock_step
      - power_off
      - host_freeze
      - network_cut
  units:
    description:
      - Systemd services, for V(crash), V(hang), V(stop) and V(slow_disk).
      - For V(clock_step) the time services, of which the active ones are stopped. When empty, chronyd,
        systemd-timesyncd, ntpsec and ntpd are looked for.
    type: list
    elements: str
    default: []
  ports:
    description:
      - TCP ports of the component, for V(silence), V(loss) and V(delay).
      - They are met as either end of a connection, as fits ports by which the members of a cluster reach each other.
    type: list
    elements: int
    default: []
  served_ports:
    description:
      - TCP ports that the component serves at O(addresses), for V(silence) and V(loss).
      - They are met as the component's own end only. What other programs of the host send to the same ports elsewhere,
        or get on the same ports at other addresses, goes through, such as all that a load balancer on the host carries.
    type: list
    elements: int
    default: []
  addresses:
    description: The host's own IP addresses at which O(served_ports) are met. Any of its addresses when empty.
    type: list
    elements: str
    default: []
  peers:
    description: IP addresses to which the fault is limited. Everybody, the host itself included, when empty.
    type: list
    elements: str
    default: []
  direction:
    description: Packets that come in, that go out, or both. A delay is always of packets that go out.
    type: str
    choices: [both, in, out]
    default: both
  delay_ms:
    description: How long packets are held back, in milliseconds.
    type: int
    default: 0
  loss_percent:
    description: The part of packets that is lost, 0.01 to 100.
    type: float
    default: 0
  path:
    description:
      - Directory on the file system that V(full_disk) fills.
      - Refused are the root file system and others that the host itself needs, and everything that is only a part of
        a file system (the layers of a container, a bind mount, a subvolume), because others would suffer.
      - For V(slow_disk), what lies on the disk to be slowed down, such as the directory of the component's data. The
        limit holds for all that O(units) do on that disk. Refused are file systems without a block device of their
        own (overlay, tmpfs, NFS, Btrfs), and units whose I/O is limited already.
    type: path
  leave_mib:
    description: Free space that V(full_disk) leaves, in MiB.
    type: int
    default: 0
  iops:
    description: Reads, and likewise writes, that V(slow_disk) leaves each unit, per second. At least 1.
    type: int
    default: 0
  step_s:
    description:
      - Seconds by which V(clock_step) sets the clock forward, 1 to 86400, or back when negative.
      - Healing sets the clock to what it would be without the step. RV(injected_at), RV(healed_at) and RV(deadline) are
        instants of the unstepped clock, and the dead man's switch counts on the monotonic one.
    type: int
    default: 0
  host:
    description:
      - The host's name in the inventory.
      - With O(state=healed), only the faults of this host.
    type: str
  power_driver:
    description: What controls power and networks of hosts. V(podman), V(libvirt), V(ipmi) or V(redfish).
    type: str
    default: podman
  power_address:
    description:
      - What the power driver calls the host, O(host) when not set.
      - The name of a container for V(podman), of a domain for V(libvirt), the host name or IP address of the BMC for
        V(ipmi), the URL of the server's system for V(redfish).
    type: str
  power_arguments:
    description:
      - Arguments for podman, virsh, ipmitool or curl, put before each of its commands. The journal keeps them.
      - A BMC's password is never among them, but in a file of mode 0600 on this host, given as C(-f FILE) for V(ipmi)
        and as C(--netrc-file FILE) for V(redfish).
    type: list
    elements: str
    default: []
  network:
    description:
      - The network that V(network_cut) cuts. All networks of the host when not set.
      - With O(state=healed), only the faults of this network.
    type: str
  at:
    description:
      - Instant at which the fault is made, in seconds since the epoch, so that several hosts are hit together.
      - At most 10 seconds ahead. An instant that has passed is no error; RV(late_s) tells.
    type: float
  heal_after:
    description:
      - Seconds from arming to the moment when the dead man's switch heals, 5 to 3600.
      - An armed fault that is injected when more than half of this has passed is armed anew.
      - Needed unless O(state=healed).
    type: int
  deadman:
    description: Without the dead man's switch nothing heals a fault when the run dies.
    type: bool
    default: true
  start_on_heal:
    description:
      - Whether healing V(crash) and V(stop) starts the units.
      - Set to V(false) when a recovery procedure will do it, such as the one for a database all of whose members died.
    type: bool
    default: true
  journal_dir:
    description: Directory of the journal.
    type: path
    default: /var/lib/lifeboat/faults
seealso:
  - module: lifeboat.cloud.fault_info
  - module: lifeboat.cloud.host_power
"""

EXAMPLES = r"""
- name: Kill HAProxy, all of its processes
  lifeboat.cloud.fault:
    id: 20261121T101500Z-haproxy
    state: injected
    form: crash
    units: [haproxy]
    heal_after: 120

- name: Cut the first controller off the management network
  lifeboat.cloud.fault:
    id: 20261121T101500Z-cut
    state: injected
    form: network_cut
    host: ctl1
    network: lifeboat-management
    heal_after: 120
  delegate_to: localhost

- name: Slow the database down to ten reads and ten writes per second
  lifeboat.cloud.fault:
    id: 20261121T101500Z-slow
    state: injected
    form: slow_disk
    units: [mariadb]
    path: /var/lib/mysql
    iops: 10
    heal_after: 120

- name: Set the clock back by five minutes
  lifeboat.cloud.fault:
    id: 20261121T101500Z-clock
    state: injected
    form: clock_step
    step_s: -300
    heal_after: 120

- name: Finish what an interrupted drill has left
  lifeboat.cloud.fault:
    id: all
    state: healed
"""

RETURN = r"""
landed:
  description: Whether the fault is proven to stand. None while it is only armed.
  returned: when one fault is concerned
  type: bool
  sample: true
evidence:
  description:
    - What was seen, depending on the form. C(basis) says on what C(landed) rests; V(rules only) means that the
      rules stand but no packet met them yet.
  returned: when one fault is concerned
  type: dict
  sample: {landed: true, basis: packet counters, table: lifeboat_fault_1, dropped_packets: 4}
injected_at:
  description: Instant just before the fault was made, in seconds since the epoch.
  returned: when one fault is concerned
  type: float
  sample: 1795256100.125
injection_took_s:
  description: How long making the fault took. It began between C(injected_at) and that much later.
  returned: when one fault is concerned
  type: float
  sample: 0.021
late_s:
  description: How late after O(at) the fault was made, in seconds.
  returned: when one fault is concerned
  type: float
  sample: 0.0004
deadline:
  description: When the dead man's switch heals, in seconds since the epoch.
  returned: when one fault is concerned
  type: float
  sample: 1795256220.1
healed_at:
  description: Instant just after the fault was healed, in seconds since the epoch.
  returned: when one fault is concerned
  type: float
  sample: 1795256130.5
healed_by:
  description: V(run) or V(deadman); empty while the fault stands.
  returned: when one fault is concerned
  type: str
  sample: run
entries:
  description: The faults concerned, as the journal holds or held them, with their recipes.
  returned: always
  type: list
  elements: dict
  sample: []
plan:
  description: What would be done, in check mode.
  returned: always
  type: list
  elements: str
  sample: [systemctl kill --kill-whom=all --signal=SIGKILL haproxy.service]
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault import (
    Injector,
    Outcome,
    heal,
    heal_preview,
    select,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

FORMS = [
    "crash",
    "hang",
    "silence",
    "partition",
    "stop",
    "delay",
    "loss",
    "full_disk",
    "slow_disk",
    "clock_step",
    "power_off",
    "host_freeze",
    "network_cut",
]


def _request(options: dict[str, t.Any]) -> FaultRequest:
    return FaultRequest(
        id=options["id"],
        form=options["form"],
        units=tuple(options["units"]),
        ports=tuple(options["ports"]),
        served_ports=tuple(options["served_ports"]),
        addresses=tuple(options["addresses"]),
        peers=tuple(options["peers"]),
        direction=options["direction"],
        delay_ms=options["delay_ms"],
        loss_percent=options["loss_percent"],
        path=options["path"] or "",
        leave_mib=options["leave_mib"],
        iops=options["iops"],
        step_s=options["step_s"],
        host=options["host"] or "",
        power_driver=options["power_driver"],
        power_address=options["power_address"] or "",
        power_arguments=tuple(options["power_arguments"]),
        network=options["network"] or "",
        start_on_heal=options["start_on_heal"],
        journal=options["journal_dir"],
    )


def _outcome(module: AnsibleModule) -> Outcome:
    options = module.params
    state = options["state"]
    journal = Journal(Path(options["journal_dir"]))
    if state == "healed":
        entries = select(journal, options["id"], options["host"] or "", options["network"] or "")
        return heal_preview(entries) if module.check_mode else heal(journal, entries)
    injector = Injector(_request(options), journal, options["heal_after"], options["deadman"])
    if module.check_mode:
        return injector.preview(state)
    return injector.inject(options["at"]) if state == "injected" else injector.arm()


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Make or heal, and say what stands."""
    outcome = _outcome(module)
    standing, reached = ("a fault", "none") if module.params["state"] == "healed" else ("none", "a fault")
    before = standing if outcome.changed else reached
    return {**outcome.to_json(), "diff": {"before": {"fault": before}, "after": {"fault": reached}}}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["armed", "injected", "healed"], "required": True},
            "form": {"type": "str", "choices": FORMS},
            "units": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "served_ports": {"type": "list", "elements": "int", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "peers": {"type": "list", "elements": "str", "default": []},
            "direction": {"type": "str", "choices": ["both", "in", "out"], "default": "both"},
            "delay_ms": {"type": "int", "default": 0},
            "loss_percent": {"type": "float", "default": 0},
            "path": {"type": "path"},
            "leave_mib": {"type": "int", "default": 0},
            "iops": {"type": "int", "default": 0},
            "step_s": {"type": "int", "default": 0},
            "host": {"type": "str"},
            "power_driver": {"type": "str", "default": "podman"},
            "power_address": {"type": "str"},
            "power_arguments": {"type": "list", "elements": "str", "default": []},
            "network": {"type": "str"},
            "at": {"type": "float"},
            "heal_after": {"type": "int"},
            "deadman": {"type": "bool", "default": True},
            "start_on_heal": {"type": "bool", "default": True},
            "journal_dir": {"type": "path", "default": "/var/lib/lifeboat/faults"},
        },
        required_if=[("state", "armed", ["form", "heal_after"]), ("state", "injected", ["form", "heal_after"])],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
