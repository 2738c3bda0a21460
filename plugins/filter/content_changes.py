# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a cloud's content differs from what is wanted, as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._content import content_changes, content_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

DOCUMENTATION = r"""
name: content_changes
short_description: Say what has to be made, changed and removed for a cloud to offer what is wanted
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Compares the items of the inventory with those of the cloud, so that only what differs costs a module call, and
    check mode tells the truth also where a module cannot.
  - What an item does not say is not compared. Passwords cannot be, for Keystone does not tell them.
options:
  _input:
    description:
      - A dictionary with C(wanted) (the variables C(cloud_content_KIND) of the role by kind), C(found) and C(files) (as
        M(lifeboat.cloud.content_info) returns them).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what would change
  ansible.builtin.debug:
    msg: "{{ ({'wanted': wanted, 'found': content.content, 'files': {}} | lifeboat.cloud.content_changes).says }}"
  vars:
    wanted: {flavors: [{name: small, vcpus: 1, ram_mib: 128, disk_gib: 1}]}
"""

RETURN = r"""
_value:
  description:
    - The items that differ, by kind, as they are wanted; C(quotas), C(roles) and C(subnets) are kinds of their own.
    - C(says) has a line for each of them.
  type: dict
  sample:
    flavors: [{name: small, vcpus: 1, ram_mib: 128, disk_gib: 1}]
    says: ["flavor small: make"]
"""

KEYS = ("wanted", "found", "files")


def changes(given: object) -> dict[str, t.Any]:
    """The items that differ, by kind, and what is to be said of them."""
    if not isinstance(given, Mapping) or set(given) != set(KEYS):
        raise AnsibleFilterError(f"content_changes: found {given!r}; expected a dictionary with {', '.join(KEYS)}.")
    try:
        return content_changes(content_of(given["wanted"], given["found"], given["files"]))
    except (KeyError, TypeError, ValueError, AttributeError, LifeboatError) as error:
        found = str(error) if isinstance(error, LifeboatError) else f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"content_changes: {found}; correct the inventory.") from error


class FilterModule:
    """The filter content_changes."""

    def filters(self) -> dict[str, t.Callable[[object], dict[str, t.Any]]]:
        return {"content_changes": changes}
