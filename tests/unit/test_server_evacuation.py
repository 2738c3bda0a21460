# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilding a server of a dead host, over HTTP as Nova takes it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _server_evacuation
from ansible_collections.lifeboat.cloud.plugins.modules import server_evacuation
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, Moving, MovingNova, requests
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def nova(cloud, monkeypatch):
    """web-1 on cmp1, which is forced down, and waits in steps of 1 ms."""
    monkeypatch.setattr(_server_evacuation, "_PAUSE_S", 0.001)
    cloud.services = [service("cmp1", forced_down=True), service("cmp2"), service("cmp3", status="disabled")]
    cloud.moving = MovingNova(Moving(UUID, "web-1", "cmp1"))
    return cloud


def run(nova, check=False, **options):
    nova.calls.clear()
    wanted = {"server": "web-1", "away_from": "cmp1", "shared_storage": "ceph", **options}
    return run_module(server_evacuation.main, check, **{**nova.options, **wanted})


@pytest.mark.parametrize(("options", "body"), [({}, {}), ({"host": "cmp2"}, {"host": "cmp2"})])
def test_it_is_foretold_asked_for_once_and_watched_to_its_end(nova, options, body):
    would = run(nova, check=True, **options)
    assert would["changed"] and requests(nova) == []
    did = run(nova, **options)
    assert requests(nova) == [{"evacuate": body}] and did["actions"] == would["actions"]
    assert (did["server"]["host"], did["server"]["status"], did["migration"]["status"]) == ("cmp2", "ACTIVE", "done")
    again = run(nova, **options)
    assert again["changed"] is False and requests(nova) == []
    # Whoever was interrupted gets to know of it.
    assert again["migration"] == did["migration"] and again["seconds"] >= 0


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_host_that_is_not_proven_dead_is_refused(nova, state):
    nova.services[0] |= {"forced_down": False, "state": state}
    for check in (True, False):
        done = run(nova, check=check)
        assert done["failed"] and "not forced down" in done["found"] and requests(nova) == []


def test_a_proof_that_follows_is_foretold_and_nothing_else(nova):
    nova.services[0] |= {"forced_down": False, "state": "up"}
    assert run(nova, check=True, proof_follows=True)["changed"]
    lost = run(nova, check=True, proof_follows=True, shared_storage=None)
    assert "disks of its own on cmp1" in lost["found"]
    nova.moving.servers[UUID].status = "SUSPENDED"
    assert "status SUSPENDED" in run(nova, check=True, proof_follows=True)["found"]
    assert "not forced down" in run(nova, proof_follows=True)["found"] and requests(nova) == []


def test_disks_that_nobody_else_has_are_not_lost_unasked(nova):
    for check in (True, False):
        done = run(nova, check=check, shared_storage=None)
        assert done["failed"] and "disks of its own on cmp1" in done["found"] and requests(nova) == []
    assert run(nova, check=True, shared_storage=None, lose_disks=True)["changed"]
    nova.moving.servers[UUID].image = ""
    assert run(nova, shared_storage=None)["server"]["host"] == "cmp2"


def test_one_under_way_is_watched_and_not_begun_again(nova):
    nova.moving.begin(nova.moving.servers[UUID], "evacuation", "cmp2")
    did = run(nova)
    assert did["server"]["host"] == "cmp2" and requests(nova) == []
    assert did["actions"] == ["go on with the evacuation of server web-1 from cmp1"]


def test_one_to_another_host_is_not_taken_for_the_one_that_is_wanted(nova):
    nova.moving.begin(nova.moving.servers[UUID], "evacuation", "cmp2")
    for check in (True, False):
        done = run(nova, check=check, host="cmp4")
        assert done["found"] == "an evacuation to cmp2 under way" and requests(nova) == []


def left_open(nova, kind, recorded="running", status="ACTIVE", task=None):
    """A migration to cmp2 that cmp1 had begun when it died; an operator has reset the server's state."""
    moving = nova.moving.servers[UUID]
    nova.moving.begin(moving, kind, "cmp2")
    moving.steps, moving.status, moving.task = [], status, task
    moving.record["status"] = recorded


@pytest.mark.parametrize(
    ("kind", "recorded", "server"),
    [
        ("live", "running", {}),
        ("live", "running (post-copy)", {}),
        ("live", "running", {"status": "MIGRATING", "task": "migrating"}),
        # As Nova leaves it when its own last step has failed, after libvirt's.
        ("live", "error", {"status": "ERROR"}),
        ("evacuation", "pre-migrating", {}),
    ],
)
def test_one_that_may_run_where_it_was_on_its_way_to_has_no_second_copy(nova, kind, recorded, server):
    left_open(nova, kind, recorded, **server)
    for check in (True, False):
        done = run(nova, check=check)
        assert f"to cmp2 that is {recorded}, so it may run there" in done["found"] and requests(nova) == []
        assert "not_running_on" in done["remedy"]
    nova.moving.servers[UUID].status, nova.moving.servers[UUID].task = "ACTIVE", None
    assert run(nova, check=True, not_running_on=["cmp2"])["changed"]
    # Its host is dead, too.
    nova.services[1]["forced_down"] = True
    assert run(nova, check=True)["changed"]


