# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a server of Nova, over HTTP as Nova takes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _server_journey, _server_migration
from ansible_collections.lifeboat.cloud.plugins.modules import server_migration
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving, MovingNova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

UUID = "16fe8c23-1858-4770-93fa-b6cc82d2ec84"


@pytest.fixture
def nova(cloud, monkeypatch):
    """web-1 on cmp1, three computes of which cmp3 is disabled and cmp4 down, and waits in steps of 1 ms."""
    monkeypatch.setattr(_server_migration, "_PAUSE_S", 0.001)
    for name, seconds in {"_LATE_S": 0.3, "_REFUSED_S": 0.01, "_DROPPED_S": 0.01}.items():
        monkeypatch.setattr(_server_journey, name, seconds)
    for part in (_server_journey, _server_migration):
        monkeypatch.setattr(part, "GRACE_S", 2.0)
    cloud.services = [
        service("cmp1"),
        service("cmp2"),
        service("cmp3", status="disabled"),
        service("cmp4", state="down"),
    ]
    cloud.moving = MovingNova(Moving(UUID, "web-1", "cmp1"), Moving(UUID[::-1].replace("-", "0"), "web-10", "cmp1"))
    return cloud


def run(nova, check=False, **options):
    nova.calls.clear()
    return run_module(server_migration.main, check, **{**nova.options, "server": "web-1", **options})


def requests(nova):
    return [call.body for call in nova.calls if call.method == "POST"]


def ends(nova):
    """What was asked of Nova to end a migration."""
    return [call.method for call in nova.calls if call.method in ("POST", "DELETE")]


@pytest.fixture
def under_way(nova):
    """web-1 on its way to cmp2, which would take for ever."""
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    nova.moving.begin(nova.moving.servers[UUID], "live", "cmp2")
    nova.moving.note(nova.moving.servers[UUID], "live-migration")
    return nova


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


def test_a_resize_that_waits_is_left_to_its_owner(nova):
    run(nova, host="cmp2", kind="cold")
    server = nova.moving.servers[UUID]
    nova.moving.begin(server, "resize", "cmp1")
    server.record |= {"status": "finished"}
    server.status, server.task, server.steps = "VERIFY_RESIZE", None, []
    done = run(nova, host="cmp1", kind="cold")
    assert done["failed"] and "status VERIFY_RESIZE" in done["found"] and requests(nova) == []


def test_one_under_way_to_elsewhere_is_refused(nova):
    nova.moving.begin(nova.moving.servers[UUID], "live", "cmp4")
    done = run(nova, host="cmp2")
    assert done["failed"] and "from cmp1 to cmp4" in done["found"] and requests(nova) == []


def test_one_that_fails_leaves_the_server_and_tells_why(nova):
    nova.moving.script["live"] = moving_nova.LIVE_FAILS
    done = run(nova, host="cmp2")
    assert done["failed"] and "error: live_migrate_instance: No valid host" in done["found"]
    assert "ACTIVE on cmp1" in done["remedy"]


def test_one_without_a_record_tells_why(nova):
    nova.moving.script["live"] = None
    assert "no migration: live_migrate_instance: No valid host" in run(nova, host="cmp2")["found"]


NO_HOST = ("conductor_live_migrate_instance", "No valid host was found. ")
NOT_SHARED = (
    "cmp1 is not on shared storage: Shared storage live-migration requires either shared storage or boot-from-volume "
    "with no local disks."
)
IS_SHARED = "cmp1 is not on local storage: Block migration can not be used with shared storage."
NO_CPU = "Migration pre-check error: Unacceptable CPU info: CPU doesn't have compatibility.\n\n0\n\nRefer to"
CHECKED = [
    ("compute_pre_live_migration", None),
    ("compute_live_migration", None),
    ("compute_check_can_live_migrate_source", None),
    ("compute_check_can_live_migrate_destination", None),
    ("conductor_live_migrate_instance", None),
]
NO_SSH = (
    "Resize error: not able to execute ssh command: Unexpected error while running command.\n"
    "Command: ssh -o BatchMode=yes 10.0.0.12 mkdir -p /var/lib/nova/instances/16fe8c23\nExit code: 255\nStdout: ''\n"
    "Stderr: 'nova@10.0.0.12: Permission denied (publickey).\\r\\n'"
)


