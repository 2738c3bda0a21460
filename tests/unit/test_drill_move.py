# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills that move servers: which are accepted, what is moved where, and what each way of ending is judged as."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_entry import Remains, judged_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_plan import make_plan
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill as read_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.section import drill_section
from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import Surroundings

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill
    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_plan import Plan

MOVING = Path(__file__).parents[2] / "roles" / "drill" / "files" / "moving"
START, BEGAN, ENDED, END = 1000.0, 1010.0, 1020.0, 1030.0
POWER_OFF = {"form": "power_off", "pick": "move_destination"}
POST_COPY = {"phase": "post_copy", "on_timeout": "force"}
# What server_migration says of a migration that somebody has aborted, and of one that it has given up itself.
BY_OPERATOR = "a migration that is failed: it was aborted by user 5f3c"
AT_TIMEOUT = "a migration that took over 60 s and was aborted"


def drill(fault: dict[str, t.Any] | None = None, demand: dict[str, t.Any] | None = None, **move: t.Any) -> Drill:
    """A drill with one probe of a guest."""
    return read_drill(
        "test",
        {
            "name": "test",
            "says": "A server is moved.",
            "tags": ["moving"],
            "move": {"ends": "moved", **move},
            **({"fault": fault} if fault else {}),
            "probes": {"guest_counter": demand or {"bound": {"outage": "2s", "lost": 0, "reboots": 0}}},
            "hold": "5s",
            "recovery": {"within": "60s"},
        },
    )


def server(name: str, host: str, status: str = "ACTIVE") -> dict[str, str]:
    return {"id": f"id of {name}", "name": name, "host": host, "status": status}


def plan(of: Drill, *servers: dict[str, str], hypervisors: tuple[str, ...] = ("cmp1", "cmp2")) -> Plan:
    return make_plan(of, {}, {}, Surroundings("client1", "", servers, hypervisors))


def guest(**changes: t.Any) -> dict[str, t.Any]:
    """What the probe of a guest saw."""
    return {
        "name": "guest_counter",
        "kind": "guest_ledger",
        "period_s": 0.2,
        "slo_s": 0.5,
        "started_at": START,
        "stopped_at": END,
        "requests": 150,
        "failed": 3,
        "slow": 0,
        "longest_outage_s": 0.0,
        "longest_outage_lower_s": 0.0,
        "total_outage_s": 0.0,
        "uncertainty_s": 0.2,
        "lateness_ms": {"p50": 0.1, "p99": 3.0, "max": 15.0},
        "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": 5.0, "p999": 90.0, "max": 200.0},
        "outages": [],
        "errors": {},
        "series": [[START + 0.5 * index, 3, 0, 2.0] for index in range(60)],
        "acknowledged": 140,
        "refused": 0,
        "unknown": 0,
        "lost": 0,
        "unexpected": 0,
        "duplicated": 0,
    } | changes


def asked(**changes: t.Any) -> dict[str, t.Any]:
    """What the guest of that server told of itself before and after; without what is None."""
    told = {"boot_before": "a", "boot_after": "a", "counter_before": 7, "counter_after": 90, **changes}
    return {"address": "10.0.0.9", **{key: value for key, value in told.items() if value is not None}}


def moved(host: str | None = "cmp2", status: str = "ACTIVE", **changes: t.Any) -> dict[str, t.Any]:
    """What became of a server that was to go from cmp1 to cmp2."""
    return {
        "kind": "live",
        "began_at": BEGAN,
        "ended_at": ENDED,
        "interrupted_at": None,
        "predicted_s": 8.5,
        "measured_s": 9.5,
        "found": "",
        "refused": [],
        "guests": [asked()],
        "servers": [{"name": "drill-1", "source": "cmp1", "destination": "cmp2", "host": host, "status": status}],
    } | changes


def judged(of: Drill, move: dict[str, t.Any] | None, probe: dict[str, t.Any], *faults: t.Any) -> dict[str, t.Any]:
    remains = Remains(
        plan={"victims": ["cmp2"] if faults else [], "limit_s": None, "refused": None},
        move=move,
        faults=faults,
        probes=[probe],
        recovery={"recovered": True, "seconds": 1.0, "findings": []},
        audits=[],
        timeline=[],
        refused=None,
        allowance=0.0,
        started_at=START,
        finished_at=END,
    )
    return judged_entry(of, remains)


