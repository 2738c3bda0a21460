# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that monitors keep: one value written in two ways is no difference, what Ceph would refuse is refused."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_config import who_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_option import canonical
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_config
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner

SETTINGS = {"osd_memory_target": "8G", "mon_allow_pool_delete": True, "osd_heartbeat_grace": 5}


@pytest.fixture
def cluster() -> RecordedCluster:
    return RecordedCluster()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cluster: RecordedCluster) -> Run:
    return runner(monkeypatch, ceph_config.main, cluster)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("size", "8G", "8589934592"),
        ("size", "8GiB", "8192MB"),
        ("size", "1K", "1024B"),
        ("uint", "10K", "10000"),
        ("int", "-1", "-1"),
        ("bool", "True", "1"),
        ("bool", "false", "0"),
        ("float", ".85", "0.850000"),
        ("secs", "1h 30m", "5400"),
        ("secs", "2 days", "172800"),
        ("millisecs", "50", "050"),
    ],
)
def test_two_ways_to_write_one_value(kind: str, one: str, other: str) -> None:
    assert canonical(kind, one) == canonical(kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [("size", "1G", "1000000000"), ("uint", "1K", "1024"), ("str", "a", "A"), ("secs", "1 fortnight", "1 f")],
)
def test_two_values_that_look_alike(kind: str, one: str, other: str) -> None:
    assert canonical(kind, one) != canonical(kind, other)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("size", "8Gb"),
        ("size", "big"),
        ("size", "1Bi"),
        ("uint", "1.5"),
        ("bool", "yes"),
        ("float", "1,5"),
        ("int", ""),
    ],
)
def test_text_that_is_no_value(kind: str, text: str) -> None:
    with pytest.raises(ValueError):
        canonical(kind, text)


def test_options_are_set_once_and_check_mode_says_so(run: Run, cluster: RecordedCluster) -> None:
    would = run(check=True, who="osd", settings=SETTINGS)
    assert cluster.changes == []
    did = run(who="osd", settings=SETTINGS)
    assert did == would
    assert did["actions"] == [f"set {name} of osd" for name in SETTINGS]
    assert did["diff"]["before"]["osd_memory_target of osd"] == "not set"
    assert [command["value"] for command in cluster.changes] == ["8G", "true", "5"]
    assert run(who="osd", settings=SETTINGS)["changed"] is False
    assert run(who="osd", settings={"osd memory target": "8192M"})["changed"] is False
    assert len(cluster.changes) == len(SETTINGS)


def test_another_value_and_another_target_are_differences(run: Run, cluster: RecordedCluster) -> None:
    run(who="osd", settings=SETTINGS)
    assert run(who="osd", settings={**SETTINGS, "osd_memory_target": "4G"})["diff"] == {
        "before": {"osd_memory_target of osd": "8G"},
        "after": {"osd_memory_target of osd": "4G"},
    }
    for who in ("global", "osd.1", "osd/class:ssd", "osd/host:h1"):
        assert run(who=who, settings={"osd_memory_target": "4G"})["changed"], who
        assert not run(who=who, settings={"osd_memory_target": "4G"})["changed"], who


def test_null_takes_an_option_away(run: Run, cluster: RecordedCluster) -> None:
    assert run(settings={"osd_heartbeat_grace": None})["changed"] is False
    run(settings={"osd_heartbeat_grace": 5})
    assert run(settings={"osd_heartbeat_grace": None})["actions"] == ["remove osd_heartbeat_grace of global"]
    assert run(settings={"osd_heartbeat_grace": None})["changed"] is False


def test_options_that_wait_for_a_restart_are_named(run: Run) -> None:
    result = run(who="osd", settings={"osd_heartbeat_grace": 5, "osd_op_num_shards": 2})
    assert result["restart_needed"] == ["osd_op_num_shards"]
    assert run(who="osd", settings={"osd_heartbeat_grace": 5, "osd_op_num_shards": 2})["restart_needed"] == []


@pytest.mark.parametrize(
    ("who", "settings", "thing"),
    [
        ("global", {"osd_hartbeat_grace": 5}, "Ceph option osd_hartbeat_grace"),
        ("global", {"osd_memory_target": "much"}, "Ceph option osd_memory_target"),
        ("global", {"mon_allow_pool_delete": "yes"}, "Ceph option mon_allow_pool_delete"),
        ("global", {"mon_host": "10.0.0.1"}, "Ceph option mon_host"),
        ("global", {"osd_pool_default_pg_autoscale_mode": "maybe"}, "Ceph option osd_pool_default_pg_autoscale_mode"),
        ("global", {"osd_memory_target": [1]}, "Ceph option osd_memory_target"),
        ("osds", {"osd_memory_target": "4G"}, "target of Ceph options"),
        ("osd/mon", {"osd_memory_target": "4G"}, "target of Ceph options"),
        ("", {"osd_memory_target": "4G"}, "target of Ceph options"),
    ],
)
def test_what_ceph_would_refuse_is_refused_before_the_first_change(
    run: Run, cluster: RecordedCluster, who: str, settings: dict[str, object], thing: str
) -> None:
    for check in (True, False):
        failed = run(check=check, who=who, settings={"osd_heartbeat_grace": 5, **settings})
        assert failed["failed"] and failed["thing"] == thing and failed["remedy"]
    assert cluster.changes == []


def test_targets() -> None:
    assert who_of("host:h1") == ("global", frozenset({"host:h1"}))
    assert who_of("osd/class:ssd/host:h1") == who_of("osd/host:h1/class:ssd")
    assert who_of("client.rgw.a") == ("client.rgw.a", frozenset())
    with pytest.raises(LifeboatError):
        who_of("osd; rm")
