# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts: for each way in which a drill can end, exactly that verdict and its reason."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_entry import Remains, judged_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill as read_entry
from hypothesis import given
from hypothesis import strategies as st

START, INJECTED, HEALED, END = 1000.0, 1010.0, 1020.0, 1030.0
PERIOD = 0.02
LIMIT = (0.26, 0.36)
SERIES = [[START + 0.5 * index, 25, 0, 2.0] for index in range(60)]


def make_drill(pick: str = "vip_holder", **demand: t.Any) -> Drill:
    """A drill with one probe that is bound to 0.4 s; ``demand`` replaces what is demanded of it."""
    return read_drill(
        "test",
        {
            "name": "test",
            "says": "A test.",
            "tags": ["vip"],
            "probes": {"vip_tcp": demand or {"bound": {"outage": "400ms"}}},
            "fault": {"form": "power_off", "pick": pick},
            "hold": "10s",
            "recovery": {"within": "60s"},
            "limit": {"formula": "vrrp_silence" if pick == "vip_holder" else "controller_lost", "probe": "vip_tcp"},
            "audits": ["one_vip_holder"],
        },
    )


def outage(lower: float, upper: float | None, start: float = INJECTED + 0.01) -> dict[str, t.Any]:
    return {"start": start, "lower_s": lower, "upper_s": upper, "requests": 5, "reason": "timeout"}


def probe(*outages: dict[str, t.Any], name: str = "vip_tcp", **changes: t.Any) -> dict[str, t.Any]:
    """A result of the probe runner with these outages."""
    longest = max((one["upper_s"] or END - one["start"] for one in outages), default=0.0)
    return {
        "name": name,
        "kind": "tcp",
        "period_s": PERIOD,
        "slo_s": 0.5,
        "started_at": START,
        "stopped_at": END,
        "requests": 1500,
        "failed": 15,
        "slow": 0,
        "longest_outage_s": longest,
        "longest_outage_lower_s": max((one["lower_s"] for one in outages), default=0.0),
        "total_outage_s": sum(one["upper_s"] or 0 for one in outages),
        "uncertainty_s": 0.02,
        "lateness_ms": {"p50": 0.1, "p99": 3.0, "max": 15.0},
        "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": 5.0, "p999": 90.0, "max": 200.0},
        "outages": list(outages),
        "errors": {"timeout": 15},
        "series": SERIES,
    } | changes


def ledger(lost: int | None) -> dict[str, t.Any]:
    return {
        "acknowledged": 1400,
        "refused": 5,
        "unknown": 2,
        "lost": lost,
        "unexpected": None if lost is None else 0,
        "duplicated": None if lost is None else 0,
    }


FAULT = {
    "host": "ctl1",
    "form": "power_off",
    "landed": True,
    "active": True,
    "injected_at": INJECTED,
    "healed_at": HEALED,
    "evidence": {"state": "exited", "pid": 0},
}
GOOD = probe(outage(0.28, 0.32))


def remains(*probes: dict[str, t.Any], **changes: t.Any) -> Remains:
    """What a good drill leaves behind, with these probes and changes."""
    good = Remains(
        move=None,
        plan={"victims": ["ctl1"], "peers": ["ctl2"], "limit_s": list(LIMIT), "prediction": "", "refused": None},
        faults=[FAULT],
        probes=list(probes) or [GOOD],
        recovery={"recovered": True, "seconds": 7.5, "findings": []},
        audits=[{"name": "one_vip_holder", "passed": True, "detail": "ctl2"}],
        timeline=[{"at": HEALED, "what": "healed", "host": "ctl1"}, {"at": INJECTED, "what": "injected"}],
        refused=None,
        allowance=0.0,
        started_at=START,
        finished_at=END,
    )
    return dataclasses.replace(good, **changes)


def verdict(left: Remains, drill: Drill | None = None) -> tuple[str, str]:
    entry = judged_entry(drill or make_drill(), left)
    return entry["verdict"], " ".join(entry["reasons"])


