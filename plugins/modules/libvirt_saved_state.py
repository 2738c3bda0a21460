#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_saved_state
short_description: Save a guest's memory to disk and restore it
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Stops a guest with its memory written to disk, lets it go on from there, or drops what was saved.
  - Its disks must not change in between.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
options:
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  state:
    description:
      - V(saved) writes the memory and stops the guest.
      - V(restored) lets a guest that is off go on from it, and then removes it. One that runs is left alone.
      - V(absent) drops what was saved. The guest will boot anew.
    type: str
    choices: [saved, restored, absent]
    default: saved
  path:
    description:
      - A file on the hypervisor for the memory. Without it libvirt keeps it (managed save), and uses it by itself when
        the domain is started.
      - A file that is not the memory of O(name) is refused. A domain without a definition, which libvirt forgets when
        it is saved, comes back from its file.
    type: path
notes:
  - While a guest is let go on from a file, and after that when libvirt did not answer within O(timeout), the file has
    C(.restoring) behind its name. It is not used again, since the disks may have gone on. O(state=absent) removes it
    too.
  - A guest that is being saved or restored at the moment, such as by a run that did not wait for the end, is refused.
  - Writing and reading take as long as the disk needs for the guest's memory; allow that with O(timeout).
seealso:
  - module: lifeboat.cloud.libvirt_domain
"""

EXAMPLES = r"""
- name: Put a guest to sleep while its host is repaired
  lifeboat.cloud.libvirt_saved_state:
    name: web1
    timeout: 600

- name: Let it go on
  lifeboat.cloud.libvirt_saved_state:
    name: web1
    state: restored
    timeout: 600

- name: Save it to a file
  lifeboat.cloud.libvirt_saved_state:
    name: web1
    path: /srv/saved/web1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [save domain web1]
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
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_saved_state import WantedSave, save_changes

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["saved", "restored", "absent"], "default": "saved"},
    "path": {"type": "path"},
    **CONNECTION_OPTIONS,
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = WantedSave(module.params["name"], module.params["state"], module.params["path"])
    with connected(module.params["uri"], module.params["timeout"]) as connection:
        changes = save_changes(connection, LibvirtSaveCalls(connection), wanted)
        for change in changes if not module.check_mode else ():
            change.do()
    return result_of(changes)


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
