# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is asked before a volume is moved: whether Cinder, and for an attached volume Nova, can do it.

Of most of this Cinder would find out only after it has taken the request, and then say nothing to the one who asked.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._compute_service import read_services, service_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import read_server
from ansible_collections.lifeboat.cloud.plugins.module_utils._volume_backends import (
    Pool,
    VolumeType,
    backend_of,
    find_pool,
    find_type,
    is_clustered,
    is_encrypted,
    limits_guests,
    not_ready,
    read_pools,
    require_ready,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import snapshots_of

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import Volume

# While a server is in one of these, Nova exchanges its volumes (nova/compute/api.py, swap_volume).
_SWAPPING = ("ACTIVE", "PAUSED", "VERIFY_RESIZE")
_NOT_REPLICATED = (None, "disabled", "not-capable")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a volume shall be: of ``type``, on whatever pool offers it, or on ``pool``."""

    type: VolumeType | None
    pool: str | None
    candidates: tuple[Pool, ...]
    clustered: bool

    @classmethod
    def find(cls, cinder: Service, name: str | None, host: str | None) -> Destination:
        """From the type's name or else the pool's; LifeboatError when there is none of that name."""
        if name is not None:
            volume_type = find_type(cinder, name)
            return cls(volume_type, None, tuple(read_pools(cinder, volume_type)), clustered=False)
        pool = find_pool(cinder, str(host))
        return cls(None, pool.name, (pool,), is_clustered(cinder, pool.backend))

    def reached_by(self, volume: Volume) -> bool:
        """Whether the volume is there."""
        return volume.type == self.type.name if self.type else volume.place == self.pool

    def before(self, volume: Volume) -> str:
        """What the volume has instead."""
        return f"{volume.type} on {volume.place}" if self.type else volume.place

    def __str__(self) -> str:
        return f"volume type {self.type.name}" if self.type else f"back end {self.pool}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is going to happen, ``pool`` being None where Cinder chooses among several."""

    says: str
    pool: str | None
    warnings: tuple[str, ...] = ()


def decide(cloud: Cloud, volume: Volume, destination: Destination) -> Decision:
    """What brings the volume to its destination; LifeboatError when something speaks against it."""
    cinder = cloud.block_storage
    _refuse_state(volume)
    require_ready(cinder, backend_of(volume.place))
    if destination.type:
        _refuse_encryption(cinder, volume, destination.type)
        _refuse_new_type(cinder, volume, destination.type)
        # Cinder leaves a volume where it is when that offers the new type as well.
        if volume.place in {pool.name for pool in destination.candidates}:
            return Decision(f"give {volume} the type {destination.type.name} where it is,", volume.place)
    elif volume.type:
        _refuse_type(cinder, volume, destination)
    pools = _with_room(volume, destination, _working(cinder, destination))
    _refuse_contents(cinder, volume)
    if volume.servers:
        _refuse_attachment(cloud, volume)
    names = ", ".join(pool.name for pool in pools)
    chosen = names if len(pools) == 1 else f"one of {names}"
    says = f"migrate {volume} to {chosen}" if not destination.type else f"retype {volume} to {destination.type.name}"
    if destination.type:
        says += f" on {chosen}"
    return Decision(says, pools[0].name if len(pools) == 1 else None, tuple(_doubts(volume, pools)))


def how_to_unlock(volume: Volume) -> str:
    """What is left to do for a volume that Cinder has left locked."""
    return (
        "cinder-volume, whose driver was not ready, has left it locked. When the driver works again, "
        f"openstack volume set --state available {volume.id} unlocks it."
    )


def _refuse_state(volume: Volume) -> None:
    if volume.status not in ("available", "in-use"):
        remedy = how_to_unlock(volume) if volume.left_locked else "Wait until it is done, or repair the volume."
        raise LifeboatError(str(volume), f"status {volume.status}", "available or in-use", remedy)
    if volume.group or volume.replication not in _NOT_REPLICATED:
        found = f"group {volume.group}" if volume.group else f"replication {volume.replication}"
        remedy = "Take it out of its group, or end its replication."
        raise LifeboatError(str(volume), found, "a volume of no group and not replicated", remedy)


def _refuse_encryption(cinder: Service, volume: Volume, volume_type: VolumeType) -> None:
    words = {True: "encrypted", False: "not encrypted"}
    encrypted = is_encrypted(cinder, volume_type)
    if encrypted != volume.encrypted:
        found = f"a volume that is {words[volume.encrypted]}, while type {volume_type.name} is {words[encrypted]}"
        remedy = "Choose another type: a move shall not change who can read the data."
        raise LifeboatError(str(volume), found, "the same of both", remedy)


def _refuse_new_type(cinder: Service, volume: Volume, volume_type: VolumeType) -> None:
    """LifeboatError for a type that Cinder does not give to this volume (cinder/volume/api.py, retype)."""
    smallest, largest = volume_type.sizes
    if not smallest <= volume.size <= largest:
        bound = f"at least {smallest:g}" if volume.size < smallest else f"at most {largest:g}"
        found, expected = f"{volume.size} GiB", f"{bound} GiB, as type {volume_type.name} has it"
        raise LifeboatError(str(volume), found, expected, "Choose another type.")
    if volume.status == "available":
        return
    if volume.multiattach != volume_type.multiattach:
        words = {True: "several attachments", False: "one attachment"}
        found = f"one in use, for {words[volume.multiattach]}, while type {volume_type.name} is for "
        found += words[volume_type.multiattach]
        raise LifeboatError(str(volume), found, "the same of both", "Detach the volume, or choose another type.")
    former = find_type(cinder, volume.type) if volume.type else None
    changes = volume_type.qos != (former.qos if former else None)
    if changes and any(limits_guests(cinder, each) for each in (former, volume_type) if each):
        found = f"one in use, and type {volume_type.name} with other QoS for the hypervisor than {volume.type}"
        raise LifeboatError(str(volume), found, "the same of both", "Detach the volume, or choose another type.")


def _refuse_type(cinder: Service, volume: Volume, destination: Destination) -> None:
    """LifeboatError for a pool that the volume's type does not lead to, which Cinder's scheduler would not take."""
    offering = sorted(pool.name for pool in read_pools(cinder, find_type(cinder, str(volume.type))))
    if destination.pool not in offering:
        found = f"type {volume.type}, offered by {', '.join(offering) or 'no pool'}"
        remedy = "Give type instead of host, a volume type that the back end offers."
        raise LifeboatError(str(volume), found, f"a type that {destination.pool} offers", remedy)


def _working(cinder: Service, destination: Destination) -> list[Pool]:
    """The candidates that have a service at work."""
    if not destination.candidates:
        remedy = "See openstack volume type show, volume service list and volume backend pool list --long."
        raise LifeboatError(str(destination), "no pool that offers it", "at least one", remedy)
    # Of a cluster only the pool tells that its storage is down, and not the services.
    reasons = {
        pool.name: "its storage is down" if pool.down else not_ready(cinder, pool.backend)
        for pool in destination.candidates
    }
    working = [pool for pool in destination.candidates if reasons[pool.name] is None]
    if not working:
        found = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
        remedy = "Bring cinder-volume and its storage up, enable it, or choose another."
        raise LifeboatError(str(destination), found, "a cinder-volume that is enabled and up", remedy)
    return working


def _with_room(volume: Volume, destination: Destination, pools: list[Pool]) -> list[Pool]:
    fitting = [pool for pool in pools if pool.room is None or pool.room >= volume.size]
    if not fitting:
        found = ", ".join(f"{pool.room:.1f} GiB on {pool.name}" for pool in pools)
        remedy = "Make room, or choose another back end."
        raise LifeboatError(str(destination), f"room for {found}", f"{volume.size} GiB for {volume}", remedy)
    return fitting


def _refuse_contents(cinder: Service, volume: Volume) -> None:
    count = snapshots_of(cinder, volume)
    if count:
        found = f"{count} snapshot{'s' if count > 1 else ''}"
        remedy = "Delete them, or make a volume of each: Cinder does not migrate a volume with snapshots."
        raise LifeboatError(str(volume), found, "none", remedy)


def _refuse_attachment(cloud: Cloud, volume: Volume) -> None:
    """LifeboatError when Nova would not exchange the volume under its server."""
    if len(volume.servers) > 1 or volume.servers[0] is None:
        found = f"{len(volume.servers)} attachments" if volume.servers[0] else "an attachment to a host"
        remedy = "Detach it from all but one server, or from the host: only Nova moves an attached volume."
        raise LifeboatError(str(volume), found, "at most one, to a server", remedy)
    server = read_server(cloud.compute, volume.servers[0])
    thing = f"{server} with {volume}"
    if server.status not in _SWAPPING or server.task:
        task = f" and Nova busy with {server.task}" if server.task else ""
        remedy = "Start the server, or detach the volume: Nova exchanges volumes of running servers only."
        raise LifeboatError(thing, f"status {server.status}{task}", f"one of {', '.join(_SWAPPING)}", remedy)
    if volume.encrypted:
        remedy = "Detach the volume, migrate it and attach it again: Nova exchanges no encrypted volumes."
        raise LifeboatError(thing, "an encrypted volume attached", "one that is detached", remedy)
    # Nova's API takes the request all the same, and then nobody does it.
    service = service_of(read_services(cloud.compute), server.host)
    if service.state != "up":
        remedy = "Bring nova-compute up again, or evacuate the server of a dead host first, with server_evacuation."
        raise LifeboatError(str(service), f"state {service.state}", f"up, since it has to exchange {volume}", remedy)


def _doubts(volume: Volume, pools: list[Pool]) -> t.Iterator[str]:
    for pool in pools:
        if pool.free is not None and pool.free < volume.size:
            yield f"{pool.name} has {pool.free:.1f} GiB really free, and {volume} may come to need {volume.size}."
