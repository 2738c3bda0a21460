# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The options that say what a plan of migrations rests on, alike for making it and for carrying it out."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import History, read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import limits_of, uplinks_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults, Estimates, outcome_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits, Uplinks


def _options(kind: str, **defaults: float | bool | None) -> dict[str, t.Any]:
    options = {
        name: {"type": "bool" if isinstance(default, bool) else kind, "default": default}
        for name, default in defaults.items()
    }
    return {"type": "dict", "apply_defaults": True, "options": options}


_SECONDS = Defaults()

PLANNING_OPTIONS: dict[str, dict[str, t.Any]] = {
    "shared_storage": {"type": "str"},
    "assumed": _options(
        "float",
        bandwidth=None,
        dirty_rate=None,
        switch_s=_SECONDS.switch_s,
        setup_s=_SECONDS.setup_s,
        reboot_s=_SECONDS.reboot_s,
    ),
    "links": {"type": "list", "elements": "dict"},
    "host_links": {"type": "dict"},
    "limits": _options("int", outgoing=1, incoming=1, link=4, total=50),
    "policy": _options("float", downtime_s=0.5, total_s=600.0, auto_converge=True, post_copy=False, cold=False),
    "history": {"type": "list", "elements": "dict", "default": []},
    "history_directory": {"type": "path"},
}


@dataclass(frozen=True, slots=True)
class Planning:
    """What PLANNING_OPTIONS say; ``storage``, ``assumed`` and ``uplinks`` are for reading a fleet of OpenStack."""

    storage: str | None
    assumed: Mapping[str, float | None]
    uplinks: Uplinks
    limits: Limits
    policy: Policy
    estimates: Estimates


def planning_of(params: Mapping[str, t.Any], warn: Callable[[str], object]) -> Planning:
    """From a module's options, or LifeboatError; ``warn`` hears which receipts teach nothing."""
    assumed = params["assumed"]
    defaults = Defaults(assumed["switch_s"], assumed["setup_s"], assumed["reboot_s"])
    read = read_history(Path(params["history_directory"])) if params["history_directory"] else History((), ())
    for reason in read.unread:
        warn(reason)
    outcomes = [*read.outcomes, *(outcome_of(entry) for entry in params["history"])]
    limits, policy = limits_of(params["limits"]), Policy(**params["policy"])
    uplinks = uplinks_of(params["links"] or (), params["host_links"] or {})
    return Planning(params["shared_storage"], assumed, uplinks, limits, policy, Estimates(outcomes, defaults))