def test_every_moving_drill_of_the_catalogue_is_valid_and_is_none_of_the_control_plane() -> None:
    drills = load([MOVING])
    assert len(drills) >= 10
    for each in drills:
        assert each.move is not None and "moving" in each.tags
        assert read_drill("again", each.as_mapping()) == each


@pytest.mark.parametrize("of", load([MOVING]), ids=lambda of: of.name)
def test_every_guest_that_is_watched_has_to_answer_again_in_time(of: Drill) -> None:
    assert {demand.name for demand in of.probes if demand.bound.outage is None} == set()
    assert all(demand.bound.failed == 0 for demand in of.probes if demand.name == "guest_session")


@pytest.mark.parametrize(
    ("requests", "lower", "upper", "words"),
    [
        ({"failed": 80, "errors": {"timeout": 80}}, 18.0, None, "80 of 150 requests failed, bound 0"),
        ({"failed": 0}, 8.0, 8.1, "outage of at least 8.00 s, bound 5.00 s"),
    ],
    ids=["for good", "for some time"],
)
def test_a_session_that_hangs_and_is_not_reset_fails_the_drill(
    requests: dict[str, t.Any], lower: float, upper: float | None, words: str
) -> None:
    outage = {"start": 1012.0, "lower_s": lower, "upper_s": upper, "requests": 80, "reason": "timeout"}
    probe = guest(name="guest_session", kind="session", outages=[outage], **requests)
    entry = judged(named(load([MOVING]), "live_to_named_host"), moved(), probe)
    assert entry["verdict"] == "failed" and f"guest_session: {words}" in " ".join(entry["reasons"])


@pytest.mark.parametrize(
    ("fault", "move", "words"),
    [
        (None, {"kind": "warm"}, "kind of migration"),
        (None, {"servers": 3}, "only the playbook moves several"),
        (None, {"killed": True}, "expected playbook"),
        (None, {"by": "playbook", "kind": "cold"}, "expected live"),
        (None, {"kind": "cold", "after_cold": "revert"}, "server where it was"),
        (None, {"without": ["rights"]}, "every migration must be refused"),
        (None, {"killed": "yes"}, "true or false"),
        (None, {"phase": "post_copy"}, "expected force"),
        (None, {"link": 8, "kind": "cold"}, "whose speed can be set"),
        (None, {"aborted": "yes", "ends": "stayed"}, "true or false"),
        (None, {"aborted": True}, "found moved; expected stayed"),
        (None, {"aborted": True, "ends": "stayed", "kind": "cold"}, "found cold; expected live"),
        (None, {"aborted": True, "ends": "stayed", "by": "playbook"}, "found playbook; expected module"),
        (None, {"aborted": True, "ends": "stayed", **POST_COPY}, "found post_copy; expected copying"),
        (None, {"aborted": True, "ends": "stayed", "without": ["rights"]}, "cannot be aborted"),
        (None, {"storage": "tape"}, "way of the disks"),
        (None, {"storage": "block", "kind": "cold"}, "unless the module moves a server live"),
        (None, {"storage": "shared", "by": "playbook"}, "unless the module moves a server live"),
        ({"form": "power_off", "pick": "vip_holder"}, {}, "move_destination"),
        ({"form": "crash", "component": "database", "pick": "move_source"}, {}, "power_off"),
    ],
)
def test_moves_without_sense_are_refused(fault: t.Any, move: dict[str, t.Any], words: str) -> None:
    with pytest.raises(LifeboatError, match=words):
        drill(fault, **move)


@pytest.mark.parametrize(
    ("name", "found", "other"),
    [("live_aborted_by_operator", BY_OPERATOR, AT_TIMEOUT), ("live_aborted", AT_TIMEOUT, BY_OPERATOR)],
)
def test_an_abort_by_an_operator_and_one_at_the_timeout_are_two_drills(name: str, found: str, other: str) -> None:
    move = yaml.safe_load((MOVING / f"{name}.yml").read_text(encoding="utf-8"))["move"]
    of = drill(**move)
    assert judged(of, moved("cmp1", found=found), guest())["verdict"] == "passed"
    entry = judged(of, moved("cmp1", found=other), guest())
    assert entry["verdict"] == "missed" and f"{other!r}, not with {move['reason']!r}" in entry["reasons"][0]
    assert judged(of, moved("cmp2"), guest())["verdict"] == "failed"


