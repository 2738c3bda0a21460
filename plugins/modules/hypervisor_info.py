#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the hypervisors, their resources, and how much more fits on them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hypervisor_info
short_description: Read the hypervisors, their resources, and how much more fits on them
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the hypervisors from Nova, and their resources from Placement, whose numbers the scheduler decides by.
  - Counts storage that hypervisors share (providers with the trait C(MISC_SHARES_VIA_AGGREGATE)) once.
  - Tells how many more servers of a flavor fit, on each hypervisor and on all of them at the same time.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
options:
  names:
    description:
      - The names of the hypervisors, or of their hosts in Nova. Without it all are read.
    type: list
    elements: str
    default: []
  traits:
    description:
      - Whether the traits of the hypervisors are read, too.
    type: bool
    default: false
  aggregates:
    description:
      - Whether their aggregates and availability zones are read, too.
    type: bool
    default: false
  flavor:
    description:
      - What one more server takes, to tell how many of them fit.
      - Only hypervisors that are up and enabled count, and only what Placement has numbers for. Filters of the
        scheduler (affinity, traits, NUMA and others) can make it less.
    type: dict
    suboptions:
      vcpus:
        description:
          - VCPUs.
        type: int
        required: true
      ram:
        description:
          - Memory in MiB.
        type: int
        required: true
      disk:
        description:
          - Disk in GiB, root, ephemeral and swap together. V(0) for a server that starts from a volume.
        type: int
        default: 0
notes:
  - The numbers are of the provider of the hypervisor itself, not of providers nested below it, such as GPUs.
  - Needs the role C(admin), or another that may read hypervisors, the servers of all projects, and Placement.
seealso:
  - module: lifeboat.cloud.compute_service
"""

EXAMPLES = r"""
- name: See whether ten more servers fit
  lifeboat.cloud.hypervisor_info:
    cloud: admin
    flavor: {vcpus: 4, ram: 8192, disk: 40}
  register: capacity
  failed_when: capacity.summary.fits < 10

- name: Read one hypervisor with its traits, aggregates and zone
  lifeboat.cloud.hypervisor_info:
    cloud: admin
    names: [cmp1]
    traits: true
    aggregates: true
"""

RETURN = r"""
hypervisors:
  description: The hypervisors. What was not asked for is null.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: cmp1.example.org
    id:
      description: Its UUID, which is that of its provider in Placement.
      type: str
      sample: b1e43b5f-eec1-44e0-9f10-7b4945c0226d
    host:
      description: The host of its C(nova-compute).
      type: str
      sample: cmp1
    type:
      description: Its kind.
      type: str
      sample: QEMU
    state:
      description: V(up) or V(down).
      type: str
      sample: up
    status:
      description: V(enabled) or V(disabled).
      type: str
      sample: enabled
    disabled_reason:
      description: Why it is disabled.
      type: str
      sample: null
    servers:
      description: How many servers there are on it.
      type: int
      sample: 12
    running_servers:
      description: How many of them run, as Nova saw them last.
      type: int
      sample: 11
    resources:
      description:
        - What it has of its own, by Placement's resource class (C(MEMORY_MB) in MiB, C(DISK_GB) in GiB). Null when
          Placement does not know it, so that nothing is scheduled to it.
        - C(capacity) is (C(total) - C(reserved)) * C(allocation_ratio), rounded down. C(free) is C(capacity) - C(used),
          and negative where more is used than may be.
      type: dict
      sample:
        VCPU:
          total: 16
          reserved: 0
          allocation_ratio: 4.0
          min_unit: 1
          max_unit: 16
          step_size: 1
          used: 10
          capacity: 64
          free: 54
    sharing_providers:
      description: The names of the providers that share with it.
      type: list
      elements: str
      sample: [nfs]
    traits:
      description: Its traits.
      type: list
      elements: str
      sample: [COMPUTE_NODE, HW_CPU_X86_AVX2]
    aggregates:
      description: The names of the aggregates that its host is in.
      type: list
      elements: str
      sample: [rack1]
    zone:
      description: The availability zone of its host.
      type: str
      sample: nova
    fits:
      description: How many more servers of O(flavor) fit on it, if none is started on another one.
      type: int
      sample: 13
