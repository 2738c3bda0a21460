# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what an interrupted run has asked for without a receipt."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import owed

DOCUMENTATION = r"""
name: receipts_owed
short_description: Find what an interrupted run has asked for without a receipt
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - What the files C(*.jsonl) of a directory of receipts say was asked for, and have no receipt of, since the run was
    interrupted. Of each server it is what was asked for last.
options:
  _input:
    description: The directory of the receipts. One that is not there has none.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See which servers of a dead host an interrupted run was about
  ansible.builtin.debug:
    msg: "{{ 'reports/migrations' | lifeboat.cloud.receipts_owed | selectattr('mode', 'eq', 'evacuation') }}"
"""

RETURN = r"""
_value:
  description: The steps, each as it was planned, with C(asked), the moment.
  type: list
  elements: dict
"""


def receipts_owed(directory: object) -> list[dict[str, t.Any]]:
    """The steps as dictionaries."""
    try:
        return [{**entry["step"], "asked": entry["asked"]} for entry in owed(Path(str(directory)))]
    except OSError as error:
        raise AnsibleFilterError(f"receipts_owed: {error}; expected files that can be read in {directory}.") from error


class FilterModule:
    """The filter receipts_owed."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"receipts_owed": receipts_owed}
