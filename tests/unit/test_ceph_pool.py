# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: made and changed as asked, refused where data would be lost, removed only when said and allowed."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_crush import places_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import find_pool
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_pool
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner

ALL = {
    "size": 3,
    "min_size": 2,
    "pg_num": 16,
    "autoscale_mode": "warn",
    "application": "rbd",
    "max_bytes": "10G",
    "max_objects": 1000,
}


@pytest.fixture
def cluster() -> RecordedCluster:
    return RecordedCluster()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cluster: RecordedCluster) -> Run:
    return runner(monkeypatch, ceph_pool.main, cluster)


def test_check_mode_says_what_a_run_then_does_and_a_second_run_does_nothing(run: Run, cluster: RecordedCluster) -> None:
    would = run(check=True, name="images", **ALL)
    assert cluster.changes == []
    did = run(name="images", **ALL)
    assert would == did
    assert did["actions"] == [
        "create pool images",
        "enable rbd on pool images",
        "set max_bytes of pool images",
        "set max_objects of pool images",
    ]
    assert did["diff"]["after"]["pool images"] == "size 3, min_size 2, crush_rule replicated_rule"
    made = find_pool(cluster.ceph, "images")
    assert made is not None
    assert (made.size, made.min_size, made.pg_num, made.autoscale_mode) == (3, 2, 16, "warn")
    assert (made.applications, made.max_bytes, made.max_objects) == (("rbd",), 10 * 1024**3, 1000)
    commands = len(cluster.changes)
    assert run(name="images", **ALL)["changed"] is False
    assert len(cluster.changes) == commands


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        ({"size": 2, "min_size": 2}, ["set size of pool images to 2", "set min_size of pool images to 2"]),
        ({"pg_num": 32}, ["set pg_num of pool images to 32"]),
        ({"autoscale_mode": "on", "pg_num": 64}, ["set pg_autoscale_mode of pool images to on"]),
        ({"max_bytes": 0}, ["set max_bytes of pool images"]),
        ({"max_objects": 7, "size": 3}, ["set max_objects of pool images"]),
        ({}, []),
    ],
)
def test_each_difference_is_noticed_and_mended(
    run: Run, cluster: RecordedCluster, options: dict[str, t.Any], actions: list[str]
) -> None:
    run(name="images", **ALL)
    result = run(name="images", **options)
    assert result["actions"] == actions
    assert run(name="images", **options)["changed"] is False
    for name in {"size", "min_size"} & set(options):
        assert cluster.pool("images")[name] == options[name]


def test_min_size_is_given_again_when_the_new_size_has_changed_it(run: Run, cluster: RecordedCluster) -> None:
    run(name="images", size=2, min_size=2)
    run(name="images", size=3, min_size=2)
    assert cluster.pool("images")["min_size"] == 2
    cluster.leader_settings["osd_pool_default_min_size"] = "3"
    run(name="images", size=2, min_size=2)
    run(name="images", size=3, min_size=2)
    assert (cluster.pool("images")["size"], cluster.pool("images")["min_size"]) == (3, 2)


def test_what_the_autoscaler_decided_is_left_alone(run: Run, cluster: RecordedCluster) -> None:
    run(name="images", autoscale_mode="on", pg_num=8)
    cluster.pool("images").update(pg_num=32, pg_num_target=32)
    assert run(name="images", autoscale_mode="on", pg_num=8)["changed"] is False
    assert run(name="images", pg_num=8)["changed"] is False


def test_a_number_of_placement_groups_on_its_way_is_not_set_again(run: Run, cluster: RecordedCluster) -> None:
    run(name="images", autoscale_mode="off", pg_num=8)
    run(name="images", pg_num=16)
    assert (cluster.pool("images")["pg_num"], cluster.pool("images")["pg_num_target"]) == (8, 16)
    assert run(name="images", pg_num=16)["changed"] is False


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"size": 1}, "size 1"),
        ({"size": 3, "min_size": 1}, "min_size 1"),
        # The monitors' default for two replicas is one.
        ({"size": 2}, "min_size 1"),
        ({"size": 2, "min_size": 3}, "min_size 3 with size 2"),
        ({"size": 0}, "size 0"),
        ({"max_objects": -1}, "max_objects -1"),
    ],
)
def test_settings_that_lose_data_are_refused(
    run: Run, cluster: RecordedCluster, options: dict[str, t.Any], found: str
) -> None:
    failed = run(name="images", **options)
    assert failed["failed"] and failed["found"] == found and failed["remedy"]
    assert cluster.changes == []


def test_a_change_of_size_does_not_bring_min_size_1(run: Run, cluster: RecordedCluster) -> None:
    run(name="images", size=3)
    commands = len(cluster.changes)
    assert run(name="images", size=2)["found"] == "min_size 1"
    assert len(cluster.changes) == commands
    assert run(name="images", size=2, force=True)["changed"]


def test_one_replica_needs_force_and_the_monitors_leave(run: Run, cluster: RecordedCluster) -> None:
    assert run(name="scratch", size=1, force=True)["found"] == "mon_allow_pool_size_one false"
    assert cluster.changes == []
    cluster.leader_settings["mon_allow_pool_size_one"] = "true"
    assert run(name="scratch", size=1, force=True)["changed"]
    assert cluster.changes[0]["yes_i_really_mean_it"] is True


