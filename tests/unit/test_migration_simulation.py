# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner in simulated clouds: telling scenarios with golden logs, and what holds in all others.

``GOLDEN=write pytest tests/unit/test_migration_simulation.py`` writes the logs in tests/unit/golden anew; read their
differences before you commit them.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits, Move
from ansible_collections.lifeboat.cloud.tests.unit.migration_world import Event, World, simulate
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, GIGABIT, MIB, fleet, host, server
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = Path(__file__).parent / "golden"


def four(*more, hosts=4, groups=(), **values):
    """Four servers on the first host of a small cloud."""
    return fleet(hosts, [*(server(f"web-{each}", "cmp1", **values) for each in range(1, 5)), *more], groups)


def drain():
    return simulate(World(four()), Goal("drain", ("cmp1",)))


def destination_dies():
    return simulate(World(four()), Goal("drain", ("cmp1",)), events=[Event(4.0, "dies", "cmp2")])


def source_dies():
    return simulate(World(four()), Goal("drain", ("cmp1",)), events=[Event(12.0, "dies", "cmp1")])


def migration_fails_once():
    return simulate(World(four()), Goal("drain", ("cmp1",)), events=[Event(4.0, "fails", "web-1")])


def migration_fails_always():
    events = [Event(second / 2, "fails", "web-1") for second in range(400)]
    return simulate(World(four()), Goal("drain", ("cmp1",)), events=events)


def control_node_restarts():
    return simulate(World(four()), Goal("drain", ("cmp1",)), Limits(outgoing=2), [Event(14.0, "restart")])


def busy_guest_is_throttled():
    busy = server("db", "cmp1", dirty_rate=2 * GIGABIT, memory=2 * GIB)
    return simulate(World(four(busy)), Goal("drain", ("cmp1",)), Limits(outgoing=2, incoming=2))


def guests_write_more_than_was_said():
    world = World(four(), dirty={f"web-{each}": 0.5 * GIGABIT for each in range(1, 5)}, carries=0.8)
    return simulate(world, Goal("drain", ("cmp1",)))


def stopping_is_not_allowed():
    pinned = server("gpu", "cmp1", movable="cold", reason="it has a PCI device")
    return simulate(World(four(pinned, server("off", "cmp1", status="SHUTOFF"))), Goal("drain", ("cmp1",)))


def stopping_is_allowed():
    pinned = server("gpu", "cmp1", movable="cold", reason="it has a PCI device")
    return simulate(World(four(pinned), Policy(cold=True)), Goal("drain", ("cmp1",)))


def swap():
    of = fleet(3, [server("a", "cmp1", memory=12 * GIB), server("b", "cmp2", memory=10 * GIB)])
    wish = (Move("a", "cmp1", "cmp2"), Move("b", "cmp2", "cmp1"))
    return simulate(World(of), Goal("move", moves=wish))


def balance():
    return simulate(World(four(server("mail", "cmp2"))), Goal("balance", tolerance=0.07))


def consolidate():
    return simulate(World(four(server("mail", "cmp2"), server("wiki", "cmp3"))), Goal("consolidate"))


def apart_while_a_host_is_drained():
    groups = [{"name": "db", "policy": "anti-affinity"}]
    members = [server(f"db-{each}", f"cmp{each}", group="db") for each in (1, 2, 3)]
    return simulate(World(fleet(4, members, groups)), Goal("drain", ("cmp1", "cmp2")))


SCENARIOS = (
    drain,
    destination_dies,
    source_dies,
    migration_fails_once,
    migration_fails_always,
    control_node_restarts,
    busy_guest_is_throttled,
    guests_write_more_than_was_said,
    stopping_is_not_allowed,
    stopping_is_allowed,
    swap,
    balance,
    consolidate,
    apart_while_a_host_is_drained,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_it_goes_as_it_has_gone(scenario):
    log = "".join(f"{line}\n" for line in scenario().world.log)
    golden = GOLDEN / f"{scenario.__name__}.log"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(log, encoding="utf-8")
    assert log == golden.read_text(encoding="utf-8")


guests = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.integers(1, 6),
        st.sampled_from([0.0, 0.2, 0.6, 3.0]),
        st.sampled_from([None, None, "hard", "soft"]),
        st.sampled_from(["live", "live", "live", "cold", "none"]),
    ),
    min_size=1,
    max_size=14,
)
happenings = st.lists(
    st.tuples(st.floats(0, 60), st.sampled_from(["dies", "fails", "restart"]), st.integers(0, 13)), max_size=4
)


