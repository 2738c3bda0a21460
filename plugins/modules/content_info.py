#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a cloud offers: projects, users, flavors, images, networks, aggregates, volume types, quotas."""

from __future__ import annotations

DOCUMENTATION = r"""
module: content_info
short_description: Read what a cloud offers, from projects and flavors to networks and quotas, in one call
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads projects, users with their roles, flavors, images, networks with subnets, aggregates, volume types, the
    largest server that each hypervisor takes, and quotas with what is used of them, in one session.
  - The role P(lifeboat.cloud.cloud_content#role) compares this with the inventory.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
options:
  quotas_of:
    description:
      - The names of the projects whose quotas are read. Those that are not there are left out.
    type: list
    elements: str
    default: []
  files:
    description:
      - Files on the host that runs the module, whose size and checksums are read.
    type: list
    elements: path
    default: []
notes:
  - Projects and users are those of the domain C(default).
  - Needs the role C(admin).
seealso:
  - module: lifeboat.cloud.hypervisor_info
"""

EXAMPLES = r"""
- name: See what the cloud offers
  lifeboat.cloud.content_info:
    cloud: admin
    quotas_of: [demo]
    files: [/srv/images/debian.qcow2]
  register: content
"""

RETURN = r"""
content:
  description:
    - By kind, then by name. Images and networks are lists, for several may share a name.
    - C(volume_types) is null where the cloud has no block storage.
  returned: success
  type: dict
  sample:
    projects: {demo: {id: 5f6b, description: "", enabled: true}}
    users: {demo: {id: 77c1, email: "", enabled: true, roles: {demo: [member]}}}
    roles: [admin, member, reader]
    flavors: {small: {vcpus: 1, ram_mib: 128, disk_gib: 1, public: true, properties: {}}}
    images: {}
    networks: {}
    aggregates: {rack1: {zone: rack1, hosts: [cmp1], metadata: {}}}
    volume_types: null
    hypervisors: [{name: cmp1, vcpus: 16, ram_mib: 15872, disk_gib: 40}]
    hosts: [cmp1]
    quotas: {demo: {cores: {limit: 20, used: 2}}}
files:
  description: Size and checksums by path, null for a file that is not there.
  returned: success
  type: dict
  sample: {/srv/images/debian.qcow2: {size: 17936384, sha256: 0f3a, sha512: c41d}}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._content_info import read_content, read_files
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "quotas_of": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "list", "elements": "path", "default": []},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    files = read_files(params["files"])
    with opened(params) as cloud:
        return {"content": read_content(cloud, params["quotas_of"]), "files": files}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
