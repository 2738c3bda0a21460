# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Block devices of a host as lsblk and wipefs show them, and what speaks against giving one to storage of the cloud."""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

COLUMNS = "PATH,TYPE,SIZE,FSTYPE,PTTYPE,MOUNTPOINTS,VENDOR,MODEL,RO"
TIMEOUT_S = 30.0
SMALLEST_BYTES = 5 * 2**30
BLUESTORE = "ceph_bluestore"
# Directories without which the operating system does not start or run.
_SYSTEM = ("/", "/boot", "/usr", "/var", "/etc", "/home", "[SWAP]")
# Volumes of a hardware RAID controller carry its name where a disk has its own.
_RAID = re.compile(
    r"\bPERC\b|MegaRAID|\bMR[0-9A-Z]*[0-9]{4}|LOGICAL VOLUME|Smart ?Array|ServeRAID|\bRAID"
    r"|^(AVAGO|3ware|Adaptec|Areca)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """One device in lsblk's tree; ``parents`` are the paths of those that it is part of."""

    path: str
    kind: str
    size: int
    content: str
    mountpoints: tuple[str, ...]
    model: str
    read_only: bool
    parents: tuple[str, ...]
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Permissions:
    """What is allowed: to wipe what is there, volumes of RAID controllers, a disk with other uses, arrays of disks."""

    used: bool = False
    raid: bool = False
    shared_disk: bool = False
    array: bool = False


def look(wanted: Iterable[str]) -> tuple[dict[str, BlockDevice], dict[str, list[str]]]:
    """All block devices of this host by path, and the signatures on those in ``wanted``."""
    devices = parse_lsblk(output_of(["lsblk", "--json", "--bytes", "--output", COLUMNS], TIMEOUT_S))
    # lsblk takes signatures from udev, which containers do not have and which may be late.
    signatures = {
        path: parse_wipefs(output_of(["wipefs", "--json", path], TIMEOUT_S)) for path in wanted if os.path.exists(path)
    }
    return devices, signatures


def parse_lsblk(shown: str) -> dict[str, BlockDevice]:
    """The output of ``lsblk --json --bytes --output COLUMNS`` by path."""
    devices: dict[str, BlockDevice] = {}
    for device in _flattened(json.loads(shown)["blockdevices"], ()):
        # A device on two others, as a mirror is, is shown below each.
        known = devices.get(device.path)
        parents = device.parents + (known.parents if known else ())
        devices[device.path] = BlockDevice(**{**_fields(device), "parents": tuple(dict.fromkeys(parents))})
    return devices


def parse_wipefs(shown: str) -> list[str]:
    """The kinds of signatures that ``wipefs --json`` found."""
    return sorted({each["type"] for each in (json.loads(shown)["signatures"] if shown.strip() else [])})


def _fields(device: BlockDevice) -> dict[str, t.Any]:
    return {name: getattr(device, name) for name in BlockDevice.__slots__}


def _flattened(nodes: Sequence[dict[str, t.Any]], parents: tuple[str, ...]) -> Iterator[BlockDevice]:
    for node in nodes:
        children = node.get("children", [])
        yield BlockDevice(
            path=node["path"],
            kind=node["type"],
            size=int(node["size"] or 0),
            content=node["fstype"] or node["pttype"] or "",
            mountpoints=tuple(point for point in node["mountpoints"] if point),
            model=" ".join(part.strip() for part in (node["vendor"], node["model"]) if part),
            read_only=bool(node["ro"]),
            parents=parents,
            children=tuple(child["path"] for child in children),
        )
        yield from _flattened(children, (*parents, node["path"]))


def device_findings(
    path: str,
    devices: Mapping[str, BlockDevice],
    signatures: Sequence[str],
    allowed: Permissions,
    told: Collection[str] = (),
) -> Iterator[Finding]:
    """Why the block device at ``path`` (behind links) shall not be given away; contents in ``told`` are left out."""
    device = devices.get(path)
    if device is None:
        yield Finding(
            f"device {path}", "no such block device", "one of this host", "Correct the path, or add the disk."
        )
        return
    yield from _unfit(device, devices, allowed)
    if not allowed.used:
        contents = [each for each in dict.fromkeys([*signatures, device.content]) if each and each not in told]
        content = ", ".join(contents)
        parts = ", ".join(device.children)
        if content or parts:
            found = " with ".join(filter(None, [content or "no signature", parts]))
            remedy = "Choose another, or have it wiped with force_used."
            yield Finding(f"device {path}", f"something on it: {found}", "an empty device", remedy)


def _unfit(device: BlockDevice, devices: Mapping[str, BlockDevice], allowed: Permissions) -> Iterator[Finding]:
    thing = f"device {device.path}"
    mounted = mountpoints_below(device, devices)
    if mounted:
        system = any(point in _SYSTEM for point in mounted)
        found = f"{'the system disk, ' if system else ''}mounted at {', '.join(mounted)}"
        yield Finding(thing, found, "a device that is not in use", "Choose another device.")
    for parent in (devices[path] for path in device.parents if path in devices):
        points = [point for point in mountpoints_below(parent, devices) if point in _SYSTEM]
        if points and not allowed.shared_disk:
            found = f"a part of {parent.path}, the system disk with {', '.join(points)}"
            remedy = "Choose another disk, or allow it with force_shared_disk."
            yield Finding(thing, found, "a disk of its own", remedy)
    if device.kind.startswith(("raid", "md")) and not allowed.array:
        yield Finding(thing, f"the type {device.kind}", "a disk or a partition", "Give the disks themselves to Ceph.")
    if device.kind in ("rom", "swap"):
        yield Finding(thing, f"the type {device.kind}", "a disk or a partition", "Choose another device.")
    for whole in (device, *(devices[path] for path in device.parents if path in devices)):
        if _RAID.search(whole.model) and not allowed.raid:
            remedy = "Pass the disks through (HBA or JBOD mode), or accept the volume with force_raid."
            yield Finding(thing, f"a volume of a RAID controller ({whole.model})", "a disk", remedy)
            break
    if device.read_only:
        yield Finding(thing, "a read-only device", "one to write to", "Choose another device.")
    if device.size < SMALLEST_BYTES:
        found, expected = f"{device.size} bytes", f"at least {SMALLEST_BYTES}"
        yield Finding(thing, found, expected, "Choose a larger device.")


def mountpoints_below(device: BlockDevice, devices: Mapping[str, BlockDevice]) -> list[str]:
    """Where the device and everything on it is mounted."""
    points = list(device.mountpoints)
    for child in device.children:
        points += mountpoints_below(devices[child], devices)
    return list(dict.fromkeys(points))


def disk_of(path: str, devices: Mapping[str, BlockDevice]) -> str:
    """The disk that the device is, or is a part of."""
    device = devices.get(path)
    return device.parents[0] if device and device.parents else path


def shared_disk_findings(
    paths: Sequence[str], occupied: Sequence[str], devices: Mapping[str, BlockDevice], allowed: Permissions
) -> Iterator[Finding]:
    """Disks that OSDs to be made (``paths``) would share, with each other or with those at ``occupied``."""
    if allowed.shared_disk:
        return
    disks: dict[str, list[str]] = {}
    for path in dict.fromkeys([*occupied, *paths]):
        disks.setdefault(disk_of(path, devices), []).append(path)
    for disk, sharing in disks.items():
        if len(sharing) > 1 and set(sharing) & set(paths):
            found = f"several OSDs on it ({', '.join(sharing)})"
            remedy = "Give each OSD a disk of its own, or allow it with force_shared_disk."
            yield Finding(f"disk {disk}", found, "one OSD on a disk, as they fail together", remedy)
