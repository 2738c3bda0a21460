#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nfs_preflight
short_description: Check that a host can serve exports of NFS, or mount them
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Looks at the kernel, directories and mounts of a host and fails with everything that is wrong at once, before
    anything is made.
  - Refused for a server are no address to listen on, exports that overlap, clients that are no networks in CIDR
    notation or are everybody, a path whose parent directory is missing, a file system without file handles, the
    kernel's server on a kernel without it, and another server that runs already.
  - Refused for a client are a kernel that cannot mount exports, a mount point where something else is mounted, and one
    with files that the mount would hide.
extends_documentation_fragment: [lifeboat.cloud._attributes.info]
options:
  exports:
    description:
      - What the server shall export.
    type: list
    elements: dict
    suboptions:
      path:
        description: The directory.
        type: path
        required: true
      clients:
        description: The networks that may mount it.
        type: list
        elements: str
        required: true
      id:
        description: The number that clients know it by. Without it its place in the list.
        type: int
  address:
    description:
      - The address on which the server shall listen.
    type: str
  server_kind:
    description:
      - The server to use. With V(auto) it is the one that runs, else that of the kernel where the kernel has it, else
        ganesha.
    type: str
    choices: [auto, kernel, ganesha]
    default: auto
  mounts:
    description:
      - What a client shall mount. An empty list asks for the kernel alone, for programs that mount by themselves.
    type: list
    elements: dict
    suboptions:
      source:
        description: The export, as HOST:/PATH.
        type: str
        required: true
      path:
        description: Where it shall be seen.
        type: path
        required: true
      ignore:
        description: Names in the directory that the mount may hide.
        type: list
        elements: str
"""

EXAMPLES = r"""
- name: Look whether this host can serve the exports
  lifeboat.cloud.nfs_preflight:
    address: 10.0.2.21
    exports:
      - {path: /srv/instances, clients: [10.0.2.0/24]}
"""

RETURN = r"""
server_kind:
  description: The server to use.
  returned: when O(exports) is given
  type: str
  sample: kernel
on_system_disk:
  description: The exports that lie on the file system of the root directory.
  returned: when O(exports) is given
  type: list
  elements: str
  sample: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils import _kernel, _nfs
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import active_states
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import (
    Finding,
    refuse,
    serving_findings,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

SYSTEMCTL_TIMEOUT_S = 20.0
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "exports": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "clients": {"type": "list", "elements": "str", "required": True},
            "id": {"type": "int"},
        },
    },
    "address": {"type": "str"},
    "server_kind": {"type": "str", "choices": ["auto", *_nfs.UNITS], "default": "auto"},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "source": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "ignore": {"type": "list", "elements": "str"},
        },
    },
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Look, and refuse with everything that was found."""
    params = module.params
    findings: list[Finding] = []
    result: dict[str, t.Any] = {"changed": False}
    if params["exports"] is not None:
        findings += server(params, result)
    if params["mounts"] is not None:
        mounts = _nfs.mounts_of(params["mounts"])
        mounted = _nfs.parse_mounts(Path("/proc/self/mounts").read_text(encoding="utf-8"))
        contents = {each.path: _nfs.contents_of(each.path) for each in mounts if each.path not in mounted}
        findings += _nfs.mount_findings(mounts, _kernel.offers(_kernel.NFS_CLIENT), mounted, contents)
    refuse(findings)
    return result


def server(params: dict[str, t.Any], result: dict[str, t.Any]) -> list[Finding]:
    """What speaks against the exports; what was chosen goes into ``result``."""
    exports = _nfs.exports_of(params["exports"])
    kernel_can = _kernel.offers(_kernel.NFS_SERVER)
    states = active_states([*_nfs.UNITS.values()], SYSTEMCTL_TIMEOUT_S)
    active = [kind for kind, unit in _nfs.UNITS.items() if states[unit] == "active"]
    kind = _nfs.kind_of_server(params["server_kind"], kernel_can, active)
    directories = {each.path: _nfs.look_at(each.path) for each in exports if each.path.startswith("/")}
    result["server_kind"] = kind
    result["on_system_disk"] = [path for path, found in directories.items() if found.on_system_disk]
    return [
        *serving_findings(params["address"]),
        *_nfs.export_findings(exports),
        *_nfs.directory_findings(exports, directories),
        *_nfs.server_findings(kind, kernel_can, active),
    ]


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
