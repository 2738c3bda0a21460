#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the agents of Neutron, and which of them are not alive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network_agent_info
short_description: Read the agents of Neutron, and which of them are not alive
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the agents that Neutron knows, among them the controllers and metadata agents of OVN.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
options:
  hosts:
    description:
      - Only agents on these hosts.
    type: list
    elements: str
    default: []
  binaries:
    description:
      - Only agents of these programs, for instance V(ovn-controller), V(neutron-ovn-metadata-agent).
    type: list
    elements: str
    default: []
  chassis:
    description:
      - Only agents on these chassis of OVN.
    type: list
    elements: str
    default: []
  availability_zone:
    description:
      - Only agents in this availability zone.
    type: str
  alive:
    description:
      - List only agents that are alive, or that are not. The summary counts both.
    type: bool
notes:
  - An agent counts as alive until Neutron's C(agent_down_time), 75 seconds where it is not set, has passed.
  - With ML2/OVN Neutron looks whether the chassis answer when the agents are listed. One that has died is found out by
    the second listing that is at least half of C(agent_down_time) after the first, not by a single one.
"""

EXAMPLES = r"""
- name: Wait until every agent of a host that was restarted is alive
  lifeboat.cloud.network_agent_info:
    cloud: admin
    hosts: [cmp1]
  register: network
  until: network.summary.agents > 0 and not network.summary.not_alive
  retries: 30
  delay: 5

- name: List the metadata agents that are not alive
  lifeboat.cloud.network_agent_info:
    cloud: admin
    binaries: [neutron-ovn-metadata-agent]
    alive: false
"""

RETURN = r"""
agents:
  description: The agents, sorted by host and program.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its UUID, or with OVN the name of its chassis.
      type: str
      sample: cmp1
    type:
      description: Its kind.
      type: str
      sample: OVN Controller Gateway agent
    binary:
      description: Its program.
      type: str
      sample: ovn-controller
    host:
      description: Its host.
      type: str
      sample: cmp1
    availability_zones:
      description: Its availability zones.
      type: list
      elements: str
      sample: []
    chassis:
      description: The name of its chassis, null for an agent that is not of OVN.
      type: str
      sample: cmp1
    alive:
      description: Whether it has reported lately.
      type: bool
      sample: true
    admin_state_up:
      description: Whether it may be used.
      type: bool
      sample: true
    last_heartbeat:
      description: When it reported last, in UTC.
      type: str
      sample: "2026-11-21 13:42:05"
summary:
  description: The agents that all options but O(alive) leave.
  returned: success
  type: dict
  contains:
    agents:
      description: How many there are.
      type: int
      sample: 4
    alive:
      description: How many of them are alive.
      type: int
      sample: 3
    not_alive:
      description: Those that are not.
      type: list
      elements: str
      sample: [neutron-ovn-metadata-agent on cmp2]
    hosts_without_agents:
      description: Which of O(hosts) have none.
      type: list
      elements: str
      sample: []
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._network_agents import (
    AgentFilter,
    read_agents,
    summary_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "hosts": {"type": "list", "elements": "str", "default": []},
    "binaries": {"type": "list", "elements": "str", "default": []},
    "chassis": {"type": "list", "elements": "str", "default": []},
    "availability_zone": {"type": "str"},
    "alive": {"type": "bool"},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    wanted = AgentFilter(params["hosts"], params["binaries"], params["chassis"], params["availability_zone"])
    with opened(params) as cloud:
        agents = read_agents(cloud.network, wanted)
    return {
        "agents": [dataclasses.asdict(agent) for agent in agents if params["alive"] in (None, agent.alive)],
        "summary": dataclasses.asdict(summary_of(agents, wanted)),
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
