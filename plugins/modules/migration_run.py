#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a plan of migrations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_run
short_description: Carry out a plan of migrations, many at a time
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Moves servers of Nova as M(lifeboat.cloud.migration_plan) has planned it, from one process, as many at a time as
    O(limits) allow. A move begins when slots, room on its destination and server groups let it.
  - Where each server is, and what is under way, is read from the cloud whenever the module begins. A server that is at
    its destination already is left alone, one that is under way is watched and not moved a second time, and one that is
    neither there nor where its step begins is not moved and noted as failed.
  - A server that fails ends nothing else. It is moved as by M(lifeboat.cloud.server_migration); cold migrations are
    confirmed, and those by post-copy that take too long are forced to their end.
  - With O(slice) it returns in between, to be called again with RV(steps).
  - At SIGTERM and SIGINT nothing begins any more, and the module returns. What Nova is about it goes on with; the next
    call watches it further.
  - With O(adopt) it begins nothing and sees to its end what is under way already, of a run that was interrupted or of
    somebody else.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._planning
  - lifeboat.cloud._attributes
options:
  steps:
    description:
      - The steps, as RV(lifeboat.cloud.migration_plan#module:steps), or RV(steps) of an earlier call.
      - Needed without O(adopt), and not to be given with it.
    type: list
    elements: dict
  adopt:
    description:
      - Instead of making steps, watch to its end what Nova moves just now, and leave its receipt.
      - What a run has asked for that was interrupted before it could leave a receipt gets that now, also where the
        migration has ended since. The files C(*.jsonl) beside O(receipts), in the order of their names, tell what that
        is. What somebody else has begun, and what such a run began on another control node, is neither aborted nor
        confirmed; when it takes longer than O(patience) it is noted as failed.
      - A receipt that somebody else has left meanwhile, such as a module that has outlived its playbook, is not left a
        second time.
    type: bool
    default: false
  receipts:
    description:
      - A file to which the receipt of each step is added as soon as it has ended, each a line in JSON. Its directory
        has to exist.
      - Before a migration is asked for, a line with C(asked), the moment, and C(step) is added, for O(adopt).
    type: path
    required: true
  slice:
    description:
      - After how many seconds the module returns although steps are left. Without it, it returns when all have ended.
      - It is ten times what hosts and servers take to be read, if that is longer.
    type: float
  patience:
    description: How long a migration may take, from its request to its end, and a cold one again for its confirmation.
    type: dict
    suboptions:
      times:
        description: So many times what was planned. With 0 it is O(patience.least).
        type: float
        default: 5.0
      least:
        description: So many seconds in any case, more than 0.
        type: float
        default: 300.0
  on_timeout:
    description:
      - What becomes of a live migration that takes longer, as O(lifeboat.cloud.server_migration#module:on_timeout).
    type: str
    choices: [abort, force, leave]
    default: abort
notes:
  - Each look at what is under way is one request, for the latest records of migrations, and one for each server whose
    record has ended; it is looked every half second, and every two seconds with many, or where the look takes long.
  - Each call reads hosts and servers once, as M(lifeboat.cloud.migration_plan) does.
seealso:
  - module: lifeboat.cloud.migration_plan
  - module: lifeboat.cloud.server_migration
"""

EXAMPLES = r"""
- name: Plan to empty a compute
  lifeboat.cloud.migration_plan:
    cloud: admin
    assumed: {bandwidth: 1.25e9}
    goal: drain
    drain: [cmp1]
    limits: {outgoing: 2, incoming: 2, total: 10}
  register: plan

- name: See what is under way to its end
  lifeboat.cloud.migration_run:
    cloud: admin
    assumed: {bandwidth: 1.25e9}
    adopt: true
    receipts: /var/log/migrations/2026-11-22.jsonl

- name: Empty it
  lifeboat.cloud.migration_run:
    cloud: admin
    assumed: {bandwidth: 1.25e9}
    limits: {outgoing: 2, incoming: 2, total: 10}
    steps: "{{ plan.steps }}"
    receipts: /var/log/migrations/2026-11-22.jsonl
  register: run
  failed_when: run.receipts | rejectattr('moved') | length > 0
"""

RETURN = r"""
actions:
  description: What was asked of Nova, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [migrate server web-1 live from cmp1 to cmp2]
finished:
  description: Whether no step is left.
  returned: success
  type: bool
  sample: false
interrupted:
  description: Whether a signal ended the call.
  returned: success
  type: bool
  sample: false
receipts:
  description: What became of the steps that ended in this call.
  returned: success
  type: list
  elements: dict
  contains:
    server: {description: The server's id., type: str, sample: 6ae5427f-1e23-4421-bcbb-62e23108745f}
    name: {description: Its name., type: str, sample: web-1}
    kind: {description: V(live) or V(cold)., type: str, sample: live}
    planned:
      description: The step as it was given. Of what somebody else has begun only where from, where to and how.
      type: dict
    moved: {description: Whether it is at its destination., type: bool, sample: true}
    found: {description: Why it is not; empty when it is., type: str, sample: ""}
    source: {description: Where it was., type: str, sample: cmp1}
    destination: {description: Where it was sent., type: str, sample: cmp2}
    began:
      description: When it was asked for, in UTC; none when it was not.
      type: str
      sample: "2026-11-22T13:42:05.417+00:00"
    seconds: {description: "From then to the end; none when it was not asked for.", type: float, sample: 9.31}
    transferred:
      description: Bytes by what they are, as Nova said last while it ran.
      type: dict
      sample: {memory_total: 210640896, memory_processed: 104857600, memory_remaining: 0}
    timeline:
      description:
        - Each state that was seen, C(at_s) seconds after C(began), with the status of the C(record) and, where the
          server was looked at, its status C(server) and its C(task). The first is that before the request, without a
          record.
      type: list
      elements: dict
    phases:
      description: The steps that Nova noted, as RV(lifeboat.cloud.server_migration#module:phases).
      type: list
      elements: dict
    warnings: {description: What is odd about it., type: list, elements: str, sample: []}
steps:
  description:
    - The steps that are left, to be given to the next call. Those under way have with them what was seen so far.
  returned: success
  type: list
  elements: dict
under_way:
  description: What Nova does just now.
  returned: success
  type: list
  elements: dict
  contains:
    server: {description: The server's id., type: str, sample: 6ae5427f-1e23-4421-bcbb-62e23108745f}
    name: {description: Its name., type: str, sample: web-1}
    source: {description: Where it was., type: str, sample: cmp1}
    destination: {description: Where it goes., type: str, sample: cmp2}
    status: {description: The status of Nova's record., type: str, sample: running}
    seconds: {description: Since it was asked for., type: float, sample: 4.1}
    transferred: {description: Bytes by what they are., type: dict}
remaining:
  description: What is still to be expected.
  returned: success
  type: dict
  contains:
    seconds: {description: Until all have ended., type: float, sample: 104.2}
    bytes: {description: To be sent., type: int, sample: 10737418240}
    moves: {description: Steps that are left., type: int, sample: 10}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_adoption import adopted, still_owed
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import ReceiptFile
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_run import Rules, Run
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import steps_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_options import (
    PLANNING_OPTIONS,
    Planning,
    planning_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._stop_signals import StopSignals

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    **PLANNING_OPTIONS,
    "steps": {"type": "list", "elements": "dict"},
    "adopt": {"type": "bool", "default": False},
    "receipts": {"type": "path", "required": True},
    "slice": {"type": "float"},
    "patience": {
        "type": "dict",
        "apply_defaults": True,
        "options": {"times": {"type": "float", "default": 5.0}, "least": {"type": "float", "default": 300.0}},
    },
    "on_timeout": {"type": "str", "choices": ["abort", "force", "leave"], "default": "abort"},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    if params["slice"] is not None and params["slice"] <= 0:
        raise LifeboatError("slice", f"{params['slice']:g} s", "more than 0", "Leave it out to wait for all steps.")
    refuse_no_time({"patience.least": params["patience"]["least"]})
    if params["patience"]["times"] < 0:
        found, remedy = f"{params['patience']['times']:g}", "Correct the option, or leave it out."
        raise LifeboatError("patience.times", found, "0 or more", remedy)
    if params["adopt"] and params["steps"] is not None:
        raise LifeboatError("steps", "steps to make with adopt", "one of both", "Adopt, plan, then make the steps.")
    planning = planning_of(params, module.warn)
    rules = Rules(params["patience"]["times"], params["patience"]["least"], params["on_timeout"])
    if params["adopt"]:
        return adopt(module, planning, rules)
    steps = steps_of(params["steps"])
    keep = _forget if module.check_mode else ReceiptFile(params["receipts"]).add
    with opened(params) as cloud, StopSignals() as signals:
        run = Run(cloud, steps, planning, rules, keep)
        if not module.check_mode:
            run.go(params["slice"], signals.seen)
        actions = run.foretold() if module.check_mode else run.actions
        return result_of(run, actions, signals.seen()) | {"receipts": run.receipts, "steps": run.steps()}


def adopt(module: AnsibleModule, planning: Planning, rules: Rules) -> dict[str, t.Any]:
    """See what is under way to its end."""
    params, directory = module.params, Path(module.params["receipts"]).parent
    file = None if module.check_mode else ReceiptFile(params["receipts"])
    receipts: list[dict[str, t.Any]] = []
    with opened(params) as cloud, StopSignals() as signals:
        steps = adopted(cloud.compute, directory, rules)
        run = Run(cloud, steps, planning, rules, _forget, begins=False)
        if file:
            run.go(params["slice"], signals.seen)
            receipts = still_owed(run.receipts, steps, directory)
            for receipt in receipts:
                file.add(receipt)
        actions = run.foretold() if module.check_mode else run.actions
        return result_of(run, actions, signals.seen()) | {"receipts": receipts, "steps": []}


def _forget(_entry: dict[str, t.Any]) -> None:
    """In place of a file where nothing is to be written yet."""


def result_of(run: Run, actions: list[str], interrupted: bool) -> dict[str, t.Any]:
    """What the module returns beside receipts and steps."""
    return {
        "changed": bool(actions),
        "actions": actions,
        "finished": not run.left,
        "interrupted": interrupted,
        "under_way": run.under_way(),
        "remaining": run.remaining(),
        "diff": {"before": "", "after": "".join(f"{each}\n" for each in actions)},
    }


def main() -> None:
    rules = {**OPENSTACK_RULES, "required_if": [("adopt", False, ("steps",))]}
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **rules), work)


if __name__ == "__main__":
    main()