def test_a_good_drill_passes_and_its_entry_is_one_of_the_report() -> None:
    entry = judged_entry(make_drill(), remains())
    assert (entry["verdict"], entry["reasons"]) == ("passed", [])
    assert entry["ratio_to_limit"] == pytest.approx(0.32 / 0.36, abs=1e-4)
    assert entry["probes"][0]["bound_s"] == 0.4
    assert entry["probes"][0]["at_least_s"] is None
    assert entry["fault"] == {
        "form": "power_off",
        "component": None,
        "target": ["ctl1"],
        "pick": "vip_holder",
        "proof": [{"host": "ctl1", "landed": True, "active": True, "evidence": "state: exited; pid: 0"}],
        "injected_at": INJECTED,
        "healed_at": HEALED,
    }
    assert [event["what"] for event in entry["timeline"]] == ["injected", "healed"]
    assert entry["limit_formula"] == "vrrp_silence"
    assert entry["recovery_s"] == 7.5
    read_entry("entry", entry)


@pytest.mark.parametrize("where", ["plan", "option"])
def test_a_refused_drill_is_refused_whatever_else_is_there(where: str) -> None:
    plan = {"victims": [], "peers": [], "limit_s": None, "refused": "no quorum" if where == "plan" else None}
    left = remains(plan=plan, faults=[], refused="no quorum" if where == "option" else None, audits=[], recovery={})
    assert verdict(dataclasses.replace(left, probes=[])) == ("refused", "no quorum")


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        (remains(probe(outage(0.42, 0.46))), "vip_tcp: outage of at least 0.42 s, bound 0.40 s."),
        (remains(probe(outage(2.9, 3.0))), "protocol allows at most 0.36 s"),
        (remains(recovery={"recovered": False, "findings": ["ctl1: Galera is Joining"]}), "Galera is Joining"),
        (remains(recovery={"recovered": True, "seconds": 61}), "after 61.0 s, not within 60 s"),
        (remains(recovery={}), "did not come back"),
        (
            remains(audits=[{"name": "one_vip_holder", "passed": False, "detail": "held by ctl1 and ctl2"}]),
            "Audit one_vip_holder: held by ctl1 and ctl2.",
        ),
        (remains(probe(outage(0.28, 0.32), **ledger(3))), "3 of 1400 acknowledged writes are lost"),
    ],
)
def test_what_is_not_kept_fails(left: Remains, reason: str) -> None:
    found, reasons = verdict(left)
    assert found == "failed"
    assert reason in reasons


@pytest.mark.parametrize(
    ("lower", "upper", "found", "reason"),
    [
        (0.5, 0.9, "passed", ""),
        (1.2, 1.38, "passed", ""),
        (1.3, 1.5, "void", "outage between 1.30 s and 1.50 s, bound 1.40 s in between"),
        (1.42, 1.46, "failed", "vip_tcp: outage of at least 1.42 s, bound 1.40 s."),
        (1.42, 1.46, "failed", "protocol allows at most 0.36 s and this machine 1.00 s more"),
    ],
)
def test_an_allowance_lengthens_times_but_not_what_the_report_shows(
    lower: float, upper: float, found: str, reason: str
) -> None:
    left = dataclasses.replace(remains(probe(outage(lower, upper))), allowance=1.0)
    entry = judged_entry(make_drill(), left)
    assert entry["verdict"] == found
    assert reason in " ".join(entry["reasons"])
    assert entry["probes"][0]["bound_s"] == 0.4
    assert entry["limit_s"] == list(LIMIT)


def test_an_allowance_excuses_no_loss() -> None:
    left = dataclasses.replace(remains(probe(outage(0.28, 0.32), **ledger(1))), allowance=60.0)
    assert verdict(left)[0] == "failed"


