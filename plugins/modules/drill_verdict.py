# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a drill by what was measured."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_verdict
short_description: Judge a drill by what was measured
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Compares what the probes saw, the proof of the fault, the recovery and the audits with what the drill demands and
    with the predicted interval, and returns the drill's object for M(lifeboat.cloud.drill_report).
  - C(passed), everything was kept. C(failed), a bound, 1.1 times the longest predicted outage, the recovery or an
    audit was not kept, or an acknowledged write was lost. C(void), the measurement cannot tell. C(missed), the fault
    did not hit, or the outage was shorter than 0.9 times the shortest one possible. C(refused), the drill did not
    start.
  - A failure outweighs the others, and every reason is returned.
  - Runs on the control node and changes nothing.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._attributes.info
options:
  drill:
    description: The drill, as RV(lifeboat.cloud.drill_plan#module:drills) has it.
    type: dict
    required: true
  plan:
    description: The plan, as RV(lifeboat.cloud.drill_plan#module:plan) has it.
    type: dict
    required: true
  faults:
    description:
      - Proof of the fault for each host that was hit, with C(host), C(landed), C(injected_at) and C(healed_at) in
        seconds since the epoch, C(evidence), a mapping or a text, and C(active).
      - C(active) says whether the host was the active member (the holder of the VIP, the writer, the leader, whatever
        the drill's pick speaks of) when the fault hit it, V(null) when that was not looked at. A drill that picks the
        active member is C(missed) unless it is V(true), one that picks another is C(missed) when it is.
    type: list
    elements: dict
    default: []
  move:
    description: What became of the servers that were moved, as C(move) in C(report.schema.json).
    type: dict
  probes:
    description: The results of the probes.
    type: list
    elements: dict
    default: []
  recovery:
    description:
      - C(recovered), whether the steady state came back, C(seconds), how long that took, and C(findings), what was
        still amiss.
    type: dict
    default: {}
  audits:
    description: The audits with C(name), C(passed) and C(detail).
    type: list
    elements: dict
    default: []
  timeline:
    description: Events in any order, with C(at) in seconds since the epoch, C(what) and, where it makes sense, C(host).
    type: list
    elements: dict
    default: []
  refused:
    description: Why the drill was not started, when that is not said by O(plan).
    type: str
  allowance:
    description:
      - Seconds by which every bound on a time, and the longest predicted outage, may be exceeded before the drill is
        C(failed). For machines that are busy with other work; the report shows the bounds and the prediction unchanged.
      - When it is set, the observer is taken to share its machine with the hosts of the cloud. What made a probe late
        has then held up the hosts as well, and the times that it saw are C(void), however long. So
        are outages that begin after a host which had lost power was turned on again, since it boots on that machine.
    type: float
    default: 0.0
  started_at:
    description: When the drill started, in seconds since the epoch.
    type: float
    required: true
  finished_at:
    description: When the drill was over, in seconds since the epoch.
    type: float
    required: true
seealso:
  - module: lifeboat.cloud.drill_plan
  - module: lifeboat.cloud.drill_report
"""

EXAMPLES = r"""
- name: Judge the drill
  lifeboat.cloud.drill_verdict:
    drill: "{{ drill }}"
    plan: "{{ plan }}"
    faults: "{{ faults }}"
    probes: "{{ probe_results }}"
    recovery:
      recovered: true
      seconds: 7.2
    audits: "{{ audits }}"
    timeline: "{{ timeline }}"
    started_at: "{{ started_at }}"
    finished_at: "{{ now().timestamp() }}"
  delegate_to: localhost
  run_once: true
  register: judged
"""

RETURN = r"""
verdict:
  description: The verdict.
  returned: success
  type: str
  sample: failed
reasons:
  description: Why, as sentences.
  returned: success
  type: list
  elements: str
  sample: ["vip_tcp: outage of at least 2.94 s, bound 0.40 s."]
entry:
  description: The drill's object of the report, see C(report.schema.json).
  returned: success
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_entry import Remains, judged_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Judge the drill."""
    parameters = dict(module.params)
    drill = read_drill("given as option drill", parameters.pop("drill"))
    entry = judged_entry(drill, Remains(**parameters))
    return {"changed": False, "verdict": entry["verdict"], "reasons": entry["reasons"], "entry": entry}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "drill": {"type": "dict", "required": True},
            "plan": {"type": "dict", "required": True},
            "faults": {"type": "list", "elements": "dict", "default": []},
            "move": {"type": "dict"},
            "probes": {"type": "list", "elements": "dict", "default": []},
            "recovery": {"type": "dict", "default": {}},
            "audits": {"type": "list", "elements": "dict", "default": []},
            "timeline": {"type": "list", "elements": "dict", "default": []},
            "refused": {"type": "str"},
            "allowance": {"type": "float", "default": 0.0},
            "started_at": {"type": "float", "required": True},
            "finished_at": {"type": "float", "required": True},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
