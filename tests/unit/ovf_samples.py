# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the Open Virtualization Format as VMware's and VirtualBox's exporters write them, made by hand."""

from __future__ import annotations

import hashlib
import io
import tarfile
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from pathlib import Path

_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:vmw="http://www.vmware.com/schema/ovf"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <References>{files}</References>
  <DiskSection><Info>Disks</Info>{disks}</DiskSection>{options}
  <VirtualSystem ovf:id="vm">
    <Info>A machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"><Info>The guest</Info></OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Hardware</Info>{items}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{firmware}"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def item(kind: int, attributes: str = "", **values: object) -> str:
    """One virtual device, with C(attributes) such as C(ovf:bound="max")."""
    inner = "".join(f"<rasd:{name}>{value}</rasd:{name}>" for name, value in values.items())
    return f"<Item {attributes}>{inner}<rasd:ResourceType>{kind}</rasd:ResourceType></Item>"


CPU = item(3, InstanceID=1, ElementName="2 CPUs", VirtualQuantity=2, AllocationUnits="hertz * 10^6")
MEMORY = item(4, InstanceID=2, ElementName="memory", VirtualQuantity=2048, AllocationUnits="byte * 2^20")
CONTROLLER = item(6, InstanceID=3, ElementName="SCSI 0", ResourceSubType="VirtualSCSI")
NIC = item(
    10, InstanceID=9, ElementName="Network adapter 1", ResourceSubType="VmxNet3", Connection="VM Network",
    Address="00:50:56:AA:BB:CC",
)  # fmt: skip


@dataclass(frozen=True)
class SampleDisk:
    """A disk of the package: the file's name and content, and what of the capacity stands where.

    Without content nothing is said of the file's size, without ``id`` the disk has a number.
    """

    file: str
    content: bytes = b""
    capacity: str = "16"
    units: str = "byte * 2^20"
    id: str = ""


def options(*names: str, default: str = "") -> str:
    """A section of configurations."""
    described = "".join(
        f'<Configuration ovf:id="{name}" ovf:default="{str(name == default).lower()}"><Label>{name}</Label>'
        "</Configuration>"
        for name in names
    )
    return f"<DeploymentOptionSection><Info>Sizes</Info>{described}</DeploymentOptionSection>"


def ovf(
    disks: t.Sequence[SampleDisk],
    extra: str = "",
    firmware: str = "bios",
    memory: str = MEMORY,
    options: str = "",
    name: str = "web1",
    processor: str = CPU,
    controller: str = CONTROLLER,
    nic: str = NIC,
) -> str:
    """A descriptor of a machine with these disks, at the controller, whose InstanceID is 3."""
    ids = [disk.id or f"disk{n}" for n, disk in enumerate(disks)]
    files = "".join(
        f'<File ovf:id="file{n}" ovf:href="{disk.file}"'
        + (f' ovf:size="{len(disk.content)}"/>' if disk.content else "/>")
        for n, disk in enumerate(disks)
    )
    described = "".join(
        f'<Disk ovf:diskId="{ids[n]}" ovf:fileRef="file{n}" ovf:capacity="{disk.capacity}" '
        f'ovf:capacityAllocationUnits="{disk.units}" '
        'ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>'
        for n, disk in enumerate(disks)
    )
    drives = "".join(
        item(17, InstanceID=20 + n, ElementName=f"Disk {n}", HostResource=f"ovf:/disk/{ids[n]}", Parent=3)
        for n in range(len(disks))
    )
    items = processor + memory + controller + drives + nic + extra
    return _ENVELOPE.format(name=name, files=files, disks=described, items=items, firmware=firmware, options=options)


def manifest(contents: t.Mapping[str, bytes], algorithm: str = "sha256") -> str:
    """A manifest of the files."""
    return "".join(
        f"{algorithm.upper()}({name})= {hashlib.new(algorithm, content).hexdigest()}\n"
        for name, content in contents.items()
    )


def write_tar(path: Path, contents: t.Iterable[tuple[str, bytes]]) -> Path:
    """An archive of the files in this order."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_ova(path: Path, disks: t.Sequence[SampleDisk], algorithm: str = "sha256", **options: str) -> Path:
    """A whole package with its manifest."""
    files = {"vm.ovf": ovf(disks, **options).encode()} | {disk.file: disk.content for disk in disks}
    listed = manifest(files, algorithm).encode()
    descriptor, *others = files.items()
    return write_tar(path, [descriptor, ("vm.mf", listed), *others])
