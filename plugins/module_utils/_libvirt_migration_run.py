# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Carrying a migration out: begun or found under way, watched, and its end verified on both hosts."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
    Migration,
    Outcome,
    Situation,
    has_migration_job,
    is_split,
    is_stopped,
    situation,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_checks import check, left_behind
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_watch import POLL_S, Watch

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
        MigrationCalls,
    )
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_checks import OwnDisk
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock

# How long the destination may take to forget a domain that did not come.
_TIDY_S = 15.0


class Attempt(t.Protocol):
    """A call of libvirt under way on a connection of its own."""

    def ended(self, seconds: float) -> bool:
        """Whether it is over, after waiting so many seconds for that."""

    @property
    def error(self) -> CallError | None:
        """Why it failed, once it has ended."""


class Begin(t.Protocol):
    """Begins an Attempt with calls of its own."""

    def __call__(self, call: Callable[[MigrationCalls], None], /) -> Attempt:
        """Make the call, and return while it is under way."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in words; without ``do`` nothing. ``warnings`` are about what it does not do."""

    says: tuple[str, ...] = ()
    do: Callable[[], Outcome] | None = None
    warnings: tuple[str, ...] = ()


def plan(migration: Migration, begin: Begin, clock: Clock) -> Plan:
    """What brings the domain to the destination; LifeboatError when something speaks against it."""
    wanted = migration.wanted
    to = f"domain {wanted.name} to {wanted.destination}"
    match situation(migration):
        case Situation.ARRIVED:
            return Plan()
        case Situation.UNDER_WAY:
            return Plan((f"watch the migration of {to}{_done_to(migration)}",), lambda: _watch_on(migration, clock))
        case Situation.STOPPED:
            go_on = f"let domain {wanted.name} go on, which a migration that is over has left stopped"
            return Plan((go_on, f"migrate {to}"), lambda: _move_again(migration, begin, clock))
        case Situation.INTERRUPTED:

            def resume(calls: MigrationCalls) -> None:
                calls.resume(wanted)

            return Plan(
                (f"resume the post-copy of {to}",),
                lambda: _see_through(migration, lambda: begin(resume), clock, resumes=True),
            )
    domain = _domain(migration)
    disks, persistent = check(migration, domain), domain.persistent()

    def migrate(calls: MigrationCalls) -> None:
        calls.migrate(wanted, [disk.target for disk in disks], persistent=persistent)

    def move() -> Outcome:
        try:
            return _see_through(migration, lambda: begin(migrate), clock)
        except LifeboatError:
            # A destination that has died keeps its copies, which is not why the migration failed.
            with contextlib.suppress(CallError):
                _remove_copies(migration, disks)
            raise

    says = [f"copy disk {disk.target} of {to}" for disk in disks] + [f"migrate {to}"]
    return Plan(tuple(says), move, tuple(left_behind(domain, wanted)))


def plan_abort(migration: Migration, clock: Clock) -> Plan:
    """What ends a migration that is under way, so that the guest stays; LifeboatError in post-copy."""
    name = migration.wanted.name
    here = migration.source.find(name)
    if here is None:
        # Which refuses a domain that is nowhere.
        situation(migration)
        return Plan()
    condition = here.condition()
    if is_split(condition):
        found = f"{condition}: it runs on the destination, with memory on both hosts"
        remedy = "Let it end; state=migrated waits for that, and resumes one that lost its connection."
        raise LifeboatError(migration.wanted.thing, found, "one that can still be aborted", remedy)
    if not has_migration_job(here):
        return Plan()
    return Plan((f"abort the migration of domain {name}",), lambda: _watch_on(migration, clock, aborts=True))


def _done_to(migration: Migration) -> str:
    """What was done to the guest for the migration under way, in words."""
    with contextlib.suppress(CallError):
        condition = _domain(migration).condition()
        if is_stopped(condition):
            return ", for which the guest was stopped"
        if condition.reason == "postcopy":
            return ", which is in post-copy"
    return ""


