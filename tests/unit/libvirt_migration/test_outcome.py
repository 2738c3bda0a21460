# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a domain between two hypervisors in memory: the end of each mode, and what is left after a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import Site, Storage
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Step
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_migration
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import failed
from ansible_collections.lifeboat.cloud.tests.unit.moving_libvirt import (
    DISK,
    DOMAIN,
    OFFLINE,
    THERE,
    WANTED,
    Lab,
    die,
    memory,
    off,
    policy,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


def test_a_guest_moves_with_its_autostart_and_is_then_left_alone(lab):
    lab.here.known["web1"].autostarts = True
    lab.calls.statistics = [memory(1)]
    planned = lab.plan()
    assert planned.says == (f"migrate domain web1 to {THERE}",) and lab.calls.did == []
    outcome = planned.do()
    assert (outcome.ended_by, outcome.downtime_ms, outcome.iterations) == ("pre_copy", 223, 3)
    assert outcome.total_s == pytest.approx(1.5) and [name for name, _s in outcome.timeline] == [
        "preparing",
        "copying memory",
    ]
    assert sum(seconds for _name, seconds in outcome.timeline) == pytest.approx(outcome.total_s)
    assert "web1" not in lab.here.known and lab.there.known["web1"].autostarts
    assert lab.plan().do is None and lab.calls.did == ["migrate persistent"]


def test_what_is_not_done_in_time_is_aborted_and_goes_on_at_the_source(lab):
    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(n) for n in range(1, 90)]
    with pytest.raises(LifeboatError) as caught:
        lab.plan(policy(Step.ABORT)).do()
    assert "abort at 5.0 s (operation aborted" in caught.value.found
    assert "40 MiB of memory left in iteration 6, the guest writes 30 MiB/s" in caught.value.found
    assert "the guest is running" in caught.value.found and "then=post_copy" in caught.value.remedy
    assert lab.calls.did == ["migrate persistent", "abort"] and lab.there.known == {}


@pytest.mark.parametrize(
    ("wanted", "ended_by", "did", "phase"),
    [
        (policy(Step.POST_COPY), "post_copy", "post-copy", "post-copy"),
        (policy(Step.POST_COPY, 600.0, iterations=5), "post_copy", "post-copy", "post-copy"),
        (policy(Step.THROTTLE), "throttle", None, "guest stopped"),
    ],
)
def test_what_is_not_done_in_time_is_ended_as_wanted(lab, wanted, ended_by, did, phase):
    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(n) for n in range(1, 90)]
    lab.calls_there.left = {}
    outcome = lab.plan(wanted).do()
    assert (outcome.ended_by, outcome.downtime_ms) == (ended_by, None) and outcome.iterations >= 6
    assert outcome.timeline[-1][0] == phase and 5.0 <= outcome.total_s <= 9.0
    assert lab.calls.did == ["migrate persistent", *([did] if did else [])] and "web1" in lab.there.known


def test_a_guest_that_was_stopped_in_vain_goes_on(lab):
    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.stubborn = None, [memory(2)], True
    with pytest.raises(LifeboatError, match=r"abort at 25\.0 s.*the guest is running"):
        lab.plan(policy(Step.THROTTLE)).do()


@pytest.mark.parametrize("then", [Step.ABORT, Step.POST_COPY])
def test_a_migration_that_ends_at_its_bound_has_succeeded(lab, then):
    def too_late(_name: str) -> None:
        lab.calls.ends_after_s = 0.0
        raise failed("domain web1", "no job is active on the domain", 55)

    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(2)]
    lab.calls.abort = lab.calls.switch_to_post_copy = too_late
    assert lab.plan(policy(then)).do().ended_by == "pre_copy" and "web1" in lab.there.known


