# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From goals to moves: drain, balance, consolidate, spread, and moves that somebody wishes."""

from __future__ import annotations

import math
import statistics

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _plan_goals as goals
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import wishes_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, MIB, fleet, host, server, tools
from hypothesis import given
from hypothesis import strategies as st


def decide(goal, of, *arguments, **options):
    matrix, how = tools(of, **options)
    return goal(of, matrix, how.staying, *arguments)


def after(of, decision):
    layout = Layout(of)
    for move in decision.moves:
        layout.move(of.servers[move.server], move.destination)
    return layout


def why(decision):
    return {
        server: [each.reason for _hosts, against in unplaced.reasons for each in against]
        for unplaced in decision.unplaced
        for server in unplaced.servers
    }


def test_a_drained_host_is_empty_and_the_others_are_loaded_alike():
    of = fleet(4, [server(f"web{each}", "cmp1") for each in range(12)])
    decision = decide(goals.drain, of, ["cmp1"])
    layout = after(of, decision)
    assert [len(layout.on[name]) for name in sorted(layout.on)] == [0, 4, 4, 4]
    assert decision == decide(goals.drain, of, ["cmp1"])


def test_two_drained_hosts_do_not_take_each_other_s_servers():
    of = fleet(3, [server("a", "cmp1"), server("b", "cmp2")])
    assert {move.destination for move in decide(goals.drain, of, ["cmp1", "cmp2"]).moves} == {"cmp3"}


def test_a_host_that_is_not_there_cannot_be_drained():
    with pytest.raises(LifeboatError, match="host cmp7: found no such host"):
        decide(goals.drain, fleet(2, []), ["cmp7"])


def test_members_of_a_group_are_kept_apart_and_soft_groups_where_it_can_be():
    groups = [{"name": "hard", "policy": "anti-affinity"}, {"name": "soft", "policy": "soft-anti-affinity"}]
    of = fleet(
        4,
        [
            *(server(f"h{each}", f"cmp{each}", group="hard") for each in (1, 2, 3)),
            *(server(f"s{each}", f"cmp{each}", group="soft") for each in (1, 2, 3, 4)),
        ],
        groups,
    )
    decision = decide(goals.drain, of, ["cmp1"])
    where = after(of, decision).host_of
    assert where["h1"] == "cmp4"
    assert where["s1"] in {"cmp2", "cmp3"} and not decision.unplaced


def test_a_server_without_a_place_is_named_with_the_reasons_of_every_host():
    of = fleet(
        [host("cmp1"), host("small", memory=GIB), host("off", status="disabled")],
        [server("db", "cmp1", memory=4 * GIB), server("web", "cmp1")],
    )
    decision = decide(goals.drain, of, ["cmp1"])
    assert [move.server for move in decision.moves] == ["web"]
    ((hosts, against), (others, disabled)) = decision.unplaced[0].reasons
    assert (hosts, others) == (("small",), ("off",))
    assert "needs 4 GiB of memory" in against[0].reason and "disabled" in disabled[0].reason


@pytest.mark.parametrize(
    ("values", "policy", "words"),
    [
        ({"movable": "none", "reason": "it has a PCI device"}, Policy(cold=True), "PCI"),
        ({"movable": "cold", "reason": "it is pinned"}, Policy(), "does not allow to stop it"),
        ({"dirty_rate": 1e12}, Policy(auto_converge=False), "writes"),
    ],
)
def test_a_server_that_cannot_leave_says_why(values, policy, words):
    of = fleet(2, [server("db", "cmp1", **values)])
    decision = decide(goals.drain, of, ["cmp1"], policy=policy)
    assert not decision.moves and words in why(decision)["db"][0]


def test_a_server_of_a_host_that_is_down_waits_for_its_evacuation():
    of = fleet([host("cmp1", state="down"), host("cmp2")], [server("db", "cmp1")])
    assert "evacuated" in why(decide(goals.drain, of, ["cmp1"]))["db"][0]


