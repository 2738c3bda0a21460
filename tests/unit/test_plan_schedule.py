# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves in time: bounds, slots, room, shared bandwidth, swaps, and what remains."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_goals import drain
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults, Estimates, outcome_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits, Move
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_schedule import remaining, schedule
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, GIGABIT, MIB, fleet, host, server, tools
from hypothesis import given, settings
from hypothesis import strategies as st

SECOND = GIGABIT  # bytes
# Of the samples: preparing and tidying up, and switching over.
FIXED = 1.2


def timed(of, moves, **options):
    matrix, how = tools(of, **options)
    return schedule(matrix, how, [Move(*each) for each in moves])


def carried(source, destination, share):
    """Estimates that have learned what share of its bandwidth that way carries, and that others carry all of it."""
    figures = {"bandwidth": 1.0, "carried_share": 1.0, "memory": 1.0, "dirty_rate": 0.0}
    figures |= {"switch_s": 0.2, "downtime_s": 0.2, "total_s": 2.2}

    def outcome(one, other, portion):
        measured = {"transferred": 1.0, "copy_s": 1 / portion, "downtime_s": 0.2, "total_s": 1.2 + 1 / portion}
        way = {"server": "other", "source": one, "destination": other, "mode": "pre-copy"}
        return outcome_of({**way, "assumed": figures, "measured": measured})

    whole = [outcome("cmp8", "cmp9", 1.0)] * 3
    return Estimates([*whole, outcome(source, destination, share)], Defaults(0.2, 1.0, 10.0))


def drained(of, hosts=("cmp1",), **options):
    matrix, how = tools(of, **options)
    return schedule(matrix, how, drain(of, matrix, how.staying, hosts).moves)


def test_one_move_takes_its_bytes_and_what_is_fixed():
    of = fleet(2, [server("web", "cmp1", memory=2 * SECOND)])
    seen = timed(of, [("web", "cmp1", "cmp2")])
    (step,) = seen.steps
    assert (step.start_s, step.end_s) == pytest.approx((0, 2 + FIXED))
    assert seen.lower_bound_s == pytest.approx(2 + FIXED)
    assert step.cost.downtime_s == pytest.approx(0.2)


def test_the_longest_begins_first_unless_another_matters_more():
    of = fleet(2, [server("s", "cmp1"), server("l", "cmp1", memory=4 * GIB), server("vip", "cmp1", priority=1)])
    order = [step.move.server for step in timed(of, [(name, "cmp1", "cmp2") for name in ("s", "l", "vip")]).steps]
    assert order == ["vip", "l", "s"]


def most_at_once(seen, of):
    """The largest number of moves at one time, by part."""
    most = Counter()
    for moment in {step.start_s for step in seen.steps}:
        now = [step.move for step in seen.steps if step.start_s <= moment < step.end_s]
        most |= Counter(("out", move.source) for move in now) | Counter(("in", move.destination) for move in now)
        most |= Counter({"total": len(now)})
        most |= Counter(("up", of.hosts[move.source].link) for move in now)
    return most


def test_no_more_at_once_than_the_limits_allow():
    hosts = [host(f"cmp{each}", link="a" if each < 4 else "b") for each in range(8)]
    links = [{"name": name, "bandwidth": 10 * GIGABIT} for name in ("a", "b")]
    of = fleet(hosts, [server(f"web{each}", f"cmp{each % 4}") for each in range(24)], links=links)
    moves = [(f"web{each}", f"cmp{each % 4}", f"cmp{4 + each % 3}") for each in range(24)]
    for limits in (Limits(), Limits(2, 3, 4, 5), Limits(4, 4, 2, 50), Limits(2, 2, 8, 3)):
        seen = timed(of, moves, limits=limits)
        most = most_at_once(seen, of)
        assert len(seen.steps) == 24 and not seen.refused
        assert most["total"] <= limits.total and most["up", "a"] <= limits.link
        assert max(count for part, count in most.items() if part[0] == "out") <= limits.outgoing
        assert max(count for part, count in most.items() if part[0] == "in") <= limits.incoming


def test_moves_that_share_a_host_share_its_bandwidth():
    of = fleet(3, [server("a", "cmp1", memory=SECOND), server("b", "cmp1", memory=3 * SECOND)])
    seen = timed(of, [("a", "cmp1", "cmp2"), ("b", "cmp1", "cmp3")], limits=Limits(outgoing=2))
    ends = {step.move.server: step.end_s for step in seen.steps}
    # Both at half of the bandwidth until a is sent at 2 s, when b still has two seconds' worth at the whole of it.
    assert ends == pytest.approx({"a": 2 + FIXED, "b": 4 + FIXED})


