# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan over a Nova whose servers move on with each list of its records."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import (
    _migration_adoption,
    _migration_records,
    _migration_run,
    _migration_survey,
    _openstack,
    _server_journey,
    _server_move,
)
from ansible_collections.lifeboat.cloud.plugins.modules import migration_plan, migration_run
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import Call, CloudApi, hypervisor, inventory, service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving, MovingNova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

START = datetime(2026, 11, 23, tzinfo=UTC)
ASSUMED = {"bandwidth": 1.25e8}
KEYS = ["server", "name", "kind", "planned", "moved", "found", "source", "destination", "began", "seconds"]
KEYS += ["transferred", "timeline", "phases", "warnings"]


def build(cloud, hosts, servers, vcpus=64):
    """A cloud of these hosts, each with room for ``vcpus`` servers."""
    cloud.services = [service(host) for host in hosts]
    cloud.hypervisors = [hypervisor(host) for host in hosts]
    for host in hosts:
        inventories = {"VCPU": inventory(vcpus), "MEMORY_MB": inventory(2**20), "DISK_GB": inventory(10_000)}
        cloud.add_provider(f"hypervisor-{host}", **inventories)
    cloud.moving = MovingNova(*servers)
    cloud.moving.goes_by_lists = True
    return cloud


class Clock:
    """Time that passes by sleeping, and a little by each look at it, however fast the machine is."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        self.seconds += 1e-5
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds

    def utc(self):
        return START + timedelta(seconds=self.seconds)

    def rule(self, monkeypatch):
        """Have all that carries out a plan go by it."""

        class Moment(datetime):
            @classmethod
            def now(cls, _zone=None):
                return self.utc()

        for part in (_migration_adoption, _migration_run, _openstack, _server_journey, _server_move):
            monkeypatch.setattr(part, "time", self)
        for part in (_migration_adoption, _migration_records, _server_move):
            monkeypatch.setattr(part, "datetime", Moment)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def nova(cloud, clock, monkeypatch):
    """web-1 to web-3 on cmp1, cmp2 and cmp3 without servers, and waits in steps of 10 ms."""
    monkeypatch.setattr(_migration_run, "_PAUSE_S", (0.01, 0.01))
    monkeypatch.setattr(_migration_run, "_SLICE_FOR_SURVEY", 0.0)
    monkeypatch.setattr(_migration_adoption, "_PAUSE_S", 0.01)
    monkeypatch.setattr(_migration_adoption, "_LATER_S", 0.01)
    monkeypatch.setattr(_server_journey, "_LATE_S", 0.05)
    monkeypatch.setattr(_server_journey, "GRACE_S", 0.5)
    return build(cloud, ("cmp1", "cmp2", "cmp3"), [Moving(f"web-{each}", f"web-{each}", "cmp1") for each in (1, 2, 3)])


def step(server, source="cmp1", destination="cmp2", mode="pre-copy", **values):
    times = {"start_s": 0.0, "end_s": 10.0, "transferred": 2**30, "alone": False, "assumed": {}}
    move = {"server": server, "name": server, "source": source, "destination": destination, "mode": mode}
    return move | {"stops_server": False} | times | values


@pytest.fixture
def run(nova, tmp_path):
    """Runs the module; each run's receipts are in a file of their own unless ``file`` says otherwise."""

    def start(steps=None, check=False, file="run", **options):
        nova.calls.clear()
        given = {"assumed": ASSUMED, "shared_storage": "ceph", "limits": {"outgoing": 9, "incoming": 9}}
        given |= {"adopt": True} if steps is None else {"steps": steps}
        path = tmp_path / f"{file}.jsonl"
        return run_module(migration_run.main, check, **{**nova.options, **given, "receipts": str(path), **options})

    return start


def lines(tmp_path):
    """What all files tell."""
    return [json.loads(line) for path in sorted(tmp_path.glob("*.jsonl")) for line in path.read_text().splitlines()]


def kept(tmp_path):
    """The receipts of all files."""
    return [each for each in lines(tmp_path) if "asked" not in each]


def requests(nova):
    """How often each server was asked to move."""
    verbs = ("os-migrateLive", "migrate")
    return Counter(call.path.split("/")[-2] for call in nova.calls if call.body and set(call.body) & set(verbs))


