#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_preflight
short_description: Check that this machine can carry the lab
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Looks at the user, the commands, the cgroup layout, memory, disk and routes of the machine that shall carry the lab.
  - Fails with everything that is missing at once, before anything is made.
extends_documentation_fragment: [lifeboat.cloud._attributes.info]
options:
  networks:
    description: The lab's networks, name to address range (CIDR).
    type: dict
    required: true
  network_prefix:
    description: What the names of the lab's own podman networks begin with; their routes are not in the way.
    type: str
    required: true
  memory_mib:
    description: Memory that must be available, in MiB. Not asked of a machine on which the lab already runs.
    type: int
    required: true
  disk_mib:
    description: Space that must be free where containers are stored, in MiB.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Check this machine
  lifeboat.cloud.lab_preflight:
    networks: {management: 10.98.0.0/24}
    network_prefix: lifeboat
    memory_mib: 5000
    disk_mib: 6000
"""

RETURN = r"""
limits:
  description: The kernel's hard limits of open files and processes, which containers cannot exceed.
  returned: success
  type: dict
  sample: {nofile: 20000, nproc: 20000}
memory_mib:
  description: Available memory in MiB.
  returned: success
  type: int
disk_mib:
  description: Free disk space in MiB.
  returned: success
  type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._lab import Need, look, problems
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

UNLIMITED = -1
PODMAN_MAXIMUM = 1048576
# Podman lowers its own limit a little, so a container cannot be given all of the machine's.
ENOUGH_PROCESSES = 32768


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look, compare, and say everything that is missing in one error."""
    machine = look(module.params["network_prefix"])
    running = bool(machine.lab_interfaces)
    need = Need(
        memory_mib=0 if running else module.params["memory_mib"],
        disk_mib=0 if running else module.params["disk_mib"],
        networks=module.params["networks"],
    )
    found = problems(machine, need)
    if len(found) == 1:
        raise found[0]
    if found:
        raise LifeboatError(
            "this machine",
            " | ".join(str(problem) for problem in found),
            "a machine that can carry the lab",
            "Mend each of them.",
        )
    return {
        "changed": False,
        "limits": {"nofile": _limit(machine.open_files), "nproc": min(_limit(machine.processes), ENOUGH_PROCESSES)},
        "memory_mib": machine.memory_mib,
        "disk_mib": machine.disk_mib,
    }


def _limit(value: int) -> int:
    return PODMAN_MAXIMUM if value == UNLIMITED else min(value, PODMAN_MAXIMUM)


def main() -> None:
    """Run the module."""
    spec = {
        "networks": {"type": "dict", "required": True},
        "network_prefix": {"type": "str", "required": True},
        "memory_mib": {"type": "int", "required": True},
        "disk_mib": {"type": "int", "required": True},
    }
    run_module(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
