# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a migration against the closed formula, against measured migrations, and at its edges."""

from __future__ import annotations

import dataclasses
import math

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import (
    Guest,
    Path,
    Policy,
    choose,
    cold,
    post_copy,
    pre_copy,
)
from hypothesis import given
from hypothesis import strategies as st

MIB = 2.0**20
BUSY = Guest(memory=192 * MIB, dirty_rate=100 * MIB, working_set=48 * MIB)
SLOW = Path(bandwidth=20 * MIB, switch_s=0.15, reboot_s=9.0)
sizes = st.floats(1.0, 2.0**40)
rates = st.floats(0.0, 2.0**35)
bandwidths = st.floats(2.0**20, 2.0**34)


@given(sizes, st.floats(0.01, 0.9), bandwidths, st.floats(0.001, 2.0))
def test_rounds_that_shrink_add_up_to_the_geometric_series(
    memory: float, share: float, bandwidth: float, downtime: float
) -> None:
    seen = pre_copy(Guest(memory, share * bandwidth), Path(bandwidth), Policy(downtime, math.inf, 10_000))
    series = memory / bandwidth * (1 - share**seen.rounds) / (1 - share)
    assert seen.converges
    assert seen.total_s == pytest.approx(series)
    assert seen.transferred == pytest.approx(series * bandwidth)
    assert seen.downtime_s <= downtime
    # One round fewer would not have been enough.
    if seen.rounds > 1:
        assert memory * share ** (seen.rounds - 2) / bandwidth > downtime * 0.999_999


@given(sizes, rates, bandwidths, st.floats(0.01, 2.0), st.floats(1.0, 1e5))
def test_whatever_the_guest_does_the_attempt_ends_within_the_policy(
    memory: float, rate: float, bandwidth: float, downtime: float, total: float
) -> None:
    policy = Policy(downtime, total, 200)
    for throttling in (False, True):
        seen = pre_copy(Guest(memory, rate), Path(bandwidth), policy, throttling)
        assert seen.rounds <= policy.rounds
        assert seen.total_s <= total + downtime
        assert not seen.converges or seen.downtime_s <= downtime
        assert 0 <= seen.slowdown <= 0.99


def test_an_idle_guest_is_sent_once() -> None:
    seen = choose(Guest(memory=96 * MIB, dirty_rate=0), Path(bandwidth=96 * MIB, switch_s=0.14), Policy())
    assert (seen.mode, seen.rounds) == ("pre-copy", 2)
    assert seen.total_s == pytest.approx(1.14)
    assert seen.downtime_s == pytest.approx(0.14)


def test_a_guest_faster_than_the_link_does_not_converge_by_itself() -> None:
    seen = pre_copy(BUSY, SLOW, Policy(total_s=500, rounds=1000))
    assert not seen.converges
    assert seen.total_s <= 500
    # Its working set is sent again and again: 192 MiB once, then 48 MiB in 2.4 s each.
    assert seen.transferred == pytest.approx((192 + 48 * int((500 - 9.6) / 2.4)) * MIB)


def test_throttling_makes_it_converge_at_a_price() -> None:
    seen = choose(BUSY, SLOW, Policy())
    assert seen.mode == "auto-converge"
    assert seen.converges
    # Less than the link can carry.
    assert BUSY.dirty_rate * (1 - seen.slowdown) < SLOW.bandwidth
    assert seen.downtime_s <= 0.5 + SLOW.switch_s


def test_post_copy_sends_every_page_once_and_is_taken_only_where_it_is_allowed() -> None:
    policy = Policy(auto_converge=False, post_copy=True)
    seen = choose(BUSY, SLOW, policy)
    assert seen == post_copy(BUSY, SLOW)
    assert (seen.transferred, seen.downtime_s) == (BUSY.memory, SLOW.switch_s)
    assert seen.total_s == pytest.approx(9.6 + 0.15)
    with pytest.raises(LifeboatError, match="writes 100 MiB/s over a link of 20 MiB/s"):
        choose(BUSY, SLOW, dataclasses.replace(policy, post_copy=False))


def test_a_cold_migration_stands_still_all_the_time() -> None:
    seen = choose(BUSY, SLOW, Policy(auto_converge=False, cold=True))
    assert seen == cold(BUSY, SLOW)
    assert seen.total_s == seen.downtime_s == 9.0
    assert cold(BUSY, SLOW, disk=200 * MIB).total_s == pytest.approx(19.0)


def test_a_small_working_set_converges_however_fast_it_is_written() -> None:
    seen = pre_copy(Guest(192 * MIB, 1000 * MIB, working_set=5 * MIB), SLOW, Policy())
    assert (seen.converges, seen.rounds) == (True, 2)
    assert seen.downtime_s == pytest.approx(0.25 + 0.15)


@pytest.mark.parametrize(
    ("guest", "path", "policy", "thing"),
    [
        (Guest(-1, 0), SLOW, Policy(), "memory"),
        (Guest(1, -1), SLOW, Policy(), "dirty_rate"),
        (BUSY, Path(0), Policy(), "bandwidth"),
        (BUSY, Path(1, -1), Policy(), "switch_s"),
        (BUSY, SLOW, Policy(downtime_s=0), "downtime_s"),
        (BUSY, SLOW, Policy(total_s=0), "total_s"),
    ],
)
def test_figures_that_cannot_be_are_refused(guest: Guest, path: Path, policy: Policy, thing: str) -> None:
    with pytest.raises(LifeboatError) as error:
        pre_copy(guest, path, policy)
    assert error.value.thing == thing