@pytest.mark.parametrize(
    ("demand", "changes", "reason"),
    [
        ({"bound": {"failed": 14}}, {}, "15 of 1500 requests failed, bound 14"),
        ({"bound": {"p99": "4ms"}}, {}, "p99 latency 0.01 s"),
        ({"bound": {"p999": "80ms"}}, {}, "p99.9 latency 0.09 s"),
        ({"bound": {"total": "250ms"}}, {}, "total outage of at least 0.28 s"),
        ({"at_least": {"outage": "330ms"}}, {}, "must be at least 0.33 s"),
        ({"at_least": {"failed": 16}}, {}, "15 requests failed, must be at least 16"),
        ({"error_contains": "503"}, {"errors": {"status 500": 3}}, "no error contains '503'; seen: status 500"),
        ({"bound": {"lost": 1}}, ledger(2), "2 of 1400 acknowledged writes are lost, bound 1"),
    ],
)
def test_each_demand_can_fail(demand: dict[str, t.Any], changes: dict[str, t.Any], reason: str) -> None:
    found, reasons = verdict(remains(probe(outage(0.28, 0.32), **changes)), make_drill(**demand))
    assert found == "failed"
    assert reason in reasons


def test_each_demand_can_be_kept() -> None:
    drill = make_drill(
        bound={"failed": 15, "p99": "5ms", "p999": "90ms", "total": "320ms", "outage": "320ms", "lost": 0},
        at_least={"outage": "280ms", "failed": 15},
        error_contains="time",
    )
    assert verdict(remains(probe(outage(0.28, 0.32), **ledger(0))), drill) == ("passed", "")


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        (remains(probe(stopped_at=INJECTED - 2)), "it stopped 2.00 s before it"),
        (remains(probe(outage(0.28, 0.32), stopped_at=HEALED - 1)), "it stopped 1.00 s before its end"),
        (remains(probe(outage(0.28, 0.32), started_at=INJECTED + 1)), "it started 1.00 s after it"),
        (remains(probe(requests=0, failed=0, series=[])), "it sent no request"),
        (
            remains(probe(outage(0.28, 0.32), series=[piece for piece in SERIES if not 1012 < piece[0] < 1016])),
            "it sent nothing for 4.0 s",
        ),
        (
            remains(probe(outage(0.28, 0.32), lateness_ms={"p50": 5.0, "p99": 41.0, "max": 60.0})),
            "itself late by 41 ms (p99), more than 40 ms",
        ),
        (remains(probe(outage(0.38, 0.42))), "outage between 0.38 s and 0.42 s, bound 0.40 s"),
        (remains(probe(outage(0.28, None))), "between 0.28 s and an unknown time"),
        (remains(probe(outage(0.28, 0.32), outage(0.5, 0.6, INJECTED - 3))), "was not steady"),
        (remains(probe(outage(0.28, 0.32), name="identity_api")), "vip_tcp left no result."),
        (remains(probe(outage(0.28, 0.32), **ledger(None))), "no ledger was read back"),
        (remains(audits=[]), "audit one_vip_holder was not made"),
    ],
)
def test_what_cannot_be_told_is_void(left: Remains, reason: str) -> None:
    found, reasons = verdict(left)
    assert found == "void"
    assert reason in reasons


def test_a_bound_on_losses_without_a_ledger_is_void() -> None:
    assert verdict(remains(), make_drill(bound={"lost": 0}))[0] == "void"


