# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is learned from migrations that ended, on histories whose truth is known."""

from __future__ import annotations

import random
import statistics

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Guest, Path, Policy, pre_copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal, make_plan, plan_json
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Defaults, Estimates, outcome_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits, Move
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, GIGABIT, MIB, fleet, host, server

ENTRY = {
    "server": "web",
    "source": "cmp1",
    "destination": "cmp2",
    "mode": "pre-copy",
    "assumed": {
        "bandwidth": 100.0,
        "carried_share": 1.0,
        "memory": 1000.0,
        "dirty_rate": 0.0,
        "switch_s": 0.2,
        "downtime_s": 0.2,
        "total_s": 15.2,
    },
    "measured": {"transferred": 1000.0, "copy_s": 20.0, "downtime_s": 0.7, "total_s": 24.0},
}


def entry(mode="pre-copy", assumed=(), **measured):
    return {
        **ENTRY,
        "mode": mode,
        "assumed": ENTRY["assumed"] | dict(assumed),
        "measured": ENTRY["measured"] | measured,
    }


def test_bandwidth_and_fixed_times_are_learned_for_the_pair_and_guessed_for_others():
    seen = Estimates([outcome_of(ENTRY)])
    assert seen.bandwidth("cmp1", "cmp2") == pytest.approx(0.5)
    assert seen.switch_s("cmp1", "cmp2") == pytest.approx(0.7)
    assert seen.setup_s("cmp1", "cmp2") == pytest.approx(24 - 20 - 0.7)
    assert seen.bandwidth("cmp8", "cmp9") == pytest.approx(0.5)
    assert Estimates().bandwidth("cmp1", "cmp2") == 1.0


def test_what_was_learned_before_is_not_learned_twice():
    # It was expected to get half, and it got half of what was expected.
    again = entry(assumed={"carried_share": 0.5, "bandwidth": 100.0})
    assert Estimates([outcome_of(again)]).bandwidth("cmp1", "cmp2") == pytest.approx(0.25)


def test_a_cold_migration_teaches_how_long_the_server_is_away():
    cold = {"assumed": {"downtime_s": 30.0, "total_s": 35.0}}
    seen = Estimates([outcome_of(entry("cold", **cold, transferred=None, copy_s=None, downtime_s=42.0, total_s=50.0))])
    assert (seen.reboot_s("cmp1", "cmp2"), seen.cold_setup_s("cmp1", "cmp2")) == (42, 8)
    seen = Estimates([outcome_of(entry("cold", **cold, transferred=None, copy_s=None, downtime_s=None, total_s=50.0))])
    assumed = Defaults()
    assert (seen.reboot_s("cmp8", "cmp9"), seen.cold_setup_s("cmp8", "cmp9")) == (45, assumed.setup_s)
    assert (seen.setup_s("cmp1", "cmp2"), seen.switch_s("cmp1", "cmp2")) == (assumed.setup_s, assumed.switch_s)


def test_a_stopped_server_teaches_nothing_of_starting_one():
    stopped = entry("cold", assumed={"downtime_s": 0.0, "total_s": 5.0}, downtime_s=None, total_s=9.0)
    assert Estimates([outcome_of(stopped)]).reboot_s("cmp1", "cmp2") == Defaults().reboot_s


def test_one_odd_migration_changes_nothing_and_a_lasting_change_is_learned():
    usual, odd = outcome_of(entry(copy_s=10.0)), outcome_of(entry(copy_s=200.0))
    assert Estimates([usual, usual, odd, usual]).bandwidth("cmp1", "cmp2") == pytest.approx(1.0)
    assert Estimates([usual] * 20 + [odd] * 9).bandwidth("cmp1", "cmp2") == pytest.approx(0.05)


def test_no_estimate_leaves_its_bounds():
    seen = Estimates([outcome_of(entry(copy_s=1e9, downtime_s=1e9))])
    assert (seen.bandwidth("cmp1", "cmp2"), seen.switch_s("cmp1", "cmp2"), seen.setup_s("cmp1", "cmp2")) == (
        0.05,
        600,
        0,
    )


