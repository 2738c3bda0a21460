#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rbd_image
short_description: Make, resize and remove a block device image in a Ceph pool
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that an image exists with the given size and features, or that it does not.
  - Refuses to remove an image that has snapshots or that a client has open, and to shrink one unless told so.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
requirements:
  - python3-rbd, for the same Python as python3-rados
options:
  pool:
    description:
      - The pool of the image.
    type: str
    required: true
  name:
    description:
      - The name of the image.
    type: str
    required: true
  size:
    description:
      - The size in bytes, or with a unit such as V(20G). Required for an image that is to be made.
    type: bytes
  features:
    description:
      - The features that the image shall have, and no others. Without it a new image gets the cluster's default, and an
        existing one keeps its own.
      - V(layering) cannot be changed later, V(deep-flatten) can only be disabled. V(object-map) and V(fast-diff)
        come and go together. They and V(journaling) need V(exclusive-lock).
    type: list
    elements: str
    choices: [layering, exclusive-lock, object-map, fast-diff, deep-flatten, journaling]
  state:
    description:
      - Whether the image shall exist. V(absent) removes it with its data.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Shrink the image when it is larger than O(size). What is behind the new end is lost.
    type: bool
    default: false
notes:
  - The object map of an image with data that gets V(object-map) later is invalid until
    C(rbd object-map rebuild) has been run.
"""

EXAMPLES = r"""
- name: Make an image
  lifeboat.cloud.rbd_image:
    pool: vms
    name: vm1
    size: 20G
    features: [layering, exclusive-lock, object-map, fast-diff]

- name: Remove it
  lifeboat.cloud.rbd_image:
    pool: vms
    name: vm1
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - create image vms/vm1
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd import (
    FEATURES,
    WantedImage,
    image_changes,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_client import RBD_IMPORT_ERROR, open_pool

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "size": {"type": "bytes"},
    "features": {"type": "list", "elements": "str", "choices": list(FEATURES)},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
}


def converge(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Bring the image into the wanted state."""
    params = module.params
    features = None if params["features"] is None else frozenset(params["features"])
    wanted = WantedImage(params["pool"], params["name"], params["size"], features, params["force"])
    compare = image_changes if params["state"] == "present" else removal_changes
    with open_pool(ceph.connection, wanted.pool) as images:
        changes = compare(images, wanted)
        if not module.check_mode:
            for change in changes:
                change.do()
    return result_of(changes)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if RBD_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("rbd (package python3-rbd)"), exception=RBD_IMPORT_ERROR)
    run_ceph_module(module, converge)


if __name__ == "__main__":
    main()
