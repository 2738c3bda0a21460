# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules drill_plan, drill_verdict and drill_report as a drill calls them: each takes what the one before said."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.modules import drill_plan, drill_report, drill_verdict
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import RUN, Entry
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.steady_samples import HOSTS, controller

DRILL = """
name: writer_hung
says: The writer hangs.
tags: [database]
needs: {database: 3}
probes: {database_ledger: {bound: {outage: 1600ms, lost: 0}}}
fault: {form: hang, component: database, pick: active_writer}
hold: 4s
recovery: {within: 1min}
limit: {formula: galera_member_loss, probe: database_ledger}
audits: [no_core_dump]
"""
REFUSED = """
name: refused
says: A migration is refused.
tags: [moving]
move: {ends: stayed, without: [rights]}
probes: {guest_counter: {bound: {lost: 0}}}
hold: 4s
recovery: {within: 1min}
"""
ROLE = Path(__file__).parents[2] / "roles/drill"
DATABASE = {"suspect_timeout_s": 1.0, "join_retrans_period_s": 0.1, "inactive_check_period_s": 0.1}
# The instants of the entry's probe, whose slices begin and end here.
PROBED, INJECTED, HEALED, OVER = 1795256110.0, 1795256112.0, 1795256116.0, 1795256118.0

Result = dict[str, t.Any]


@pytest.fixture
def facts() -> Result:
    """Three steady controllers; ctl2 serves the writes."""
    found = {host: controller(host == "ctl1") for host in HOSTS}
    for host in HOSTS:
        for name, server in found[host]["load_balancer"]["backends"]["database"].items():
            server["backup"] = name != "ctl2"
    return found


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (tmp_path / "drills").mkdir()
    (tmp_path / "drills" / "writer_hung.yml").write_text(DRILL)
    return tmp_path / "drills"


def plan(catalogue: Path, check: bool = False, **options: t.Any) -> Result:
    return run_module(drill_plan.main, check, catalogue=[str(catalogue)], **options)


def plan_for(catalogue: Path, facts: Result) -> Result:
    settings = {host: {"database": DATABASE} for host in HOSTS}
    return plan(catalogue, drill="writer_hung", facts=facts, settings=settings, observer="client1")


def verdict(planned: Result, entry: Entry, check: bool = False, **changes: t.Any) -> Result:
    """The verdict on the drill that hit ctl2 and left the entry's measurements."""
    fault = {"host": "ctl2", "landed": True, "active": True, "injected_at": INJECTED, "healed_at": HEALED}
    left = {
        "faults": [{**fault, "evidence": {"state": "T"}}],
        "probes": entry["probes"][:1],
        "recovery": {"recovered": True, "seconds": 1.87},
        "audits": [{"name": "no_core_dump", "passed": True, "detail": "none"}],
        "timeline": [{"at": HEALED, "what": "healed"}, {"at": INJECTED, "what": "injected"}],
        "started_at": PROBED,
        "finished_at": OVER,
    }
    (drill,) = planned["drills"]
    return run_module(drill_verdict.main, check, drill=drill, plan=planned["plan"], **{**left, **changes})


@pytest.mark.parametrize("check", [False, True])
def test_a_plan_names_the_victim_and_the_interval(catalogue: Path, facts: Result, check: bool) -> None:
    planned = plan_for(catalogue, facts)["plan"]
    assert (planned["victims"], planned["peers"], planned["refused"]) == (["ctl2"], ["ctl1", "ctl3"], None)
    low, high = planned["limit_s"]
    assert 1.0 <= low < high <= 1.6
    assert "ctl2" in planned["prediction"] and "galera_member_loss" in planned["prediction"]
    (drill,) = plan(catalogue, check)["drills"]
    assert (drill["hold"], drill["recovery"]["within"]) == (4.0, 60.0)


def test_a_cluster_without_its_redundancy_is_refused_with_the_reason(catalogue: Path, facts: Result) -> None:
    facts["ctl3"]["database"]["status"] = "non-Primary"
    planned = plan_for(catalogue, facts)
    assert planned["plan"]["victims"] == [] and planned["plan"]["limit_s"] is None
    assert "database" in planned["plan"]["refused"] and "3" in planned["plan"]["refused"]