def test_a_narrow_link_between_racks_is_what_counts():
    hosts = [host("a1", link="a"), host("b1", link="b"), host("a2", link="a")]
    links = [{"name": "a", "bandwidth": GIGABIT / 5}, {"name": "b", "bandwidth": GIGABIT * 10}]
    of = fleet(hosts, [server("web", "a1", memory=SECOND)], links=links)
    assert timed(of, [("web", "a1", "b1")]).makespan_s == pytest.approx(5 + FIXED)
    assert timed(of, [("web", "a1", "a2")]).makespan_s == pytest.approx(1 + FIXED)


def test_a_guest_that_writes_much_travels_alone_and_is_not_slowed_down():
    busy = server("busy", "cmp1", dirty_rate=0.6 * GIGABIT)
    of = fleet(3, [busy, *(server(f"calm{each}", "cmp1") for each in range(4))])
    moves = [("busy", "cmp1", "cmp2"), *((f"calm{each}", "cmp1", "cmp3") for each in range(4))]
    seen = timed(of, moves, limits=Limits(outgoing=2, incoming=2))
    (step,) = [each for each in seen.steps if each.move.server == "busy"]
    beside = [
        each for each in seen.steps if each is not step and each.start_s < step.end_s and each.end_s > step.start_s
    ]
    assert (step.trip.mode, step.trip.alone, beside) == ("pre-copy", True, [])


def test_a_swap_goes_by_way_of_a_third_host_or_is_refused():
    swap = [("a", "cmp1", "cmp2"), ("b", "cmp2", "cmp1")]
    guests = [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB)]
    seen = timed(fleet(3, guests), swap)
    assert [(step.move.server, step.move.destination) for step in seen.steps] == [
        ("b", "cmp3"),
        ("a", "cmp2"),
        ("b", "cmp1"),
    ]
    assert all(one.end_s <= next_.start_s for one, next_ in zip(seen.steps, seen.steps[1:], strict=False))
    refused = timed(fleet(2, guests), swap)
    assert not refused.steps and {each.move.server for each in refused.refused} == {"a", "b"}
    assert [each.reason for each in refused.refused] == [
        f"{host}: needs {size} GiB of memory, which the host does not have free. No way by a third host helps"
        for host, size in (("cmp2", 12), ("cmp1", 10))
    ]


SWAP = [("a", "cmp1", "cmp2"), ("b", "cmp2", "cmp1")]


def test_a_third_host_is_one_from_where_the_server_can_go_on():
    guests = [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB)]
    newer = [host("cmp3", hypervisor_version="10.1.0")]
    for more in ([], [host("cmp4", hypervisor_version="10.0.0")]):
        hosts = [host(name, hypervisor_version="10.0.0") for name in ("cmp1", "cmp2")]
        seen = timed(fleet([*hosts, *newer, *more], guests), SWAP)
        assert [step.move.destination for step in seen.steps] == (["cmp4", "cmp2", "cmp1"] if more else [])
        assert len(seen.refused) == (0 if more else 2)


def test_a_way_on_bears_the_risk_that_the_straight_way_has_and_no_other():
    guests = [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB)]
    for version, arrived in (("11.0.0", ["cmp3", "cmp2", "cmp1"]), ("11.1.0", [])):
        versions = {"cmp1": "10.0.0", "cmp2": "11.0.0", "cmp3": version}
        of = fleet([host(name, libvirt_version=each) for name, each in versions.items()], guests)
        assert [step.move.destination for step in timed(of, SWAP).steps] == arrived


def test_a_server_goes_by_no_host_from_where_its_copy_would_not_end_or_to_which_it_has_failed():
    large, busy = server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB, dirty_rate=40 * MIB)
    slow = {"estimates": carried("cmp3", "cmp1", 0.1), "policy": Policy(auto_converge=False)}
    for small, options in ((busy, slow), (busy | {"avoid": ["cmp3"]}, {})):
        seen = timed(fleet(3, [large, small]), SWAP, **options)
        # Though it is the smaller one.
        assert [(step.move.server, step.move.destination) for step in seen.steps] == [
            ("a", "cmp3"),
            ("b", "cmp1"),
            ("a", "cmp2"),
        ]
        off = timed(fleet([host("cmp1"), host("cmp2"), host("cmp3", memory=11 * GIB)], [large, small]), SWAP, **options)
        assert not off.steps and {each.move.server for each in off.refused} == {"a", "b"}


