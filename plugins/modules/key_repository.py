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
  - Without O(keys) the module reads them; with O(keys) it makes the directory hold exactly these, with mode 0700 for
    the directory and 0600 for the keys.
  - New keys are written, the newest first, before old ones are overwritten or removed, so a running Keystone always
    finds the key it needs.
  - A key that is not one of Fernet is refused, whether it was read or handed over, so that a damaged one does not
    spread.
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
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

if t.TYPE_CHECKING:
    from collections.abc import Iterable


# What Keystone takes for a key's name, and 32 bytes in URL-safe base64.
NAME = re.compile(r"[0-9]+")
KEY = re.compile(r"[A-Za-z0-9_-]{43}=\n?")
DIRECTORY_MODE = 0o700
KEY_MODE = 0o600


def read(directory: Path) -> dict[str, str]:
    """The keys in ``directory``, file name to content, damaged or not; empty when it does not exist."""
    if not directory.is_dir():
        return {}
    files = sorted(path for path in directory.iterdir() if NAME.fullmatch(path.name))
    return {path.name: path.read_text(encoding="ascii", errors="replace") for path in files}


def check(thing: str, keys: dict[str, str], remedy: str) -> None:
    """LifeboatError unless every file is named by a number and holds a key; no key is shown."""
    odd = sorted(name for name, key in keys.items() if not (NAME.fullmatch(name) and KEY.fullmatch(str(key))))
    if odd:
        expected = "files named by numbers, each with 32 bytes in URL-safe base64"
        raise LifeboatError(thing, f"no key in {', '.join(odd)}", expected, remedy)


def replace(directory: Path, keys: dict[str, str], owner: str | None, group: str | None) -> None:
    """Make ``directory`` hold exactly ``keys``, each readable by its owner only."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    _own(directory, owner, group)
    # A rotation gives the key that was 0 the highest number and makes a new 0, which must not come before.
    for name in sorted(keys, key=int, reverse=True):
        _write(directory / name, keys[name], owner, group)
    for name in read(directory).keys() - keys.keys():
        (directory / name).unlink()


def _write(path: Path, key: str, owner: str | None, group: str | None) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        _own(Path(temporary), owner, group)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _own(path: Path, owner: str | None, group: str | None) -> None:
    if owner and group:
        shutil.chown(path, owner, group)


def mend_access(module: AnsibleModule, directory: Path, names: Iterable[str]) -> bool:
    """Give the directory and its keys their mode and owner, unless in check mode; whether any had another."""
    changed = False
    for path, mode in ((directory, DIRECTORY_MODE), *((directory / name, KEY_MODE) for name in names)):
        # A link itself has no mode to set.
        target = str(path.resolve())
        changed = module.set_mode_if_different(target, mode, changed, expand=False)
        changed = module.set_owner_if_different(target, module.params["owner"], changed, expand=False)
        changed = module.set_group_if_different(target, module.params["group"], changed, expand=False)
    return changed


def converge(module: AnsibleModule, directory: Path, wanted: dict[str, str]) -> dict[str, t.Any]:
    """Replace what differs."""
    found = read(directory)
    changed = wanted != found
    if changed and not module.check_mode:
        replace(directory, wanted, module.params["owner"], module.params["group"])
    if not changed or not module.check_mode:
        changed = mend_access(module, directory, wanted) or changed
    return {
        "changed": changed,
        "path": str(directory),
        "diff": {"before": "\n".join(sorted(found)) + "\n", "after": "\n".join(sorted(wanted)) + "\n"},
    }


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Read, or replace what differs."""
    directory = Path(module.params["path"])
    wanted = module.params["keys"]
    hand_over = "Hand over what the module returned on another member."
    if wanted == {}:
        raise LifeboatError(f"keys for {directory}", "no key at all", "at least one", hand_over)
    try:
        if wanted is not None:
            check(f"keys for {directory}", wanted, hand_over)
            return converge(module, directory, wanted)
        found = read(directory)
    except (OSError, LookupError) as error:
        raise LifeboatError(
            f"key repository {directory}",
            str(error),
            "a directory of keys, and a user and a group that exist",
            "Correct path, owner and group, and run this as root.",
        ) from error
    check(f"key repository {directory}", found, "Copy the keys from another member, or make new ones.")
    return {"changed": False, "found_keys": found, "path": str(directory)}


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
