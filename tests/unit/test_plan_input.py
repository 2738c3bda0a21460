# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of a plan is refused with what is wrong, and what is left out is assumed."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import (
    fleet_of,
    limits_of,
    uplinks_of,
    wishes_of,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, fleet, host, server


@pytest.mark.parametrize(
    ("hosts", "servers", "message"),
    [
        ([], [], "hosts: found none"),
        ([host("a"), host("a")], [], "host a: found two entries"),
        ([host("a", memory=None)], [], "host a: found no memory"),
        ([host("a", vcpus="many")], [], "vcpus of host a: found 'many'"),
        ([host("a", vcpus=True)], [], "vcpus of host a: found True"),
        ([host("a", bandwidth=0)], [], "bandwidth of host a: found 0"),
        ([host("a", bandwidth=float("nan"))], [], "bandwidth of host a: found nan"),
        ([host("a", state="broken")], [], "one of up, down"),
        ([host("a", memroy=1)], [], "unknown memroy"),
        ([host("a", link="rack1")], [], "link rack1, which is not given"),
        ([host("a", networks="physnet1")], [], "a list of names"),
        (["a"], [], "a dictionary"),
        ([host("a")], [server("web", "b")], "server web: found host b, which is not given"),
        ([host("a")], [server("web", "a"), server("web", "a")], "server web: found two entries"),
        ([host("a")], [server("web", "a", id="1"), server("mail", "a", id="1")], "server 1: found two entries"),
        ([host("a")], [server("web", None)], "server web: found no host"),
        ([host("a")], [server("web", "a", group="x")], "server group x, which is not given"),
        ([host("a")], [server("web", "a", movable="sometimes")], "one of live, cold, none"),
        ([host("a")], [server("web", "a", dirty_rate=-1)], "dirty_rate of server web: found -1"),
    ],
)
def test_entries_that_cannot_be_are_refused(hosts, servers, message):
    with pytest.raises(LifeboatError) as error:
        fleet_of(hosts, servers)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"policy": "apart"}, "policy of server group db: found 'apart'"),
        ({"policy": "anti-affinity", "max_server_per_host": 0}, "max_server_per_host of server group db: found 0"),
        (
            {"policy": "soft-anti-affinity", "max_server_per_host": 2},
            "max_server_per_host of server group db: found 2 with the policy soft-anti-affinity",
        ),
    ],
)
def test_groups_that_cannot_be_are_refused(group, message):
    with pytest.raises(LifeboatError) as error:
        fleet(2, [], [{"name": "db", **group}])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([{"server": "web", "destination": "cmp9"}], "unknown host cmp9"),
        ([{"server": "wep", "destination": "cmp2"}], "no such server"),
        ([{"server": "twin", "destination": "cmp2"}], "2 servers of this name: t1, t2"),
        ([{"server": "web", "destination": "cmp2"}, {"server": "web", "destination": "cmp3"}], "two moves of it"),
        ([{"server": "web"}], "no destination"),
        ([{"server": "web", "destination": "cmp2", "kind": "warm"}], "one of live, cold"),
    ],
)
def test_moves_that_cannot_be_are_refused(moves, message):
    twins = [server("twin", "cmp1", id=each) for each in ("t1", "t2")]
    with pytest.raises(LifeboatError) as error:
        wishes_of(moves, fleet(3, [server("web", "cmp1"), *twins]))
    assert message in str(error.value)


def test_a_server_that_is_there_already_needs_no_move():
    wished = [{"server": "web", "destination": "cmp1"}, {"server": "mail", "destination": "cmp1"}]
    [move], _fleet = wishes_of(wished, fleet(3, [server("web", "cmp1"), server("mail", "cmp2")]))
    assert move.server == "mail"


def test_a_server_that_is_wished_to_move_cold_stands_still_for_it():
    wished = [{"server": "web", "destination": "cmp2", "kind": "cold"}, {"server": "mail", "destination": "cmp1"}]
    moves, of = wishes_of(wished, fleet(3, [server("web", "cmp1"), server("mail", "cmp2")]))
    assert [move.server for move in moves] == ["web", "mail"]
    assert [each.movable for each in of.servers.values()] == ["cold", "live"]


@pytest.mark.parametrize(
    ("links", "hosts", "message"),
    [
        ([{"name": "rack1", "bandwidth": 1e9}], {"cmp1": "rack2"}, "host cmp1: found link rack2, which is not given"),
        ([{"name": "rack1", "bandwidth": 1e9}], {"cmp1": None}, "host cmp1: found no link"),
        ([{"name": "rack1", "bandwidth": 1e9}], {"cmp1": ["rack1"]}, "link of host cmp1: found ['rack1']"),
        ([{"name": "rack1", "bandwidth": 0}], {}, "bandwidth of link rack1: found 0"),
        ([{"name": "rack1", "bandwidth": 1e9}] * 2, {}, "link rack1: found two entries"),
    ],
)
def test_links_that_cannot_be_are_refused(links, hosts, message):
    with pytest.raises(LifeboatError) as error:
        uplinks_of(links, hosts)
    assert message in str(error.value)


def test_limits_below_one_or_unknown_are_refused():
    with pytest.raises(LifeboatError, match="outgoing of limits given: found 0"):
        limits_of({"outgoing": 0})
    with pytest.raises(LifeboatError, match="unknown per_host"):
        limits_of({"per_host": 1})
    assert limits_of({"total": 3}).total == 3


def test_what_is_not_said_is_assumed_and_what_is_said_counts():
    assumed = {"bandwidth": 7.0, "dirty_rate": 5.0}
    hosts = [host("a", bandwidth=None), host("b", bandwidth=9)]
    seen = fleet_of(hosts, [server("web", "a"), server("mail", "b", dirty_rate=0, memory_used=1)], assumed=assumed)
    assert [each.bandwidth for each in seen.hosts.values()] == [7.0, 9.0]
    web, mail = seen.servers.values()
    assert (web.dirty_rate, web.memory) == (5.0, GIB)
    assert (mail.dirty_rate, mail.memory, mail.takes.memory) == (0.0, 1.0, GIB)