def _move_again(migration: Migration, begin: Begin, clock: Clock) -> Outcome:
    """Let a guest go on here that is stopped and runs nowhere else, and move it; LifeboatError when it may."""
    domain = _domain(migration)
    if is_stopped(domain.condition()):
        _resume(migration, domain, clock)
    again = plan(migration, begin, clock)
    if again.do is None:
        raise LifeboatError(migration.wanted.thing, "gone over meanwhile", "a guest to be moved", "Run this again.")
    return again.do()


def _see_through(migration: Migration, begin: Callable[[], Attempt], clock: Clock, *, resumes: bool = False) -> Outcome:
    """Begin the migration and wait for its end; LifeboatError when the domain is not on the destination then.

    With ``resumes`` it is one in post-copy, to which nothing else can be done any more.
    """
    domain = _domain(migration)
    starts_with_host = domain.persistent() and domain.autostart()
    watch = Watch(domain, migration.source.calls, migration.wanted, clock, clock.monotonic(), resumes=resumes)
    attempt = begin()
    watch.until(attempt.ended)
    total = clock.monotonic() - watch.started
    if attempt.error is not None:
        _check_whole(migration, attempt.error.found)
        _go_on_here(migration, watch, clock)
        raise _failure(migration, watch, attempt.error.found)
    _arrive(migration, starts_with_host)
    return _outcome(migration, watch, total)


def _watch_on(migration: Migration, clock: Clock, *, aborts: bool = False) -> Outcome:
    """See a migration through that somebody else began; LifeboatError when it does not lead to the destination.

    With ``aborts`` it is aborted first, and may end on either host.
    """
    find, name = migration.source.find, migration.wanted.name
    domain = _domain(migration)
    starts_with_host = domain.persistent() and domain.autostart()
    watch = Watch(domain, migration.source.calls, migration.wanted, clock, clock.monotonic())
    watch.adopt()
    if aborts:
        watch.take(Step.ABORT)

    def ended(seconds: float) -> bool:
        clock.sleep(seconds)
        here = find(name)
        try:
            # A broken post-copy keeps its job.
            return here is None or not has_migration_job(here) or here.condition().reason == "postcopy_failed"
        except CallError:
            # It can go between the two questions. Else it is as good as under way, with its bounds.
            return find(name) is None

    watch.until(ended)
    if find(name) is not None:
        _check_whole(migration, "the migration that was under way ended half-way")
        _go_on_here(migration, watch, clock)
        if aborts:
            seen = watch.last
            iterations = seen.iteration or None
            return Outcome("abort", seen.seconds, watch.timeline(), iterations=iterations, throttle=seen.throttle)
        raise _failure(migration, watch, "the migration that was under way ended without moving it")
    _arrive(migration, starts_with_host)
    return _outcome(migration, watch, watch.last.seconds)


def _domain(migration: Migration) -> Domain:
    domain = migration.source.find(migration.wanted.name)
    if domain is None:
        remedy = "See who else moves or removes it, and run again."
        raise LifeboatError(f"domain {migration.wanted.name}", "none any more", "the domain", remedy)
    return domain


def _arrive(migration: Migration, starts_with_host: bool) -> None:
    """Find the domain at the destination; LifeboatError when it is not there."""
    there = migration.destination.find(migration.wanted.name)
    if there is None:
        found = f"no such domain at {migration.wanted.destination}, although libvirt reported success"
        remedy = "Look for it on both hosts with libvirt_domain_info."
        raise LifeboatError(migration.wanted.thing, found, "the domain", remedy)
    if starts_with_host:
        # libvirt moves the definition without this.
        there.set_autostart(True)


def _check_whole(migration: Migration, reason: str) -> None:
    """LifeboatError when a migration that failed has parted the guest: neither host can have it without the other."""
    here = migration.source.find(migration.wanted.name)
    if here is not None and is_split(condition := here.condition()):
        found = f"{reason}; the guest is {condition} on the source: it has gone over, with memory on both hosts"
        remedy = (
            "Run this again once the hosts reach each other: the post-copy is resumed. Power off neither, unless "
            "the destination has died, with what it had of the guest."
        )
        raise LifeboatError(migration.wanted.thing, found, "a guest on the destination", remedy)


