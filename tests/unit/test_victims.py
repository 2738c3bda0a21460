# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a fault hits, and when a drill is refused."""

from __future__ import annotations

import copy
import re
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_facts import natural, read_facts
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_plan import make_plan
from ansible_collections.lifeboat.cloud.plugins.module_utils._victims import Choice, Surroundings, choose
from hypothesis import given
from hypothesis import strategies as st

HOSTS = ("ctl1", "ctl2", "ctl3")


def controller(name: str) -> dict[str, t.Any]:
    """The facts of a healthy controller; ctl2 holds the VIP, ctl1 serves the writes, ctl3 leads the queue."""
    servers = {host: {"status": "UP", "backup": host != "ctl1", "sessions": 1, "check": "L7OK"} for host in HOSTS}
    queue = {"type": "quorum", "leader": "rabbit@ctl3", "members": [f"rabbit@{host}" for host in HOSTS]}
    return {
        "vip": {"running": True, "holds": name == "ctl2", "addresses": []},
        "load_balancer": {"running": True, "version": "3.0", "backends": {"database": servers}},
        "database": {"running": True, "status": "Primary", "state": "Synced", "size": 3, "ready": True},
        "message_queue": {"running": True, "alarms": [], "partitions": [], "queues": {"ledger": queue}},
        "cache": {"running": True, "answering": True},
        "identity": {"running": True, "answering": True, "status": 200},
        "core_dumps": [],
    }


def cloud(**changes: dict[str, t.Any]) -> dict[str, t.Any]:
    """Three healthy controllers and a client; changes as ctl1__database={"ready": False}."""
    facts: dict[str, t.Any] = {name: controller(name) for name in HOSTS}
    facts["client1"] = {"core_dumps": []}
    for place, values in changes.items():
        host, _separator, component = place.partition("__")
        facts[host][component].update(values)
    return facts


def drill(form: str, component: str | None, pick: str, **needs: int) -> Drill:
    """A drill that demands nothing else."""
    fault = {"form": form, "pick": pick} | ({"component": component} if component else {})
    fault |= {"network": "management"} if form == "network_cut" else {}
    return read_drill(
        "test",
        {
            "name": "test",
            "says": "A test.",
            "needs": needs,
            "probes": {"identity_api": {}},
            "fault": fault,
            "hold": 1,
            "recovery": {"within": 1},
        },
    )


def pick(one: Drill, facts: dict[str, t.Any], observer: str = "client1", queue: str = "") -> Choice:
    return choose(one, read_facts(facts), Surroundings(observer, queue))


@pytest.mark.parametrize(
    ("form", "component", "whom", "victims", "peers"),
    [
        ("power_off", None, "vip_holder", ["ctl2"], ["ctl1", "ctl3"]),
        ("power_off", None, "not_vip_holder", ["ctl3"], ["ctl1", "ctl2"]),
        ("network_cut", None, "active_writer", ["ctl1"], ["ctl2", "ctl3"]),
        ("crash", "vip", "vip_holder", ["ctl2"], ["ctl1", "ctl3"]),
        ("hang", "identity", "not_vip_holder", ["ctl3"], ["ctl1", "ctl2"]),
        ("crash", "database", "active_writer", ["ctl1"], ["ctl2", "ctl3"]),
        ("partition", "database", "not_active_writer", ["ctl3"], ["ctl1", "ctl2"]),
        ("hang", "message_queue", "queue_leader", ["ctl3"], ["ctl1", "ctl2"]),
        # ctl2 is the highest other one, but it holds the VIP.
        ("hang", "message_queue", "not_queue_leader", ["ctl1"], ["ctl2", "ctl3"]),
        ("hang", "cache", "any", ["ctl3"], ["ctl1", "ctl2"]),
        ("stop", "identity", "all", ["ctl1", "ctl2", "ctl3"], []),
        ("crash", "database", "all", ["ctl1", "ctl2", "ctl3"], []),
    ],
)
def test_the_right_hosts_are_picked(
    form: str, component: str | None, whom: str, victims: list[str], peers: list[str]
) -> None:
    choice = pick(drill(form, component, whom), cloud())
    assert choice.refused is None
    assert list(choice.victims) == victims
    assert list(choice.peers) == peers
    assert choice.holder == "ctl2"


@pytest.mark.parametrize(
    ("states", "writer"),
    [
        ({"ctl1": ("UP", False), "ctl2": ("UP", True), "ctl3": ("UP", True)}, "ctl1"),
        ({"ctl1": ("UP", True), "ctl2": ("UP", False), "ctl3": ("UP", True)}, "ctl2"),
        ({"ctl1": ("DOWN", False), "ctl2": ("DOWN", True), "ctl3": ("UP", True)}, "ctl3"),
        ({"ctl1": ("MAINT", False), "ctl2": ("UP 1/2", True), "ctl3": ("UP", True)}, "ctl2"),
        ({"ctl1": ("no check", False), "ctl2": ("UP", True), "ctl3": ("UP", True)}, "ctl1"),
    ],
)
def test_the_active_writer_is_whom_the_vip_holder_s_load_balancer_uses(
    states: dict[str, tuple[str, bool]], writer: str
) -> None:
    facts = cloud()
    facts["ctl2"]["load_balancer"]["backends"]["database"] = {
        host: {"status": status, "backup": backup} for host, (status, backup) in states.items()
    }
    assert pick(drill("hang", "database", "active_writer"), facts).victims == (writer,)


