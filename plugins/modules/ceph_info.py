#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_info
short_description: Read the state of a Ceph cluster
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Asks the monitors for health, quorum, OSDs, pools, placement groups, capacity and versions, in one session.
  - The shape of the answer is the same for all releases of Ceph.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
  - lifeboat.cloud._ceph
notes:
  - The state of placement groups and the capacity are what the managers reported last. Without one available they are
    old, and RV(ceph.managers) says so.
  - Health may lag several seconds behind a change. Wait for a state; do not read it once.
seealso:
  - module: lifeboat.cloud.ceph_pool
  - module: lifeboat.cloud.ceph_flag
"""

EXAMPLES = r"""
- name: Wait until the cluster is well
  lifeboat.cloud.ceph_info:
  register: cluster
  until: cluster.ceph.health.status == 'HEALTH_OK' and cluster.ceph.placement_groups.clean
  retries: 30
  delay: 2

- name: Name the OSDs that are down
  ansible.builtin.debug:
    msg: "{{ cluster.ceph.osds | rejectattr('up') | map(attribute='id') | list }}"
"""

RETURN = r"""
ceph:
  description: The cluster.
  returned: success
  type: dict
  contains:
    fsid:
      description: The identifier of the cluster.
      type: str
      sample: 5e1bfa3c-8f1d-4c6b-9d9c-6f0e2e2d1c11
    health:
      description:
        - C(status), V(HEALTH_OK), V(HEALTH_WARN) or V(HEALTH_ERR), and C(checks), those that are raised.
        - Muted checks are among them and do not count for the status.
      type: dict
      sample:
        status: HEALTH_WARN
        checks:
          - code: OSDMAP_FLAGS
            severity: HEALTH_WARN
            summary: noout flag(s) set
            muted: false
            detail: []
    monitors:
      description: C(names) of all monitors, the C(quorum) they form, and its C(leader).
      type: dict
      sample: {names: [c1, c2, c3], quorum: [c1, c2], leader: c1}
    managers:
      description: Whether one is C(available), the C(active) one, and the number of C(standbys).
      type: dict
      sample: {available: true, active: c1, standbys: 1}
    flags:
      description: The flags of the cluster, as M(lifeboat.cloud.ceph_flag) has them.
      type: list
      elements: str
      sample: [noout]
    osds:
      description: The OSDs by number, with C(host) and C(device_class), whether they are C(up) and C(in), and weights.
      type: list
      elements: dict
      sample:
        - {id: 0, host: c1, device_class: ssd, up: true, in: true, reweight: 1.0, crush_weight: 0.00589}
    buckets:
      description: The CRUSH tree above the OSDs. C(children) are names of buckets and of OSDs.
      type: list
      elements: dict
      sample:
        - {name: default, type: root, children: [c1]}
        - {name: c1, type: host, children: [osd.0]}
    pools:
      description: The pools by name. C(pg_num) is the number they are on their way to, a quota of 0 is none.
      type: list
      elements: dict
      sample:
        - id: 2
          name: images
          replicated: true
          size: 3
          min_size: 2
          pg_num: 32
          autoscale_mode: warn
          crush_rule: replicated_rule
          applications: [rbd]
          max_bytes: 0
          max_objects: 0
          flags: [hashpspool]
    placement_groups:
      description: How many there are, how many in which state, and whether all are active and clean.
      type: dict
      sample: {total: 33, clean: true, states: {active+clean: 33}}
    capacity:
      description: Bytes on all OSDs together, with every replica.
      type: dict
      sample: {total_bytes: 19327352832, used_bytes: 88080384, available_bytes: 19239272448}
    versions:
      description: How many daemons run which version, by type.
      type: dict
      sample: {mon: {18.2.7: 3}, mgr: {18.2.7: 2}, osd: {18.2.7: 3}}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_info import read_state


def read(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Read everything."""
    return {"changed": False, "ceph": read_state(ceph).to_json()}


def main() -> None:
    """Run the module."""
    run_ceph_module(AnsibleModule(argument_spec=CEPH_ARGUMENTS, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
