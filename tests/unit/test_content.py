# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of a cloud's content, and what has to change for the cloud to have it."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.content_changes import changes
from ansible_collections.lifeboat.cloud.plugins.filter.content_findings import findings

SUBNET: dict[str, t.Any] = {
    "name": "public",
    "cidr": "10.98.3.0/24",
    "gateway": "10.98.3.1",
    "pool_start": "10.98.3.128",
    "pool_end": "10.98.3.200",
    "dhcp": False,
}
PUBLIC: dict[str, t.Any] = {
    "name": "public",
    "external": True,
    "type": "flat",
    "physical_network": "physnet1",
    "subnets": [SUBNET],
}
FOUND: dict[str, t.Any] = {
    "projects": {"admin": {"id": "1", "description": "", "enabled": True}, "demo": {"id": "2", "description": "old"}},
    "users": {"demo": {"id": "3", "email": "", "enabled": True, "roles": {"demo": ["member", "reader"]}}},
    "roles": ["admin", "member", "reader"],
    "flavors": {"small": {"vcpus": 1, "ram_mib": 128, "disk_gib": 1, "public": True, "properties": {"a": "1"}}},
    "images": {
        "guest": [
            {
                "id": "4",
                "disk_format": "qcow2",
                "visibility": "public",
                "golden": True,
                "status": "active",
                "sha512": "other",
                "properties": {"os_distro": "debian", "owner": "x"},
            }
        ],
        "double": [
            {
                "id": number,
                "disk_format": "raw",
                "visibility": "public",
                "golden": False,
                "status": "queued",
                "sha512": None,
            }
            for number in ("5", "6")
        ],
    },
    "networks": {
        "public": [
            {
                "id": "7",
                "external": True,
                "shared": False,
                "type": "flat",
                "physical_network": "physnet1",
                "segment": None,
                "mtu": 1500,
                "subnets": [
                    {
                        "name": "public",
                        "cidr": "10.98.3.0/24",
                        "gateway": "10.98.3.1",
                        "pools": [["10.98.3.128", "10.98.3.200"]],
                        "dhcp": False,
                        "dns": [],
                    }
                ],
            }
        ]
    },
    "aggregates": {"rack1": {"zone": "east", "hosts": ["cmp1"], "metadata": {"ssd": "true"}}},
    "volume_types": {"ceph": {"description": "", "public": True, "properties": {"volume_backend_name": "ceph"}}},
    "hypervisors": [
        {"name": "cmp1", "vcpus": 2, "ram_mib": 4096, "disk_gib": 20},
        {"name": "cmp2", "vcpus": 16, "ram_mib": 1024, "disk_gib": None},
    ],
    "hosts": ["cmp1", "cmp2"],
    "quotas": {
        "demo": {
            "cores": {"limit": 20, "used": 6},
            "security_groups": {"limit": 10, "used": 1},
            "ports": {"limit": 10, "used": 0},
        },
        "empty": {"cores": {"limit": 20, "used": 0}, "security_groups": {"limit": 10, "used": 1}},
    },
}
FILES: dict[str, t.Any] = {"/i/guest": {"size": 3, "sha256": "aa", "sha512": "bb"}, "/i/unread": {"sha512": None}}
GOOD: dict[str, t.Any] = {
    "projects": [{"name": "demo", "description": "old", "quotas": {"cores": 20}}],
    "users": [{"name": "demo", "password": "p", "project": "demo", "roles": ["member", "reader"]}],
    "flavors": [{"name": "small", "vcpus": 1, "ram_mib": 128, "disk_gib": 1}],
    "images": [{"name": "guest", "file": "/i/unread", "visibility": "public"}],
    "networks": [PUBLIC],
    "aggregates": [{"name": "rack1", "zone": "east", "hosts": ["cmp1"]}],
    "volume_types": [{"name": "ceph", "properties": {"volume_backend_name": "ceph"}}],
}


