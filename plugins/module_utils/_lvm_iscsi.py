# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What speaks against volume groups of LVM and targets of iSCSI, found before anything is changed."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_devices, _kernel
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import BlockDevice, Permissions
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TIMEOUT_S = 30.0
_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*")
_QUALIFIED_NAME = re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9][a-z0-9.-]*(:[A-Za-z0-9.:-]+)?")
# Initiators of Windows and of appliances take no others.
_PASSWORD = re.compile(r"[!-~]{12,16}")


@dataclass(frozen=True, slots=True)
class Scene:
    """A host as it was found: its block devices, signatures and LVM's volume group (or "") by physical volume."""

    device_mapper: bool
    devices: Mapping[str, BlockDevice]
    signatures: Mapping[str, Sequence[str]]
    physical_volumes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device that shall belong to a volume group; ``device`` is what is behind the links of ``path``."""

    group: str
    path: str
    device: str


@dataclass(frozen=True, slots=True)
class Target:
    """A target of iSCSI besides those of Cinder; ``clients`` are addresses or networks, as written."""

    name: str
    path: str
    user: str
    password: str = field(repr=False)
    clients: Sequence[str]


def wanted_devices(groups: Mapping[str, Sequence[str]]) -> list[Wanted]:
    """Every device of every group."""
    return [Wanted(name, str(path), os.path.realpath(path)) for name, paths in groups.items() for path in paths]


def look(wanted: Sequence[Wanted]) -> Scene:
    """What this host has, as far as volume groups are wanted."""
    if not wanted:
        return Scene(True, {}, {}, {})
    devices, signatures = _block_devices.look(dict.fromkeys(each.device for each in wanted))
    return Scene(_kernel.offers(_kernel.DEVICE_MAPPER), devices, signatures, physical_volumes())


def physical_volumes() -> dict[str, str]:
    """LVM's volume group of each of its physical volumes, "" for none; nothing where LVM is not installed."""
    if shutil.which("pvs") is None:
        return {}
    shown = output_of(["pvs", "--reportformat", "json", "--options", "pv_name,vg_name"], TIMEOUT_S)
    return parse_pvs(shown)


def parse_pvs(shown: str) -> dict[str, str]:
    """The output of ``pvs --reportformat json --options pv_name,vg_name``."""
    rows = [row for report in json.loads(shown)["report"] for row in report["pv"]]
    return {os.path.realpath(row["pv_name"]): row["vg_name"] for row in rows}


def group_findings(
    groups: Mapping[str, Sequence[str]], wanted: Sequence[Wanted], scene: Scene, allowed: Permissions
) -> Iterator[Finding]:
    """Everything that is wrong, in a stable order."""
    if groups and not scene.device_mapper:
        remedy = "Boot a kernel that has it; a container cannot bring one."
        yield Finding("kernel", f"none of {_kernel.DEVICE_MAPPER.says}", "one, which LVM needs", remedy)
    for name, paths in groups.items():
        if not _NAME.fullmatch(name):
            expected = "letters, digits and _ + . -"
            yield Finding(f"volume group {name!r}", "a name that LVM does not take", expected, "Rename it.")
        if not paths:
            yield Finding(f"volume group {name}", "no devices", "one or more", "Name its disks, or take it out.")
        others = [device for device, group in scene.physical_volumes.items() if group == name]
        foreign = sorted(set(others) - {each.device for each in wanted if each.group == name})
        if foreign:
            remedy = "Name them too, or choose another name for the volume group."
            yield Finding(f"volume group {name}", f"one with {', '.join(foreign)}", "only the devices named", remedy)
    for index, each in enumerate(wanted):
        earlier = [other for other in wanted[:index] if other.device == each.device]
        if earlier:
            found = f"the same as {earlier[0].path} of the volume group {earlier[0].group}"
            yield Finding(f"device {each.path}", found, "each device once", "Take one out.")
        else:
            yield from _device_findings(each, scene, allowed)


def _device_findings(each: Wanted, scene: Scene, allowed: Permissions) -> Iterator[Finding]:
    group = scene.physical_volumes.get(each.device)
    if group is None:
        signatures = scene.signatures.get(each.device, [])
        yield from _block_devices.device_findings(each.device, scene.devices, signatures, allowed)
    # One without a volume group is what a run leaves that was killed between the two steps.
    elif group not in ("", each.group):
        yield Finding(
            f"device {each.path}", f"one of the volume group {group}", "an empty device", "Choose another device."
        )


def to_wipe(wanted: Sequence[Wanted], scene: Scene) -> list[str]:
    """The devices that carry something else than LVM."""
    return [
        each.path
        for each in wanted
        if each.device not in scene.physical_volumes
        and (scene.signatures.get(each.device) or scene.devices[each.device].content)
    ]


def target_findings(targets: Sequence[Target]) -> Iterator[Finding]:
    """What speaks against the targets, in a stable order."""
    names = [each.name for each in targets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding(f"target {name}", "more than once", "each name once", "Rename one of them.")
    for each in targets:
        thing = f"target {each.name}"
        if not _QUALIFIED_NAME.fullmatch(each.name):
            yield Finding(thing, "a name that is no qualified one", "iqn.YEAR-MONTH.DOMAIN:NAME", "Correct it.")
        if not os.path.exists(each.path):
            remedy = "Correct the path, or make it: `truncate --size 10G FILE` is enough to try things out."
            yield Finding(thing, f"nothing at {each.path}", "a device or a file", remedy)
        if not _PASSWORD.fullmatch(each.password) or not re.fullmatch(r"[!-~]+", each.user):
            expected = "a password of 12 to 16 characters, neither with spaces"
            yield Finding(thing, "a user or password that initiators do not take", expected, "Choose others.")
        for client in each.clients:
            try:
                ipaddress.ip_network(client)
            except ValueError as error:
                yield Finding(thing, f"the client {client!r} ({error})", "an address or a network", "Correct it.")


def initiator_findings() -> Iterator[Finding]:
    """What speaks against logging in to targets from this host."""
    if not _kernel.offers(_kernel.ISCSI_INITIATOR):
        remedy = "Boot a kernel that has it; QEMU's own driver (libiscsi) reaches targets without it."
        yield Finding("kernel", f"none of {_kernel.ISCSI_INITIATOR.says}", "one, to attach volumes", remedy)
