# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the control plane is in its steady state, from the facts of all controllers."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import scope_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import steady_findings as judge

DOCUMENTATION = r"""
name: steady_findings
short_description: List what is not in its steady state
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges what M(lifeboat.cloud.steady_state) returned on all controllers. An empty list means that everything is
    steady.
  - Steady means that exactly one host has the VIP; every server of every backend is UP in the eyes of the host with the
    VIP; all Galera members are Primary, Synced, ready and writable in one cluster of the expected size; every RabbitMQ
    node sees all others, without alarms and partitions, and every queue looked at has a leader and all its replicas
    online; every memcached answers and every Keystone answers with status 200.
  - A host without facts is a finding for each of its components.
positional: expected
options:
  _input:
    description: RV(lifeboat.cloud.steady_state#module:steady) by host.
    type: dict
    required: true
  expected:
    description:
      - The hosts of each component, by its name. What is not named is not judged.
    type: dict
    required: true
seealso:
  - module: lifeboat.cloud.steady_state
  - plugin: lifeboat.cloud.audit
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Refuse to go on while the control plane is not steady
  ansible.builtin.assert:
    that: findings | length == 0
    fail_msg: "{{ findings | to_nice_yaml }}"
  vars:
    facts: "{{ dict(groups.control | zip(groups.control | map('extract', hostvars, ['controller', 'steady']))) }}"
    findings: "{{ facts | lifeboat.cloud.steady_findings({'vip': groups.control, 'database': groups.control}) }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary for each finding with C(component), C(host) (null when it is not one host's), C(found), C(expected)
      and C(remedy).
  type: list
  elements: dict
"""


def steady_findings(facts_by_host: object, expected: object) -> list[dict[str, t.Any]]:
    """The findings as JSON."""
    try:
        return [dataclasses.asdict(finding) for finding in judge(scope_of(facts_by_host, expected))]
    except LifeboatError as error:
        raise AnsibleFilterError(f"steady_findings: {error}") from error


class FilterModule:
    """The filter steady_findings."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"steady_findings": steady_findings}