def test_a_server_under_way_is_let_go_and_its_room_and_group_are_taken_there_already():
    groups = [{"name": "db", "policy": "anti-affinity"}]
    guests = [server("a", "cmp1", group="db", bound_for="cmp2"), server("b", "cmp1", group="db")]
    decision = decide(goals.drain, fleet(3, guests, groups), ["cmp1"])
    assert [(move.server, move.destination) for move in decision.moves] == [("b", "cmp3")]
    back = decide(goals.drain, fleet(3, guests, groups), ["cmp1", "cmp2"])
    assert why(back) == {"a": ["it is under way to cmp2"]}


def test_a_host_to_which_a_migration_failed_is_not_tried_again():
    of = fleet(3, [server("web", "cmp1", avoid=["cmp2"])])
    assert decide(goals.drain, of, ["cmp1"]).moves[0].destination == "cmp3"
    only = decide(goals.drain, fleet(2, [server("web", "cmp1", avoid=["cmp2"])]), ["cmp1"])
    assert "has failed" in why(only)["web"][0]


def test_a_server_that_does_not_run_moves_cold_without_asking():
    of = fleet(2, [server("db", "cmp1", movable="cold", status="SHUTOFF")])
    assert decide(goals.drain, of, ["cmp1"]).moves


def test_a_server_whose_group_is_to_stay_together_is_not_torn_away():
    groups = [{"name": "pair", "policy": "affinity"}]
    of = fleet(2, [server("a", "cmp1", group="pair"), server("b", "cmp1", group="pair")], groups)
    decision = decide(goals.drain, of, ["cmp1"])
    assert not decision.moves and "affinity" in why(decision)["a"][0]
    single = fleet(2, [server("a", "cmp1", group="pair")], groups)
    assert decide(goals.drain, single, ["cmp1"]).moves


def test_hosts_without_risk_come_first_and_one_with_risk_is_better_than_none():
    hosts = [host("cmp1", libvirt_version="11.0.0"), host("old", libvirt_version="9.0.0"), host("new")]
    of = fleet(hosts, [server("web", "cmp1"), server("big", "new", memory=8 * GIB)])
    assert decide(goals.drain, of, ["cmp1"]).moves[0].destination == "new"
    full = fleet(hosts, [server("web", "cmp1"), server("big", "new", memory=16 * GIB)])
    assert decide(goals.drain, full, ["cmp1"]).moves[0].destination == "old"


def test_balancing_evens_out_with_few_moves_and_then_rests():
    of = fleet(4, [server(f"web{each}", "cmp1" if each < 12 else "cmp2", vcpus=1) for each in range(16)])
    decision = decide(goals.balance, of, 0.1)
    layout = after(of, decision)
    assert [len(layout.on[name]) for name in sorted(layout.on)] == [4, 4, 4, 4]
    assert len(decision.moves) == 8
    even = fleet(4, [server(f"web{each}", f"cmp{each % 4 + 1}") for each in range(15)])
    assert not decide(goals.balance, even, 0.1).moves


def test_balancing_brings_servers_to_a_new_host_though_no_host_is_far_above_the_mean():
    of = fleet(10, [server(f"web{each}", f"cmp{each % 9 + 1}") for each in range(81)])
    layout = after(of, decide(goals.balance, of, 0.15))
    loads = [layout.load(name) for name in of.hosts]
    assert max(loads) - min(loads) <= 0.15 and statistics.pstdev(loads) < 0.06


def test_balancing_leaves_alone_what_a_move_would_only_carry_elsewhere():
    of = fleet(2, [server("large", "cmp1", memory=15 * GIB)])
    assert not decide(goals.balance, of, 0.1).moves


def test_consolidating_empties_the_least_used_hosts_and_leaves_the_ceiling_alone():
    counts = {"cmp1": 8, "cmp2": 6, "cmp3": 2, "cmp4": 1}
    of = fleet(4, [server(f"{name}-{each}", name) for name, count in counts.items() for each in range(count)])
    decision = decide(goals.consolidate, of, 0.8)
    layout = after(of, decision)
    assert not layout.on["cmp3"] and not layout.on["cmp4"]
    assert max(layout.load(name) for name in of.hosts) <= 0.8
    # All that were moved came from hosts that are empty now.
    assert {move.source for move in decision.moves} == {"cmp3", "cmp4"}