def test_a_drill_without_fault_or_move_is_refused() -> None:
    mapping = drill().as_mapping()
    del mapping["move"]
    with pytest.raises(LifeboatError, match="a fault, a move, or both"):
        read_drill("test", mapping)


def test_a_fault_of_a_moved_host_needs_a_move() -> None:
    mapping = drill(POWER_OFF).as_mapping()
    del mapping["move"]
    with pytest.raises(LifeboatError, match="Add the key move"):
        read_drill("test", mapping)


def test_servers_leave_the_host_that_has_most_of_them() -> None:
    of = drill(by="playbook", servers=2)
    made = plan(of, server("b", "cmp2"), server("a", "cmp2"), server("c", "cmp1"), server("d", "cmp2", "SHUTOFF"))
    assert [(each.name, each.source, each.destination) for each in made.moving] == [
        ("a", "cmp2", "cmp1"),
        ("b", "cmp2", "cmp1"),
    ]
    assert made.refused is None and "a, b from cmp2 to cmp1" in made.prediction


@pytest.mark.parametrize(("pick", "victim"), [("move_source", "cmp1"), ("move_destination", "cmp2")])
def test_the_fault_hits_one_of_the_two_hosts(pick: str, victim: str) -> None:
    assert plan(drill({**POWER_OFF, "pick": pick}), server("a", "cmp1")).victims == (victim,)


@pytest.mark.parametrize(
    ("servers", "hypervisors", "words"),
    [
        ([server("a", "cmp1")], ("cmp1",), "found cmp1; expected at least 2"),
        ([], ("cmp1", "cmp2"), "found 0 on cmp1, 0 on cmp2; expected 1"),
        ([server("a", "cmp1", "ERROR")], ("cmp1", "cmp2"), "expected 1 that run"),
    ],
)
def test_a_drill_is_refused_without_servers_or_somewhere_to_go(
    servers: list[dict[str, str]], hypervisors: tuple[str, ...], words: str
) -> None:
    assert words in (plan(drill(), *servers, hypervisors=hypervisors).refused or "")


def test_a_server_that_arrived_and_forgot_nothing_passes() -> None:
    entry = judged(drill(), moved(), guest())
    assert (entry["verdict"], entry["reasons"], entry["fault"]) == ("passed", [], None)
    shown = str(drill_section(read_entry("entry", entry)))
    assert "drill-1 from cmp1 to cmp2 in 9.5" in shown and "8.5" in shown
    assert "Same boot" in shown and "10.0.0.9" in shown


def test_a_drill_whose_servers_may_boot_asks_them_for_no_one_boot() -> None:
    of = drill(demand={"bound": {"reboots": 1}})
    assert judged(of, moved(guests=[asked(boot_after="b")]), guest())["verdict"] == "passed"


LANDED = {"host": "cmp2", "landed": True, "active": None, "evidence": "off", "injected_at": 1015.0, "healed_at": 1025.0}
LOADED = drill(writes=48, link=32)
REFUSED = {"without": "rights", "refused": True, "found": "status 403", "expected": "403"}


