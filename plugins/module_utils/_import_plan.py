# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a machine of elsewhere becomes in a cloud: flavor, networks, images and volumes; and what stands against it."""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._import_reach import not_let_in
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import FILE_NAME, can_name_a_file

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Json = t.Mapping[str, t.Any]
SOURCE_PROPERTY = "lifeboat_import"
"""Property of an image and metadata of a server or volume: the SHA-256 of the source, and for an image its disk.

A source of several files has that of their SHA-256, sorted and with spaces between, since Nova takes 255 characters.
"""
BEGUN_KEY = "lifeboat_import_begun"
"""Metadata of a volume that no server has had yet: the UUID of the image it was made of, "true" for an empty one."""
REHEARSAL_DESCRIPTION = "Rehearsal of an import by lifeboat.cloud"
"""Description of the security group of a rehearsal, by which its network and router are known, too."""
NO_NETWORK = "default"
"""What the network of a machine that tells no interface is called in the mapping."""
_GIB = 2**30
_SIZES = {"vcpus": "VCPUs", "ram": "MiB of memory", "disk": "GiB of disk"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """What the cloud has, as import_target_info returns it; ``networks`` and ``routers`` are names.

    Of the networks the ``open_networks`` heed no security groups.
    """

    flavors: Sequence[Json]
    networks: Sequence[str]
    open_networks: Sequence[str] = ()
    routers: Sequence[str] = ()
    security_groups: Sequence[Json] = ()
    images: Sequence[Json]
    volumes: Sequence[Json]
    servers: Sequence[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator says. ``flavor`` and ``rehearsal`` (the suffix of all that goes again) may be empty.

    ``sources`` has the SHA-256 of the images' files by their paths, for a converted one those of all files of its
    source with spaces between; ``networks`` a network for each of the source.
    ``running`` when that is of the paths, as the files change: no image that is there can be known to be of them.
    ``stopped`` when that machine is off by now, so that such an image can be compared with its disk.
    ``security_groups`` are those of the server, which is asked at ``answer_port``, 0 for not at all.
    ``boot_from_volume``: its first disk becomes a volume as the others do, and the flavor's disk does not count.
    A disk of more GiB than ``largest_disk`` is taken for a mistake; 0 for none.
    """

    name: str
    flavor: str = ""
    networks: Mapping[str, str]
    sources: Mapping[str, str]
    rehearsal: str = ""
    accept_losses: bool = False
    running: bool = False
    stopped: bool = False
    security_groups: Sequence[str] = ()
    answer_port: int = 0
    has_floating_ip: bool = False
    boot_from_volume: bool = False
    largest_disk: int = 0


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One disk: the image made of it, and the volume made of that, None for a boot disk that Nova copies itself."""

    disk: str
    image: str | None
    source: str
    make: bool
    volume: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The server; ``make`` is false when it is there. ``says`` has a line for all that would be made.

    ``volumes`` are those of the disks, as import_server takes them. ``replaces`` when a rehearsal was interrupted, and
    its server and volumes are to go first.
    """

    server: str
    make: bool
    source: str
    flavor: str
    networks: tuple[str, ...]
    disks: tuple[ImagePlan, ...]
    volumes: tuple[Json, ...]
    findings: tuple[Finding, ...]
    says: tuple[str, ...]
    replaces: bool = False


def plan_import(machine: Json, cloud: Cloud, wanted: Wanted) -> Plan:
    """The plan for what foreign_machine_info has returned. Its findings say why it cannot be carried out."""
    server = wanted.name + wanted.rehearsal
    disks = tuple(_disks(machine["disks"], cloud, wanted))
    source = _digest_of(wanted.sources.values())
    there = [each for each in cloud.servers if each["name"] == server]
    is_own = bool(there) and _marked(there[0]) == source
    networks = tuple(wanted.networks.get(each, "") for each in _foreign_networks(machine))
    volumes = tuple({"name": each.volume, "image": each.image, "size": each.size} for each in disks if each.volume)
    unusable = tuple(_no_names(wanted.name))
    if is_own and not wanted.rehearsal:
        return Plan(server, False, source, "", networks, disks, volumes, unusable, ())
    needs = {**machine["needs"], **({"disk": 0} if wanted.boot_from_volume else {})}
    flavor, found = _flavor(needs, cloud.flavors, wanted)
    findings = [*unusable, *found, *_losses(machine, wanted), *_not_networks(machine, cloud, wanted)]
    findings += _too_large(disks, wanted)
    findings += [*_taken_images(disks, cloud, wanted), *_taken_volumes(disks, cloud, wanted, source)]
    findings += _not_reached(networks[0], cloud, wanted)
    if there and not is_own:
        findings.append(_another(f"server {server}"))
    if wanted.rehearsal:
        findings += _taken_place(server, cloud)
    if not machine["disks"]:
        findings.append(Finding(f"machine {wanted.name}", "no disk", "at least one", "Give the machine's own file."))
    names = {each.volume for each in disks}
    left = [each for each in cloud.volumes if each["name"] in names and each["name"] not in _usable(disks, cloud)]
    replaces = bool(wanted.rehearsal) and (is_own or bool(left))
    says = tuple(_says(server, flavor, disks, replaces))
    return Plan(server, True, source, flavor, networks, disks, volumes, tuple(findings), says, replaces)


def foreign_network(interface: Json) -> str:
    """The name by which an interface's network is mapped, such as vmbr0 and, with a VLAN, vmbr0.10."""
    network = interface["network"] or interface["name"]
    return str(network) if interface["vlan"] is None else f"{network}.{interface['vlan']}"


def _foreign_networks(machine: Json) -> list[str]:
    """A disk alone tells no interfaces; it gets one."""
    return [foreign_network(each) for each in machine["interfaces"]] or [NO_NETWORK]


def _digest_of(sources: Iterable[str]) -> str:
    """What stands for all files of a source: the digest of the only one, else that of theirs.

    A disk that was converted from several files has the digests of all, with spaces between.
    """
    digests = sorted({digest for source in sources for digest in source.split()})
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _disks(disks: Sequence[Json], cloud: Cloud, wanted: Wanted) -> Iterator[ImagePlan]:
    images = {each["name"]: each for each in cloud.images}
    for position, disk in enumerate(disks):
        told = re.sub(r"[^A-Za-z0-9_.-]", "-", disk["name"])
        name = wanted.name if position == 0 else f"{wanted.name}-{told}"
        volume = None if position == 0 and not wanted.boot_from_volume else f"{name}{wanted.rehearsal}"
        source = f"{wanted.sources.get(disk['path'] or '', '')} {disk['name']}"
        image = None if disk["path"] is None and disk["reference"] is None else name
        make = image is not None and (wanted.running or not _is_whole(images.get(name), source))
        yield ImagePlan(disk["name"], image, source, make, volume, -(-(disk["size"] or 0) // _GIB))


def _source_of(image: Json) -> str | None:
    properties: Json = image.get("properties") or {}
    return properties.get(SOURCE_PROPERTY)


def _is_whole(image: Json | None, source: str) -> bool:
    return image is not None and _source_of(image) == source and image["status"] == "active"


def _marked(thing: Json) -> str | None:
    """By which source a server or volume is marked."""
    metadata: Json = thing.get("metadata") or {}
    return metadata.get(SOURCE_PROPERTY)


def _usable(disks: Sequence[ImagePlan], cloud: Cloud) -> set[str]:
    """The names of volumes that no server has had, and that were made of the images that are there now."""
    images = {each["name"]: each["id"] for each in cloud.images}
    made_of = {each.volume: images.get(each.image) if each.image else "true" for each in disks}
    begun = {each["name"]: each["metadata"].get(BEGUN_KEY) for each in cloud.volumes}
    return {name for name, of in begun.items() if of is not None and of == made_of.get(name)}


def _flavor(needs: Json, flavors: Sequence[Json], wanted: Wanted) -> tuple[str, Sequence[Finding]]:
    """The one asked for, which needs only room for the disk, or the smallest that has all; and why there is none."""
    thing = f"machine {wanted.name}"
    needed = ", ".join(f"{needs[name] or 'unknown'} {unit}" for name, unit in _SIZES.items())
    if wanted.flavor:
        asked = [each for each in flavors if each["name"] == wanted.flavor]
        if not asked:
            offered = ", ".join(sorted(each["name"] for each in flavors)) or "no flavor"
            remedy = "Correct the flavor, or leave it out to get the smallest that fits."
            return "", [Finding(f"flavor {wanted.flavor}", "none", f"one of {offered}", remedy)]
        if asked[0]["disk"] < (needs["disk"] or 0):
            found = f"{asked[0]['disk']} GiB of disk"
            remedy = "Choose a flavor with a larger disk."
            return "", [Finding(f"flavor {wanted.flavor}", found, f"{needs['disk']} for {thing}", remedy)]
        return wanted.flavor, ()
    if None in (needs["vcpus"], needs["ram"], needs["disk"]):
        return "", [Finding(thing, f"a need of {needed}", "a known one", "Name the flavor to give it.")]
    # Extra specs may ask for hosts of a kind, which is the operator's to decide.
    plain = [each for each in flavors if not each.get("extra_specs")]
    fitting = [each for each in plain if all(each[name] >= needs[name] for name in _SIZES)]
    if not fitting:
        largest = ", ".join(f"{max((each[name] for each in plain), default=0)} {unit}" for name, unit in _SIZES.items())
        remedy = "Make a flavor (cloud_content_flavors), or name one."
        return "", [Finding(thing, f"flavors of at most {largest}", f"one of {needed}", remedy)]
    return str(min(fitting, key=lambda each: (each["ram"], each["vcpus"], each["disk"], each["name"]))["name"]), ()


def _no_names(name: str) -> Iterator[Finding]:
    """Files are called as the machine is."""
    if not can_name_a_file(name):
        thing, remedy = f"name {name[:80]!r} of the machine", "Give it another name (machine_import_name)."
        yield Finding(thing, "one that no file can have", FILE_NAME, remedy)


def _too_large(disks: Sequence[ImagePlan], wanted: Wanted) -> Iterator[Finding]:
    for each in disks:
        if 0 < wanted.largest_disk < each.size:
            thing, remedy = f"disk {each.disk} of machine {wanted.name}", "If it is true, allow as much (largest_disk)."
            yield Finding(thing, f"{each.size} GiB", f"at most {wanted.largest_disk}", remedy)


def _losses(machine: Json, wanted: Wanted) -> Iterator[Finding]:
    if not wanted.accept_losses:
        for each in machine["findings"]:
            if each["serious"]:
                remedy = "Change the source, or accept what would be lost."
                yield Finding(f"machine {wanted.name}", each["says"], "nothing lost that matters", remedy)


def _not_networks(machine: Json, cloud: Cloud, wanted: Wanted) -> Iterator[Finding]:
    if wanted.rehearsal:
        return
    for name in dict.fromkeys(_foreign_networks(machine)):
        given = wanted.networks.get(name)
        if given is None:
            remedy = "Say in the mapping which network of the cloud it becomes."
            yield Finding(f"network {name} of machine {wanted.name}", "no network for it", "one", remedy)
        elif given not in cloud.networks:
            offered = ", ".join(sorted(cloud.networks)) or "a network"
            yield Finding(f"network {given} for {name}", "none", f"one of {offered}", "Correct the mapping.")


def _not_reached(network: str, cloud: Cloud, wanted: Wanted) -> Iterator[Finding]:
    """A rehearsal has a security group of its own."""
    if wanted.answer_port and not wanted.rehearsal and network not in cloud.open_networks:
        groups, names = cloud.security_groups, wanted.security_groups
        yield from not_let_in(groups, names, wanted.answer_port, wanted.has_floating_ip)


def _taken_images(disks: Sequence[ImagePlan], cloud: Cloud, wanted: Wanted) -> Iterator[Finding]:
    """Images of other sources, and disks of which the file is not known or cannot be told apart.

    An image of this source that is to be made is what an interrupted run has left, unless the machine runs (again).
    """
    images = {each["name"]: each for each in cloud.images}
    for each in disks:
        if each.image is not None and each.source.startswith(" "):
            found = "a file that is not known, or no plain file"
            remedy = "Give its path in disks; with machine_import_warm a block device will do, too."
            yield Finding(f"disk {each.disk} of machine {wanted.name}", found, "the file of its image", remedy)
        there = images.get(each.image or "") if each.make else None
        if there is not None:
            if _source_of(there) != each.source:
                yield _another(f"image {each.image}")
            elif there["status"] == "active" and not wanted.stopped:
                yield _earlier(f"image {each.image}")


def _taken_volumes(disks: Sequence[ImagePlan], cloud: Cloud, wanted: Wanted, source: str) -> Iterator[Finding]:
    """Volumes of others, or that a server has had, whose data somebody may need; those of a rehearsal nobody does.

    What a run has made of a machine that runs again is of an earlier state, and so is what was made of another image.
    """
    volumes = {each["name"]: each for each in cloud.volumes}
    usable = set() if wanted.running and not wanted.stopped else _usable(disks, cloud)
    for each in disks:
        there = volumes.get(each.volume or "")
        if there is None or (_marked(there) == source and (wanted.rehearsal or each.volume in usable)):
            continue
        is_begun = _marked(there) == source and BEGUN_KEY in there["metadata"]
        yield (_earlier if is_begun else _another)(f"volume {each.volume}")


def _taken_place(name: str, cloud: Cloud) -> Iterator[Finding]:
    """What has the names of the rehearsal's network and is not of a rehearsal, whose security group says so."""
    groups = [each for each in cloud.security_groups if each["name"] == name]
    if not any(each["description"] == REHEARSAL_DESCRIPTION for each in groups):
        kinds = {
            "network": cloud.networks,
            "router": cloud.routers,
            "security group": [each["name"] for each in groups],
        }
        for kind, names in kinds.items():
            if name in names:
                yield _another(f"{kind} {name}")


def _earlier(thing: str) -> Finding:
    remedy = "Remove it: an interrupted run has left it, and no server has had it."
    return Finding(thing, "one of an earlier state of this machine", "none", remedy)


def _another(thing: str) -> Finding:
    remedy = "Choose another name, or remove it if nobody needs it."
    return Finding(thing, "one that is not of this source", "none, or one of this source", remedy)


def _says(server: str, flavor: str, disks: Sequence[ImagePlan], replaces: bool) -> Iterator[str]:
    if replaces:
        yield f"server {server}: take away what a rehearsal has left"
    for each in disks:
        if each.make:
            yield f"image {each.image}: make from disk {each.disk}"
        if each.volume:
            yield f"volume {each.volume}: make with {each.size} GiB"
    yield f"server {server}: make with flavor {flavor}"