def test_more_replicas_than_hosts_are_refused_with_the_hosts(run: Run, cluster: RecordedCluster) -> None:
    failed = run(name="images", size=4)
    assert failed["found"] == "3 of the kind host with OSDs that are in (h0, h1, h2)"
    assert failed["expected"].startswith("at least 4")
    run(name="images", size=3)
    assert run(name="images", size=5, min_size=2)["thing"] == "pool images"
    assert run(name="images", size=5, min_size=2, force=True)["changed"]


@pytest.mark.parametrize(
    ("fault", "hosts"),
    [
        ({"reweight": 0}, ("h1", "h2")),
        ({"crush_weight": 0}, ("h1", "h2")),
        ({"exists": 0}, ("h1", "h2")),
        ({"status": "down"}, ("h0", "h1", "h2")),
    ],
)
def test_hosts_count_by_the_osds_that_can_hold_data(
    cluster: RecordedCluster, fault: dict[str, t.Any], hosts: tuple[str, ...]
) -> None:
    nodes = cluster.answers["osd tree"]["nodes"]
    next(node for node in nodes if node["name"] == "osd.0").update(fault)
    assert places_of(cluster.answers["osd crush rule dump"][0], nodes).names == hosts


def test_rules_of_a_device_class_or_of_several_steps(cluster: RecordedCluster) -> None:
    nodes = cluster.answers["osd tree"]["nodes"]
    rule = copy.deepcopy(cluster.answers["osd crush rule dump"][0])
    for node in nodes:
        if node["type"] == "osd":
            node["device_class"] = "ssd" if node["id"] == 2 else "hdd"
    rule["steps"][0]["item_name"] = "default~ssd"
    assert places_of(rule, nodes).names == ("h2",)
    rule["steps"].insert(1, {"op": "choose_firstn", "num": 2, "type": "rack"})
    assert places_of(rule, nodes) == places_of(rule, nodes).__class__("replicated_rule", "osd", ("osd.2",))
    rule["steps"][0]["item_name"] = "elsewhere"
    assert places_of(rule, nodes).names == ()


def test_an_unknown_rule_is_refused_and_a_known_one_checked(run: Run, cluster: RecordedCluster) -> None:
    run(name="images", size=3)
    assert run(name="images", crush_rule="ssd")["thing"] == "CRUSH rule ssd"
    other = copy.deepcopy(cluster.answers["osd crush rule dump"][0])
    other.update(rule_id=7, rule_name="ssd")
    cluster.answers["osd crush rule dump"].append(other)
    assert run(name="images", crush_rule="ssd")["actions"] == ["set crush_rule of pool images to ssd"]
    assert run(name="images", crush_rule="ssd")["changed"] is False
    other["steps"][0]["item_name"] = "default~ssd"
    run(name="images", crush_rule="replicated_rule")
    assert run(name="images", crush_rule="ssd")["found"].startswith("0 of the kind host")


def test_a_pool_of_another_application_is_refused(run: Run, cluster: RecordedCluster) -> None:
    run(name="files", size=3, application="cephfs")
    assert run(name="files", application="rbd")["found"] == "cephfs"
    assert run(name="files", application="rbd", force=True)["changed"]
    assert set(cluster.pool("files")["application_metadata"]) == {"cephfs", "rbd"}


def test_a_pool_goes_only_when_that_is_said_and_allowed(run: Run, cluster: RecordedCluster) -> None:
    assert run(name="images", state="absent")["changed"] is False
    run(name="images", **ALL)
    cluster.answers["df"]["pools"].append({"name": "images", "id": 9, "stats": {"stored": 4096, "objects": 2}})
    refused = run(name="images", state="absent")
    assert (refused["found"], refused["remedy"]) == ("2 objects with 4096 bytes", "Set remove_data.")
    for check in (True, False):
        forbidden = run(check=check, name="images", state="absent", remove_data=True)
        assert forbidden["found"] == "mon_allow_pool_delete false"
    cluster.leader_settings["mon_allow_pool_delete"] = "true"
    cluster.pool("images")["flags_names"] += ",nodelete"
    assert run(name="images", state="absent", remove_data=True)["found"] == "the flag nodelete"
    cluster.pool("images")["flags_names"] = "hashpspool"
    commands = len(cluster.changes)
    assert run(check=True, name="images", state="absent", remove_data=True)["changed"]
    assert len(cluster.changes) == commands
    assert run(name="images", state="absent", remove_data=True)["actions"] == ["remove pool images"]
    assert run(name="images", state="absent", remove_data=True)["changed"] is False


def test_an_erasure_coded_pool_keeps_its_size(run: Run, cluster: RecordedCluster) -> None:
    run(name="archive", size=3)
    cluster.pool("archive")["type"] = 3
    assert "erasure" in run(name="archive", size=2, min_size=2)["expected"]
    assert run(name="archive", max_objects=5)["changed"]
