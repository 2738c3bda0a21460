# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision table of the Galera recovery: never a choice that loses data, and every refusal with its evidence."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera import NIL_UUID
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera_recovery import (
    Action,
    Decision,
    MemberState,
    decide,
    member_state,
)
from ansible_collections.lifeboat.cloud.plugins.modules import galera_recovery_plan
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

UUID = "6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e"
OTHER = "7f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e"


def stopped(host: str, seqno: int | None = 10, **changes: t.Any) -> MemberState:
    return dataclasses.replace(MemberState(host, uuid=UUID, seqno=seqno, safe_to_bootstrap=False), **changes)


def running(host: str, primary: bool | None, **changes: t.Any) -> MemberState:
    return stopped(host, running=True, primary=primary, **changes)


def lost(host: str) -> MemberState:
    return MemberState(host, reachable=False)


def refused(members: list[MemberState], expected: int = 3, override: str | None = None) -> str:
    with pytest.raises(LifeboatError) as refusal:
        decide(members, expected, override)
    message = str(refusal.value)
    assert all(str(member) in message for member in members), "the evidence of every member"
    assert "database_recover_from" in message, "the way out"
    return refusal.value.found.partition(". Evidence")[0]


class TestSomebodyIsPrimary:
    def test_all_run(self) -> None:
        decision = decide([running("a", True), running("b", True), running("c", True)], 3)
        assert (decision.action, decision.join_hosts, decision.bootstrap_host) == (Action.NONE, (), None)

    def test_the_stopped_ones_join(self) -> None:
        decision = decide([stopped("c", -1), running("a", True), stopped("b", 3)], 3)
        assert (decision.action, decision.join_hosts, decision.bootstrap_host) == (Action.JOIN, ("b", "c"), None)

    def test_one_outside_of_the_component_joins(self) -> None:
        assert decide([running("a", True), running("b", False)], 2).join_hosts == ("b",)

    def test_one_that_does_not_say_is_left_alone(self) -> None:
        decision = decide([running("a", True), running("b", None), stopped("c")], 3)
        assert (decision.action, decision.join_hosts, decision.stop_hosts) == (Action.JOIN, ("c",), ())

    def test_an_unreachable_one_is_not_needed(self) -> None:
        decision = decide([running("a", True), lost("b"), stopped("c")], 3)
        assert (decision.action, decision.join_hosts) == (Action.JOIN, ("c",))
        assert any("b: unknown:unknown (unreachable" in line for line in decision.evidence)

    def test_a_fresh_member_joins(self) -> None:
        assert decide([running("a", True), stopped("b", -1, uuid=NIL_UUID)], 2).join_hosts == ("b",)

    def test_data_of_another_cluster_are_not_overwritten(self) -> None:
        members = [running("a", True), stopped("b", uuid=OTHER)]
        assert "different clusters" in refused(members, 2)
        assert decide(members, 2, "a").join_hosts == ("b",), "the operator may say so"

    def test_data_ahead_of_the_component_are_not_overwritten(self) -> None:
        members = [running("a", True, seqno=10), stopped("b", 11), stopped("c", 9)]
        assert refused(members) == "b ahead of the primary component"
        assert decide(members, 3, "a").join_hosts == ("b", "c")

    def test_two_clusters_side_by_side(self) -> None:
        members = [running("a", True), running("b", True, uuid=OTHER)]
        assert "different clusters" in refused(members, 2)
        assert decide(members, 2, "b").join_hosts == ("a",)

    @pytest.mark.parametrize("choice", ["b", "c"])
    def test_the_override_makes_no_second_component(self, choice: str) -> None:
        members = [running("a", True), stopped("b"), running("c", False)]
        assert refused(members, 3, choice) == "a running as Primary"


class TestNobodyIsPrimary:
    @pytest.mark.parametrize("primary", [False, None])
    def test_those_that_run_are_stopped_first(self, primary: bool | None) -> None:
        decision = decide([running("c", primary), stopped("b"), running("a", False)], 3)
        assert (decision.action, decision.stop_hosts) == (Action.STOP, ("a", "c"))
        assert decision.bootstrap_host is None and decision.join_hosts == ()

    def test_also_with_an_override(self) -> None:
        decision = decide([running("c", False), stopped("b"), lost("a")], 3, "b")
        assert (decision.action, decision.stop_hosts) == (Action.STOP, ("c",))

    def test_nothing_is_stopped_while_one_is_unreachable(self) -> None:
        assert refused([running("a", False), running("b", False), lost("c")]) == "c unreachable"


