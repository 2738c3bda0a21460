# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is interrupted, killed or made in slices, and what somebody else has begun: gone on with, once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _migration_run, _migration_survey
from ansible_collections.lifeboat.cloud.plugins.modules import migration_run
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.migration_run_samples import (
    KEYS,
    InProcess,
    KilledError,
    build,
    kept,
    lines,
    requests,
    step,
    stop_at,
)
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving


def test_a_wrong_record_does_not_hide_what_is_under_way_from_the_next_run(nova, run, tmp_path):
    wrong = moving_nova.LIVE_WITH_WRONG_RECORD
    nova.moving.script["live"] = [*wrong[:3], *[wrong[3]] * 4, *wrong[4:]]
    stop_at(nova, 6)
    first = run([step("web-1")])
    assert first["interrupted"] and first["under_way"][0]["status"] == "error"
    nova.moving.at_list = lambda _number: None
    (receipt,) = run([step("web-1")], file="second")["receipts"]
    assert receipt["moved"] and requests(nova) == {} and len(nova.moving.records) == 1


def test_the_bound_of_a_migration_holds_over_calls(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    steps, calls = [step("web-1")], 0
    while steps:
        did = run(steps, slice=0.05, patience={"times": 0.001, "least": 0.2})
        steps, calls = did["steps"], calls + 1
        assert calls < 60, "the bound begins anew with each call"
    assert calls > 1 and "aborted" in did["receipts"][0]["found"]
    assert requests(nova) == {} and len(nova.moving.records) == 1
    states = [each["record"] for each in did["receipts"][0]["timeline"]]
    assert states[0] == "" and states[1] in ("accepted", "preparing") and states[-1] == "cancelled"


def test_a_slice_says_what_is_under_way_and_what_remains(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    did = run([step("web-1"), step("web-2")], slice=0.5, limits={"outgoing": 1})
    assert not did["finished"] and not did["interrupted"] and did["receipts"] == []
    assert [(each["name"], each["status"]) for each in did["under_way"]] == [("web-1", "running")]
    assert [each["server"] for each in did["steps"]] == ["web-1", "web-2"] and did["remaining"]["moves"] == 2
    # Twice 1 GiB at 125 MB/s, one after the other.
    assert 17 < did["remaining"]["seconds"] < 40 and did["remaining"]["bytes"] == 2 * 2**30


def test_what_remains_rests_on_what_was_planned(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK

    def remaining(**assumed):
        steps = [step(f"web-{each}", assumed=assumed) for each in (1, 2)]
        return run(steps, slice=0.5, limits={"outgoing": 1}, check=True)["remaining"]["seconds"]

    calm = remaining()
    assert remaining(dirty_rate=0.0) == calm
    # Written with half of the bandwidth of 125 MB/s, the two of 1 GiB are sent twice.
    assert remaining(dirty_rate=62.5e6) - calm == pytest.approx(2 * 2**30 / 125e6, rel=0.1)


def test_a_slice_is_not_spent_on_reading_a_large_cloud(nova, run, monkeypatch):
    assert not run([step("web-1")], slice=0.001)["finished"]
    monkeypatch.setattr(_migration_run, "_SLICE_FOR_SURVEY", 1e4)
    assert run([step("web-1")], slice=0.001)["finished"]


def test_one_that_ended_between_two_calls_has_its_receipt(nova, run, tmp_path):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    did = run([step("web-1")], slice=0.05)
    server = nova.moving.servers["web-1"]
    server.steps = [("completed", "ACTIVE", None, True)]
    nova.moving.step(server)
    server.record["updated_at"] = "2026-11-22T02:53:08.000000"
    (receipt,) = run(did["steps"])["receipts"]
    assert receipt["moved"] and receipt["seconds"] == 7.0 and receipt["planned"] == step("web-1")
    assert kept(tmp_path) == [receipt] and requests(nova) == {}


@pytest.mark.parametrize("looks", [2, 3, 4, 5, 6, 7, 8, 9])
def test_an_interrupted_run_is_gone_on_with(nova, run, tmp_path, looks):
    steps = [step("web-1"), step("web-2", mode="cold"), step("web-3")]
    stop_at(nova, looks)
    first = run(steps, limits={"outgoing": 2, "incoming": 2})
    asked = requests(nova)
    nova.moving.at_list = lambda _number: None
    assert first["interrupted"] and not first["finished"]
    assert run(first["steps"], file="second")["finished"]
    assert asked + requests(nova) == {"web-1": 1, "web-2": 1, "web-3": 1}
    assert sorted((each["server"], each["moved"]) for each in kept(tmp_path)) == [
        (f"web-{each}", True) for each in (1, 2, 3)
    ]
    assert {each.status for each in nova.moving.servers.values()} == {"ACTIVE"}


@pytest.mark.parametrize("unseen", [0, 20], ids=["still under way", "ended unseen"])
@pytest.mark.parametrize("look", [1, 2, 3, 4, 5, 6, 7, 8])
def test_each_server_has_one_receipt_although_a_run_was_killed(nova, run, killed, tmp_path, look, unseen):
    steps = [step("web-1"), step("web-2", mode="cold"), step("web-3")]
    asked = killed(steps, look, limits={"outgoing": 2, "incoming": 2})
    for _look in range(unseen):
        nova.moving.list_once_more()
    seen = run(file="second")
    assert requests(nova) == {} and seen["finished"] and seen["steps"] == []
    assert run(steps, file="second")["finished"]
    assert asked + requests(nova) == {"web-1": 1, "web-2": 1, "web-3": 1}
    receipts = kept(tmp_path)
    assert sorted((each["server"], each["moved"]) for each in receipts) == [(f"web-{each}", True) for each in (1, 2, 3)]
    assert [list(each) for each in receipts] == [KEYS] * 3
    assert {each["server"]: each["planned"] for each in receipts} == {each["server"]: each for each in steps}
    assert {each.status for each in nova.moving.servers.values()} == {"ACTIVE"}
    again = run(file="third")
    assert again["receipts"] == [] and not again["changed"] and not (tmp_path / "third.jsonl").exists()


def test_check_mode_adopts_nothing(nova, run, killed, tmp_path):
    killed([step("web-1"), step("web-2", mode="cold")], 3)
    before = lines(tmp_path)
    would = run(check=True, file="second")
    assert would["receipts"] == [] and not would["finished"] and lines(tmp_path) == before
    assert would["actions"] == ["server web-2: confirm it"] and requests(nova) == {}
    assert run(check=True, receipts=str(tmp_path / "none" / "run.jsonl"))["finished"]


def test_check_mode_says_what_would_be_gone_on_with(nova, run):
    for server, kind in (("web-1", "live"), ("web-2", "cold")):
        nova.moving.begin(nova.moving.servers[server], kind, "cmp2")
    steps = [step("web-1"), step("web-2", mode="cold")]
    would, did = (run(steps, check=check) for check in (True, False))
    assert sorted(would["actions"]) == sorted(did["actions"]) and len(did["actions"]) == 3 and would["changed"]
    again = run(steps, check=True)
    assert not again["changed"] and again["actions"] == []


def test_one_that_an_operator_has_reverted_has_not_moved(nova, run, killed, tmp_path):
    """As the documentation has it: the run is killed while a cold migration waits."""
    killed([step("web-1", mode="cold")], 4)
    server = nova.moving.servers["web-1"]
    assert server.status == "VERIFY_RESIZE"
    nova.moving.act(server, {"revertResize": None})
    for _look in range(5):
        nova.moving.list_once_more()
    (receipt,) = run(file="second")["receipts"]
    assert server.host == "cmp1" and not receipt["moved"] and kept(tmp_path) == [receipt]
    assert receipt["found"] == "host cmp1 after a migration that is reverted"


def test_one_that_waited_while_nobody_looked_took_as_long_as_nova_says(nova, run, killed, clock):
    killed([step("web-1", mode="cold")], 1)
    for _look in range(5):
        nova.moving.list_once_more()
    record = nova.moving.servers["web-1"].record
    assert record["status"] == "finished"
    created = datetime.fromisoformat(record["created_at"])
    record["updated_at"] = (created + timedelta(seconds=40)).isoformat(timespec="microseconds")
    clock.sleep(7200)
    (receipt,) = run(file="second")["receipts"]
    assert receipt["moved"] and receipt["seconds"] == 40.0


def test_what_was_asked_for_is_written_down_before_it_is(nova, run, tmp_path):
    nova.moving.script["live"] = None
    noted = step("web-1")
    run([noted], file="first")
    (asked, receipt) = lines(tmp_path)
    assert asked["step"] == noted and receipt["server"] == "web-1" and not receipt["moved"]
    (tmp_path / "first.jsonl").write_text(f'{json.dumps(asked)}\n{{"asked": "20\nno line of ours\n[]\n')
    # It never reached Nova.
    adopted = run(file="second")
    assert adopted["finished"] and adopted["receipts"] == [] and requests(nova) == {}


def test_one_that_is_asked_for_without_a_record_yet_is_waited_for(nova, run, killed, tmp_path):
    killed([step("web-1")], 1)
    records, nova.moving.records = nova.moving.records, []

    def write(number, begun=nova.moving.lists):
        if number == begun + 3:
            nova.moving.records = records

    nova.moving.at_list = write
    (receipt,) = run(file="second")["receipts"]
    assert receipt["moved"] and receipt["server"] == "web-1" and kept(tmp_path) == [receipt]


def test_a_failure_that_nobody_saw_has_its_receipt(nova, run, killed, tmp_path):
    nova.moving.script["live"] = moving_nova.LIVE_FAILS
    killed([step("web-1")], 2)
    for _look in range(5):
        nova.moving.list_once_more()
    (receipt,) = run(file="second")["receipts"]
    assert not receipt["moved"] and "No valid host" in receipt["found"] and kept(tmp_path) == [receipt]


def test_a_module_that_outlives_its_playbook_leaves_the_receipt_itself(nova, run, killed, tmp_path):
    killed([step("web-1")], 2)
    theirs = {"server": "web-1", "source": "cmp1", "destination": "cmp2", "moved": True}

    def leave(_number):
        if nova.moving.servers["web-1"].host == "cmp2" and not kept(tmp_path):
            with (tmp_path / "run.jsonl").open("a") as file:
                file.write(f"{json.dumps(theirs)}\n")

    nova.moving.at_list = leave
    assert run(file="second")["receipts"] == [] and kept(tmp_path) == [theirs]


def test_what_somebody_else_moves_is_watched_and_left_to_them(nova, run):
    for number, (kind, script) in enumerate(
        [("live", moving_nova.LIVE), ("cold", moving_nova.COLD), ("live", moving_nova.LIVE_STUCK)], 1
    ):
        server = nova.moving.servers[f"web-{number}"]
        nova.moving.scripts[server.id] = script
        server.task = {"live": "migrating", "cold": "resize_prep"}[kind]
        nova.moving.begin(server, kind, "cmp3")
    # Nova chooses late.
    record = nova.moving.servers["web-1"].record
    record["dest_compute"] = None

    def choose(number):
        record["dest_compute"] = "cmp3" if number > 2 else None

    nova.moving.at_list = choose
    done = run(patience={"least": 0.2})
    found = {each["server"]: each for each in done["receipts"]}
    assert [(each["moved"], each["kind"]) for _key, each in sorted(found.items())] == [
        (True, "live"),
        (True, "cold"),
        (False, "live"),
    ]
    planned = {"server": "web-1", "name": "web-1", "source": "cmp1", "destination": "cmp3", "mode": "live"}
    assert found["web-1"]["planned"] == planned and found["web-2"]["timeline"][-1]["server"] == "VERIFY_RESIZE"
    assert "running" in found["web-3"]["found"] and not done["changed"]
    assert {call.method for call in nova.calls} == {"GET"}
    # The one that waits and the one that is stuck are as they were.
    assert len(run(patience={"least": 0.05})["receipts"]) == 1


def test_one_that_somebody_moves_elsewhere_is_left_to_them(nova, run):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    nova.moving.begin(nova.moving.servers["web-1"], "live", "cmp3")
    nova.moving.servers["web-1"].task = "migrating"
    (receipt,) = run([step("web-1")])["receipts"]
    assert "live migration from cmp1 to cmp3 that is" in receipt["found"] and requests(nova) == {}


def test_what_nobody_will_close_is_moved_all_the_same(nova, run):
    nova.moving.begin(nova.moving.servers["web-1"], "live", "cmp2")
    nova.moving.servers["web-1"].task, nova.moving.servers["web-1"].steps = None, []
    assert run()["receipts"] == []
    (receipt,) = run([step("web-1")])["receipts"]
    assert receipt["moved"] and requests(nova) == {"web-1": 1}


def test_a_record_that_was_there_is_not_taken_for_none(nova, run, monkeypatch):
    """A cell that does not answer makes lists shorter, and says nothing of it."""
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    left = run([step("web-1")], slice=0.05)["steps"]
    record = nova.moving.records.pop()
    nova.moving.servers["web-1"].host = "cmp2"
    monkeypatch.setattr(_migration_survey, "GRACE_S", 0.05)
    assert "status 503: no migration" in run(left)["found"]
    nova.moving.records.append(record)
    assert run(left, slice=0.05)["steps"]


def test_a_thousand_servers_in_a_run_that_is_interrupted_twice(run, nova, clock, tmp_path, monkeypatch):
    services = {area: InProcess(nova, area) for area in ("compute", "placement")}
    monkeypatch.setattr(migration_run, "opened", lambda _options: contextlib.nullcontext(SimpleNamespace(**services)))
    nova.providers.clear()
    hosts = [f"cmp{number}" for number in range(20)]
    servers = [Moving(f"s{number}", f"s{number}", hosts[number % 10]) for number in range(1000)]
    build(nova, hosts, servers, vcpus=200)
    nova.moving.scripts = {f"s{number}": moving_nova.LIVE_FAILS for number in range(0, 1000, 100)}
    steps = [step(each.id, each.host, hosts[10 + number % 10]) for number, each in enumerate(servers)]
    nova.moving.created = lambda _number: clock.utc().replace(tzinfo=None)
    seen = []
    asked = Counter()
    limits = {"outgoing": 5, "incoming": 5, "total": 40}

    def end_kindly():
        os.kill(os.getpid(), signal.SIGTERM)

    def end_at_once():
        raise KilledError

    for call, end in enumerate((end_kindly, end_at_once, None)):
        # As a playbook does: what is under way is seen to its end, then it is planned anew.
        run(file=str(call), limits=limits)
        failed = {each["server"] for each in kept(tmp_path) if not each["moved"]}
        begun = nova.moving.lists

        def come(number, last=begun + 40, end=end):
            seen.append(len(nova.moving.under_way))
            if end and number == last:
                end()

        nova.moving.at_list = come
        did = {}
        with contextlib.suppress(KilledError):
            did = run([each for each in steps if each["server"] not in failed], file=str(call), limits=limits)
        asked += requests(nova)
        nova.moving.at_list = lambda _number: None
    assert did["finished"] and max(seen) == 40
    assert set(asked.values()) == {1} and len(asked) == 1000
    receipts = kept(tmp_path)
    assert sorted(each["server"] for each in receipts) == sorted(each.id for each in servers)
    assert sum(each["moved"] for each in receipts) == 990
