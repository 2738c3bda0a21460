#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan migrations: which servers go where, in which order, how, how long it takes, and what speaks against it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Plan which servers move where, in which order, how and how long
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Decides on the moves that reach a goal, puts them in order, chooses the mode of each before it starts, and predicts
    times and downtimes. It only plans, nothing is moved.
  - A server for which there is no place, or that must not move, is named with the reasons; it is never left silently.
  - A server that runs is stopped for its move only with O(policy.cold=true), where its copy would not end in time or no
    host takes it while it runs, and nobody else loses a place by it. One that is paused or suspended never is.
  - Memory in use M, dirty rate D and bandwidth B give time and downtime by the model of pre-copy (Clark et al., NSDI
    2005). V(0) = M, V(i+1) = min(W, D * V(i) / B), total = sum of V / B + S, downtime = V(n) / B + S, with the
    working set W and S seconds of switching over.
  - The lower bound of the whole is the largest of three, the bytes through a host or link over its bandwidth, the
    seconds of its moves over its slots, and the longest move.
  - The fleet is that of O(hosts), O(path) or O(libvirt), else the one that Nova and Placement tell of.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._planning
  - lifeboat.cloud._attributes.info
options:
  goal:
    description:
      - V(drain) empties the hosts of O(drain), spread over the others.
      - V(balance) makes loads differ by O(tolerance) at most, with few moves. The load of a host is the larger of the
        shares of its VCPUs and memory that are allocated. No server goes to where a soft policy likes it less.
      - V(consolidate) empties as many of the least loaded hosts as fit on others, up to the load O(ceiling). A soft
        policy chooses among these, and keeps no host from being emptied.
      - V(spread) parts servers of an anti-affinity group of which a host has too many.
      - V(move) makes the moves of O(moves), which may swap servers. A server that is there already needs none.
    type: str
    choices: [drain, balance, consolidate, spread, move]
    required: true
  drain:
    description: The hosts to empty.
    type: list
    elements: str
  moves:
    description:
      - The moves that are wished, each with C(server), its id or its only name, and C(destination).
      - With C(kind=cold) a server that runs is stopped for its move, which O(policy) has to allow.
    type: list
    elements: dict
  tolerance:
    description: The difference between the loads of two hosts that balancing leaves.
    type: float
    default: 0.2
  ceiling:
    description: The load up to which consolidating fills hosts.
    type: float
    default: 0.9
  hosts:
    description:
      - The hosts. Each has C(name), C(vcpus), C(memory) and C(disk), which may be allocated in all, over-commit counted
        in, and C(bandwidth) for migrations, each way. Bytes, and bytes per second.
      - C(state) V(up) or V(down), C(status) V(enabled) or V(disabled), and C(link), the uplink it shares, one of
        O(links).
      - C(hypervisor), C(hypervisor_version), C(libvirt_version), C(cpu_model), C(cpu_models) that it can give,
        C(cpu_features), C(machines), C(zone), C(aggregates), C(networks), and C(storage), the name of what it shares
        for servers' disks. For what is left out nothing is refused.
    type: list
    elements: dict
  servers:
    description:
      - The servers of O(hosts). Each has C(name), C(id) if names are not unique, C(host), and C(vcpus), C(memory) and
        C(disk) of its flavor.
      - C(memory_used), C(dirty_rate) and C(working_set) of the guest, C(local_disk) to be copied with it, C(status) as
        Nova has it, C(priority), C(group), one of O(groups).
      - C(bound_for), the host that it is under way to, and C(avoid), hosts to which its migration has failed.
      - C(movable) V(live), V(cold) or V(none), with C(reason).
      - C(storage) V(volume), V(shared) or V(local), C(cpu_mode), C(cpu_model), C(cpu_features), C(machine), C(zone),
        C(aggregates) and C(networks) that it needs.
    type: list
    elements: dict
  groups:
    description:
      - The server groups of O(servers), each with C(name) and C(policy), and C(max_server_per_host), how many of one
        with the policy V(anti-affinity) a host takes, 1 if it is not given.
    type: list
    elements: dict
  dirty_rates:
    description:
      - What was measured of servers, by their ids, in bytes per second, such as by
        M(lifeboat.cloud.libvirt_dirty_rate). The id of a server of Nova is the UUID of its domain.
      - It counts in place of what the servers' C(dirty_rate) says, and of what is learned or assumed. Servers that are
        not there, and rates that are null, are passed over.
    type: dict
    default: {}
  path:
    description:
      - A file in JSON or YAML with C(hosts), C(servers), C(groups) and C(links) as in the options, in their place.
    type: path
  libvirt:
    description:
      - The hypervisors of libvirt. Each has C(name), and in C(host) and C(domains) what
        M(lifeboat.cloud.libvirt_host_info) and M(lifeboat.cloud.libvirt_domain_info) returned there, whole.
      - C(bandwidth), C(link), C(status), C(vcpus), C(memory) and C(disk) as in O(hosts). What may be allocated is
        otherwise what the host has, without over-commit; of disk, what is free in the storage pools to which disks are
        copied, with what servers have there.
      - C(shared), directories on storage that hosts share and that libvirt does not know of, such as mounts. Hosts
        share such a directory when both name it. Pools of NFS, Ceph, iSCSI and Gluster need not be named.
    type: list
    elements: dict
  cloud:
    description:
      - The name of a cloud in C(clouds.yaml), to read hosts and servers from. One of this and O(auth), if none of
        O(hosts), O(path) and O(libvirt) is given.
    type: str
