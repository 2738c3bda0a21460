# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of moves of a server ask for."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _server_journey, _server_migration
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, Moving, MovingNova


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


@pytest.fixture
def under_way(nova):
    """web-1 on its way to cmp2, which would take for ever."""
    nova.moving.script["live"] = moving_nova.LIVE_STUCK
    nova.moving.begin(nova.moving.servers[UUID], "live", "cmp2")
    nova.moving.note(nova.moving.servers[UUID], "live-migration")
    return nova