def somewhere(hosts, drawn, most):
    """The guests on the first hosts that have room for them, ``most`` of the hard group on one, or not there at all."""
    free = {name: 16 for name in hosts}
    members, servers = Counter(), []
    for number, (first, memory, dirty, group, movable) in enumerate(drawn):
        for step in range(len(hosts)):
            name = hosts[(first + step) % len(hosts)]
            if free[name] >= memory and (group != "hard" or members[name] < most):
                free[name] -= memory
                members[name] += group == "hard"
                values = {"dirty_rate": dirty * GIGABIT, "group": group, "movable": movable}
                servers.append(server(f"g{number}", name, memory=memory * GIB, memory_used=memory * 64 * MIB, **values))
                break
    return servers


@st.composite
def goals(draw, of):
    """Wishes are made for every server, so that they have to make room for each other."""
    names = list(of.hosts)
    wishes = [Move(each.id, each.host, draw(st.sampled_from(names))) for each in of.servers.values()]
    wish = Goal("move", moves=tuple(each for each in wishes if each.source != each.destination))
    others = [Goal("drain", (names[0],)), Goal("balance", tolerance=0.1), Goal("consolidate"), Goal("spread")]
    return draw(st.sampled_from([wish, wish, *others]))


@settings(max_examples=100)
@given(st.data())
def test_whatever_happens_no_server_is_lost_stopped_or_crowded_and_it_ends(data):
    names = [f"cmp{number}" for number in range(1, data.draw(st.integers(2, 6)) + 1)]
    most = data.draw(st.integers(1, 2))
    servers = somewhere(names, data.draw(guests), most)
    groups = [
        {"name": "hard", "policy": "anti-affinity", "max_server_per_host": most},
        {"name": "soft", "policy": "soft-anti-affinity"},
    ]
    versions = st.sampled_from(["10.0.0", "10.0.0", "10.1.0"])
    of = fleet([host(name, vcpus=64, hypervisor_version=data.draw(versions)) for name in names], servers, groups)
    goal = data.draw(goals(of))
    events = [
        Event(at, what, names[index % len(names)] if what == "dies" else f"g{index}")
        for at, what, index in data.draw(happenings)
    ]
    policy = Policy(cold=data.draw(st.booleans()), post_copy=data.draw(st.booleans()))
    limits = Limits(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), total=data.draw(st.integers(1, 6)))
    seen = simulate(World(of, policy), goal, limits, events)
    world = seen.world
    # Each is in one place, and nobody came to a host after it had died.
    assert sorted(world.at) == sorted(of.servers) and not world.copies
    # Only wishes that wait for each other's room may be left.
    assert goal.kind == "move" or not seen.dispatch.waiting
    if goal.kind == "drain" and names[0] not in world.down:
        # Whoever is still there is named, with a reason.
        still = {name for name, at in world.at.items() if at == names[0]}
        assert still == set(seen.staying)
    for move in (line.split() for line in world.log if " arrived" in line):
        assert of.servers[move[4]].movable != "none"


def test_a_drain_of_ten_servers_is_within_a_quarter_of_the_bound():
    of = fleet(6, [server(f"web-{each:02}", "cmp1", memory=GIB, dirty_rate=0.1 * GIGABIT) for each in range(10)])
    world = simulate(World(of), Goal("drain", ("cmp1",))).world
    # GIB / B * (1 + 0.1 + ...), setup and switch-over, ten times after each other.
    bound = 10 * (GIB / GIGABIT * 1.11 + 1.2)
    assert bound * 0.95 <= world.now <= 1.25 * bound
