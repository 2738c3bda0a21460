# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What an operator wants a cloud to offer beside what it offers: the items of both, and how they differ.

``wanted`` holds the variables cloud_content_KIND by kind, ``found`` what the module content_info returned.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

Item = Mapping[str, t.Any]

KINDS = {
    "projects": "project",
    "users": "user",
    "flavors": "flavor",
    "images": "image",
    "networks": "network",
    "aggregates": "aggregate",
    "volume_types": "volume type",
}
# The quotas of a project as each service names them; Neutron's usage has other names than its limits.
NOVA_QUOTAS = ("cores", "instances", "key_pairs", "metadata_items", "ram", "server_group_members", "server_groups")
CINDER_QUOTAS = ("backup_gigabytes", "backups", "gigabytes", "groups", "per_volume_gigabytes", "snapshots", "volumes")
NEUTRON_QUOTAS = {
    "floatingip": "floating_ips",
    "network": "networks",
    "port": "ports",
    "rbac_policy": "rbac_policies",
    "router": "routers",
    "security_group": "security_groups",
    "security_group_rule": "security_group_rules",
    "subnet": "subnets",
    "subnetpool": "subnet_pools",
}
# What an item says of itself, by kind; what is not given is not compared, except lists and properties of these.
_COMPARED = {
    "projects": ("description",),
    "users": ("email",),
    "flavors": ("vcpus", "ram_mib", "disk_gib", "public"),
    "images": ("visibility", "golden"),
    "networks": ("external", "shared", "segment", "mtu"),
    "aggregates": ("zone",),
    "volume_types": ("description", "public"),
}
_SUBNET_COMPARED = ("gateway", "dhcp")


@dataclass(frozen=True, slots=True)
class Content:
    """What is wanted and what was found, by kind, and the files of images by path."""

    wanted: Mapping[str, Sequence[Item]]
    found: Mapping[str, t.Any]
    files: Mapping[str, t.Any]

    def present(self, kind: str) -> list[Item]:
        return [item for item in self.wanted[kind] if is_present(item)]

    def absent(self, kind: str) -> list[Item]:
        return [item for item in self.wanted[kind] if not is_present(item)]

    def names(self, kind: str) -> set[str]:
        """Of what will be there afterwards."""
        gone = {str(item["name"]) for item in self.absent(kind)}
        return ({*(self.found[kind] or ())} | {str(item["name"]) for item in self.present(kind)}) - gone

    def found_as(self, kind: str, name: str) -> Item | None:
        """What was found under a name; the first of several."""
        entry = (self.found[kind] or {}).get(name)
        if isinstance(entry, list):
            entry = entry[0] if entry else None
        return t.cast("Item | None", entry)

    def found_subnets(self, network: str) -> dict[str, Item]:
        """By name."""
        found = self.found_as("networks", network) or {}
        return {each["name"]: each for each in found.get("subnets", ())}


def content_of(wanted: object, found: object, files: object) -> Content:
    """Read the three as they come from Ansible; LifeboatError when one has another shape."""
    for name, value in (("wanted", wanted), ("found", found), ("files", files)):
        if not isinstance(value, Mapping):
            raise LifeboatError(f"cloud content, {name}", repr(value), "a dictionary", "Correct the call.")
    read: dict[str, list[Item]] = {}
    for kind in KINDS:
        items = t.cast("Mapping[str, t.Any]", wanted).get(kind) or []
        good = isinstance(items, Sequence) and not isinstance(items, str)
        if not good or not all(isinstance(item, Mapping) and item.get("name") for item in items):
            remedy = "Correct the inventory."
            raise LifeboatError(f"cloud_content_{kind}", repr(items), "a list of items that each have a name", remedy)
        read[kind] = [{**item, "name": str(item["name"])} for item in items]
    return Content(read, t.cast("Item", found), t.cast("Item", files))


def is_present(item: Item) -> bool:
    return bool(item.get("state", "present") == "present")


def texts(properties: Item | None) -> dict[str, str]:
    """Properties as the APIs keep them."""
    given = (properties or {}).items()
    return {str(key): str(value).lower() if isinstance(value, bool) else str(value) for key, value in given}


def content_changes(content: Content) -> dict[str, t.Any]:
    """What has to be made, changed or removed, by kind, and ``says``, a line for each of them.

    Beside the kinds there are ``quotas`` ({name, quotas}), ``roles`` ({user, project, role, state}) and ``subnets``
    (as in the inventory, with ``network``).
    """
    steps = {kind: [*_steps(content, kind)] for kind in KINDS}
    steps |= {"quotas": [*_quotas(content)], "roles": [*_roles(content)], "subnets": [*_subnets(content)]}
    return {kind: [item for item, _says in of_kind] for kind, of_kind in steps.items()} | {
        "says": [says for of_kind in steps.values() for _item, says in of_kind]
    }


