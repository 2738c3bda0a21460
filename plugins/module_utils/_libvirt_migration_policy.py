# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""When a live migration that does not end by itself is ended, and how.

A guest that writes faster than the link carries is copied for ever. So the copy has bounds, what is done at a bound has
one too, and after it only libvirt itself can be late.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError


class Step(StrEnum):
    """What is done with a migration under way. ``GIVE_UP`` leaves it to itself: nothing can be done any more."""

    CONTINUE = "continue"
    POST_COPY = "post_copy"
    THROTTLE = "throttle"
    ABORT = "abort"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the copy, ``then`` for a copy that reaches one, and the seconds that has to end it.

    ``then`` is one of ABORT, THROTTLE and POST_COPY.
    """

    max_seconds: float = 600.0
    max_iterations: int = 100
    then: Step = Step.ABORT
    finish_seconds: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_iterations", "finish_seconds"):
            value = getattr(self, name)
            if value <= 0:
                raise LifeboatError(name, f"{value:g}", "more than 0", "Correct the option.")

    @property
    def longest_s(self) -> float:
        """The seconds after which nothing is waited for any more."""
        return self.max_seconds + 2 * self.finish_seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a migration is. Sizes in bytes, ``dirty_rate`` in bytes per second, ``throttle`` in percent.

    ``iteration`` is 0 until memory is being sent.
    """

    seconds: float
    iteration: int = 0
    remaining: int = 0
    dirty_rate: int = 0
    throttle: int = 0
    disk_total: int = 0
    disk_processed: int = 0

    @classmethod
    def parse(cls, job: t.Mapping[str, t.Any], seconds: float) -> Progress:
        """From libvirt's job statistics; the longer of its own time and ``seconds`` counts."""
        return cls(
            seconds=max(seconds, job.get("time_elapsed", 0) / 1000),
            iteration=job.get("memory_iteration", 0),
            remaining=job.get("memory_remaining", 0),
            dirty_rate=job.get("memory_dirty_rate", 0) * job.get("memory_page_size", 4096),
            throttle=job.get("auto_converge_throttle", 0),
            disk_total=job.get("disk_total", 0),
            disk_processed=job.get("disk_processed", 0),
        )

    def __str__(self) -> str:
        """For an error."""
        if not self.iteration:
            disks = f"{self.disk_processed >> 20} of {self.disk_total >> 20} MiB of disks sent"
            return disks if self.disk_total else "nothing sent"
        left = f"{self.remaining >> 20} MiB of memory left in iteration {self.iteration}"
        throttled = f", its processors throttled by {self.throttle} %" if self.throttle else ""
        return f"{left}, the guest writes {self.dirty_rate >> 20} MiB/s{throttled}"


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken, and when, in seconds since the migration began."""

    step: Step
    at: float


def decide(policy: Policy, progress: Progress, taken: Taken | None) -> Step:
    """The next step of a migration that is still under way."""
    if taken is None:
        if progress.seconds < policy.max_seconds and progress.iteration <= policy.max_iterations:
            return Step.CONTINUE
        # Before any memory is sent neither the other host nor a guest that stands still would end the copy of disks.
        return policy.then if progress.iteration else Step.ABORT
    if progress.seconds - taken.at < policy.finish_seconds:
        return Step.CONTINUE
    return Step.ABORT if taken.step is Step.THROTTLE else Step.GIVE_UP
