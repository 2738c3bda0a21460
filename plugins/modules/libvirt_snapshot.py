#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_snapshot
short_description: Take, go back to and remove snapshots of a domain
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Keeps the state of a guest to go back to. The domain's disks decide how.
  - In qcow2 files libvirt keeps it, with the memory of a guest that runs.
  - Of images in Ceph it is a snapshot of each, at one moment for which the guest stands still. The disks are as after a
    loss of power then.
  - Domains with disks of both kinds or of others are refused.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
requirements:
  - the program C(rbd) on the hypervisor, for disks in Ceph
options:
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  snapshot:
    description:
      - The name of the snapshot.
    type: str
    required: true
  state:
    description:
      - Whether the snapshot shall exist. V(reverted) brings the guest back to it, each time anew, and loses what has
        happened since. With disks in Ceph the guest has to be shut off for that.
    type: str
    choices: [present, reverted, absent]
    default: present
  description:
    description:
      - What libvirt notes with a new snapshot.
    type: str
    default: ""
notes:
  - A guest's memory is written to its disk, and going back in Ceph writes whole images; allow that with O(timeout).
    An image of which the going back was cut short is of no use until V(reverted) has ended.
  - A module that is asked to stop lets a guest go on that stands still for its snapshots in Ceph. After one that was
    killed outright, M(lifeboat.cloud.libvirt_domain) with C(state=running) does.
seealso:
  - module: lifeboat.cloud.libvirt_backup
  - module: lifeboat.cloud.rbd_image
"""

EXAMPLES = r"""
- name: Keep the state before an upgrade
  lifeboat.cloud.libvirt_snapshot:
    name: web1
    snapshot: before-upgrade

- name: Go back to it
  lifeboat.cloud.libvirt_snapshot:
    name: web1
    snapshot: before-upgrade
    state: reverted

- name: Remove it
  lifeboat.cloud.libvirt_snapshot:
    name: web1
    snapshot: before-upgrade
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [take snapshot before-upgrade of domain web1]
kept_by:
  description: Who keeps the domain's snapshots, libvirt or ceph.
  returned: success
  type: str
  sample: ceph
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_save_client import LibvirtSaveCalls
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_snapshot import (
    Places,
    WantedSnapshot,
    snapshot_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdCommand

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "snapshot": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "reverted", "absent"], "default": "present"},
    "description": {"type": "str", "default": ""},
    **CONNECTION_OPTIONS,
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    wanted = WantedSnapshot(params["name"], params["snapshot"], params["state"], params["description"])
    with connected(params["uri"], params["timeout"]) as connection:
        places = Places(LibvirtSaveCalls(connection), RbdCommand(params["timeout"], params["timeout"]))
        kept_by, changes = snapshot_changes(connection, places, wanted)
        for change in changes if not module.check_mode else ():
            change.do()
    return {**result_of(changes), "kept_by": kept_by}


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
