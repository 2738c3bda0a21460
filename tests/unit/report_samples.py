# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty plausible drills, made up, for tests of the report and for looking at it, and one written by hand."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
import random
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Report
from hypothesis import strategies as st

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parents[1] / "roles/drill/files/report.schema.json").read_text(encoding="utf-8"))
RUN = "20261121T101500Z"
START = 1795256100.0
PERIOD = 0.02
SLICE = 0.2
VERDICTS = ("passed", "failed", "void", "missed", "refused")

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)

Entry = dict[str, t.Any]
ENTRY: Entry = json.loads((HERE / "fixtures/report_entry.json").read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Sketch:
    """What tells one made-up drill from another; seconds."""

    name: str
    says: str
    form: str
    host: str
    probes: list[str]
    outage: float
    bound: float
    component: str | None = None
    pick: str | None = None
    limit: list[float] | None = None
    formula: str | None = None
    verdict: str = "passed"
    reasons: tuple[str, ...] = ()
    hold: float = 20.0
    lost: int = 0
    stall: bool = False


def read_sketches() -> tuple[Sketch, ...]:
    """The sketches of the twenty drills."""
    place = HERE / "fixtures" / "report_sketches.json"
    return tuple(Sketch(**sketch) for sketch in json.loads(place.read_text(encoding="utf-8")))


SKETCHES = read_sketches()


def make_entry(sketch: Sketch, started_at: float, seed: int = 1) -> Entry:
    """The entry of a made-up drill."""
    chance = random.Random(f"{sketch.name}{seed}")
    refused = sketch.verdict == "refused"
    injected = started_at + 12.0
    healed = injected + sketch.hold
    end = healed + 15.0
    probes = [] if refused else [_probe(sketch, name, injected, end, chance) for name in sketch.probes]
    upper = max((probe["longest_outage_s"] for probe in probes), default=None)
    return {
        "name": sketch.name,
        "says": sketch.says,
        "tags": ["controller", sketch.component or "host"],
        "verdict": sketch.verdict,
        "reasons": list(sketch.reasons) or ["Bound and limit held; no acknowledged write was lost; every audit held."],
        "fault": None if refused else _fault(sketch, injected, healed),
        "probes": probes,
        "limit_s": list(sketch.limit) if sketch.limit else None,
        "limit_formula": sketch.formula,
        "limit_probe": sketch.probes[0] if sketch.limit else None,
        "ratio_to_limit": upper / sketch.limit[1] if sketch.limit and upper is not None else None,
        "recovery_s": None if refused else round(chance.uniform(1.2, 14), 2),
        "audits": [] if refused else _audits(sketch),
        "timeline": [] if refused else _timeline(sketch, injected, healed, chance),
        "started_at": started_at,
        "finished_at": started_at + 2.4 if refused else end + 4.0,
    }


def make_entries(seed: int = 1, start: float = START) -> list[Entry]:
    """All twenty, one after the other."""
    return [make_entry(sketch, start + 70 * index, seed) for index, sketch in enumerate(SKETCHES)]


def changed(entry: Entry, **values: t.Any) -> Entry:
    """A copy of the entry with other values."""
    return copy.deepcopy(entry) | values


def report_of(*entries: Entry) -> Report:
    """The report of a run of these drills."""
    return Report(RUN, {}, tuple(read_drill("entry", entry) for entry in entries))


def _fault(sketch: Sketch, injected: float, healed: float) -> Entry:
    active = None if sketch.pick is None else sketch.verdict != "missed"
    return {
        "form": sketch.form,
        "component": sketch.component,
        "target": [sketch.host],
        "pick": sketch.pick,
        "proof": [
            {
                "host": sketch.host,
                "landed": True,
                "active": active,
                "evidence": f"{sketch.form} seen 14 ms after the order; state before: {sketch.pick or 'member'}",
            }
        ],
        "injected_at": injected,
        "healed_at": healed,
    }


def _probe(sketch: Sketch, name: str, injected: float, end: float, chance: random.Random) -> Entry:
    begin = injected - 10.0
    share = 1.0 if name == sketch.probes[0] else chance.uniform(0.55, 0.95)
    upper = round(sketch.outage * share, 3)
    lower = round(max(0.0, upper - 0.02), 3)
    first = injected + 0.01
    slo = 0.2 if name.startswith("vip") else 0.5
    base = {"vip_tcp": 0.8, "identity_token": 34.0, "database_ledger": 6.0}.get(name, 4.0)
    series = [
        _slice(begin + index * SLICE, first, upper, base, sketch.stall, chance)
        for index in range(int((end - begin) / SLICE))
    ]
    failed = sum(one[2] for one in series)
    requests = sum(one[1] + one[2] for one in series)
    late = 41.0 if sketch.verdict == "void" else round(chance.uniform(1, 6), 2)
    slow = int(upper / PERIOD) if sketch.stall else 0
    probe: Entry = {
        "name": name,
        "kind": {"vip_tcp": "tcp"}.get(name, name),
        "requests": requests,
        "failed": failed,
        "slow": slow,
        "longest_outage_s": upper,
        "longest_outage_lower_s": lower,
        "total_outage_s": upper,
        "uncertainty_s": 0.041 if sketch.verdict == "void" else round((upper - lower) / 2 + 0.002, 4),
        "lateness_ms": {"p50": 0.21, "p99": late, "max": late * 2.2},
        "bound_s": None if name == "identity_token" and name != sketch.probes[0] else sketch.bound,
        "latency_ms": {
            "p50": base,
            "p95": base * 1.6,
            "p99": base * 2.3,
            "p999": base * 5,
            "max": max(one[3] or 0 for one in series),
        },
        "period_s": PERIOD,
        "slo_s": slo,
        "outages": [
            {
                "start": first,
                "lower_s": lower,
                "upper_s": upper,
                "requests": failed or slow,
                "reason": "slow" if sketch.stall else "timeout",
            }
        ]
        if upper
        else [],
        "errors": {"connection refused": failed // 3, "timeout": failed - failed // 3} if failed else {},
        "series": series,
    }
    if name.endswith(("ledger", "publish")):
        probe |= {"acknowledged": requests - failed, "refused": failed // 3, "unknown": failed - failed // 3}
        probe |= {"lost": sketch.lost, "unexpected": 0, "duplicated": 0}
    return probe


def _slice(at: float, first: float, outage: float, base: float, stall: bool, chance: random.Random) -> list[t.Any]:
    requests = int(SLICE / PERIOD)
    inside = max(0.0, min(at + SLICE, first + outage) - max(at, first)) / SLICE
    worst = round(base * chance.uniform(1.0, 2.4) * (chance.uniform(2, 6) if chance.random() < 0.02 else 1), 2)
    if stall:
        return [round(at, 3), requests, 0, round(max(worst, 620 * inside), 2)]
    failed = round(inside * requests)
    return [round(at, 3), requests - failed, failed, worst if failed < requests else None]


def _audits(sketch: Sketch) -> list[Entry]:
    split = sketch.name == "keepalived_crash"
    holders = "controller1, controller3 hold 10.0.0.5" if split else "controller2 alone holds 10.0.0.5"
    return [
        {"name": "one_vip_holder", "passed": not split, "detail": holders},
        {
            "name": "galera_position_equal",
            "passed": True,
            "detail": "7a1c…:48213 on controller1, controller2, controller3",
        },
        {"name": "no_core_dump", "passed": True, "detail": "none on 3 hosts"},
    ]


def _timeline(sketch: Sketch, injected: float, healed: float, chance: random.Random) -> list[Entry]:
    noticed = injected + max(0.05, sketch.outage * 0.7)
    return [
        {"at": injected - 11.2, "what": "steady state holds"},
        {"at": injected - 10.6, "what": "dead man's switch armed", "host": sketch.host},
        {"at": injected - 10.0, "what": "probes started"},
        {"at": injected, "what": f"{sketch.form} injected", "host": sketch.host},
        {"at": noticed, "what": "peer declared lost", "host": "controller3"},
        {"at": injected + sketch.outage + 0.04, "what": "clients served again"},
        {"at": healed, "what": "healed", "host": sketch.host},
        {"at": healed + chance.uniform(1, 9), "what": "steady state holds"},
        {"at": healed + 14.6, "what": "probes stopped"},
    ]


SAMPLES = {entry["name"]: entry for entry in make_entries()}