def test_a_migration_that_cannot_be_ended_is_left_to_libvirt_in_time(lab):
    def refuse(_name: str) -> None:
        raise failed("domain web1", "cannot abort migration in post-copy mode", 55)

    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.abort = None, [memory(2)], refuse
    began = lab.here.clock.now
    with pytest.raises(LifeboatError, match=r"no end 20 s after abort at 5\.0 s"):
        lab.plan(policy(Step.ABORT)).do()
    assert lab.here.clock.now - began < 27.0


@pytest.mark.parametrize("wanted", [WANTED, replace(WANTED, storage=Storage(("vda",)))])
def test_a_destination_that_dies_is_told_as_a_migration_that_failed(lab, wanted):
    lab.there.add_volume(DISK)
    planned = lab.plan(wanted)
    lab.calls.refusal = "unable to read from socket: Connection reset by peer"
    die(lab)
    with pytest.raises(LifeboatError, match=r"migration of domain web1.*unable to read.*the guest is running"):
        planned.do()


def test_a_stopped_guest_is_not_started_while_it_may_run_elsewhere(lab):
    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.stubborn = None, [memory(2)], True
    planned = lab.plan(policy(Step.THROTTLE))
    die(lab)
    with pytest.raises(
        LifeboatError, match=r"paused on the source, while the destination does not tell.*state=running"
    ):
        planned.do()
    assert lab.here.known["web1"].condition().state is State.PAUSED


def test_a_guest_that_its_user_has_paused_stays_so(lab):
    paused = lab.here.known["web1"].found = Condition(State.PAUSED, "user")
    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.stubborn = None, [memory(2)], True
    with pytest.raises(LifeboatError, match=r"abort at 25\.0 s.*the guest is paused \(user\)"):
        lab.plan(policy(Step.THROTTLE)).do()
    assert lab.here.known["web1"].condition() == paused


@pytest.mark.parametrize("destination_lost", [True, False])
@pytest.mark.parametrize("wanted", [policy(Step.POST_COPY), replace(policy(Step.POST_COPY), storage=Storage())])
def test_a_post_copy_that_breaks_is_left_whole_for_the_next_run(lab, wanted, destination_lost):
    def cut(_name: str) -> None:
        lab.there.define(DOMAIN, validate=True)
        lab.there.known["web1"].start()
        lab.here.known["web1"].found = Condition(State.PAUSED, "postcopy_failed")
        lab.calls.ends_after_s, lab.calls.refusal = 0.0, "job failed: Connection reset by peer"
        if destination_lost:
            lab.there.known.clear()

    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.switch_to_post_copy = None, [memory(2)], cut
    lab.calls_there.pools = frozenset({"/srv/images"})
    with pytest.raises(LifeboatError, match=r"Connection reset by peer.*postcopy_failed.*Run this again") as caught:
        lab.plan(wanted).do()
    assert "Power off neither" in caught.value.remedy and lab.here.clock.now < 1010.0
    assert list(lab.there.volumes) == ([DISK] if wanted.storage else [])
    assert lab.plan(wanted).says == (f"resume the post-copy of domain web1 to {THERE}",)


def test_a_bound_holds_while_libvirt_answers_with_errors(lab):
    def refuse() -> Mapping[str, Any]:
        raise failed("domain web1", "cannot acquire state change lock", 68)

    planned = lab.plan(policy(Step.ABORT))
    lab.calls.ends_after_s, lab.here.known["web1"].job = None, refuse
    with pytest.raises(LifeboatError, match=r"abort at 5\.0 s"):
        planned.do()
    assert lab.calls.did == ["migrate persistent", "abort"]


def test_post_copy_that_cannot_begin_is_an_abort(lab):
    def refuse(_name: str) -> None:
        raise failed("domain web1", "post-copy is not supported", 55)

    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(2)]
    lab.calls.switch_to_post_copy = refuse
    with pytest.raises(LifeboatError, match=r"abort at 5\.0 s.*the guest is running"):
        lab.plan(policy(Step.POST_COPY)).do()


