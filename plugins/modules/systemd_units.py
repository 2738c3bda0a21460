#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Start and enable the units of a service
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one call, that units run and start at boot. Those that do not run are started together.
  - systemd reads its files again when one of the units has changed on disk or is not known yet.
  - Tells which units were started before their files were written, and restarts them on demand, so that a play can do
    that on one host at a time. Since the files are asked and not the run that wrote them, a run that was interrupted is
    finished by the next one.
extends_documentation_fragment: [lifeboat.cloud._attributes]
options:
  names:
    description:
      - The units, with their suffix.
    type: list
    elements: str
    required: true
  files:
    description:
      - What the units read when they start. One that does not exist is left out.
    type: list
    elements: path
    default: []
  restart_stale:
    description:
      - Restart the units that were started before one of O(files) was written.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that the units may take to start.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Start memcached
  lifeboat.cloud.systemd_units:
    names: [memcached.service]
    files: [/etc/memcached.conf]
  register: memcached

- name: Restart what is older than its files, on one host at a time
  lifeboat.cloud.systemd_units:
    names: [memcached.service]
    files: [/etc/memcached.conf]
    restart_stale: true
  throttle: 1
  when: memcached.stale | length > 0
"""

RETURN = r"""
started:
  description: The units that did not run and were started, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [memcached.service]
enabled:
  description: The units that did not start at boot and were enabled, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [memcached.service]
stale:
  description: The units that ran before and were started before one of the files was written.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._systemd_units import (
    UnitsPlan,
    carry_out,
    look,
    plan,
    systemctl,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "restart_stale": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 300},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Start and enable what is not."""
    names = module.params["names"]
    wanted = plan(look(names, systemctl), [Path(file) for file in module.params["files"]])
    restart = wanted.stale if module.params["restart_stale"] else ()
    changed = bool(wanted.start or wanted.enable or restart)
    if (changed or wanted.reload) and not module.check_mode:
        carry_out(wanted, names, systemctl, module.params["timeout"], restart)
    return {
        "changed": changed,
        "started": list(wanted.start),
        "enabled": list(wanted.enable),
        "stale": list(wanted.stale),
        "diff": diff_of(wanted, restart),
    }


def diff_of(wanted: UnitsPlan, restart: tuple[str, ...]) -> dict[str, str]:
    """The units that run, run with new files or start at boot only afterwards."""
    before = [f"{name} stopped\n" for name in wanted.start] + [f"{name} disabled\n" for name in wanted.enable]
    after = [f"{name} running\n" for name in wanted.start] + [f"{name} enabled\n" for name in wanted.enable]
    before += [f"{name} older than its files\n" for name in restart]
    after += [f"{name} restarted\n" for name in restart]
    return {"before": "".join(before), "after": "".join(after)}


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
