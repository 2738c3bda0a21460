# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One invariant of the control plane after a drill, from the facts of all controllers."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import scope_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_audits import audit as judge

DOCUMENTATION = r"""
name: audit
short_description: Check one invariant of the control plane after a drill
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges what M(lifeboat.cloud.steady_state) returned on all controllers. What a host did not answer has not passed.
positional: name, expected
options:
  _input:
    description: RV(lifeboat.cloud.steady_state#module:steady) by host.
    type: dict
    required: true
  name:
    description:
      - V(one_vip_holder), exactly one host has the VIP.
      - V(galera_position_equal), all members have the same cluster UUID and the same last committed write-set. Ask
        while nothing writes.
      - V(queue_replicas_complete), every queue looked at, one at least, has a leader and all its replicas online.
      - V(no_core_dump), no host has a core dump.
      - V(backends_up), every server of every backend is UP in the eyes of the host with the VIP.
    type: str
    choices: [backends_up, galera_position_equal, no_core_dump, one_vip_holder, queue_replicas_complete]
    required: true
  expected:
    description: The hosts of each component, as for P(lifeboat.cloud.steady_findings#filter).
    type: dict
    required: true
seealso:
  - module: lifeboat.cloud.steady_state
  - plugin: lifeboat.cloud.steady_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See that exactly one host has the VIP
  ansible.builtin.assert:
    that: result.passed
    fail_msg: "{{ result.detail }}"
  vars:
    facts: "{{ dict(groups.control | zip(groups.control | map('extract', hostvars, ['controller', 'steady']))) }}"
    result: "{{ facts | lifeboat.cloud.audit('one_vip_holder', {'vip': groups.control}) }}"
"""

RETURN = r"""
_value:
  description: The C(name) of the audit, whether it C(passed), and in C(detail) what was seen.
  type: dict
"""


def audit(facts_by_host: object, name: str, expected: object) -> dict[str, t.Any]:
    """The outcome of one audit as JSON."""
    try:
        return dataclasses.asdict(judge(scope_of(facts_by_host, expected), str(name)))
    except LifeboatError as error:
        raise AnsibleFilterError(f"audit: {error}") from error


class FilterModule:
    """The filter audit."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"audit": audit}
