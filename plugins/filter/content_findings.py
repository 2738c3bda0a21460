# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a cloud's content as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import asdict

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._content import content_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._content_findings import Surroundings, content_findings
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

DOCUMENTATION = r"""
name: content_findings
short_description: Say what is wrong with the content that is wanted of a cloud
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Judges projects, users, quotas, flavors, images, networks, aggregates and volume types before the first change, and
    returns all findings at once, in a stable order.
  - Refused are things named twice; a provider subnet that overlaps one of the cloud's own networks (except C(public))
    or has addresses of hosts in its pool; subnets, gateways and pools that cannot be; quotas below what is used, and
    unknown ones; flavors that fit on no hypervisor even when it is empty; images whose file is missing, or has another
    checksum, or differs from what the catalogue holds; users of unknown projects or roles; unknown hosts of an
    aggregate and hosts in two zones; what cannot be changed afterwards; and the removal of a project that is in use,
    of a protected image, and of what the cloud itself works with.
options:
  _input:
    description:
      - A dictionary with C(wanted) (the variables C(cloud_content_KIND) of the role by kind), C(found) and C(files) (as
        M(lifeboat.cloud.content_info) returns them), C(networks), C(addresses) and C(vip) (C(cloud_networks), the
        hosts' C(cloud_addresses) by host, and C(cloud_vip)).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse what the cloud cannot be
  ansible.builtin.assert:
    that: findings == []
    fail_msg: "{{ findings | map(attribute='thing') | join(', ') }}"
  vars:
    findings: "{{ input | lifeboat.cloud.content_findings }}"
    input:
      wanted: {flavors: [{name: small, vcpus: 1, ram_mib: 128, disk_gib: 1}]}
      found: "{{ content.content }}"
      files: "{{ content.files }}"
      networks: "{{ cloud_networks }}"
      addresses: {}
      vip: "{{ cloud_vip }}"
"""

RETURN = r"""
_value:
  description: The findings, none when nothing is wrong. Each says the thing, what was found, what was expected, and
    what to do.
  type: list
  elements: dict
  sample:
    - thing: quota cores of project demo
      found: 6 in use already
      expected: no more than the 4 asked for
      remedy: Ask for 6 or more, or delete some first.
"""

KEYS = ("wanted", "found", "files", "networks", "addresses", "vip")


def findings(given: object) -> list[dict[str, str]]:
    """The findings as dictionaries with thing, found, expected and remedy."""
    if not isinstance(given, Mapping) or set(given) != set(KEYS):
        raise AnsibleFilterError(f"content_findings: found {given!r}; expected a dictionary with {', '.join(KEYS)}.")
    try:
        content = content_of(given["wanted"], given["found"], given["files"])
        around = Surroundings(given["networks"], given["addresses"], given["vip"])
        return [asdict(finding) for finding in content_findings(content, around)]
    except (KeyError, TypeError, ValueError, AttributeError, LifeboatError) as error:
        found = str(error) if isinstance(error, LifeboatError) else f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"content_findings: {found}; correct the inventory.") from error


class FilterModule:
    """The filter content_findings."""

    def filters(self) -> dict[str, t.Callable[[object], list[dict[str, str]]]]:
        return {"content_findings": findings}