def test_consolidating_leaves_a_host_whole_that_cannot_be_emptied():
    of = fleet(2, [server("a", "cmp1"), server("b", "cmp1", memory=12 * GIB), server("c", "cmp2", memory=14 * GIB)])
    assert not decide(goals.consolidate, of, 0.9).moves
    pinned = fleet(2, [server("a", "cmp1", movable="none"), server("b", "cmp2", memory=2 * GIB)])
    assert [move.server for move in decide(goals.consolidate, pinned, 0.9).moves] == ["b"]


def test_spreading_parts_members_and_leaves_the_one_that_cannot_move():
    groups = [{"name": "db", "policy": "anti-affinity"}]
    of = fleet(
        3,
        [
            server("large", "cmp1", memory=4 * GIB, group="db"),
            server("pinned", "cmp1", group="db", movable="none"),
            server("alone", "cmp2", group="db"),
            server("other", "cmp1"),
        ],
        groups,
    )
    decision = decide(goals.spread, of)
    assert [(move.server, move.destination) for move in decision.moves] == [("large", "cmp3")]
    crowded = fleet(1, [server("a", "cmp1", group="db"), server("b", "cmp1", group="db")], groups)
    assert list(why(decide(goals.spread, crowded))) == ["b"]


@pytest.mark.parametrize(("most", "moved"), [(1, {"b", "c", "d"}), (2, {"c", "d"}), (3, {"d"}), (4, set())])
def test_as_many_members_of_a_group_share_a_host_as_it_allows(most, moved):
    groups = [{"name": "db", "policy": "anti-affinity", "max_server_per_host": most}]
    of = fleet(4, [server(each, "cmp1", group="db") for each in "abcd"], groups)
    assert {move.server for move in decide(goals.spread, of).moves} == moved
    drained = decide(goals.drain, of, ["cmp1", "cmp4"])
    assert len(drained.moves) == min(4, 2 * most)
    together = after(of, drained)
    assert max(len(together.on[name]) for name in of.hosts if name != "cmp1") <= most


SOFT = [{"name": "soft", "policy": "soft-anti-affinity"}]


def test_balancing_goes_round_what_spreading_has_parted():
    # The least loaded host is the one that has the other member.
    guests = [
        server("a", "cmp1", memory=4 * GIB, group="soft"),
        server("locked", "cmp1", memory=8 * GIB, movable="none"),
        server("b", "cmp2", group="soft", movable="none"),
    ]
    full = server("full", "cmp3", memory=3 * GIB, movable="none")
    [move] = decide(goals.balance, fleet(3, [*guests, full], SOFT), 0.1).moves
    assert (move.server, move.destination) == ("a", "cmp3")
    assert not decide(goals.balance, fleet(2, guests, SOFT), 0.1).moves


def test_balancing_moves_members_of_a_soft_group_to_where_no_more_of_them_are():
    crowd = [server(f"a{each}", "cmp1", memory=4 * GIB, group="soft") for each in range(3)]
    of = fleet(2, [*crowd, server("b", "cmp2", group="soft")], SOFT)
    assert [move.destination for move in decide(goals.balance, of, 0.2).moves] == ["cmp2"]


def test_balancing_keeps_together_what_should_rather_be():
    groups = [{"name": "soft", "policy": "soft-affinity"}]
    pair = [server(each, "cmp1", memory=4 * GIB, group="soft") for each in "ab"]
    assert not decide(goals.balance, fleet(2, pair, groups), 0.1).moves
    single = [server("a", "cmp1", memory=4 * GIB, group="soft"), server("b", "cmp1", memory=4 * GIB)]
    assert decide(goals.balance, fleet(2, single, groups), 0.1).moves


def pairs(layout, group):
    """How many pairs of the group's servers share a host."""
    of = layout.fleet.servers
    return sum(math.comb(sum(of[each].group == group for each in on), 2) for on in layout.on.values())


crowds = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(1, 6),
        st.sampled_from([None, "soft", "other"]),
        st.sampled_from(["live", "live", "none"]),
    ),
    min_size=2,
    max_size=16,
)


