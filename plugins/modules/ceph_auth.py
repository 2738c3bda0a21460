#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_auth
short_description: Give an entity of a Ceph cluster its key, its rights and its keyring file
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one session with the monitors, that an entity exists with exactly the given capabilities, and if
    wanted that a file holds its key. The monitors make the key; the key of an entity that exists is kept.
  - Capabilities are compared by what they allow. The order of grants, quotes and blanks make no difference.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  entity:
    description:
      - The entity, for instance V(client.glance).
    type: str
    required: true
  caps:
    description:
      - What the entity may do, by type of daemon (V(mon), V(osd), V(mgr), V(mds)). Others that it has are taken away.
      - Required with O(state=present).
    type: dict
  state:
    description:
      - Whether the entity shall exist. V(absent) also removes the file at O(path).
    type: str
    choices: [present, absent]
    default: present
  path:
    description:
      - A file that shall hold the entity's key, and nothing else. It has the mode 0600, and is written only when it
        differs.
    type: path
  owner:
    description:
      - The user who owns the file at O(path). Without it a new file is owned by the user who runs the module.
    type: str
  group:
    description:
      - The group that owns the file at O(path).
    type: str
  return_key:
    description:
      - Whether to return the key. Register the result with C(no_log) then.
    type: bool
    default: false
notes:
  - Without O(return_key) the key is replaced in whatever the module returns, as Ansible does with secrets.
"""

EXAMPLES = r"""
- name: Let Glance use the pool for images
  lifeboat.cloud.ceph_auth:
    entity: client.glance
    caps:
      mon: profile rbd
      osd: profile rbd pool=images
      mgr: profile rbd pool=images
    path: /etc/ceph/ceph.client.glance.keyring
    owner: glance
    group: glance

- name: Get the key that libvirt needs as a secret
  lifeboat.cloud.ceph_auth:
    entity: client.libvirt
    caps:
      mon: profile rbd
      osd: profile rbd pool=vms
    return_key: true
  register: libvirt_client
  no_log: true

- name: Take a client away
  lifeboat.cloud.ceph_auth:
    entity: client.glance
    path: /etc/ceph/ceph.client.glance.keyring
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - create client.glance
    - write keyring /etc/ceph/ceph.client.glance.keyring
key:
  description: The entity's key. Empty in check mode for an entity that does not exist yet.
  returned: when O(return_key=true) and O(state=present)
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_auth import (
    Entity,
    entity_changes,
    find_entity,
    key_of,
    removal_changes,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_keyring import (
    Keyring,
    keyring_changes,
    keyring_removal,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change, result_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "entity": {"type": "str", "required": True},
    "caps": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "path": {"type": "path"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "return_key": {"type": "bool", "default": False, "no_log": False},
}


def converge(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Bring the entity and its file into the wanted state."""
    params = module.params
    name, present = params["entity"], params["state"] == "present"
    validate(name, params["caps"] or {})
    found = find_entity(ceph, name)
    changes = differences(ceph, params, found) if present else removals(ceph, params, found)
    if not module.check_mode:
        for change in changes:
            change.do()
    result = result_of(changes)
    if not present:
        return result
    key = found.key if found else "" if module.check_mode else key_of(ceph, name)
    if params["return_key"]:
        return {**result, "key": key}
    module.no_log_values.update({key} - {""})
    return result


def differences(ceph: Ceph, params: dict[str, t.Any], found: Entity | None) -> list[Change]:
    """What is missing of the entity and its file."""
    name = params["entity"]
    changes = entity_changes(ceph, name, params["caps"], found)
    if keyring := keyring_of(params):
        changes += keyring_changes(keyring, found.key if found else "", lambda: key_of(ceph, name))
    return changes


def removals(ceph: Ceph, params: dict[str, t.Any], found: Entity | None) -> list[Change]:
    """What is left of the entity and its file."""
    changes = removal_changes(ceph, params["entity"], found, params["client"])
    if keyring := keyring_of(params):
        changes += keyring_removal(keyring)
    return changes


def keyring_of(params: dict[str, t.Any]) -> Keyring | None:
    """The file that is asked for."""
    if not params["path"]:
        return None
    return Keyring(params["path"], params["entity"], params["owner"] or "", params["group"] or "")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        required_if=[("state", "present", ["caps"])],
        required_by={"owner": "path", "group": "path"},
    )
    run_ceph_module(module, converge)


if __name__ == "__main__":
    main()
