# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agents of Neutron over HTTP."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import network_agent_info
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import agent
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

METADATA = "neutron-ovn-metadata-agent"


@pytest.fixture
def neutron(cloud):
    """Two computes with OVN, and an agent of Neutron's own; one metadata agent has died."""
    cloud.agents = [
        agent("cmp2", METADATA, alive=False, heartbeat_timestamp="2026-11-21 13:00:00"),
        agent("cmp2", availability_zone="east, west"),
        agent("cmp1", METADATA),
        agent("cmp1", availability_zone="east", agent_type="OVN Controller Gateway agent"),
        agent("ctl1", "neutron-dhcp-agent", agent_type="DHCP agent", configurations={}, availability_zone=None),
    ]
    return cloud


def run(neutron, **options):
    return run_module(network_agent_info.main, **{**neutron.options, **options})


def listed(result):
    return [f"{each['binary']} on {each['host']}" for each in result["agents"]]


def test_an_agent_is_shown_in_full(neutron):
    assert run(neutron)["agents"][1] == {
        "id": "cmp1",
        "type": "OVN Controller Gateway agent",
        "binary": "ovn-controller",
        "host": "cmp1",
        "availability_zones": ["east"],
        "chassis": "cmp1",
        "alive": True,
        "admin_state_up": True,
        "last_heartbeat": "2026-11-21 13:42:05",
    }


def test_agents_come_sorted_and_the_summary_names_those_that_are_not_alive(neutron):
    result = run(neutron)
    assert listed(result) == [
        f"{METADATA} on cmp1",
        "ovn-controller on cmp1",
        f"{METADATA} on cmp2",
        "ovn-controller on cmp2",
        "neutron-dhcp-agent on ctl1",
    ]
    assert result["summary"] == {
        "agents": 5,
        "alive": 4,
        "not_alive": [f"{METADATA} on cmp2"],
        "hosts_without_agents": [],
    }
    assert result["changed"] is False


def test_an_agent_that_is_not_of_ovn_has_neither_chassis_nor_zone(neutron):
    last = run(neutron)["agents"][-1]
    assert (last["chassis"], last["availability_zones"]) == (None, [])


@pytest.mark.parametrize(
    ("options", "agents"),
    [
        ({"hosts": ["cmp1"]}, [f"{METADATA} on cmp1", "ovn-controller on cmp1"]),
        ({"hosts": ["cmp"]}, []),
        ({"binaries": [METADATA]}, [f"{METADATA} on cmp1", f"{METADATA} on cmp2"]),
        ({"binaries": [METADATA], "hosts": ["cmp2", "ctl1"]}, [f"{METADATA} on cmp2"]),
        ({"chassis": ["cmp2"], "binaries": ["ovn-controller"]}, ["ovn-controller on cmp2"]),
        ({"availability_zone": "west"}, ["ovn-controller on cmp2"]),
        ({"availability_zone": "east"}, ["ovn-controller on cmp1", "ovn-controller on cmp2"]),
        ({"availability_zone": "eas"}, []),
        ({"alive": False}, [f"{METADATA} on cmp2"]),
        ({"alive": True, "hosts": ["cmp2"]}, ["ovn-controller on cmp2"]),
    ],
)
def test_filters_choose_exactly(neutron, options, agents):
    assert listed(run(neutron, **options)) == agents


@pytest.mark.parametrize("alive", [None, True, False])
def test_the_summary_counts_the_living_and_the_dead_whichever_are_listed(neutron, alive):
    summary = run(neutron, hosts=["cmp2"], alive=alive)["summary"]
    assert (summary["agents"], summary["alive"], summary["not_alive"]) == (2, 1, [f"{METADATA} on cmp2"])


def test_a_host_that_has_no_agent_is_not_passed_over(neutron):
    summary = run(neutron, hosts=["cmp9", "cmp1"])["summary"]
    assert (summary["hosts_without_agents"], summary["not_alive"]) == (["cmp9"], [])


def test_a_cloud_without_agents_has_none(cloud):
    assert run(cloud)["summary"] == {"agents": 0, "alive": 0, "not_alive": [], "hosts_without_agents": []}
