# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that is under way or was left half-way: watched on, aborted, resumed, its guest gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import WantedMigration
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Step
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import failed
from ansible_collections.lifeboat.cloud.tests.unit.moving_libvirt import (
    DOMAIN,
    STOPPED,
    THERE,
    Lab,
    arrive,
    die,
    memory,
    off,
    policy,
)


def test_a_migration_under_way_is_watched_on_with_the_same_bounds(begun):
    planned = begun.plan(policy(Step.POST_COPY, 60.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}",)
    outcome = planned.do()
    assert outcome.ended_by == "post_copy" and begun.calls.did == ["post-copy"]
    assert 61.0 <= outcome.total_s <= 64.0 and begun.calls.now() <= 64.0


def test_a_guest_whose_migration_is_watched_on_keeps_its_autostart(begun):
    begun.here.known["web1"].autostarts, begun.calls.ends_after_s = True, 60.0
    begun.plan(policy(Step.ABORT, 600.0)).do()
    assert begun.there.known["web1"].autostarts


def test_a_guest_that_was_stopped_in_vain_for_another_s_migration_goes_on(begun):
    begun.calls.stubborn = True
    with pytest.raises(LifeboatError, match=r"ended without moving it.*the guest is running"):
        begun.plan(policy(Step.THROTTLE, 60.0)).do()
    assert begun.calls.did == ["abort"]


@pytest.mark.parametrize("stubborn", [True, False])
def test_a_migration_is_watched_on_whose_guest_was_stopped_by_a_run_that_was_killed(begun, stubborn):
    begun.here.known["web1"].found, begun.calls.stubborn = STOPPED, stubborn
    planned = begun.plan(policy(Step.ABORT, 600.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}, for which the guest was stopped",)
    if stubborn:
        with pytest.raises(LifeboatError, match=r"abort at .*ended without moving it.*the guest is running"):
            planned.do()
        assert begun.calls.did == ["abort"] and 20.0 <= begun.calls.now() - 58.0 <= 22.0
    else:
        assert planned.do().ended_by == "throttle" and begun.calls.did == [] and "web1" in begun.there.known


def test_a_post_copy_of_a_run_that_was_killed_is_not_aborted_at_the_bound(begun):
    begun.here.known["web1"].found = Condition(State.PAUSED, "postcopy")
    planned = begun.plan(policy(Step.ABORT, 60.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}, which is in post-copy",)
    with pytest.raises(LifeboatError, match=r"no end 20 s after post_copy at 58\.\d s"):
        planned.do()
    assert begun.calls.did == []


def test_a_migration_under_way_is_aborted_now(begun):
    planned = begun.plan_abort()
    assert planned.says == ("abort the migration of domain web1",) and begun.calls.did == []
    outcome = planned.do()
    assert (outcome.ended_by, outcome.iterations) == ("abort", 1) and 58.0 <= outcome.total_s < 60.0
    assert begun.calls.did == ["abort"] and begun.here.known["web1"].condition().state is State.RUNNING
    assert begun.plan_abort().do is None and begun.there.known == {}


def test_a_guest_that_was_stopped_for_a_migration_goes_on_when_that_is_aborted(begun):
    begun.here.known["web1"].found, begun.calls.stubborn = STOPPED, True
    begun.plan_abort().do()
    assert begun.calls.did == ["abort"] and begun.here.known["web1"].condition().state is State.RUNNING


def test_a_guest_that_arrives_before_it_is_aborted_stays_there(begun):
    def too_late(_name: str) -> None:
        begun.calls.ends_after_s = 0.0
        raise failed("domain web1", "no job is active on the domain", 55)

    begun.here.known["web1"].autostarts, begun.calls.abort = True, too_late
    assert begun.plan_abort().do().ended_by == "pre_copy"
    assert begun.there.known["web1"].autostarts and begun.plan_abort().do is None


def test_a_migration_that_does_not_heed_its_abort_is_not_waited_for_without_end(begun):
    begun.calls.abort = lambda _name: None
    began = begun.here.clock.now
    with pytest.raises(LifeboatError, match=r"no end 20 s after abort at 58\.\d s"):
        begun.plan_abort().do()
    assert begun.here.clock.now - began < 22.0


@pytest.mark.parametrize("reason", ["postcopy", "postcopy_failed"])
def test_a_post_copy_cannot_be_aborted(begun, reason):
    begun.here.known["web1"].found = Condition(State.PAUSED, reason)
    with pytest.raises(LifeboatError, match=r"runs on the destination.*state=migrated"):
        begun.plan_abort()
    assert begun.calls.did == []


def test_without_a_migration_there_is_nothing_to_abort(lab):
    assert lab.plan_abort().do is None
    off(lab)
    assert lab.plan_abort().do is None and lab.here.known["web1"].condition().state is State.SHUT_OFF
    lab.here.known.clear()
    with pytest.raises(LifeboatError, match="no such domain at"):
        lab.plan_abort()


def test_a_guest_that_a_broken_migration_left_stopped_goes_on_and_moves(lab):
    lab.here.known["web1"].found = STOPPED
    planned = lab.plan()
    assert planned.says == (
        "let domain web1 go on, which a migration that is over has left stopped",
        f"migrate domain web1 to {THERE}",
    )
    assert planned.do().ended_by == "pre_copy" and lab.calls.did == ["migrate persistent"]
    assert lab.there.known["web1"].condition().state is State.RUNNING


def test_a_guest_that_was_left_stopped_goes_on_although_it_cannot_be_moved(lab):
    lab.here.known["web1"].found, lab.here.known["web1"].left = STOPPED, Leftovers(checkpoints=1)
    with pytest.raises(LifeboatError, match="1 checkpoints"):
        lab.plan().do()
    assert lab.here.known["web1"].condition().state is State.RUNNING and lab.calls.did == []


def test_a_guest_that_was_left_stopped_stays_so_while_the_destination_may_have_it(lab):
    lab.here.known["web1"].found = STOPPED
    planned = lab.plan()
    lab.there.define(DOMAIN, validate=True)
    with pytest.raises(LifeboatError, match=r"a guest at .* 15 s after.*which of the two"):
        lab.there.known["web1"].start()
        planned.do()
    with pytest.raises(LifeboatError, match=r"running .* at qemu\+tls.*by a migration that is over.*It has gone over"):
        lab.plan()
    die(lab)
    with pytest.raises(LifeboatError, match="the destination does not tell whether it runs there"):
        planned.do()
    assert lab.here.known["web1"].condition() == STOPPED


def test_a_guest_may_arrive_while_it_is_looked_for(lab):
    here = lab.here.known["web1"]
    here.job_statistics = {"operation": 5, **memory(1)}
    planned = lab.plan()

    def vanish() -> Mapping[str, Any]:
        arrive(lab.calls)
        raise failed("domain web1", "Domain not found", 42)

    here.job = vanish
    assert planned.do().ended_by == "pre_copy" and "web1" in lab.there.known


def test_a_broken_post_copy_is_resumed(lab):
    lab.here.known["web1"].found = Condition(State.PAUSED, "postcopy_failed")
    planned = lab.plan()
    assert planned.says == (f"resume the post-copy of domain web1 to {THERE}",)
    outcome = planned.do()
    assert outcome.ended_by == "post_copy" and [name for name, _s in outcome.timeline] == ["post-copy"]
    assert lab.calls.did == ["resume"] and "web1" in lab.there.known


def resumed_after_an_hour(lab: Lab, wanted: WantedMigration) -> Any:
    """The plan for a broken post-copy, of which libvirt tells how long it has been since the migration began."""
    guest = lab.here.known["web1"]
    guest.found = Condition(State.PAUSED, "postcopy_failed")
    planned = lab.plan(wanted)

    def job() -> Mapping[str, Any]:
        guest.found = Condition(State.PAUSED, "postcopy")
        return {"operation": 5, "time_elapsed": 3_600_000, **memory(7)}

    guest.job = job  # type: ignore[method-assign]
    return planned


@pytest.mark.parametrize("then", [Step.ABORT, Step.THROTTLE])
def test_a_post_copy_that_is_resumed_is_neither_aborted_nor_stopped_at_the_bound(lab, then):
    planned, lab.calls.ends_after_s = resumed_after_an_hour(lab, policy(then)), 15.0
    assert 15.0 <= planned.do().total_s < 16.0 and lab.calls.did == ["resume"]


def test_a_post_copy_that_is_resumed_is_not_waited_for_without_end(lab):
    planned, lab.calls.ends_after_s = resumed_after_an_hour(lab, policy(Step.ABORT)), None
    with pytest.raises(LifeboatError, match=r"no end 20 s after post_copy at 0\.0 s"):
        planned.do()
    assert lab.calls.did == ["resume"] and lab.here.clock.now < 1022.0


def test_a_post_copy_that_cannot_be_resumed_can_be_tried_again(lab):
    lab.here.known["web1"].found = Condition(State.PAUSED, "postcopy_failed")
    lab.calls.refusal = "unable to connect to server at cmp2"
    with pytest.raises(LifeboatError, match=r"unable to connect.*postcopy_failed.*Run this again"):
        lab.plan().do()


def test_a_post_copy_that_breaks_while_it_is_watched_on_is_told_at_once(begun):
    guest = begun.here.known["web1"]
    guest.found = Condition(State.PAUSED, "postcopy")
    planned = begun.plan()
    guest.found = Condition(State.PAUSED, "postcopy_failed")
    with pytest.raises(LifeboatError, match=r"ended half-way.*postcopy_failed.*Run this again"):
        planned.do()
    assert begun.here.clock.now < 1002.0


def test_the_bounds_of_another_s_migration_hold_while_libvirt_answers_with_errors(begun):
    guest = begun.here.known["web1"]
    planned, answer = begun.plan(policy(Step.POST_COPY, 63.0)), guest.job

    def job() -> Mapping[str, Any]:
        if begun.here.clock.now > 1001.0:
            raise failed("domain web1", "cannot acquire state change lock", 68)
        return answer()

    guest.job = job
    outcome = planned.do()
    assert begun.calls.did == ["post-copy"] and 64.0 <= outcome.total_s < 66.0
