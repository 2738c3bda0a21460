# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan over a Nova whose servers move on with each list of its records."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _migration_run, _server_journey
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.plugins.modules import migration_plan
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.migration_run_samples import (
    ASSUMED,
    KEYS,
    build,
    kept,
    requests,
    step,
)
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


def test_a_plan_is_foretold_and_carried_out_and_the_second_run_does_nothing(nova, run, tmp_path):
    options = {"assumed": ASSUMED, "shared_storage": "ceph", "limits": {"outgoing": 3, "incoming": 3}}
    plan = run_module(migration_plan.main, **nova.options, **options, goal="drain", drain=["cmp1"])
    would = run(plan["steps"], check=True, limits=options["limits"])
    assert requests(nova) == {} and kept(tmp_path) == []
    did = run(plan["steps"], limits=options["limits"])
    assert would["actions"] == did["actions"] and len(did["actions"]) == 3 and did["finished"]
    assert {each.host for each in nova.moving.servers.values()} == {"cmp2", "cmp3"}
    assert did["receipts"] == kept(tmp_path) and [list(each) for each in did["receipts"]] == [KEYS] * 3
    assert [each["planned"] for each in did["receipts"]] == plan["steps"]
    for receipt in did["receipts"]:
        assert receipt["moved"] and receipt["found"] == "" and receipt["seconds"] > 0 and receipt["phases"]
        assert receipt["timeline"][-1] | {"at_s": 0} == {
            "at_s": 0,
            "record": "completed",
            "server": "ACTIVE",
            "task": None,
        }
    again = run(plan["steps"], limits=options["limits"])
    assert again["finished"] and not again["changed"] and again["receipts"] == [] and requests(nova) == {}
    assert (tmp_path / "run.jsonl").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(("ends", "findings"), [("PAUSED", 0), ("ACTIVE", 1)])
def test_a_receipt_tells_how_the_server_was_before(nova, run, tmp_path, ends, findings):
    nova.moving.servers["web-1"].status = "PAUSED"
    nova.moving.script["live"] = [*moving_nova.LIVE[:3], ("completed", ends, None, True)]
    (receipt,) = run([step("web-1")])["receipts"]
    assert receipt["timeline"][0] == {"at_s": 0.0, "record": "", "server": "PAUSED", "task": None}
    document = {"goal": "move", "plan": {}, "stayed": [], "receipts": [receipt]}
    (tmp_path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    (judged,) = judge(read_run(tmp_path / "run.json"), {}, None)
    assert sum("PAUSED was expected" in each.says for each in judged.findings) == findings


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"outgoing": 3, "incoming": 3}, 3), ({"outgoing": 2, "incoming": 3}, 2), ({"outgoing": 3, "total": 1}, 1)],
)
def test_as_many_go_at_once_as_the_limits_allow(nova, run, limits, most):
    seen = []
    nova.moving.at_list = lambda _number: seen.append(len(nova.moving.under_way))
    did = run([step(f"web-{each}", destination=f"cmp{2 + each % 2}") for each in (1, 2, 3)], limits=limits)
    assert max(seen) == most and [each["moved"] for each in did["receipts"]] == [True] * 3


RACKS = {
    "links": [{"name": "rack1", "bandwidth": 1e7}, {"name": "rack2", "bandwidth": 1e9}],
    "host_links": {"cmp1": "rack1", "cmp2": "rack2", "cmp3": "rack2"},
}


@pytest.mark.parametrize(("limit", "most"), [(4, 3), (2, 2), (1, 1)])
def test_as_many_pass_a_link_at_once_as_the_limit_allows(nova, run, limit, most):
    limits = {"outgoing": 3, "incoming": 3, "link": limit}
    options = {"assumed": ASSUMED, "shared_storage": "ceph", "limits": limits}
    seen = []
    nova.moving.at_list = lambda _number: seen.append(len(nova.moving.under_way))
    wish = {**nova.options, **options, "goal": "drain", "drain": ["cmp1"]}
    plan = run_module(migration_plan.main, **wish, **RACKS)
    assert run_module(migration_plan.main, **wish)["summary"]["total_s"] < plan["summary"]["total_s"]
    begins = Counter(each["start_s"] for each in plan["steps"])
    assert begins[0.0] == most
    did = run(plan["steps"], limits=limits, **RACKS)
    assert max(seen) == most and [each["moved"] for each in did["receipts"]] == [True] * 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cmp1": "rack3"}, "host cmp1: found link rack3, which is not given"),
        ({"cmp9": "rack1"}, "host cmp9 of host_links: found no such host"),
        ({}, "links: found rack1, rack2, and no host at any"),
    ],
)
def test_a_host_or_link_that_is_not_known_is_refused_before_anything_begins(nova, run, wrong, message):
    given = {"links": RACKS["links"], "host_links": wrong}
    assert message in run([step("web-1")], **given)["msg"] and requests(nova) == {}
    wish = {"assumed": ASSUMED, "goal": "drain", "drain": ["cmp1"]}
    assert message in run_module(migration_plan.main, **nova.options, **wish, **given)["msg"]


