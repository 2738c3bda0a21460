# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How long the servers of a dead host will take to be rebuilt, by what earlier ones took.

Where they go is for Nova to choose. Each takes as long as any other, so that so many at a time go in turns.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import EVACUATION

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates

Json = dict[str, t.Any]


def plan_evacuation(servers: Sequence[Mapping[str, t.Any]], dead: str, at_once: int, estimates: Estimates) -> Json:
    """Steps and summary in the shape of a plan of migrations.

    Each server has ``server``, its id, and ``name``. One that was ``asked`` for by an interrupted run is not waited for
    any more, and keeps what that run has predicted.
    """
    seconds = estimates.rebuild_s()
    learned = next((lesson.samples for lesson in estimates.lessons() if lesson.what == "rebuild_s"), 0)
    waiting = [each["server"] for each in servers if "asked" not in each]
    turns = {server: place // at_once for place, server in enumerate(waiting)}
    steps = [
        {
            "source": dead,
            "destination": None,
            "mode": EVACUATION,
            "start_s": round(turns.get(each["server"], 0) * seconds, 2),
            "end_s": round((turns.get(each["server"], 0) + 1) * seconds, 2),
            "transferred": None,
            "learned_from": learned,
            "assumed": {"rebuild_s": seconds},
            **{name: value for name, value in each.items() if name != "asked"},
        }
        for each in servers
    ]
    summary = {
        "moves": len(steps),
        "total_s": round(math.ceil(len(waiting) / at_once) * seconds, 2),
        "rebuild_s": seconds,
        "learned_from": learned,
    }
    return {"steps": steps, "unplaced": [], "refused": [], "summary": summary}