def _steps(content: Content, kind: str) -> Iterator[tuple[Item, str]]:
    for item in content.wanted[kind]:
        found = content.found_as(kind, item["name"])
        thing = f"{KINDS[kind]} {item['name']}"
        step = (
            _kept(kind, found) | {**item} | {key: texts(item[key]) for key in ("properties", "metadata") if key in item}
        )
        if not is_present(item):
            if found is not None:
                yield step, f"{thing}: remove"
        elif found is None:
            yield step, f"{thing}: make"
        elif different := [*_differences(kind, item, found)]:
            yield step, f"{thing}: {'; '.join(different)}"


def _kept(kind: str, found: Item | None) -> dict[str, t.Any]:
    """What an item has of its own, for modules that set it to a default where it is not said."""
    keys = (*_COMPARED[kind], *(("properties",) if kind in ("flavors", "volume_types") else ()))
    return {key: found[key] for key in keys if found is not None and found[key] not in (None, "")}


def _differences(kind: str, item: Item, found: Item) -> Iterator[str]:
    for key in _COMPARED[kind]:
        if item.get(key) is not None and item[key] != found[key]:
            yield f"{key} {found[key]!r} to {item[key]!r}"
    if kind == "aggregates" and "hosts" in item and sorted(item["hosts"]) != found["hosts"]:
        yield f"hosts {', '.join(found['hosts']) or 'none'} to {', '.join(sorted(item['hosts'])) or 'none'}"
    key = "metadata" if kind == "aggregates" else "properties"
    if kind in ("flavors", "volume_types", "images", "aggregates") and key in item:
        given = texts(item[key])
        # Glance and its clients keep properties of their own beside those that are given.
        there = {name: value for name, value in texts(found[key]).items() if kind != "images" or name in given}
        if given != there:
            yield f"{key} {there} to {given}"


def _quotas(content: Content) -> Iterator[tuple[Item, str]]:
    for item in content.present("projects"):
        found = content.found["quotas"].get(item["name"], {})
        different = {
            name: limit
            for name, limit in (item.get("quotas") or {}).items()
            if name not in found or found[name]["limit"] != limit
        }
        if different:
            says = ", ".join(
                f"{name} {found[name]['limit']} to {limit}" if name in found else f"{name} {limit}"
                for name, limit in different.items()
            )
            yield {"name": item["name"], "quotas": different}, f"quotas of project {item['name']}: {says}"


def _roles(content: Content) -> Iterator[tuple[Item, str]]:
    """``roles`` are all that the user holds on the project, so others are taken away."""
    for item in content.present("users"):
        if not item.get("project"):
            continue
        user, project = item["name"], item["project"]
        wanted = set(item.get("roles") or ())
        held = set((content.found_as("users", user) or {}).get("roles", {}).get(project, ()))
        for role in sorted(wanted ^ held):
            state = "present" if role in wanted else "absent"
            verb = "grant" if role in wanted else "take away"
            step = {"user": user, "project": project, "role": role, "state": state}
            yield step, f"user {user}: {verb} the role {role} on project {project}"


def _subnets(content: Content) -> Iterator[tuple[Item, str]]:
    for network in content.present("networks"):
        there = content.found_subnets(network["name"])
        for subnet in network.get("subnets") or ():
            found = there.get(subnet["name"])
            kept = {"dhcp": found["dhcp"], "gateway": found["gateway"] or ""} if found else {}
            step = {**kept, **subnet, "network": network["name"]}
            thing = f"subnet {subnet['name']} of network {network['name']}"
            if not is_present(subnet):
                if found:
                    yield step, f"{thing}: remove"
            elif not found:
                yield step, f"{thing}: make"
            elif different := [*_subnet_differences(subnet, found)]:
                yield step, f"{thing}: {'; '.join(different)}"


def _subnet_differences(subnet: Item, found: Item) -> Iterator[str]:
    for key in _SUBNET_COMPARED:
        if subnet.get(key) is not None and (subnet[key] or None) != (found[key] or None):
            yield f"{key} {found[key]!r} to {subnet[key]!r}"
    if "dns" in subnet and sorted(subnet["dns"]) != sorted(found["dns"]):
        yield f"dns {found['dns']} to {subnet['dns']}"
    if subnet.get("pool_start") and found["pools"] != [[subnet["pool_start"], subnet["pool_end"]]]:
        yield f"pool {found['pools']} to {subnet['pool_start']} - {subnet['pool_end']}"
