# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of one migration, as a filter."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import receipt_of_result

DOCUMENTATION = r"""
name: migration_receipt
short_description: Turn the result of a migration into its receipt
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - What M(lifeboat.cloud.server_migration) or M(lifeboat.cloud.server_evacuation) returned, failed or not, in the shape
    in which M(lifeboat.cloud.migration_run) keeps receipts, so that M(lifeboat.cloud.migration_report) shows them and
    M(lifeboat.cloud.migration_plan) learns from them.
options:
  _input:
    description: The registered result of the module.
    type: dict
    required: true
  step:
    description:
      - The step of the plan, as M(lifeboat.cloud.migration_plan) returns it. Without a plan C(server), C(source) and
        C(mode), which is C(evacuation) for a server of a dead host.
    type: dict
    required: true
  began:
    description: When the migration was asked for, in ISO 8601. What the module itself says of it counts more.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Keep the receipt
  ansible.builtin.lineinfile:
    path: receipts.jsonl
    line: "{{ done | lifeboat.cloud.migration_receipt(plan.steps[0], asked) | to_json }}"
    create: true
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The receipt.
  type: dict
"""


def migration_receipt(result: object, step: object, began: object) -> dict[str, t.Any]:
    """The receipt as a dictionary."""
    for name, value in (("the result", result), ("the step", step)):
        if not isinstance(value, Mapping):
            raise AnsibleFilterError(f"migration_receipt: found {value!r} for {name}; expected a dictionary.")
    try:
        return receipt_of_result(t.cast("Mapping[str, t.Any]", result), t.cast("Mapping[str, t.Any]", step), str(began))
    except KeyError as error:
        raise AnsibleFilterError(
            f"migration_receipt: found no {error.args[0]} in the step; give it as planned."
        ) from error


class FilterModule:
    """The filter migration_receipt."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_receipt": migration_receipt}
