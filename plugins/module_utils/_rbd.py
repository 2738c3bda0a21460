# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Images of RADOS block devices: what one is like, what has to be done to it, and when that is refused.

Written against ImagePool, which _rbd_client implements with librbd and the tests in memory.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

FEATURES = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten", "journaling")
# What librbd lets change once the image is there, RBD_FEATURES_MUTABLE and RBD_FEATURES_DISABLE_ONLY.
_ENABLED_LATER = frozenset({"exclusive-lock", "object-map", "fast-diff", "journaling"})
_DISABLED_LATER = _ENABLED_LATER | {"deep-flatten"}
# librbd switches the two of the object map together, also when it makes an image with only one of them.
_NEEDS = (
    ("object-map", "fast-diff"),
    ("fast-diff", "object-map"),
    ("object-map", "exclusive-lock"),
    ("journaling", "exclusive-lock"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """One image. ``size`` in bytes, ``features`` only those in FEATURES, ``watchers`` who have it open."""

    size: int
    features: frozenset[str]
    snapshots: tuple[str, ...] = ()
    watchers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedImage:
    """An image as it shall be; what is None is left alone, or to the cluster's default when the image is made."""

    pool: str
    name: str
    size: int | None = None
    features: frozenset[str] | None = None
    force: bool = False

    @property
    def thing(self) -> str:
        return f"image {self.pool}/{self.name}"


class ImagePool(t.Protocol):
    """The images of one pool."""

    def find(self, name: str) -> Image | None:
        """The image, None when there is none."""

    def create(self, name: str, size: int, features: frozenset[str] | None) -> None:
        """Make the image, with the cluster's default features when they are None."""

    def resize(self, name: str, size: int) -> None:
        """Grow the image, or shrink it, which loses what is behind the new end."""

    def switch_features(self, name: str, features: frozenset[str], *, enabled: bool) -> None:
        """Enable the features, or disable them."""

    def remove(self, name: str) -> None:
        """Remove the image."""


def validate(wanted: WantedImage) -> None:
    """LifeboatError for a name, a size or a set of features that no image can have."""
    if not wanted.name or set("/@") & set(wanted.name):
        raise LifeboatError(wanted.thing, repr(wanted.name), "a name without / and @", "Correct the name.")
    if wanted.size is not None and wanted.size <= 0:
        raise LifeboatError(wanted.thing, f"size {wanted.size}", "more than 0 bytes", "Correct size.")
    for feature, needed in _NEEDS:
        if wanted.features is not None and feature in wanted.features and needed not in wanted.features:
            raise LifeboatError(
                wanted.thing, f"{feature} without {needed}", "both", f"Add {needed}, or leave {feature} out."
            )


def image_changes(images: ImagePool, wanted: WantedImage) -> list[Change]:
    """The differences, to be removed in this order. LifeboatError for those that cannot be, or that lose data."""
    validate(wanted)
    found = images.find(wanted.name)
    if found is None:
        return [_creation(images, wanted)]
    return [*_resizing(images, wanted, found), *_switching(images, wanted, found)]


def removal_changes(images: ImagePool, wanted: WantedImage) -> list[Change]:
    """What removes the image. LifeboatError while it has snapshots or is open somewhere."""
    validate(wanted)
    found = images.find(wanted.name)
    if found is None:
        return []
    if found.snapshots:
        remedy = (
            f"Remove what was cloned from them, and then the snapshots: those of a domain with libvirt_snapshot or "
            f"libvirt_backup, others with rbd snap purge {wanted.pool}/{wanted.name}."
        )
        raise LifeboatError(wanted.thing, f"snapshots {', '.join(found.snapshots)}", "none", remedy)
    _check_unwatched(wanted, found)
    remove = partial(images.remove, wanted.name)
    return [Change(f"remove {wanted.thing}", wanted.thing, f"{found.size} bytes", "absent", remove)]


def _check_unwatched(wanted: WantedImage, found: Image) -> None:
    if found.watchers:
        remedy = "Stop the server or unmap the image there. A client that died is forgotten after 30 seconds."
        raise LifeboatError(wanted.thing, f"clients that have it open: {', '.join(found.watchers)}", "none", remedy)


def _creation(images: ImagePool, wanted: WantedImage) -> Change:
    if wanted.size is None:
        raise LifeboatError(wanted.thing, "no image and no size", "a size to make it with", "Set size.")
    create = partial(images.create, wanted.name, wanted.size, wanted.features)
    features = "default features" if wanted.features is None else _listed(wanted.features)
    return Change(f"create {wanted.thing}", wanted.thing, "absent", f"{wanted.size} bytes, {features}", create)


def _resizing(images: ImagePool, wanted: WantedImage, found: Image) -> Iterator[Change]:
    if wanted.size is None or wanted.size == found.size:
        return
    verb = "grow" if wanted.size > found.size else "shrink"
    if verb == "shrink":
        if not wanted.force:
            remedy = "Raise size, or set force once nothing uses what is behind the new end."
            raise LifeboatError(wanted.thing, f"{found.size} bytes", f"no more than {wanted.size}", remedy)
        _check_unwatched(wanted, found)
    resize = partial(images.resize, wanted.name, wanted.size)
    thing = f"size of {wanted.thing}"
    yield Change(f"{verb} {wanted.thing} to {wanted.size} bytes", thing, str(found.size), str(wanted.size), resize)


def _switching(images: ImagePool, wanted: WantedImage, found: Image) -> Iterator[Change]:
    if wanted.features is None:
        return
    # What needs another feature goes before it and comes after it, so each half is one call.
    steps = {
        "disable": (found.features - wanted.features, _DISABLED_LATER),
        "enable": (wanted.features - found.features, _ENABLED_LATER),
    }
    now = found.features
    for verb, (features, possible) in steps.items():
        if features - possible:
            remedy = "Keep the image's features, or make a new image and copy this one."
            expected = f"a feature that one can {verb} later, unlike {_listed(features - possible)}"
            raise LifeboatError(wanted.thing, _listed(found.features), expected, remedy)
        if features:
            before, now = now, now ^ features
            switch = partial(images.switch_features, wanted.name, features, enabled=verb == "enable")
            says = f"{verb} {_listed(features)} of {wanted.thing}"
            yield Change(says, f"features of {wanted.thing}", _listed(before), _listed(now), switch)


def _listed(features: frozenset[str]) -> str:
    return ", ".join(feature for feature in FEATURES if feature in features) or "no features"
