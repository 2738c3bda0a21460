# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in which libvirt keeps its secrets."""

from __future__ import annotations

import typing as t
from html import escape

DOCUMENTATION = r"""
name: libvirt_secrets
short_description: Make the files in which libvirt keeps the keys of clients of Ceph
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes the files that libvirt reads when it starts, as M(lifeboat.cloud.config_files) takes them. So a key never
    stands in the arguments of a command.
options:
  _input:
    description: The secrets, UUID to name of the client.
    type: dict
    required: true
  keys:
    description: Keys of clients, by entity, for instance C(client.nova). One that is missing is written as none yet.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Give libvirt the key of Ceph's client nova
  lifeboat.cloud.config_files:
    files: "{{ secrets | lifeboat.cloud.libvirt_secrets(ceph_client.client_keys) }}"
  vars:
    secrets: {5b2cb0a8-3e3c-4a52-9b0b-3a6f3e5b1d20: nova}
  no_log: true
"""

RETURN = r"""
_value:
  description: The files, each with C(path), C(content) and C(mode).
  type: list
  elements: dict
"""

DEFINITION = """\
<secret ephemeral='no' private='yes'>
  <uuid>{uuid}</uuid>
  <usage type='ceph'>
    <name>{entity}</name>
  </usage>
</secret>
"""


def libvirt_secrets(secrets: dict[str, str], keys: dict[str, str]) -> list[dict[str, str]]:
    """The definition and the value of each secret; check mode on a new cloud knows no keys."""
    files = []
    for uuid, name in secrets.items():
        entity = f"client.{name}"
        definition = DEFINITION.format(uuid=escape(uuid), entity=escape(entity))
        path = f"/etc/libvirt/secrets/{uuid}"
        files.append({"path": f"{path}.xml", "content": definition, "mode": "0600"})
        files.append({"path": f"{path}.base64", "content": keys.get(entity, "none yet"), "mode": "0600"})
    return files


class FilterModule:
    """The filter libvirt_secrets."""

    def filters(self) -> dict[str, t.Callable[..., list[dict[str, str]]]]:
        return {"libvirt_secrets": libvirt_secrets}
