#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write the configuration files of a service
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that files have the given content, owner, group and mode, all in one call.
  - Every new content is written beside its file and validated before the first file is replaced; each replacement is
    atomic. Parent directories that are missing are made, owned by root, with mode 0755.
  - A call of M(ansible.builtin.copy) starts two modules for each file; with the ten files of a service that is most of
    the time of a run that changes nothing.
  - Use C(no_log) when the files hold secrets.
extends_documentation_fragment: [lifeboat.cloud._attributes]
options:
  files:
    description:
      - The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - The file's absolute path. Behind a symbolic link the file that it names is meant.
        type: path
        required: true
      content:
        description:
          - What the file shall hold.
        type: str
        required: true
      owner:
        description:
          - The user that owns the file. Without it the one that runs the module.
        type: str
      group:
        description:
          - The group that owns the file. Without it the one of the user that runs the module.
        type: str
      mode:
        description:
          - What is allowed to whom, as quoted octal digits.
        type: str
        default: "0644"
      validate:
        description:
          - A command that must succeed before the file is replaced, with C(%s) where the path of the new content goes.
        type: str
"""

EXAMPLES = r"""
- name: Configure memcached
  lifeboat.cloud.config_files:
    files:
      - path: /etc/memcached.conf
        content: |
          -l 10.0.0.11
          -p 11211
  notify: Restart memcached

- name: Configure the load balancer
  lifeboat.cloud.config_files:
    files:
      - path: /etc/haproxy/haproxy.cfg
        content: "{{ lookup('template', 'haproxy.cfg.j2') }}"
        validate: haproxy -c -f %s
      - path: /etc/default/haproxy
        content: "EXTRAOPTS=-f /etc/haproxy/conf.d\n"
  notify: Restart HAProxy
"""

RETURN = r"""
changed_files:
  description: The files that were written or got another owner, group or mode, or would in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/memcached.conf]
paths:
  description: All of the files.
  returned: success
  type: list
  elements: str
  sample: [/etc/memcached.conf]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._config_files import (
    Difference,
    access_of,
    differences,
    wanted_files,
    write_all,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0644"},
            "validate": {"type": "str"},
        },
    }
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Write what differs."""
    try:
        wanted = wanted_files(module.params["files"])
        found = differences(wanted)
        if found and not module.check_mode:
            write_all(found)
    except OSError as error:
        expected = "files that this user may read and write"
        remedy = "Correct the path, or run this as root."
        raise LifeboatError(f"file {error.filename}", error.strerror or str(error), expected, remedy) from error
    return {
        "changed": bool(found),
        "changed_files": [str(each.wanted.path) for each in found],
        "paths": [str(each.path) for each in wanted],
        "diff": [part for each in found for part in diff_of(each)],
    }


def diff_of(difference: Difference) -> list[dict[str, t.Any]]:
    """The difference as Ansible shows it: content first, then access."""
    wanted, found = difference.wanted, difference.found
    parts: list[dict[str, t.Any]] = []
    if difference.of_content:
        before = (found.content or b"").decode(errors="replace")
        header = {"before_header": str(wanted.path), "after_header": str(wanted.path)}
        parts.append({**header, "before": before, "after": wanted.content.decode()})
    if found.access is not None and found.access != access_of(wanted):
        was, shall = found.access, access_of(wanted)
        before = f"owner {was.owner}, group {was.group}, mode {was.mode:04o}\n"
        after = f"owner {shall.owner}, group {shall.group}, mode {shall.mode:04o}\n"
        header = {"before_header": f"access to {wanted.path}", "after_header": f"access to {wanted.path}"}
        parts.append({**header, "before": before, "after": after})
    return parts


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
