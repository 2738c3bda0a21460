#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a project has that a machine may be brought into."""

from __future__ import annotations

DOCUMENTATION = r"""
module: import_target_info
short_description: Read what a project has that a machine may be brought into, in one call
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads flavors, networks, routers, security groups, images, volumes and servers, as the user sees them, in one
    session.
  - The filter P(lifeboat.cloud.import_plan#filter) decides by it what a machine becomes.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
seealso:
  - module: lifeboat.cloud.import_server
  - module: lifeboat.cloud.foreign_machine_info
"""

EXAMPLES = r"""
- name: See what there is
  lifeboat.cloud.import_target_info:
    cloud: demo
  register: target
"""

RETURN = r"""
target:
  description:
    - What the key C(cloud) of P(lifeboat.cloud.import_plan#filter) takes. C(networks) and C(routers) are names, C(ram)
      is in MiB, C(disk) in GiB.
    - C(open_networks) are those without port security. C(rules) are as Neutron tells them, here without some keys.
    - C(volumes) is empty where the cloud has no block storage.
  returned: success
  type: dict
  sample:
    flavors: [{name: small, vcpus: 1, ram: 128, disk: 1, extra_specs: {}}]
    networks: [web, public]
    open_networks: []
    routers: [web]
    security_groups:
      - name: default
        description: Default security group
        rules: [{direction: egress, ethertype: IPv4, protocol: null, port_range_min: null, port_range_max: null}]
    images:
      - id: 83212318-bc55-4e63-b126-393ad6effa67
        name: web1
        status: active
        properties: {hw_disk_bus: sata, lifeboat_import: 5891b5b5 vmdisk1}
    volumes: [{name: web1-data, metadata: {lifeboat_import: 5891b5b5}}]
    servers: [{name: web1, metadata: {lifeboat_import: 5891b5b5}}]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_target import read_target
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    with opened(module.params) as cloud:
        return {"target": read_target(cloud)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=OPENSTACK_OPTIONS, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
