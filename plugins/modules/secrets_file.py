#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: secrets_file
short_description: Generate the secrets of a cloud once, into a file
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that a YAML file, of mode 0600 from its first moment, holds a value for every name asked for. Missing
    names are appended with a generated value. What is there is never changed, not even its order and comments.
  - Values are never returned and never part of a diff. Load the file with P(ansible.builtin.include_vars#module).
  - Runs on the control node, that is to say delegated to C(localhost).
  - Values may be encrypted one by one (C(ansible-vault encrypt_string)). A file encrypted as a whole
    (C(ansible-vault encrypt)) cannot be read by this module, see O(known).
extends_documentation_fragment: [lifeboat.cloud._attributes]
attributes:
  diff_mode:
    support: full
    description: Shows the names in the file and its mode, no values.
requirements:
  - PyYAML, which ansible-core itself needs
options:
  path:
    description:
      - The file. Its directory is made with mode 0700 when it is absent.
    type: path
    required: true
  secrets:
    description:
      - The secrets by name, each a dictionary with the keys C(kind) and C(length), either of which may be left out.
      - C(kind) is C(password) (letters and digits, the default), C(hex), C(fernet) (32 random bytes in URL-safe
        base64, whatever the length), C(uuid), or C(cephx) (a key of Ceph).
      - C(length) is the number of characters, 16 to 1024, 32 by default.
    type: dict
    required: true
  known:
    description:
      - The names of O(secrets) that are defined as variables of the play.
      - Only used when the file is encrypted as a whole, in place of the names in the file. When one of O(secrets) is
        not among them the module fails and says how to add it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Generate the secrets of the database once
  lifeboat.cloud.secrets_file:
    path: "{{ cloud_secrets_file }}"
    secrets:
      database_backup_password: {}
      database_cluster_key: {kind: hex, length: 64}
    known: "{{ ['database_backup_password', 'database_cluster_key'] | select('in', vars) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The file, behind symbolic links.
  returned: success
  type: str
  sample: /etc/cloud/secrets.yml
added:
  description: The names that were given a value, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [database_cluster_key]
encrypted:
  description: Whether the file is encrypted as a whole.
  returned: success
  type: bool
  sample: false
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._secrets import (
    FILE_MODE,
    YAML_IMPORT_ERROR,
    Outcome,
    converge,
    secret_kinds,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    # Names and lengths only: nothing to hide.
    "secrets": {"type": "dict", "required": True, "no_log": False},
    "known": {"type": "list", "elements": "str", "default": []},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    outcome = converge(
        module.params["path"],
        secret_kinds(module.params["secrets"]),
        module.params["known"],
        check=module.check_mode,
    )
    return {
        "changed": outcome.changed,
        "path": outcome.path,
        "added": list(outcome.added),
        "encrypted": outcome.encrypted,
        "diff": diff_of(outcome),
    }


def diff_of(outcome: Outcome) -> dict[str, dict[str, t.Any]]:
    before, after = sorted(outcome.names_before), sorted({*outcome.names_before, *outcome.added})
    mode_after = FILE_MODE if outcome.changed else outcome.mode_before
    return {
        "before": {"names": before, "mode": octal(outcome.mode_before)},
        "after": {"names": after, "mode": octal(mode_after)},
    }


def octal(mode: int | None) -> str:
    return "absent" if mode is None else f"{mode:04o}"


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if YAML_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    run_module(module, work)


if __name__ == "__main__":
    main()
