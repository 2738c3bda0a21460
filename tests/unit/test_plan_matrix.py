# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts can take which servers, and what is said against the others."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, fleet, host, server


@pytest.mark.parametrize(
    ("here", "there", "needs", "subject", "words"),
    [
        ({}, {"state": "down"}, {}, "state", "down and enabled"),
        ({}, {"status": "disabled"}, {}, "state", "up and disabled"),
        ({"hypervisor": "QEMU"}, {"hypervisor": "VMware"}, {}, "hypervisor", "VMware on the destination"),
        ({"hypervisor_version": "10.0.9"}, {"hypervisor_version": "9.2.10"}, {}, "hypervisor", "9.2.10 on the dest"),
        ({"cpu_model": "A"}, {"cpu_model": "B"}, {"cpu_mode": "host-passthrough"}, "cpu", "processors differ"),
        ({}, {"cpu_model": "B", "cpu_models": ["C"]}, {"cpu_model": "A"}, "cpu", "with B, cannot give A"),
        ({}, {"cpu_features": ["x"]}, {"cpu_features": ["x", "avx2"]}, "cpu", "lacks avx2"),
        ({}, {"machines": ["q35"]}, {"machine": "pc-9.0"}, "machine type", "does not know pc-9.0"),
        ({"storage": "ceph"}, {"storage": None}, {"storage": "shared"}, "storage", "ceph"),
        ({}, {"zone": "east"}, {"zone": "west"}, "zone", "belongs to west, the host to east"),
        ({}, {"aggregates": ["ssd"]}, {"aggregates": ["gpu"]}, "aggregate or trait", "lacks gpu"),
        ({}, {}, {"networks": ["physnet1"]}, "network", "lacks physnet1"),
    ],
)
def test_each_obstacle_is_named(here, there, needs, subject, words):
    of = fleet([host("a", **here), host("b", **there)], [server("web", "a", **needs)])
    (obstacle,) = Matrix(of).against(of.servers["web"], "b", Layout(of))
    assert obstacle.subject == subject and words in obstacle.reason


@pytest.mark.parametrize(
    ("there", "needs"),
    [
        ({"cpu_model": "B", "cpu_models": ["A"]}, {"cpu_model": "A"}),
        ({"storage": "nfs"}, {"storage": "volume"}),
        ({"storage": None}, {"storage": "local"}),
        ({"hypervisor_version": "10.0.10"}, {}),
        ({"zone": "east"}, {}),
    ],
)
def test_what_is_no_obstacle(there, needs):
    of = fleet([host("a", hypervisor_version="10.0.9"), host("b", **there)], [server("web", "a", **needs)])
    assert Matrix(of).against(of.servers["web"], "b", Layout(of)) == ()


@pytest.mark.parametrize(
    ("stands_still", "subjects"),
    [({}, ["hypervisor"]), ({"status": "SHUTOFF"}, []), ({"movable": "cold", "reason": "it was wished"}, [])],
)
def test_an_older_hypervisor_takes_only_servers_that_stand_still(stands_still, subjects):
    of = fleet(
        [host("a", hypervisor_version="10.0.2"), host("b", hypervisor_version="9.2.0")],
        [server("web", "a", **stands_still), server("mail", "a")],
    )
    matrix = Matrix(of)
    assert [each.subject for each in matrix.against(of.servers["web"], "b", Layout(of))] == subjects
    assert [each.subject for each in matrix.against(of.servers["mail"], "b", Layout(of))] == ["hypervisor"]


def test_an_older_libvirt_is_a_risk_and_not_a_refusal():
    of = fleet(
        [host("a", libvirt_version="11.3.0"), host("b", libvirt_version="9.0.0"), host("c", libvirt_version="11.3.0")],
        [server("web", "a")],
    )
    seen = Matrix(of).destinations(of.servers["web"], "a")
    assert (seen.risky, seen.safe) == ({"b"}, {"a", "c"})


def test_room_and_groups_count_as_they_are_now():
    of = fleet(
        [host("a"), host("full"), host("taken"), host("free")],
        [
            server("web1", "a", memory=4 * GIB, group="web"),
            server("web2", "taken", group="web"),
            server("large", "full", memory=13 * GIB),
        ],
        [{"name": "web", "policy": "anti-affinity"}],
    )
    (row,) = Matrix(of).rows([of.servers["web1"]], Layout(of))
    assert row.fits == ("free",)
    assert {hosts: [each.subject for each in against] for hosts, against in row.refused} == {
        ("full",): ["capacity"],
        ("taken",): ["group"],
    }
    assert "needs 4 GiB of memory" in row.refused[0][1][0].reason


@pytest.mark.parametrize(
    ("group", "others", "reason"),
    [
        ({"policy": "anti-affinity"}, "b", "has 1 there, and its policy anti-affinity allows 1 on a host"),
        ({"policy": "anti-affinity", "max_server_per_host": 2}, "b", None),
        (
            {"policy": "anti-affinity", "max_server_per_host": 2},
            "bb",
            "has 2 there, and its policy anti-affinity allows 2 on a host",
        ),
        ({"policy": "affinity"}, "a", "has none there, and its policy affinity wants all on one host"),
        ({"policy": "affinity"}, "", None),
        ({"policy": "soft-anti-affinity"}, "bb", None),
    ],
)
def test_a_hard_policy_says_what_it_found_and_what_it_allows(group, others, reason):
    guests = [server("web", "a", group="db"), *(server(f"db{n}", on, group="db") for n, on in enumerate(others))]
    of = fleet([host("a"), host("b")], guests, [{"name": "db", **group}])
    against = Matrix(of).against(of.servers["web"], "b", Layout(of))
    assert [each.reason for each in against] == ([f"server group db {reason}"] if reason else [])


def test_alike_servers_and_hosts_are_one_row_each():
    of = fleet(
        [host("a"), *(host(f"b{each}", zone="east") for each in range(50))],
        [server(f"web{each}", "a", zone="west") for each in range(16)],
    )
    (row,) = Matrix(of).rows(of.servers.values(), Layout(of))
    ((hosts, _against),) = row.refused
    assert (len(row.servers), len(hosts), row.fits) == (16, 50, ())
