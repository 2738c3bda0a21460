# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of Nova that is moved, and watched to its end."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, requests
from ansible_collections.lifeboat.cloud.tests.unit.server_migration_samples import run


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"host": "cmp2"}, {"os-migrateLive": {"host": "cmp2", "block_migration": "auto"}}),
        ({"host": "cmp2", "storage": "block"}, {"os-migrateLive": {"host": "cmp2", "block_migration": True}}),
        ({"host": "cmp2", "storage": "shared"}, {"os-migrateLive": {"host": "cmp2", "block_migration": False}}),
        ({"away_from": "cmp1"}, {"os-migrateLive": {"host": None, "block_migration": "auto"}}),
        ({"host": "cmp2", "away_from": "cmp1"}, {"os-migrateLive": {"host": "cmp2", "block_migration": "auto"}}),
        ({"host": "cmp2", "kind": "cold", "after_cold": "leave"}, {"migrate": {"host": "cmp2"}}),
    ],
)
def test_it_is_foretold_asked_for_once_and_watched_to_its_end(nova, options, body):
    would = run(nova, check=True, **options)
    assert requests(nova) == []
    did = run(nova, **options)
    assert requests(nova) == [body]
    assert would["actions"] == did["actions"] and would["changed"] and did["changed"]
    assert (did["source"], did["destination"], did["server"]["host"]) == ("cmp1", "cmp2", "cmp2")
    assert did["phases"][0]["name"] == "live_migrate_instance" and did["phases"][0]["seconds"] == 10.0


def test_a_server_that_is_active_again_is_watched_until_its_record_is_closed(nova):
    did = run(nova, host="cmp2")
    seen = [(state["record"], state["server"]) for state in did["timeline"]]
    assert seen[-2:] == [("running", "ACTIVE"), ("completed", "ACTIVE")]
    assert did["migration"]["status"] == "completed" and did["migration"]["kind"] == "live"
    assert did["transferred"] == {"memory_total": 200, "memory_processed": 150, "memory_remaining": 50}
    times = [state["at_s"] for state in did["timeline"]]
    assert times == sorted(times) and did["seconds"] >= times[-1]


def test_where_it_is_already_nothing_is_done(nova):
    for options in ({"host": "cmp1"}, {"away_from": "cmp2"}, {"host": "cmp1", "server": UUID}):
        assert run(nova, **options)["changed"] is False
        assert requests(nova) == []


@pytest.mark.parametrize(
    ("after", "status", "host", "changes"),
    [
        ("confirm", "confirmed", "cmp2", ["confirmResize"]),
        ("revert", "reverted", "cmp1", ["revertResize"]),
        ("leave", "finished", "cmp2", []),
    ],
)
def test_a_cold_migration_is_confirmed_reverted_or_left(nova, after, status, host, changes):
    did = run(nova, away_from="cmp1", kind="cold", after_cold=after)
    assert (did["migration"]["status"], did["server"]["host"]) == (status, host)
    assert [next(iter(body)) for body in requests(nova)] == ["migrate", *changes]


def test_one_that_is_left_is_left_by_the_next_run(nova):
    left = {"away_from": "cmp1", "kind": "cold", "after_cold": "leave"}
    run(nova, **left)
    for check in (True, False):
        again = run(nova, check, **left)
        assert again["changed"] is False and again["migration"]["status"] == "finished" and requests(nova) == []


@pytest.mark.parametrize("after", ["confirm", "revert"])
def test_a_cold_migration_that_waits_is_gone_on_with(nova, after):
    run(nova, host="cmp2", kind="cold", after_cold="leave")
    did = run(nova, host="cmp2", kind="cold", after_cold=after)
    assert [next(iter(body)) for body in requests(nova)] == [f"{after}Resize"]
    assert (did["source"], did["destination"]) == ("cmp1", "cmp2")


