# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Watching a migration under way, and ending it when the policy says so.

On a connection of its own: libvirt keeps an abort that comes on the connection of the migration until that is over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import is_stopped
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import (
    Progress,
    Step,
    Taken,
    decide,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
        MigrationCalls,
        WantedMigration,
    )
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock

POLL_S = 0.25


@dataclass(slots=True)
class Watch:
    """What was seen of one migration, and what was done with it."""

    domain: Domain
    calls: MigrationCalls
    wanted: WantedMigration
    clock: Clock
    started: float
    # Whether it goes on with a post-copy that was broken.
    resumes: bool = False
    taken: Taken | None = None
    last: Progress = field(default_factory=lambda: Progress(0.0))
    # How far it had come when the first step was taken: afterwards libvirt says less.
    reached: Progress | None = None
    guest_stopped: bool = False
    _phases: list[tuple[str, float]] = field(default_factory=list)
    # By how much libvirt's own time is ahead of this one, for a migration that somebody else began.
    _ahead: float = 0.0

    def __post_init__(self) -> None:
        if self.resumes:
            self.taken = Taken(Step.POST_COPY, 0.0)

    def until(self, ended: Callable[[float], bool]) -> None:
        """Watch until ``ended``, which waits for so many seconds, is true; LifeboatError when that is too long."""
        self._enter(_PHASES[self.taken.step] if self.taken else "preparing")
        while not ended(POLL_S):
            self._look()
            step = decide(self.wanted.policy, self.last, self.taken)
            if step is not Step.CONTINUE:
                self.take(step)

    def adopt(self) -> None:
        """Take over a migration that somebody else began, with what was done to it: a guest stopped, or post-copy."""
        self._look()
        # As in _look it may have arrived.
        with contextlib.suppress(CallError):
            condition = self.domain.condition()
            if is_stopped(condition):
                self.guest_stopped, self.taken = True, Taken(Step.THROTTLE, self.last.seconds)
            elif condition.reason == "postcopy":
                self.taken = Taken(Step.POST_COPY, self.last.seconds)
        self.reached = self.last if self.taken else None

    def timeline(self) -> tuple[tuple[str, float], ...]:
        """The phases until now, with their seconds."""
        ends = [start for _name, start in self._phases[1:]] + [self._elapsed()]
        return tuple((name, end - start) for (name, start), end in zip(self._phases, ends, strict=True))

    def _elapsed(self) -> float:
        return self.clock.monotonic() - self.started

    def _enter(self, phase: str) -> None:
        if not self._phases or self._phases[-1][0] != phase:
            self._phases.append((phase, self._elapsed()))

    def _look(self) -> None:
        job: dict[str, t.Any] = {}
        # A domain that has just arrived is no longer here to be asked.
        with contextlib.suppress(CallError):
            job = dict(self.domain.job())
        if self.resumes:
            # Counted since long before it broke.
            job.pop("time_elapsed", None)
        # Time passes for the bounds although libvirt does not answer.
        elapsed = self._elapsed()
        seconds = elapsed + self._ahead
        self.last = Progress.parse(job, seconds) if job else dataclasses.replace(self.last, seconds=seconds)
        self._ahead = self.last.seconds - elapsed
        if self.taken is None and self.last.iteration:
            self._enter("copying memory")
        elif self.taken is None and self.last.disk_total:
            self._enter("copying disks")

    def take(self, step: Step) -> None:
        """Do with the migration what ``step`` says; LifeboatError for GIVE_UP."""
        if step is Step.GIVE_UP:
            raise LifeboatError(
                self.wanted.thing,
                f"no end {self.wanted.policy.finish_seconds:g} s after {self._said()}; last: {self.last}",
                "an end of the migration",
                "It goes on by itself: see virsh domjobinfo, and run the task again to watch it on.",
            )
        try:
            self._call(step)
        except CallError:
            # It may just be over, which the next look tells. Else what failed is no way to end it, and an abort that
            # libvirt refuses is given as long as one that it takes.
            if step is not Step.ABORT:
                step = Step.ABORT
                with contextlib.suppress(CallError):
                    self._call(step)
        self.reached = self.reached or self.last
        self.taken = Taken(step, max(self.last.seconds, self._elapsed()))
        self._enter(_PHASES[step])

    def _call(self, step: Step) -> None:
        match step:
            case Step.POST_COPY:
                self.calls.switch_to_post_copy(self.wanted.name)
            case Step.THROTTLE:
                # One that its user has paused stays so in the end.
                was_paused = self.domain.condition().state is State.PAUSED
                self.domain.suspend()
                self.guest_stopped = not was_paused
            case _:
                self.calls.abort(self.wanted.name)

    def _said(self) -> str:
        return f"{self.taken.step.value} at {self.taken.at:.1f} s" if self.taken else "its beginning"


_PHASES = {Step.POST_COPY: "post-copy", Step.THROTTLE: "guest stopped", Step.ABORT: "aborting"}
