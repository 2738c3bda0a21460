# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is wrong with the content that is wanted of a cloud, told before the first change."""

from __future__ import annotations

import ipaddress
import typing as t
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ansible_collections.lifeboat.cloud.plugins.module_utils._content import (
    CINDER_QUOTAS,
    KINDS,
    NEUTRON_QUOTAS,
    NOVA_QUOTAS,
    Content,
    Item,
    is_present,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

_QUOTAS = {*NOVA_QUOTAS, *NEUTRON_QUOTAS.values(), *CINDER_QUOTAS}
# The cloud network on which servers get addresses beside the hosts; provider subnets may use no other.
_PUBLIC = "public"
# Every project has a security group of its own from the start.
_OF_EVERY_PROJECT = ("security_groups", "security_group_rules")
_OWN = {"projects": ("admin", "service"), "users": ("admin",)}

Network: t.TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Address: t.TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Networks of the cloud by name, and the addresses of its hosts, as the inventory has them."""

    networks: Mapping[str, str]
    addresses: Mapping[str, Mapping[str, str]]
    vip: str

    def holders(self) -> Iterator[tuple[str, Address]]:
        for host, of_host in self.addresses.items():
            for text in of_host.values():
                yield host, ipaddress.ip_address(text)
        if self.vip:
            yield "cloud_vip", ipaddress.ip_address(self.vip)


def content_findings(content: Content, around: Surroundings) -> list[Finding]:
    """Everything that is wrong, in a stable order; empty when nothing is."""
    return [
        *_twice(content),
        *_own(content),
        *_projects(content),
        *_users(content),
        *_flavors(content),
        *_images(content),
        *_networks(content),
        *_subnets(content, around),
        *_aggregates(content),
        *_volume_types(content),
    ]


def _twice(content: Content) -> Iterator[Finding]:
    for kind, thing in KINDS.items():
        for name, times in Counter(item["name"] for item in content.wanted[kind]).items():
            if times > 1:
                found = f"{times} times in cloud_content_{kind}"
                yield Finding(f"{thing} {name}", found, "each name once", "Take all but one out.")
    for kind in ("images", "networks"):
        for item in content.wanted[kind]:
            there = content.found[kind].get(item["name"], ())
            if len(there) > 1:
                ids = ", ".join(each["id"] for each in there)
                yield Finding(
                    f"{KINDS[kind]} {item['name']}",
                    f"{len(there)} of that name in the cloud ({ids})",
                    "one",
                    "Rename or remove the others by hand, for no one can tell which is meant.",
                )


def _own(content: Content) -> Iterator[Finding]:
    for kind, names in _OWN.items():
        for item in content.absent(kind):
            if item["name"] in names:
                yield Finding(
                    f"{KINDS[kind]} {item['name']}",
                    "state absent",
                    "what the cloud itself works with to stay",
                    f"Take it out of cloud_content_{kind}.",
                )


def _projects(content: Content) -> Iterator[Finding]:
    for item in content.wanted["projects"]:
        name = item["name"]
        there = content.found["quotas"].get(name, {})
        used = {key: quota["used"] for key, quota in there.items() if quota["used"] > 0}
        if not is_present(item):
            left = ", ".join(f"{key} {count}" for key, count in used.items() if key not in _OF_EVERY_PROJECT)
            if left:
                remedy = "Delete them first; without their project nobody could any more."
                yield Finding(f"project {name}", f"still in it: {left}", "an empty project before its removal", remedy)
            continue
        for key, limit in (item.get("quotas") or {}).items():
            thing = f"quota {key} of project {name}"
            if key not in _QUOTAS:
                yield Finding(thing, "no such quota", f"one of {', '.join(sorted(_QUOTAS))}", "Correct the name.")
            elif content.found["volume_types"] is None and key in CINDER_QUOTAS:
                yield Finding(thing, "no block storage in the cloud", "its service", "Install Cinder, or take it out.")
            elif isinstance(limit, bool) or not isinstance(limit, int) or limit < -1:
                yield Finding(thing, repr(limit), "a whole number, -1 for no limit", "Correct it.")
            elif 0 <= limit < used.get(key, 0):
                remedy = f"Ask for {used[key]} or more, or delete some first."
                yield Finding(thing, f"{used[key]} in use already", f"no more than the {limit} asked for", remedy)


def _users(content: Content) -> Iterator[Finding]:
    projects = content.names("projects")
    for item in content.present("users"):
        name = item["name"]
        project = item.get("project")
        if project and project not in projects:
            remedy = f"Add it to cloud_content_projects, or correct project of {name}."
            yield Finding(f"user {name}", f"project {project}, which is none", "a project of the cloud", remedy)
        for role in item.get("roles") or ():
            if role not in content.found["roles"]:
                known = ", ".join(content.found["roles"])
                yield Finding(f"user {name}", f"role {role}, which is none", f"one of {known}", "Correct the role.")
        if not item.get("password") and not content.found_as("users", name):
            remedy = "Give one, or the name of a secret of cloud_secrets."
            yield Finding(f"user {name}", "no password", "one for a new user", remedy)


def _flavors(content: Content) -> Iterator[Finding]:
    for item in content.present("flavors"):
        thing = f"flavor {item['name']}"
        needs = {key: item.get(key, 0) for key in ("vcpus", "ram_mib", "disk_gib")}
        if needs["vcpus"] < 1 or needs["ram_mib"] < 1 or needs["disk_gib"] < 0:
            asked = _sized(needs)
            yield Finding(thing, asked, "1 vCPU and 1 MiB or more", "Give vcpus, ram_mib and disk_gib.")
            continue
        hypervisors = content.found["hypervisors"]
        if hypervisors and not any(_fits(needs, each) for each in hypervisors):
            offered = "; ".join(f"{each['name']} {_sized(each)}" for each in hypervisors[:5])
            yield Finding(
                thing,
                f"{_sized(needs)}, which fits on no hypervisor, not even an empty one",
                f"no more than one of them has ({offered})",
                "Make the flavor smaller, or add a larger hypervisor first.",
            )


def _fits(needs: Mapping[str, int], hypervisor: Item) -> bool:
    return all(hypervisor[key] is None or need <= hypervisor[key] for key, need in needs.items())


def _sized(of: Item) -> str:
    return f"{of['vcpus']} vCPUs, {of['ram_mib']} MiB, {of['disk_gib']} GiB"


def _images(content: Content) -> Iterator[Finding]:
    for item in content.wanted["images"]:
        thing = f"image {item['name']}"
        found = content.found_as("images", item["name"])
        if not is_present(item):
            if found and found["golden"]:
                remedy = "Apply it once with golden: false, if it shall really go."
                yield Finding(thing, "golden (protected), and state absent", "an image that is not protected", remedy)
            continue
        file = content.files.get(item.get("file", ""))
        declared = str(item.get("sha256") or "").lower()
        if not file:
            if not found:
                where = item.get("file") or "no file given"
                yield Finding(thing, f"{where}: no such file", "a file on the control node", "Correct file.")
        elif declared and file["sha256"] != declared:
            remedy = "Get the file again from its source, or correct sha256 if the source says otherwise."
            yield Finding(thing, f"{item['file']} with SHA-256 {file['sha256']}", declared, remedy)
        elif declared and found and found["sha512"] not in (None, file["sha512"]):
            yield Finding(
                thing,
                f"other content in the catalogue (SHA-512 {found['sha512']})",
                f"that of {item['file']} (SHA-512 {file['sha512']})",
                "An image never changes: give the new one another name, or remove the old one first (state: absent).",
            )
        if found and found["status"] not in ("active", "deactivated"):
            remedy = "Wait for its end; if nobody uploads it any more, remove it (state: absent) and run again."
            yield Finding(thing, f"status {found['status']} in the catalogue", "active, with its content", remedy)
        if found and found["disk_format"] != item.get("disk_format", "qcow2"):
            remedy = "Correct disk_format, or remove the image first (state: absent)."
            yield Finding(
                thing, f"disk format {found['disk_format']} in the catalogue", item.get("disk_format", "qcow2"), remedy
            )


def _networks(content: Content) -> Iterator[Finding]:
    for item in content.present("networks"):
        found = content.found_as("networks", item["name"])
        for key in ("type", "physical_network"):
            if found and item.get(key) is not None and item[key] != found[key]:
                remedy = f"Correct {key}, or remove the network first (state: absent)."
                yield Finding(f"network {item['name']}", f"{key} {found[key]}", f"{item[key]}, as asked for", remedy)
        if item.get("type") in ("flat", "vlan") and not item.get("physical_network"):
            expected = f"one for a network of type {item['type']}"
            yield Finding(f"network {item['name']}", "no physical_network", expected, "Give one, such as physnet1.")


@dataclass(frozen=True, slots=True)
class _Subnet:
    thing: str
    item: Item
    range: Network
    provider: bool


def _subnets(content: Content, around: Surroundings) -> Iterator[Finding]:
    subnets: list[_Subnet] = []
    for network in content.present("networks"):
        there = content.found_subnets(network["name"])
        named = [subnet for subnet in network.get("subnets") or () if is_present(subnet)]
        for name, times in Counter(str(subnet.get("name")) for subnet in named).items():
            if times > 1:
                yield Finding(f"subnet {name}", f"{times} times in {network['name']}", "once", "Rename one.")
        for item in named:
            thing = f"subnet {item.get('name')} of network {network['name']}"
            cidr = str(item.get("cidr", ""))
            try:
                subnet = _Subnet(thing, item, ipaddress.ip_network(cidr), _is_provider(network))
            except ValueError as error:
                expected = "a network such as 192.0.2.0/24, its host bits zero"
                yield Finding(thing, f"{cidr!r} ({error})", expected, "Correct cidr.")
                continue
            known = there.get(item.get("name"))
            if known and known["cidr"] != cidr:
                remedy = "Correct cidr, or give the subnet another name."
                yield Finding(thing, f"{known['cidr']} in the cloud", f"{cidr}, as asked for", remedy)
            subnets.append(subnet)
            yield from _places(subnet, around)
    yield from _overlaps(subnets, around)


def _is_provider(network: Item) -> bool:
    return bool(network.get("external") or network.get("physical_network"))


def _places(subnet: _Subnet, around: Surroundings) -> Iterator[Finding]:
    """The gateway and the pool."""
    places: dict[str, Address] = {}
    for key in ("gateway", "pool_start", "pool_end"):
        text = str(subnet.item.get(key) or "")
        if not text:
            continue
        try:
            places[key] = ipaddress.ip_address(text)
        except ValueError:
            yield Finding(f"{key} of {subnet.thing}", repr(text), "an IP address", f"Correct {key}.")
            return
        if places[key] not in subnet.range:
            expected = f"an address in {subnet.range}"
            yield Finding(f"{key} of {subnet.thing}", f"{text}, outside", expected, f"Correct {key} or cidr.")
            return
    if ("pool_start" in places) != ("pool_end" in places) or (
        "pool_start" in places and int(places["pool_start"]) > int(places["pool_end"])
    ):
        found = f"{subnet.item.get('pool_start')} to {subnet.item.get('pool_end')}"
        yield Finding(f"pool of {subnet.thing}", found, "a first and a last address", "Correct both.")
        return
    first = places.get("pool_start", subnet.range.network_address)
    last = places.get("pool_end", subnet.range.broadcast_address)
    if subnet.provider:
        taken = [
            f"{address} ({holder})"
            for holder, address in around.holders()
            if address.version == first.version and int(first) <= int(address) <= int(last)
        ]
        if taken:
            yield Finding(
                f"pool of {subnet.thing}",
                f"addresses of hosts in it: {', '.join(taken[:5])}",
                "a pool that no host has an address in",
                "Choose another pool_start and pool_end.",
            )
    if "gateway" in places and "pool_start" in places and int(first) <= int(places["gateway"]) <= int(last):
        found = f"the gateway {places['gateway']} in it"
        yield Finding(f"pool of {subnet.thing}", found, "a pool without it", "Choose another pool or gateway.")


def _overlaps(subnets: Sequence[_Subnet], around: Surroundings) -> Iterator[Finding]:
    provider = [subnet for subnet in subnets if subnet.provider]
    for subnet in provider:
        for name, text in around.networks.items():
            if name != _PUBLIC and ipaddress.ip_network(text).overlaps(subnet.range):
                yield Finding(
                    subnet.thing,
                    f"{subnet.range}, which overlaps the cloud's own network {name} ({text})",
                    "a range that none of cloud_networks uses, except public",
                    "Choose another cidr, or servers and hosts would take each other's addresses.",
                )
    for one, other in combinations(provider, 2):
        if one.range.overlaps(other.range):
            found = f"{one.range}, which overlaps {other.range} of {other.thing}"
            yield Finding(one.thing, found, "a range of its own", "Choose another cidr for one of them.")


def _aggregates(content: Content) -> Iterator[Finding]:
    zones: defaultdict[str, dict[str, str]] = defaultdict(dict)
    gone = {item["name"] for item in content.absent("aggregates")}
    for name, found in content.found["aggregates"].items():
        for host in found["hosts"]:
            if found["zone"] and name not in gone:
                zones[host][name] = found["zone"]
    for item in content.present("aggregates"):
        for host in item.get("hosts") or ():
            if host not in content.found["hosts"]:
                known = ", ".join(content.found["hosts"]) or "none"
                remedy = "Correct hosts, or install the hypervisor first."
                yield Finding(f"aggregate {item['name']}", f"host {host}", f"one of {known}", remedy)
        for host, of_host in zones.items():
            if "hosts" in item and host not in item["hosts"]:
                of_host.pop(item["name"], None)
        for host in item.get("hosts") or ():
            if item.get("zone"):
                zones[host][item["name"]] = item["zone"]
    for host, of_host in sorted(zones.items()):
        if len(set(of_host.values())) > 1:
            found_zones = ", ".join(f"{zone} (aggregate {name})" for name, zone in sorted(of_host.items()))
            yield Finding(f"host {host}", f"in several zones: {found_zones}", "one zone", "Take it out of the others.")


def _volume_types(content: Content) -> Iterator[Finding]:
    wanted = content.present("volume_types")
    if wanted and content.found["volume_types"] is None:
        remedy = "Install Cinder first, or empty cloud_content_volume_types."
        yield Finding(f"volume type {wanted[0]['name']}", "no block storage in the cloud", "its service", remedy)
