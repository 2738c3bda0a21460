# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Moving a domain to another host: what is wanted, what is found, what speaks against it, and what came of it.

The source's libvirt carries out the migration by itself (peer-to-peer): it goes on when whoever asked for it goes away,
and is found again by the next run.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import transport
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

# virDomainJobOperation
_MIGRATION_OUT = 5


@dataclass(frozen=True, slots=True)
class Storage:
    """Copying of disks that the hosts do not share; without names, of all that can be written."""

    disks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMigration:
    """A domain that shall be on another host, and how it may get there.

    ``destination`` is the URI of libvirt there, as the source's libvirt reaches it. ``bandwidth`` in MiB per second.
    ``data_uri`` and ``certificate_name`` say over which address the memory travels and whose certificate is there.
    """

    name: str
    destination: str
    offline: bool = False
    tunnelled: bool = False
    auto_converge: bool = False
    throttle_initial: int | None = None
    throttle_increment: int | None = None
    connections: int | None = None
    bandwidth: int | None = None
    data_uri: str | None = None
    certificate_name: str | None = None
    storage: Storage | None = None
    policy: Policy = field(default_factory=Policy)

    @property
    def thing(self) -> str:
        return f"migration of domain {self.name}"

    @property
    def post_copy(self) -> bool:
        """Whether it may end in post-copy, which has to be said before it begins."""
        return self.policy.then is Step.POST_COPY


class MigrationCalls(t.Protocol):
    """The calls of migrations, on one connection. CallError when libvirt refuses."""

    def migrate(self, wanted: WantedMigration, disks: Sequence[str], *, persistent: bool) -> None:
        """Move the domain with these disks of its own, and return when it is over."""

    def resume(self, wanted: WantedMigration) -> None:
        """Go on with a post-copy migration that lost its connection, and return when it is over."""

    def abort(self, name: str) -> None:
        """End the migration under way; the guest goes on here."""

    def switch_to_post_copy(self, name: str) -> None:
        """Let the guest go on at the destination, which fetches what is missing."""

    def completed(self, name: str) -> Mapping[str, t.Any]:
        """The statistics of the domain's last job, on the destination of a migration; empty when there are none."""

    def refresh(self, path: str) -> bool:
        """Have the started storage pool of this path's directory read anew what it has; whether there is one."""

    def accepts_cpu(self, domain_xml: str) -> bool | None:
        """Whether the host can give a domain the CPU of this definition; None when it cannot tell."""

    def available_memory(self) -> int | None:
        """Bytes that guests can get on the host, with what it caches files in; None when it cannot tell."""

    def networks(self) -> Mapping[str, bool] | None:
        """Whether each of the host's virtual networks is active, by its name; None when it cannot tell."""


@dataclass(frozen=True, slots=True)
class Site:
    """One of the two hosts."""

    connection: Connection
    calls: MigrationCalls

    def find(self, name: str) -> Domain | None:
        return self.connection.find(name)


@dataclass(frozen=True, slots=True)
class Migration:
    """A domain's way from one host to the other."""

    source: Site
    destination: Site
    wanted: WantedMigration


