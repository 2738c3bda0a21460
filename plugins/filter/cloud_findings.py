# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a cloud's services, its Ceph cluster and its schemas are as they should be."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._cloud_findings import cloud_findings as judge

DOCUMENTATION = r"""
name: cloud_findings
short_description: List what is amiss with the services of a cloud, its Ceph cluster and its schemas
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges what the cloud says of itself. An empty list means that every expected service reports, is up and enabled,
    that Ceph is HEALTH_OK with nothing muted and all monitors in the quorum, and that no upgrade check has a warning.
  - A service that reports and is not expected is judged too, because its record blocks what waits for all of them.
positional: expected
options:
  _input:
    description:
      - A dictionary with C(services), as RV(lifeboat.cloud.cloud_service_info#module:services), C(ceph), as
        RV(lifeboat.cloud.ceph_info#module:ceph), and C(upgrade_checks), a list of dictionaries with C(service), C(rc)
        and C(stdout) of C(SERVICE-status upgrade check). What is not there is not judged.
    type: dict
    required: true
  expected:
    description: The hosts of each program, by its name.
    type: dict
    required: true
seealso:
  - module: lifeboat.cloud.cloud_service_info
  - module: lifeboat.cloud.ceph_info
  - plugin: lifeboat.cloud.steady_findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Refuse to go on while a scheduler is down
  ansible.builtin.assert:
    that: findings | length == 0
    fail_msg: "{{ findings | to_nice_yaml }}"
  vars:
    findings: "{{ {'services': reporting.services} | lifeboat.cloud.cloud_findings({'nova-scheduler': groups.nova}) }}"
"""

RETURN = r"""
_value:
  description:
    - A dictionary for each finding with C(component), C(host) (null when it is not one host's), C(found), C(expected)
      and C(remedy).
  type: list
  elements: dict
"""


def cloud_findings(seen: t.Any, expected: t.Any) -> list[dict[str, t.Any]]:
    """The findings as JSON."""
    try:
        return [dataclasses.asdict(finding) for finding in judge(seen, expected)]
    except (AttributeError, KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"cloud_findings: found facts of another shape ({error!r}); expected what cloud_service_info and ceph_info "
            "return. Give them unchanged."
        ) from error


class FilterModule:
    """The filter cloud_findings."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"cloud_findings": cloud_findings}
