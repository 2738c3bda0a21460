# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a cloud offers (projects, users, flavors, images ...) as its APIs tell it, in the words of cloud_content.

All of it is read in one session, because a module call for each kind costs more than all the requests together.
"""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._content import CINDER_QUOTAS, NEUTRON_QUOTAS, NOVA_QUOTAS
from ansible_collections.lifeboat.cloud.plugins.module_utils._hypervisors import survey
from ansible_collections.lifeboat.cloud.plugins.module_utils._images import properties_of, read_images
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read, read_list

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._hypervisors import Hypervisor, Survey
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json, Service

# 2.61 tells a flavor's extra specs with the flavor.
_FLAVOR_MICROVERSION = "2.61"
_CHUNK_BYTES = 2**20
_DOMAIN = "default"


class ContentCloud(t.Protocol):
    """What is used of openstack.connection.Connection beyond Cloud."""

    @property
    def identity(self) -> Service: ...

    @property
    def image(self) -> Service: ...

    @property
    def block_storage(self) -> Service: ...

    def has_service(self, service_type: str) -> bool: ...


def read_content(cloud: Cloud, quotas_of: Sequence[str]) -> Json:
    """Everything that cloud_content compares with, by kind; quotas with usage for the projects that are named."""
    more = t.cast("ContentCloud", cloud)
    volumes = more.block_storage if more.has_service("block-storage") else None
    projects = _projects(more.identity)
    found = survey(cloud, [])
    ids = {name: str(projects[name]["id"]) for name in quotas_of if name in projects}
    return {
        "projects": projects,
        **_people(more.identity),
        "flavors": _flavors(cloud.compute),
        "images": _images(more.image),
        "networks": _networks(cloud.network),
        "aggregates": _aggregates(cloud.compute),
        "volume_types": None if volumes is None else _volume_types(volumes),
        "hypervisors": [_largest(found, each) for each in found.hypervisors if each.inventories is not None],
        "hosts": sorted({each.host for each in found.hypervisors}),
        "quotas": {name: _quotas(cloud, volumes, project) for name, project in ids.items()},
    }


def read_files(paths: Iterable[str]) -> dict[str, dict[str, t.Any] | None]:
    """Size and checksums of files; None for one that is not there."""
    return {path: _file(Path(path)) for path in dict.fromkeys(paths)}


def _file(path: Path) -> dict[str, t.Any] | None:
    if not path.is_file():
        return None
    sums = {"sha256": hashlib.sha256(), "sha512": hashlib.sha512()}
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size += len(chunk)
            for each in sums.values():
                each.update(chunk)
    return {"size": size, **{name: each.hexdigest() for name, each in sums.items()}}


def _projects(identity: Service) -> dict[str, Json]:
    bodies = read(identity, "/projects", domain_id=_DOMAIN)["projects"]
    return {body["name"]: {key: body.get(key) for key in ("id", "description", "enabled")} for body in bodies}


def _people(identity: Service) -> Json:
    """Users with the roles that they hold on projects by themselves, and the names of all roles."""
    users: dict[str, Json] = {
        body["name"]: {"id": body["id"], "email": body.get("email") or "", "enabled": body["enabled"], "roles": {}}
        for body in read(identity, "/users", domain_id=_DOMAIN)["users"]
    }
    names = {str(user["id"]): name for name, user in users.items()}
    for body in read(identity, "/role_assignments", include_names="true")["role_assignments"]:
        name = names.get(body.get("user", {}).get("id"))
        project = body["scope"].get("project", {}).get("name")
        if name and project:
            users[name]["roles"].setdefault(project, []).append(body["role"]["name"])
    return {"users": users, "roles": sorted(body["name"] for body in read(identity, "/roles")["roles"])}


def _flavors(compute: Service) -> dict[str, Json]:
    bodies = read_list(compute, "/flavors/detail", "flavors", _FLAVOR_MICROVERSION, is_public="None")
    return {
        body["name"]: {
            "vcpus": body["vcpus"],
            "ram_mib": body["ram"],
            "disk_gib": body["disk"],
            "public": body["os-flavor-access:is_public"],
            "properties": body["extra_specs"],
        }
        for body in bodies
    }


def _images(image: Service) -> dict[str, list[Json]]:
    """By name, which several images may share."""
    images: dict[str, list[Json]] = {}
    for body in read_images(image):
        images.setdefault(body["name"], []).append(
            {
                **{key: body[key] for key in ("id", "disk_format", "visibility", "status", "size")},
                "golden": body["protected"],
                "sha512": body.get("os_hash_value") if body.get("os_hash_algo") == "sha512" else None,
                "properties": properties_of(body),
            }
        )
    return images


def _networks(network: Service) -> dict[str, list[Json]]:
    """By name, which several networks may share."""
    subnets: dict[str, list[Json]] = {}
    for body in read_list(network, "/subnets", "subnets"):
        subnets.setdefault(body["network_id"], []).append(
            {
                "name": body["name"],
                "cidr": body["cidr"],
                "gateway": body["gateway_ip"],
                "pools": [[pool["start"], pool["end"]] for pool in body["allocation_pools"]],
                "dhcp": body["enable_dhcp"],
                "dns": body["dns_nameservers"],
            }
        )
    networks: dict[str, list[Json]] = {}
    for body in read_list(network, "/networks", "networks"):
        networks.setdefault(body["name"], []).append(
            {
                "id": body["id"],
                "external": body.get("router:external", False),
                "shared": body["shared"],
                "type": body.get("provider:network_type"),
                "physical_network": body.get("provider:physical_network"),
                "segment": body.get("provider:segmentation_id"),
                "mtu": body.get("mtu"),
                "subnets": subnets.get(body["id"], []),
            }
        )
    return networks


def _aggregates(compute: Service) -> dict[str, Json]:
    return {
        body["name"]: {
            "zone": body["availability_zone"],
            "hosts": sorted(body["hosts"]),
            "metadata": {key: value for key, value in body["metadata"].items() if key != "availability_zone"},
        }
        for body in read_list(compute, "/os-aggregates", "aggregates")
    }


def _volume_types(volumes: Service) -> dict[str, Json]:
    bodies = read(volumes, "/types", is_public="None")["volume_types"]
    return {
        body["name"]: {
            "description": body.get("description") or "",
            "public": body.get("is_public", True),
            "properties": body.get("extra_specs") or {},
        }
        for body in bodies
    }


def _largest(found: Survey, hypervisor: Hypervisor) -> Json:
    """The largest server that the hypervisor takes when it is empty; None for what Placement does not count there."""
    own = hypervisor.inventories or {}
    pools = [pool.provider.inventories for pool in found.pools_of(hypervisor)]

    def most(name: str) -> int | None:
        counted = [each[name] for each in (own, *pools) if name in each]
        return max((min(each.capacity, each.max_unit) for each in counted), default=None)

    return {"name": hypervisor.name, "vcpus": most("VCPU"), "ram_mib": most("MEMORY_MB"), "disk_gib": most("DISK_GB")}


def _quotas(cloud: Cloud, volumes: Service | None, project: str) -> Json:
    """Limit and use by the name of the quota."""
    try:
        nova = read(cloud.compute, f"/os-quota-sets/{project}/detail")["quota_set"]
        neutron = read(cloud.network, f"/quotas/{project}/details.json")["quota"]
        cinder = {} if volumes is None else read(volumes, f"/os-quota-sets/{project}", usage="True")["quota_set"]
    except RefusalError as error:
        if error.status == 404:
            return {}
        raise
    return {
        **{name: {"limit": nova[name]["limit"], "used": nova[name]["in_use"]} for name in NOVA_QUOTAS if name in nova},
        **{
            name: {"limit": neutron[key]["limit"], "used": neutron[key]["used"]}
            for key, name in NEUTRON_QUOTAS.items()
            if key in neutron
        },
        **{
            name: {"limit": cinder[name]["limit"], "used": cinder[name]["in_use"]}
            for name in CINDER_QUOTAS
            if name in cinder
        },
    }
