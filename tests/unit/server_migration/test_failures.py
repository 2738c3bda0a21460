# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of a server that fail, and what is told of them."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _server_journey
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID
from ansible_collections.lifeboat.cloud.tests.unit.server_migration_samples import run


def test_one_that_fails_leaves_the_server_and_tells_why(nova):
    nova.moving.script["live"] = moving_nova.LIVE_FAILS
    done = run(nova, host="cmp2")
    assert done["failed"] and "error: live_migrate_instance: No valid host" in done["found"]
    assert "ACTIVE on cmp1" in done["remedy"]


def test_one_without_a_record_tells_why(nova):
    nova.moving.script["live"] = None
    assert "no migration: live_migrate_instance: No valid host" in run(nova, host="cmp2")["found"]


@pytest.mark.parametrize("taken", [True, False])
def test_a_request_without_an_answer_is_not_judged_by_an_earlier_failure(nova, monkeypatch, taken):
    """Nova takes it later than the first look comes, or never."""
    monkeypatch.setattr(_server_journey, "GRACE_S", 20.0 if taken else 0.1)
    moving, answer, looks = nova.moving, nova.moving.answer, itertools.count()
    script, moving.script["live"] = moving.script["live"], None
    run(nova, host="cmp2")

    def late(call, rest):
        if call.method == "POST":
            return 504, {}
        if rest[0] == "servers" and next(looks) == 10 and taken:
            moving.script["live"] = script
            moving.act(moving.servers[UUID], {"os-migrateLive": {"host": "cmp2", "block_migration": "auto"}})
        return answer(call, rest)

    moving.answer = late
    done = run(nova, host="cmp2")
    if taken:
        assert done["server"]["host"] == "cmp2"
    else:
        assert "no record of a migration after 0 s, and" in done["found"] and "status 504" in done["found"]


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
