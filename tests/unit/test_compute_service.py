# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enabling, disabling and forcing down a compute service, over HTTP as Nova takes it."""

from __future__ import annotations

import re

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _compute_service
from ansible_collections.lifeboat.cloud.plugins.modules import compute_service
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def nova(cloud, monkeypatch):
    """Three computes and a scheduler, and waits in steps of 10 ms."""
    monkeypatch.setattr(_compute_service, "_PAUSE_SECONDS", 0.01)
    cloud.services = [
        service("cmp1"),
        service("cmp11"),
        service("cmp2"),
        service("ctl1", "nova-scheduler", zone="internal"),
    ]
    return cloud


def run(nova, check=False, **options):
    nova.calls.clear()
    return run_module(compute_service.main, check, **{**nova.options, "host": "cmp1", **options})


def bodies(nova):
    return [call.body for call in nova.calls if call.method == "PUT"]


def settings(nova, host="cmp1"):
    (entry,) = [each for each in nova.services if each["host"] == host]
    return entry["status"], entry["disabled_reason"], entry["forced_down"]


@pytest.mark.parametrize(
    ("before", "options", "actions", "body"),
    [
        ({}, {"state": "disabled"}, ["disable nova-compute on cmp1"], {"status": "disabled"}),
        (
            {},
            {"state": "disabled", "disabled_reason": "new disk"},
            ["disable nova-compute on cmp1", "note why nova-compute on cmp1 is disabled"],
            {"status": "disabled", "disabled_reason": "new disk"},
        ),
        (
            {"status": "disabled", "disabled_reason": "new disk"},
            {"state": "disabled", "disabled_reason": "new board"},
            ["note why nova-compute on cmp1 is disabled"],
            {"status": "disabled", "disabled_reason": "new board"},
        ),
        (
            {"status": "disabled", "disabled_reason": "new disk"},
            {"state": "enabled"},
            ["enable nova-compute on cmp1", "drop the reason of nova-compute on cmp1"],
            {"status": "enabled"},
        ),
        (
            {"status": "disabled", "disabled_reason": "new disk"},
            {"forced_down": True},
            ["force nova-compute on cmp1 down"],
            {"forced_down": True},
        ),
        (
            {"forced_down": True},
            {"forced_down": False},
            ["stop forcing nova-compute on cmp1 down"],
            {"forced_down": False},
        ),
        (
            {"status": "disabled", "forced_down": True},
            {"state": "enabled", "forced_down": False},
            ["enable nova-compute on cmp1", "stop forcing nova-compute on cmp1 down"],
            {"status": "enabled", "forced_down": False},
        ),
    ],
)
def test_each_difference_is_foretold_made_in_one_request_and_made_once(nova, before, options, actions, body):
    nova.services[0] |= before
    untouched = settings(nova)
    would = run(nova, check=True, **options)
    assert settings(nova) == untouched and bodies(nova) == []
    did = run(nova, **options)
    assert bodies(nova) == [body]
    assert nova.calls[-1].path == "/compute/v2.1/os-services/service-nova-compute-cmp1"
    for result in (would, did):
        assert (result["changed"], result["actions"]) == (True, actions)
    assert would["diff"] == did["diff"]
    foretold, made = (result["service"] for result in (would, did))
    assert {**foretold, "state": None} == {**made, "state": None}
    again = run(nova, **options)
    assert (again["changed"], again["actions"], bodies(nova)) == (False, [], [])
    assert settings(nova, "cmp11") == settings(nova, "cmp2") == ("enabled", None, False)


def test_the_diff_holds_what_differs_and_nothing_else(nova):
    nova.services[0] |= {"status": "disabled", "disabled_reason": "new disk"}
    assert run(nova, state="enabled", forced_down=False)["diff"] == {
        "before": {"status": "disabled", "disabled_reason": "new disk"},
        "after": {"status": "enabled", "disabled_reason": None},
    }


def test_a_reason_that_is_not_given_is_kept(nova):
    nova.services[0] |= {"status": "disabled", "disabled_reason": "new disk"}
    assert run(nova, state="disabled")["changed"] is False
    assert run(nova, state="disabled", forced_down=True)["service"]["disabled_reason"] == "new disk"


def test_a_service_forced_down_is_foretold_to_be_down(nova):
    assert run(nova, check=True, forced_down=True)["service"]["state"] == "down"
    assert run(nova, forced_down=True)["service"]["state"] == "down"


