#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_config
short_description: Set options in the configuration that a Ceph cluster's monitors keep
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one session with the monitors, that options have the given values for all daemons, for those of one
    type, or for a single one. Daemons take most of them up at once; RV(restart_needed) names those that wait for a
    restart.
  - Values are compared as the option's type says, so V(8G) and V(8589934592) are the same size.
  - What a daemon's own configuration file says goes before these options.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  who:
    description:
      - Whose options are meant. V(global), a type of daemon such as V(osd), one daemon such as V(osd.3), or with a
        mask V(osd/class:ssd) or V(osd/host:store1).
    type: str
    default: global
  settings:
    description:
      - The options by name. One whose value is null shall not be set for O(who); others are left alone.
    type: dict
    required: true
notes:
  - The values are shown by C(ceph config dump) and in this module's diff. They are no place for secrets.
"""

EXAMPLES = r"""
- name: Notice a dead OSD sooner
  lifeboat.cloud.ceph_config:
    who: global
    settings:
      osd_heartbeat_interval: 1
      osd_heartbeat_grace: 5
      mon_osd_adjust_heartbeat_grace: false

- name: Let OSDs on flash use more memory, and no longer limit their recovery
  lifeboat.cloud.ceph_config:
    who: osd/class:ssd
    settings:
      osd_memory_target: 8G
      osd_recovery_max_active: null
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - set osd_heartbeat_grace of global
restart_needed:
  description: The options among the changed ones that daemons read only when they start.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, run_ceph_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_config import config_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "who": {"type": "str", "default": "global"},
    "settings": {"type": "dict", "required": True},
}


def converge(module: AnsibleModule, ceph: Ceph) -> dict[str, t.Any]:
    """Bring the options to their values."""
    differences = config_changes(ceph, module.params["who"], module.params["settings"])
    changes = [difference.change for difference in differences]
    if not module.check_mode:
        for change in changes:
            change.do()
    restart = [difference.name for difference in differences if difference.needs_restart]
    return {**result_of(changes), "restart_needed": restart}


def main() -> None:
    """Run the module."""
    run_ceph_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