notes:
  - Room on shared storage, NUMA nodes and what other filters of the scheduler ask for are not looked at.
  - For OpenStack it needs the role C(admin), and Nova 30 (2024.2) or later.
seealso:
  - module: lifeboat.cloud.hypervisor_info
  - module: lifeboat.cloud.libvirt_dirty_rate
  - module: lifeboat.cloud.libvirt_domain_info
  - module: lifeboat.cloud.libvirt_host_info
"""

EXAMPLES = r"""
- name: Plan to empty a compute
  lifeboat.cloud.migration_plan:
    cloud: admin
    shared_storage: ceph
    assumed: {bandwidth: 1.25e9}
    goal: drain
    drain: [cmp1]
  register: plan
  failed_when: plan.unplaced or plan.refused

- name: Say what it would take
  ansible.builtin.debug:
    msg: "{{ plan.summary.moves }} moves in {{ plan.summary.total_s }} s"

- name: Plan from what is known otherwise
  lifeboat.cloud.migration_plan:
    goal: balance
    hosts:
      - {name: kvm1, vcpus: 16, memory: 68719476736, bandwidth: 1.25e8}
      - {name: kvm2, vcpus: 16, memory: 68719476736, bandwidth: 1.25e8}
    servers:
      - {name: web, host: kvm1, vcpus: 8, memory: 8589934592, dirty_rate: 2.0e7}
      - {name: mail, host: kvm1, vcpus: 4, memory: 8589934592}

# Of each hypervisor the fact site has name, host and domains.
- name: Plan from what libvirt has told
  lifeboat.cloud.migration_plan:
    libvirt: "{{ groups.hypervisors | map('extract', hostvars, 'site') }}"
    assumed: {bandwidth: 1.25e8}
    goal: drain
    drain: [kvm1]
