#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enable, disable or force down a compute service of Nova."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compute_service
short_description: Enable, disable or force down a compute service of Nova
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Sets whether new servers are scheduled to a host, with the reason why not, and whether its service is forced down.
  - Waits, if wanted, until Nova reports the service up or down.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  host:
    description:
      - The host as Nova calls it. An unknown one is refused with a list of the known ones.
    type: str
    required: true
  binary:
    description:
      - The service. Nova changes C(nova-compute) only; O(wait_for) works for every service.
    type: str
    default: nova-compute
  state:
    description:
      - Whether servers are scheduled to the host. Left as it is when not set.
    type: str
    choices: [enabled, disabled]
  disabled_reason:
    description:
      - Why the service is disabled, up to 255 characters, with O(state=disabled) only.
      - Without it the reason of a service that is disabled already is left as it is.
    type: str
  forced_down:
    description:
      - Whether Nova shall take the service for down whatever it reports. Left as it is when not set.
      - V(true) lets its servers be evacuated at once. Only do so when the host is certain to be off, else two copies of
        a server write to the same disk.
      - V(false) is refused by Nova after an evacuation until the host's nova-compute has started and noticed. With
        O(wait_for=up) the module tries until then.
    type: bool
  wait_for:
    description:
      - Wait until Nova reports the service so. Nothing is waited for when not set, nor in check mode.
    type: str
    choices: [up, down]
  wait_timeout:
    description:
      - How many seconds to wait at most, in all.
    type: float
    default: 120.0
  silent_for:
    description:
      - Fail, before anything is changed, when the service reports within so many seconds, also in check mode. One that
        works reports every C(report_interval) seconds, even when it is forced down and Nova calls it down; give twice
        that.
    type: float
    default: 0.0
seealso:
  - module: lifeboat.cloud.hypervisor_info
"""

EXAMPLES = r"""
- name: Keep new servers off a host before maintenance
  lifeboat.cloud.compute_service:
    cloud: admin
    host: cmp1
    state: disabled
    disabled_reason: new disk, ticket 4711

- name: Let the servers of a host that was fenced be evacuated
  lifeboat.cloud.compute_service:
    cloud: admin
    host: cmp1
    forced_down: true

- name: Take the host into service again, as soon as its nova-compute is back
  lifeboat.cloud.compute_service:
    auth:
      auth_url: https://10.0.0.100:5000/v3
      username: admin
      password: "{{ keystone_admin_password }}"
      project_name: admin
    ca_cert: /etc/lifeboat/tls/ca.crt
    host: cmp1
    state: enabled
    forced_down: false
    wait_for: up
    wait_timeout: 300
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [disable nova-compute on cmp1, note why nova-compute on cmp1 is disabled]
service:
  description: The service afterwards, as far as it can be foretold in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: Its UUID.
      type: str
      sample: e81d66a4-ddd3-4aba-8a84-171d1cb4d339
    host:
      description: Its host.
      type: str
      sample: cmp1
    binary:
      description: Its name.
      type: str
      sample: nova-compute
    zone:
      description: The availability zone of the host.
      type: str
      sample: nova
    status:
      description: V(enabled) or V(disabled).
      type: str
      sample: disabled
    disabled_reason:
      description: Why it is disabled.
      type: str
      sample: new disk, ticket 4711
    forced_down:
      description: Whether it is forced down.
      type: bool
      sample: false
    state:
      description: V(up) or V(down).
      type: str
      sample: up
    updated_at:
      description: When it reported last, in UTC.
      type: str
      sample: "2026-11-21T13:42:05.000000"
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import Wanted, converge
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "host": {"type": "str", "required": True},
    "binary": {"type": "str", "default": "nova-compute"},
    "state": {"type": "str", "choices": ["enabled", "disabled"]},
    "disabled_reason": {"type": "str"},
    "forced_down": {"type": "bool"},
    "wait_for": {"type": "str", "choices": ["up", "down"]},
    "wait_timeout": {"type": "float", "default": 120.0},
    "silent_for": {"type": "float", "default": 0.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    wanted = Wanted(
        host=params["host"],
        binary=params["binary"],
        status=params["state"],
        disabled_reason=params["disabled_reason"],
        forced_down=params["forced_down"],
        state=params["wait_for"],
        silent_s=params["silent_for"],
    )
    with opened(params) as cloud:
        changes, service = converge(cloud.compute, wanted, params["wait_timeout"], dry_run=module.check_mode)
    return {**result_of(changes), "service": dataclasses.asdict(service)}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