class Situation(StrEnum):
    """What is to be done. ``STOPPED`` is a guest that a migration which is over has left standing still here."""

    ARRIVED = "arrived"
    UNDER_WAY = "under way"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    TO_MOVE = "to move"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A migration that ended. Sizes in bytes; None is what libvirt does not tell, after post-copy nearly all.

    ``ended_by`` is pre_copy, auto_converge, throttle, post_copy, offline or abort. ``timeline`` has phases with their
    seconds.
    """

    ended_by: str
    total_s: float
    timeline: tuple[tuple[str, float], ...] = ()
    downtime_ms: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    iterations: int | None = None
    throttle: int | None = None


def validate(wanted: WantedMigration) -> None:
    """LifeboatError for wishes that contradict each other or that would send memory in the clear."""
    if transport(wanted.destination) == "tcp":
        found = f"{wanted.destination}, which is not encrypted"
        remedy = "Use qemu+tls://, or qemu+ssh:// with tunnelled=true."
        raise LifeboatError(wanted.thing, found, "an encrypted connection", remedy)
    if transport(wanted.destination) == "unix":
        found = f"{wanted.destination}, which is the same host as the source"
        raise LifeboatError(wanted.thing, found, "another host", "Give the URI of the other host's libvirt.")
    _check_ranges(wanted)
    for found, wrong in {
        "copy_storage with mode=offline": wanted.offline and wanted.storage is not None,
        "tunnelled with mode=offline": wanted.offline and wanted.tunnelled,
        "tunnelled with then=post_copy": wanted.tunnelled and wanted.post_copy,
        "parallel connections with tunnelled": wanted.tunnelled and wanted.connections is not None,
        # Not before QEMU 10.1.
        "parallel connections with then=post_copy": wanted.post_copy and wanted.connections is not None,
        "copy_storage with tunnelled": wanted.tunnelled and wanted.storage is not None,
        "data_uri with tunnelled": wanted.tunnelled and wanted.data_uri is not None,
        "throttle_initial or throttle_increment without auto_converge": not wanted.auto_converge
        and (wanted.throttle_initial is not None or wanted.throttle_increment is not None),
    }.items():
        if wrong:
            raise LifeboatError(wanted.thing, found, "one of both, as libvirt has no more", "Leave one of them out.")


def _check_ranges(wanted: WantedMigration) -> None:
    for name, most in (("bandwidth", None), ("connections", 255), ("throttle_initial", 99), ("throttle_increment", 99)):
        value = getattr(wanted, name)
        if value is not None and (value < 1 or (most is not None and value > most)):
            expected = f"1 to {most}" if most is not None else "more than 0"
            raise LifeboatError(name, str(value), expected, "Correct the option.")


def has_migration_job(domain: Domain) -> bool:
    """Whether libvirt is moving the domain away."""
    return domain.job().get("operation") == _MIGRATION_OUT


def situation(migration: Migration) -> Situation:
    """Where the domain is; LifeboatError when that is unclear or does not fit to what is wanted."""
    source, destination, wanted = migration.source, migration.destination, migration.wanted
    here, there = source.find(wanted.name), destination.find(wanted.name)
    thing = f"domain {wanted.name}"
    if here is None:
        if there is not None:
            return Situation.ARRIVED
        found = f"no such domain at {source.connection.uri} nor at {destination.connection.uri}"
        raise LifeboatError(
            thing, found, "one on the source", "Correct the name, or run the task on the host it is on."
        )
    condition = here.condition()
    if condition.reason == "postcopy_failed":
        return Situation.INTERRUPTED
    if has_migration_job(here):
        return Situation.UNDER_WAY
    _refuse_double(here, there, destination, wanted)
    if condition.state in {State.CRASHED, State.SHUTTING_DOWN, State.SLEEPING, State.UNKNOWN}:
        remedy = "Bring it to running or shut_off first, with libvirt_domain."
        raise LifeboatError(thing, str(condition), "a guest that runs, or that is off", remedy)
    if wanted.offline and condition.active:
        remedy = "Leave mode out to move it while it runs, or shut it down first, with libvirt_domain."
        raise LifeboatError(thing, str(condition), "shut off, for mode=offline", remedy)
    if not wanted.offline and not condition.active:
        remedy = "Set mode=offline to move its definition, or start it first, with libvirt_domain."
        raise LifeboatError(thing, str(condition), "a guest that runs, for mode=live", remedy)
    return Situation.STOPPED if is_stopped(condition) else Situation.TO_MOVE


def is_split(condition: Condition) -> bool:
    """Whether the guest runs on the destination, with memory on both hosts: in post-copy, even one that has broken."""
    return condition.reason in {"postcopy", "postcopy_failed"}


def is_stopped(condition: Condition) -> bool:
    """Whether the guest was stopped for a migration: by libvirt for the last of its memory, or by a throttle."""
    return condition == Condition(State.PAUSED, "migration")


def _refuse_double(here: Domain, there: Domain | None, destination: Site, wanted: WantedMigration) -> None:
    at = destination.connection.uri
    if there is None:
        there = next((each for each in destination.connection.domains() if each.uuid == here.uuid), None)
    if there is None:
        return
    thing = f"domain {wanted.name}"
    if (there.name, there.uuid) != (here.name, here.uuid):
        found = f"{there.name} with UUID {there.uuid} at {at}, while the one here has {here.uuid}"
        raise LifeboatError(thing, found, "no other domain of that name or UUID", "Rename or remove one of them.")
    if there.condition().active:
        state = f"{there.condition()} at {at} and {here.condition()} here"
        if is_stopped(here.condition()):
            remedy = (
                "It has gone over: see that it answers there, then power the rest of it here off with libvirt_domain."
            )
            raise LifeboatError(thing, f"{state}, by a migration that is over", "one copy", remedy)
        remedy = "Find out which of the two is in use, then power the other off or remove its definition."
        raise LifeboatError(thing, state, "one running copy, on the source", remedy)
