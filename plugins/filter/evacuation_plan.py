# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how long the servers of a dead host will take to be rebuilt."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_evacuation import plan_evacuation
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates

DOCUMENTATION = r"""
name: evacuation_plan
short_description: Say how long the servers of a dead host will take to be rebuilt
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Predicts by the median of the last nine receipts of servers that were rebuilt. Without any it assumes 25 seconds
    for each, which is what the lab took.
  - Where they go is for Nova to choose; M(lifeboat.cloud.server_evacuation) rebuilds one.
options:
  _input:
    description:
      - The servers, each with C(server), its UUID, and C(name). One with C(asked), as
        P(lifeboat.cloud.receipts_owed#filter) returns it, has been rebuilt by an interrupted run, and keeps what that
        has predicted.
    type: list
    elements: dict
    required: true
  dead:
    description: The dead host, as Nova calls it.
    type: str
    required: true
  at_once:
    description: How many are rebuilt at the same time.
    type: int
    required: true
  history_directory:
    description: Where the receipts of earlier runs are. One that is not there yet teaches nothing.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Say how long it will take
  ansible.builtin.debug:
    msg: "{{ (servers | lifeboat.cloud.evacuation_plan('cmp1', 3, 'reports/migrations')).summary.total_s }} s"
"""

RETURN = r"""
_value:
  description:
    - The C(steps), as those of M(lifeboat.cloud.migration_plan), with C(start_s), C(end_s) and in C(learned_from) of
      how many receipts that is the median, and the C(summary) with C(moves), C(total_s), and C(rebuild_s) of each.
  type: dict
"""


def evacuation_plan(servers: object, dead: object, at_once: object, history_directory: object) -> dict[str, t.Any]:
    """The plan as a dictionary."""
    if not isinstance(servers, Iterable) or isinstance(servers, str | Mapping):
        raise AnsibleFilterError(f"evacuation_plan: found {servers!r}; expected a list of servers.")
    if not isinstance(at_once, int) or at_once < 1:
        raise AnsibleFilterError(f"evacuation_plan: found {at_once!r} for at_once; expected 1 or more.")
    try:
        history = read_history(Path(str(history_directory)))
    except LifeboatError as error:
        raise AnsibleFilterError(f"evacuation_plan: {error}") from error
    for reason in history.unread:
        Display().warning(reason)
    try:
        return plan_evacuation(list(servers), str(dead), at_once, Estimates(rebuilds=history.rebuilds))
    except (KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise AnsibleFilterError(f"evacuation_plan: found {found}; expected servers with server and name.") from error


class FilterModule:
    """The filter evacuation_plan."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"evacuation_plan": evacuation_plan}
