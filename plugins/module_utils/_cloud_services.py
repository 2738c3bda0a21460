# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The services and agents that report to the APIs of a cloud, all in one form."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read_list

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json


@dataclass(frozen=True, slots=True)
class CloudService:
    """A service on a host. ``name`` is how its API calls the place, with the back end of a volume service."""

    api: str
    binary: str
    host: str
    name: str
    up: bool
    enabled: bool
    reason: str


def read_services(cloud: t.Any, apis: Sequence[str]) -> list[CloudService]:
    """What reports to ``apis`` of openstacksdk's connection ``cloud``, sorted; errors as in _openstack."""
    found = [service for api in apis for service in _READERS[api](cloud)]
    return sorted(found, key=lambda service: (service.api, service.binary, service.name))


def _of_compute(cloud: t.Any) -> Iterable[CloudService]:
    return (_with_state("compute", entry) for entry in read_list(cloud.compute, "/os-services", "services"))


def _of_volume(cloud: t.Any) -> Iterable[CloudService]:
    return (_with_state("volume", entry) for entry in read_list(cloud.block_storage, "/os-services", "services"))


def _with_state(api: str, entry: Json) -> CloudService:
    return CloudService(
        api=api,
        binary=entry["binary"],
        host=entry["host"].partition("@")[0],
        name=entry["host"],
        up=entry["state"] == "up",
        enabled=entry["status"] == "enabled",
        reason=entry.get("disabled_reason") or "",
    )


def _of_network(cloud: t.Any) -> Iterable[CloudService]:
    for entry in read_list(cloud.network, "/agents", "agents"):
        host = entry["host"]
        yield CloudService("network", entry["binary"], host, host, entry["alive"], entry["admin_state_up"], "")


def _of_orchestration(cloud: t.Any) -> Iterable[CloudService]:
    # Each worker has an entry, and that of a worker which died stays: a host is well when one of its workers is.
    up: dict[tuple[str, str], bool] = {}
    for entry in read_list(cloud.orchestration, "/services", "services"):
        place = (entry["binary"], entry["host"])
        up[place] = up.get(place, False) or entry["status"] == "up"
    for (binary, host), alive in up.items():
        yield CloudService("orchestration", binary, host, host, alive, enabled=True, reason="")


_READERS = {
    "compute": _of_compute,
    "network": _of_network,
    "orchestration": _of_orchestration,
    "volume": _of_volume,
}