@pytest.mark.parametrize("hosts", [2, 3])
def test_members_of_a_group_change_places_by_way_of_a_third_host_or_are_refused_for_it(hosts):
    groups = [{"name": "db", "policy": "anti-affinity"}]
    seen = timed(fleet(hosts, [server("a", "cmp1", group="db"), server("b", "cmp2", group="db")], groups), SWAP)
    assert [(step.move.server, step.move.destination) for step in seen.steps] == (
        [("a", "cmp3"), ("b", "cmp1"), ("a", "cmp2")] if hosts == 3 else []
    )
    against = "server group db has 1 there, and its policy anti-affinity allows 1 on a host"
    expected = [] if hosts == 3 else [f"{each}: {against}. No way by a third host helps" for each in ("cmp2", "cmp1")]
    assert [each.reason for each in seen.refused] == expected


def test_members_of_an_affinity_group_are_refused_for_it():
    groups = [{"name": "web", "policy": "affinity"}]
    of = fleet(3, [server(name, "cmp1", group="web") for name in "ab"], groups)
    seen = timed(of, [(name, "cmp1", "cmp2") for name in "ab"])
    assert not seen.steps and {each.move.server for each in seen.refused} == {"a", "b"}
    assert "cmp2: server group web has none there, and its policy affinity" in seen.refused[0].reason


def test_a_server_is_not_sent_about_for_others_that_it_does_not_help():
    pairs = [("a", "b", 12), ("c", "d", 12), ("e", "f", 15.5)]
    guests = [server(f"on-{each}", each, memory=size * GIB) for one, other, size in pairs for each in (one, other)]
    swaps = [(f"on-{each[0]}", *each) for one, other, _size in pairs for each in ((one, other), (other, one))]
    of = fleet([host(name) for name in "abcdef"], [*guests, server("small", "a")])
    seen = timed(of, [("small", "a", "e"), *swaps])
    assert [step.move.server for step in seen.steps] == ["small"]
    assert {each.move.server for each in seen.refused} == {each.name for each in of.servers.values()}


def test_what_needs_room_waits_for_what_frees_it():
    of = fleet(3, [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB)])
    first, second = timed(of, [("a", "cmp1", "cmp2"), ("b", "cmp2", "cmp3")]).steps
    assert (first.move.server, second.move.server) == ("b", "a")
    assert second.start_s == first.end_s


def test_members_of_a_group_do_not_meet_on_the_way():
    groups = [{"name": "db", "policy": "anti-affinity"}]
    of = fleet(3, [server("a", "cmp1", group="db", memory=4 * GIB), server("b", "cmp2", group="db")], groups)
    first, second = timed(of, [("a", "cmp1", "cmp2"), ("b", "cmp2", "cmp3")]).steps
    assert (first.move.server, second.start_s) == ("b", first.end_s)


@pytest.mark.parametrize(("most", "waits"), [(1, True), (2, False)])
def test_as_many_members_of_a_group_meet_on_the_way_as_it_allows(most, waits):
    groups = [{"name": "db", "policy": "anti-affinity", "max_server_per_host": most}]
    of = fleet(3, [server("a", "cmp1", group="db"), server("b", "cmp2", group="db", memory=4 * GIB)], groups)
    starts = {
        step.move.server: step.start_s for step in timed(of, [("a", "cmp1", "cmp2"), ("b", "cmp2", "cmp3")]).steps
    }
    assert (starts["a"] > 0, starts["b"]) == (waits, 0)


def test_what_is_carried_beyond_the_promise_lowers_the_lower_bound():
    of = fleet(2, [server("web", "cmp1", memory=10 * SECOND)])
    seen = timed(of, [("web", "cmp1", "cmp2")], estimates=carried("cmp1", "cmp2", 2.0))
    assert (seen.makespan_s, seen.lower_bound_s) == pytest.approx((5 + FIXED, 5 + FIXED))


