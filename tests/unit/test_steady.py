# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steady state: how the answers of all controllers are judged."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.audit import FilterModule as AuditFilter
from ansible_collections.lifeboat.cloud.plugins.filter.steady_findings import FilterModule as FindingsFilter
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_facts import COMPONENTS
from ansible_collections.lifeboat.cloud.tests.unit.steady_samples import HOSTS, NODES, UUID, controller
from hypothesis import given
from hypothesis import strategies as st

EXPECTED = {component: HOSTS for component in COMPONENTS}
AUDITS = ["backends_up", "galera_position_equal", "no_core_dump", "one_vip_holder", "queue_replicas_complete"]

steady_findings = FindingsFilter().filters()["steady_findings"]
audit = AuditFilter().filters()["audit"]
Facts = dict[str, dict[str, t.Any]]


@pytest.fixture
def facts() -> Facts:
    return {host: controller(host == "ctl1") for host in HOSTS}


def found(facts: t.Any, expected: t.Any = EXPECTED) -> list[tuple[str, str | None, str]]:
    findings = steady_findings(facts, expected)
    assert all(finding["expected"] and finding["remedy"] for finding in findings)
    return [(finding["component"], finding["host"], finding["found"]) for finding in findings]


def test_a_steady_control_plane(facts: Facts) -> None:
    assert steady_findings(facts, EXPECTED) == []
    assert [audit(facts, name, EXPECTED)["passed"] for name in AUDITS] == [True] * 5


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("vip.running", False, ("vip", "ctl2", "keepalived not running")),
        ("vip.error", "no ip", ("vip", "ctl2", "no ip")),
        ("load_balancer.running", False, ("load_balancer", "ctl2", "haproxy not running")),
        ("database.status", "non-Primary", ("database", "ctl2", "non-Primary")),
        ("database.state", "Donor/Desynced", ("database", "ctl2", "Donor/Desynced")),
        ("database.size", 2, ("database", "ctl2", "cluster size 2")),
        ("database.ready", False, ("database", "ctl2", "ready OFF")),
        ("database.connected", False, ("database", "ctl2", "connected OFF")),
        ("database.read_only", True, ("database", "ctl2", "read_only ON")),
        ("message_queue.nodes", NODES[:2], ("message_queue", "ctl2", "ctl3 not seen running")),
        ("message_queue.alarms", ["memory of x"], ("message_queue", "ctl2", "alarms: memory of x")),
        ("message_queue.partitions", NODES[2:], ("message_queue", "ctl2", "partitioned from rabbit@ctl3")),
        ("message_queue.error", "silence", ("message_queue", "ctl2", "silence")),
        ("cache.error", "refused", ("cache", "ctl2", "refused")),
        ("identity.status", 503, ("identity", "ctl2", "status 503")),
        ("identity", None, ("identity", "ctl2", "nothing known of it")),
    ],
)
def test_every_fault_of_one_host_is_one_finding(
    path: str, value: object, said: tuple[str, str, str], facts: Facts
) -> None:
    *above, last = path.split(".")
    place: dict[str, t.Any] = facts["ctl2"]
    for key in above:
        place = place[key]
    place[last] = value
    assert found(facts) == [said]


def test_the_error_of_a_stopped_service_is_kept(facts: Facts) -> None:
    facts["ctl3"]["database"] |= {"running": False, "error": "no socket"}
    assert found(facts) == [("database", "ctl3", "mariadb not running (no socket)")]


@given(st.lists(st.booleans(), min_size=1, max_size=7))
def test_any_number_of_holders_but_one_is_a_finding(holding: list[bool]) -> None:
    facts = {f"ctl{n}": {"vip": {"running": True, "holds": holds}} for n, holds in enumerate(holding)}
    expected = {"vip": list(facts)}
    vip = [finding for finding in steady_findings(facts, expected) if finding["component"] == "vip"]
    assert (len(vip) == 0) is (sum(holding) == 1)
    assert audit(facts, "one_vip_holder", expected)["passed"] is (sum(holding) == 1)


def test_two_holders_are_named(facts: Facts) -> None:
    facts["ctl3"]["vip"]["holds"] = True
    assert found(facts) == [("vip", None, "2 holders (ctl1, ctl3)")]
    assert audit(facts, "one_vip_holder", EXPECTED)["detail"] == "2 holders: ctl1, ctl3"


def test_only_the_holders_view_of_the_backends_counts(facts: Facts) -> None:
    facts["ctl2"]["load_balancer"]["backends"]["identity"]["ctl3"]["status"] = "DOWN"
    assert found(facts) == []
    facts["ctl1"]["load_balancer"]["backends"]["identity"]["ctl3"] |= {"status": "DOWN", "check": "L4TOUT"}
    assert found(facts) == [("load_balancer", "ctl3", "DOWN in backend identity of ctl1, last check L4TOUT")]
    assert not audit(facts, "backends_up", EXPECTED)["passed"]


@pytest.mark.parametrize("status", ["UP 1/2", "no check", "MAINT", "DRAIN", "NOLB"])
def test_only_up_is_up(status: str, facts: Facts) -> None:
    facts["ctl1"]["load_balancer"]["backends"]["database"]["ctl2"]["status"] = status
    assert [finding[1] for finding in found(facts)] == ["ctl2"]


def test_a_missing_server_and_a_missing_backend(facts: Facts) -> None:
    del facts["ctl1"]["load_balancer"]["backends"]["identity"]["ctl2"]
    del facts["ctl1"]["load_balancer"]["backends"]["database"]
    said = found(facts)
    assert ("load_balancer", "ctl2", "no such server in backend identity of ctl1") in said
    assert len([finding for finding in said if "backend database" in finding[2]]) == 3


