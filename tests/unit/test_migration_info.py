# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nova's records of migrations, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import migration_info
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving, MovingNova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def nova(cloud):
    """Three servers: one is moved live, one waits to be confirmed, one has been evacuated."""
    servers = [Moving(name, name, "cmp1", task="migrating") for name in ("runs", "waits", "done")]
    cloud.moving = MovingNova(*servers)
    for server, kind, status in zip(
        servers, ("live", "cold", "evacuation"), ("running", "finished", "done"), strict=True
    ):
        cloud.moving.begin(server, kind, "cmp2")
        server.record |= {"status": status, "updated_at": "2026-11-22T02:53:33.000000"}
    return cloud


def read(nova, **options):
    return run_module(migration_info.main, **{**nova.options, **options})["migrations"]


def test_the_latest_is_first_and_says_how_long_it_took_and_how_much_is_sent(nova):
    records = read(nova)
    assert [(each["server"], each["kind"], each["status"]) for each in records] == [
        ("done", "evacuation", "done"),
        ("waits", "cold", "finished"),
        ("runs", "live", "running"),
    ]
    assert [each["seconds"] for each in records] == [26.0, 29.0, 32.0]
    transferred = {"memory_total": 200, "memory_processed": 150, "memory_remaining": 50}
    assert [each["transferred"] for each in records] == [{}, {}, transferred]


def test_one_that_waits_to_be_confirmed_is_unfinished(nova):
    assert [each["server"] for each in read(nova, unfinished=True)] == ["waits", "runs"]


def test_what_nobody_will_close_is_not_unfinished(nova):
    nova.moving.servers["runs"].task, nova.moving.servers["runs"].steps = None, []
    assert [each["server"] for each in read(nova, unfinished=True)] == ["waits"]
    nova.moving.servers["runs"].record["updated_at"] = datetime.now(UTC).replace(tzinfo=None).isoformat()
    assert [each["server"] for each in read(nova, unfinished=True)] == ["waits", "runs"]


def test_only_what_is_asked_for(nova):
    assert [each["server"] for each in read(nova, kinds=["cold"])] == ["waits"]
    assert [each["server"] for each in read(nova, server="runs")] == ["runs"]
    read(nova, host="cmp1")
    assert {"host": "cmp1"} in [call.query for call in nova.calls]