def test_disks_of_a_host_are_sent_and_a_server_that_is_off_stands_still_for_nobody():
    of = fleet(
        2,
        [
            server("live", "cmp1", memory=SECOND, local_disk=3 * SECOND, storage="local"),
            server("off", "cmp1", local_disk=2 * SECOND, storage="local", status="SHUTOFF"),
            server("pinned", "cmp1", movable="cold"),
        ],
    )
    seen = timed(of, [(name, "cmp1", "cmp2") for name in of.servers], policy=Policy(cold=True))
    by_name = {step.move.server: step for step in seen.steps}
    took = {name: step.end_s - step.start_s for name, step in by_name.items()}
    assert took == pytest.approx({"live": 4 + FIXED, "off": 2 + 1, "pinned": 10 + 1})
    assert {name: step.cost.downtime_s for name, step in by_name.items()} == pytest.approx(
        {"live": 0.2, "off": 0, "pinned": 10}
    )


def test_a_move_that_does_not_end_on_its_way_is_refused():
    hosts = [host("cmp1"), host("slow", bandwidth=GIGABIT / 100), host("fast")]
    of = fleet(hosts, [server("db", "cmp1", dirty_rate=20 * MIB)])
    seen = timed(of, [("db", "cmp1", "slow")], policy=Policy(auto_converge=False))
    assert not seen.steps and "over a link of 1 MiB/s" in seen.refused[0].reason


sizes = st.lists(st.tuples(st.integers(64, 8192), st.sampled_from([0.0, 0.1, 0.3, 0.5])), min_size=10, max_size=40)


@settings(max_examples=60)
@given(sizes, st.integers(1, 4), st.integers(1, 4), st.integers(3, 12))
def test_a_drain_is_close_to_its_lower_bound(guests, outgoing, incoming, hosts):
    large = [host(f"cmp{each}", memory=1024 * GIB, vcpus=4096) for each in range(1, hosts)]
    of = fleet(
        large,
        [
            server(f"g{each:02}", "cmp1", memory=size * MIB, dirty_rate=share * GIGABIT)
            for each, (size, share) in enumerate(guests)
        ],
    )
    seen = drained(of, limits=Limits(outgoing, incoming))
    assert len(seen.steps) == len(guests)
    # Several at once can go in step: all copy, then none does. With copies as long as what is fixed that costs half.
    worst = 1.25 if outgoing == 1 else 1.6
    assert seen.lower_bound_s * 0.999_999 <= seen.makespan_s <= worst * seen.lower_bound_s


@settings(max_examples=60)
@given(st.data())
def test_any_moves_end_between_the_lower_bound_and_three_times_it(data):
    hosts = [host(f"cmp{each}", memory=1024 * GIB, vcpus=4096) for each in range(1, data.draw(st.integers(3, 8)))]
    of = fleet(
        hosts,
        [
            server(
                f"g{each:02}", data.draw(st.sampled_from(hosts))["name"], memory=size * MIB, dirty_rate=share * GIGABIT
            )
            for each, (size, share) in enumerate(data.draw(sizes))
        ],
    )
    limits = Limits(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    moves = [
        (each.id, each.host, data.draw(st.sampled_from([name for name in of.hosts if name != each.host])))
        for each in of.servers.values()
    ]
    seen = timed(of, moves, limits=limits)
    assert sorted(step.move.server for step in seen.steps) == sorted(of.servers)
    assert seen.lower_bound_s * 0.999_999 <= seen.makespan_s <= 3 * seen.lower_bound_s


def test_what_remains_counts_what_is_sent_and_shrinks_as_time_goes_by():
    of = fleet(2, [server(f"web{each}", "cmp1", memory=10 * SECOND) for each in range(1)])
    matrix, how = tools(of)
    (move,) = [Move("web0", "cmp1", "cmp2")]
    whole = remaining(matrix, how, [move], {})
    half = remaining(matrix, how, [], {move: 5 * SECOND})
    assert (whole.seconds, half.seconds) == pytest.approx((10 + FIXED, 5 + FIXED))
    assert half.lower_bound_s == pytest.approx(5 + FIXED)
    assert remaining(matrix, how, [], {}).seconds == 0


def test_what_remains_in_the_middle_is_the_rest_of_the_plan():
    of = fleet(3, [server(f"web{each}", "cmp1", memory=(each + 1) * SECOND) for each in range(4)])
    plan = drained(of)
    running, *waiting = [step.move for step in plan.steps]
    matrix, how = tools(of)
    seen = remaining(matrix, how, waiting, {running: 2 * SECOND})
    assert seen.seconds == pytest.approx(plan.makespan_s - 2)