def test_a_least_outage_inside_the_interval_is_void() -> None:
    assert verdict(remains(), make_drill(at_least={"outage": "300ms"}))[0] == "void"


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        (remains(faults=[FAULT | {"landed": False}]), "did not land on ctl1; evidence: state: exited"),
        (remains(faults=[]), "did not land on ctl1; evidence: none"),
        (remains(faults=[FAULT | {"active": False}]), "ctl1 was not the active member (vip_holder)"),
        (remains(faults=[FAULT | {"active": None}]), "ctl1 was not shown to be the active member"),
        (remains(faults=[FAULT | {"host": "ctl3"}]), "did not land on ctl1"),
        (remains(probe(outage(0.0, 0.04))), "at most 0.04 s, though a fault that hits costs at least 0.26 s"),
        (remains(probe()), "at most 0.04 s"),
    ],
)
def test_a_fault_that_did_not_hit_is_missed(left: Remains, reason: str) -> None:
    found, reasons = verdict(left)
    assert found == "missed"
    assert reason in reasons


def test_a_standby_pick_must_not_hit_the_active_member() -> None:
    drill = make_drill("not_vip_holder")
    assert verdict(remains(faults=[FAULT | {"active": None}]), drill) == ("passed", "")
    assert verdict(remains(faults=[FAULT | {"active": False}]), drill) == ("passed", "")
    assert verdict(remains(), drill)[0] == "missed"


def test_an_unharmed_service_is_not_blamed_when_the_fault_missed_or_nobody_looked() -> None:
    drill = make_drill(at_least={"outage": "5s", "failed": 100}, error_contains="503")
    assert verdict(remains(probe(), faults=[FAULT | {"landed": False}]), drill)[0] == "missed"
    assert verdict(remains(probe(stopped_at=INJECTED - 2)), drill)[0] == "void"
    assert verdict(remains(probe(outage(0.28, 0.32))), drill)[0] == "failed"


def test_a_late_probe_convicts_only_beyond_its_own_lateness_and_by_its_ledger() -> None:
    late = {"lateness_ms": {"p50": 50.0, "p99": 300.0, "max": 800.0}}
    failing = {"failed": 500, "latency_ms": {"p50": 300.0, "p95": 400.0, "p99": 900.0, "p999": 900.0, "max": 900.0}}
    drill = make_drill(bound={"outage": "400ms", "failed": 0, "p999": "100ms"})
    assert verdict(remains(probe(outage(1.1, 1.2), **late, **failing)), drill)[0] == "void"
    assert verdict(remains(probe(outage(1.3, 1.4), **late)), drill)[0] == "failed"
    assert verdict(remains(probe(outage(0.28, 0.32), **late, **ledger(1))), drill)[0] == "failed"


def test_what_makes_the_observer_late_makes_the_hosts_of_the_same_machine_late() -> None:
    late = {"lateness_ms": {"p50": 50.0, "p99": 300.0, "max": 800.0}}
    shared = dataclasses.replace(remains(probe(outage(4.8, 4.9), **late)), allowance=1.0)
    assert verdict(shared)[0] == "void"
    assert verdict(dataclasses.replace(shared, allowance=0.0))[0] == "failed"
    assert verdict(dataclasses.replace(shared, probes=[probe(outage(4.8, 4.9))]))[0] == "failed"
    lost = dataclasses.replace(shared, probes=[probe(outage(4.8, 4.9), **late, **ledger(1))])
    assert verdict(lost)[0] == "failed"


def test_a_host_that_boots_on_the_same_machine_convicts_nobody_and_what_the_fault_costs_still_does() -> None:
    slow = outage(3.0, 3.1, HEALED + 1)
    shared = dataclasses.replace(remains(probe(outage(0.28, 0.32), slow)), allowance=1.0)
    found, reasons = verdict(shared)
    assert found == "void" and "a host booted on the same machine" in reasons
    assert verdict(dataclasses.replace(shared, allowance=0.0))[0] == "failed"
    during = probe(outage(3.0, 3.1), slow)
    assert verdict(dataclasses.replace(shared, probes=[during]))[0] == "failed"
    until_then = probe(outage(3.0, 3.1, HEALED - 1))
    assert verdict(dataclasses.replace(shared, probes=[until_then]))[0] == "failed"


