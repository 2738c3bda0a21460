#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running HAProxy for its backends."""

from __future__ import annotations

DOCUMENTATION = r"""
module: load_balancer_info
short_description: Ask a running HAProxy for its backends
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads the version of HAProxy and the state of every server of every backend over the statistics socket.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
options:
  socket:
    description:
      - HAProxy's statistics socket.
    type: path
    default: /run/haproxy/admin.sock
  timeout:
    description:
      - How many seconds HAProxy may take to answer.
    type: float
    default: 5.0
seealso:
  - module: community.general.haproxy
    description: Changes the state of a server.
"""

EXAMPLES = r"""
- name: See what HAProxy thinks of its servers
  lifeboat.cloud.load_balancer_info:
  register: haproxy

- name: Refuse to go on while a server of Keystone is not up
  ansible.builtin.assert:
    that: haproxy.load_balancer.backends.identity.values() | rejectattr('status', 'eq', 'UP') | length == 0
"""

RETURN = r"""
load_balancer:
  description: What HAProxy said.
  returned: success
  type: dict
  contains:
    version:
      description: The running version.
      type: str
      sample: 3.0.11
    backends:
      description:
        - The servers by backend and name. C(status) is in HAProxy's words (C(UP), C(DOWN), C(UP 1/2), C(MAINT),
          C(DRAIN), C(no check)), C(check) the result of the last check. The counters count from HAProxy's start.
      type: dict
      sample:
        identity:
          ctl1:
            status: UP
            backup: false
            sessions: 0
            check: L7OK
            downtime_s: 0
            sessions_total: 1284
            connection_errors: 0
            response_errors: 0
            retries: 0
            redispatches: 0
            since_change_s: 512
            address: 10.98.0.11:5000
    silent:
      description: The backends that have servers, none of which takes requests.
      type: list
      elements: str
      sample: [image]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._haproxy import statistics
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "timeout": {"type": "float", "default": 5.0},
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    said = statistics(module.params["socket"], module.params["timeout"])
    return {"load_balancer": {**dataclasses.asdict(said), "silent": said.silent}}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
