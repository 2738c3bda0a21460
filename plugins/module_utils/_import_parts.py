# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the server of an import is made of, found by name and refused before anything is made."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.lifeboat.cloud.plugins.module_utils import _servers, _volumes
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._images import read_images
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import BEGUN_KEY
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read_list

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service

_OTHER_NAME = "Choose another name, or remove it if nobody needs it."


@dataclass(frozen=True, slots=True)
class Wanted:
    """The server by the names of all that it is made of; ``external_network`` may be empty.

    ``volumes`` have name, image (None for an empty one) and size in GiB, in the order of the guest's disks. With
    ``boot_from_volume`` it boots from the first of them, else from a copy of its image that Nova makes.
    """

    name: str
    image: str
    flavor: str
    networks: Sequence[str]
    security_groups: Sequence[str]
    volumes: Sequence[Json]
    metadata: Mapping[str, str]
    external_network: str
    timeout_s: float
    boot_from_volume: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """The UUIDs of what the server is made of; ``images`` and the ``volumes`` that are there by name."""

    images: Mapping[str, str]
    volumes: Mapping[str, str]
    flavor: str
    networks: Sequence[str]
    external: str

    @classmethod
    def find(cls, cloud: Cloud, wanted: Wanted) -> Parts:
        """LifeboatError for what is not there, or more than once, and for a volume that no earlier run has begun."""
        if not wanted.networks:
            raise LifeboatError(f"server {wanted.name}", "no network", "at least one", "Name a network.")
        if wanted.boot_from_volume and (not wanted.volumes or wanted.volumes[0]["image"] != wanted.image):
            expected = f"one of image {wanted.image} to boot from"
            raise LifeboatError(f"server {wanted.name}", "another first volume, or none", expected, "Correct volumes.")
        names = [wanted.image, *(each["image"] for each in wanted.volumes if each["image"])]
        flavors = read_list(cloud.compute, "/flavors", "flavors", _servers.MICROVERSION)
        parts = cls(
            {name: _image(cloud.image, name) for name in dict.fromkeys(names)},
            {},
            _only("flavor", wanted.flavor, [each for each in flavors if each["name"] == wanted.flavor])["id"],
            [_network(cloud.network, name)["id"] for name in wanted.networks],
            _external(cloud.network, wanted.external_network) if wanted.external_network else "",
        )
        _refuse_unknown_groups(cloud.network, wanted)
        return replace(parts, volumes=_begun_volumes(cloud, wanted, parts))

    def made_of(self, volume: Json) -> str:
        """What its metadata say of a volume that no server has had yet."""
        return self.images[volume["image"]] if volume["image"] else "true"

    @classmethod
    def of_address(cls, cloud: Cloud, wanted: Wanted, lacks_address: bool) -> Parts:
        """Of a server that is there only what its floating IP is made of; of those networks that are named."""
        if not lacks_address:
            return cls({}, {}, "", [], "")
        networks = [_network(cloud.network, name)["id"] for name in wanted.networks if name]
        return cls({}, {}, "", networks, _external(cloud.network, wanted.external_network))


def find_server(compute: Service, wanted: Wanted) -> Json | None:
    """The server of that name, which must have the metadata that is wanted."""
    found = _servers.servers_named(compute, wanted.name)
    if not found:
        return None
    if len(found) > 1 or not wanted.metadata.items() <= found[0]["metadata"].items():
        raise LifeboatError(f"server {wanted.name}", "another one of that name", "none, or this one", _OTHER_NAME)
    if found[0]["status"] == "ERROR":
        said = found[0].get("fault", {}).get("message", "no reason")
        raise LifeboatError(f"server {wanted.name}", f"ERROR: {said}", "ACTIVE", "Remove it, and run this again.")
    return found[0]


def _only(kind: str, name: str, found: Sequence[Json]) -> Json:
    if len(found) != 1:
        ids = ", ".join(sorted(each["id"] for each in found))
        said = f"{len(found)} of that name: {ids}" if found else "none that this user sees"
        raise LifeboatError(f"{kind} {name}", said, "one", "Correct the name.")
    return found[0]


def _image(glance: Service, name: str) -> str:
    # Without visibility=all, so that a stranger's community image of the same name is in nobody's way.
    image = _only("image", name, list(read_images(glance, name=name)))
    if image["status"] != "active":
        raise LifeboatError(f"image {name}", f"status {image['status']}", "active", "Upload its data first.")
    return str(image["id"])


def _network(neutron: Service, name: str) -> Json:
    return _only("network", name, read_list(neutron, "/networks", "networks", name=name))


def _external(neutron: Service, name: str) -> str:
    found = _network(neutron, name)
    if not found.get("router:external"):
        raise LifeboatError(f"network {name}", "no external one", "one that has floating IPs", "Correct the name.")
    return str(found["id"])


def _refuse_unknown_groups(neutron: Service, wanted: Wanted) -> None:
    for name in dict.fromkeys(wanted.security_groups):
        # An administrator sees those of all projects; which one is this project's, Nova knows.
        if not read_list(neutron, "/security-groups", "security_groups", name=name):
            raise LifeboatError(f"security group {name}", "none that this user sees", "one", "Correct the name.")


def _begun_volumes(cloud: Cloud, wanted: Wanted, parts: Parts) -> dict[str, str]:
    """Those that an interrupted run has made of these images for this server, which then did not come about."""
    begun = {}
    for each in wanted.volumes:
        there = volumes_named(cloud.block_storage, each["name"])
        if there:
            if len(there) > 1 or not is_begun(there[0], wanted) or there[0]["size"] != each["size"]:
                raise LifeboatError(f"volume {each['name']}", "one that is there already", "none", _OTHER_NAME)
            if there[0]["metadata"][BEGUN_KEY] != parts.made_of(each):
                found, remedy = "one that was made of another image", "Remove it, as no server has had it."
                raise LifeboatError(f"volume {each['name']}", found, "none", remedy)
            begun[each["name"]] = there[0]["id"]
    return begun


def volumes_named(cinder: Service, name: str) -> list[Json]:
    return read_list(cinder, "/volumes/detail", "volumes", _volumes.MICROVERSION, name=name)


def is_begun(volume: Json, wanted: Wanted) -> bool:
    """Whether it was made for this server, and no server has had it as far as its metadata tell."""
    metadata: Mapping[str, str] = volume["metadata"]
    return bool(wanted.metadata) and wanted.metadata.items() <= metadata.items() and BEGUN_KEY in metadata
