#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the receipt of an import, and show it on a page."""

from __future__ import annotations

DOCUMENTATION = r"""
module: import_report
short_description: Judge the receipt of an import, and show it on a page
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the receipt that the playbook which brings in a machine leaves, C(RUN.json), and puts C(RUN.html) beside it,
    one page that needs nothing else. It has the verdict, the seconds of each step, the copy of each disk, and for a
    machine that was copied while it ran its rounds and for how long it was away, beside what was predicted.
  - What was odd is told apart. It is harmless where the guest is as it should be, and serious where somebody has to
    look.
  - The page is replaced atomically and only when its content differs. The receipt is never changed.
  - Runs on the control node. Needs nothing beyond the standard library.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  directory:
    description: Directory of the receipts.
    type: path
    required: true
  run:
    description: The run, as its receipt is named, without C(.json). It is the time at which the run began.
    type: str
    required: true
  offline_limit:
    description:
      - How many seconds a machine that was copied while it ran may be away. More is a serious finding. Without it no
        time is too long.
    type: float
  state:
    description: The page is there.
    type: str
    choices: [present]
    default: present
seealso:
  - module: lifeboat.cloud.migration_report
  - module: lifeboat.cloud.foreign_machine_info
"""

EXAMPLES = r"""
- name: Show the receipt on a page
  lifeboat.cloud.import_report:
    directory: reports/imports
    run: 2026-11-22T13-42-05Z
    offline_limit: 120
  delegate_to: localhost
  register: report

- name: Fail when somebody has to look
  ansible.builtin.assert:
    that: report.serious == []
    fail_msg: "See {{ report.page }}"
"""

RETURN = r"""
page:
  description: The page.
  returned: success
  type: str
  sample: /srv/cloud/reports/imports/2026-11-22T13-42-05Z.html
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [write /srv/cloud/reports/imports/2026-11-22T13-42-05Z.html]
verdict:
  description: >-
    V(answered), V(answered with warnings), V(not made yet) for a machine that was only copied while it ran, V(failed)
    or V(failed, left things).
  returned: success
  type: str
  sample: answered
found:
  description: Why it failed.
  returned: success
  type: str
  sample: ""
offline_s:
  description: For how many seconds the machine was away; null when nobody knows, or it was off before.
  returned: success
  type: float
  sample: 65.6
slowness:
  description: These seconds against those predicted.
  returned: success
  type: float
  sample: 0.94
serious:
  description: What somebody has to look at.
  returned: success
  type: list
  elements: str
  sample: []
harmless:
  description: What was odd beside that.
  returned: success
  type: list
  elements: str
  sample: ["ide2: the drive is left out"]
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.store import Report, report_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the page up to date and say what it says."""
    params = module.params
    report = report_of(Path(params["directory"]).absolute(), params["run"], params["offline_limit"])
    if report.page.changed and not module.check_mode:
        report.page.write()
    return result_of(report)


def result_of(report: Report) -> dict[str, t.Any]:
    """What the module returns."""
    judged, warm = report.judged, report.judged.receipt.warm
    return {
        **report.page.result(),
        "verdict": judged.verdict.value,
        "found": judged.receipt.failure,
        "offline_s": warm.offline_s if warm else None,
        "slowness": round(warm.slowness, 3) if warm and warm.slowness is not None else None,
        "serious": judged.says(serious=True),
        "harmless": judged.says(serious=False),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "run": {"type": "str", "required": True},
            "offline_limit": {"type": "float"},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
