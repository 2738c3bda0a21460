# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Images of Glance: how one is found, in which stores it is, and what Glance does with it."""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

# The keys of an image that are Glance's own; all others are properties.
_OWN_KEYS = {
    *("checksum", "container_format", "created_at", "direct_url", "disk_format", "file", "id", "locations", "min_disk"),
    *("min_ram", "name", "os_hash_algo", "os_hash_value", "os_hidden", "owner", "protected", "schema", "self", "size"),
    *("status", "stores", "tags", "updated_at", "virtual_size", "visibility"),
}
# Of what Glance verifies when it has written a copy (glance/location.py).
_IDENTITY = ("size", "checksum", "os_hash_algo", "os_hash_value")


@dataclass(frozen=True, slots=True)
class Image:
    """An image. ``stores`` are those that have its data, ``importing`` and ``failed`` those of a copy under way.

    ``identity`` is what tells its data from others, as far as Glance knows it; ``task`` is the import that Glance does
    now, None when there is none.
    """

    id: str
    name: str
    status: str
    stores: tuple[str, ...]
    importing: tuple[str, ...]
    failed: tuple[str, ...]
    task: str | None
    identity: dict[str, t.Any]

    @classmethod
    def parse(cls, body: Json) -> Image:
        """From an answer of C(images)."""
        return cls(
            id=body["id"],
            name=body["name"] or "",
            status=body["status"],
            stores=_names(body.get("stores")),
            importing=_names(body.get("os_glance_importing_to_stores")),
            failed=_names(body.get("os_glance_failed_import")),
            task=body.get("os_glance_import_task"),
            identity={name: body[name] for name in _IDENTITY if body.get(name) is not None},
        )

    def __str__(self) -> str:
        return f"image {self.name or self.id}"


@dataclass(frozen=True, slots=True)
class Store:
    """A store of Glance."""

    name: str
    read_only: bool


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for name in (text or "").split(",") if name)


def find_image(glance: Service, name: str) -> Image:
    """The image of that UUID or name, of any project; LifeboatError when there is not exactly one."""
    try:
        uuid.UUID(name)
    except ValueError:
        bodies = list(read_images(glance, name=name, visibility="all"))
        if len(bodies) == 1:
            return Image.parse(bodies[0])
        ids = ", ".join(sorted(body["id"] for body in bodies))
        found = f"{len(bodies)} images of that name: {ids}" if bodies else "no image of that name"
        raise _not_one(name, found) from None
    try:
        return read_image(glance, name)
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        raise _not_one(name, "no image of that UUID") from refusal


def _not_one(name: str, found: str) -> LifeboatError:
    return LifeboatError(f"image {name}", found, "one", "Give the image's UUID, as a user who may see it.")


def read_image(glance: Service, key: str) -> Image:
    """The image of that UUID; RefusalError when there is none."""
    return Image.parse(read(glance, f"/images/{key}"))


def read_images(glance: Service, **query: str) -> Iterator[Json]:
    """What Glance tells of the images that the user sees and the query finds."""
    query = {"limit": "200", **query}
    while query:
        page = read(glance, "/images", **query)
        yield from page["images"]
        query = dict(parse_qsl(urlsplit(page.get("next") or "").query))


def properties_of(body: Json) -> Json:
    """The properties of an image, without what is Glance's own."""
    return {key: value for key, value in body.items() if key not in _OWN_KEYS}


def read_stores(glance: Service) -> dict[str, Store]:
    """All stores by name; LifeboatError when Glance keeps images in one place only."""
    try:
        bodies = read(glance, "/info/stores")["stores"]
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        remedy = "Set enabled_backends in glance-api.conf; the role glance takes it in glance_config_overrides."
        raise LifeboatError("Glance", "no stores with names", "several of them", remedy) from refusal
    return {body["id"]: Store(body["id"], body.get("read-only") == "true") for body in bodies}


def can_copy(glance: Service) -> bool:
    """Whether Glance copies images between its stores."""
    methods: list[str] = read(glance, "/info/import")["import-methods"]["value"]
    return "copy-image" in methods