@pytest.mark.parametrize(
    ("noted", "options", "found", "remedy"),
    [
        (
            [
                ("compute_check_can_live_migrate_source", NOT_SHARED),
                ("compute_check_can_live_migrate_destination", NOT_SHARED),
                NO_HOST,
            ],
            {"storage": "shared"},
            f"error: check_can_live_migrate_source: {NOT_SHARED}; live_migrate_instance: No valid host was found.",
            "leave storage=shared out",
        ),
        (
            [("compute_check_can_live_migrate_source", IS_SHARED), NO_HOST],
            {"storage": "block"},
            "can not be used with shared storage",
            "leave storage=block out",
        ),
        (
            [
                ("compute_check_can_live_migrate_destination", NO_CPU),
                NO_HOST,
            ],
            {},
            "Unacceptable CPU info: CPU doesn't have compatibility. 0 Refer to; live_migrate_instance",
            "Choose a host whose processor",
        ),
        ([NO_HOST], {}, "error: live_migrate_instance: No valid host was found.", "hypervisor_info"),
        (CHECKED, {}, "Nova gives no reason; its checks had passed, and libvirt broke it off", "log on cmp1 has what"),
        (
            [("compute_resize_instance", NO_SSH), ("conductor_migrate_server", None)],
            {"kind": "cold"},
            "error: resize_instance: Resize error: not able to execute ssh command",
            "nova of cmp1 can log in to cmp2",
        ),
    ],
)
def test_what_nova_found_is_told_with_its_cause_first_and_what_to_do(nova, noted, options, found, remedy):
    nova.moving.script |= {"live": moving_nova.LIVE_FAILS, "cold": moving_nova.COLD_FAILS}
    nova.moving.noted = noted
    done = run(nova, host="cmp2", **options)
    assert done["failed"] and found in done["found"] and "\n" not in done["found"]
    assert remedy in done["remedy"] and "The server is ACTIVE on cmp1." in done["remedy"]


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


@pytest.mark.parametrize(
    ("script", "status"),
    [(moving_nova.LIVE_ABORTED, "cancelled"), (moving_nova.LIVE_ABORTED_AS_FAILED, "failed")],
)
def test_one_that_somebody_else_aborts_says_who(under_way, script, status):
    moving, answer = under_way.moving, under_way.moving.answer
    moving.aborted = script[3:]

    def abort(call, rest):
        if moving.servers[UUID].record["status"] == "running" and len(moving.actions) == 1:
            moving.abort(moving.servers[UUID])
        return answer(call, rest)

    moving.answer = abort
    done = run(under_way, host="cmp2")
    assert done["found"] == f"a migration that is {status}: it was aborted by user operator"


def test_one_that_was_cancelled_was_aborted_by_somebody(nova):
    nova.moving.script["live"] = moving_nova.LIVE_ABORTED
    assert "a migration that is cancelled: it was aborted" in run(nova, host="cmp2")["found"]


@pytest.mark.parametrize("began", ["2026-11-22T02:53:00.000000", "2026-11-22T02:53:05.000000"])
def test_an_abort_of_another_migration_is_no_reason(nova, began):
    nova.moving.note(nova.moving.servers[UUID], "live_migration_cancel", began)
    nova.moving.script["live"] = moving_nova.LIVE_ABORTED_AS_FAILED
    nova.moving.created = lambda _number: moving_nova.FIRST + timedelta(seconds=2)
    done = run(nova, host="cmp2")
    assert done["found"].startswith("a migration that is failed: Nova gives no reason")


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


def test_to_be_migrated_it_needs_to_know_where(nova):
    assert "host, away_from" in run(nova)["msg"]


@pytest.mark.parametrize(
    ("change", "options", "found"),
    [
        ({"status": "SHUTOFF"}, {"host": "cmp2"}, "status SHUTOFF"),
        ({"status": "ERROR"}, {"host": "cmp2", "kind": "cold"}, "status ERROR"),
        ({"task": "rebooting"}, {"host": "cmp2"}, "busy with rebooting"),
        ({"host": "cmp4"}, {"host": "cmp2"}, "state down"),
        ({}, {"host": "cmp3"}, "disabled and up"),
        ({}, {"host": "cmp4"}, "enabled and down"),
        ({}, {"host": "cmp9"}, "runs on cmp1, cmp2, cmp3, cmp4"),
        ({}, {"host": "cmp1", "away_from": "cmp1"}, "both as host and as away_from"),
        ({}, {"host": "cmp2", "server": "web"}, "no server of that name"),
        ({}, {"host": "cmp2", "server": UUID.replace("1", "2")}, "no server of that UUID"),
    ],
)
def test_what_cannot_be_moved_is_refused_before_anything_is_asked_for(nova, change, options, found):
    for name, value in change.items():
        setattr(nova.moving.servers[UUID], name, value)
    for check in (True, False):
        done = run(nova, check=check, **options)
        assert done["failed"] and found in done["found"] and requests(nova) == []


def test_a_name_of_two_servers_is_refused(nova):
    nova.moving.servers["2"] = Moving("2", "web-1", "cmp2")
    assert f"2 servers of that name: {UUID}, 2" in run(nova, host="cmp2")["found"]


def test_missing_rights_are_told(nova):
    nova.forbidden.add("compute")
    assert "role admin" in run(nova, host="cmp2")["remedy"]
