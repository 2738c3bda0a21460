#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the faults that stand on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fault_info
short_description: List the faults that stand on a host
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the journal that M(lifeboat.cloud.fault) keeps on this host.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  journal_dir:
    description: Directory of the journal.
    type: path
    default: /var/lib/lifeboat/faults
seealso:
  - module: lifeboat.cloud.fault
"""

EXAMPLES = r"""
- name: Look for faults that a drill has left
  lifeboat.cloud.fault_info:
  register: found

- name: Refuse to go on while a fault stands
  ansible.builtin.assert:
    that: not found.faults
"""

RETURN = r"""
faults:
  description: The entries of the journal, the oldest first. The instants are seconds since the epoch.
  returned: always
  type: list
  elements: dict
  contains:
    key:
      description: Name of the entry.
      type: str
      sample: 20261121T101500Z-cut.ctl1.lifeboat-management
    id:
      description: Identifier of the drill's run.
      type: str
      sample: 20261121T101500Z-cut
    form:
      description: Form of the fault.
      type: str
      sample: network_cut
    state:
      description: V(arming), V(armed), V(injecting), V(injected), V(healed) (by the dead man's switch) or V(unhealed).
      type: str
      sample: injected
    units:
      description: The systemd services that were hit.
      type: list
      elements: str
      sample: []
    host:
      description: The host that was hit, for faults of whole hosts.
      type: str
      sample: ctl1
    network:
      description: The network that was cut.
      type: str
      sample: lifeboat-management
    armed_at:
      description: When the switch was armed.
      type: float
      sample: 1795256100.1
    deadline:
      description: When the switch heals.
      type: float
      sample: 1795256220.1
    switch:
      description: The dead man's switch, V(systemd), V(process) or V(none).
      type: str
      sample: process
    injected_at:
      description: When the fault was made.
      type: float
      sample: 1795256101.2
    healed_at:
      description: When the switch healed.
      type: float
      sample: 1795256220.3
    healed_by:
      description: V(deadman) when the switch has healed, else empty.
      type: str
      sample: ""
    failures:
      description: The steps of healing that failed.
      type: list
      elements: str
      sample: []
    evidence:
      description: What the injector saw.
      type: dict
      sample: {landed: true, basis: bridge membership}
    recipe:
      description: The steps that heal.
      type: list
      elements: dict
      sample: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Read the journal."""
    journal = Journal(Path(module.params["journal_dir"]))
    return {"changed": False, "faults": [entry.to_json() for entry in journal.entries()]}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"journal_dir": {"type": "path", "default": "/var/lib/lifeboat/faults"}},
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
