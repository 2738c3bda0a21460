# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of plans that are carried out ask for."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _migration_adoption, _migration_run, _server_journey
from ansible_collections.lifeboat.cloud.plugins.modules import migration_run
from ansible_collections.lifeboat.cloud.tests.unit.migration_run_samples import (
    ASSUMED,
    Clock,
    KilledError,
    build,
    requests,
)
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import Moving
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


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
