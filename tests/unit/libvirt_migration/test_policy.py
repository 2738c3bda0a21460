# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a migration is ended, and how."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import (
    Policy,
    Progress,
    Step,
    Taken,
    decide,
)
from hypothesis import given
from hypothesis import strategies as st

POLICY = Policy(60, 10, Step.POST_COPY, 20)
STEPS = st.sampled_from([Step.POST_COPY, Step.THROTTLE, Step.ABORT])


@pytest.mark.parametrize(
    ("progress", "taken", "step"),
    [
        (Progress(59.9, 10), None, Step.CONTINUE),
        (Progress(60.0, 3), None, Step.POST_COPY),
        (Progress(5.0, 11), None, Step.POST_COPY),
        (Progress(60.0, 0, disk_total=100), None, Step.ABORT),
        (Progress(79.9, 11), Taken(Step.POST_COPY, 60.0), Step.CONTINUE),
        (Progress(80.0, 11), Taken(Step.POST_COPY, 60.0), Step.GIVE_UP),
        (Progress(80.0, 11), Taken(Step.THROTTLE, 60.0), Step.ABORT),
        (Progress(80.0, 11), Taken(Step.ABORT, 60.0), Step.GIVE_UP),
    ],
)
def test_a_bound_is_met_by_the_step_that_was_allowed(progress, taken, step):
    assert decide(POLICY, progress, taken) is step


@given(
    policy=st.builds(
        Policy,
        max_seconds=st.floats(0.1, 1000),
        max_iterations=st.integers(1, 50),
        then=STEPS,
        finish_seconds=st.floats(0.1, 100),
    ),
    rounds=st.lists(st.tuples(st.floats(0.05, 30), st.integers(0, 3)), min_size=1),
)
def test_whatever_a_guest_writes_the_watch_ends_within_its_bounds(policy, rounds):
    seconds, iteration, taken, polls, longest = 0.0, 0, None, 0, max(pause for pause, _new in rounds)
    while True:
        pause, new = rounds[polls % len(rounds)]
        seconds, iteration, polls = seconds + pause, iteration + new, polls + 1
        step = decide(policy, Progress(seconds, iteration), taken)
        if step is Step.GIVE_UP:
            break
        if step is not Step.CONTINUE:
            assert taken is None or (taken.step, step) == (Step.THROTTLE, Step.ABORT)
            taken = Taken(step, seconds)
        # Each of at most three steps is seen one poll late.
        assert seconds <= policy.longest_s + 3 * longest
    assert taken is not None and taken.step is not Step.THROTTLE


@pytest.mark.parametrize("name", ["max_seconds", "max_iterations", "finish_seconds"])
def test_a_bound_of_nothing_is_refused(name):
    with pytest.raises(LifeboatError, match=f"{name}.*more than 0"):
        Policy(**{name: 0})


def test_progress_is_read_from_libvirt_s_statistics():
    job = {
        **{"time_elapsed": 6364, "memory_iteration": 4, "memory_remaining": 30 << 20, "memory_dirty_rate": 5120},
        **{"memory_page_size": 4096, "auto_converge_throttle": 80},
    }
    progress = Progress.parse(job, 6.0)
    assert progress == Progress(6.364, 4, 30 << 20, 20 << 20, 80)
    assert str(progress) == (
        "30 MiB of memory left in iteration 4, the guest writes 20 MiB/s, its processors throttled by 80 %"
    )
    disks = Progress.parse({"disk_total": 256 << 20, "disk_processed": 64 << 20, "time_elapsed": 900}, 1.0)
    assert str(disks) == "64 of 256 MiB of disks sent" and disks.seconds == 1.0