@pytest.mark.parametrize("status", ["error", "failed", "cancelled", "completed"])
def test_a_live_migration_that_nova_is_through_with_is_in_nobodys_way(nova, status):
    left_open(nova, "live", status)
    assert run(nova)["server"]["host"] == "cmp2"


def test_what_was_left_open_before_nova_knew_again_where_it_is_is_in_nobodys_way(nova):
    left_open(nova, "live")
    left_open(nova, "live", "completed")
    assert run(nova)["server"]["host"] == "cmp2"


def test_an_answer_that_fails_ends_no_watch(nova, monkeypatch):
    answer, failures = nova.moving.answer, itertools.count()
    nova.moving.script["evacuation"] = [
        *moving_nova.EVACUATE[:1],
        ("pre-migrating", "REBUILD", None, False),
        *moving_nova.EVACUATE[1:],
    ]

    def fails_twice(call, rest):
        if "os-instance-actions" in rest and next(failures) < 2:
            return 500, {"computeFault": {"code": 500, "message": "Unexpected API Error."}}
        return answer(call, rest)

    monkeypatch.setattr(nova.moving, "answer", fails_twice)
    assert run(nova)["server"]["host"] == "cmp2" and next(failures) > 2


def test_one_that_nobody_goes_on_with_is_asked_for_again(nova, monkeypatch):
    """The new host died, too, and the server's state was reset."""
    server = nova.moving.servers[UUID]
    left_open(nova, "evacuation", "accepted")
    nova.services[1]["forced_down"] = True
    assert run(nova)["server"]["host"] == "cmp2" and requests(nova) == [{"evacuate": {}}]
    monkeypatch.setattr(_server_evacuation, "_GRACE_S", 0.05)
    server.host, nova.moving.script["evacuation"] = "cmp1", [("accepted", "ACTIVE", None, False)]
    assert "doing nothing with it" in run(nova)["found"]


def test_one_that_fails_tells_why(nova):
    nova.moving.script["evacuation"] = moving_nova.EVACUATE_FAILS
    done = run(nova)
    assert done["failed"] and "failed: live_migrate_instance: No valid host" in done["found"]


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_request_without_an_answer_is_not_judged_by_an_earlier_failure(nova, monkeypatch, taken, recorded):
    """Nova takes it later than the first look comes, or never."""
    monkeypatch.setattr(_server_evacuation, "_GRACE_S", 20.0 if taken else 0.1)
    moving, answer, looks = nova.moving, nova.moving.answer, itertools.count()
    script = moving.script | {"evacuation": moving_nova.EVACUATE}
    moving.script |= {"evacuation": moving_nova.EVACUATE_FAILS, "live": None}
    run(nova)
    if not recorded:
        moving.records.clear()

    def late(call, rest):
        if call.method == "POST":
            return 504, {}
        if rest[0] == "servers" and next(looks) == 10 and taken:
            moving.script = script
            moving.act(moving.servers[UUID], {"evacuate": {}})
        return answer(call, rest)

    moving.answer = late
    done = run(nova)
    if taken:
        assert done["server"]["host"] == "cmp2" and done["migration"]["status"] == "done"
    else:
        assert "evacuation not recorded, and" in done["found"] and "status 504" in done["found"]


def test_it_began_when_nova_was_asked_for_it(nova):
    before = datetime.now(UTC)
    did = run(nova)
    assert before <= datetime.fromisoformat(did["began"]) + timedelta(milliseconds=1) <= datetime.now(UTC)
    created = (datetime.now(UTC) - timedelta(seconds=90)).replace(microsecond=0)
    again = run(nova)
    nova.moving.records[0]["created_at"] = created.replace(tzinfo=None).isoformat()
    assert not again["changed"]
    # Of what had begun before by Nova's record, whether it goes on or has ended.
    assert datetime.fromisoformat(run(nova)["began"]) == pytest.approx(created, abs=timedelta(milliseconds=2))
    server = nova.moving.servers[UUID]
    server.host, server.steps = "cmp1", [*moving_nova.EVACUATE]
    server.task, server.record["status"] = "rebuilding", "accepted"
    went_on = run(nova)
    assert datetime.fromisoformat(went_on["began"]) == pytest.approx(created, abs=timedelta(seconds=2))
    assert went_on["actions"] and 90 <= went_on["seconds"] < 150
    nova.moving.records.clear()
    assert run(nova)["began"] is None


def test_one_that_takes_too_long_tells_what_was_seen(nova):
    nova.moving.script["evacuation"] = moving_nova.EVACUATE[:1] * 1000
    assert "task rebuilding, evacuation accepted" in run(nova, evacuation_timeout=0.05)["found"]


@pytest.mark.parametrize(
    ("change", "options", "found"),
    [
        ({"status": "PAUSED"}, {}, "status PAUSED"),
        ({"task": "migrating"}, {}, "busy with migrating"),
        ({}, {"evacuation_timeout": 0}, "0"),
        ({}, {"host": "cmp3"}, "disabled and up"),
        ({}, {"host": "cmp1"}, "both as host and as away_from"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_before_anything_is_asked_for(nova, change, options, found):
    for name, value in change.items():
        setattr(nova.moving.servers[UUID], name, value)
    done = run(nova, **options)
    assert done["failed"] and found in done["found"] and requests(nova) == []
