#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the report of a run of failure drills."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_report
short_description: Keep the report of a run of failure drills
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Puts the entry of one drill into the report of its run and renders the report anew, as JSON with a published
    schema, as one self-contained HTML page, as JUnit XML and as Prometheus text.
  - Appends the drill's figures to the history of all runs, from which the report shows the trend, and lets C(latest)
    lead to the run.
  - An entry of the same drill in the same run is replaced. Every file is replaced atomically and only when its content
    differs.
  - Runs on the control node. Needs nothing beyond the standard library.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
options:
  directory:
    description: Directory of the reports. Made when it does not exist.
    type: path
    required: true
  run:
    description:
      - Identifier of the run, by convention the UTC time at which it started, such as V(20261121T101500Z).
      - Letters, digits, C(.), C(_) and C(-). V(latest) is not possible.
    type: str
    required: true
  entry:
    description:
      - The drill as an object, with all keys that the schema of the report requires of a drill.
      - Keys that the schema does not know are refused, except in probes.
    type: dict
    required: true
  environment:
    description:
      - Facts about the run, free in form, such as the versions of the collection and of Ansible, hosts, machine.
      - A key given here replaces the one of an earlier call for the same run.
    type: dict
    default: {}
  state:
    description: The drill is in the report.
    type: str
    choices: [present]
    default: present
seealso:
  - name: How to read a report
    description: The figures with their units, what a verdict means, how to hand a report on.
    link: https://github.com/lifeboat-cloud/lifeboat.cloud/blob/main/docs/report.md
"""

EXAMPLES = r"""
- name: Put the drill into the report
  lifeboat.cloud.drill_report:
    directory: reports
    run: 20261121T101500Z
    entry: "{{ judged_drill }}"
    environment:
      collection: 0.1.0
      ansible: "{{ ansible_version.full }}"
      hosts: "{{ groups['controllers'] }}"
  delegate_to: localhost
  run_once: true
  register: report

- name: Fail when a drill of the run did not pass
  ansible.builtin.assert:
    that: report.summary.failed + report.summary.missed + report.summary.void == 0
    fail_msg: "See {{ report.paths.html }}"
"""

RETURN = r"""
paths:
  description: Absolute paths of the files.
  returned: success
  type: dict
  contains:
    report:
      description: The report as JSON.
      type: str
      returned: success
    html:
      description: The report as a page.
      type: str
      returned: success
    junit:
      description: The report as JUnit XML.
      type: str
      returned: success
    metrics:
      description: The report as Prometheus text.
      type: str
      returned: success
    history:
      description: The figures of all runs, one line of JSON per drill and run.
      type: str
      returned: success
    latest:
      description: The symbolic link to the run.
      type: str
      returned: success
  sample:
    report: /srv/cloud/reports/20261121T101500Z/report.json
    html: /srv/cloud/reports/20261121T101500Z/report.html
    junit: /srv/cloud/reports/20261121T101500Z/junit.xml
    metrics: /srv/cloud/reports/20261121T101500Z/metrics.prom
    history: /srv/cloud/reports/history.jsonl
    latest: /srv/cloud/reports/latest
changed_paths:
  description: Those of the paths that were changed, or would be in check mode.
  returned: success
  type: list
  elements: str
summary:
  description: Number of drills of the run with each verdict.
  returned: success
  type: dict
  sample: {passed: 18, failed: 1, void: 0, missed: 0, refused: 1}
"""

import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.store import carry_out, plan_entry


def without_series(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    """The entry for a difference that people read: each probe's series as its length and fingerprint."""
    return entry | {"probes": [probe | {"series": _fingerprint(probe["series"])} for probe in entry["probes"]]}


def _fingerprint(series: list[t.Any]) -> str:
    return f"{len(series)} slices, sha256 {hashlib.sha256(json.dumps(series).encode()).hexdigest()[:12]}"


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the report up to date and say what that took."""
    parameters = module.params
    entry = parameters["entry"]
    plan = plan_entry(Path(parameters["directory"]).absolute(), parameters["run"], entry, parameters["environment"])
    if not module.check_mode:
        carry_out(plan)
    return {
        "changed": bool(plan.changes),
        "changed_paths": [str(path) for path in plan.changes],
        "paths": {name: str(path) for name, path in dataclasses.asdict(plan.paths).items()},
        "summary": plan.report.summary,
        "diff": {"before": without_series(plan.before) if plan.before else {}, "after": without_series(entry)},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "run": {"type": "str", "required": True},
            "entry": {"type": "dict", "required": True},
            "environment": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present"], "default": "present"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