def test_an_unknown_host_is_refused_with_the_known_ones(nova):
    failed = run(nova, host="cmp9", state="disabled")
    assert failed["failed"] and failed["thing"] == "nova-compute on cmp9"
    assert "cmp1, cmp11, cmp2" in failed["found"] and "ctl1" not in failed["found"]
    assert "no host at all" in run(nova, binary="nova-cmopute", state="disabled")["found"]
    nova.services.append(service("cmp1"))
    assert "2 such services" in run(nova, state="disabled")["found"] and bodies(nova) == []


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"disabled_reason": "new disk"}, "a disabled_reason"),
        ({"disabled_reason": "new disk", "state": "enabled"}, "a disabled_reason"),
        ({"disabled_reason": "", "state": "disabled"}, "0 characters"),
        ({"disabled_reason": "x" * 256, "state": "disabled"}, "256 characters"),
        ({"host": "ctl1", "binary": "nova-scheduler", "state": "disabled"}, "a wish to disable nova-scheduler on ctl1"),
        ({"forced_down": True, "wait_for": "up"}, "it is forced down"),
    ],
)
def test_what_nova_would_refuse_is_refused_before_in_check_mode_too(nova, check, options, found):
    failed = run(nova, check, **options)
    assert failed["failed"] and found in failed["found"] and failed["remedy"] and bodies(nova) == []


def test_a_reason_of_the_greatest_length_is_taken(nova):
    assert run(nova, state="disabled", disabled_reason="x" * 255)["changed"]


def states(*reported):
    """Let cmp1 be reported in one state after the other, the last for ever."""
    left = list(reported)

    def report(cloud):
        cloud.services[0]["state"] = left.pop(0) if len(left) > 1 else left[0]

    return report


@pytest.mark.parametrize(("state", "other"), [("up", "down"), ("down", "up")])
def test_a_state_is_waited_for(nova, state, other):
    nova.before_services = states(other, other, state)
    result = run(nova, wait_for=state)
    assert result["changed"] is False and result["service"]["state"] == state
    assert [call.method for call in nova.calls] == ["GET"] * 3


def test_a_wait_that_is_in_vain_says_what_was_seen_last(nova):
    nova.before_services = states("down")
    failed = run(nova, wait_for="up", wait_timeout=2)
    assert failed["expected"] == "state up" and "wait_timeout" in failed["remedy"]
    assert re.search(r"still down after \d+ s, last report 2026-11-21T13:42:05\.000000", failed["found"])
    assert len(nova.calls) > 1


def test_a_service_forced_down_before_is_not_waited_for_to_come_up(nova):
    nova.services[0]["forced_down"] = True
    failed = run(nova, wait_for="up")
    assert failed["found"] == "it is forced down" and "forced_down=false" in failed["remedy"]


def reports(*hosts):
    """Let these report with each look."""

    def report(cloud):
        for each in cloud.services:
            if each["host"] in hosts:
                each["updated_at"] += "0"

    return report


@pytest.mark.parametrize("check", [True, False])
def test_one_that_reports_though_it_is_forced_down_is_not_taken_for_silent(nova, check):
    nova.services[0] |= {"forced_down": True, "updated_at": "2026-11-21T13:42:05."}
    nova.before_services = reports("cmp1")
    failed = run(nova, check=check, state="disabled", silent_for=30)
    assert "a report at 2026-11-21T13:42:05.00 though it is forced down" in failed["found"] and not bodies(nova)
    nova.before_services = reports("cmp2")
    silent = run(nova, check=check, state="disabled", silent_for=0.1)
    assert silent["changed"] and len(bodies(nova)) == (not check)


def test_check_mode_does_not_wait(nova):
    nova.before_services = states("down")
    assert run(nova, check=True, wait_for="up")["changed"] is False
    assert len(nova.calls) == 1


def test_a_host_that_was_evacuated_comes_up_once_nova_compute_has_noticed(nova):
    nova.services[0] |= {"forced_down": True, "status": "disabled"}
    nova.evacuations = 3
    result = run(nova, state="enabled", forced_down=False, wait_for="up", wait_timeout=30)
    assert result["changed"] and result["service"]["state"] == "up" and settings(nova) == ("enabled", None, False)
    assert len(bodies(nova)) == 4


@pytest.mark.parametrize("options", [{}, {"wait_for": "up", "wait_timeout": 2}])
def test_a_host_that_was_evacuated_and_does_not_notice_is_explained(nova, options):
    nova.services[0]["forced_down"] = True
    nova.evacuations = 1000
    failed = run(nova, forced_down=False, **options)
    assert "evacuation migration records" in failed["found"] and "Start nova-compute on cmp1" in failed["remedy"]
    assert (len(bodies(nova)) > 1) == bool(options) and settings(nova)[2]


def test_another_refusal_is_not_repeated(nova):
    nova.before_services = lambda cloud: cloud.forbidden.add("compute")
    failed = run(nova, state="disabled", wait_for="up", wait_timeout=5)
    assert "status 403" in failed["found"] and len(bodies(nova)) == 1
