# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""An image of RBD as the destination of a copy.

It is written under another name, and gets its own when it is whole. Its receipt is in its metadata, the journal in a
directory of this host: on another host an unfinished copy begins anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_client import explained, open_context

with contextlib.suppress(ImportError):
    import rbd

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, t.Any]
_RECEIPT = "lifeboat.receipt"


class RbdDestination:
    """The image ``name`` of a pool, by an I/O context of librados; the journal is kept in ``directory``."""

    to_replace = "remove it, if nobody needs it"

    def __init__(self, context: t.Any, pool: str, name: str, directory: str) -> None:
        self.thing = f"image {pool}/{name}"
        if not name or set("/@") & set(name):
            raise LifeboatError(self.thing, repr(name), "a name without / and @", "Correct the name.")
        self._context, self._name = context, name
        self.partial = f"{name}.lifeboat-partial"
        self.journal = os.path.join(directory, f"{pool}.{name}.lifeboat-journal")

    def exists(self) -> bool:
        return self._size(self._name) is not None

    def receipt(self) -> Json | None:
        """Of what the image is a copy; None when nothing tells it."""
        with explained(self.thing):
            try:
                with rbd.Image(self._context, self._name, read_only=True) as image:
                    found: Json = json.loads(image.metadata_get(_RECEIPT))
                    return found
            except (rbd.ImageNotFound, KeyError, ValueError):
                return None

    def stamp(self) -> list[int | str]:
        """Size and time of change of the image, which Ceph renews once in rbd_mtime_update_interval (60 s)."""
        with explained(self.thing), rbd.Image(self._context, self._name, read_only=True) as image:
            return _stamp(image)

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[RbdTarget]:
        """The image, to be read."""
        with explained(self.thing), rbd.Image(self._context, self._name, read_only=True) as image:
            yield RbdTarget(image)

    def check_room(self, needed: int) -> None:
        """Nothing: how much room there is depends on the replicas and on what is full first, which ceph_info tells."""

    def has_partial(self, size: int) -> bool:
        return self._size(self.partial) == size

    @contextlib.contextmanager
    def open_partial(self, size: int) -> Iterator[RbdTarget]:
        """The unfinished image, made when there is none, and flushed when the block has ended."""
        with explained(self.thing):
            if self._size(self.partial) is None:
                rbd.RBD().create(self._context, self.partial, size, old_format=False)
            with rbd.Image(self._context, self.partial) as image:
                yield RbdTarget(image)
                image.flush()

    def publish(self, receipt: Json) -> None:
        """Give the unfinished image its name, which fails when somebody has made one meanwhile."""
        with explained(self.thing):
            with rbd.Image(self._context, self.partial) as image:
                image.metadata_set(_RECEIPT, json.dumps({**receipt, "stamp": _stamp(image)}))
            rbd.RBD().rename(self._context, self.partial, self._name)

    def discard_partial(self) -> None:
        with explained(self.thing), contextlib.suppress(rbd.ImageNotFound):
            rbd.RBD().remove(self._context, self.partial)

    def _size(self, name: str) -> int | None:
        with explained(self.thing):
            try:
                with rbd.Image(self._context, name, read_only=True) as image:
                    size: int = image.size()
                    return size
            except rbd.ImageNotFound:
                return None


def _stamp(image: t.Any) -> list[int | str]:
    return [image.size(), image.modify_timestamp().isoformat()]


class RbdTarget:
    """An open image; what was never written reads as zeros."""

    is_blank = True

    def __init__(self, image: t.Any) -> None:
        self._image = image

    def write(self, offset: int, data: bytes) -> None:
        self._image.write(data, offset)

    def flush(self) -> None:
        self._image.flush()

    def read(self, offset: int, length: int) -> bytes:
        # librbd's cache would answer with what was written instead of what is stored.
        self._image.invalidate_cache()
        found: bytes = self._image.read(offset, length)
        return found


@contextlib.contextmanager
def open_destination(cluster: t.Any, pool: str, name: str, directory: str) -> Iterator[RbdDestination]:
    """The image of a cluster that librados is connected to."""
    with open_context(cluster, pool) as context:
        yield RbdDestination(context, pool, name, directory)
