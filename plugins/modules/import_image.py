#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the image of an imported disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: import_image
short_description: Make the image of an imported disk, and compare what Glance has with what was sent
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes a private image with O(source) as its property C(lifeboat_import), and uploads a raw file to it. The data are
    hashed as they go, and Glance's digest of them must be the same; otherwise the image goes again.
  - An image of that name and O(source) without all of its data is what an interrupted run has left, or what another run
    is about to upload; it is removed and made anew. One that has its data is left as it is when they are those of the
    file, and refused when they are others. One that is not of O(source) is refused.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  name:
    description:
      - Name of the image.
    type: str
    required: true
  src:
    description:
      - The raw file, on the host that runs the module.
    type: path
    required: true
  source:
    description:
      - By what it is known again, such as the digest of what it was made of.
    type: str
    required: true
  properties:
    description:
      - Its other properties.
    type: dict
    default: {}
  min_disk:
    description:
      - The smallest disk in GiB that it fits on.
    type: int
    default: 0
  make_timeout:
    description:
      - How many seconds the upload may take.
    type: float
    default: 3600.0
seealso:
  - module: lifeboat.cloud.disk_import
  - module: lifeboat.cloud.import_server
"""

EXAMPLES = r"""
- name: Make the image of a disk
  lifeboat.cloud.import_image:
    cloud: demo
    name: web1
    src: /var/lib/lifeboat/imports/web1.raw
    source: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 vmdisk1
    properties: {hw_disk_bus: sata}
    min_disk: 16
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [upload image web1]
image:
  description:
    - Its C(id), C(name), and the algorithm and digest of its data, as Glance tells them. Null in check mode before it
      is there.
  returned: success
  type: dict
  sample: {id: 83212318-bc55-4e63-b126-393ad6effa67, name: web1, os_hash_algo: sha512, os_hash_value: ee26b0dd}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_image import Wanted, provide_image
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "name": {"type": "str", "required": True},
    "src": {"type": "path", "required": True},
    "source": {"type": "str", "required": True},
    "properties": {"type": "dict", "default": {}},
    "min_disk": {"type": "int", "default": 0},
    "make_timeout": {"type": "float", "default": 3600.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"make_timeout": params["make_timeout"]})
    wanted = Wanted(
        params["name"],
        params["src"],
        params["source"],
        {key: str(value) for key, value in params["properties"].items()},
        params["min_disk"],
        params["make_timeout"],
    )
    with opened(params) as cloud:
        provided = provide_image(cloud.image, wanted, module.check_mode)
    diff = {"before": {"made": []}, "after": {"made": provided.actions}}
    return {**dataclasses.asdict(provided), "diff": diff}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