sharing_providers:
  description: The providers that share with at least one of the hypervisors.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: nfs
    id:
      description: Its UUID.
      type: str
      sample: 99c09379-6e52-4ef8-9a95-b9ce6f68452e
    resources:
      description: As those of RV(hypervisors).
      type: dict
      sample: {}
    hypervisors:
      description: The names of the hypervisors that it shares with.
      type: list
      elements: str
      sample: [cmp1.example.org, cmp2.example.org]
summary:
  description: All hypervisors together, also those that are down or disabled.
  returned: success
  type: dict
  contains:
    hypervisors:
      description: How many there are.
      type: int
      sample: 3
    schedulable:
      description: How many of them are up and enabled.
      type: int
      sample: 3
    servers:
      description: How many servers there are on them.
      type: int
      sample: 36
    running_servers:
      description: How many of these run.
      type: int
      sample: 34
    resources:
      description: Sums by resource class, with each sharing provider counted once.
      type: dict
      sample:
        VCPU: {total: 48, reserved: 0, capacity: 192, used: 30, free: 162}
    fits:
      description:
        - How many more servers of O(flavor) fit on all hypervisors at the same time. This is less than the sum where
          they share storage. Null without O(flavor).
      type: int
      sample: 20
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._capacity import Flavor
from ansible_collections.lifeboat.cloud.plugins.module_utils._hypervisors import Fits, Hypervisor, Survey, fits, survey
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._placement import Inventories, summed

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "names": {"type": "list", "elements": "str", "default": []},
    "traits": {"type": "bool", "default": False},
    "aggregates": {"type": "bool", "default": False},
    "flavor": {
        "type": "dict",
        "options": {
            "vcpus": {"type": "int", "required": True},
            "ram": {"type": "int", "required": True},
            "disk": {"type": "int", "default": 0},
        },
    },
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    flavor = Flavor(**params["flavor"]) if params["flavor"] else None
    with opened(params) as cloud:
        found = survey(cloud, params["names"], traits=params["traits"], placing=params["aggregates"])
    room = fits(found, flavor) if flavor else None
    return {
        "hypervisors": [hypervisor_json(found, each, room) for each in found.hypervisors],
        "sharing_providers": sharing_json(found),
        "summary": summary_json(found, room),
    }


def hypervisor_json(found: Survey, hypervisor: Hypervisor, room: Fits | None) -> dict[str, t.Any]:
    same = ("name", "id", "host", "type", "state", "status", "disabled_reason", "traits")
    placing = hypervisor.placing
    return {
        **{name: getattr(hypervisor, name) for name in same},
        "servers": len(hypervisor.servers),
        "running_servers": len(hypervisor.running),
        "resources": None if hypervisor.inventories is None else inventories_json(hypervisor.inventories),
        "sharing_providers": [pool.provider.name for pool in found.pools_of(hypervisor)],
        "aggregates": placing.aggregates if placing else None,
        "zone": placing.zone if placing else None,
        "fits": room.on_each[hypervisor.id] if room else None,
    }


def sharing_json(found: Survey) -> list[dict[str, t.Any]]:
    return [
        {
            "name": pool.provider.name,
            "id": pool.provider.id,
            "resources": inventories_json(pool.provider.inventories),
            "hypervisors": [each.name for each in found.hypervisors if each.id in pool.roots],
        }
        for pool in found.sharing
    ]


def inventories_json(inventories: Inventories) -> dict[str, t.Any]:
    return {
        name: {**dataclasses.asdict(inventory), "capacity": inventory.capacity, "free": inventory.free}
        for name, inventory in inventories.items()
    }


def summary_json(found: Survey, room: Fits | None) -> dict[str, t.Any]:
    hypervisors = found.hypervisors
    sums = summed(found.inventories())
    return {
        "hypervisors": len(hypervisors),
        "schedulable": sum(each.schedulable for each in hypervisors),
        # Several hypervisors of one host, as with Ironic, all show the host's servers.
        "servers": len(frozenset[str]().union(*(each.servers for each in hypervisors))),
        "running_servers": len(frozenset[str]().union(*(each.running for each in hypervisors))),
        "resources": {name: dataclasses.asdict(amounts) for name, amounts in sums.items()},
        "fits": room.in_all if room else None,
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