"""

RETURN = r"""
steps:
  description: The moves in the order of their beginnings.
  returned: success
  type: list
  elements: dict
  contains:
    server: {description: The server's id., type: str, sample: web}
    name: {description: Its name., type: str, sample: web}
    source: {description: Where it is., type: str, sample: cmp1}
    destination: {description: Where it goes., type: str, sample: cmp2}
    mode: {description: "V(pre-copy), V(auto-converge), V(post-copy) or V(cold).", type: str, sample: pre-copy}
    alone: {description: Whether it goes while nothing else moves from or to its hosts., type: bool, sample: false}
    stops_server: {description: Whether a server that runs is stopped for it., type: bool, sample: false}
    start_s: {description: When it begins., type: float, sample: 0.0}
    end_s: {description: When it ends., type: float, sample: 14.2}
    downtime_s: {description: How long the server stands still., type: float, sample: 0.3}
    transferred: {description: Bytes that are sent., type: int, sample: 1073741824}
    slowdown: {description: The share of its processors' time that the guest loses at last., type: float, sample: 0.0}
    assumed: {description: On what the prediction rests; to be given back in O(history)., type: dict}
refused:
  description: Moves that were decided on and cannot be made, with C(reason).
  returned: success
  type: list
  elements: dict
unplaced:
  description:
    - Servers that stay, alike in C(servers), each with C(server), C(name) and C(host), and C(reasons), each with
      C(obstacles) and the C(hosts) that these hold for, none where it is the server itself.
  returned: success
  type: list
  elements: dict
compatibility:
  description:
    - For each sort of servers that were looked at, the hosts that C(fits) now, and those C(refused) with obstacles.
  returned: success
  type: list
  elements: dict
learned:
  description: What the history taught, of a C(subject), with C(before), C(after) and C(samples).
  returned: success
  type: list
  elements: dict
summary:
  description: The whole.
  returned: success
  type: dict
  contains:
    moves: {description: How many., type: int, sample: 10}
    staying: {description: How many servers should move and cannot., type: int, sample: 0}
    bytes: {description: Bytes that are sent., type: float, sample: 10737418240.0}
    total_s: {description: Seconds until all have ended., type: float, sample: 104.2}
    lower_bound_s: {description: Seconds that nobody can beat., type: float, sample: 98.0}
    longest_downtime_s: {description: The longest of all downtimes., type: float, sample: 0.4}
    emptied_hosts: {description: Hosts without servers afterwards., type: list, elements: str, sample: [cmp1]}
    measured: {description: Of how many servers that move the dirty rate was given as measured., type: int, sample: 8}
    prediction_error:
      description: The median error of the total times in the history, as a share; null without one.
      type: float
      sample: 0.08
"""

import json
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import OPENSTACK_OPTIONS, opened
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal, make_plan, plan_json
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import (
    dirty_rates_of,
    fleet_of,
    wishes_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_libvirt import fleet_of_libvirt
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Fleet
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_options import (
    PLANNING_OPTIONS,
    Planning,
    planning_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_source import fleet_from

_PARTS = ("hosts", "servers", "groups", "links")
# What only a cloud has to be told. The account itself may be beside other sources, from defaults of all modules.
_OF_CLOUD = ("host_links", "shared_storage")


ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "goal": {"type": "str", "required": True, "choices": ["drain", "balance", "consolidate", "spread", "move"]},
    "drain": {"type": "list", "elements": "str"},
    "moves": {"type": "list", "elements": "dict"},
    "tolerance": {"type": "float", "default": 0.2},
    "ceiling": {"type": "float", "default": 0.9},
    "hosts": {"type": "list", "elements": "dict"},
    "servers": {"type": "list", "elements": "dict"},
    "groups": {"type": "list", "elements": "dict"},
    "dirty_rates": {"type": "dict", "default": {}},
    "path": {"type": "path"},
    "libvirt": {"type": "list", "elements": "dict"},
    **PLANNING_OPTIONS,
}
RULES: dict[str, t.Any] = {
    "mutually_exclusive": [
        ("cloud", "auth"),
        ("hosts", "path", "libvirt"),
        ("path", "links"),
        *((source, option) for source in ("hosts", "path", "libvirt") for option in _OF_CLOUD),
    ],
    "required_by": {"servers": ["hosts"], "groups": ["hosts"]},
    "required_one_of": [("cloud", "auth", "hosts", "path", "libvirt")],
    "required_if": [("goal", "drain", ("drain",)), ("goal", "move", ("moves",))],
}


def loaded(path: str) -> dict[str, t.Any]:
    """The parts of the fleet that a file in JSON or YAML has."""
    thing = f"file {path}"
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text) if path.endswith(".json") else _from_yaml(text)
    except (OSError, ValueError) as error:
        raise LifeboatError(thing, str(error), "JSON or YAML that can be read", "Correct path, or the file.") from error
    if not isinstance(found, dict) or "hosts" not in found or not found.keys() <= set(_PARTS):
        expected = f"a dictionary of {', '.join(_PARTS)}"
        what = f"the keys {', '.join(map(str, found))}" if isinstance(found, dict) else type(found).__name__
        raise LifeboatError(thing, what, expected, "Correct the file.")
    for part, entries in found.items():
        if not isinstance(entries, list):
            raise LifeboatError(f"{part} of {thing}", repr(entries), "a list", "Correct the file, or leave it out.")
    return found


def _from_yaml(text: str) -> t.Any:
    import yaml  # noqa: PLC0415 (not every host has it, and JSON does without)

    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def fleet(params: dict[str, t.Any], planning: Planning) -> Fleet:
    if params["hosts"] is not None:
        return fleet_of(**{part: params[part] or () for part in _PARTS}, assumed=params["assumed"])
    if params["libvirt"] is not None:
        return fleet_of_libvirt(params["libvirt"], params["links"] or (), params["assumed"])
    if params["path"]:
        return fleet_of(**{"servers": [], **loaded(params["path"])}, assumed=params["assumed"])
    with opened(params) as cloud:
        return fleet_from(cloud, planning.assumed, planning.storage, uplinks=planning.uplinks)


def refuse_nothing(params: dict[str, t.Any]) -> None:
    """LifeboatError for a goal that is about what is listed, and a list that is empty."""
    goal = params["goal"]
    option = {"drain": "drain", "move": "moves"}.get(goal)
    if option and not params[option]:
        raise LifeboatError(
            f"goal {goal}", f"nothing in {option}", "one entry at least", f"Say in {option} what moves."
        )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_nothing(params)
    planning = planning_of(params, module.warn)
    estimates = planning.estimates.with_dirty_rates(dirty_rates_of(params["dirty_rates"]))
    moves, of = wishes_of(params["moves"] or (), fleet(params, planning))
    goal = Goal(
        params["goal"],
        tuple(params["drain"] or ()),
        tuple(moves),
        params["tolerance"],
        params["ceiling"],
    )
    return plan_json(make_plan(of, goal, planning.limits, planning.policy, estimates))


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES), work)


if __name__ == "__main__":
    main()
