# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The last job of a domain that has completed, such as the migration that has brought it to its host."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import job_of

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain


@dataclass(frozen=True, slots=True)
class CompletedJob:
    """Of a domain; without one there is the ``reason``. ``statistics`` are libvirt's, times in ms, sizes in bytes."""

    name: str | None
    uuid: str
    operation: str | None = None
    statistics: Mapping[str, t.Any] = field(default_factory=dict)
    reason: str | None = None


class JobCalls(t.Protocol):
    """What libvirt has for it, as the MigrationCalls have it; CallError when it refuses."""

    def completed(self, name: str) -> Mapping[str, t.Any]:
        """The statistics of the domain's last completed job; empty when there are none."""


def completed_jobs(connection: Connection, calls: JobCalls, uuids: Collection[str] | None) -> list[CompletedJob]:
    """Of the domains with these UUIDs, or of all, by UUID."""
    wanted = None if uuids is None else {_canonical(each) for each in uuids}
    there = {domain.uuid: domain for domain in connection.domains()}
    absent = f"no such domain at {connection.uri}"
    return [
        _completed(connection, calls, there[each]) if each in there else CompletedJob(None, each, reason=absent)
        for each in sorted(there if wanted is None else wanted)
    ]


def _canonical(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise LifeboatError("uuids", text, "UUIDs of domains", "Correct uuids.") from error


def _completed(connection: Connection, calls: JobCalls, domain: Domain) -> CompletedJob:
    name, key = domain.name, domain.uuid
    try:
        job = job_of(calls.completed(name))
    except CallError as error:
        # Who does not answer for one would not do so for the others either.
        if error.code is None:
            raise
        return CompletedJob(name, key, reason=error.found if connection.find(name) else "it is gone meanwhile")
    if job is None:
        return CompletedJob(name, key, reason="libvirt knows of no job of it that has completed")
    return CompletedJob(name, key, job.operation, job.statistics)
