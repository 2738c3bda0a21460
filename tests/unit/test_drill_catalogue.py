# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every drill of the catalogue is valid, and says what the issue's figures say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Demand, Drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, select
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import AuditName, Component, Pick
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_audits import AUDITS

CATALOGUE = Path(__file__).parents[2] / "roles" / "drill" / "files" / "catalogue"
PROBES = (
    "identity_api",
    "identity_token",
    "database_ledger",
    "database_member",
    "database_minority",
    "message_ledger",
    "message_ledger_consume",
    "vip_tcp",
    "vip_http",
)
LEDGERS = {"database_ledger", "database_member", "database_minority", "message_ledger"}
DRILLS = {drill.name: drill for drill in load([CATALOGUE], PROBES)}


def bound(drill: str, probe: str) -> float | None:
    return {demand.name: demand.bound.outage for demand in DRILLS[drill].probes}[probe]


def test_there_are_the_twenty_drills() -> None:
    faults = {
        (str(drill.fault.form), drill.fault.component and str(drill.fault.component), str(drill.fault.pick))
        for drill in DRILLS.values()
    }
    assert len(DRILLS) == 20
    # The VIP holder loses power twice: once for the address alone, once for everything under load.
    assert len(faults) == 19


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)
def test_a_drill_is_short_watched_and_audited(drill: Drill) -> None:
    assert 5 <= drill.hold <= 12
    assert 1 <= len(drill.probes) <= 4
    assert drill.recovery.within <= 120
    assert drill.limit is not None
    assert "no_core_dump" in drill.audits
    assert drill.says.endswith(".")
    assert set(drill.tags) and not set(drill.tags) & {"all", *DRILLS}
    assert re.fullmatch(r"[a-z_]+", drill.name)


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)
def test_no_ledger_may_lose_anything(drill: Drill) -> None:
    for demand in drill.probes:
        assert demand.bound.lost == (0 if demand.name in LEDGERS else None)


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)
def test_redundancy_is_needed_before_a_cluster_is_hurt(drill: Drill) -> None:
    needs = dict(drill.needs)
    hurt = {drill.fault.component} if drill.fault.component else {Component.DATABASE, Component.MESSAGE_QUEUE}
    for component in hurt & {Component.DATABASE, Component.MESSAGE_QUEUE}:
        assert needs[component] == 3
    if drill.fault.pick is Pick.VIP_HOLDER:
        assert needs[Component.VIP] >= 2
    assert set(needs) <= set(drill.steady)


@pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)
def test_every_probe_is_held_to_something(drill: Drill) -> None:
    for demand in drill.probes:
        assert demand != Demand(demand.name)


@pytest.mark.parametrize(
    ("drill", "probe", "most"),
    [
        ("vip_holder_power_lost", "vip_tcp", 0.4),
        ("vip_holder_network_cut", "vip_tcp", 0.4),
        ("vip_holder_frozen", "vip_http", 0.4),
        ("keepalived_killed", "vip_tcp", 0.4),
        ("load_balancer_killed", "identity_api", 0.6),
        *((f"galera_writer_{how}", "database_ledger", 1.6) for how in ("killed", "hung", "silent")),
        *((f"galera_writer_{how}", "database_member", 1.3) for how in ("killed", "hung", "silent")),
        ("queue_leader_killed", "message_ledger", 0.6),
        ("queue_leader_killed", "message_ledger_consume", 0.6),
        *((f"queue_leader_{how}", "message_ledger", 1.7) for how in ("hung", "silent", "partitioned")),
        *((f"queue_leader_{how}", "message_ledger_consume", 1.7) for how in ("hung", "silent", "partitioned")),
    ],
)
def test_bounds_are_the_figures_to_reach(drill: str, probe: str, most: float) -> None:
    assert bound(drill, probe) == most


def test_backends_may_fail_as_many_requests_as_the_issue_says() -> None:
    api = {name: DRILLS[name].probes[0].bound for name in ("identity_backend_killed", "identity_backend_hung")}
    assert api["identity_backend_killed"].failed == 1
    assert (api["identity_backend_hung"].failed, api["identity_backend_hung"].p999) == (0, 0.6)


def test_an_absent_service_must_be_seen_to_fail() -> None:
    absent = {demand.name: demand for demand in DRILLS["identity_stopped_everywhere"].probes}["identity_api"]
    assert absent.error_contains == "503"
    assert absent.at_least.outage and absent.at_least.failed
    minority = {demand.name: demand for demand in DRILLS["galera_member_partitioned"].probes}["database_minority"]
    assert minority.at_least.outage and minority.at_least.failed


def test_the_holds_leave_the_catalogue_room_in_twenty_minutes() -> None:
    assert sum(drill.hold for drill in DRILLS.values()) <= 3 * 60


def test_tags_select_the_components() -> None:
    drills = tuple(DRILLS.values())
    assert len(select(drills, "galera")) == 5
    assert len(select(drills, "rabbitmq")) == 4
    assert len(select(drills, "vip")) == 6


def test_a_drill_may_name_every_audit_that_can_be_made() -> None:
    assert {str(name) for name in AuditName} == set(AUDITS)
