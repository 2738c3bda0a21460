#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring an image of Glance into stores, and out of others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_stores
short_description: Bring an image of Glance into stores, and out of others
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Copies an image to those of the given stores that do not have it, by Glance's import method C(copy-image), and waits
    for the end of it. Glance compares size, checksum and hash of each copy with those of the image.
  - With O(exclusive), deletes it from all other stores after that, and never from the last one. Until then the image
    can be used, and after a failure it is where it was.
  - An import that is under way is waited for, also before anything is deleted, since at its end Glance saves the stores
    as it knew them before. What an interrupted run has copied stays, and the next one copies the rest.
  - Refuses, before anything is changed, unknown and read-only stores, an image that is not active, and with
    O(exclusive) one whose hash Glance does not know.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  image:
    description:
      - UUID or name of the image, of any project. A name that several images have is refused.
    type: str
    required: true
  stores:
    description:
      - The stores where it shall be, by Glance's names; C(glance stores-info) lists them.
    type: list
    elements: str
    required: true
  exclusive:
    description:
      - Whether it shall be in no other store.
      - A store of RBD may refuse to give up an image that servers and volumes were cloned from. The image is in both
        then.
    type: bool
    default: false
  import_timeout:
    description:
      - For how many seconds it is waited until all copies are made. Glance goes on after that.
      - As long again each store has to delete the image where Glance does not answer in time, as one of RBD may take
        longer for a large image than a load balancer waits.
    type: float
    default: 3600.0
seealso:
  - module: lifeboat.cloud.volume_migration
notes:
  - The user needs the role C(admin), which Glance asks for copying.
  - Glance stages the whole image on the host that takes the request, below its C(os_glance_staging_store).
"""

EXAMPLES = r"""
- name: Move an image to another store
  lifeboat.cloud.image_stores:
    cloud: admin
    image: debian-13
    stores: [fast]
    exclusive: true

- name: Have an image in two stores
  lifeboat.cloud.image_stores:
    cloud: admin
    image: 6ae5427f-1e23-4421-bcbb-62e23108745f
    stores: [ceph, fast]
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [copy image debian-13 to fast, delete image debian-13 from ceph]
image:
  description: The image afterwards.
  returned: success
  type: dict
  contains:
    id:
      description: Its UUID.
      type: str
      sample: 6ae5427f-1e23-4421-bcbb-62e23108745f
    name:
      description: Its name.
      type: str
      sample: debian-13
    stores:
      description: The stores that have it.
      type: list
      elements: str
      sample: [fast]
    identity:
      description: Size in bytes, checksum and hash, as far as Glance knows them.
      type: dict
      sample: {size: 2147483648, checksum: 64d7c1cd2b6f60c92c14662941cb7913}
before:
  description: The stores that had it.
  returned: success
  type: list
  elements: str
  sample: [ceph]
seconds:
  description: From the request to the end, in seconds.
  returned: success
  type: float
  sample: 12.5
timeline:
  description: Each state that was seen, with the seconds since the request. It is looked every half second.
  returned: success
  type: list
  elements: dict
  contains:
    at_s:
      description: When it was seen first.
      type: float
      sample: 1.02
    stores:
      description: The stores that had it.
      type: list
      elements: str
      sample: [ceph]
    importing:
      description: The stores that it was being copied to.
      type: list
      elements: str
      sample: [fast]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._image_stores import Receipt, Wanted, converge
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._images import Image

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "image": {"type": "str", "required": True},
    "stores": {"type": "list", "elements": "str", "required": True},
    "exclusive": {"type": "bool", "default": False},
    "import_timeout": {"type": "float", "default": 3600.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"import_timeout": params["import_timeout"]})
    wanted = Wanted(params["image"], tuple(params["stores"]), params["exclusive"], params["import_timeout"])
    with opened(params) as cloud:
        image, receipt = converge(cloud.image, wanted, dry_run=module.check_mode)
    return result_of(image, receipt)


def result_of(image: Image, receipt: Receipt) -> dict[str, t.Any]:
    """What the module returns."""
    return {
        "changed": bool(receipt.actions),
        "actions": receipt.actions,
        "image": {name: getattr(image, name) for name in ("id", "name", "stores", "identity")},
        "before": receipt.before,
        "seconds": receipt.seconds,
        "timeline": [dataclasses.asdict(state) for state in receipt.timeline],
        "diff": {"before": {"stores": sorted(receipt.before)}, "after": {"stores": sorted(receipt.after)}},
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