def test_a_standby_that_is_ill_is_not_picked() -> None:
    assert pick(drill("hang", "identity", "not_vip_holder"), cloud(ctl3__identity={"answering": False})).victims == (
        "ctl1",
    )


def test_numbers_are_compared_as_numbers() -> None:
    assert sorted(["ctl10", "ctl9", "ctl1"], key=natural) == ["ctl1", "ctl9", "ctl10"]


def test_the_leader_of_the_probed_queue_counts() -> None:
    facts = cloud()
    for host in HOSTS:
        facts[host]["message_queue"]["queues"]["other"] = {"leader": "rabbit@ctl1.example.org"}
    one = drill("crash", "message_queue", "queue_leader")
    assert pick(one, facts, queue="other").victims == ("ctl1",)
    assert "ledger on ctl3, other on ctl1.example.org" in str(pick(one, facts).refused)


@pytest.mark.parametrize(
    ("one", "changes", "observer", "reason"),
    [
        (
            drill("power_off", None, "vip_holder"),
            {"ctl1__vip": {"holds": True}},
            "",
            "found ctl1, ctl2; expected exactly",
        ),
        (drill("power_off", None, "vip_holder"), {"ctl2__vip": {"holds": False}}, "", "found nobody"),
        (drill("power_off", None, "vip_holder"), {}, "ctl2", "observer: found ctl2, which the fault hits"),
        (drill("crash", "database", "all"), {}, "ctl1", "observer"),
        (
            drill("crash", "database", "active_writer", database=3),
            {"ctl3__database": {"state": "Donor/Desynced"}},
            "",
            r"members of database: found 2 healthy \(ctl1, ctl2\); expected at least 3",
        ),
        (
            drill("crash", "database", "active_writer"),
            {"ctl3__database": {"ready": False}},
            "",
            "majority of database: found 1 healthy of 3 without ctl1",
        ),
        (
            drill("hang", "message_queue", "queue_leader"),
            {"ctl1__message_queue": {"alarms": ["memory"]}},
            "",
            "majority of message_queue",
        ),
        (
            drill("host_freeze", None, "vip_holder"),
            {"ctl3__database": {"status": "non-Primary"}},
            "",
            "majority of data",
        ),
        (drill("crash", "identity", "any", identity=4), {}, "", "members of identity: found 3 healthy"),
    ],
)
def test_refusals_name_the_evidence(one: Drill, changes: dict[str, t.Any], observer: str, reason: str) -> None:
    choice = pick(one, cloud(**changes), observer)
    assert choice.refused is not None
    assert re.search(reason, choice.refused), choice.refused
    assert choice.victims == ()


def test_a_fault_of_one_of_two_controllers_leaves_no_majority_of_them() -> None:
    facts = {host: {"vip": {"running": True, "holds": host == "ctl2"}} for host in ("ctl1", "ctl2")}
    assert "majority of the controllers" in str(pick(drill("power_off", None, "vip_holder"), facts).refused)


@given(ill=st.sets(st.sampled_from(HOSTS)), whom=st.sampled_from(["active_writer", "not_active_writer", "any"]))
def test_no_fault_on_one_member_leaves_a_minority(ill: set[str], whom: str) -> None:
    facts = cloud(**{f"{host}__database": {"state": "Joining"} for host in ill})
    choice = pick(drill("crash", "database", whom), facts)
    left = set(HOSTS) - ill - set(choice.victims)
    assert (choice.refused is None) <= (len(left) >= 2)
    assert (choice.refused is not None) or len(choice.victims) == 1


def test_a_plan_predicts_or_refuses() -> None:
    mapping = drill("power_off", None, "vip_holder").as_mapping()
    limited = read_drill("test", mapping | {"limit": {"formula": "vrrp_silence", "probe": "identity_api"}})
    vrrp = {"vrrp": {"advert_int_s": 0.1, "priority": 100, "version": 3, "down_timer_adverts": 3}}
    settings = {host: copy.deepcopy(vrrp) for host in HOSTS}
    plan = make_plan(limited, cloud(), settings, Surroundings("client1")).as_mapping()
    assert plan["victims"] == ["ctl2"]
    assert plan["limit_s"] == [0.2609, 0.3609]
    assert "power_off of ctl2: identity_api is expected to be without service for 0.26 s to 0.36 s" in str(
        plan["prediction"]
    )
    refused = make_plan(limited, cloud(), settings, Surroundings("ctl2")).as_mapping()
    assert refused["victims"] == [] and refused["limit_s"] is None
    assert "observer" in refused["refused"]
