# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live migration under way that is ended now: aborted, or forced to its completion."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID
from ansible_collections.lifeboat.cloud.tests.unit.server_migration_samples import ends, run

ENDS = [
    ("aborted", "abort", "cmp1", "cancelled", "DELETE"),
    ("completed", "force", "cmp2", "completed", "POST"),
]


@pytest.mark.parametrize(("state", "measure", "host", "status", "method"), ENDS)
def test_one_under_way_is_ended_now_and_once(under_way, state, measure, host, status, method):
    would = run(under_way, check=True, state=state)
    assert would["changed"] and ends(under_way) == []
    did = run(under_way, state=state)
    assert did["actions"] == would["actions"] == [f"{measure} the live migration of server web-1 from cmp1"]
    assert ends(under_way).count(method) == len(ends(under_way)) >= 1
    assert (did["server"]["host"], did["migration"]["status"]) == (host, status)
    assert (did["source"], did["destination"]) == ("cmp1", "cmp2") and did["diff"]["after"]["host"] == host
    assert did["timeline"][-1]["record"] == status and did["transferred"]["memory_total"] == 200 and did["phases"]
    for check in (True, False):
        again = run(under_way, check, state=state)
        assert not again["changed"] and again["server"]["host"] == host and ends(under_way) == []


@pytest.mark.parametrize(("state", "_measure", "host", "_status", "method"), ENDS)
def test_what_nova_takes_and_drops_is_asked_for_again(under_way, state, _measure, host, _status, method):
    under_way.moving.drops = 2
    did = run(under_way, state=state)
    assert did["server"]["host"] == host and len(did["actions"]) == 1 and ends(under_way).count(method) >= 3


@pytest.mark.parametrize("state", ["aborted", "completed"])
def test_one_that_does_not_end_is_waited_for_in_bounds(under_way, state):
    under_way.moving.drops = 10_000
    done = run(under_way, state=state, migration_timeout=0.3)
    assert done["failed"] and "a migration that is" in done["found"] and done["expected"] == "its end"


@pytest.mark.parametrize(("state", "_measure", "host", "_status", "_method"), ENDS)
def test_one_that_has_no_record_yet_is_ended(nova, state, _measure, host, _status, _method):
    moving, server = nova.moving, nova.moving.servers[UUID]
    # Of an earlier migration.
    moving.begin(server, "live", "cmp2")
    server.record |= {"status": "completed"}
    server.task, server.steps, moving.script["live"] = "migrating", [], moving_nova.LIVE_STUCK
    answer = moving.answer

    def late(call, rest):
        if rest == ["servers", UUID] and len(moving.records) == 1:
            moving.begin(server, "live", "cmp2")
        return answer(call, rest)

    would = run(nova, check=True, state=state)
    moving.answer = late
    did = run(nova, state=state)
    assert did["actions"] == would["actions"] and did["migration"]["id"] == moving.records[0]["id"]
    assert did["server"]["host"] == host


def test_one_that_ends_without_a_record_was_none(nova):
    server = nova.moving.servers[UUID]
    server.task, answer = "migrating", nova.moving.answer

    def late(call, rest):
        if rest == ["servers", UUID]:
            server.task = None
        return answer(call, rest)

    nova.moving.answer = late
    assert not run(nova, state="aborted")["changed"]


@pytest.mark.parametrize("state", ["aborted", "completed"])
def test_one_that_arrives_while_it_is_asked_is_no_failure(under_way, state, capsys):
    under_way.moving.servers[UUID].steps = list(moving_nova.LIVE[3:])
    did = run(under_way, state=state)
    assert not did["changed"] and did["server"]["host"] == "cmp2"
    told = str(did.get("warnings")) + capsys.readouterr().err
    assert state == "completed" or "before it could be aborted" in told


def test_one_that_fails_by_itself_is_aborted_but_not_completed(under_way):
    server = under_way.moving.servers[UUID]
    server.steps = list(moving_nova.LIVE_FAILS[3:])
    assert run(under_way, state="aborted")["server"]["host"] == "cmp1"
    under_way.moving.begin(server, "live", "cmp2")
    server.steps = list(moving_nova.LIVE_FAILS[3:])
    done = run(under_way, state="completed")
    assert done["failed"] and "a migration that is error: live_migrate_instance: No valid host" in done["found"]


def test_a_server_that_an_abort_breaks_is_a_failure(under_way):
    under_way.moving.aborted = [("cancelled", "ERROR", None, False)]
    done = run(under_way, state="aborted")
    assert done["failed"] and "an error after a migration that is cancelled" in done["found"]
    assert "on cmp1" in done["expected"]


def test_post_copy_is_watched_to_its_end_and_cannot_be_aborted(under_way):
    server = under_way.moving.servers[UUID]
    server.steps = list(moving_nova.LIVE_POST_COPY[3:])
    under_way.moving.step(server)
    for check in (True, False):
        done = run(under_way, check, state="aborted")
        assert done["failed"] and "in post-copy" in done["found"] and "state=completed" in done["remedy"]
    did = run(under_way, state="completed")
    assert not did["changed"] and did["server"]["host"] == "cmp2" and ends(under_way) == []


def test_one_that_goes_into_post_copy_while_it_is_aborted_is_left(under_way):
    under_way.moving.servers[UUID].steps, under_way.moving.drops = list(moving_nova.LIVE_POST_COPY), 10_000
    done = run(under_way, state="aborted")
    assert done["failed"] and "in post-copy" in done["found"] and "DELETE" in ends(under_way)


@pytest.mark.parametrize("state", ["aborted", "completed"])
@pytest.mark.parametrize(
    ("kind", "step", "found", "remedy"),
    [
        ("cold", moving_nova.COLD[1], "a cold migration from cmp1 to cmp2 that is migrating", "Nova goes on"),
        ("cold", moving_nova.COLD[2], "that is finished", "kind=cold host=cmp2 after_cold=confirm"),
        ("evacuation", moving_nova.EVACUATE[0], "Nova busy with rebuilding", "Wait"),
    ],
)
def test_what_is_no_live_migration_is_not_ended(nova, state, kind, step, found, remedy):
    server = nova.moving.servers[UUID]
    nova.moving.begin(server, kind, "cmp2")
    server.steps = [step]
    nova.moving.step(server)
    for check in (True, False):
        done = run(nova, check, state=state)
        assert done["failed"] and found in done["found"] and remedy in done["remedy"] and ends(nova) == []


@pytest.mark.parametrize(
    "options",
    [{"host": "cmp2"}, {"kind": "cold"}, {"storage": "block", "on_timeout": "force"}, {"after_cold": "leave"}],
)
def test_options_of_another_state_are_refused(under_way, options):
    done = run(under_way, state="aborted", **options)
    assert done["failed"] and all(name in done["found"] for name in options) and ends(under_way) == []
