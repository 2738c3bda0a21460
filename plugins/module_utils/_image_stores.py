# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Brings an image of Glance into stores, and out of others once it is there.

Glance copies and compares size, checksum and hash of what it has written; only then the copy counts as one. An import
holds a lock on the image. Glance breaks that of a process that has died when somebody asks an hour later, and so every
run asks instead of judging the lock itself.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._images import (
    can_copy,
    find_image,
    read_image,
    read_stores,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    RefusalError,
    act,
    asked_again,
    no_answer,
    refuse_error,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._images import Image
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Service

_PAUSE_S = 0.5
# How long Glance may say that it cannot tell.
_GRACE_S = 120.0
# What a load balancer answers while Glance may still be at work.
_GIVEN_UP = (502, 504)


@dataclass(frozen=True, slots=True)
class Wanted:
    """In which ``stores`` the image shall be, ``exclusive`` in no others."""

    image: str
    stores: tuple[str, ...]
    exclusive: bool = False
    timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class State:
    """In which stores the image was, and into which it was copied, ``at_s`` seconds after the request."""

    at_s: float
    stores: tuple[str, ...]
    importing: tuple[str, ...]


@dataclass(slots=True)
class Receipt:
    """What has been done and seen."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    actions: list[str] = field(default_factory=list)
    timeline: list[State] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the request."""
        return round(time.monotonic() - self.began, 2)


def converge(glance: Service, wanted: Wanted, dry_run: bool) -> tuple[Image, Receipt]:
    """Bring the image to where it shall be; the image afterwards and what was done, foretold with ``dry_run``."""
    if not wanted.stores:
        raise LifeboatError(f"image {wanted.image}", "no stores", "at least one", "An image without data is none.")
    known = read_stores(glance)
    image = find_image(glance, wanted.image)
    missing = [name for name in dict.fromkeys(wanted.stores) if name not in image.stores]
    surplus = _surplus(image, wanted)
    after = tuple(name for name in image.stores if name not in surplus) + tuple(missing)
    receipt = Receipt(before=image.stores, after=after)
    _refuse_unknown(wanted, known.keys())
    if not missing and not surplus:
        return image, receipt
    _refuse_state(image, wanted)
    waits = f", after {'/'.join(image.importing) or 'what is imported'} now" if image.task else ""
    if missing:
        read_only = [name for name in missing if known[name].read_only]
        _refuse_copy(glance, image, read_only)
        receipt.actions.append(f"copy {image} to {', '.join(missing)}{waits}")
        waits = ""
    receipt.actions += [f"delete {image} from {name}{waits}" for name in surplus]
    if dry_run:
        return image, receipt
    end = time.monotonic() + wanted.timeout_s
    if not missing and image.task:
        image = _await_import(glance, image, end, wanted, receipt)
    image = _copy(glance, image, end, wanted, receipt)
    # Somebody's import may have brought it into one more meanwhile.
    for name in _surplus(image, wanted):
        _leave(glance, image, name, wanted, receipt)
    return _arrived(glance, image, wanted, receipt), receipt


def _surplus(image: Image, wanted: Wanted) -> list[str]:
    return [name for name in image.stores if name not in wanted.stores] if wanted.exclusive else []


def _refuse_unknown(wanted: Wanted, known: t.Collection[str]) -> None:
    unknown = [name for name in wanted.stores if name not in known]
    if unknown:
        found = f"store {', '.join(unknown)}"
        raise LifeboatError("stores", found, f"some of {', '.join(sorted(known))}", "Correct the names.")


def _refuse_state(image: Image, wanted: Wanted) -> None:
    if image.status != "active":
        remedy = "Wait until it is imported, or reactivate it: only active images are copied."
        raise LifeboatError(str(image), f"status {image.status}", "active", remedy)
    if not image.stores:
        remedy = "Authenticate as a user with the role admin, and see glance image-show."
        raise LifeboatError(str(image), "no store that has it", "at least one", remedy)
    if wanted.exclusive and "os_hash_value" not in image.identity:
        remedy = "Leave exclusive out: Glance could not tell whether a copy is like the original."
        raise LifeboatError(str(image), "no hash", "the hash of its data", remedy)


def _refuse_copy(glance: Service, image: Image, read_only: list[str]) -> None:
    if read_only:
        found = f"store {', '.join(read_only)}, which is read-only"
        raise LifeboatError(str(image), found, "stores that Glance writes", "Choose another store.")
    if not can_copy(glance):
        remedy = "Add copy-image to enabled_import_methods in glance-api.conf."
        raise LifeboatError("Glance", "no import method copy-image", "that method", remedy)


def _await_import(glance: Service, image: Image, end: float, wanted: Wanted, receipt: Receipt) -> Image:
    """The image after somebody's import, at whose end Glance saves the stores as it knew them before."""
    # Refused, as it is there already; but before that Glance breaks the lock of an import that has died.
    with contextlib.suppress(RefusalError):
        _begin(glance, image, list(dict.fromkeys(wanted.stores)))
    return _watch(glance, image, end, wanted, receipt)


def _copy(glance: Service, image: Image, end: float, wanted: Wanted, receipt: Receipt) -> Image:
    """The image in all stores where it shall be; LifeboatError that says in which it is not."""
    before = image.identity
    while True:
        missing = [name for name in dict.fromkeys(wanted.stores) if name not in image.stores]
        if not missing:
            return image
        ours = _begin(glance, image, missing)
        image = _watch(glance, image, end, wanted, receipt)
        changed = [name for name, value in before.items() if image.identity.get(name) != value]
        if changed or image.status != "active":
            found = f"status {image.status}, changed: {', '.join(changed) or 'nothing'}"
            remedy = "Nothing was deleted. Compare the image in each store before you use it."
            raise LifeboatError(str(image), found, "an active image with the same data as before", remedy)
        lost = [name for name in missing if name not in image.stores]
        if ours and lost:
            failed = f" (Glance says that it failed: {', '.join(image.failed)})" if image.failed else ""
            found = f"no copy in {', '.join(lost)}{failed}; it is still in {', '.join(image.stores)}"
            remedy = "See glance-api's log: the store may be full or away, or the staging directory too small."
            raise LifeboatError(str(image), found, f"it in {', '.join(missing)}", remedy)


def _begin(glance: Service, image: Image, stores: list[str]) -> bool:
    """Ask for copies; False when Glance is at work on the image already."""
    # With all_stores_must_succeed Glance would keep its staged copy of the image after a failure.
    body = {"method": {"name": "copy-image"}, "stores": stores, "all_stores": False, "all_stores_must_succeed": False}
    try:
        act(glance, f"/images/{image.id}/import", body)
    except RefusalError as refusal:
        if refusal.status != 409 or read_image(glance, image.id).task is None:
            raise
        return False
    return True


def _watch(glance: Service, image: Image, end: float, wanted: Wanted, receipt: Receipt) -> Image:
    """Until Glance does nothing with the image any more."""
    while True:
        image = asked_again(partial(_look, glance, image, receipt), _GRACE_S, _PAUSE_S)
        if image.task is None:
            return image
        if time.monotonic() >= end:
            found = f"still importing to {', '.join(image.importing) or 'no store'} after {receipt.seconds:.0f} s"
            remedy = "Glance goes on with it; the next run watches it further, or begins anew when Glance has given up."
            raise LifeboatError(str(image), found, f"an end within {wanted.timeout_s:.0f} s", remedy)
        time.sleep(_PAUSE_S)


def _look(glance: Service, image: Image, receipt: Receipt) -> Image:
    """How it stands now; noted when that has changed."""
    image = read_image(glance, image.id)
    last = receipt.timeline[-1] if receipt.timeline else None
    if last is None or (last.stores, last.importing) != (image.stores, image.importing):
        receipt.timeline.append(State(receipt.seconds, image.stores, image.importing))
    return image


def _leave(glance: Service, image: Image, store: str, wanted: Wanted, receipt: Receipt) -> None:
    """Have the image's data deleted from one store."""
    silence = _delete(glance, image, store)
    end = time.monotonic() + wanted.timeout_s
    while silence and store in asked_again(partial(_look, glance, image, receipt), _GRACE_S, _PAUSE_S).stores:
        if time.monotonic() >= end:
            found = f"it, {wanted.timeout_s:.0f} s after a deletion that Glance has not answered"
            remedy = "It is where it shall be, and there too. See the logs of glance-api and the store, and run again."
            raise LifeboatError(f"{image} in store {store}", found, "that it is deleted", remedy) from silence
        time.sleep(_PAUSE_S)


def _delete(glance: Service, image: Image, store: str) -> Exception | None:
    """Ask for it once; what came instead of an answer, as a store of RBD may take longer to delete than one waits."""
    try:
        refuse_error(glance.delete(f"/stores/{store}/{image.id}", connect_retries=0))
    except RefusalError as refusal:
        if refusal.status in _GIVEN_UP:
            return refusal
        if refusal.status in (403, 409):
            remedy = "It is where it shall be, and there too. Delete or flatten what was cloned from it, and run again."
            thing = f"{image} in store {store}"
            raise LifeboatError(thing, refusal.found, "that it can be deleted", remedy) from refusal
        # What somebody else has deleted meanwhile is gone as well.
        if refusal.status != 404:
            raise
    except Exception as error:
        if not no_answer(error):
            raise
        return error
    return None


def _arrived(glance: Service, image: Image, wanted: Wanted, receipt: Receipt) -> Image:
    image = asked_again(partial(_look, glance, image, receipt), _GRACE_S, _PAUSE_S)
    receipt.after = image.stores
    if not set(wanted.stores) <= set(image.stores) or _surplus(image, wanted):
        remedy = "See who else changes it, and run again."
        found = f"it in {', '.join(image.stores)}"
        raise LifeboatError(str(image), found, f"it in {', '.join(wanted.stores)}", remedy)
    return image