def stop_at(nova, *numbers):
    """Have SIGTERM come before these lists."""

    def come(number):
        if number in numbers:
            os.kill(os.getpid(), signal.SIGTERM)

    nova.moving.at_list = come


class KilledError(BaseException):
    """The process is not there any more."""


@pytest.fixture
def killed(nova, run, clock, monkeypatch):
    """Runs the module until it is killed at a look, over a Nova whose clock is the control node's."""
    nova.moving.created = lambda _number: clock.utc().replace(tzinfo=None)

    def start(steps, look, **options):
        looks, see = itertools.count(1), _migration_run.Run._look

        def come(self):
            if next(looks) == look:
                raise KilledError
            return see(self)

        with monkeypatch.context() as patch, contextlib.suppress(KilledError):
            patch.setattr(_migration_run.Run, "_look", come)
            run(steps, **options)
        return requests(nova)

    return start


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


@pytest.mark.parametrize(
    ("limits", "most"),
    [({"outgoing": 3, "incoming": 3}, 3), ({"outgoing": 2, "incoming": 3}, 2), ({"outgoing": 3, "total": 1}, 1)],
)
def test_as_many_go_at_once_as_the_limits_allow(nova, run, limits, most):
    seen = []
    nova.moving.at_list = lambda _number: seen.append(len(nova.moving.under_way))
    did = run([step(f"web-{each}", destination=f"cmp{2 + each % 2}") for each in (1, 2, 3)], limits=limits)
    assert max(seen) == most and [each["moved"] for each in did["receipts"]] == [True] * 3


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


def test_a_wrong_record_does_not_hide_what_is_under_way_from_the_next_run(nova, run, tmp_path):
    wrong = moving_nova.LIVE_WITH_WRONG_RECORD
    nova.moving.script["live"] = [*wrong[:3], *[wrong[3]] * 4, *wrong[4:]]
    stop_at(nova, 6)
    first = run([step("web-1")])
    assert first["interrupted"] and first["under_way"][0]["status"] == "error"
    nova.moving.at_list = lambda _number: None
    (receipt,) = run([step("web-1")], file="second")["receipts"]
    assert receipt["moved"] and requests(nova) == {} and len(nova.moving.records) == 1


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
    assert states[0] in ("accepted", "preparing") and states[-1] == "cancelled"


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
    # So much is sent again that the whole is as the series of pre-copy for half of the bandwidth.
    assert 1.5 * calm < remaining(dirty_rate=62.5e6) < 2.1 * calm


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
    assert not would["changed"] and would["receipts"] == [] and not would["finished"] and lines(tmp_path) == before
    assert run(check=True, receipts=str(tmp_path / "none" / "run.jsonl"))["finished"]


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


def test_an_abort_that_comes_too_late_is_no_failure(nova, run):
    """Nova is through with the server before it closes the record."""
    nova.moving.script["live"] = [*[moving_nova.LIVE[3]] * 40, moving_nova.LIVE[4]]
    (receipt,) = run([step("web-1")], patience={"times": 0.0, "least": 0.001})["receipts"]
    assert receipt["moved"], receipt["found"]


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


def test_what_nova_cannot_tell_just_now_is_asked_again(nova, run):
    nova.moving.hiccups = 5
    assert run([step("web-1"), step("web-2")])["receipts"][1]["moved"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"slice": 0}, "0 s"),
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


class InProcess:
    """A service of the cloud that is asked without HTTP, for tests of many requests."""

    def __init__(self, http, area):
        self.api, self.area = CloudApi.__new__(CloudApi), area
        self.api.server = http

    def ask(self, method, url, params=None, json=None, **_options):
        path = f"/{self.area}{'/v2.1' if self.area == 'compute' else ''}{url}"
        call = Call(method, path, dict(params or {}), json)
        self.api.server.calls.append(call)
        rest = path.strip("/").split("/")[1:]
        moved = self.area == "compute" and self.api.server.moving.answer(call, rest[1:])
        status, body = moved or getattr(self.api, self.area)(call, rest)
        request = SimpleNamespace(method=method)
        return SimpleNamespace(status_code=status, json=lambda: copy.deepcopy(body), request=request, url=url)

    def get(self, url, **options):
        return self.ask("GET", url, **options)

    def post(self, url, **options):
        return self.ask("POST", url, **options)


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
