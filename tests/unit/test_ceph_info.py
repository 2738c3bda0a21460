# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags of the cluster, and its state as a whole."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils import _ceph_info
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_flag, ceph_info
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner


@pytest.fixture
def cluster() -> RecordedCluster:
    return RecordedCluster()


@pytest.fixture
def flag(monkeypatch: pytest.MonkeyPatch, cluster: RecordedCluster) -> Run:
    return runner(monkeypatch, ceph_flag.main, cluster)


@pytest.fixture
def info(monkeypatch: pytest.MonkeyPatch, cluster: RecordedCluster) -> t.Callable[[], dict[str, t.Any]]:
    run = runner(monkeypatch, ceph_info.main, cluster)
    return lambda: t.cast("dict[str, t.Any]", run()["ceph"])


def test_flags_are_set_once_and_unset_once(flag: Run, cluster: RecordedCluster) -> None:
    would = flag(check=True, flags=["noout", "pause"])
    assert cluster.changes == []
    did = flag(flags=["noout", "pause"])
    assert did == would
    assert (did["actions"], did["flags"]) == (["set noout", "set pause"], ["noout", "pause"])
    assert did["diff"] == {"before": {"noout": "unset", "pause": "unset"}, "after": {"noout": "set", "pause": "set"}}
    assert flag(flags=["pause", "noout"])["changed"] is False
    assert flag(flags=["norebalance"])["flags"] == ["noout", "norebalance", "pause"]
    undone = flag(flags=["noout", "noin"], state="absent")
    assert (undone["actions"], undone["flags"]) == (["unset noout"], ["norebalance", "pause"])
    assert flag(flags=["pause"], state="absent")["flags"] == ["norebalance"]
    assert flag(flags=["noout", "pause", "noin"], state="absent")["changed"] is False
    assert "sortbitwise" in cluster.answers["osd dump"]["flags"]


def test_a_flag_half_set_is_set(flag: Run, cluster: RecordedCluster) -> None:
    cluster.answers["osd dump"]["flags"] += ",pauserd"
    assert flag(flags=["pause"])["changed"]


def test_a_flag_that_is_none_is_refused(flag: Run, cluster: RecordedCluster) -> None:
    assert "noup" in flag(flags=["full"])["msg"]
    assert cluster.changes == []


def test_the_recorded_cluster(info: t.Callable[[], dict[str, t.Any]]) -> None:
    state = info()
    assert set(state) == set(ceph_info_contains())
    assert state["monitors"] == {"names": ["a"], "quorum": ["a"], "leader": "a"}
    assert state["managers"] == {"available": True, "active": "x", "standbys": 0}
    assert [(osd["id"], osd["host"], osd["up"], osd["in"]) for osd in state["osds"]] == [
        (number, f"h{number}", True, True) for number in range(3)
    ]
    assert state["buckets"][0] == {"name": "default", "type": "root", "children": ["h0", "h1", "h2"]}
    assert [(pool["name"], pool["size"], pool["crush_rule"]) for pool in state["pools"]][-1][1:] == (
        3,
        "replicated_rule",
    )
    groups = state["placement_groups"]
    assert groups["clean"] and groups["total"] == sum(groups["states"].values()) > 0
    capacity = state["capacity"]
    assert 0 < capacity["used_bytes"] < capacity["available_bytes"] < capacity["total_bytes"]
    assert {daemon: sum(counts.values()) for daemon, counts in state["versions"].items()} == {
        "mon": 1,
        "mgr": 1,
        "osd": 3,
    }
    (version,) = state["versions"]["osd"]
    assert version.startswith("1") and version.count(".") == 2
    assert state["flags"] == []


def ceph_info_contains() -> dict[str, t.Any]:
    contains: dict[str, t.Any] = yaml.safe_load(ceph_info.RETURN)["ceph"]["contains"]
    return contains


def test_the_documented_samples_have_the_shape_of_the_answer(info: t.Callable[[], dict[str, t.Any]]) -> None:
    state = info()
    for name, documented in ceph_info_contains().items():
        sample, real = documented["sample"], state[name]
        if isinstance(sample, list) and sample and real and isinstance(sample[0], dict):
            sample, real = sample[0], real[0]
        if isinstance(sample, dict):
            assert set(sample) == set(real), name


def test_health_with_muted_checks(info: t.Callable[[], dict[str, t.Any]], cluster: RecordedCluster) -> None:
    # As recorded with an OSD stopped, noout set and OSDMAP_FLAGS muted.
    cluster.answers["health"] = cluster.answers["health with a stopped OSD"]
    health = info()["health"]
    assert health["status"] == "HEALTH_WARN"
    checks = {check["code"]: check for check in health["checks"]}
    assert checks["OSDMAP_FLAGS"]["muted"] is True
    assert checks["OSD_DOWN"]["muted"] is False and checks["OSD_DOWN"]["detail"] == [
        "osd.2 (root=default,host=h2) is down"
    ]
    assert checks["OSD_DOWN"]["severity"] == "HEALTH_WARN" and "1 osds down" in checks["OSD_DOWN"]["summary"]
    assert list(checks) == sorted(checks)


def test_osds_down_out_or_nowhere(cluster: RecordedCluster) -> None:
    tree = copy.deepcopy(cluster.answers["osd tree"])
    osds = [node for node in tree["nodes"] if node["type"] == "osd"]
    osds[0].update(status="down", reweight=0)
    tree["nodes"].remove(osds[1])
    tree["stray"].append(osds[1])
    # Nodes that are gone may still be named as children.
    read = _ceph_info.osds_of(tree)
    assert [(osd.id, osd.up, osd.into) for osd in read] == [(0, False, False), (1, True, True), (2, True, True)]
    assert all(bucket.children for bucket in _ceph_info.buckets_of(tree["nodes"]) if bucket.name != "h1")


def test_a_cluster_without_a_manager(info: t.Callable[[], dict[str, t.Any]], cluster: RecordedCluster) -> None:
    # As recorded after the only one was killed.
    cluster.answers["mgr stat"] = {"epoch": 15, "available": False, "active_name": "", "num_standby": 0}
    assert info()["managers"] == {"available": False, "active": "", "standbys": 0}


@pytest.mark.parametrize(
    ("states", "clean"),
    [
        (["active+clean", "active+clean+scrubbing+deep"], True),
        (["active+clean", "active+undersized+degraded"], False),
        (["peering"], False),
    ],
)
def test_placement_groups_are_clean_whatever_else_they_do(states: list[str], clean: bool) -> None:
    shown = {"num_pgs": 9, "pgs_by_state": [{"state_name": state, "count": 3} for state in states]}
    assert _ceph_info.placement_groups_of(shown).clean is clean


def test_versions_of_several_builds_add_up() -> None:
    build = "ceph version 18.2.7 ({}) reef (stable)"
    read = _ceph_info.versions_of(
        {"osd": {build.format("a"): 2, build.format("b"): 1}, "overall": {build.format("a"): 3}}
    )
    assert read == {"osd": {"18.2.7": 3}}


def test_the_answer_is_json(info: t.Callable[[], dict[str, t.Any]]) -> None:
    assert json.loads(json.dumps(info())) == info()
