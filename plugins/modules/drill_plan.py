# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose drills, validate them, and predict what one of them will do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_plan
short_description: Choose drills, validate them, and predict what one of them will do
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads every drill of the catalogue, validates all of them, and returns the wanted ones in a normalised form.
  - For one drill, given what the hosts are doing and the settings read on them, says whom the fault will hit, how long
    the protocols will let clients be without service, and whether the drill must be refused.
  - A drill is refused when a component has fewer healthy members than the drill needs, when the victim cannot be told,
    when the fault would hit the observer, and when it would leave a cluster without its majority.
  - Runs on the control node and changes nothing.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._attributes.info
options:
  catalogue:
    description: Directories of drill files. A drill's file bears the drill's name.
    type: list
    elements: path
    required: true
  wanted:
    description: V(all), the name of a drill, a tag, or several of them separated by commas.
    type: str
    default: all
  known_probes:
    description:
      - Names of the probes that can be run, including those that come with another such as C(message_ledger_consume).
      - Without it the keys of O(probes) are known. Without both, any name will do.
    type: list
    elements: str
    default: []
  probes:
    description:
      - Definitions of the probes by name.
      - A key C(queue) in a probe that the drill uses names the probed queue, whose leader is meant by
        C(pick=queue_leader). Without it there must be only one queue.
    type: dict
    default: {}
  prerequisites:
    description:
      - What a migration needs, by name, in the form of the variable C(drill_prerequisites) of the role
        C(lifeboat.cloud.drill), and validated. A drill may name only these in C(move.without).
      - Without it any name will do.
    type: dict
  drill:
    description: Name of the drill to plan.
    type: str
  facts:
    description: The steady state of every host of the control plane, by host.
    type: dict
  settings:
    description: The settings read live on every host of the control plane, by host. Durations in seconds.
    type: dict
  observer:
    description: Name of the host from which the probes are run.
    type: str
    default: ""
  servers:
    description: The servers that the drill may move, each with C(id), C(name), C(host) and C(status) as Nova says.
    type: list
    elements: dict
    default: []
  hypervisors:
    description: Hosts, as Nova calls them, whose C(nova-compute) is up and enabled.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: List the drills of the database
  lifeboat.cloud.drill_plan:
    catalogue:
      - "{{ playbook_dir }}/../roles/drill/files/catalogue"
      - /etc/lifeboat/drills
    wanted: database
  delegate_to: localhost
  run_once: true

- name: Plan one drill
  lifeboat.cloud.drill_plan:
    catalogue: [/etc/lifeboat/drills]
    wanted: galera_writer_hung
    drill: galera_writer_hung
    known_probes: [database_ledger, database_member]
    facts: "{{ steady_state_by_host }}"
    settings: "{{ settings_by_host }}"
    observer: client1
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
drills:
  description: The wanted drills in the shape of their files, with durations in seconds.
  returned: success
  type: list
  elements: dict
plan:
  description: What the drill will do.
  returned: when O(drill), O(facts) and O(settings) are given
  type: dict
  contains:
    victims:
      description: Hosts that the fault hits.
      type: list
      elements: str
      returned: always
    peers:
      description: The other members of the component, or all other hosts when the fault hits a whole host.
      type: list
      elements: str
      returned: always
    limit_s:
      description: Shortest and longest outage that the protocols allow. V(null) when refused or without a limit.
      type: list
      elements: float
      returned: always
    prediction:
      description: A sentence for people.
      type: str
      returned: always
    refused:
      description: Why the drill must not start, or V(null).
      type: str
      returned: always
    moving:
      description: The servers to be moved, each with C(server), its id, C(name), C(source) and C(destination).
      type: list
      elements: dict
      returned: always
  sample:
    victims: [ctl1]
    peers: [ctl2, ctl3]
    limit_s: [0.2609, 0.3609]
    prediction: >-
      power_off of ctl1: vip_tcp is expected to be without service for 0.26 s to 0.36 s, because the next
      holder misses the advertisements and waits its skew (vrrp_silence).
    refused: null
    moving: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.yaml import HAS_YAML
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named, select
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_plan import make_plan
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_prerequisites import refuse_wrong
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import Surroundings

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill


def probed_queue(drill: Drill, probes: Mapping[str, t.Any]) -> str:
    """The queue of the drill's probes, empty when none names one."""
    definitions = [probes.get(demand.name) for demand in drill.probes]
    queues = [definition.get("queue") for definition in definitions if isinstance(definition, dict)]
    return next((str(queue) for queue in queues if queue), "")


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Validate the catalogue, choose, and plan."""
    parameters = module.params
    known = parameters["known_probes"] or list(parameters["probes"]) or None
    catalogue = load([Path(directory) for directory in parameters["catalogue"]], known)
    if parameters["prerequisites"] is not None:
        refuse_wrong(parameters["prerequisites"], catalogue)
    result: dict[str, t.Any] = {
        "changed": False,
        "drills": [drill.as_mapping() for drill in select(catalogue, parameters["wanted"])],
    }
    if parameters["drill"] is not None:
        drill = named(catalogue, parameters["drill"])
        queue = probed_queue(drill, parameters["probes"])
        surroundings = Surroundings(
            parameters["observer"], queue, tuple(parameters["servers"]), tuple(parameters["hypervisors"])
        )
        plan = make_plan(drill, parameters["facts"], parameters["settings"], surroundings)
        result["plan"] = plan.as_mapping()
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "catalogue": {"type": "list", "elements": "path", "required": True},
            "wanted": {"type": "str", "default": "all"},
            "known_probes": {"type": "list", "elements": "str", "default": []},
            "probes": {"type": "dict", "default": {}},
            "prerequisites": {"type": "dict"},
            "drill": {"type": "str"},
            "facts": {"type": "dict"},
            "settings": {"type": "dict"},
            "observer": {"type": "str", "default": ""},
            "servers": {"type": "list", "elements": "dict", "default": []},
            "hypervisors": {"type": "list", "elements": "str", "default": []},
        },
        required_together=[("drill", "facts", "settings")],
        supports_check_mode=True,
    )
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    run_module(module, work)


if __name__ == "__main__":
    main()
