#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_cluster
short_description: Give a Ceph cluster its options, manager modules, CRUSH rules, pools and clients
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Does in one session with the monitors what M(lifeboat.cloud.ceph_config), M(lifeboat.cloud.ceph_pool) and
    M(lifeboat.cloud.ceph_auth) do for one thing each, with the same refusals. What is not named is left alone.
  - All refusals come before the first change, but for pools whose CRUSH rule is only made now.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  config:
    description:
      - Options by whom they are for, as O(lifeboat.cloud.ceph_config#module:who) and
        O(lifeboat.cloud.ceph_config#module:settings). One whose value is null shall not be set.
    type: dict
    default: {}
  manager_modules:
    description:
      - Modules of the manager by name, and whether each is on.
    type: dict
    default: {}
  crush_rules:
    description:
      - CRUSH rules for replicated pools. One that is there is left alone, as changing it would move data.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the rule.
        type: str
        required: true
      root:
        description:
          - The bucket below which all replicas are.
        type: str
        default: default
      failure_domain:
        description:
          - The kind of bucket of which each takes one replica at most, such as V(host) or V(rack).
        type: str
        default: host
      device_class:
        description:
          - Use only OSDs of this class, such as V(ssd).
        type: str
  pools:
    description:
      - Pools, as M(lifeboat.cloud.ceph_pool) makes them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the pool.
        type: str
        required: true
      size:
        description:
          - The number of replicas.
        type: int
      min_size:
        description:
          - The number of replicas without which the pool stands still.
        type: int
      pg_num:
        description:
          - The number of placement groups, a power of two. With the autoscaler on it is only where a new pool begins.
        type: int
      autoscale_mode:
        description:
          - Whether Ceph's autoscaler sets the number of placement groups, or only warns when it would.
        type: str
        choices: ["on", "off", warn]
      crush_rule:
        description:
          - The name of the CRUSH rule that says where replicas are.
        type: str
      application:
        description:
          - What the pool is for, such as V(rbd).
        type: str
      max_bytes:
        description:
          - The quota in bytes, or with a unit such as V(10G). V(0) is none.
        type: bytes
      max_objects:
        description:
          - The quota in objects. V(0) is none.
        type: int
      force:
        description:
          - Accept a size or min_size of 1, more replicas than there are places, and a second application.
        type: bool
        default: false
  clients:
    description:
      - Entities by name, such as C(client.glance), each with its caps by type of daemon.
    type: dict
    default: {}
  return_keys:
    description:
      - Whether to return the keys of O(clients). Use C(no_log) then.
    type: bool
    default: false
seealso:
  - module: lifeboat.cloud.ceph_config
  - module: lifeboat.cloud.ceph_pool
  - module: lifeboat.cloud.ceph_auth
"""

EXAMPLES = r"""
- name: Give the cluster what a cloud needs
  lifeboat.cloud.ceph_cluster:
    config:
      global: {osd_heartbeat_grace: 5}
    manager_modules: {prometheus: true}
    pools:
      - {name: images, size: 3, min_size: 2, application: rbd}
    clients:
      client.glance: {mon: profile rbd, osd: profile rbd pool=images, mgr: profile rbd pool=images}
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [create pool images, create client.glance]
restart_needed:
  description: The options among the changed ones that daemons read only when they start.
  returned: success
  type: list
  elements: str
  sample: []
client_keys:
  description: The keys of O(clients) by name, empty in check mode for one that does not exist yet.
  returned: when O(return_keys=true)
  type: dict
client_keyrings:
  description: The same as the text of a keyring file each.
  returned: when O(return_keys=true)
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_auth import find_entity
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_cluster import WantedCluster, WantedRule, converge
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import POOL_ARGUMENTS, WantedPool
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "config": {"type": "dict", "default": {}},
    "manager_modules": {"type": "dict", "default": {}},
    "crush_rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "root": {"type": "str", "default": "default"},
            "failure_domain": {"type": "str", "default": "host"},
            "device_class": {"type": "str"},
        },
    },
    "pools": {"type": "list", "elements": "dict", "default": [], "options": POOL_ARGUMENTS},
    "clients": {"type": "dict", "default": {}},
    "return_keys": {"type": "bool", "default": False, "no_log": False},
}


def work(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Bring the cluster into the wanted state."""
    params = module.params
    wanted = WantedCluster(
        config=params["config"],
        manager_modules={name: module.boolean(on) for name, on in params["manager_modules"].items()},
        crush_rules=[WantedRule(**rule) for rule in params["crush_rules"]],
        pools=[WantedPool(**pool) for pool in params["pools"]],
        clients=params["clients"],
    )
    changes, restart = converge(ceph, wanted, check=module.check_mode)
    result = {**result_of(changes), "restart_needed": restart}
    if params["return_keys"]:
        found = {name: find_entity(ceph, name) for name in params["clients"]}
        result["client_keys"] = {name: entity.key if entity else "" for name, entity in found.items()}
        result["client_keyrings"] = {name: f"[{name}]\n\tkey = {key}\n" for name, key in result["client_keys"].items()}
    return result


def main() -> None:
    """Run the module."""
    run_ceph_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
