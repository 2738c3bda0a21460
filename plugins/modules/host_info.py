#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a host is before anything is installed on it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Read what a host is before anything is installed on it
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the interfaces with their addresses, the installed packages, the versions that apt would install, groups,
    and the ids of users, in one call.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  users:
    description: The users whose ids are read.
    type: list
    elements: str
    default: []
  candidates:
    description: The packages of which the version is read that apt would install, if they are not installed.
    type: list
    elements: str
    default: []
seealso:
  - plugin: lifeboat.cloud.cloud_host_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the host
  lifeboat.cloud.host_info:
    users: [nova]
    candidates: [nova-common]

- name: See that it has the packages
  ansible.builtin.assert:
    that: "'memcached' in ansible_facts.cloud_host.packages"
"""

RETURN = r"""
ansible_facts:
  description: What is known of the host from now on.
  returned: success
  type: dict
  contains:
    cloud_host:
      description: The host.
      returned: success
      type: dict
      contains:
        architecture:
          description: The architecture of its packages.
          type: str
          sample: amd64
        addresses:
          description: The addresses of each interface.
          type: dict
          sample: {management0: [10.98.0.11]}
        users:
          description: The UID and GID of those of O(users) that exist.
          type: dict
          sample: {nova: "64060:64060"}
        groups:
          description: The members of each group, without those whose primary group it is.
          type: dict
          sample: {lifeboat-tls: [mysql]}
        packages:
          description: The version of each installed package.
          type: dict
          sample: {memcached: 1.6.38-1}
        candidates:
          description: The version of each of O(candidates) that is not installed and that apt knows.
          type: dict
          sample: {nova-common: "2:31.0.0-6"}
        ssh_key:
          description: The Ed25519 key by which its SSH server is known, empty where there is none.
          type: str
          sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC0ymAbTlpb0oCNn1xR9y5GWmVHnq4QQ1mCGGrUAdzUZ
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._hosts import look
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "users": {"type": "list", "elements": "str", "default": []},
    "candidates": {"type": "list", "elements": "str", "default": []},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    host = look(module.params["users"], module.params["candidates"])
    return {"ansible_facts": {"cloud_host": dataclasses.asdict(host)}}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