@given(crowds, st.integers(2, 4), st.sampled_from([0.0, 0.1, 0.3]))
def test_balancing_never_puts_members_of_a_soft_group_together(drawn, hosts, tolerance):
    groups = [{"name": name, "policy": "soft-anti-affinity"} for name in ("soft", "other")]
    servers = [
        server(f"g{number}", f"cmp{place % hosts + 1}", memory=memory * GIB, group=group, movable=movable)
        for number, (place, memory, group, movable) in enumerate(drawn)
    ]
    of = fleet([host(f"cmp{number}", memory=32 * GIB) for number in range(1, hosts + 1)], servers, groups)
    layout = Layout(of)
    for move in decide(goals.balance, of, tolerance).moves:
        before = {name: pairs(layout, name) for name in of.groups}
        layout.move(of.servers[move.server], move.destination)
        assert all(pairs(layout, name) <= count for name, count in before.items())


@pytest.mark.parametrize(
    ("places", "moves"), [([5, 2, 0], 2), ([2, 5, 0], 2), ([3, 1, 1], 1), ([4, 0, 0], 2), ([2, 2, 1], 0)]
)
def test_spreading_makes_a_soft_group_even_that_is_larger_than_the_number_of_hosts(places, moves):
    crowd = [
        server(f"{place}-{each}", f"cmp{place}", group="soft")
        for place, count in enumerate(places, 1)
        for each in range(count)
    ]
    of = fleet(3, crowd, SOFT)
    decision = decide(goals.spread, of)
    counts = [len(on) for on in after(of, decision).on.values()]
    assert max(counts) - min(counts) <= 1
    assert len(decision.moves) == moves


def test_consolidating_puts_members_of_a_soft_group_together_only_where_it_must():
    guests = [
        server("a", "cmp1", group="soft"),
        server("b", "cmp2", memory=6 * GIB, group="soft"),
        server("c", "cmp3", memory=4 * GIB),
    ]
    # The fuller host is the one with the other member.
    [first, *_others] = decide(goals.consolidate, fleet(3, guests, SOFT), 0.9).moves
    assert (first.server, first.destination) == ("a", "cmp3")
    [only] = decide(goals.consolidate, fleet(2, guests[:2], SOFT), 0.9).moves
    assert (only.server, only.destination) == ("a", "cmp2")


def test_consolidating_takes_a_group_that_should_rather_be_together_along():
    groups = [{"name": "soft", "policy": "soft-affinity"}]
    pair = [server(each, "cmp1", group="soft") for each in "ab"]
    others = [server("c", "cmp2", memory=8 * GIB), server("d", "cmp3", memory=7 * GIB)]
    layout = after(of := fleet(3, [*pair, *others], groups), decide(goals.consolidate, of, 0.9))
    assert layout.host_of["a"] == layout.host_of["b"] != "cmp1"


def wished(of, *pairs, **options):
    moves, _fleet = wishes_of([{"server": name, "destination": to} for name, to in pairs], of)
    return decide(goals.as_wished, of, moves, **options)


def test_servers_may_swap_places_but_not_more_than_fits():
    of = fleet(2, [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=12 * GIB)])
    assert len(wished(of, ("a", "cmp2"), ("b", "cmp1")).moves) == 2
    decision = wished(of, ("a", "cmp2"))
    assert not decision.moves and "needs 12 GiB" in why(decision)["a"][0]


def test_the_wishes_for_a_group_that_stays_together_count_only_the_others():
    groups = [{"name": "pair", "policy": "affinity"}]
    alone = fleet(2, [server("a", "cmp1", group="pair")], groups)
    assert len(wished(alone, ("a", "cmp2")).moves) == 1
    pair = fleet(2, [server("a", "cmp1", group="pair"), server("b", "cmp1", group="pair")], groups)
    decision = wished(pair, ("a", "cmp2"))
    assert not decision.moves and "affinity" in why(decision)["a"][0]


def test_a_refused_wish_keeps_its_room_where_it_is():
    of = fleet(
        [host("cmp1"), host("cmp2"), host("off", state="down")],
        [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=12 * GIB)],
    )
    decision = wished(of, ("a", "off"), ("b", "cmp1"))
    assert not decision.moves and list(why(decision)) == ["a", "b"]


def test_the_dirty_rate_decides_whether_a_guest_can_leave():
    calm, busy = server("calm", "cmp1", dirty_rate=MIB), server("busy", "cmp1", dirty_rate=1e9)
    decision = decide(goals.drain, fleet(2, [calm, busy]), ["cmp1"], policy=Policy(auto_converge=False))
    assert [move.server for move in decision.moves] == ["calm"]
