#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a RabbitMQ node for its cluster and its queues."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rabbitmq_info
short_description: Ask a RabbitMQ node for its cluster and its queues
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the nodes, alarms, partitions and queues as the asked node sees them, over the management API. No Erlang
    machine is started for it, as C(rabbitmqctl) does.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  user:
    description:
      - A user with the tag C(monitoring).
    type: str
    required: true
  password:
    description:
      - The password of O(user).
    type: str
    required: true
  address:
    description:
      - Where the management API listens.
    type: str
    default: 127.0.0.1
  port:
    description:
      - The port of the management API.
    type: int
    default: 15672
  queues:
    description:
      - The queues to look at, whatever their type; all quorum queues when the list is empty.
      - C(VHOST:NAME) for a queue outside of the virtual host V(/).
    type: list
    elements: str
    default: []
  timeout:
    description:
      - How many seconds the node may take for the nodes, and again for the queues.
    type: float
    default: 5.0
notes:
  - Members and leaders of queues are what the leaders last reported, which they do every five seconds.
"""

EXAMPLES = r"""
- name: Find the leader of the drill's queue
  lifeboat.cloud.rabbitmq_info:
    user: "{{ message_queue_user }}"
    password: "{{ message_queue_password }}"
    queues: [drill_ledger]
  register: broker

- name: Show it
  ansible.builtin.debug:
    var: broker.rabbitmq.queues.drill_ledger.leader
"""

RETURN = r"""
rabbitmq:
  description: The cluster as the node sees it.
  returned: success
  type: dict
  contains:
    nodes:
      description: The members.
      type: list
      elements: dict
      sample: [{name: rabbit@ctl1, running: true, alarms: [], partitions: []}]
    queues:
      description: The queues by name. C(type) is null for one that was asked for and does not exist.
      type: dict
      sample:
        drill_ledger:
          type: quorum
          leader: rabbit@ctl2
          members: [rabbit@ctl1, rabbit@ctl2, rabbit@ctl3]
          online: [rabbit@ctl1, rabbit@ctl2, rabbit@ctl3]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq import Management, nodes, queues

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "address": {"type": "str", "default": "127.0.0.1"},
    "port": {"type": "int", "default": 15672},
    "queues": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 5.0},
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    management = Management(params["user"], params["password"], params["address"], params["port"])
    found_nodes = nodes(management, params["timeout"])
    found_queues = queues(management, params["queues"], params["timeout"])
    return {
        "rabbitmq": {
            "nodes": [dataclasses.asdict(node) for node in found_nodes],
            "queues": {name: dataclasses.asdict(queue) for name, queue in found_queues.items()},
        }
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