def refused(wanted: dict[str, t.Any], found: dict[str, t.Any] | None = None) -> list[str]:
    given = {
        "wanted": copy.deepcopy(wanted),
        "found": copy.deepcopy(FOUND) | (found or {}),
        "files": FILES,
        "networks": {"management": "10.98.0.0/24", "storage": "10.98.2.0/24", "public": "10.98.3.0/24"},
        "addresses": {"ctl1": {"management": "10.98.0.11", "public": "10.98.3.11"}},
        "vip": "10.98.0.100",
    }
    result = findings(given)
    assert all(each.keys() == {"thing", "found", "expected", "remedy"} and all(each.values()) for each in result)
    return [f"{each['thing']}: found {each['found']}; expected {each['expected']}" for each in result]


def differs(wanted: dict[str, t.Any]) -> dict[str, t.Any]:
    return changes({"wanted": wanted, "found": FOUND, "files": FILES})


def subnet(**values: t.Any) -> dict[str, t.Any]:
    return {"networks": [PUBLIC | {"name": "new", "subnets": [SUBNET | values]}]}


def test_what_the_cloud_has_is_neither_refused_nor_changed() -> None:
    assert refused(GOOD) == []
    result = differs(GOOD)
    assert not any(result.values()), result


def test_what_is_not_named_stays() -> None:
    assert refused({}) == []
    assert not any(differs({}).values())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"flavors": GOOD["flavors"] * 2}, "flavor small: found 2 times in cloud_content_flavors"),
        ({"images": [{"name": "double", "disk_format": "raw", "file": "/i/unread"}]}, "image double: found 2 of that"),
        ({"images": [{"name": "double", "disk_format": "raw"}]}, "image double: found status queued"),
        ({"projects": [{"name": "admin", "state": "absent"}]}, "project admin: found state absent"),
        ({"projects": [{"name": "demo", "state": "absent"}]}, "project demo: found still in it: cores 6;"),
        ({"projects": [{"name": "demo", "quotas": {"cores": 5}}]}, "quota cores of project demo: found 6 in use"),
        ({"projects": [{"name": "demo", "quotas": {"coers": 5}}]}, "quota coers of project demo: found no such"),
        ({"projects": [{"name": "demo", "quotas": {"cores": -2}}]}, "quota cores of project demo: found -2; expected"),
        ({"users": [{"name": "demo", "project": "dmeo"}]}, "user demo: found project dmeo, which is none"),
        ({"users": [{"name": "demo", "roles": ["boss"]}]}, "user demo: found role boss, which is none"),
        ({"users": [{"name": "new"}]}, "user new: found no password"),
        ({"flavors": [{"name": "f", "vcpus": 3, "ram_mib": 2048}]}, "flavor f: found 3 vCPUs, 2048 MiB, 0 GiB, which"),
        ({"flavors": [{"name": "f", "vcpus": 1, "ram_mib": 2048, "disk_gib": 21}]}, "flavor f: found 1 vCPUs, 2048"),
        ({"flavors": [{"name": "f", "ram_mib": 10}]}, "flavor f: found 0 vCPUs"),
        ({"images": [{"name": "new", "file": "/i/none"}]}, "image new: found /i/none: no such file"),
        (
            {"images": [{"name": "new", "file": "/i/guest", "sha256": "ab"}]},
            "image new: found /i/guest with SHA-256",
        ),
        (
            {"images": [{"name": "guest", "file": "/i/guest", "sha256": "AA"}]},
            "image guest: found other content in",
        ),
        ({"images": [{"name": "guest", "disk_format": "raw"}]}, "image guest: found disk format qcow2"),
        ({"images": [{"name": "guest", "state": "absent"}]}, "image guest: found golden"),
        (
            {"networks": [{"name": "public", "type": "vlan", "physical_network": "physnet1"}]},
            "network public: found",
        ),
        ({"networks": [{"name": "n", "type": "flat"}]}, "network n: found no physical_network"),
        (
            subnet(cidr="10.98.0.0/23", gateway="", pool_start="10.98.1.9", pool_end="10.98.1.10"),
            "subnet public of",
        ),
        (subnet(cidr="10.98.3.1/24"), "subnet public of network new: found '10.98.3.1/24' (10.98.3.1/24 has host bits"),
        (
            subnet(pool_start="10.98.3.2"),
            "pool of subnet public of network new: found addresses of hosts in it",
        ),
        (subnet(pool_start=None, pool_end=None), "pool of subnet public of network new: found addresses of hosts"),
        (subnet(pool_start="10.98.3.201"), "pool of subnet public of network new: found 10.98.3.201 to 10.98.3.200"),
        (subnet(gateway="10.98.3.130"), "pool of subnet public of network new: found the gateway"),
        (subnet(gateway="10.98.4.1"), "gateway of subnet public of network new: found 10.98.4.1, outside"),
        ({"networks": [PUBLIC, PUBLIC | {"name": "n"}]}, "subnet public of network public: found 10.98.3.0/24, which"),
        ({"networks": [PUBLIC | {"subnets": [SUBNET | {"cidr": "10.98.3.0/25"}]}]}, "pool_start of subnet public"),
        ({"networks": [PUBLIC | {"subnets": [SUBNET, SUBNET]}]}, "subnet public: found 2 times in public"),
        (
            {"aggregates": [{"name": "a", "hosts": ["cmp9"]}]},
            "aggregate a: found host cmp9; expected one of",
        ),
        ({"aggregates": [{"name": "a", "zone": "west", "hosts": ["cmp1"]}]}, "host cmp1: found in several zones"),
    ],
)
def test_what_cannot_be_is_refused(wanted: dict[str, t.Any], words: str) -> None:
    result = refused(wanted)
    assert any(each.startswith(words) for each in result), result


