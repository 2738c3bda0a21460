#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: key_repository
short_description: Read or replace a directory of numbered keys
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Keystone keeps its Fernet and credential keys as files named V(0), V(1), and so on in one directory.
  - Without O(keys) the module reads them; with O(keys) it makes the directory hold exactly these.
  - New keys are written before old ones are removed, so a running Keystone always finds the key it needs.
  - Register the result with C(no_log), because it holds the keys.
extends_documentation_fragment: [lifeboat.cloud._attributes]
options:
  path:
    description: The directory.
    type: path
    required: true
  keys:
    description: The keys that the directory shall hold, file name to content. Without it the module only reads.
    type: dict
  owner:
    description: User that owns the directory and the keys.
    type: str
  group:
    description: Group that owns the directory and the keys.
    type: str
"""

EXAMPLES = r"""
- name: Read the keys of the first member
  lifeboat.cloud.key_repository:
    path: /etc/keystone/fernet-keys
  register: first_member
  no_log: true

- name: Give another member the same keys
  lifeboat.cloud.key_repository:
    path: /etc/keystone/fernet-keys
    keys: "{{ first_member.found_keys }}"
    owner: keystone
    group: keystone
  no_log: true
"""

RETURN = r"""
found_keys:
  description: The keys that the directory holds, file name to content.
  returned: when O(keys) is not given
  type: dict
path:
  description: The directory.
  returned: always
  type: str
"""

import os
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module


def read(directory: Path) -> dict[str, str]:
    """The keys in ``directory``, file name to content; empty when it does not exist."""
    if not directory.is_dir():
        return {}
    return {path.name: path.read_text(encoding="ascii") for path in sorted(directory.iterdir()) if path.name.isdigit()}


def replace(directory: Path, keys: dict[str, str], owner: str | None, group: str | None) -> None:
    """Make ``directory`` hold exactly ``keys``, each readable by its owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own(directory, owner, group)
    for name, content in keys.items():
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=".key")
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(content)
        _own(Path(temporary), owner, group)
        os.replace(temporary, directory / name)
    for name in read(directory).keys() - keys.keys():
        (directory / name).unlink()


def _own(path: Path, owner: str | None, group: str | None) -> None:
    if owner and group:
        shutil.chown(path, owner, group)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Read, and replace what differs."""
    directory = Path(module.params["path"])
    wanted = module.params["keys"]
    found = read(directory)
    if wanted is None:
        return {"changed": False, "found_keys": found, "path": str(directory)}
    names = sorted(name for name in wanted if not name.isdigit())
    if names or not wanted:
        raise LifeboatError(
            f"keys for {directory}",
            f"names {names}" if names else "no key at all",
            "files named by numbers, at least one",
            "Hand over what the module returned on another member.",
        )
    if wanted != found and not module.check_mode:
        replace(directory, wanted, module.params["owner"], module.params["group"])
    return {
        "changed": wanted != found,
        "path": str(directory),
        "diff": {"before": "\n".join(sorted(found)) + "\n", "after": "\n".join(sorted(wanted)) + "\n"},
    }


def main() -> None:
    """Run the module."""
    spec = {
        "path": {"type": "path", "required": True},
        "keys": {"type": "dict", "no_log": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
    }
    run_module(
        AnsibleModule(argument_spec=spec, supports_check_mode=True, required_together=[("owner", "group")]), work
    )


if __name__ == "__main__":
    main()
