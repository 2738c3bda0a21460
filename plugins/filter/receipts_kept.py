# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the receipts that a run has kept."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import kept

DOCUMENTATION = r"""
name: receipts_kept
short_description: Read the receipts that a run has kept
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - The receipts in a file to which M(lifeboat.cloud.migration_run) or M(lifeboat.cloud.migration_journal) adds them, in
    the order of their ends, without the lines that tell what was asked for.
  - A line that was cut off, since its writer was killed or the disk was full, is passed over. What it was about is owed
    a receipt, which P(lifeboat.cloud.receipts_owed#filter) tells.
options:
  _input:
    description: The file. One that is not there has none.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See who has moved
  ansible.builtin.debug:
    msg: "{{ 'reports/migrations/2026-11-22T13-42-05Z.jsonl' | lifeboat.cloud.receipts_kept | selectattr('moved') }}"
"""

RETURN = r"""
_value:
  description: The receipts.
  type: list
  elements: dict
"""


def receipts_kept(path: object) -> list[dict[str, t.Any]]:
    """The receipts as dictionaries."""
    try:
        return kept(Path(str(path)))
    except OSError as error:
        raise AnsibleFilterError(f"receipts_kept: {error}; expected a file that can be read.") from error


class FilterModule:
    """The filter receipts_kept."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"receipts_kept": receipts_kept}
