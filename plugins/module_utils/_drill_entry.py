# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""From what a drill left behind to its judged object in the report."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils import _judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Demand
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._limit_scene import Interval
from ansible_collections.lifeboat.cloud.plugins.module_utils._measurement import Measurement, Window
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import model
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill as read_entry

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, Fault

    Json = Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Remains:
    """What a drill left behind, as JSON; the shapes are those of the options of ``drill_verdict``."""

    plan: Json
    move: Json | None
    faults: Sequence[Json]
    probes: Sequence[Json]
    recovery: Json
    audits: Sequence[Json]
    timeline: Sequence[Json]
    refused: str | None
    allowance: float
    started_at: float
    finished_at: float


def judged_entry(drill: Drill, remains: Remains) -> dict[str, t.Any]:
    """The drill's object of the report; LifeboatError when something of ``remains`` has not its shape."""
    entry = _unjudged(drill, remains)
    record = read_entry(f"record of the drill {drill.name}", entry)
    refused = remains.refused or remains.plan.get("refused")
    judgement = _judge.refuse(refused) if refused else _judge.judge(drill, _record(drill, remains, record))
    return entry | {
        "verdict": str(judgement.verdict),
        "reasons": list(judgement.reasons),
        "ratio_to_limit": judgement.ratio_to_limit,
    }


def _unjudged(drill: Drill, remains: Remains) -> dict[str, t.Any]:
    return {
        "name": drill.name,
        "says": drill.says,
        "tags": list(drill.tags),
        "verdict": str(model.Verdict.VOID),
        "reasons": [],
        "fault": _fault(drill.fault, remains) if drill.fault else None,
        "move": dict(remains.move) if remains.move else None,
        "probes": [_with_demand(drill, probe) for probe in remains.probes],
        "limit_s": remains.plan.get("limit_s"),
        "limit_formula": drill.limit.formula if drill.limit else None,
        "limit_probe": drill.limit.probe if drill.limit else None,
        "ratio_to_limit": None,
        "recovery_s": remains.recovery.get("seconds"),
        "audits": [dict(audit) for audit in remains.audits],
        "timeline": sorted((dict(event) for event in remains.timeline), key=lambda event: float(event.get("at", 0))),
        "started_at": remains.started_at,
        "finished_at": remains.finished_at,
    }


def _fault(fault: Fault, remains: Remains) -> dict[str, t.Any]:
    return {
        "form": str(fault.form),
        "component": str(fault.component) if fault.component else None,
        "target": list(remains.plan.get("victims") or []),
        "pick": str(fault.pick),
        "proof": [_proof(each) for each in remains.faults],
        "injected_at": min(_moments(remains.faults, "injected_at"), default=None),
        "healed_at": max(_moments(remains.faults, "healed_at"), default=None),
    }


def _record(drill: Drill, remains: Remains, entry: model.Drill) -> _judge.Record:
    limit = Interval(*entry.limit) if entry.limit else None
    window = _window(drill, remains.faults, entry.move)
    return _judge.Record(
        victims=entry.fault.target if entry.fault else (),
        limit=limit,
        proofs=entry.fault.proof if entry.fault else (),
        measurements=tuple(
            Measurement(
                probe=probe,
                demand=_relaxed(_demand(drill, probe.name), remains.allowance),
                started_at=float(raw.get("started_at") or remains.started_at),
                stopped_at=float(raw.get("stopped_at") or remains.finished_at),
                window=window,
                limit_s=limit.maximum if limit and drill.limit and drill.limit.probe == probe.name else None,
                ledger_unread=_unread(raw),
                shared=remains.allowance > 0,
                boots=remains.allowance > 0 and drill.fault is not None and drill.fault.form is Form.POWER_OFF,
            )
            for raw, probe in zip(remains.probes, entry.probes, strict=True)
        ),
        recovery=_judge.Recovered(
            recovered=bool(remains.recovery.get("recovered")),
            seconds=entry.recovery,
            findings=tuple(str(finding) for finding in remains.recovery.get("findings") or ()),
        ),
        audits=entry.audits,
        allowance_s=remains.allowance,
        move=entry.move,
    )


def _window(drill: Drill, faults: Sequence[Json], move: model.Move | None) -> Window | None:
    """From the first injection to the last healing, and from the beginning of a move to its end.

    A fault that nobody saw healed lasts as long as the drill holds.
    """
    begun = _moments(faults, "injected_at")
    over = _moments(faults, "healed_at") or [moment + drill.hold for moment in begun]
    if move is not None:
        begun, over = [*begun, move.began_at], [*over, move.ended_at]
    return Window(min(begun), max(over)) if begun else None


def _moments(faults: Sequence[Json], key: str) -> list[float]:
    return [float(fault[key]) for fault in faults if fault.get(key) is not None]


def _proof(fault: Json) -> dict[str, t.Any]:
    evidence = fault.get("evidence")
    said = "; ".join(f"{key}: {value}" for key, value in evidence.items()) if isinstance(evidence, dict) else evidence
    return {
        "host": fault.get("host"),
        "landed": bool(fault.get("landed")),
        "active": fault.get("active"),
        "evidence": str(said or "none"),
    }


def _demand(drill: Drill, name: str) -> Demand:
    return next((demand for demand in drill.probes if demand.name == name), Demand(name))


def _relaxed(demand: Demand, seconds: float) -> Demand:
    return dataclasses.replace(demand, bound=demand.bound.relaxed(seconds))


def _with_demand(drill: Drill, probe: Json) -> dict[str, t.Any]:
    """The probe's figures and what was demanded; counts of a ledger that was not read back are unknown, so left out."""
    demand = _demand(drill, str(probe.get("name")))
    left_out = [field.name for field in dataclasses.fields(model.Ledger)] if _unread(probe) else []
    figures = {key: value for key, value in probe.items() if key not in left_out}
    return {**figures, "bound_s": demand.bound.outage, "at_least_s": demand.at_least.outage}


def _unread(probe: Json) -> bool:
    return "lost" in probe and probe["lost"] is None
