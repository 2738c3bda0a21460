# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the hosts of a cloud are what the inventory says, and alike where they must be."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._hosts import host_findings

DOCUMENTATION = r"""
name: cloud_host_findings
short_description: Say where hosts are not what the inventory says, or differ where they must be alike
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - An interface that is not there; an address that no interface of the host has; a package of which hosts have, or
    would get, different versions; a user with different ids on different hosts.
positional: expected
options:
  _input:
    description: RV(lifeboat.cloud.host_info#module:ansible_facts.cloud_host) by host.
    type: dict
    required: true
  expected:
    description:
      - A dictionary with C(addresses) and C(interfaces) (by host, then by network), C(without_address) (by host, the
        networks whose interface must be there although the host has no address in them), C(one_version) (a list of
        packages) and C(same_ids) (a list of users). What is not there is not judged.
    type: dict
    required: true
seealso:
  - module: lifeboat.cloud.host_info
"""

EXAMPLES = r"""
- name: Refuse hosts that do not fit together
  ansible.builtin.assert:
    that: findings | length == 0
    fail_msg: "{{ findings | to_nice_yaml }}"
  vars:
    seen: "{{ groups.cloud | map('extract', hostvars) | map(attribute='ansible_facts.cloud_host') }}"
    hosts: "{{ dict(groups.cloud | zip(seen)) }}"
    findings: "{{ hosts | lifeboat.cloud.cloud_host_findings({'one_version': ['nova-common'], 'same_ids': ['nova']}) }}"
"""

RETURN = r"""
_value:
  description: The findings, none when nothing is wrong, each with C(thing), C(found), C(expected) and C(remedy).
  type: list
  elements: dict
"""


def findings(hosts: t.Any, expected: t.Any) -> list[dict[str, str]]:
    """The findings as dictionaries."""
    try:
        return [dataclasses.asdict(finding) for finding in host_findings(hosts, expected)]
    except (AttributeError, KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"cloud_host_findings: found facts of another shape ({error!r}); expected what host_info returns. "
            "Give them unchanged."
        ) from error


class FilterModule:
    """The filter cloud_host_findings."""

    def filters(self) -> dict[str, t.Callable[..., list[dict[str, str]]]]:
        return {"cloud_host_findings": findings}