class TestAllAreStopped:
    def test_the_highest_sequence_number_wins(self) -> None:
        decision = decide([stopped("a", 9), stopped("b", 11), stopped("c", 10)], 3)
        assert (decision.action, decision.bootstrap_host) == (Action.BOOTSTRAP, "b")
        assert decision.join_hosts == ("a", "c")

    def test_among_equals_the_first_by_name(self) -> None:
        for members in itertools.permutations([stopped("a"), stopped("b"), stopped("c", 9)]):
            assert decide(members, 3).bootstrap_host == "a"

    def test_among_equals_the_one_marked_safe(self) -> None:
        assert decide([stopped("a"), stopped("b", safe_to_bootstrap=True), stopped("c")], 3).bootstrap_host == "b"

    def test_a_mark_behind_another_is_a_contradiction(self) -> None:
        members = [stopped("a", 9, safe_to_bootstrap=True), stopped("b"), stopped("c")]
        assert refused(members) == "a marked safe_to_bootstrap and behind another member"
        assert decide(members, 3, "a").bootstrap_host == "a"

    @pytest.mark.parametrize("seqno", [-1, None])
    def test_an_unknown_position(self, seqno: int | None) -> None:
        members = [stopped("a"), stopped("b", seqno), stopped("c")]
        assert refused(members) == "no known position on b"
        assert decide(members, 3, "c").bootstrap_host == "c"

    def test_an_unknown_cluster(self) -> None:
        assert refused([stopped("a"), stopped("b", uuid=None), stopped("c")]) == "no known position on b"

    def test_two_clusters(self) -> None:
        members = [stopped("a"), stopped("b"), stopped("c", 99, uuid=OTHER)]
        assert refused(members) == "data of different clusters"
        assert decide(members, 3, "b").bootstrap_host == "b"

    def test_an_unreachable_member_may_have_the_newest_data(self) -> None:
        members = [stopped("a"), stopped("b"), lost("c")]
        assert refused(members) == "c unreachable"
        decision = decide(members, 3, "b")
        assert (decision.bootstrap_host, decision.join_hosts) == ("b", ("a",))

    def test_a_member_that_nobody_asked(self) -> None:
        assert refused([stopped("a"), stopped("b")]) == "2 members"

    def test_a_last_view_with_more_members_than_known(self) -> None:
        members = [stopped("a", gvwstate_members=("1", "2", "3", "4")), stopped("b"), stopped("c")]
        assert refused(members) == "a last view of 4 members"

    def test_members_without_data_are_not_chosen_but_join(self) -> None:
        decision = decide([stopped("a", -1, uuid=NIL_UUID), stopped("b", 0), stopped("c", 5, uuid=NIL_UUID)], 3)
        assert (decision.bootstrap_host, decision.join_hosts) == ("b", ("a", "c"))

    def test_nobody_has_data(self) -> None:
        assert refused([stopped(host, -1, uuid=NIL_UUID) for host in "abc"]) == "no data on any member"


class TestOverride:
    def test_no_such_member(self) -> None:
        assert "which is no member" in refused([stopped("a"), stopped("b"), stopped("c")], 3, "d")

    def test_unreachable(self) -> None:
        assert "unreachable" in refused([stopped("a"), stopped("b"), lost("c")], 3, "c")

    def test_without_data(self) -> None:
        assert "without data" in refused([stopped("a", -1, uuid=NIL_UUID), stopped("b"), stopped("c")], 3, "a")

    def test_behind_another(self) -> None:
        assert decide([stopped("a", 1), stopped("b", 2), stopped("c", 3)], 3, "a").bootstrap_host == "a"


def test_members_named_twice_or_not_at_all() -> None:
    assert refused([stopped("a"), stopped("a")], 2) == "a host named twice"
    assert refused([], 0) == "no members"


def test_evidence_reads_well() -> None:
    assert (
        str(stopped("a", 7, error="InnoDB says no")) == f"a: {UUID}:7 (stopped, safe_to_bootstrap 0) [InnoDB says no]"
    )


def test_from_json() -> None:
    facts = {"host": "a", "running": False, "uuid": UUID, "seqno": 4, "gvwstate_members": ["x"], "grastate": {}}
    assert member_state(facts) == MemberState("a", uuid=UUID, seqno=4, gvwstate_members=("x",))
    assert member_state({"host": "b", "reachable": False}) == lost("b")
    with pytest.raises(LifeboatError, match="host in each"):
        member_state({"running": True})


