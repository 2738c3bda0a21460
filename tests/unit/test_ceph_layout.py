# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory tells of a Ceph cluster: what is refused, what is only advised against."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.ceph_layout_findings import findings

HOSTS = ["stor1", "stor2", "stor3"]
GOOD: dict[str, t.Any] = {
    "monitors": HOSTS,
    "managers": HOSTS[:2],
    "devices": {host: ["/dev/sdb", "/dev/sdc", "/dev/sdd", "/dev/sde"] for host in HOSTS},
    "addresses": {host: f"10.0.1.{number}" for number, host in enumerate(HOSTS, 1)},
    "pools": [{"name": "images", "size": 3, "min_size": 2, "pg_num": 32, "application": "rbd"}],
    "clients": {"client.glance": {"mon": "profile rbd", "osd": "profile rbd pool=images"}},
    "crush_rules": [],
    "single": False,
}
DISKS = ["/dev/sdb"]


def of(kind: str, **changes: t.Any) -> list[str]:
    layout = copy.deepcopy(GOOD) | changes
    return [f"{each['thing']}: {each['found']}" for each in findings(layout)[kind]]


def test_a_good_layout_has_no_findings() -> None:
    assert findings(GOOD) == {"refusals": [], "advice": []}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"monitors": HOSTS[:2]}, "group ceph_mon: 2 (stor1, stor2)"),
        ({"managers": []}, "group ceph_mgr: none"),
        ({"addresses": {"stor1": "10.0.1.1", "stor2": "10.0.1.2"}}, "host stor3: no address on Ceph's network"),
        ({"devices": GOOD["devices"] | {"stor2": []}}, "ceph_osd_devices of stor2: none"),
        ({"devices": GOOD["devices"] | {"stor2": DISKS * 2}}, "ceph_osd_devices of stor2: /dev/sdb more than once"),
        ({"pools": [{"name": "images", "size": 3, "min_size": 1}]}, "pool images: min_size 1"),
        ({"pools": [{"name": "images", "size": 1}]}, "pool images: size 1"),
        ({"pools": [{"name": "images", "size": 2, "min_size": 3}]}, "pool images: min_size 3 with size 2"),
        ({"pools": [{"name": "images", "size": 4}]}, "pool images: size 4 with 3 of the kind host that carry OSDs"),
        ({"pools": [{"name": "images"}], "devices": {"stor1": DISKS, "stor2": DISKS}}, "pool images: size 3 with 2"),
        ({"pools": GOOD["pools"] * 2}, "pool images: more than once in ceph_pools"),
    ],
)
def test_what_cannot_work_or_loses_data_is_refused(changes: dict[str, t.Any], words: str) -> None:
    refused = of("refusals", **changes)
    assert any(each.startswith(words) for each in refused), refused


def test_force_accepts_a_single_copy() -> None:
    assert of("refusals", pools=[{"name": "scratch", "size": 1, "min_size": 1, "force": True}]) == []


def test_places_are_counted_by_the_rule_of_the_pool() -> None:
    def refused(domain: str, size: int) -> list[str]:
        pools = [{"name": "p", "size": size, "crush_rule": "own"}]
        return of("refusals", pools=pools, crush_rules=[{"name": "own", "failure_domain": domain}])

    assert refused("osd", 12) == [] and refused("host", 3) == []
    assert refused("osd", 13) and refused("host", 4)
    # The cluster alone knows its racks.
    assert refused("rack", 5) == []


def test_a_single_host_may_have_one_monitor_and_its_replicas_on_its_disks() -> None:
    alone: dict[str, t.Any] = {"monitors": HOSTS[:1], "managers": HOSTS[:1], "single": True}
    disks = [f"/dev/sd{letter}" for letter in "bcd"]
    assert of("refusals", **alone, devices={"stor1": disks}) == []
    assert of("refusals", **alone, devices={"stor1": disks[:2]})
    assert of("refusals", **(alone | {"monitors": []}), devices={"stor1": disks})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"devices": {host: DISKS for host in HOSTS}}, "size of the Ceph cluster: 3 OSDs on 3 hosts"),
        ({"devices": GOOD["devices"] | {"stor3": DISKS * 1}}, "OSDs of each host: stor1 4, stor2 4, stor3 1"),
        ({"monitors": [*HOSTS, "stor4"]}, "group ceph_mon: 4"),
        ({"managers": ["stor1"]}, "group ceph_mgr: 1 (stor1)"),
        ({"devices": {host: ["/srv/osd"] for host in HOSTS}}, "OSDs in files: stor1:/srv/osd"),
        ({"clients": {"client.nova": {"osd": "profile rbd pool=vms"}}}, "caps of client.nova: the pool vms"),
    ],
)
def test_what_is_small_is_advised_against_and_not_refused(changes: dict[str, t.Any], words: str) -> None:
    advised = of("advice", **changes)
    assert any(each.startswith(words) for each in advised), advised


@pytest.mark.parametrize("layout", [None, {}, GOOD | {"pools": [{}]}, GOOD | {"pools": [{"name": "a", "size": "x"}]}])
def test_another_shape_is_an_error_that_says_so(layout: object) -> None:
    with pytest.raises(AnsibleFilterError, match="ceph_layout_findings"):
        findings(layout)