@pytest.mark.parametrize(
    ("options", "thing", "said"),
    [
        ({"wanted": "writer_hang"}, "drill", "Did you mean writer_hung?"),
        ({"known_probes": ["database_leger"]}, "drill file", "Did you mean database_leger?"),
        ({"probes": {"vip_tcp": {}}}, "drill file", "vip_tcp"),
        ({"drill": "other", "facts": {}, "settings": {}}, "drill", "writer_hung"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(catalogue: Path, options: Result, thing: str, said: str) -> None:
    failed = plan(catalogue, **options)
    assert failed["failed"] and failed["remedy"]
    assert failed["thing"].startswith(thing) and said in failed["msg"]


NEEDED = {"rights": {"cloud": "demo", "expected": "403"}}


@pytest.mark.parametrize(
    ("prerequisites", "thing", "said"),
    [
        ({"tls": NEEDED["rights"]}, "drill refused", "found 'rights'"),
        ({"right": NEEDED["rights"]}, "drill refused", "Did you mean right?"),
        (
            {**NEEDED, "tls": {"hiden": ["/a"], "expected": "a"}},
            "variable drill_prerequisites, key tls.hiden",
            "hidden",
        ),
        ({**NEEDED, "tls": {"hidden": ["a.pem"], "expected": "a"}}, "variable drill_prerequisites", "absolute paths"),
        ({**NEEDED, "tls": {"hidden": ["/a.pem"]}}, "variable drill_prerequisites", "Add the key expected"),
        ({**NEEDED, "tls": ["/a.pem"]}, "variable drill_prerequisites, key tls", "Correct the variable."),
        ({**NEEDED, "keys": {"kind": "warm", "expected": "a"}}, "variable drill_prerequisites", "kind of migration"),
        ({**NEEDED, "disk": {"storage": "tape", "expected": "a"}}, "variable drill_prerequisites", "way of the disks"),
        ({**NEEDED, "off": {"stopped": "yes", "expected": "a"}}, "variable drill_prerequisites", "true or false"),
        ({**NEEDED, "up": {"service": {"up": True}, "expected": "a"}}, "variable drill_prerequisites", "service.up"),
        (
            {**NEEDED, "disk": {"settings": {"libvirt": {"images_type": ["a"]}}, "expected": "a"}},
            "variable drill_prerequisites, key disk.settings.libvirt.images_type",
            "a word or a number",
        ),
        (
            {**NEEDED, "disk": {"settings": {"libvirt": {"images_type": 'a"\nb'}}, "expected": "a"}},
            "variable drill_prerequisites, key disk.settings.libvirt.images_type",
            "without quotes",
        ),
    ],
)
def test_a_prerequisite_has_its_form_and_a_drill_names_no_other(
    tmp_path: Path, prerequisites: Result, thing: str, said: str
) -> None:
    (tmp_path / "refused.yml").write_text(REFUSED)
    assert [drill["name"] for drill in plan(tmp_path, prerequisites=NEEDED)["drills"]] == ["refused"]
    failed = plan(tmp_path, prerequisites=prerequisites)
    assert failed["failed"] and failed["thing"].startswith(thing) and said in failed["msg"]


def test_the_prerequisites_of_the_role_are_those_of_its_drill() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))["drill_prerequisites"]
    # What only Ansible knows.
    defaults["storage"]["storage"] = "shared"
    [drill] = plan(ROLE / "files/moving", wanted="migration_refused", prerequisites=defaults)["drills"]
    assert drill["move"]["without"] == list(defaults)


def test_a_drill_is_not_planned_without_facts_and_settings(catalogue: Path) -> None:
    failed = plan(catalogue, drill="writer_hung")
    assert failed["failed"] and "facts" in failed["msg"] and "settings" in failed["msg"]


def test_the_queue_of_a_drill_is_that_of_its_own_probes(catalogue: Path) -> None:
    (drill,) = drill_plan.load([catalogue])
    assert drill_plan.probed_queue(drill, {"database_ledger": {"queue": "own"}, "other": {"queue": "theirs"}}) == "own"
    assert drill_plan.probed_queue(drill, {"other": {"queue": "theirs"}, "database_ledger": None}) == ""


def test_a_planned_drill_is_judged_and_its_entry_is_reported(
    catalogue: Path, facts: Result, entry: Entry, tmp_path: Path
) -> None:
    planned = plan_for(catalogue, facts)
    judged = verdict(planned, entry)
    assert (judged["verdict"], judged["reasons"], judged["changed"]) == ("passed", [], False)
    assert judged["entry"]["limit_s"] == planned["plan"]["limit_s"]
    assert [event["what"] for event in judged["entry"]["timeline"]] == ["injected", "healed"]
    assert verdict(planned, entry, check=True)["entry"] == judged["entry"]
    reported = run_module(drill_report.main, directory=str(tmp_path / "reports"), run=RUN, entry=judged["entry"])
    assert reported["summary"]["passed"] == 1


def test_a_loss_fails_the_drill_but_not_the_module(catalogue: Path, facts: Result, entry: Entry) -> None:
    entry["probes"][0]["lost"] = 2
    judged = verdict(plan_for(catalogue, facts), entry)
    assert judged["verdict"] == judged["entry"]["verdict"] == "failed"
    assert "2 of 2189 acknowledged writes are lost" in " ".join(judged["reasons"])


def test_a_fault_that_hit_somebody_else_is_missed(catalogue: Path, facts: Result, entry: Entry) -> None:
    assert verdict(plan_for(catalogue, facts), entry, faults=[])["verdict"] == "missed"


@pytest.mark.parametrize("where", ["plan", "option"])
def test_a_drill_that_was_not_started_is_refused(catalogue: Path, facts: Result, entry: Entry, where: str) -> None:
    nothing = {"probes": [], "faults": [], "audits": [], "timeline": [], "recovery": {}}
    if where == "plan":
        facts["ctl3"]["database"]["ready"] = False
        judged = verdict(plan_for(catalogue, facts), entry, **nothing)
    else:
        judged = verdict(plan_for(catalogue, facts), entry, refused="a fault stands: database", **nothing)
    assert judged["verdict"] == "refused"
    assert "database" in judged["reasons"][0]


def test_a_measurement_without_its_shape_is_named(catalogue: Path, facts: Result, entry: Entry) -> None:
    del entry["probes"][0]["requests"]
    failed = verdict(plan_for(catalogue, facts), entry)
    assert failed["failed"]
    assert failed["thing"] == "record of the drill writer_hung.probes[0]" and "requests" in failed["expected"]
    assert failed["remedy"]