STATES = st.builds(
    MemberState,
    host=st.just("x"),
    running=st.booleans(),
    primary=st.sampled_from([None, True, False]),
    reachable=st.sampled_from([True, True, True, False]),
    uuid=st.sampled_from([UUID, UUID, UUID, OTHER, NIL_UUID, None]),
    seqno=st.sampled_from([-1, None, 0, 1, 2, 3]),
    safe_to_bootstrap=st.sampled_from([None, False, False, True]),
)
CLUSTERS = st.lists(STATES, min_size=1, max_size=5).map(
    lambda states: [dataclasses.replace(state, host=f"ctl{n}") for n, state in enumerate(states)]
)


def outcome(members: list[MemberState], override: str | None = None) -> Decision | None:
    try:
        return decide(members, len(members), override)
    except LifeboatError:
        return None


STOPPED_CLUSTERS = CLUSTERS.map(
    lambda states: [dataclasses.replace(state, running=False, reachable=True) for state in states]
)


@given(CLUSTERS | STOPPED_CLUSTERS)
def test_without_an_override_the_choice_is_always_the_newest_of_one_complete_cluster(
    members: list[MemberState],
) -> None:
    decision = outcome(members)
    if decision is None or decision.action is not Action.BOOTSTRAP:
        return
    chosen = next(member for member in members if member.host == decision.bootstrap_host)
    assert all(member.reachable and not member.running for member in members)
    assert {member.uuid for member in members} - {NIL_UUID} == {chosen.uuid}
    positions = [member.seqno for member in members if member.uuid != NIL_UUID]
    assert all(seqno is not None and seqno >= 0 for seqno in positions)
    assert chosen.seqno == max(t.cast("list[int]", positions))


@given(CLUSTERS, st.sampled_from([None, "ctl0", "ctl1"]))
def test_never_a_second_primary_component(members: list[MemberState], override: str | None) -> None:
    decision = outcome(members, override)
    if any(member.serves for member in members):
        assert decision is None or decision.action in (Action.NONE, Action.JOIN)
    elif decision is not None:
        assert decision.action in (Action.STOP, Action.BOOTSTRAP)


@given(CLUSTERS, st.sampled_from([None, "ctl0", "ctl1"]))
def test_the_hosts_of_a_decision_are_reachable_and_apart(members: list[MemberState], override: str | None) -> None:
    decision = outcome(members, override)
    if decision is not None:
        touched = [*decision.join_hosts, *decision.stop_hosts, *filter(None, [decision.bootstrap_host])]
        assert len(set(touched)) == len(touched)
        assert set(touched) <= {member.host for member in members if member.reachable}
        assert len(decision.evidence) == len(members)


@given(STOPPED_CLUSTERS)
def test_a_stopped_cluster_is_bootstrapped_exactly_when_nothing_is_in_doubt(members: list[MemberState]) -> None:
    holding = [member for member in members if member.uuid != NIL_UUID]
    numbers = [-1 if member.seqno is None else member.seqno for member in holding]
    certain = (
        len({member.uuid for member in holding}) == 1
        and holding[0].uuid is not None
        and min(numbers) >= 0
        and not any(member.safe_to_bootstrap and member.seqno != max(numbers) for member in holding)
    )
    assert (outcome(members) is not None) is certain


@given(CLUSTERS, st.randoms())
def test_the_order_of_the_members_does_not_matter(members: list[MemberState], chance: t.Any) -> None:
    shuffled = list(members)
    chance.shuffle(shuffled)
    assert outcome(members) == outcome(shuffled)


FACTS: list[dict[str, t.Any]] = [{"host": host, "running": False, "uuid": UUID, "seqno": 10} for host in "abc"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("choice", [{}, {"recover_from": ""}])
def test_the_module_decides_and_an_empty_variable_is_no_choice(check: bool, choice: dict[str, str]) -> None:
    result = run_module(galera_recovery_plan.main, check, members=FACTS, expected_members=3, **choice)
    assert (result["changed"], result["decision"]["action"]) == (False, "bootstrap")
    assert (result["decision"]["bootstrap_host"], result["decision"]["join_hosts"]) == ("a", ["b", "c"])


def test_the_module_refuses_with_every_position_and_the_way_out() -> None:
    members = [*FACTS[:2], {"host": "c", "reachable": False}]
    failed = run_module(galera_recovery_plan.main, members=members, expected_members=3)
    assert failed["failed"] and failed["found"].startswith("c unreachable")
    assert all(said in failed["found"] for said in (f"a: {UUID}:10", f"b: {UUID}:10", "c: unknown:unknown"))
    assert "database_recover_from" in failed["remedy"]
    chosen = run_module(galera_recovery_plan.main, members=members, expected_members=3, recover_from="b")
    assert chosen["decision"]["bootstrap_host"] == "b"
