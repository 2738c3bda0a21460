# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what hypervisors have counted into the receipts of live migrations."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_counted import counted

DOCUMENTATION = r"""
name: receipts_counted
short_description: Put what hypervisors have counted into the receipts of live migrations
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Adds to C(transferred) of each live migration that has moved a server how long the guest stood still
    (C(downtime_ms)), how long libvirt was about it (C(elapsed_ms)), how long the memory was sent (C(copy_ms)), and the
    bytes of memory in the end, as the hypervisor has counted them to which it went.
  - A job belongs to the last of a server's migrations. One that took longer than this, or that has sent less than Nova
    saw of it, is of something else and passed over, and so is one of which libvirt says that it was no migration.
options:
  _input:
    description: The receipts, as M(lifeboat.cloud.migration_run) keeps them, in the order of their ends.
    type: list
    elements: dict
    required: true
  jobs:
    description: What M(lifeboat.cloud.libvirt_job_info) returned on the hosts where the servers are now.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Put in how long the servers stood still
  ansible.builtin.set_fact:
    receipts: "{{ run.receipts | lifeboat.cloud.receipts_counted(found.jobs) }}"
"""

RETURN = r"""
_value:
  description: The receipts.
  type: list
  elements: dict
"""


def receipts_counted(receipts: object, jobs: object) -> list[dict[str, t.Any]]:
    """The receipts as dictionaries."""
    try:
        return counted(_listed("the receipts", receipts), _listed("the jobs", jobs))
    except (KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"receipts_counted: found {found}; expected receipts, and jobs as read.") from error


def _listed(name: str, value: object) -> list[t.Any]:
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        raise AnsibleFilterError(f"receipts_counted: found {value!r} for {name}; expected a list.")
    return list(value)


class FilterModule:
    """The filter receipts_counted."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"receipts_counted": receipts_counted}
