# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Uploads the image of an imported disk, marked from its first moment, and compares what Glance has with what was sent.

By the mark a later run knows an image whose upload was interrupted for its own: one without all of its data goes and
is made anew, a whole one is used if its data are those of the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._images import properties_of, read_images
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import SOURCE_PROPERTY
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    explained_errors,
    make,
    read,
    refuse_error,
    remove,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

_BLOCK = 2**20
# Glance's default, and that of every deployment that has not chosen another.
_ALGORITHM = "sha512"
_OTHER = "Choose another name, or remove it if nobody needs it."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A raw file that becomes an image. ``source`` is the value of its mark, ``min_disk`` in GiB."""

    name: str
    file: str
    source: str
    properties: Mapping[str, str]
    min_disk: int
    timeout_s: float

    def __str__(self) -> str:
        return f"image {self.name}"


@dataclass(frozen=True, slots=True)
class Provided:
    """``image`` has id, name, and the algorithm and digest of its data; None in check mode before it is there."""

    actions: list[str]
    changed: bool
    image: Json | None


def provide_image(glance: Service, wanted: Wanted, check: bool) -> Provided:
    """The image with the file's data; LifeboatError leaves none of that mark that has no data."""
    size = _size_of(wanted)
    there = _find(glance, wanted)
    if there is not None and there["status"] == "active":
        _refuse_other_data(wanted, there)
        return Provided([], False, _shown(there))
    actions = [f"remove the {there['status']} {wanted} of an interrupted run"] if there else []
    actions.append(f"upload {wanted}")
    if check:
        return Provided(actions, True, None)
    end = time.monotonic() + wanted.timeout_s
    if there is not None:
        remove(glance, f"/images/{there['id']}")
    return Provided(actions, True, _shown(_uploaded(glance, wanted, size, end)))


def _size_of(wanted: Wanted) -> int:
    try:
        return Path(wanted.file).stat().st_size
    except OSError as error:
        raise LifeboatError(f"file {wanted.file}", str(error), f"the raw data of {wanted}", "Correct src.") from error


def _find(glance: Service, wanted: Wanted) -> Json | None:
    """The image of that name and mark; LifeboatError for one of another."""
    found = list(read_images(glance, name=wanted.name))
    if not found:
        return None
    if len(found) > 1 or properties_of(found[0]).get(SOURCE_PROPERTY) != wanted.source:
        raise LifeboatError(str(wanted), "one that is not of this source", "none, or one of this source", _OTHER)
    return found[0]


def _refuse_other_data(wanted: Wanted, there: Json) -> None:
    digest = _digest_of(wanted, there["os_hash_algo"])
    if digest != there["os_hash_value"]:
        found = f"other data of the same source ({there['os_hash_algo']} {there['os_hash_value'][:12]}...)"
        raise LifeboatError(str(wanted), found, f"none, or {digest[:12]}...", _OTHER)


def _digest_of(wanted: Wanted, algorithm: str) -> str:
    try:
        with Path(wanted.file).open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except ValueError as error:
        found = f"its data hashed by {algorithm}, which this Python does not know"
        raise LifeboatError(str(wanted), found, "one that it knows", "Set hashing_algorithm of Glance.") from error


def _uploaded(glance: Service, wanted: Wanted, size: int, end: float) -> Json:
    """What Glance tells of the image once it has the data; it goes again when it does not get them whole."""
    body = {
        **wanted.properties,
        SOURCE_PROPERTY: wanted.source,
        **{"name": wanted.name, "disk_format": "raw", "container_format": "bare", "visibility": "private"},
        "min_disk": wanted.min_disk,
    }
    url = f"/images/{make(glance, '/images', body)['id']}"
    try:
        with explained_errors(str(wanted)):
            digest = _send(glance, url, wanted, size, end)
            image = read(glance, url)
            _refuse_damage(wanted, image, digest)
    except BaseException:
        with contextlib.suppress(LifeboatError), explained_errors(str(wanted)):
            remove(glance, url)
        raise
    return image


def _send(glance: Service, url: str, wanted: Wanted, size: int, end: float) -> str:
    """Put the data there; returns their digest, taken as they went."""
    headers = {"Content-Type": "application/octet-stream", "Accept": ""}
    with Path(wanted.file).open("rb") as file:
        sent = _Sent(file, size, wanted, end)
        # What has been read is not there for a second attempt.
        once = {"connect_retries": 0, "status_code_retries": 0}
        left_s = max(1.0, end - time.monotonic())
        refuse_error(glance.put(f"{url}/file", data=sent, headers=headers, timeout=left_s, **once))
    return sent.digest.hexdigest()


def _refuse_damage(wanted: Wanted, image: Json, digest: str) -> None:
    if image["status"] != "active":
        remedy = "Look at Glance's log, and run this again."
        raise LifeboatError(str(wanted), f"status {image['status']} after its upload", "active", remedy)
    algorithm = image["os_hash_algo"]
    expected = digest if algorithm == _ALGORITHM else _digest_of(wanted, algorithm)
    if image["os_hash_value"] != expected:
        found = f"{algorithm} {image['os_hash_value']} of what Glance has"
        raise LifeboatError(str(wanted), found, f"{expected}, as it was sent", "Look at the network and Glance's log.")


def _shown(image: Json) -> Json:
    return {name: image[name] for name in ("id", "name", "os_hash_algo", "os_hash_value")}


class _Sent:
    """A file that is sent once: requests takes its length, reads it in blocks, and each of them is hashed."""

    def __init__(self, file: t.BinaryIO, size: int, wanted: Wanted, end: float) -> None:
        self._file, self._size, self._wanted, self._end = file, size, wanted, end
        self.digest = hashlib.new(_ALGORITHM)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    def read(self, size: int = _BLOCK) -> bytes:
        if time.monotonic() > self._end:
            found = f"{self._file.tell()} of {self._size} bytes sent after {self._wanted.timeout_s:g} s"
            raise LifeboatError(str(self._wanted), found, "all of them", "Give a longer timeout.")
        block = self._file.read(size)
        self.digest.update(block)
        return block