def test_an_outage_long_before_the_fault_counts_against_no_bound() -> None:
    found, reasons = verdict(remains(probe(outage(0.28, 0.32), outage(2.0, 2.1, INJECTED - 5))))
    assert found == "void"
    assert "bound" not in reasons and "protocol" not in reasons


def test_a_hiccup_before_the_fault_is_no_unsteadiness() -> None:
    assert verdict(remains(probe(outage(0.28, 0.32), outage(0.0, 0.04, INJECTED - 5))))[0] == "passed"


def test_an_outage_that_begins_just_before_the_recorded_fault_counts() -> None:
    assert verdict(remains(probe(outage(0.5, 0.6, INJECTED - 0.7))))[0] == "failed"
    assert verdict(remains(probe(outage(0.5, 0.6, INJECTED - 0.9))))[0] == "void"


def test_failure_outweighs_void_and_void_outweighs_missed_and_all_reasons_stay() -> None:
    gone = remains(probe(outage(0.38, 0.42)), faults=[FAULT | {"active": False}])
    found, reasons = verdict(gone)
    assert found == "void"
    assert "was not the active member" in reasons and "between" in reasons
    found, reasons = verdict(dataclasses.replace(gone, recovery={"recovered": False, "findings": ["sick"]}))
    assert found == "failed"
    assert reasons.index("sick") < reasons.index("between") < reasons.index("was not the active member")


def test_several_victims_must_all_be_hit() -> None:
    plan = {"victims": ["ctl1", "ctl2"], "limit_s": list(LIMIT)}
    assert verdict(remains(plan=plan))[0] == "missed"
    later = FAULT | {"host": "ctl2", "injected_at": INJECTED + 0.4, "healed_at": HEALED + 5}
    entry = judged_entry(make_drill(), remains(plan=plan, faults=[later, FAULT]))
    assert entry["verdict"] == "passed"
    assert (entry["fault"]["injected_at"], entry["fault"]["healed_at"]) == (INJECTED, HEALED + 5)


def test_unlisted_results_are_kept_and_their_losses_count() -> None:
    other = probe(name="message_ledger", **ledger(1))
    entry = judged_entry(make_drill(), remains(GOOD, other))
    assert entry["verdict"] == "failed"
    assert [one["name"] for one in entry["probes"]] == ["vip_tcp", "message_ledger"]
    assert entry["probes"][1]["bound_s"] is None


def test_an_unread_ledger_still_makes_a_valid_entry() -> None:
    entry = judged_entry(make_drill(), remains(probe(outage(0.28, 0.32), **ledger(None))))
    assert "lost" not in entry["probes"][0]
    read_entry("entry", entry)


def test_a_result_without_its_shape_is_an_error_that_names_the_place() -> None:
    with pytest.raises(LifeboatError, match=r"probes\[0\]\.requests"):
        judged_entry(make_drill(), remains(probe(requests="many")))


@given(
    lower=st.floats(0, 2),
    width=st.floats(0, 0.5),
    bound=st.floats(0.05, 2),
    limit=st.tuples(st.floats(0, 0.5), st.floats(0.5, 2)),
)
def test_the_verdict_follows_the_decision_table(
    lower: float, width: float, bound: float, limit: tuple[float, float]
) -> None:
    upper = lower + width
    plan = {"victims": ["ctl1"], "limit_s": list(limit)}
    found, _reasons = verdict(remains(probe(outage(lower, upper)), plan=plan), make_drill(bound={"outage": bound}))
    if lower > bound or lower > 1.1 * limit[1]:
        assert found == "failed"
    elif upper > bound:
        assert found == "void"
    elif upper < 0.9 * limit[0]:
        assert found == "missed"
    else:
        assert found == "passed"


def test_a_probe_that_stopped_before_the_fault_does_not_say_that_it_missed() -> None:
    assert verdict(remains(probe(stopped_at=INJECTED - 2))) == (
        "void",
        "vip_tcp did not watch the whole fault: it stopped 2.00 s before it.",
    )