def test_a_subnet_that_overlaps_management_names_it() -> None:
    wide = subnet(cidr="10.98.0.0/22", gateway=None, pool_start="10.98.1.9", pool_end="10.98.1.10")
    overlaps = [each for each in refused(wide) if "overlaps" in each]
    assert [each.split("own network ")[1].split(" ")[0] for each in overlaps] == ["management", "storage"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"networks": [{"name": "inner", "type": "geneve", "subnets": [{"name": "s", "cidr": "10.98.0.0/24"}]}]},
        {"projects": [{"name": "demo", "quotas": {"cores": 6, "ports": -1}}]},
        {"projects": [{"name": "empty", "state": "absent"}]},
        {"aggregates": [{"name": "rack1", "state": "absent"}, {"name": "a", "zone": "west", "hosts": ["cmp1"]}]},
        {"aggregates": [{"name": "rack1", "hosts": []}, {"name": "a", "zone": "west", "hosts": ["cmp1"]}]},
        {"flavors": [{"name": "f", "vcpus": 16, "ram_mib": 1024, "disk_gib": 99}]},
        {"images": [{"name": "new", "file": "/i/guest", "sha256": "AA"}]},
        {"projects": [{"name": "new"}], "users": [{"name": "new", "password": "p", "project": "new"}]},
    ],
)
def test_what_can_be_is_not_refused(wanted: dict[str, t.Any]) -> None:
    assert refused(wanted) == []


def test_without_block_storage_its_types_and_quotas_are_refused() -> None:
    wanted = {"volume_types": [{"name": "x"}], "projects": [{"name": "demo", "quotas": {"volumes": 1}}]}
    assert len(refused(wanted, {"volume_types": None})) == 2