def test_a_guest_that_sent_less_uses_less_and_one_that_sent_more_writes():
    web = fleet(1, [server("web", "cmp1", memory=1000.0)]).servers["web"]
    assert Estimates([outcome_of(entry(transferred=400.0))]).guest(web).memory == 400
    seen = Estimates([outcome_of(entry(transferred=2000.0, copy_s=20.0))]).guest(web)
    assert (seen.memory, seen.dirty_rate) == pytest.approx((1000, 50))
    # Measured, the dirty rate tells what of it was memory.
    known = Estimates([outcome_of(entry(transferred=800.0, copy_s=8.0, dirty_rate=50.0))]).guest(web)
    assert (known.memory, known.dirty_rate) == pytest.approx((400, 50))


# 1,000 bytes of memory and a disk of 8,000: 80 of 90 s of copying.
BLOCK = {"disk": 8000.0, "disk_share": 1.0, "total_s": 95.2}


def block(mode="pre-copy", assumed=(), **measured):
    unknown = dict.fromkeys(("transferred", "copy_s", "downtime_s"))
    return outcome_of(entry(mode, BLOCK | dict(assumed), **(unknown | measured)) | {"transferred": 9000})


def on_own_disk(name):
    return fleet(1, [server(name, "cmp1", memory=1000.0, local_disk=8000.0)]).servers[name]


@pytest.mark.parametrize(
    ("measured", "share", "memory", "setup"),
    [
        # Told by its bytes.
        ({"transferred": 1800.0, "disk": 800.0, "copy_s": 18.0, "total_s": 23.2}, 0.1, 1000, 5),
        # Told by its seconds: what was shorter is the disk's,
        ({"copy_s": 18.0, "total_s": 23.2}, 0.1, 1000, 5),
        ({"total_s": 23.2}, 0.1, 1000, 5),
        # and only when that does not suffice anything else's.
        ({"copy_s": 8.0, "total_s": 13.2}, 0.01, 800, 5),
        ({"total_s": 7.7}, 0.01, 500, 2.5),
        # Nova looked last before any memory was sent.
        ({"transferred": 800.0, "disk": 800.0, "copy_s": 8.0, "total_s": 13.2}, 0.1, 1000, 5),
        # What was longer may have any reason.
        ({"total_s": 100.2}, 1, 1000, 10),
    ],
)
def test_a_migration_with_its_disk_teaches_how_much_of_it_is_written(measured, share, memory, setup):
    seen = Estimates([block(**measured)])
    web = on_own_disk("web")
    assert (seen.disk_share(web), seen.disk(web)) == pytest.approx((share, 8000 * share))
    assert (seen.guest(web).memory, seen.guest(web).dirty_rate) == pytest.approx((memory, 0))
    assert (seen.setup_s("cmp1", "cmp2"), seen.bandwidth("cmp1", "cmp2")) == pytest.approx((setup, 1))
    # What holds for all is the better guess for one of which nothing is known.
    assert seen.disk_share(on_own_disk("db")) == pytest.approx(share)


def test_what_was_learned_of_a_disk_before_is_not_learned_twice():
    again = block(assumed={"disk_share": 0.5, "total_s": 55.2}, total_s=35.2)
    # Of 40 s for the disk 20 were left.
    assert Estimates([again]).disk_share(on_own_disk("web")) == pytest.approx(0.25)


def test_a_cold_migration_with_its_disk_teaches_both_disk_and_reboot():
    assumed = {"downtime_s": 110.0, "total_s": 115.0}
    seen = Estimates([block("cold", assumed, total_s=55.0)])
    assert (seen.reboot_s("cmp1", "cmp2"), seen.disk(on_own_disk("web"))) == pytest.approx((30, 2000))
    seen = Estimates([block("cold", assumed, total_s=20.0)])
    assert (seen.reboot_s("cmp1", "cmp2"), seen.disk_share(on_own_disk("web"))) == pytest.approx((15, 0.01))


def test_a_plan_counts_what_is_written_of_disks():
    of = fleet(2, [server("web", "cmp1", memory=1000.0, local_disk=8000.0)])
    plan = plan_json(make_plan(of, Goal("drain", ("cmp1",)), Limits(), Policy(), Estimates([block(total_s=23.2)])))
    (step,) = plan["steps"]
    assert (step["transferred"], step["assumed"]["disk"]) == (1800, 8000)
    assert step["assumed"]["disk_share"] == pytest.approx(0.1)
    # Of an older plan nothing is known.
    assert outcome_of(ENTRY).disk == 0


