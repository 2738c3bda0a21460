#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lvm_iscsi_preflight
short_description: Check that a host can carry volume groups of LVM and offer or use them over iSCSI
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Looks at the kernel, the devices and what LVM has on them, and fails with everything that is wrong at once, before
    anything is made. Devices that are in their volume group already are good.
  - Refused for O(volume_groups) are a kernel without the device mapper; a device that is not there, is mounted,
    read-only, smaller than 5 GiB, or of the system disk; one with a file system, a partition table or another volume
    group; a device named twice; and a volume group that is there with devices which are not named.
  - Refused for O(targets) are names that are no qualified ones, a file or device that is not there, passwords that
    initiators do not take, and clients that are no addresses or networks.
extends_documentation_fragment: [lifeboat.cloud._attributes.info]
options:
  volume_groups:
    description:
      - Names of the volume groups, each with the list of its devices.
    type: dict
    default: {}
  force_used:
    description:
      - Accept devices with something on them, unless it is mounted or another volume group. RV(to_wipe) names them.
    type: bool
    default: false
  force_shared_disk:
    description:
      - Accept partitions of the system disk.
    type: bool
    default: false
  address:
    description:
      - The address on which targets shall be offered. Not asked of an O(initiator).
    type: str
  targets:
    description:
      - Targets that the host shall offer.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Qualified name.
        type: str
        required: true
      path:
        description: Device or file behind it.
        type: path
        required: true
      user:
        description: User of CHAP.
        type: str
        required: true
      password:
        description: Password of CHAP.
        type: str
        required: true
      clients:
        description: Addresses or networks that may log in.
        type: list
        elements: str
        default: []
  initiator:
    description:
      - Whether the host shall log in to targets, for which its kernel needs C(iscsi_tcp).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Check the disks
  lifeboat.cloud.lvm_iscsi_preflight:
    address: 10.0.2.22
    volume_groups:
      cinder-volumes: [/dev/disk/by-id/wwn-0x5000c500a0b1c2d3]
"""

RETURN = r"""
to_wipe:
  description: The devices with something on them, which O(force_used) accepts.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import Permissions
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import refuse, serving_findings
from ansible_collections.lifeboat.cloud.plugins.module_utils._lvm_iscsi import (
    Target,
    group_findings,
    initiator_findings,
    look,
    target_findings,
    to_wipe,
    wanted_devices,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "volume_groups": {"type": "dict", "default": {}},
    "force_used": {"type": "bool", "default": False},
    "force_shared_disk": {"type": "bool", "default": False},
    "address": {"type": "str"},
    "targets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "clients": {"type": "list", "elements": "str", "default": []},
        },
    },
    "initiator": {"type": "bool", "default": False},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look, and refuse with everything that was found."""
    params = module.params
    groups = params["volume_groups"]
    for name, paths in groups.items():
        if not isinstance(paths, list) or not all(str(path).startswith("/") for path in paths):
            expected = "a list of absolute paths"
            raise LifeboatError(f"devices of the volume group {name}", repr(paths), expected, "Correct them.")
    # LVM takes volumes of RAID controllers and arrays as well as disks.
    allowed = Permissions(params["force_used"], raid=True, shared_disk=params["force_shared_disk"], array=True)
    targets = [Target(**each) for each in params["targets"]]
    wanted = wanted_devices(groups)
    scene = look(wanted)
    role = initiator_findings() if params["initiator"] else serving_findings(params["address"])
    refuse([*role, *group_findings(groups, wanted, scene, allowed), *target_findings(targets)])
    return {"changed": False, "to_wipe": to_wipe(wanted, scene)}


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
