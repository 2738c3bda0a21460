# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Does what a cloud is for: makes a server with network, address and volume, waits for its answer, removes it all."""

from __future__ import annotations

import http.client
import time
import typing as t
import uuid
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_S = 0.5
_ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the server shall be; ``port`` and ``path`` are what it answers to over HTTP, times in seconds."""

    image: str
    flavor: str
    external_network: str
    cidr: str
    volume_gib: int
    port: int
    path: str
    timeout_s: float


@dataclass(slots=True)
class Trial:
    """What has been made so far, newest first for removal, and how long each step took in seconds."""

    name: str
    seconds: dict[str, float] = field(default_factory=dict)
    remove: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    address: str = ""
    host: str = ""

    def made(self, what: str, remove: Callable[[], None]) -> None:
        """Remember how to remove what was made."""
        self.remove.insert(0, (what, remove))


def try_server(cloud: t.Any, wanted: Wanted, trial: Trial | None = None) -> Trial:
    """Make a server in the project of openstacksdk's connection ``cloud``, use it and remove all of it.

    LifeboatError with the step that failed; what was made is removed then too, and what cannot be is named.
    """
    trial = trial or Trial(f"trial-{uuid.uuid4().hex[:8]}")
    failure: LifeboatError | None = None
    try:
        for step, work in _STEPS.items():
            began = time.monotonic()
            work(cloud, wanted, trial)
            trial.seconds[step] = round(time.monotonic() - began, 2)
    except LifeboatError as error:
        failure = error
    except Exception as error:
        # Of openstacksdk: a refusal of an API, which says all in its message. It is told after the removal.
        failure = LifeboatError(f"server trial {trial.name}", str(error), "a request that succeeds", "See its service.")
    began = time.monotonic()
    left = [*_removed(trial), *_left(cloud, trial.name)]
    trial.seconds["removed"] = round(time.monotonic() - began, 2)
    if failure:
        kept = f" Left behind: {'; '.join(left)}." if left else ""
        remedy = f"{failure.remedy}{kept}"
        raise LifeboatError(failure.thing, failure.found, failure.expected, remedy) from failure
    if left:
        remedy = "Remove it by hand, and read the log of its service."
        raise LifeboatError(f"server trial {trial.name}", f"left behind {'; '.join(left)}", "nothing", remedy)
    return trial


def _network(cloud: t.Any, wanted: Wanted, trial: Trial) -> None:
    api = cloud.network
    external = _named(api.find_network(wanted.external_network), "network", wanted.external_network)
    network = api.create_network(name=trial.name)
    trial.made(f"network {trial.name}", lambda: api.delete_network(network))
    subnet = api.create_subnet(name=trial.name, network_id=network.id, ip_version=4, cidr=wanted.cidr)
    router = api.create_router(name=trial.name, external_gateway_info={"network_id": external.id})
    trial.made(f"router {trial.name}", lambda: api.delete_router(router))
    api.add_interface_to_router(router, subnet_id=subnet.id)
    trial.made(
        f"interface of router {trial.name}", lambda: api.remove_interface_from_router(router, subnet_id=subnet.id)
    )
    group = api.create_security_group(name=trial.name)
    trial.made(f"security group {trial.name}", lambda: api.delete_security_group(group))
    api.create_security_group_rule(
        security_group_id=group.id,
        direction="ingress",
        protocol="tcp",
        port_range_min=wanted.port,
        port_range_max=wanted.port,
    )


def _volume(cloud: t.Any, wanted: Wanted, trial: Trial) -> None:
    if not wanted.volume_gib:
        return
    api = cloud.block_storage
    volume = api.create_volume(name=trial.name, size=wanted.volume_gib)

    def remove() -> None:
        api.delete_volume(volume)
        _wait("volume", "gone", wanted.timeout_s, lambda: "there" if _one(api.volumes(name=trial.name)) else "gone")

    trial.made(f"volume {trial.name}", remove)
    _wait("volume", "available", wanted.timeout_s, lambda: api.get_volume(volume).status, failed="error")


def _active(cloud: t.Any, wanted: Wanted, trial: Trial) -> None:
    api = cloud.compute
    image = _named(cloud.image.find_image(wanted.image), "image", wanted.image)
    flavor = _named(api.find_flavor(wanted.flavor), "flavor", wanted.flavor)
    network = cloud.network.find_network(trial.name)
    server = api.create_server(
        name=trial.name,
        image_id=image.id,
        flavor_id=flavor.id,
        networks=[{"uuid": network.id}],
        security_groups=[{"name": trial.name}],
    )

    def remove() -> None:
        api.delete_server(server)
        _wait("server", "gone", wanted.timeout_s, lambda: "there" if _one(api.servers(name=trial.name)) else "gone")

    trial.made(f"server {trial.name}", remove)
    _wait("server", "ACTIVE", wanted.timeout_s, lambda: api.get_server(server).status, failed="ERROR")
    trial.host = api.get_server(server).compute_host or ""


def _answers(cloud: t.Any, wanted: Wanted, trial: Trial) -> None:
    api = cloud.network
    port = _named(_one(api.ports(device_id=_server(cloud, trial).id)), "port of the server", trial.name)
    external = api.find_network(wanted.external_network)
    address = api.create_ip(floating_network_id=external.id, port_id=port.id, description=trial.name)
    trial.made(f"floating IP {address.floating_ip_address}", lambda: api.delete_ip(address))
    trial.address = address.floating_ip_address
    _wait("answer of the server", "200", wanted.timeout_s, lambda: _status(trial.address, wanted))


def _attached(cloud: t.Any, wanted: Wanted, trial: Trial) -> None:
    if not wanted.volume_gib:
        return
    volume = _one(cloud.block_storage.volumes(name=trial.name))
    cloud.compute.create_volume_attachment(_server(cloud, trial), volume_id=volume.id)
    _wait(
        "volume",
        "in-use",
        wanted.timeout_s,
        lambda: cloud.block_storage.get_volume(volume).status,
        # Nova has reserved it before it answered.
        failed="available",
    )


_STEPS: dict[str, Callable[[t.Any, Wanted, Trial], None]] = {
    "network": _network,
    "volume available": _volume,
    "server ACTIVE": _active,
    "floating IP answers": _answers,
    "volume attached": _attached,
}


def _server(cloud: t.Any, trial: Trial) -> t.Any:
    return _one(cloud.compute.servers(name=trial.name))


def _one(found: Iterator[t.Any]) -> t.Any:
    return next(iter(found), None)


def _named(found: t.Any, kind: str, name: str) -> t.Any:
    if found is None:
        remedy = "Make it first (playbook cloud_content), or name another one."
        raise LifeboatError(f"{kind} {name}", "none that this project sees", "one", remedy)
    return found


def _status(address: str, wanted: Wanted) -> str:
    connection = http.client.HTTPConnection(address, wanted.port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", wanted.path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def _wait(thing: str, expected: str, timeout_s: float, ask: Callable[[], str], failed: str = "") -> None:
    """Ask until the answer is ``expected``; ``failed`` ends the wait at once."""
    deadline = time.monotonic() + timeout_s
    while (answer := ask()) != expected:
        if failed and answer == failed:
            raise LifeboatError(thing, answer, expected, "Read the log of the service that made it.")
        if time.monotonic() > deadline:
            remedy = "Look at the service, or give a longer timeout."
            raise LifeboatError(f"{thing} after {timeout_s:g} s", answer, expected, remedy)
        time.sleep(_POLL_S)


def _removed(trial: Trial) -> Iterator[str]:
    """Remove everything; yields what could not be removed."""
    for what, remove in trial.remove:
        try:
            remove()
        # What cannot be removed is told, and the rest is removed all the same.
        except Exception as error:
            yield f"{what} ({error})"


def _left(cloud: t.Any, name: str) -> Iterator[str]:
    """What there still is by the name of the trial."""
    lists = {
        "server": cloud.compute.servers(name=name),
        "volume": cloud.block_storage.volumes(name=name),
        "network": cloud.network.networks(name=name),
        "subnet": cloud.network.subnets(name=name),
        "router": cloud.network.routers(name=name),
        "security group": cloud.network.security_groups(name=name),
        "floating IP": cloud.network.ips(description=name),
    }
    for kind, found in lists.items():
        if _one(found) is not None:
            yield f"{kind} {name}"
