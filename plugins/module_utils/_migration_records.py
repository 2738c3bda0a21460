# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Nova's records of migrations: what was moved from where to where, how it stands, and how much has been sent."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read, read_list
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import MICROVERSION, moment

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

Kind = t.Literal["live", "cold", "resize", "evacuation"]
_KINDS: dict[str, Kind] = {
    "live-migration": "live",
    "migration": "cold",
    "resize": "resize",
    "evacuation": "evacuation",
}
# What nova.objects.Migration and nova-compute write; every other status is one in which Nova still works on it.
_SUCCEEDED = frozenset({"completed", "finished", "confirmed", "reverted", "done"})
_FAILED = frozenset({"error", "failed", "cancelled"})
_BYTES = ("memory_total", "memory_processed", "memory_remaining", "disk_total", "disk_processed", "disk_remaining")


@dataclass(frozen=True, slots=True)
class Record:
    """One migration; times in UTC."""

    id: int
    uuid: str
    server: str
    kind: Kind
    status: str
    source: str
    destination: str | None
    created_at: str
    updated_at: str | None

    @classmethod
    def parse(cls, body: Json) -> Record:
        """From an entry of C(os-migrations)."""
        return cls(
            id=body["id"],
            uuid=body["uuid"],
            server=body["instance_uuid"],
            kind=_KINDS[body["migration_type"]],
            status=body["status"],
            source=body["source_compute"],
            destination=body["dest_compute"],
            created_at=body["created_at"],
            updated_at=body["updated_at"],
        )

    @property
    def failed(self) -> bool:
        return self.status in _FAILED

    @property
    def ended(self) -> bool:
        """Whether Nova is through with it; a cold one may still have to be confirmed."""
        return self.failed or self.status in _SUCCEEDED

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen: it has ended, and is not one that waits to be confirmed or reverted."""
        return self.ended and self.status != "finished"

    @property
    def seconds(self) -> float:
        """From its beginning to its last change, with Nova's resolution of one second."""
        return (moment(self.updated_at or self.created_at) - moment(self.created_at)).total_seconds()

    @property
    def unchanged_s(self) -> float:
        """Since its last change, by the clock of this machine."""
        return (datetime.now(UTC) - moment(self.updated_at or self.created_at).replace(tzinfo=UTC)).total_seconds()


def read_records(compute: Service, filters: Mapping[str, str]) -> list[Record]:
    """The records that match, the latest first. ``filters`` are the queries of C(os-migrations)."""
    return _latest_first(read_list(compute, "/os-migrations", "migrations", MICROVERSION, **filters))


def read_latest(compute: Service, count: int) -> list[Record]:
    """The latest records of all servers, the latest first."""
    # Nova's pages begin with the latest (since 2.59).
    return _latest_first(read(compute, "/os-migrations", MICROVERSION, limit=str(count))["migrations"])


def _latest_first(bodies: Iterable[Json]) -> list[Record]:
    records = map(Record.parse, bodies)
    return sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)


def read_progress(compute: Service, record: Record) -> dict[str, int]:
    """Bytes of a live migration that runs, by what they are; empty when it does not run any more."""
    url = f"/servers/{record.server}/migrations/{record.id}"
    try:
        body = read(compute, url, MICROVERSION)["migration"]
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        return {}
    return {name: body[f"{name}_bytes"] for name in _BYTES if body.get(f"{name}_bytes") is not None}
