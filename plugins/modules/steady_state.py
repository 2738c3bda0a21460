#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask every component of one controller how it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: steady_state
short_description: Ask every component of one controller how it is
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Asks the components of the control plane on this host, all at the same time, each with a time limit, so that the
    whole takes about as long as the slowest.
  - A component that is down or does not answer is no failure of the module. It is said in the component's C(error) and
    judged by P(lifeboat.cloud.steady_findings#filter) from the facts of all hosts.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
requirements:
  - PyMySQL (Debian package C(python3-pymysql)) on the host, for V(database)
options:
  components:
    description:
      - What to ask.
    type: list
    elements: str
    choices: [vip, load_balancer, database, message_queue, cache, identity, core_dumps]
    default: [vip, load_balancer, database, message_queue, cache, identity, core_dumps]
  vip:
    description:
      - The virtual address of the control plane.
    type: str
    required: true
  address:
    description:
      - The host's own management address, on which its memcached and its Keystone listen.
    type: str
    required: true
  rabbitmq_user:
    description:
      - A user of RabbitMQ's management API with the tag C(monitoring). Needed for V(message_queue).
    type: str
  rabbitmq_password:
    description:
      - The password of O(rabbitmq_user).
    type: str
  rabbitmq_port:
    description:
      - The port of RabbitMQ's management API on the loopback address.
    type: int
    default: 15672
  queues:
    description:
      - The queues to look at, whatever their type; all quorum queues when the list is empty.
      - C(VHOST:NAME) for a queue outside of the virtual host V(/).
    type: list
    elements: str
    default: []
  load_balancer_socket:
    description:
      - HAProxy's statistics socket.
    type: path
    default: /run/haproxy/admin.sock
  login_unix_socket:
    description:
      - MariaDB's socket, over which C(root) may log in.
    type: path
    default: /run/mysqld/mysqld.sock
  since:
    description:
      - Core dumps written before this instant, in seconds since 1970, are left out.
    type: float
    default: 0.0
  timeout:
    description:
      - How many seconds each component may take to answer.
    type: float
    default: 3.0
seealso:
  - plugin: lifeboat.cloud.steady_findings
    plugin_type: filter
  - plugin: lifeboat.cloud.audit
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask every controller how it is
  lifeboat.cloud.steady_state:
    vip: "{{ cloud_vip }}"
    address: "{{ cloud_address }}"
    rabbitmq_user: "{{ message_queue_user }}"
    rabbitmq_password: "{{ message_queue_password }}"
  register: controller
"""

RETURN = r"""
steady:
  description: The facts of each component asked for.
  returned: success
  type: dict
  contains:
    vip:
      description: Keepalived, and whether the virtual address is on this host.
      type: dict
      returned: when asked for
      sample: {running: true, holds: true, addresses: [10.98.0.11, 10.98.0.10], error: null}
    load_balancer:
      description:
        - HAProxy and its backends by name, each with its servers by name. C(status) is in HAProxy's words. The counters
          count from HAProxy's start.
      type: dict
      returned: when asked for
      sample:
        running: true
        version: 3.0.11
        error: null
        backends:
          identity:
            ctl1: {status: UP, backup: false, sessions: 0, check: L7OK, downtime_s: 0}
    database:
      description: The Galera member. C(uuid) and C(last_committed) are its position.
      type: dict
      returned: when asked for
      sample:
        running: true
        status: Primary
        state: Synced
        size: 3
        uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e
        last_committed: 4711
        ready: true
        read_only: false
        connected: true
        error: null
    message_queue:
      description: RabbitMQ as this node sees its cluster. C(nodes) are those that run.
      type: dict
      returned: when asked for
      sample:
        running: true
        nodes: [rabbit@ctl1, rabbit@ctl2, rabbit@ctl3]
        alarms: []
        partitions: []
        error: null
        queues:
          drill_ledger:
            type: quorum
            leader: rabbit@ctl2
            members: [rabbit@ctl1, rabbit@ctl2, rabbit@ctl3]
            online: [rabbit@ctl1, rabbit@ctl2, rabbit@ctl3]
    cache:
      description: memcached.
      type: dict
      returned: when asked for
      sample: {running: true, answering: true, error: null}
    identity:
      description: Keystone on this host, and the HTTP status of its health check.
      type: dict
      returned: when asked for
      sample: {running: true, answering: true, status: 200, error: null}
    core_dumps:
      description: The paths of core dumps newer than O(since).
      type: list
      elements: str
      returned: when asked for
      sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq import Management
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_checks import Controller, steady_state

COMPONENTS = ["vip", "load_balancer", "database", "message_queue", "cache", "identity", "core_dumps"]

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "components": {"type": "list", "elements": "str", "choices": COMPONENTS, "default": COMPONENTS},
    "vip": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "rabbitmq_user": {"type": "str"},
    "rabbitmq_password": {"type": "str", "no_log": True},
    "rabbitmq_port": {"type": "int", "default": 15672},
    "queues": {"type": "list", "elements": "str", "default": []},
    "load_balancer_socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "login_unix_socket": {"type": "path", "default": "/run/mysqld/mysqld.sock"},
    "since": {"type": "float", "default": 0.0},
    "timeout": {"type": "float", "default": 3.0},
}


def ask(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    controller = Controller(
        vip=params["vip"],
        address=params["address"],
        management=management(params),
        queues=tuple(params["queues"]),
        load_balancer_socket=params["load_balancer_socket"],
        database_socket=params["login_unix_socket"],
        dumps_since=params["since"],
        timeout_s=params["timeout"],
    )
    return {"steady": steady_state(controller, params["components"])}


def management(params: dict[str, t.Any]) -> Management | None:
    if "message_queue" not in params["components"]:
        return None
    if params["rabbitmq_user"] is None:
        remedy = "Give rabbitmq_user and rabbitmq_password, or leave message_queue out of components."
        raise LifeboatError("rabbitmq_user", "nothing", "a user of RabbitMQ's management API", remedy)
    return Management(params["rabbitmq_user"], params["rabbitmq_password"], port=params["rabbitmq_port"])


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_together=[("rabbitmq_user", "rabbitmq_password")],
        supports_check_mode=True,
    )
    run_module(module, ask)


if __name__ == "__main__":
    main()