def test_without_hypervisors_flavors_are_not_judged() -> None:
    assert refused({"flavors": [{"name": "f", "vcpus": 999, "ram_mib": 1}]}, {"hypervisors": []}) == []


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"projects": [{"name": "demo", "description": "new"}]}, "project demo: description 'old' to 'new'"),
        ({"projects": [{"name": "demo", "quotas": {"cores": 8}}]}, "quotas of project demo: cores 20 to 8"),
        ({"users": [GOOD["users"][0] | {"roles": ["member"]}]}, "user demo: take away the role reader on project demo"),
        ({"users": [{"name": "demo", "state": "absent"}]}, "user demo: remove"),
        ({"flavors": [GOOD["flavors"][0] | {"ram_mib": 256}]}, "flavor small: ram_mib 128 to 256"),
        ({"flavors": [GOOD["flavors"][0] | {"properties": {}}]}, "flavor small: properties {'a': '1'} to {}"),
        ({"images": [GOOD["images"][0] | {"golden": False}]}, "image guest: golden True to False"),
        (
            {"images": [GOOD["images"][0] | {"properties": {"os_distro": "x"}}]},
            "image guest: properties {'os_distro': 'debian'} to {'os_distro': 'x'}",
        ),
        ({"networks": [PUBLIC | {"mtu": 1400}]}, "network public: mtu 1500 to 1400"),
        ({"networks": [{"name": "public", "state": "absent"}]}, "network public: remove"),
        (
            {"networks": [PUBLIC | {"subnets": [SUBNET | {"dns": ["10.98.3.1"], "dhcp": True}]}]},
            "subnet public of network public: dhcp False to True; dns [] to ['10.98.3.1']",
        ),
        (
            {"networks": [PUBLIC | {"subnets": [{"name": "public", "state": "absent"}]}]},
            "subnet public of network public: remove",
        ),
        ({"aggregates": [{"name": "rack1", "hosts": ["cmp2"]}]}, "aggregate rack1: hosts cmp1 to cmp2"),
        (
            {"aggregates": [{"name": "rack1", "metadata": {"ssd": False}}]},
            "aggregate rack1: metadata {'ssd': 'true'}",
        ),
        ({"volume_types": [{"name": "ceph", "state": "absent"}]}, "volume type ceph: remove"),
    ],
)
def test_what_differs_is_said(wanted: dict[str, t.Any], says: str) -> None:
    said = differs(wanted)["says"]
    assert len(said) == 1, said
    assert said[0].startswith(says), said


def test_what_is_new_is_made_and_what_is_gone_is_left_alone() -> None:
    result = differs(
        {
            "users": [{"name": "new", "password": "secret", "project": "demo", "roles": ["reader"]}],
            "networks": [{"name": "new", "subnets": [{"name": "s", "cidr": "192.0.2.0/24"}]}],
            "flavors": [{"name": "gone", "state": "absent"}],
        }
    )
    assert result["says"] == [
        "user new: make",
        "network new: make",
        "user new: grant the role reader on project demo",
        "subnet s of network new: make",
    ]
    assert result["subnets"] == [{"name": "s", "cidr": "192.0.2.0/24", "network": "new"}]
    assert differs({"flavors": [{"name": "new", "properties": {"a": True, "b": 2}}]})["flavors"] == [
        {"name": "new", "properties": {"a": "true", "b": "2"}}
    ]
    assert not any("secret" in each for each in result["says"])


def test_what_an_item_does_not_say_is_kept_when_it_changes() -> None:
    result = differs(
        {
            "flavors": [{"name": "small", "vcpus": 2}],
            "images": [{"name": "guest", "golden": False}],
            "networks": [{"name": "public", "subnets": [{"name": "public", "dns": ["10.98.3.1"]}]}],
        }
    )
    assert result["flavors"] == [FOUND["flavors"]["small"] | {"name": "small", "vcpus": 2}]
    assert result["images"] == [{"name": "guest", "golden": False, "visibility": "public"}]
    assert result["subnets"][0].items() >= {"dhcp": False, "gateway": "10.98.3.1"}.items()


@pytest.mark.parametrize("wanted", [None, {"flavors": "small"}, {"flavors": [{"vcpus": 1}]}, {"flavors": ["small"]}])
def test_another_shape_is_explained(wanted: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"found .*; expected"):
        changes({"wanted": wanted, "found": FOUND, "files": {}})
    with pytest.raises(AnsibleFilterError, match="content_findings: found"):
        findings({"wanted": wanted})
