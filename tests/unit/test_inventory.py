# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory alone tells to be wrong."""

from __future__ import annotations

import copy
from ipaddress import ip_address, ip_network

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.cloud_layout_findings import FilterModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import cloud_layout_findings
from hypothesis import given
from hypothesis import strategies as st

CONTROLLERS = ["ctl1", "ctl2", "ctl3"]
GOOD = {
    "controllers": CONTROLLERS,
    "database": CONTROLLERS,
    "message_queue": CONTROLLERS,
    "computes": ["cmp1"],
    "observers": ["client1"],
    "networks": {"management": "10.0.0.0/24", "tenant": "10.0.1.0/24"},
    "addresses": {
        "ctl1": {"management": "10.0.0.11", "tenant": "10.0.1.11"},
        "ctl2": {"management": "10.0.0.12", "tenant": "10.0.1.12"},
        "ctl3": {"management": "10.0.0.13", "tenant": "10.0.1.13"},
        "cmp1": {"management": "10.0.0.21", "tenant": "10.0.1.21"},
        "client1": {"management": "10.0.0.31"},
    },
    "vip": "10.0.0.100",
    "exclusive": [["controllers", "computes", "observers"]],
}


def with_change(path, value):
    """GOOD with the value at the dotted path replaced."""
    layout = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place = layout
    for parent in parents:
        place = place[parent]
    place[last] = value
    return layout


def without(path):
    layout = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place = layout
    for parent in parents:
        place = place[parent]
    del place[last]
    return layout


def brief(layout):
    return [(finding.thing, finding.found) for finding in cloud_layout_findings(layout)]


def test_a_good_layout_has_no_findings():
    assert brief(GOOD) == []


@pytest.mark.parametrize("group", ["controllers", "database", "message_queue", "computes", "observers", "exclusive"])
def test_what_is_not_there_is_not_judged(group):
    assert brief(without(group)) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("controllers", [], ("group controllers", "no host")),
        ("controllers", ["ctl1"], ("group controllers", "1 (ctl1)")),
        ("database", [], ("group database", "no host")),
        ("database", ["ctl1"], ("group database", "1 (ctl1)")),
        ("database", ["ctl2", "ctl1"], ("group database", "2 (ctl1, ctl2)")),
        ("database", [*CONTROLLERS, "cmp1"], ("group database", "4 (cmp1, ctl1, ctl2, ctl3)")),
        ("message_queue", ["ctl1", "ctl2"], ("group message_queue", "2 (ctl1, ctl2)")),
        ("message_queue", ["ctl1"], ("group message_queue", "1 (ctl1)")),
        ("cache", ["ctl1", "ctl1"], ("group cache", "ctl1 more than once")),
        ("computes", ["cmp1", "ctl2"], ("host ctl2", "in the groups controllers and computes")),
        ("observers", ["cmp1"], ("host cmp1", "in the groups computes and observers")),
        ("observers", ["client2"], ("host client2", "no address on management")),
        (
            "networks.storage",
            "10.0.1.128/25",
            ("networks tenant and storage", "10.0.1.0/24 and 10.0.1.128/25, which overlap"),
        ),
        (
            "networks.storage",
            "10.0.0.128/25",
            ("networks management and storage", "10.0.0.0/24 and 10.0.0.128/25, which overlap"),
        ),
        ("networks.storage", "10.0.2.1/24", ("network storage", "'10.0.2.1/24' (10.0.2.1/24 has host bits set)")),
        ("networks.storage", None, ("network storage", "'' ('' does not appear to be an IPv4 or IPv6 network)")),
        ("addresses.cmp1.management", "10.0.0.256", ("address of cmp1 on management", "'10.0.0.256'")),
        ("addresses.cmp1.management", "10.0.0.21/24", ("address of cmp1 on management", "'10.0.0.21/24'")),
        ("addresses.cmp1.management", None, ("address of cmp1 on management", "''")),
        ("addresses.cmp1.management", "10.0.2.21", ("address of cmp1 on management", "10.0.2.21, outside 10.0.0.0/24")),
        ("addresses.cmp1.management", "fd00::21", ("address of cmp1 on management", "fd00::21, outside 10.0.0.0/24")),
        (
            "addresses.cmp1.management",
            "10.0.0.0",
            ("address of cmp1 on management", "10.0.0.0, the address of the network 10.0.0.0/24 itself"),
        ),
        (
            "addresses.cmp1.tenant",
            "10.0.1.255",
            ("address of cmp1 on tenant", "10.0.1.255, the broadcast address of 10.0.1.0/24"),
        ),
        (
            "addresses.cmp1.storage",
            "10.0.2.21",
            ("address of cmp1 on storage", "no such network among management, tenant"),
        ),
        ("addresses.cmp1.tenant", "10.0.1.12", ("address 10.0.1.12", "given to ctl2 (tenant), cmp1 (tenant)")),
        ("vip", None, ("VIP (cloud_vip)", "''")),
        ("vip", "10.0.0.100/24", ("VIP (cloud_vip)", "'10.0.0.100/24'")),
        ("vip", "10.0.1.100", ("VIP (cloud_vip)", "10.0.1.100, outside 10.0.0.0/24")),
        ("vip", "10.0.0.12", ("VIP (cloud_vip)", "10.0.0.12, the address of ctl2 (management)")),
        ("vip", "10.0.0.0", ("VIP (cloud_vip)", "10.0.0.0, the address of the network 10.0.0.0/24 itself")),
        ("vip", "10.0.0.255", ("VIP (cloud_vip)", "10.0.0.255, the broadcast address of 10.0.0.0/24")),
    ],
)
def test_each_mistake_has_one_finding_that_names_it_and_a_remedy(path, value, expected):
    findings = cloud_layout_findings(with_change(path, value))
    assert [(finding.thing, finding.found) for finding in findings] == [expected]
    assert findings[0].expected and findings[0].remedy.endswith(".")


