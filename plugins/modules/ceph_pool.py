#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_pool
short_description: Make, change and remove a replicated pool of a Ceph cluster
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one session with the monitors, that a pool exists with the given settings. Options that are not
    given are left alone, and to the cluster's defaults when the pool is made.
  - Refuses, before the first change, more replicas than there are places for by the pool's CRUSH rule, and settings
    with which a write would be on one OSD only.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  name:
    description:
      - The name of the pool.
    type: str
    required: true
  state:
    description:
      - Whether the pool shall exist.
      - V(absent) needs O(remove_data=true), and monitors with C(mon_allow_pool_delete), which this module does not set.
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - The number of replicas.
    type: int
  min_size:
    description:
      - The number of replicas without which the pool stands still. Without it a pool whose O(size) is new gets the
        monitors' default, usually half of O(size), rounded up. For two replicas that is V(1), which is refused.
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
      - The name of the CRUSH rule that says where replicas are. Changing it moves the pool's data.
    type: str
  application:
    description:
      - What the pool is for, such as V(rbd), V(cephfs) or V(rgw). Without any, Ceph warns.
    type: str
  max_bytes:
    description:
      - The quota in bytes, or with a unit such as V(10G). V(0) is none.
    type: bytes
  max_objects:
    description:
      - The quota in objects. V(0) is none.
    type: int
  remove_data:
    description:
      - With O(state=absent), remove the pool with everything in it.
    type: bool
    default: false
  force:
    description:
      - Accept a O(size) or O(min_size) of 1, more replicas than there are places, and a second application.
    type: bool
    default: false
notes:
  - Erasure coded pools get all settings but O(size) and O(crush_rule), and are not made.
seealso:
  - module: lifeboat.cloud.ceph_info
  - module: lifeboat.cloud.ceph_config
"""

EXAMPLES = r"""
- name: Make the pool for images
  lifeboat.cloud.ceph_pool:
    name: images
    size: 3
    min_size: 2
    pg_num: 32
    autoscale_mode: warn
    application: rbd

- name: Limit it to 100 GiB
  lifeboat.cloud.ceph_pool:
    name: images
    max_bytes: 100G

- name: Remove it with all images
  lifeboat.cloud.ceph_pool:
    name: images
    state: absent
    remove_data: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - create pool images
    - enable rbd on pool images
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import POOL_ARGUMENTS, WantedPool
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool_changes import pool_changes, removal_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    **POOL_ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "remove_data": {"type": "bool", "default": False},
}


def converge(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Bring the pool into the wanted state."""
    params = module.params
    if params["state"] == "present":
        changes = pool_changes(ceph, WantedPool(**{name: params[name] for name in POOL_ARGUMENTS}))
    else:
        changes = removal_changes(ceph, params["name"], remove_data=params["remove_data"])
    if not module.check_mode:
        for change in changes:
            change.do()
    return result_of(changes)


def main() -> None:
    """Run the module."""
    run_ceph_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
