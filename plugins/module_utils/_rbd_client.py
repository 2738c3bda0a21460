# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The images of a pool by librbd."""

from __future__ import annotations

import contextlib
import traceback
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd import FEATURES, Image

try:
    import rados
    import rbd
except ImportError:
    RBD_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    RBD_IMPORT_ERROR = None

if t.TYPE_CHECKING:
    from collections.abc import Iterator


def _bits(features: frozenset[str]) -> int:
    return sum(_bit(feature) for feature in features)


def _bit(feature: str) -> int:
    return int(getattr(rbd, f"RBD_FEATURE_{feature.upper().replace('-', '_')}"))


class RbdPool:
    """An ImagePool over one I/O context."""

    def __init__(self, context: t.Any) -> None:
        self._context = context

    def find(self, name: str) -> Image | None:
        # Opened to read only, as another open would be a watcher itself.
        try:
            with rbd.Image(self._context, name, read_only=True) as image:
                features = image.features()
                return Image(
                    size=image.size(),
                    features=frozenset(feature for feature in FEATURES if features & _bit(feature)),
                    snapshots=tuple(sorted(snapshot["name"] for snapshot in image.list_snaps())),
                    watchers=tuple(sorted(watcher["addr"] for watcher in image.watchers_list())),
                )
        except rbd.ImageNotFound:
            return None

    def create(self, name: str, size: int, features: frozenset[str] | None) -> None:
        bits = None if features is None else _bits(features)
        rbd.RBD().create(self._context, name, size, old_format=False, features=bits)

    def resize(self, name: str, size: int) -> None:
        with rbd.Image(self._context, name) as image:
            image.resize(size)

    def switch_features(self, name: str, features: frozenset[str], *, enabled: bool) -> None:
        with rbd.Image(self._context, name) as image:
            image.update_features(_bits(features), enabled)

    def remove(self, name: str) -> None:
        rbd.RBD().remove(self._context, name)


@contextlib.contextmanager
def explained(thing: str) -> Iterator[None]:
    """Errors of librbd leave the block as LifeboatErrors about ``thing``."""
    try:
        yield
    except rbd.Error as error:
        remedy = "See with ceph_info that the pool's OSDs are up; the client needs the profile rbd for the pool."
        raise LifeboatError(thing, str(error), "an operation that succeeds", remedy) from error


@contextlib.contextmanager
def open_context(cluster: t.Any, pool: str) -> Iterator[t.Any]:
    """An I/O context of librados for the time of the block."""
    try:
        context = cluster.open_ioctx(pool)
    except rados.ObjectNotFound as error:
        raise LifeboatError(f"pool {pool}", "no such pool", "one", "Make it with ceph_pool.") from error
    try:
        yield context
    finally:
        context.close()


@contextlib.contextmanager
def open_pool(cluster: t.Any, pool: str) -> Iterator[RbdPool]:
    """The pool's images for the time of the block; errors of librbd leave it as LifeboatErrors."""
    with open_context(cluster, pool) as context, explained(f"images of pool {pool}"):
        yield RbdPool(context)
