# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the receipts that an interrupted run has left in its journal only."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import unreported

DOCUMENTATION = r"""
name: receipts_unreported
short_description: Find the receipts that an interrupted run has left in its journal only
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - A run that moves servers adds receipts to C(<time>.jsonl) and writes all of them to C(<time>.json) at its end. These
    are the runs, of the newest 20, that have not written all of them, and what belongs into their C(<time>.json), so
    that M(lifeboat.cloud.migration_report) shows them and M(lifeboat.cloud.migration_plan) learns from them.
options:
  _input:
    description: The directory of the receipts. One that is not there has none.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Write what is missing
  ansible.builtin.copy:
    content: "{{ item.value | to_nice_json }}"
    dest: "reports/migrations/{{ item.key }}.json"
    mode: "0644"
  loop: "{{ 'reports/migrations' | lifeboat.cloud.receipts_unreported | dict2items }}"
"""

RETURN = r"""
_value:
  description: The contents of the files, by the names of the runs.
  type: dict
"""


def receipts_unreported(directory: object) -> dict[str, dict[str, t.Any]]:
    """The contents as dictionaries."""
    try:
        return unreported(Path(str(directory)))
    except OSError as error:
        found = f"{error}; expected files that can be read in {directory}."
        raise AnsibleFilterError(f"receipts_unreported: {found}") from error


class FilterModule:
    """The filter receipts_unreported."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"receipts_unreported": receipts_unreported}
