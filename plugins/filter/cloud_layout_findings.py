# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a cloud's inventory as a filter."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import cloud_layout_findings

DOCUMENTATION = r"""
name: cloud_layout_findings
short_description: Say what is wrong with the layout of a cloud, from the inventory alone
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges groups, addresses and networks before any host is asked, and returns all findings at once, in a stable order.
  - An even number or fewer than three of database or message queue members; fewer than two controllers; a host in two
    groups that exclude each other; malformed or overlapping networks; addresses that are malformed, missing, given
    twice, or outside their network; a VIP outside the management network or in use by a host.
options:
  _input:
    description:
      - A dictionary with C(addresses) (by host, then by network), C(networks) (network in CIDR notation by name),
        C(vip), C(exclusive) (a list of lists of groups that may not share a host), C(single) (whether one controller,
        one member of the database and one of the message queue will do), and any number of groups by name, each the
        list of its hosts.
      - A group that is not there is not judged, one that is empty is.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse an inventory that cannot become a cloud
  ansible.builtin.assert:
    that: findings == []
    fail_msg: "{{ findings | map(attribute='thing') | join(', ') }}"
  vars:
    findings: "{{ layout | lifeboat.cloud.cloud_layout_findings }}"
    layout:
      controllers: [ctl1, ctl2, ctl3]
      database: [ctl1, ctl2, ctl3]
      computes: [cmp1]
      exclusive: [[controllers, computes]]
      networks: {management: 10.0.0.0/24}
      addresses:
        ctl1: {management: 10.0.0.11}
        ctl2: {management: 10.0.0.12}
        ctl3: {management: 10.0.0.13}
        cmp1: {management: 10.0.0.21}
      vip: 10.0.0.100
"""

RETURN = r"""
_value:
  description: The findings, none when nothing is wrong. Each says the thing, what was found, what was expected, and
    what to do.
  type: list
  elements: dict
  sample:
    - thing: group database
      found: 2 (ctl1, ctl2)
      expected: an odd number of hosts, 3 or more
      remedy: "Add or take out a host: Galera needs a majority, which an even number makes no safer."
"""


def findings(layout: object) -> list[dict[str, str]]:
    """The findings as dictionaries with thing, found, expected and remedy."""
    try:
        return [asdict(finding) for finding in cloud_layout_findings(layout)]
    except LifeboatError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filter cloud_layout_findings."""

    def filters(self) -> dict[str, t.Callable[[object], list[dict[str, str]]]]:
        return {"cloud_layout_findings": findings}