def test_a_host_without_addresses_is_found():
    assert brief(without("addresses.cmp1")) == [("host cmp1", "no address on management")]


def test_a_cloud_without_a_management_network_is_found():
    layout = without("networks.management")
    assert brief(layout)[0] == ("networks", "no network management")


def test_the_vip_of_another_network_that_a_host_holds_has_both_findings():
    assert brief(with_change("vip", "10.0.1.12")) == [
        ("VIP (cloud_vip)", "10.0.1.12, outside 10.0.0.0/24"),
        ("VIP (cloud_vip)", "10.0.1.12, the address of ctl2 (tenant)"),
    ]


def test_two_spellings_of_one_address_are_one_address():
    layout = with_change("networks", {"management": "fd00::/64"})
    layout["addresses"] = {
        host: {"management": address}
        for host, address in zip(
            [*CONTROLLERS, "cmp1", "client1"], ["fd00::1", "fd00:0::1", "fd00::3", "fd00::4", "fd00::5"], strict=True
        )
    }
    layout["vip"] = "fd00::ffff"
    assert brief(layout) == [("address fd00::1", "given to ctl1 (management), ctl2 (management)")]


def test_a_point_to_point_network_has_no_broadcast_address():
    layout = {
        "networks": {"management": "10.0.0.0/31"},
        "addresses": {"ctl1": {"management": "10.0.0.0"}},
        "vip": "10.0.0.1",
    }
    assert brief(layout) == []


def test_all_findings_come_at_once_in_a_stable_order():
    layout = with_change("database", ["ctl1", "ctl2"])
    layout["computes"] = ["ctl1"]
    layout["networks"]["tenant"] = "10.0.0.0/16"
    layout["addresses"]["ctl3"]["management"] = "x"
    layout["addresses"]["client1"]["management"] = "10.0.0.11"
    layout["vip"] = "10.0.0.11"
    assert brief(layout) == [
        ("group database", "2 (ctl1, ctl2)"),
        ("host ctl1", "in the groups controllers and computes"),
        ("networks management and tenant", "10.0.0.0/24 and 10.0.0.0/16, which overlap"),
        ("address of ctl3 on management", "'x'"),
        ("address 10.0.0.11", "given to ctl1 (management), client1 (management)"),
        ("VIP (cloud_vip)", "10.0.0.11, the address of ctl1 (management), client1 (management)"),
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("controllers", "ctl1"),
        ("addresses", ["10.0.0.1"]),
        ("addresses.ctl1", "10.0.0.1"),
        ("networks", "10.0.0.0/24"),
        ("exclusive", "controllers"),
        ("exclusive", ["controllers"]),
    ],
)
def test_another_shape_is_refused(path, value):
    with pytest.raises(LifeboatError, match="cloud layout"):
        cloud_layout_findings(with_change(path, value))


def test_one_host_will_do_where_that_is_said() -> None:
    alone = {**GOOD, "controllers": ["ctl1"], "database": ["ctl1"], "message_queue": ["ctl1"]}
    assert {finding.thing for finding in cloud_layout_findings(alone)} >= {"group controllers", "group database"}
    assert cloud_layout_findings({**alone, "single": True}) == []
    two = {**GOOD, "database": ["ctl1", "ctl2"], "single": True}
    assert [finding.thing for finding in cloud_layout_findings(two)] == ["group database"]


def test_the_filter_returns_dictionaries_and_errors_of_ansible():
    findings = FilterModule().filters()["cloud_layout_findings"]
    assert findings(GOOD) == []
    assert [sorted(each) for each in findings(with_change("vip", "x"))] == [["expected", "found", "remedy", "thing"]]
    with pytest.raises(AnsibleFilterError, match="a dictionary"):
        findings(["ctl1"])


MANAGEMENT = ip_network("10.0.0.0/28")


@given(members=st.integers(0, 9), group=st.sampled_from(["database", "message_queue"]))
def test_exactly_the_odd_numbers_from_three_are_accepted(members, group):
    hosts = [f"db{number}" for number in range(members)]
    layout = {
        group: hosts,
        "networks": {"management": str(MANAGEMENT)},
        "addresses": {host: {"management": f"10.0.0.{number + 1}"} for number, host in enumerate(hosts)},
        "vip": "10.0.0.14",
    }
    assert (brief(layout) == []) == (members in (3, 5, 7, 9))


@given(
    addresses=st.lists(st.integers(0, 20), min_size=1, max_size=6),
    vip=st.integers(0, 20),
)
def test_a_layout_is_accepted_exactly_when_every_address_is_a_host_s_and_has_one_holder(addresses, vip):
    layout = {
        "controllers": [f"ctl{number}" for number in range(max(2, len(addresses)))],
        "networks": {"management": str(MANAGEMENT)},
        "addresses": {
            f"ctl{number}": {"management": str(ip_address("10.0.0.0") + address)}
            for number, address in enumerate(addresses)
        },
        "vip": str(ip_address("10.0.0.0") + vip),
    }
    used = [*addresses, vip]
    usable = {int(host) - int(ip_address("10.0.0.0")) for host in MANAGEMENT.hosts()}
    good = len(addresses) >= 2 and set(used) <= usable and len(set(used)) == len(used)
    assert (brief(layout) == []) == good
