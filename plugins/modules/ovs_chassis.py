#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_chassis
short_description: Make Open vSwitch of a host part of a virtual network
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one transaction, that Open vSwitch has the given external ids, bridges with their ports, managers.
  - Other external ids, bridges and ports are left alone.
extends_documentation_fragment: [lifeboat.cloud._attributes]
requirements:
  - Open vSwitch (Debian package C(openvswitch-switch)), running, on the host that runs the module
options:
  external_ids:
    description:
      - The external ids of the host, for instance C(ovn-remote) and C(ovn-encap-ip). One that is null is taken away.
    type: dict
    default: {}
  bridges:
    description:
      - The bridges.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the bridge.
        type: str
        required: true
      datapath_type:
        description:
          - V(system) is the kernel's datapath, V(netdev) the one in user space.
        type: str
        choices: [system, netdev]
        default: system
      ports:
        description:
          - The interfaces that are ports of the bridge.
        type: list
        elements: str
        default: []
  managers:
    description:
      - Where managers connect, for instance V(ptcp:6640:127.0.0.1). Without it they are left as they are.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Make the host a chassis of OVN
  lifeboat.cloud.ovs_chassis:
    external_ids:
      ovn-remote: ssl:10.0.0.11:6642
      ovn-encap-type: geneve
      ovn-encap-ip: 10.0.1.31
      ovn-bridge-mappings: physnet1:br-ex
    bridges:
      - {name: br-ex, ports: [eth3]}
    managers: ["ptcp:6640:127.0.0.1"]
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [add bridge br-ex, set ovn-encap-type to geneve]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ovs_chassis import (
    Bridge,
    Chassis,
    carry_out,
    differences,
    look,
    vsctl,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "external_ids": {"type": "dict", "default": {}},
    "bridges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "datapath_type": {"type": "str", "choices": ["system", "netdev"], "default": "system"},
            "ports": {"type": "list", "elements": "str", "default": []},
        },
    },
    "managers": {"type": "list", "elements": "str"},
}


def wanted_of(params: dict[str, t.Any]) -> Chassis:
    """What the module's options ask for; the kernel's datapath has no name in the database."""
    return Chassis(
        {key: None if value is None else str(value) for key, value in params["external_ids"].items()},
        tuple(
            Bridge(each["name"], each["datapath_type"].replace("system", ""), tuple(each["ports"]))
            for each in params["bridges"]
        ),
        None if params["managers"] is None else tuple(params["managers"]),
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Do what differs."""
    steps = list(differences(wanted_of(module.params), look(vsctl)))
    if not module.check_mode:
        carry_out(steps, vsctl)
    actions = [step.says for step in steps]
    return {
        "changed": bool(steps),
        "actions": actions,
        "diff": {"before": "", "after": "".join(f"{each}\n" for each in actions)},
    }


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
