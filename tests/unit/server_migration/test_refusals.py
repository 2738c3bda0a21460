# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of a server that are refused before Nova is asked for anything."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, Moving, requests
from ansible_collections.lifeboat.cloud.tests.unit.server_migration_samples import run


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
        ({}, {"host": "cmp2", "migration_timeout": -1}, "-1"),
        ({}, {"host": "cmp2", "migration_timeout": 0}, "0"),
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
