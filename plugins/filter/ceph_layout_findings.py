# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a Ceph cluster's inventory as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import asdict

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_layout import CephLayout, advice, refusals

DOCUMENTATION = r"""
name: ceph_layout_findings
short_description: Say what is wrong with, and what is small about, a Ceph cluster, from the inventory alone
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges hosts, devices and pools before any host is asked, and returns all findings at once, in a stable order.
  - Refused are fewer than three monitors, no manager, hosts without an address on Ceph's network or without devices, a
    device or pool named twice, pools with a size or min_size of 1 unless their C(force) is set, and pools with more
    replicas than there are hosts (or OSDs, by the pool's CRUSH rule).
  - Advice is given for fewer than twelve OSDs on three hosts, unequal hosts, a single manager, an even number of
    monitors, OSDs in files, and capabilities for pools that are not wanted.
options:
  _input:
    description:
      - A dictionary with C(monitors) and C(managers) (lists of hosts), C(devices) (OSD host to list of paths),
        C(addresses) (host to address), C(pools), C(clients) and C(crush_rules) as M(lifeboat.cloud.ceph_cluster) takes
        them, and C(single), whether one host with one monitor will do, on whose OSDs the replicas then are.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse an inventory that cannot become a cluster
  ansible.builtin.assert:
    that: findings.refusals == []
    fail_msg: "{{ findings.refusals | map(attribute='thing') | join(', ') }}"
  vars:
    findings: "{{ layout | lifeboat.cloud.ceph_layout_findings }}"
    layout:
      monitors: [stor1, stor2, stor3]
      managers: [stor1, stor2]
      devices: {stor1: [/dev/sdb], stor2: [/dev/sdb], stor3: [/dev/sdb]}
      addresses: {stor1: 10.0.1.1, stor2: 10.0.1.2, stor3: 10.0.1.3}
      pools: [{name: images, size: 3, min_size: 2}]
      clients: {}
      crush_rules: []
      single: false
"""

RETURN = r"""
_value:
  description: >-
    C(refusals) and C(advice), lists of findings. Each says the thing, what was found, what was expected, and what to
    do.
  type: dict
  sample:
    refusals: []
    advice:
      - thing: size of the Ceph cluster
        found: 3 OSDs on 3 hosts
        expected: 12 on 3 or more for production
        remedy: Add disks; with few of them a lost one leaves a large share without its third copy.
"""

KEYS = ("monitors", "managers", "devices", "addresses", "pools", "clients", "crush_rules", "single")


def findings(layout: object) -> dict[str, list[dict[str, str]]]:
    """The findings as dictionaries with thing, found, expected and remedy."""
    if not isinstance(layout, Mapping) or set(layout) != set(KEYS):
        raise AnsibleFilterError(
            f"ceph_layout_findings: found {layout!r}; expected a dictionary with {', '.join(KEYS)}."
        )
    try:
        read = CephLayout(**{key: layout[key] for key in KEYS})
        return {
            "refusals": [asdict(finding) for finding in refusals(read)],
            "advice": [asdict(finding) for finding in advice(read)],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"ceph_layout_findings: {found}; correct the inventory.") from error


class FilterModule:
    """The filter ceph_layout_findings."""

    def filters(self) -> dict[str, t.Callable[[object], dict[str, list[dict[str, str]]]]]:
        return {"ceph_layout_findings": findings}