def _go_on_here(migration: Migration, watch: Watch, clock: Clock) -> None:
    """Have a guest that was stopped for a migration that failed run again, once the destination has none of it."""
    if watch.guest_stopped and watch.domain.condition().state is State.PAUSED:
        _resume(migration, watch.domain, clock)
        return
    with contextlib.suppress(CallError):
        _await_clean(migration, clock)


def _resume(migration: Migration, domain: Domain, clock: Clock) -> None:
    """Let a stopped guest go on, once the destination has none of it; LifeboatError when that cannot be known."""
    try:
        _await_clean(migration, clock)
    except CallError as error:
        found = f"paused on the source, while the destination does not tell whether it runs there: {error.found}"
        remedy = "Make sure that it does not, then let it go on with libvirt_domain (state=running)."
        raise LifeboatError(f"domain {migration.wanted.name}", found, "a guest that runs once", remedy) from error
    domain.resume()


def _await_clean(migration: Migration, clock: Clock) -> None:
    """Wait until the destination has forgotten a guest that did not come."""
    wanted, end = migration.wanted, clock.monotonic() + _TIDY_S
    while _runs_there(migration):
        if clock.monotonic() >= end:
            found = f"a guest at {wanted.destination} {_TIDY_S:g} s after the migration failed"
            remedy = "Find out which of the two is in use, then power the other off."
            raise LifeboatError(f"domain {wanted.name}", found, "nothing left there", remedy)
        clock.sleep(POLL_S)


def _runs_there(migration: Migration) -> bool:
    there = migration.destination.find(migration.wanted.name)
    try:
        return there is not None and there.condition().active
    except CallError:
        # It can go between the two questions.
        if migration.destination.find(migration.wanted.name) is not None:
            raise
        return False


def _remove_copies(migration: Migration, disks: Sequence[OwnDisk]) -> None:
    """Remove the volumes that were made on the destination, unless the guest is or may be there."""
    here = migration.source.find(migration.wanted.name)
    if here is None or has_migration_job(here) or is_split(here.condition()) or _runs_there(migration):
        return
    for disk in disks:
        volume = None if disk.there else migration.destination.connection.find_volume(disk.path)
        if volume is not None:
            volume.delete()


def _failure(migration: Migration, watch: Watch, reason: str) -> LifeboatError:
    wanted, here = migration.wanted, migration.source.find(migration.wanted.name)
    state = f"the guest is {here.condition()} on the source" if here is not None else "no domain on the source"
    if watch.taken is not None and watch.reached is not None:
        policy = wanted.policy
        return LifeboatError(
            wanted.thing,
            f"{watch.taken.step.value} at {watch.taken.at:.1f} s ({reason}); before: {watch.reached}; {state}",
            f"an end within {policy.max_seconds:g} s and {policy.max_iterations} iterations",
            "Allow more, or another mode: auto_converge, then=post_copy, then=throttle, more bandwidth.",
        )
    remedy = "Correct what libvirt complains about, with copy_storage=true for disks that only the source has."
    return LifeboatError(wanted.thing, f"{reason}; {state}", "a guest on the destination", remedy)


def _outcome(migration: Migration, watch: Watch, total: float) -> Outcome:
    wanted = migration.wanted
    if wanted.offline:
        return Outcome("offline", total, (("moving the definition", total),))
    job = migration.destination.calls.completed(wanted.name)
    # Completed statistics have no disks, and after post-copy nothing at all: then what was seen last has to do.
    throttle = max(job.get("auto_converge_throttle", 0), watch.last.throttle)
    return Outcome(
        ended_by=_ended_by(watch, throttle),
        total_s=total,
        timeline=watch.timeline(),
        downtime_ms=job.get("downtime"),
        memory_bytes=job.get("memory_processed"),
        disk_bytes=job.get("disk_processed") or watch.last.disk_total or None,
        iterations=job.get("memory_iteration") or watch.last.iteration or None,
        throttle=throttle,
    )


def _ended_by(watch: Watch, throttle: int) -> str:
    if watch.taken is not None and watch.taken.step is not Step.ABORT:
        return watch.taken.step.value
    return "auto_converge" if throttle else "pre_copy"