def test_without_a_holder_nobody_vouches_for_the_backends(facts: Facts) -> None:
    facts["ctl1"]["vip"]["holds"] = False
    assert "no VIP holder" in audit(facts, "backends_up", EXPECTED)["detail"]
    facts["ctl1"]["vip"]["holds"] = True
    facts["ctl1"]["load_balancer"]["error"] = "no socket"
    assert audit(facts, "backends_up", EXPECTED) == {
        "name": "backends_up",
        "passed": False,
        "detail": "ctl1: no socket",
    }


def test_two_clusters_of_databases(facts: Facts) -> None:
    facts["ctl2"]["database"]["uuid"] = "other"
    assert found(facts) == [("database", None, f"cluster UUIDs {UUID}, other")]


def test_positions_may_differ_under_load_but_not_in_the_audit(facts: Facts) -> None:
    facts["ctl2"]["database"]["last_committed"] = 4712
    assert found(facts) == []
    result = audit(facts, "galera_position_equal", EXPECTED)
    assert not result["passed"] and f"ctl2 at {UUID}:4712" in result["detail"]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_positions_are_equal_only_if_all_are(positions: list[int]) -> None:
    facts = {
        f"ctl{n}": {"database": {"running": True, "uuid": UUID, "last_committed": position}}
        for n, position in enumerate(positions)
    }
    result = audit(facts, "galera_position_equal", {"database": list(facts)})
    assert result["passed"] is (len(set(positions)) == 1)


def test_a_member_without_a_position_does_not_pass(facts: Facts) -> None:
    facts["ctl2"]["database"]["last_committed"] = None
    assert audit(facts, "galera_position_equal", EXPECTED)["detail"] == "ctl2 has no position"


@pytest.mark.parametrize(
    ("queue", "problem"),
    [
        ({"members": NODES[:1], "online": NODES[:1], "leader": NODES[0]}, "1 members"),
        ({"online": NODES[:2]}, "rabbit@ctl3 not online"),
        ({"leader": None}, "no leader"),
        ({"type": "classic", "leader": None, "members": [], "online": []}, "type classic, without replicas"),
        ({"type": None, "leader": None, "members": [], "online": []}, "does not exist"),
    ],
)
def test_queues(queue: dict[str, t.Any], problem: str, facts: Facts) -> None:
    for host in HOSTS:
        facts[host]["message_queue"]["queues"]["ledger"] |= queue
    assert found(facts) == [("message_queue", None, f"queue ledger: {problem}")]
    assert audit(facts, "queue_replicas_complete", EXPECTED)["detail"] == f"queue ledger: {problem}"


def test_no_queue_at_all_proves_nothing(facts: Facts) -> None:
    for host in HOSTS:
        facts[host]["message_queue"]["queues"] = {}
    assert found(facts) == []
    assert audit(facts, "queue_replicas_complete", EXPECTED)["detail"] == "no queue seen"


def test_a_stream_with_all_its_replicas(facts: Facts) -> None:
    for host in HOSTS:
        facts[host]["message_queue"]["queues"]["ledger"]["type"] = "stream"
    assert found(facts) == []


def test_three_replicas_are_enough_for_five_nodes() -> None:
    hosts = [f"ctl{n}" for n in range(1, 6)]
    facts = {host: {"message_queue": controller(False)["message_queue"]} for host in hosts}
    for host in hosts:
        facts[host]["message_queue"]["nodes"] = [f"rabbit@{each}" for each in hosts]
    assert found(facts, {"message_queue": hosts}) == []


def test_long_host_names(facts: Facts) -> None:
    long = {f"{host}.example.org": {"message_queue": facts[host]["message_queue"]} for host in HOSTS}
    assert found(long, {"message_queue": list(long)}) == []


def test_core_dumps_fail_their_audit(facts: Facts) -> None:
    facts["ctl3"]["core_dumps"] = ["/var/lib/mysql/core.1"]
    assert audit(facts, "no_core_dump", EXPECTED)["detail"] == "ctl3: /var/lib/mysql/core.1"


@pytest.mark.parametrize("name", AUDITS)
@pytest.mark.parametrize("nothing", [None, {}, "unreachable"])
def test_no_audit_passes_on_silence(name: str, nothing: object, facts: Facts) -> None:
    silent: dict[str, t.Any] = dict.fromkeys(HOSTS, nothing)
    assert not audit(silent, name, EXPECTED)["passed"]
    assert not audit({}, name, EXPECTED)["passed"]
    assert not audit(facts, name, {})["passed"], "no host at all proves nothing"


@pytest.mark.parametrize("name", ["galera_position_equal", "no_core_dump", "one_vip_holder", "queue_replicas_complete"])
def test_one_silent_host_is_enough(name: str, facts: Facts) -> None:
    del facts["ctl2"]
    result = audit(facts, name, EXPECTED)
    assert not result["passed"] and "ctl2 did not answer" in result["detail"]


def test_a_host_that_did_not_answer_is_a_finding_for_each_component(facts: Facts) -> None:
    del facts["ctl2"]
    assert {finding[0] for finding in found(facts)} == {
        "vip",
        "load_balancer",
        "database",
        "message_queue",
        "cache",
        "identity",
    }
    assert found(facts, {"cache": ["ctl1"]}) == []


@pytest.mark.parametrize(
    ("facts", "expected", "name", "said"),
    [
        ({}, {"databse": []}, "one_vip_holder", "databse"),
        ([], {}, "one_vip_holder", "two dictionaries"),
        ({}, {}, "two_vip_holders", "one of backends_up"),
    ],
)
def test_wrong_arguments(facts: t.Any, expected: t.Any, name: str, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        audit(facts, name, expected)
