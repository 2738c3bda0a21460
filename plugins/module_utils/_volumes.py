# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Volumes of Cinder: how one is found, where it is, and the copies that Cinder keeps while it migrates one."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read, read_list

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

# 3.61 (Ussuri) is the first that tells the cluster of a volume.
MICROVERSION = "3.61"
# Of what Cinder may have in migration_status, what is no migration under way (cinder/volume/api.py).
_AT_REST = (None, "none", "success", "error", "deleting")
_COPY = "target:"


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume as an administrator sees it. ``host`` and ``cluster`` are of the form HOST@BACKEND#POOL, sizes in GiB.

    ``servers`` are the UUIDs of those that it is attached to, None for an attachment to a host.
    """

    id: str
    name: str
    size: int
    status: str
    migration: str | None
    type: str | None
    multiattach: bool
    host: str
    cluster: str | None
    servers: tuple[str | None, ...]
    encrypted: bool
    group: str | None
    replication: str | None
    description: str | None

    @classmethod
    def parse(cls, body: Json) -> Volume:
        """From an answer of C(volumes)."""
        return cls(
            id=body["id"],
            name=body["name"] or "",
            size=body["size"],
            status=body["status"],
            migration=body.get("os-vol-mig-status-attr:migstat"),
            type=body["volume_type"],
            multiattach=body["multiattach"],
            host=body.get("os-vol-host-attr:host") or "",
            cluster=body.get("cluster_name"),
            servers=tuple(each["server_id"] for each in body["attachments"]),
            encrypted=body["encrypted"],
            group=body.get("group_id") or body.get("consistencygroup_id"),
            replication=body.get("replication_status"),
            description=body["description"],
        )

    @property
    def place(self) -> str:
        """Where it is, by the name that the scheduler's pools have."""
        return self.cluster or self.host

    @property
    def moving(self) -> bool:
        """Whether Cinder is at work on a migration of it."""
        return self.status == "retyping" or self.migration not in _AT_REST

    @property
    def left_locked(self) -> bool:
        """Whether Cinder has locked it for a migration that failed before it began, and not unlocked it."""
        return self.status == "maintenance" and self.migration == "error"

    def __str__(self) -> str:
        return f"volume {self.name or self.id}"


def find_volume(cinder: Service, name: str) -> Volume:
    """The volume of that UUID or name, of any project; LifeboatError when there is not exactly one."""
    try:
        uuid.UUID(name)
    except ValueError:
        volume = _find_by_name(cinder, name)
    else:
        volume = _find_by_uuid(cinder, name)
    if not volume.host:
        remedy = "Authenticate as a user with the role admin. A volume that was never made has no place."
        raise LifeboatError(str(volume), f"status {volume.status}, and no back end", "its back end", remedy)
    return volume


def _find_by_uuid(cinder: Service, key: str) -> Volume:
    try:
        volume = read_volume(cinder, key)
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        raise _not_one(key, "no volume of that UUID") from refusal
    if (volume.migration or "").startswith(_COPY):
        original = str(volume.migration).removeprefix(_COPY)
        remedy = f"Give {original} instead."
        raise LifeboatError(str(volume), f"the unfinished copy of volume {original}", "a volume", remedy)
    return volume


def _find_by_name(cinder: Service, name: str) -> Volume:
    # A copy has the name of its original, and in all projects copies are listed too.
    found = [each for each in _list(cinder, name=name) if each.name == name and not _is_copy(each)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise _not_one(name, "no volume of that name")
    raise _not_one(name, f"{len(found)} volumes of that name: {', '.join(sorted(each.id for each in found))}")


def _is_copy(volume: Volume) -> bool:
    return (volume.migration or "").startswith((_COPY, "deleting"))


def _not_one(name: str, found: str) -> LifeboatError:
    return LifeboatError(f"volume {name}", found, "one", "Give the volume's UUID, as a user who may see it.")


def read_volume(cinder: Service, key: str) -> Volume:
    """The volume of that UUID; RefusalError when there is none."""
    return Volume.parse(read(cinder, f"/volumes/{key}", MICROVERSION)["volume"])


def unfinished_copies(cinder: Service, volume: Volume) -> list[Volume]:
    """What Cinder is writing the volume into, or has left of that."""
    return _list(cinder, migration_status=_COPY + volume.id)


def old_copies(cinder: Service, volume: Volume) -> list[Volume]:
    """What the volume was before it moved, until Cinder has deleted it."""
    found = _list(cinder, migration_status="deleting")
    return [each for each in found if each.description == f"migration src for {volume.id}"]


def _list(cinder: Service, **query: str) -> list[Volume]:
    bodies = read_list(cinder, "/volumes/detail", "volumes", MICROVERSION, all_tenants="true", **query)
    return [Volume.parse(body) for body in bodies]


def snapshots_of(cinder: Service, volume: Volume) -> int:
    """How many snapshots it has."""
    query = {"all_tenants": "true", "volume_id": volume.id}
    return len(read_list(cinder, "/snapshots", "snapshots", MICROVERSION, **query))


def messages_about(cinder: Service, key: str) -> dict[str, str]:
    """What Cinder tells its users about a volume, by the message's UUID."""
    bodies = read_list(cinder, "/messages", "messages", MICROVERSION, resource_uuid=key)
    return {each["id"]: each["user_message"] for each in bodies}
