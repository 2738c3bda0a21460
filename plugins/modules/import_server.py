#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the server of an import, with its volumes and its floating IP."""

from __future__ import annotations

DOCUMENTATION = r"""
module: import_server
short_description: Make the server of an import, with its volumes and its floating IP
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes the volumes at the same time, then the server that boots from a copy of its image, or from the first volume,
    and has them at its first boot, and gives it a floating IP while Nova builds it.
  - Refuses, before anything is made, an image, flavor, network or security group that is not there or has a name of
    several, an image that is not active, an external network that is none, and volumes that are there already. A volume
    that a run for the same O(metadata) has made, and that no server has had since, is used.
  - A server of that name with all of O(metadata) is left as it is, but for what an interrupted run owes it, a floating
    IP and the wait until it is built. Any other one is refused, and so is one in ERROR.
  - What was made before a failure stays, except for the floating IP, and is told.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  name:
    description:
      - Name of the server.
    type: str
    required: true
  image:
    description:
      - Name of the image of its first disk.
    type: str
    required: true
  flavor:
    description:
      - Name of its flavor.
    type: str
    required: true
  networks:
    description:
      - Names of the networks of its interfaces, in their order. The floating IP belongs to the first.
    type: list
    elements: str
    required: true
  security_groups:
    description:
      - Names of the security groups of its interfaces.
    type: list
    elements: str
    default: [default]
  volumes:
    description:
      - Its further disks, or with O(boot_from_volume) all of its disks, in their order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the volume to make.
        type: str
        required: true
      image:
        description:
          - Name of the image to make it of. An empty volume without it.
        type: str
      size:
        description:
          - Its size in GiB.
        type: int
        required: true
  boot_from_volume:
    description:
      - Boot from the first of O(volumes), which has to be of O(image), instead of a copy of the image that Nova makes.
        Then the size of the flavor's disk does not count.
    type: bool
    default: false
  metadata:
    description:
      - Metadata of the server and its volumes, by which they are known again.
    type: dict
    default: {}
  external_network:
    description:
      - Name of the network of its floating IP. It gets none without it.
    type: str
  make_timeout:
    description:
      - How many seconds all of it may take.
    type: float
    default: 600.0
seealso:
  - module: lifeboat.cloud.import_target_info
  - module: lifeboat.cloud.disk_import
"""

EXAMPLES = r"""
- name: Make the server of a machine with two disks
  lifeboat.cloud.import_server:
    cloud: demo
    name: web1
    image: web1
    flavor: small
    networks: [web]
    volumes: [{name: web1-data, image: web1-data, size: 16}]
    external_network: public
  register: web1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - make volume web1-data of 16 GiB from image web1-data
    - make server web1 from image web1
    - give it a floating IP of public
made:
  description:
    - What was made until then, or may have been, and stays. Not returned by a refusal, before which nothing is made.
  returned: failure after the first request to make something
  type: list
  elements: str
  sample: [volume web1-data]
server:
  description: The server's C(id), C(name) and C(status); null in check mode before it is there.
  returned: success
  type: dict
  sample: {id: 83212318-bc55-4e63-b126-393ad6effa67, name: web1, status: ACTIVE}
address:
  description: Its floating IP, or its first other address without one. Empty in check mode before it is there.
  returned: success
  type: str
  sample: 10.98.3.141
seconds:
  description: How many seconds after the beginning each step had ended. Empty when there was nothing to do.
  returned: success
  type: dict
  sample: {volumes: 2.6, floating IP: 7.4, server: 15.1}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_parts import Wanted
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_server import provide_server
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

_VOLUME = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "size": {"type": "int", "required": True},
}
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "name": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "flavor": {"type": "str", "required": True},
    "networks": {"type": "list", "elements": "str", "required": True},
    "security_groups": {"type": "list", "elements": "str", "default": ["default"]},
    "volumes": {"type": "list", "elements": "dict", "options": _VOLUME, "default": []},
    "boot_from_volume": {"type": "bool", "default": False},
    "metadata": {"type": "dict", "default": {}},
    "external_network": {"type": "str"},
    "make_timeout": {"type": "float", "default": 600.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"make_timeout": params["make_timeout"]})
    given = {name: params[name] for name in ("name", "image", "flavor", "networks", "security_groups", "volumes")}
    metadata = {key: str(value) for key, value in params["metadata"].items()}
    wanted = Wanted(
        **given,
        metadata=metadata,
        external_network=params["external_network"] or "",
        timeout_s=params["make_timeout"],
        boot_from_volume=params["boot_from_volume"],
    )
    with opened(params) as cloud:
        made = provide_server(cloud, wanted, module.check_mode)
    diff = {"before": {"made": []}, "after": {"made": made.actions}}
    return {**dataclasses.asdict(made), "diff": diff}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
