# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module migration_plan, from options and from files."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults
from ansible_collections.lifeboat.cloud.plugins.modules import migration_plan
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, host, server
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

FLEET = {
    "hosts": [host("cmp1"), host("cmp2"), host("cmp3")],
    "servers": [server("web", "cmp1"), server("db", "cmp1", movable="none", reason="it has a PCI device")],
}


def run(check=False, **options):
    result = run_module(migration_plan.main, check, **options)
    del result["invocation"]
    return result


def test_it_plans_and_says_who_stays_and_why():
    seen = run(goal="drain", drain=["cmp1"], **FLEET)
    (step,) = seen["steps"]
    assert (step["server"], step["source"], step["mode"], step["stops_server"]) == ("web", "cmp1", "pre-copy", False)
    assert step["end_s"] == pytest.approx(GIB / 125e6 + Defaults().setup_s + Defaults().switch_s, abs=0.01)
    (stays,) = seen["unplaced"]
    assert stays["servers"] == [{"server": "db", "name": "db", "host": "cmp1"}]
    assert stays["reasons"] == [{"hosts": [], "obstacles": [{"subject": "server", "reason": "it has a PCI device"}]}]
    assert (seen["changed"], seen["summary"]["moves"], seen["summary"]["staying"]) == (False, 1, 1)
    assert seen["summary"]["emptied_hosts"] == []
    assert [row["fits"] for row in seen["compatibility"]] == [["cmp2", "cmp3"]]
    assert run(check=True, goal="drain", drain=["cmp1"], **FLEET) == seen


OLDER = [host("cmp1", hypervisor_version="10.0.2"), host("old", hypervisor_version="9.2.0")]
EMPTIED = {"goal": "drain", "drain": ["cmp1"]}


def modes(seen):
    return {step["server"]: (step["destination"], step["mode"], step["stops_server"]) for step in seen["steps"]}


def staying(seen):
    return {each["server"] for unplaced in seen["unplaced"] for each in unplaced["servers"]}


def test_what_no_host_takes_while_it_runs_is_stopped_only_where_that_is_allowed():
    guests = [server("web", "cmp1"), server("off", "cmp1", movable="cold", status="SHUTOFF")]
    guests += [server("asleep", "cmp1", status="PAUSED"), server("fixed", "cmp1", movable="none")]
    refused = run(hosts=OLDER, servers=guests, **EMPTIED)
    assert modes(refused) == {"off": ("old", "cold", False)} and staying(refused) == {"web", "asleep", "fixed"}
    assert "9.2.0 on the destination is older" in json.dumps(refused["unplaced"])
    allowed = run(hosts=OLDER, servers=guests, policy={"cold": True}, **EMPTIED)
    assert modes(allowed) == {"off": ("old", "cold", False), "web": ("old", "cold", True)}
    assert staying(allowed) == {"asleep", "fixed"}


def test_who_can_go_live_is_not_stopped_for_it():
    hosts = [*OLDER, host("new", vcpus=1, hypervisor_version="10.0.2")]
    guests = [server("big", "cmp1", vcpus=2), server("small", "cmp1")]
    seen = run(hosts=hosts, servers=guests, policy={"cold": True}, **EMPTIED)
    assert modes(seen) == {"big": ("old", "cold", True), "small": ("new", "pre-copy", False)}


def test_nobody_is_stopped_for_a_place_that_somebody_else_has_live():
    hosts = [host("cmp1", hypervisor_version="10.0.2"), host("cmp2", hypervisor_version="9.1.0")]
    hosts += [host("old", vcpus=1, hypervisor_version="9.2.0")]
    guests = [server("web", "cmp1"), server("mail", "cmp2")]
    seen = run(hosts=hosts, servers=guests, policy={"cold": True}, goal="drain", drain=["cmp1", "cmp2"])
    assert modes(seen) == {"mail": ("old", "pre-copy", False)} and staying(seen) == {"web"}