def test_disks_that_are_not_copied_in_time_are_removed_there(lab):
    lab.calls.ends_after_s = None
    lab.calls.statistics = [{"disk_total": 256 << 20, "disk_processed": 64 << 20}]
    lab.calls_there.pools = frozenset({"/srv/images"})
    with pytest.raises(LifeboatError, match="64 of 256 MiB of disks sent"):
        lab.plan(replace(policy(Step.POST_COPY), storage=Storage())).do()
    assert lab.calls.did == ["migrate vda persistent", "abort"] and lab.there.volumes == {}


def test_a_volume_that_was_there_before_is_kept(lab):
    lab.there.add_volume(DISK)
    lab.calls.refusal = "Unable to connect"
    with pytest.raises(LifeboatError, match="Unable to connect; the guest is running"):
        lab.plan(replace(WANTED, storage=Storage(("vda",)))).do()
    assert list(lab.there.volumes) == [DISK]


def test_the_definition_of_a_domain_that_is_off_moves_alone(lab):
    off(lab)
    outcome = lab.plan(OFFLINE).do()
    assert outcome.ended_by == "offline" and "web1" in lab.there.known


@pytest.fixture
def front_door(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    sites = {"qemu:///system": Site(lab.here, lab.calls), THERE: Site(lab.there, lab.calls_there)}
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_migration, "connected", lambda uri, timeout: contextlib.nullcontext(sites[uri]))
    monkeypatch.setattr(libvirt_migration, "site", lambda connection: connection)
    monkeypatch.setattr(libvirt_migration, "LibvirtAttempt", lambda uri, longest_s, call: lab.begin(call))
    monkeypatch.setattr(libvirt_migration, "CLOCK", lab.here.clock)
    return lab


def test_the_module_moves_once_and_foretells_it_in_check_mode(front_door):
    arguments = {"name": "web1", "destination": THERE}
    foretold = run_module(libvirt_migration.main, check=True, **arguments)
    assert foretold["changed"] and "web1" in front_door.here.known and "migration" not in foretold
    done = run_module(libvirt_migration.main, **arguments)
    assert done["changed"] and done["actions"] == foretold["actions"] == [f"migrate domain web1 to {THERE}"]
    assert done["diff"] == foretold["diff"] and done["migration"]["downtime_ms"] == 223
    again = run_module(libvirt_migration.main, **arguments)
    assert not again["changed"] and again["actions"] == [] and "diff" not in again


@pytest.mark.parametrize("check", [True, False])
def test_the_module_warns_of_what_stays_behind(front_door, capsys, check):
    nvram = ElementTree.fromstring(f"<nvram>/srv/web1-{check}.fd</nvram>")
    front_door.here.known["web1"].defined.find("os").append(nvram)
    off(front_door)
    done = run_module(libvirt_migration.main, check=check, name="web1", destination=THERE, mode="offline")
    # Where Ansible tells a warning depends on what ran before in this process.
    assert f"/srv/web1-{check}.fd" in str(done.get("warnings")) + capsys.readouterr().err and done["changed"]


def test_the_module_aborts_once_and_foretells_it_in_check_mode(front_door, begun):
    arguments = {"name": "web1", "destination": THERE, "state": "aborted"}
    foretold = run_module(libvirt_migration.main, check=True, **arguments)
    assert foretold["changed"] and begun.calls.did == []
    done = run_module(libvirt_migration.main, **arguments)
    assert done["changed"] and done["actions"] == foretold["actions"] == ["abort the migration of domain web1"]
    assert done["migration"]["ended_by"] == "abort" and done["diff"]["after"] == {"host": "qemu:///system"}
    assert not run_module(libvirt_migration.main, **arguments)["changed"] and begun.calls.did == ["abort"]
    refused = run_module(libvirt_migration.main, mode="offline", max_seconds=1.0, **arguments)
    assert refused["failed"] and "max_seconds" in refused["found"] and "mode" in refused["found"]


def test_the_module_says_what_is_wrong(front_door):
    result = run_module(libvirt_migration.main, name="web1", destination="qemu+tcp://cmp2/system")
    assert result["failed"] and "not encrypted" in result["found"]
