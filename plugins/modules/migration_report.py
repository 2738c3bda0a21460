#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the receipts of a run of migrations, and show them on a page."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Judge the receipts of a run of migrations, and show them on a page
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the receipts that the playbooks which move servers leave, C(RUN.json), and puts C(RUN.html) beside them, one
    page that needs nothing else. It has a verdict for each server, what was predicted beside what was measured, and the
    phases of each migration.
  - What was odd is told apart. It is harmless where the server is where and as it should be, and serious where somebody
    has to look. A warning that is not known to be harmless is serious.
  - The page is replaced atomically and only when its content differs. The receipts are never changed.
  - Runs on the control node. Needs nothing beyond the standard library.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  directory:
    description: Directory of the receipts.
    type: path
    required: true
  run:
    description: The run, as its file of receipts is named, without C(.json). It is the time at which the run began.
    type: str
    required: true
  measured:
    description:
      - What clients outside saw of servers, by the server's id. Each may have C(gap_s), for how many seconds it did not
        answer, and C(same_boot), whether it is the boot that it was before.
    type: dict
    default: {}
  downtime_limit:
    description:
      - How many seconds a server may stand still for a live migration. More, and more than the plan told for it, is a
        serious finding. Without it no standing still is too long.
    type: float
  state:
    description: The page is there.
    type: str
    choices: [present]
    default: present
seealso:
  - module: lifeboat.cloud.migration_plan
  - module: lifeboat.cloud.server_migration
"""

EXAMPLES = r"""
- name: Show the receipts on a page
  lifeboat.cloud.migration_report:
    directory: reports/migrations
    run: 2026-11-22T13-42-05Z
    downtime_limit: 0.5
    measured:
      6ae5427f-1e23-4421-bcbb-62e23108745f: {gap_s: 0.31, same_boot: true}
  delegate_to: localhost
  register: report

- name: Fail when somebody has to look
  ansible.builtin.assert:
    that: report.summary.serious == 0
    fail_msg: "See {{ report.page }}"
"""

RETURN = r"""
page:
  description: The page.
  returned: success
  type: str
  sample: /srv/cloud/reports/migrations/2026-11-22T13-42-05Z.html
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [write /srv/cloud/reports/migrations/2026-11-22T13-42-05Z.html]
servers:
  description: Each migration in the order of the receipts.
  returned: success
  type: list
  elements: dict
  contains:
    server: {description: The server's id., type: str, sample: 6ae5427f-1e23-4421-bcbb-62e23108745f}
    name: {description: Its name., type: str, sample: web-1}
    verdict: {description: "V(moved), V(moved with warnings) or V(not moved).", type: str, sample: moved}
    found: {description: Why it was not moved., type: str, sample: ""}
    slowness: {description: Its seconds against those predicted., type: float, sample: 1.12}
    downtime_s: {description: For how long it stood still; null when nobody knows., type: float, sample: 0.31}
    serious: {description: What somebody has to look at., type: list, elements: str, sample: []}
    harmless: {description: What was odd beside that., type: list, elements: str, sample: []}
stayed:
  description: The names of servers for which there was no way.
  returned: success
  type: list
  elements: str
summary:
  description: The whole run; what is not known is null.
  returned: success
  type: dict
  contains:
    moved: {description: Servers that moved without a finding., type: int, sample: 9}
    moved_with_warnings: {description: Servers that moved with findings., type: int, sample: 1}
    not_moved: {description: Servers whose migration failed., type: int, sample: 0}
    stayed: {description: Servers for which there was no way., type: int, sample: 0}
    serious: {description: Serious findings., type: int, sample: 0}
    harmless: {description: Harmless findings., type: int, sample: 1}
    bytes: {description: Bytes that were sent at least., type: int, sample: 10737418240}
    elapsed_s: {description: From the first request of the run to the last end., type: float, sample: 112.9}
    predicted_s: {description: The plan's seconds., type: float, sample: 104.2}
    lower_bound_s: {description: The plan's lower bound., type: float, sample: 98.0}
    ratio: {description: Elapsed against predicted., type: float, sample: 1.083}
    longest_downtime_s: {description: The longest that was measured., type: float, sample: 0.42}
    prediction_error:
      description: The median error of the servers' predicted seconds, as a share of the measured ones.
      type: float
      sample: 0.08
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.store import Report, report_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the page up to date and say what it says."""
    params = module.params
    directory = Path(params["directory"]).absolute()
    report = report_of(directory, params["run"], params["measured"], params["downtime_limit"])
    if report.page.changed and not module.check_mode:
        report.page.write()
    return result_of(report)


def result_of(report: Report) -> dict[str, t.Any]:
    """What the module returns."""
    return {
        **report.page.result(),
        "servers": [_server(each) for each in report.judged],
        "stayed": list(report.run.stayed),
        "summary": report.summary.json(),
    }


def _server(each: Judged) -> dict[str, t.Any]:
    case = each.case
    return {
        "server": case.receipt.server,
        "name": case.receipt.name,
        "verdict": each.verdict.value,
        "found": case.receipt.found,
        "slowness": None if case.slowness is None else round(case.slowness, 3),
        "downtime_s": case.downtime_s,
        "serious": [finding.says for finding in each.findings if finding.serious],
        "harmless": [finding.says for finding in each.findings if not finding.serious],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "run": {"type": "str", "required": True},
            "measured": {"type": "dict", "default": {}},
            "downtime_limit": {"type": "float"},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
