# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Makes the server of an import: its volumes, then the server, and its floating IP while Nova builds it.

Of a server that an interrupted run has left, only what is missing.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils import _servers, _volumes
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_parts import (
    Parts,
    find_server,
    is_begun,
    volumes_named,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import BEGUN_KEY
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    RefusalError,
    asked_again,
    explained_errors,
    make,
    read,
    remove,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_parts import Wanted
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service

_POLL_S = 0.5
# How long a service may be unable to tell how far it is.
_GRACE_S = 60.0
# The first status that is no refusal but an error of the service.
_BROKEN = 500


@dataclass(slots=True)
class Made:
    """``server`` is None in check mode. ``address`` is the floating IP, or the first other one. Times in seconds."""

    actions: list[str]
    changed: bool = True
    server: Json | None = None
    address: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def provide_server(cloud: Cloud, wanted: Wanted, check: bool) -> Made:
    """The server, made unless it is there; LifeboatError says what was made until then, which stays."""
    there = find_server(cloud.compute, wanted)
    if there is not None:
        return _go_on(cloud, wanted, there, check)
    parts = Parts.find(cloud, wanted)
    made = Made(list(_actions(wanted, parts)))
    if not check:
        _Making(cloud, wanted, parts, made).go()
    return made


def _go_on(cloud: Cloud, wanted: Wanted, there: Json, check: bool) -> Made:
    """What a run that was interrupted has left to be done of a server that is there."""
    lacks_address = bool(wanted.external_network) and not _has_floating_ip(there)
    begun = _begun_of(cloud, wanted)
    actions = [f"note that volume {name} has its server" for name in begun.values()]
    actions += [_address_action(wanted)] if lacks_address else []
    made = Made(actions, changed=bool(actions), server=_shown(there), address=_address_in(there))
    if not check and (begun or lacks_address or there["status"] == "BUILD"):
        _Making(cloud, wanted, Parts.of_address(cloud, wanted, lacks_address), made).go_on(there, begun)
    return made


def _begun_of(cloud: Cloud, wanted: Wanted) -> dict[str, str]:
    """The names of its volumes that still say that no server has them, by id."""
    found = [each for volume in wanted.volumes for each in volumes_named(cloud.block_storage, volume["name"])]
    return {each["id"]: each["name"] for each in found if is_begun(each, wanted)}


def _actions(wanted: Wanted, parts: Parts) -> t.Iterator[str]:
    for each in wanted.volumes:
        of = f" from image {each['image']}" if each["image"] else ""
        how = "use" if each["name"] in parts.volumes else "make"
        yield f"{how} volume {each['name']} of {each['size']} GiB{of}"
    of = f"volume {wanted.volumes[0]['name']}" if wanted.boot_from_volume else f"image {wanted.image}"
    yield f"make server {wanted.name} from {of}"
    if wanted.external_network:
        yield _address_action(wanted)


def _address_action(wanted: Wanted) -> str:
    return f"give it a floating IP of {wanted.external_network}"


def _shown(body: Json) -> Json:
    return {key: body[key] for key in ("id", "name", "status")}


def _addresses(body: Json) -> list[Json]:
    return [each for addresses in body["addresses"].values() for each in addresses]


def _is_floating(address: Json) -> bool:
    return bool(address.get("OS-EXT-IPS:type") == "floating")


def _has_floating_ip(body: Json) -> bool:
    return any(map(_is_floating, _addresses(body)))


def _address_in(body: Json) -> str:
    ordered = sorted(_addresses(body), key=lambda each: not _is_floating(each))
    return str(ordered[0]["addr"]) if ordered else ""


class _Making:
    def __init__(self, cloud: Cloud, wanted: Wanted, parts: Parts, made: Made) -> None:
        self._cloud, self._wanted, self._parts, self._made = cloud, wanted, parts, made
        self._left: list[str] = []
        self._floating_ip = ""
        self._began = time.monotonic()

    def go(self) -> None:
        with self._told():
            self._await_server(self._make_server(self._make_volumes()), "ACTIVE")

    def go_on(self, there: Json, begun: Iterable[str]) -> None:
        """A server that somebody has stopped meanwhile stays so."""
        with self._told():
            self._note_server_of(begun)
            self._await_server(there["id"], "ACTIVE" if there["status"] == "BUILD" else there["status"])

    @contextlib.contextmanager
    def _told(self) -> t.Iterator[None]:
        """A LifeboatError from within says what was made."""
        try:
            with explained_errors(f"server {self._wanted.name}"):
                yield
        except LifeboatError as error:
            self._give_back()
            remedy = f"{error.remedy} Made until then: {', '.join(self._left) or 'nothing'}."
            more = {"made": self._left}
            raise LifeboatError(error.thing, error.found, error.expected, remedy, more) from error

    def _give_back(self) -> None:
        """Who removes the server may no longer know of its address: Nova takes the port of one that fails."""
        if not self._floating_ip:
            return
        self._left.append(f"floating IP {self._made.address}")
        with contextlib.suppress(LifeboatError), explained_errors("floating IP"):
            remove(self._cloud.network, f"/floatingips/{self._floating_ip}")
            self._left.pop()

    def _make_volumes(self) -> list[str]:
        """The ids of the volumes, which the guest is to find when it boots for the first time."""
        if not self._wanted.volumes:
            return []
        api, ids = self._cloud.block_storage, {}
        for each in self._wanted.volumes:
            thing = f"volume {each['name']}"
            ids[thing] = self._parts.volumes.get(each["name"]) or self._make_volume(each)
            self._left.append(thing)
        for thing, key in ids.items():
            self._await(thing, "available", partial(self._look, api, "volume", key, _volumes.MICROVERSION))
        self._note("volumes")
        return list(ids.values())

    def _make_volume(self, wanted: Json) -> str:
        """Its id. Its metadata tell a later run that it may be used again, until it has had a server."""
        body: Json = {"name": wanted["name"], "size": wanted["size"]}
        body["metadata"] = {**self._wanted.metadata, BEGUN_KEY: self._parts.made_of(wanted)}
        if wanted["image"]:
            body["imageRef"] = self._parts.images[wanted["image"]]
        made = make(self._cloud.block_storage, "/volumes", {"volume": body}, _volumes.MICROVERSION)
        return str(made["volume"]["id"])

    def _make_server(self, volumes: Sequence[str]) -> str:
        """Its id."""
        body = {"server": self._server_body(volumes)}
        # Where no answer comes it may be there all the same.
        self._left.append(f"server {self._wanted.name}")
        try:
            key = make(self._cloud.compute, "/servers", body, _servers.MICROVERSION)["server"]["id"]
        except RefusalError as refusal:
            if refusal.status < _BROKEN:
                self._left.pop()
            raise
        self._note_server_of(volumes)
        return str(key)

    def _note_server_of(self, volumes: Iterable[str]) -> None:
        for key in volumes:
            remove(self._cloud.block_storage, f"/volumes/{key}/metadata/{BEGUN_KEY}", _volumes.MICROVERSION)

    def _await_server(self, key: str, status: str) -> None:
        look = partial(self._look, self._cloud.compute, "server", key, _servers.MICROVERSION)
        # Its port is there long before it is ACTIVE.
        found = self._await(f"server {self._wanted.name}", status, look, meanwhile=lambda: self._has_address(key))
        self._note("server")
        self._made.server = _shown(found)
        if not self._floating_ip:
            self._made.address = _address_in(found)

    @staticmethod
    def _look(api: Service, kind: str, key: str, microversion: str) -> Json:
        """What the service tells of a volume or a server; of a failure Nova tells the fault, Cinder has messages."""
        body: Json = read(api, f"/{kind}s/{key}", microversion)[kind]
        if kind == "volume" and body["status"] == "error":
            body["fault"] = {"message": "; ".join(_volumes.messages_about(api, key).values()) or "no reason"}
        return body

    def _server_body(self, volumes: Sequence[str]) -> Json:
        body = {
            "name": self._wanted.name,
            "flavorRef": self._parts.flavor,
            "networks": [{"uuid": each} for each in self._parts.networks],
            "security_groups": [{"name": each} for each in self._wanted.security_groups],
            "metadata": dict(self._wanted.metadata),
        }
        volume = {"source_type": "volume", "destination_type": "volume", "delete_on_termination": False}
        disks = [{**volume, "uuid": each, "boot_index": -1} for each in volumes]
        if self._wanted.boot_from_volume:
            disks[0]["boot_index"] = 0
        else:
            image = self._parts.images[self._wanted.image]
            copy = {"source_type": "image", "destination_type": "local", "delete_on_termination": True}
            disks.insert(0, {**copy, "uuid": image, "boot_index": 0})
            body["imageRef"] = image
        return {**body, "block_device_mapping_v2": disks}

    def _has_address(self, server: str) -> bool:
        """Give it its floating IP as soon as it has a port on its first network."""
        if self._floating_ip or not self._parts.external:
            return True
        api = self._cloud.network
        query = {"device_id": server, **({"network_id": self._parts.networks[0]} if self._parts.networks else {})}
        ports = asked_again(lambda: read(api, "/ports", **query)["ports"], _GRACE_S, _POLL_S)
        if not ports or not ports[0]["fixed_ips"]:
            return False
        wanted = {"floating_network_id": self._parts.external, "port_id": ports[0]["id"]}
        body = make(api, "/floatingips", {"floatingip": wanted})["floatingip"]
        self._floating_ip, self._made.address = body["id"], body["floating_ip_address"]
        self._note("floating IP")
        return True

    def _await(
        self, thing: str, expected: str, look: Callable[[], Json], meanwhile: Callable[[], bool] = lambda: True
    ) -> Json:
        """What it is with the expected status, and once ``meanwhile`` is done; LifeboatError when that is not to be."""
        while True:
            done = meanwhile()
            body = asked_again(look, _GRACE_S, _POLL_S)
            status = body["status"]
            if done and status == expected:
                return body
            if status.lower() == "error":
                said = (body.get("fault") or {}).get("message", "no reason")
                raise LifeboatError(thing, f"{status}: {said}", expected, "Read the log of its service.")
            if time.monotonic() - self._began > self._wanted.timeout_s:
                found = f"{status}{'' if done else ' without a port'} after {self._wanted.timeout_s:g} s"
                raise LifeboatError(thing, found, expected, "Look at its service, or give a longer timeout.")
            time.sleep(_POLL_S)

    def _note(self, step: str) -> None:
        self._made.seconds[step] = round(time.monotonic() - self._began, 2)
