# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a project sees of a cloud, as far as an import is planned by it.

All of it is read in one session, because a module call for each kind costs more than all the requests together.
"""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._images import properties_of, read_images
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read_list
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import MICROVERSION as SERVERS
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import details_of_servers
from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import MICROVERSION as VOLUMES

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Cloud, Json


def read_target(cloud: Cloud) -> Json:
    """The cloud in the words of import_plan."""
    networks = read_list(cloud.network, "/networks", "networks")
    # A project may be forbidden to read extra specs; servers of a cell that is down have no more than a UUID.
    return {
        "flavors": [
            {**{key: body[key] for key in ("name", "vcpus", "ram", "disk")}, "extra_specs": body.get("extra_specs", {})}
            for body in read_list(cloud.compute, "/flavors/detail", "flavors", SERVERS)
        ],
        "networks": [body["name"] for body in networks],
        "open_networks": [body["name"] for body in networks if body.get("port_security_enabled") is False],
        "routers": [body["name"] for body in read_list(cloud.network, "/routers", "routers")],
        "security_groups": [
            {**{key: body[key] for key in ("name", "description")}, "rules": body["security_group_rules"]}
            for body in read_list(cloud.network, "/security-groups", "security_groups")
        ],
        "images": [
            {**{key: body[key] for key in ("id", "name", "status")}, "properties": properties_of(body)}
            for body in read_images(cloud.image)
        ],
        "volumes": _volumes(cloud),
        "servers": [
            {"name": body["name"], "metadata": body["metadata"]}
            for body in details_of_servers(cloud.compute, SERVERS)
            if "name" in body
        ],
    }


def _volumes(cloud: Cloud) -> list[Json]:
    if not cloud.has_service("block-storage"):
        return []
    bodies = read_list(cloud.block_storage, "/volumes/detail", "volumes", VOLUMES)
    return [{"name": body["name"], "metadata": body["metadata"]} for body in bodies]
