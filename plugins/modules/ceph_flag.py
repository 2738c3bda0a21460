#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_flag
short_description: Set or unset flags that hold a Ceph cluster's reactions back
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that flags of the whole cluster are set, for instance while hosts are maintained, or that they are not.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  flags:
    description:
      - The flags; others are left alone.
      - V(noout), an OSD that is down is not given up. V(noin), one that comes back is not used by itself. V(noup) and
        V(nodown), OSDs are not marked so. V(nobackfill), V(norebalance) and V(norecover), data is not moved or
        restored. V(noscrub), V(nodeep-scrub) and V(nosnaptrim), data is not checked, snapshots are not cleaned up.
        V(notieragent), cache tiers are not flushed. V(pause), clients can neither read nor write.
    type: list
    elements: str
    required: true
    choices:
      - noup
      - nodown
      - noout
      - noin
      - nobackfill
      - norebalance
      - norecover
      - noscrub
      - nodeep-scrub
      - nosnaptrim
      - notieragent
      - pause
  state:
    description:
      - Whether the flags shall be set.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Keep data where it is while a host is rebooted
  lifeboat.cloud.ceph_flag:
    flags: [noout, norebalance]

- name: Let the cluster heal itself again
  lifeboat.cloud.ceph_flag:
    flags: [noout, norebalance]
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [set noout]
flags:
  description: All of the flags known to this module that are set now, or would be set in check mode.
  returned: success
  type: list
  elements: str
  sample: [noout, noscrub]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_flag import (
    FLAGS,
    flag_changes,
    flags_after,
    flags_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "flags": {"type": "list", "elements": "str", "required": True, "choices": list(FLAGS)},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def converge(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Set or unset what differs."""
    wanted, present = module.params["flags"], module.params["state"] == "present"
    found = flags_of(ceph)
    changes = flag_changes(ceph, found, wanted, present=present)
    if not module.check_mode:
        for change in changes:
            change.do()
    return {**result_of(changes), "flags": flags_after(found, wanted, present=present)}


def main() -> None:
    """Run the module."""
    run_ceph_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
