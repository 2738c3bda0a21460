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

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, Fault
    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_move import Moving
    from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import Choice, Surroundings


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The hosts to hit, the other members, the predicted interval, the reason to refuse or None, and what is moved."""

    victims: tuple[str, ...]
    peers: tuple[str, ...]
    limit: Interval | None
    prediction: str
    refused: str | None
    moving: tuple[Moving, ...] = ()

    def as_mapping(self) -> dict[str, t.Any]:
        """The plan as JSON."""
        limit = [round(self.limit.minimum, 4), round(self.limit.maximum, 4)] if self.limit else None
        return {
            "victims": list(self.victims),
            "peers": list(self.peers),
            "limit_s": limit,
            "prediction": self.prediction,
            "refused": self.refused,
            "moving": [dataclasses.asdict(each) for each in self.moving],
        }


def make_plan(
    drill: Drill, facts: Mapping[str, object], settings: Mapping[str, object], surroundings: Surroundings
) -> Plan:
    """The plan of ``drill``; LifeboatError when a setting that the prediction needs was not read."""
    hosts = read_facts(facts)
    choice = choose(drill, hosts, surroundings)
    if choice.refused:
        return Plan((), (), None, "The drill is refused, so nothing is predicted.", choice.refused)
    whom = " and ".join(part for part in (_moved(choice), _hit(drill.fault, choice)) if part)
    if drill.fault is None or drill.limit is None:
        prediction = f"{whom}: the drill names no limit."
        return Plan(choice.victims, choice.peers, None, prediction, None, choice.moving)
    scene = Scene(
        settings=Settings(settings),
        victims=choice.victims,
        survivors=tuple(host.name for host in hosts if host.name not in choice.victims),
        holder=choice.holder,
        component=drill.fault.component,
        hold_s=drill.hold,
        within_s=drill.recovery.within,
    )
    interval = FORMULAS[drill.limit.formula].interval(scene)
    prediction = (
        f"{whom}: {drill.limit.probe} is expected to be without service for {interval.minimum:.2f} s to "
        f"{interval.maximum:.2f} s, because {FORMULAS[drill.limit.formula].because} ({drill.limit.formula})."
    )
    return Plan(choice.victims, choice.peers, interval, prediction, None)


def _moved(choice: Choice) -> str:
    names = ", ".join(each.name for each in choice.moving)
    return f"{names} from {choice.moving[0].source} to {choice.moving[0].destination}" if names else ""


def _hit(fault: Fault | None, choice: Choice) -> str:
    if fault is None:
        return ""
    return f"{fault.form} of {f'{fault.component} on ' if fault.component else ''}{', '.join(choice.victims)}"
