#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide how a Galera cluster is brought back, or refuse."""

from __future__ import annotations

DOCUMENTATION = r"""
module: galera_recovery_plan
short_description: Decide how a Galera cluster is brought back, or refuse
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Decides from what all members say of themselves, see M(lifeboat.cloud.galera_info), from which one the cluster may
    be brought back without losing a committed transaction. It only decides, nothing is touched.
  - While a member is in the primary component nothing is bootstrapped, the others join it. It refuses when a stopped
    member holds the data of another cluster, or is ahead of the primary component, as joining would overwrite these.
  - Members that run outside of a primary component are to be stopped first. C(pc.bootstrap) on a running member is
    never chosen, as it ignores what a member that is apart has committed.
  - When all are stopped, every member must be reachable with a known position, and all must hold data of one cluster.
    The highest sequence number wins. Members without data are never chosen. A member that Galera marked as safe to
    bootstrap and that is behind another is a contradiction, which is refused.
  - A refusal names the position of every member.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  members:
    description:
      - One dictionary for each member, namely RV(lifeboat.cloud.galera_info#module:galera) with the key C(host) added.
      - For a host that could not be asked C(host) and C(reachable=false).
    type: list
    elements: dict
    required: true
  expected_members:
    description:
      - How many members the cluster has.
    type: int
    required: true
  recover_from:
    description:
      - The member that the operator has chosen, in the playbook the variable C(database_recover_from).
      - It takes the place of completeness, equal cluster UUIDs and known positions. It does not make a second primary
        component, nor a cluster from a member without data.
    type: str
seealso:
  - module: lifeboat.cloud.galera_info
"""

EXAMPLES = r"""
- name: Decide from which member the cluster is brought back
  lifeboat.cloud.galera_recovery_plan:
    members:
      - {host: ctl1, running: false, uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e, seqno: 4711}
      - {host: ctl2, running: false, uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e, seqno: 4712}
      - {host: ctl3, running: false, uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e, seqno: 4712}
    expected_members: 3
  delegate_to: localhost
  run_once: true
  register: plan
"""

RETURN = r"""
decision:
  description: What to do next.
  returned: success
  type: dict
  contains:
    action:
      description:
        - V(none) when the cluster runs. V(join) to (re)start RV(decision.join_hosts).
        - V(stop) to stop RV(decision.stop_hosts), then to read all members and to ask again.
        - V(bootstrap) to start a new primary component on RV(decision.bootstrap_host), then RV(decision.join_hosts).
      type: str
      sample: bootstrap
    bootstrap_host:
      description: The member that begins, null unless the action is V(bootstrap).
      type: str
      sample: ctl2
    join_hosts:
      description: The members to start, or to restart when they run.
      type: list
      elements: str
      sample: [ctl1, ctl3]
    stop_hosts:
      description: The members to stop.
      type: list
      elements: str
      sample: []
    reason:
      description: Why.
      type: str
      sample: "ctl2: the highest sequence number, 4712"
    evidence:
      description: The position and condition of each member.
      type: list
      elements: str
      sample: ["ctl1: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e:4711 (stopped, safe_to_bootstrap 0)"]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera_recovery import decide, member_state
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "members": {"type": "list", "elements": "dict", "required": True},
    "expected_members": {"type": "int", "required": True},
    "recover_from": {"type": "str"},
}


def plan(module: AnsibleModule) -> dict[str, t.Any]:
    members = [member_state(facts) for facts in module.params["members"]]
    # An empty extra variable is no choice.
    decision = decide(members, module.params["expected_members"], module.params["recover_from"] or None)
    return {"decision": {**dataclasses.asdict(decision), "action": str(decision.action)}}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), plan)


if __name__ == "__main__":
    main()
