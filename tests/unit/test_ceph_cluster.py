# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster in one session: everything once, refusals before the first change, keys only when asked for."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_cluster
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner

RBD = {"mon": "profile rbd", "osd": "profile rbd pool=images"}
POOLS = [{"name": name, "size": 3, "min_size": 2, "pg_num": 16, "application": "rbd"} for name in ("images", "backups")]


class Cluster(RecordedCluster):
    """The recorded cluster with manager modules and CRUSH rules that can be made."""

    def __init__(self) -> None:
        super().__init__()
        self.answers["mgr module ls"] = {
            "always_on_modules": ["balancer"],
            "enabled_modules": ["restful"],
            "disabled_modules": [
                {"name": "prometheus", "can_run": True, "error_string": ""},
                {"name": "dashboard", "can_run": False, "error_string": "PyO3 modules do not yet support it"},
            ],
        }

    def do_mgr_module_enable(self, module: str) -> None:
        self.answers["mgr module ls"]["enabled_modules"].append(module)

    def do_mgr_module_disable(self, module: str) -> None:
        self.answers["mgr module ls"]["enabled_modules"].remove(module)

    def do_osd_crush_rule_create_replicated(self, name: str, root: str, type: str, **options: str) -> None:
        rule = json.loads(json.dumps(self.answers["osd crush rule dump"][0]))
        self.answers["osd crush rule dump"].append(rule | {"rule_name": name, "rule_id": 7})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Run:
    return runner(monkeypatch, ceph_cluster.main, cluster)


def everything() -> dict[str, t.Any]:
    return {
        "config": {"global": {"osd_heartbeat_grace": 5}},
        "manager_modules": {"restful": False, "prometheus": True, "balancer": True},
        "crush_rules": [{"name": "replicated_rule"}, {"name": "fast", "device_class": "ssd"}],
        "pools": [*POOLS, {"name": "fast", "size": 3, "crush_rule": "fast", "application": "rbd"}],
        "clients": {"client.glance": RBD},
    }


def test_everything_is_made_once(run: Run, cluster: Cluster) -> None:
    would = run(check=True, **everything())
    assert cluster.changes == []
    did = run(**everything())
    assert did["actions"] == would["actions"]
    assert {
        "set osd_heartbeat_grace of global",
        "switch manager module restful off",
        "switch manager module prometheus on",
        "create CRUSH rule fast",
        "create client.glance",
        "create pool backups",
        "create pool fast",
    } <= set(did["actions"])
    assert cluster.pool("fast")["crush_rule"] == 7 and cluster.pool("backups")["min_size"] == 2
    assert run(**everything())["changed"] is False
    assert run(check=True, **everything())["changed"] is False


def test_nothing_is_touched_that_is_not_named(run: Run, cluster: Cluster) -> None:
    assert run()["changed"] is False
    assert run(config={}, pools=[])["changed"] is False
    assert cluster.changes == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pools": [POOLS[0], {"name": "scratch", "size": 3, "min_size": 1}]}, "min_size 1"),
        ({"pools": [{"name": "wide", "size": 4, "min_size": 2}]}, "3 of the kind host"),
        ({"manager_modules": {"restful": False, "dashboard": True}}, "PyO3"),
        ({"clients": {"glance": RBD}}, "'glance'"),
        ({"config": {"global": {"no_such_option": 1}}}, "no such option"),
    ],
)
def test_a_refusal_comes_before_the_first_change(
    run: Run, cluster: Cluster, wrong: dict[str, t.Any], words: str
) -> None:
    failed = run(**{**everything(), **wrong})
    assert failed["failed"] and words in failed["found"]
    assert cluster.changes == []


def test_a_failure_of_one_change_is_the_failure_of_all(run: Run, cluster: Cluster) -> None:
    cluster.failures["osd pool application enable"] = (-22, b"", "no")
    assert run(**everything())["failed"]


def test_keys_are_returned_only_when_asked_for(run: Run, cluster: Cluster) -> None:
    made = run(clients={"client.glance": RBD})
    key = next(each["key"] for each in cluster.answers["entities"] if each["entity"] == "client.glance")
    assert key not in json.dumps(made)
    asked = run(clients={"client.glance": RBD}, return_keys=True)
    assert asked["client_keys"] == {"client.glance": key}
    assert asked["client_keyrings"] == {"client.glance": f"[client.glance]\n\tkey = {key}\n"}
    assert run(check=True, clients={"client.new": RBD}, return_keys=True)["client_keys"] == {"client.new": ""}