@pytest.mark.parametrize("mode", ["cold", "post-copy", "auto-converge"])
def test_only_pre_copy_tells_how_fast_a_guest_writes(mode):
    web = fleet(1, [server("web", "cmp1", memory=1000.0, dirty_rate=5.0)]).servers["web"]
    assert Estimates([outcome_of(entry(mode, transferred=4000.0))]).guest(web).dirty_rate == 5.0


def test_lessons_say_what_was_before_and_what_is_now():
    lessons = {(each.what, each.subject): each for each in Estimates([outcome_of(ENTRY)] * 2).lessons()}
    seen = lessons["bandwidth", "cmp1 -> cmp2"]
    assert (seen.before, seen.after, seen.samples) == (1.0, 0.5, 2)
    assert ("memory", "web") in lessons and not any(subject == "" for _what, subject in lessons)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({**ENTRY, "measured": {}}, "no total_s"),
        ({**ENTRY, "assumed": None}, "numbers"),
        (entry(copy_s=0), "copy_s of outcome of web: found 0"),
        (entry(assumed={"bandwidth": 0}), "bandwidth of outcome of web: found 0"),
        ({"server": "web"}, "no assumed"),
    ],
)
def test_outcomes_that_cannot_be_are_refused(broken, words):
    with pytest.raises(LifeboatError) as error:
        outcome_of(broken)
    assert words in str(error.value)


def test_a_server_without_disks_that_was_moved_while_it_stood_still_has_sent_nothing():
    cold = entry("cold", assumed={"bandwidth": 0}, transferred=0, copy_s=0)
    assert Estimates([outcome_of(cold)]).error == pytest.approx((24 - 15.2) / 24)


def truth(step, chance, share, switch, setup, guests):
    """What really came of a step, with some noise, on a path that carries only a share of what is promised."""
    memory, rate = guests[step["server"]]
    noise = chance.uniform(0.9, 1.1)
    path = Path(step["assumed"]["bandwidth"] / step["assumed"]["carried_share"] * share * noise, switch)
    seen = pre_copy(Guest(memory, rate), path, Policy(total_s=1e6, rounds=10_000))
    measured = {
        "transferred": seen.transferred,
        "copy_s": seen.total_s - switch,
        "downtime_s": seen.downtime_s * chance.uniform(0.8, 1.2),
        "total_s": seen.total_s + setup * noise,
    }
    return {**step, "measured": measured}


@pytest.mark.parametrize("seed", range(5))
def test_the_median_error_falls_to_a_fifth_and_less(seed):
    chance = random.Random(seed)
    names = [f"g{each}" for each in range(10)]
    # The servers use a part of their memory and write; neither is known at first, nor what the path carries.
    guests = {each: (chance.uniform(0.3, 1) * 4 * GIB, chance.uniform(0, 0.3) * GIGABIT) for each in names}
    outcomes, errors = [], []
    for turn in range(6):
        here, there = ("cmp1", "cmp2") if turn % 2 == 0 else ("cmp2", "cmp1")
        roomy = [host(name, vcpus=99, memory=99 * GIB) for name in ("cmp1", "cmp2")]
        of = fleet(roomy, [server(each, here, memory=4 * GIB) for each in names])
        wish = Goal("move", moves=tuple(Move(each, here, there) for each in names))
        plan = plan_json(make_plan(of, wish, Limits(), Policy(), Estimates(outcomes)))
        seen = [outcome_of(truth(step, chance, 0.6, 0.4, 12.0, guests)) for step in plan["steps"]]
        assert len(seen) == 10
        errors.append(statistics.median(each.error for each in seen))
        outcomes += seen
    assert errors[0] > 0.2
    assert max(errors[2:]) <= 0.2


def test_what_was_learned_is_shown_in_the_plan():
    of = fleet(2, [server("web", "cmp1", memory=1000 * MIB)])
    plan = plan_json(make_plan(of, Goal("drain", ("cmp1",)), Limits(), Policy(), Estimates([outcome_of(ENTRY)])))
    assert plan["summary"]["prediction_error"] == pytest.approx((24 - 15.2) / 24)
    assert plan["steps"][0]["assumed"]["carried_share"] == pytest.approx(0.5)
    assert {each["what"] for each in plan["learned"]} == {"bandwidth", "switch_s", "setup_s", "memory", "dirty_rate"}