def test_one_that_travels_alone_has_its_hosts_for_itself(nova, run):
    seen = []
    nova.moving.at_list = lambda _number: seen.append(sorted(each["instance_uuid"] for each in nova.moving.under_way))
    run([step("web-1"), step("web-2", alone=True), step("web-3")])
    assert ["web-2"] in seen and all(each == ["web-2"] for each in seen if "web-2" in each)


def test_looking_at_many_is_one_request(nova, run):
    run([step(f"web-{each}") for each in (1, 2, 3)])
    lists = [call for call in nova.calls if call.path.endswith("/os-migrations")]
    of_one = [call.query for call in lists if "instance_uuid" in call.query]
    assert len(of_one) == 3 and all(call.query in [{"limit": "100"}, *of_one] for call in lists)
    reads = Counter(call.path.rsplit("/", 1)[1] for call in nova.calls if "/servers/web-" in call.path)
    # Before it begins, and when its record has ended.
    assert [reads[f"web-{each}"] for each in (1, 2, 3)] == [2, 2, 2]


def test_a_busy_cloud_is_looked_at_less_often(nova, run, monkeypatch):
    """Each look takes 0.4 s, by a clock that only looks and pauses turn."""
    now, pauses, look = [0.0], [], _migration_run.Run._look

    def turn(seconds):
        now[0] += seconds

    def slow(self):
        turn(0.4)
        return look(self)

    def sleep(seconds):
        pauses.append(seconds)
        turn(seconds)

    monkeypatch.setattr(_migration_run, "_PAUSE_S", (0.5, 2.0))
    monkeypatch.setattr(_migration_run, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(_migration_run.Run, "_look", slow)
    run([step("web-1")])
    assert pauses[0] == 0.5
    assert pauses[1:] == pytest.approx([1.2] * (len(pauses) - 1)) and len(pauses) > 1


def test_a_failure_in_the_middle_ends_nothing_else(nova, run):
    nova.moving.scripts["web-2"] = moving_nova.LIVE_FAILS
    did = run([step(f"web-{each}") for each in (1, 2, 3)], limits={"outgoing": 1, "incoming": 1})
    assert did["finished"]
    assert {each["server"]: each["moved"] for each in did["receipts"]} == {"web-1": True, "web-2": False, "web-3": True}
    (failed,) = [each for each in did["receipts"] if not each["moved"]]
    assert "error: live_migrate_instance: No valid host" in failed["found"] and failed["began"]


def test_the_receipt_of_one_that_was_aborted_says_so_and_by_whom(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    nova.moving.aborted = moving_nova.LIVE_ABORTED_AS_FAILED[3:]

    def abort(number):
        if number == 5:
            nova.moving.abort(nova.moving.servers["web-1"])
            nova.moving.servers["web-2"].steps = list(moving_nova.LIVE[3:])

    nova.moving.at_list = abort
    did = run([step("web-1"), step("web-2")])
    found = {each["server"]: (each["moved"], each["found"]) for each in did["receipts"]}
    reason = "a migration that is failed: it was aborted by user operator"
    assert found == {"web-1": (False, reason), "web-2": (True, "")}


def test_a_cold_step_is_confirmed(nova, run):
    nova.moving.servers["web-1"].status = "SHUTOFF"
    did = run([step("web-1", mode="cold")])
    assert did["actions"] == ["migrate server web-1 cold from cmp1 to cmp2", "server web-1: confirm it"]
    assert nova.moving.records[0]["status"] == "confirmed" and did["receipts"][0]["kind"] == "cold"


def test_a_server_that_goes_by_way_of_a_third_host_makes_both_steps(nova, run):
    by_way = [step("web-1", "cmp1", "cmp3"), step("web-1", "cmp3", "cmp2")]
    did = run(by_way)
    assert [(each["source"], each["destination"]) for each in did["receipts"]] == [("cmp1", "cmp3"), ("cmp3", "cmp2")]
    assert nova.moving.servers["web-1"].host == "cmp2" and requests(nova) == {"web-1": 2}
    nova.moving.servers["web-1"].host = "cmp3"
    assert [each["source"] for each in run(by_way)["receipts"]] == ["cmp3"]


def test_without_the_first_step_the_second_is_not_made(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_FAILS
    did = run([step("web-1", "cmp1", "cmp3"), step("web-1", "cmp3", "cmp2")])
    assert "it did not come to cmp3" in did["receipts"][1]["found"] and requests(nova) == {"web-1": 1}


@pytest.mark.parametrize("record", [moving_nova.LIVE_WITH_WRONG_RECORD, moving_nova.LIVE_WITH_LASTING_WRONG_RECORD])
def test_the_server_counts_more_than_its_record(nova, run, record):
    nova.moving.script["live"] = record
    (receipt,) = run([step("web-1")])["receipts"]
    assert receipt["moved"] and bool(receipt["warnings"]) == (record is moving_nova.LIVE_WITH_LASTING_WRONG_RECORD)


def test_a_server_that_is_deleted_is_noted(nova, run):
    def delete(number):
        if number == 4:
            nova.moving.servers.pop("web-2")
            nova.moving.records[:] = [each for each in nova.moving.records if each["instance_uuid"] != "web-2"]

    nova.moving.at_list = delete
    did = run([step("web-1"), step("web-2"), step("web-9")])
    assert {each["server"]: each["found"] for each in did["receipts"]} == {
        "web-1": "",
        "web-2": "no such server any more",
        "web-9": "no such server any more",
    }


def test_a_server_that_is_elsewhere_is_not_moved(nova, run):
    nova.moving.servers["web-1"].host = "cmp3"
    did = run([step("web-1"), step("web-2", destination="cmp9")])
    assert [each["found"] for each in did["receipts"]] == ["it is on cmp3", "unknown host cmp9"]
    assert requests(nova) == {} and did["finished"] and not did["changed"]


def test_what_waits_for_room_in_vain_is_told(nova, run):
    # Both are to change places on hosts that are full, and the one that could make room does not get away.
    nova.providers.clear()
    servers = [Moving("web-1", "web-1", "cmp1"), Moving("web-2", "web-2", "cmp2"), Moving("web-3", "web-3", "cmp2")]
    build(nova, ("cmp1", "cmp2", "cmp3"), servers, vcpus=2)
    nova.moving.scripts["web-2"] = moving_nova.LIVE_FAILS
    did = run([step("web-1"), step("web-2", "cmp2", "cmp3")])
    found = {each["server"]: each["found"] for each in did["receipts"]}
    assert did["finished"] and "needs 1 VCPUs, which the host does not have free" in found["web-1"]
    del nova.moving.scripts["web-2"]
    did = run([step("web-1"), step("web-2", "cmp2", "cmp3")])
    assert [(each["server"], each["moved"]) for each in did["receipts"]] == [("web-2", True), ("web-1", True)]


def test_what_takes_too_long_is_aborted_and_post_copy_forced(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    patience = {"times": 0.001, "least": 0.05}
    did = run([step("web-1"), step("web-2", mode="post-copy")], patience=patience)
    found = {each["server"]: (each["moved"], each["found"]) for each in did["receipts"]}
    assert found["web-2"][0] and not found["web-1"][0] and "aborted" in found["web-1"][1]
    assert "server web-2: force it after 0 s" in did["actions"]


def test_what_is_forced_may_send_its_rest_for_as_long_again(nova, run, monkeypatch):
    monkeypatch.setattr(_server_journey, "GRACE_S", 0.0)
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    force = nova.moving.running

    def slowly(server, method, number, body):
        said = force(server, method, number, body)
        if method == "POST" and said[0] == 202:
            server.steps = [moving_nova.LIVE[2]] * 20 + moving_nova.LIVE[3:]
        return said

    nova.moving.running = slowly
    (receipt,) = run([step("web-1", mode="post-copy")], patience={"times": 0.0, "least": 2.0})["receipts"]
    assert receipt["moved"], receipt["found"]


def test_an_abort_that_comes_too_late_is_no_failure(nova, run):
    """Nova is through with the server before it closes the record."""
    nova.moving.script["live"] = [*[moving_nova.LIVE[3]] * 40, moving_nova.LIVE[4]]
    (receipt,) = run([step("web-1")], patience={"times": 0.0, "least": 0.001})["receipts"]
    assert receipt["moved"], receipt["found"]


def test_what_nova_cannot_tell_just_now_is_asked_again(nova, run):
    nova.moving.hiccups = 5
    assert run([step("web-1"), step("web-2")])["receipts"][1]["moved"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"slice": 0}, "0 s"),
        ({"patience": {"least": 0}}, "0"),
        ({"patience": {"times": -1}}, "-1"),
        ({"receipts": "/nowhere/run.jsonl"}, "no directory"),
        ({"steps": [{"server": "web-1"}]}, "no source"),
        ({"steps": [step("web-1"), step("web-1")]}, "two steps from cmp1 to cmp2"),
        ({"adopt": True}, "steps to make with adopt"),
        ({"assumed": {}}, "none"),
    ],
)
def test_what_is_no_order_is_refused_before_anything_is_asked_for(nova, run, options, found):
    done = run(**{"steps": [step("web-1")], **options})
    assert done["failed"] and found in done["found"] and requests(nova) == {}