def test_one_that_was_reverted_is_not_moved_and_reverted_again(nova):
    for wish in ({"host": "cmp2"}, {"away_from": "cmp1"}):
        reverts = {"kind": "cold", "after_cold": "revert", **wish}
        assert run(nova, kind="cold", after_cold="leave", **wish)["changed"]
        assert run(nova, **reverts)["changed"]
        for check in (True, False):
            again = run(nova, check, **reverts)
            assert not again["changed"] and again["migration"]["status"] == "reverted" and requests(nova) == []
    assert run(nova, host="cmp2")["server"]["host"] == "cmp2"
    assert run(nova, host="cmp1", kind="cold", after_cold="revert")["changed"]


@pytest.mark.parametrize("after", ["confirm", "leave"])
def test_one_that_somebody_else_reverts_has_not_moved(nova, after):
    run(nova, host="cmp2", kind="cold", after_cold="leave")
    server = nova.moving.servers[UUID]
    server.steps = [*moving_nova.REVERT, ("reverted", "ACTIVE", None, False)]
    nova.moving.step(server)
    done = run(nova, host="cmp2", kind="cold", after_cold=after)
    assert done["failed"] and done["found"] == "host cmp1 after a migration that is reverted" and requests(nova) == []


def test_the_difference_is_where_the_server_was_and_is(nova):
    def seen(after, check):
        diff = run(nova, check, host="cmp2", kind="cold", after_cold=after)["diff"]
        return diff["before"]["host"], diff["after"]["host"]

    # Moved and reverted at once; left to wait, reverted, moved once more, and confirmed.
    ways = [("revert", "cmp1", "cmp1"), ("leave", "cmp1", "cmp2"), ("revert", "cmp2", "cmp1")]
    for after, before, host in [*ways, ways[1], ("confirm", "cmp2", "cmp2")]:
        assert [seen(after, check) for check in (True, False)] == [(before, host)] * 2


def test_a_live_migration_that_is_under_way_is_watched_and_not_begun_again(nova):
    server = nova.moving.servers[UUID]
    nova.moving.begin(server, "live", "cmp2")
    nova.moving.note(server, "live-migration")
    did = run(nova, host="cmp2")
    assert requests(nova) == [] and did["server"]["host"] == "cmp2"
    assert did["actions"] == ["go on with the live migration of server web-1 from cmp1"]


def test_a_record_that_nobody_will_close_is_not_waited_for(nova):
    """As of a source that died: the server has been evacuated, or its state was reset."""
    server = nova.moving.servers[UUID]
    nova.moving.begin(server, "live", "cmp2")
    server.task, server.steps = None, []
    assert run(nova, host="cmp2")["actions"] == ["migrate server web-1 live from cmp1 to cmp2"]


def test_a_record_that_nova_takes_for_failed_and_corrects_is_a_success(nova):
    nova.moving.script["live"] = moving_nova.LIVE_WITH_WRONG_RECORD
    did = run(nova, host="cmp2")
    assert (did["server"]["host"], did["migration"]["status"]) == ("cmp2", "completed")


def test_a_server_that_has_arrived_counts_more_than_its_record(nova):
    nova.moving.script["live"] = moving_nova.LIVE_WITH_LASTING_WRONG_RECORD
    did = run(nova, host="cmp2")
    assert (did["server"]["host"], did["migration"]["status"]) == ("cmp2", "error")


def test_what_the_api_cannot_tell_just_now_is_asked_again(nova):
    nova.moving.hiccups = 3
    assert run(nova, host="cmp2")["server"]["host"] == "cmp2"
    nova.moving.servers[UUID].host, nova.moving.hiccups = "cmp1", 10_000
    nova.moving.records.clear()
    assert "status 50" in run(nova, host="cmp2")["found"]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [({"on_timeout": "abort"}, "aborted"), ({"on_timeout": "leave"}, "a migration that is")],
)
def test_one_that_takes_too_long_is_aborted_or_left(nova, options, outcome):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    done = run(nova, host="cmp2", migration_timeout=0.1, **options)
    assert done["failed"] and outcome in done["found"]
    assert nova.moving.servers[UUID].host == "cmp1"
    assert ("DELETE" in {call.method for call in nova.calls}) == (options["on_timeout"] == "abort")


def test_one_that_takes_too_long_is_forced(nova):
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    did = run(nova, host="cmp2", migration_timeout=0.1, on_timeout="force")
    assert did["server"]["host"] == "cmp2" and did["actions"][1] == "force it after 0 s"