@pytest.mark.parametrize(
    ("of", "move", "probe", "faults", "verdict", "words"),
    [
        (drill(), moved("cmp1", found="no room"), guest(), (), "failed", "had to go to cmp2: no room"),
        (drill(), moved("cmp3"), guest(), (), "failed", "had to go to cmp2"),
        (drill(destination="automatic"), moved("cmp3"), guest(), (), "passed", ""),
        (drill(destination="automatic"), moved("cmp1"), guest(), (), "failed", "another host than cmp1"),
        (drill(), moved(status="ERROR"), guest(), (), "failed", "is ERROR on cmp2"),
        (drill(ends="stayed"), moved(), guest(), (), "failed", "had to stay on cmp1"),
        (drill(ends="stayed"), moved("cmp1"), guest(), (), "passed", ""),
        (drill(ends="stayed", reason="aborted"), moved("cmp1", found="no room"), guest(), (), "missed", "not with"),
        (drill(ends="stayed", reason="aborted"), moved("cmp1", found="was aborted"), guest(), (), "passed", ""),
        (drill(ends="lost"), moved(None, "ERROR"), guest(), (), "passed", ""),
        (drill(ends="lost"), moved(), guest(), (), "missed", "did not cost"),
        (drill(within="9s"), moved(), guest(), (), "failed", "took 9.5 s, bound 9.0 s"),
        (drill(within="9s"), moved(measured_s=None), guest(), (), "failed", "took 10.0 s, bound 9.0 s"),
        (drill(within="5s", on_timeout="force"), moved(), guest(), (), "passed", ""),
        (drill(by="playbook", servers=2, within="5s"), moved(measured_s=None), guest(), (), "passed", ""),
        (drill(by="playbook", killed=True, within="5s"), moved(measured_s=None), guest(), (), "passed", ""),
        (drill(by="playbook", killed=True, within="4s"), moved(measured_s=None), guest(), (), "failed", "bound 8.0 s"),
        (drill(by="playbook"), moved(found="fatal: no receipt"), guest(), (), "failed", "failed: fatal: no receipt"),
        (drill(), moved(servers=[], found="no plan"), guest(), (), "missed", "no plan"),
        (drill(), None, guest(), (), "void", "not looked at"),
        (drill(), moved(guests=[]), guest(), (), "missed", "Only 0 of 1 guests were asked"),
        (drill(), moved(guests=[asked(boot_before=None)]), guest(), (), "missed", "did not answer before"),
        (drill(), moved(guests=[asked(boot_after=None)]), guest(), (), "failed", "does not answer any more"),
        (drill(), moved(guests=[asked(boot_after="b")]), guest(), (), "failed", "10.0.0.9 was booted meanwhile"),
        (drill(), moved(guests=[asked(counter_after=7)]), guest(), (), "failed", "to 7 before, and to 7 afterwards"),
        (drill(kind="cold"), moved(guests=[asked(boot_after="b")]), guest(), (), "passed", ""),
        (drill(ends="lost"), moved(None, "ERROR", guests=[asked(boot_after=None)]), guest(), (), "passed", ""),
        (LOADED, moved(guests=[asked(writes_mib_s=32.4, still_writes=True)]), guest(), (), "passed", ""),
        (
            LOADED,
            moved(guests=[asked(writes_mib_s=31.6, still_writes=True)]),
            guest(),
            (),
            "missed",
            "wrote 31.6 MiB/s",
        ),
        (LOADED, moved(guests=[asked(writes_mib_s=99.0, still_writes=False)]), guest(), (), "missed", "to the end"),
        (drill(writes=48), moved(), guest(), (), "missed", "so there was no load"),
        (drill(), moved(), guest(unexpected=1), (), "failed", "booted 1 times meanwhile, bound 0"),
        (drill(), moved(), guest(lost=1), (), "failed", "1 of 140"),
        (drill(), moved(), guest(stopped_at=1019.0), (), "void", "did not watch"),
        (
            drill(demand={"error_lacks": "session lost"}),
            moved(),
            guest(errors={"session lost": 2, "timeout": 1}),
            (),
            "failed",
            "2 of 150 requests failed with 'session lost'",
        ),
        (drill(POWER_OFF, ends="stayed"), moved("cmp1", interrupted_at=1015.0), guest(), (LANDED,), "passed", ""),
        (
            drill(POWER_OFF, ends="stayed"),
            moved("cmp1", interrupted_at=1021.0),
            guest(),
            (LANDED,),
            "missed",
            "ended before it was disturbed",
        ),
        (drill(ends="stayed", without=["rights"]), moved("cmp1", refused=[REFUSED]), guest(), (), "passed", ""),
        (drill(ends="stayed", without=["rights"]), moved("cmp1"), guest(), (), "missed", "nothing was tried"),
        (
            drill(ends="stayed", without=["rights"]),
            moved("cmp1", refused=[{**REFUSED, "refused": False}]),
            guest(),
            (),
            "failed",
            "was not refused",
        ),
        (
            drill(ends="stayed", without=["rights"]),
            moved("cmp1", refused=[{**REFUSED, "found": "timeout"}]),
            guest(),
            (),
            "failed",
            "the reason was 'timeout'",
        ),
    ],
)
def test_what_became_of_the_server_decides(
    of: Drill, move: t.Any, probe: dict[str, t.Any], faults: t.Any, verdict: str, words: str
) -> None:
    entry = judged(of, move, probe, *faults)
    assert entry["verdict"] == verdict, entry["reasons"]
    assert words in " ".join(entry["reasons"])
