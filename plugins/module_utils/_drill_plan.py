# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is known about a drill before it starts: whom it hits, and the interval that is predicted."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_facts import read_facts
from ansible_collections.lifeboat.cloud.plugins.module_utils._limit_scene import Interval, Scene, Settings
from ansible_collections.lifeboat.cloud.plugins.module_utils._limits import FORMULAS
from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import choose

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, Limit
    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_facts import HostFacts
    from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import Choice


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The hosts to hit, the other members, the predicted interval, and the reason to refuse or None."""

    victims: tuple[str, ...]
    peers: tuple[str, ...]
    limit: Interval | None
    prediction: str
    refused: str | None

    def as_mapping(self) -> dict[str, t.Any]:
        """The plan as JSON."""
        limit = [round(self.limit.minimum, 4), round(self.limit.maximum, 4)] if self.limit else None
        return {
            "victims": list(self.victims),
            "peers": list(self.peers),
            "limit_s": limit,
            "prediction": self.prediction,
            "refused": self.refused,
        }


def make_plan(
    drill: Drill, facts: Mapping[str, object], settings: Mapping[str, object], observer: str = "", queue: str = ""
) -> Plan:
    """The plan of ``drill``; LifeboatError when a setting that the prediction needs was not read."""
    hosts = read_facts(facts)
    choice = choose(drill, hosts, observer, queue)
    if choice.refused:
        return Plan((), (), None, "The drill is refused, so nothing is predicted.", choice.refused)
    hosts_hit = ", ".join(choice.victims)
    whom = f"{drill.fault.form} of {f'{drill.fault.component} on ' if drill.fault.component else ''}{hosts_hit}"
    if drill.limit is None:
        return Plan(choice.victims, choice.peers, None, f"{whom}: the drill names no limit.", None)
    interval = _interval(drill, drill.limit, choice, hosts, settings)
    prediction = (
        f"{whom}: {drill.limit.probe} is expected to be without service for {interval.minimum:.2f} s to "
        f"{interval.maximum:.2f} s, because {FORMULAS[drill.limit.formula].because} ({drill.limit.formula})."
    )
    return Plan(choice.victims, choice.peers, interval, prediction, None)


def _interval(
    drill: Drill, limit: Limit, choice: Choice, hosts: tuple[HostFacts, ...], settings: Mapping[str, object]
) -> Interval:
    scene = Scene(
        settings=Settings(settings),
        victims=choice.victims,
        survivors=tuple(host.name for host in hosts if host.name not in choice.victims),
        holder=choice.holder,
        component=drill.fault.component,
        hold_s=drill.hold,
        within_s=drill.recovery.within,
    )
    return FORMULAS[limit.formula].interval(scene)
