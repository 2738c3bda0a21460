# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Moves one volume of Cinder to another back end or volume type, and watches until Cinder has settled it.

Cinder writes a copy, of an attached volume by Nova while the server runs, and then exchanges the two; until then the
volume is where it was. Nothing is kept here: what an interrupted run has begun is found in the volume itself.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import act, asked_again
from ansible_collections.lifeboat.cloud.plugins.module_utils._volume_checks import Destination, decide, how_to_unlock
from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import (
    MICROVERSION,
    find_volume,
    messages_about,
    old_copies,
    read_volume,
    unfinished_copies,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service
    from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import Volume

_PAUSE_S = 0.5
# How long Cinder may say that it cannot tell.
_GRACE_S = 120.0
# How long Cinder may take to delete the copy that is needed no longer.
_TIDY_S = 60.0
_RESTING = ("available", "in-use")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ``type`` the volume shall have, or on which ``host`` (HOST@BACKEND#POOL) it shall be."""

    volume: str
    type: str | None = None
    host: str | None = None
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class State:
    """What Cinder said of the volume ``at_s`` seconds after the request, and where its copy is written."""

    at_s: float
    status: str
    migration: str | None
    copy: str | None


@dataclass(slots=True)
class Receipt:
    """What has been done and seen."""

    source: str = ""
    source_type: str | None = None
    destination: str | None = None
    actions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timeline: list[State] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the request."""
        return round(time.monotonic() - self.began, 2)


def converge(cloud: Cloud, wanted: Wanted, dry_run: bool) -> tuple[Volume, Receipt]:
    """Bring the volume to where it shall be; the volume afterwards and what was done, foretold with ``dry_run``."""
    cinder = cloud.block_storage
    volume = find_volume(cinder, wanted.volume)
    receipt = Receipt(source=volume.place, source_type=volume.type)
    destination = Destination.find(cinder, wanted.type, wanted.host)
    if volume.moving:
        _refuse_other(cinder, volume, destination)
        receipt.actions.append(f"go on with the migration of {volume} from {volume.place}")
    elif destination.reached_by(volume):
        return volume, receipt
    else:
        decision = decide(cloud, volume, destination)
        receipt.actions.append(f"{decision.says} from {destination.before(volume)}")
        receipt.warnings += decision.warnings
        receipt.destination = decision.pool
    if dry_run:
        return volume, receipt
    receipt.told = set(messages_about(cinder, volume.id))
    if not volume.moving:
        _begin(cinder, volume, destination)
    volume = _watch(cinder, volume, wanted, receipt)
    return _concluded(cinder, volume, destination, receipt), receipt


def _refuse_other(cinder: Service, volume: Volume, destination: Destination) -> None:
    """LifeboatError when what is under way is known not to lead where the volume shall be."""
    for copy in unfinished_copies(cinder, volume):
        if not destination.reached_by(copy):
            found = f"a migration under way to {copy.place}, type {copy.type}"
            remedy = "Let it end, by running this module with that destination, and ask again."
            raise LifeboatError(str(volume), found, f"none, or one to {destination}", remedy)


def _begin(cinder: Service, volume: Volume, destination: Destination) -> None:
    """Ask for it; from Cinder's answer on, the volume tells that it is under way."""
    body: Json
    if destination.type:
        body = {"os-retype": {"new_type": destination.type.id, "migration_policy": "on-demand"}}
    else:
        # Unlocked, a volume could be attached meanwhile, and what is written to it would be lost with its old half.
        where = "cluster" if destination.clustered else "host"
        body = {"os-migrate_volume": {where: destination.pool, "lock_volume": True}}
    act(cinder, f"/volumes/{volume.id}/action", body, MICROVERSION)


def _watch(cinder: Service, volume: Volume, wanted: Wanted, receipt: Receipt) -> Volume:
    """Until Cinder and Nova do nothing with the volume any more, seen twice, as Cinder ends it in several steps."""
    end = time.monotonic() + wanted.timeout_s
    settled = 0
    while True:
        volume = asked_again(partial(_look, cinder, volume, receipt), _GRACE_S, _PAUSE_S)
        resting = not volume.moving and (volume.status in _RESTING or "error" in volume.status or volume.left_locked)
        settled = settled + 1 if resting else 0
        if settled == 2:
            return volume
        if time.monotonic() >= end:
            found = f"status {volume.status}, migration {volume.migration} after {receipt.seconds:.0f} s"
            remedy = "Cinder goes on with it; the next run of this module watches it further."
            raise LifeboatError(str(volume), found, f"an end within {wanted.timeout_s:.0f} s", remedy)
        time.sleep(_PAUSE_S)


def _look(cinder: Service, volume: Volume, receipt: Receipt) -> Volume:
    """How it stands now; noted when that has changed."""
    volume = read_volume(cinder, volume.id)
    copies = unfinished_copies(cinder, volume) if volume.moving else []
    receipt.copies |= {copy.id for copy in copies}
    state = State(receipt.seconds, volume.status, volume.migration, copies[0].place if copies else None)
    last = receipt.timeline[-1] if receipt.timeline else None
    if last is None or (last.status, last.migration, last.copy) != (state.status, state.migration, state.copy):
        receipt.timeline.append(state)
    return volume


def _concluded(cinder: Service, volume: Volume, destination: Destination, receipt: Receipt) -> Volume:
    """The volume where it shall be; LifeboatError that says where it is when it is not there."""
    if not destination.reached_by(volume) or volume.status not in _RESTING:
        raise _failed(cinder, volume, destination, receipt)
    receipt.destination = volume.place
    if volume.migration == "error":
        receipt.warnings.append(f"Cinder says that the migration of {volume} has failed, yet it has arrived.")
    left = _await_tidy(lambda: old_copies(cinder, volume))
    receipt.warnings += [
        f"The former copy of {volume} on {each.place} is still {each.status} after {_TIDY_S:.0f} s." for each in left
    ]
    return volume


def _failed(cinder: Service, volume: Volume, destination: Destination, receipt: Receipt) -> LifeboatError:
    left = _await_tidy(lambda: unfinished_copies(cinder, volume))
    told = messages_about(cinder, volume.id)
    said = [text for key, text in told.items() if key not in receipt.told]
    said += [text for copy in sorted(receipt.copies) for text in messages_about(cinder, copy).values()]
    reason = f"Cinder says: {'; '.join(said)}" if said else "Cinder gives no reason to its users"
    where = "still on its source" if volume.place == receipt.source else f"not on its source {receipt.source}, but"
    found = f"{where} {volume.place}, type {volume.type}, status {volume.status}, migration {volume.migration}"
    remedy = "Read the logs of cinder-scheduler and cinder-volume, for an attached volume also of nova-compute."
    if volume.left_locked:
        remedy += f" {how_to_unlock(volume)}"
    if left:
        remedy += f" Its copy {left[0].id} on {left[0].place} is left, {left[0].status}."
    return LifeboatError(str(volume), f"{found}. {reason}", f"it on {destination}", remedy)


def _await_tidy(look: t.Callable[[], list[Volume]]) -> list[Volume]:
    """What is left of what ``look`` finds when Cinder has had time to delete it."""
    end = time.monotonic() + _TIDY_S
    while (left := asked_again(look, _GRACE_S, _PAUSE_S)) and time.monotonic() < end:
        if all(each.status.startswith("error") for each in left):
            break
        time.sleep(_PAUSE_S)
    return left
