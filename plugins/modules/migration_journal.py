#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add an entry to the journal of a run that moves servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_journal
short_description: Add an entry to the journal of a run that moves servers
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Appends one line of JSON to a file, and returns when it is on its disk. Any number of tasks may do so at the same
    time; no line is lost, where modules that write the whole file anew lose those of each other.
  - M(lifeboat.cloud.migration_run) keeps its receipts in such a file. This is for playbooks that move servers by other
    modules.
  - Runs on the control node. Needs nothing beyond the standard library.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  path:
    description: The file, which is made when it is not there. Its directory must be.
    type: path
    required: true
  entry:
    description: The entry, such as a receipt of the filter P(lifeboat.cloud.migration_receipt#filter).
    type: dict
    required: true
seealso:
  - module: lifeboat.cloud.migration_run
  - plugin: lifeboat.cloud.migration_receipt
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Keep the receipt
  lifeboat.cloud.migration_journal:
    path: reports/migrations/2026-11-22T13-42-05Z.jsonl
    entry: "{{ evacuated | lifeboat.cloud.migration_receipt(step, '2026-11-22T13:42:11+00:00') }}"
"""

RETURN = r""" # """

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import ReceiptFile
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "entry": {"type": "dict", "required": True},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    file = ReceiptFile(module.params["path"])
    if not module.check_mode:
        file.add(module.params["entry"])
    return {"changed": True}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