@pytest.mark.parametrize(("name", "text"), [("fleet.json", json.dumps), ("fleet.yml", yaml.safe_dump)])
def test_a_file_says_the_same_as_the_options(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text(FLEET))
    assert run(goal="drain", drain=["cmp1"], path=str(file)) == run(goal="drain", drain=["cmp1"], **FLEET)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "JSON or YAML that can be read"),
        ("a.yml", "a: [", "JSON or YAML that can be read"),
        ("a.yml", "- 1", "found list"),
        ("a.json", '{"hosts": [], "severs": []}', "found the keys hosts, severs"),
        ("a.json", '{"servers": []}', "found the keys servers"),
        ("a.yml", "hosts:", "a.yml: found None; expected a list"),
        ("a.yml", "hosts: []\nservers:", "servers of file"),
        ("a.json", '{"hosts": {"cmp1": {}}}', "found {'cmp1': {}}; expected a list"),
        ("a.yml", "hosts: [{name: a, vcpus: 1, memory: 1, bandwidth: 1, 2: 3, x: 4}]", "host a: found unknown 2, x"),
    ],
)
def test_a_file_that_is_no_fleet_is_refused(tmp_path, name, text, words):
    file = tmp_path / name
    file.write_text(text)
    assert words in run(goal="balance", path=str(file))["msg"]
    assert "file /nowhere.json: found" in run(goal="balance", path="/nowhere.json")["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"goal": "drain"}, "drain"),
        ({"goal": "move"}, "moves"),
        ({"goal": "drain", "drain": []}, "goal drain: found nothing in drain"),
        ({"goal": "move", "moves": []}, "goal move: found nothing in moves"),
        ({"goal": "balance", "path": "/x.json"}, "mutually exclusive"),
        ({"goal": "drain", "drain": ["cmp9"]}, "no such host"),
        ({"goal": "balance", "limits": {"total": 0}}, "total of limits given"),
        ({"goal": "balance", "history": [{"server": "web"}]}, "no assumed"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    failed = run(**FLEET, **options)
    assert failed["failed"] and words in failed["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "/x.json", "links": []}, "mutually exclusive: path|links"),
        ({"path": "/x.json", "host_links": {}}, "mutually exclusive: path|host_links"),
        ({"path": "/x.json", "servers": []}, "required by 'servers': hosts"),
        ({"hosts": [], "host_links": {}}, "mutually exclusive: hosts|host_links"),
        ({"hosts": [], "shared_storage": "ceph"}, "mutually exclusive: hosts|shared_storage"),
        ({"cloud": "admin", "servers": []}, "required by 'servers': hosts"),
        ({"cloud": "admin", "groups": []}, "required by 'groups': hosts"),
    ],
)
def test_what_the_source_of_the_fleet_has_no_use_for_is_refused(options, words):
    failed = run(goal="balance", **options)
    assert failed["failed"] and words in failed["msg"]


def test_a_policy_decides_whether_a_server_may_be_stopped():
    of = FLEET | {"servers": [server("old", "cmp1", movable="cold")]}
    assert not run(goal="drain", drain=["cmp1"], **of)["steps"]
    (step,) = run(goal="drain", drain=["cmp1"], policy={"cold": True}, **of)["steps"]
    assert (step["mode"], step["stops_server"], step["downtime_s"]) == ("cold", True, Defaults().reboot_s)


@pytest.mark.parametrize("status", ["PAUSED", "SUSPENDED"])
def test_a_server_that_is_paused_is_not_stopped_for_its_move(status):
    pinned = server("gpu", "cmp1", status=status, movable="cold", reason="it has a PCI device")
    busy = server("busy", "cmp1", status=status, dirty_rate=1e9)
    policy = {"cold": True, "auto_converge": False}
    seen = run(goal="drain", drain=["cmp1"], policy=policy, **FLEET | {"servers": [pinned, busy]})
    assert seen["steps"] == [] and staying(seen) == {"gpu", "busy"}
    reasons = [each["reasons"][0]["obstacles"][0]["reason"] for each in seen["unplaced"]]
    assert f"it has a PCI device, and one that is {status} is not stopped for its move" in reasons
    wish = {"goal": "move", "moves": [{"server": "busy", "destination": "cmp2", "kind": "cold"}], "policy": policy}
    assert staying(run(**wish, **FLEET | {"servers": [busy]})) == {"busy"}


def test_a_measured_dirty_rate_decides_on_the_mode():
    def modes(of, **options):
        return {each["name"]: each["mode"] for each in run(goal="drain", drain=["cmp1"], **options, **of)["steps"]}

    of = FLEET | {"servers": [server("calm", "cmp1"), server("busy", "cmp1", dirty_rate=1.0)]}
    seen = run(
        goal="drain", drain=["cmp1"], dirty_rates={"busy": 2e8, "calm": 0, "of another cloud": 1, "off": None}, **of
    )
    assert {each["name"]: each["mode"] for each in seen["steps"]} == {"busy": "auto-converge", "calm": "pre-copy"}
    assert {each["name"]: each["assumed"]["dirty_rate"] for each in seen["steps"]} == {"busy": 2e8, "calm": 0}
    assert seen["summary"]["measured"] == 2
    busy = {"dirty_rates": {"busy": 2e8}}
    assert modes(of, **busy, policy={"auto_converge": False, "post_copy": True})["busy"] == "post-copy"
    assert modes(of, **busy, policy={"auto_converge": False, "cold": True})["busy"] == "cold"
    seen = run(goal="drain", drain=["cmp1"], **busy, policy={"auto_converge": False}, **of)
    assert [each["name"] for each in seen["steps"]] == ["calm"] and seen["summary"]["measured"] == 0
    (stays,) = seen["unplaced"]
    assert "a guest that writes 191 MiB/s" in stays["reasons"][0]["obstacles"][0]["reason"]
    assert modes(of) == {"busy": "pre-copy", "calm": "pre-copy"}


def test_what_was_measured_counts_more_than_what_was_learned():
    first = run(goal="drain", drain=["cmp1"], **FLEET)["steps"][0]
    measured = {"transferred": 2 * GIB, "copy_s": 2 * GIB / 125e6, "total_s": 2 * GIB / 125e6 + 5, "dirty_rate": 6e7}
    wish = {"goal": "drain", "drain": ["cmp1"], "history": [first | {"measured": measured}], **FLEET}
    assert run(**wish)["steps"][0]["assumed"]["dirty_rate"] == pytest.approx(6e7)
    assert run(**wish, assumed={"dirty_rate": 9.0}, dirty_rates={"web": 5.0})["steps"][0]["assumed"]["dirty_rate"] == 5


@pytest.mark.parametrize("rate", [-1, "fast", True, [1]])
def test_a_dirty_rate_that_is_none_is_refused(rate):
    failed = run(goal="drain", drain=["cmp1"], dirty_rates={"web": rate}, **FLEET)
    assert failed["found"] == repr(rate) and failed["thing"] == "dirty_rate of server web"


def test_a_step_can_be_given_back_with_what_was_measured():
    first = run(goal="drain", drain=["cmp1"], **FLEET)
    measured = {"transferred": GIB, "copy_s": 2 * GIB / 125e6, "downtime_s": 0.4, "total_s": 2 * GIB / 125e6 + 3.4}
    again = run(goal="drain", drain=["cmp1"], history=[first["steps"][0] | {"measured": measured}], **FLEET)
    assert again["steps"][0]["end_s"] == pytest.approx(measured["total_s"], rel=0.01)
    assert {each["what"]: round(each["after"], 2) for each in again["learned"]} == {
        "bandwidth": 0.5,
        "switch_s": 0.4,
        "setup_s": 3.0,
        "memory": GIB,
        "dirty_rate": 0,
    }
