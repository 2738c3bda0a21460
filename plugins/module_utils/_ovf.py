# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Descriptors of the Open Virtualization Format (DMTF DSP0243, versions 1 and 2, and what VMware adds to them)."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import (
    Disk,
    Finding,
    Interface,
    Machine,
    check,
    number,
    parse_xml,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

_CPU, _MEMORY, _IDE, _SCSI, _ETHERNET, _FLOPPY, _CD, _DVD, _DISK, _SATA, _USB = 3, 4, 5, 6, 10, 14, 15, 16, 17, 20, 23
_BUSES = {_IDE: "ide", _SCSI: "scsi", _SATA: "sata", _USB: "usb"}
# CIM_ResourceAllocationSettingData has 20 as "other storage device", where AHCI and NVMe controllers go.
_SUBTYPE_BUSES = {"ahci": "sata", "nvme": "nvme"}
_MODELS = {"e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "vmxnet3", "pcnet32": "pcnet", "virtio": "virtio"}
# Of no use to a server in a cloud, and missed by nobody: video, keyboard, mouse, sound, serial and parallel ports.
_DROPPED = frozenset({1, 13, 18, 19, 21, 22, 24, 35})
_FACTORS: dict[str, int] = {
    name: 1024**power
    for power, names in enumerate(
        ("byte bytes", "kb kib kilobytes", "mb mib megabytes", "gb gib gigabytes", "tb tib terabytes")
    )
    for name in names.split()
}
_PRODUCT = re.compile(r"byte(?:\s*\*\s*(?:2\s*\^\s*(?P<two>\d{1,2})|10\s*\^\s*(?P<ten>\d{1,2})|(?P<plain>\d{1,9})))?")
_SECURE_BOOT = ("bootOptions.efiSecureBootEnabled", "uefi.secureBoot.enabled")
_ITEMS = ("Item", "StorageItem", "EthernetPortItem")
_VMDK = "vmdk.html"
_FORMATS = {"vmdk": "vmdk", "vhdx": "vhdx", "vhd": "vpc", "qcow2": "qcow2", "raw": "raw", "img": "raw"}


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file that the descriptor refers to. ``size`` in bytes, None when it is not told."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Package:
    """What a descriptor tells: the machine, and the files of its disks, which are the disks' references."""

    machine: Machine
    files: tuple[FileReference, ...]


def unit_factor(units: str | None, thing: str) -> int:
    """Bytes of one unit, such as C(byte * 2^20), C(MegaBytes) or C(KB); None is one byte."""
    text = (units or "byte").strip().lower()
    if text in _FACTORS:
        return _FACTORS[text]
    parsed = _PRODUCT.fullmatch(text)
    if parsed is None:
        expected = "one such as byte * 2^20"
        raise LifeboatError(thing, f"the unit {units!r}", expected, "Correct the descriptor's units.")
    base, power = (2, parsed["two"]) if parsed["two"] else (10, parsed["ten"])
    factor: int = base ** int(power) if power else int(parsed["plain"] or 1)
    return factor


def parse_ovf(text: bytes, thing: str) -> Package:
    """The one machine of a descriptor. LifeboatError for what is no descriptor, has several, or lacks a file."""
    root = parse_xml(text, thing)
    if _tag(root) != "Envelope":
        raise LifeboatError(thing, f"<{_tag(root)}>", "an OVF <Envelope>", "Give the descriptor of an OVF package.")
    systems = [each for each in root.iter() if _tag(each) == "VirtualSystem"]
    if len(systems) != 1:
        raise LifeboatError(thing, f"{len(systems)} machines", "one", "Export each machine into a package of its own.")
    return _Reader(root, systems[0], thing).package()


class _Reader:
    """One descriptor: its files, its disks and the hardware of its machine."""

    def __init__(self, root: Element, system: Element, thing: str) -> None:
        self._root, self._system, self._thing = root, system, thing
        self._findings: list[Finding] = []
        configurations = _configurations(root, thing)
        self._items = list(_overlaid(list(_items(system, configurations, thing))))
        if others := ", ".join(configurations[1:]):
            says = f"the configuration {configurations[0]} is taken; there are also {others}"
            self._findings.append(Finding(False, says))

    def package(self) -> Package:
        files = {_need(each, "id", self._thing): self._file(each) for each in self._root.iter() if _tag(each) == "File"}
        disks = tuple(self._disks(files))
        used = {disk.reference for disk in disks}
        machine = Machine(
            name=self._name(),
            vcpus=self._sum(_CPU, 1),
            memory=self._memory(),
            firmware=self._firmware(),
            secure_boot="true" in map(self._config, _SECURE_BOOT),
            os_type=self._os_type(),
            disks=disks,
            interfaces=tuple(self._interfaces()),
            findings=tuple(self._all_findings()),
        )
        return Package(check(machine, self._thing), tuple(each for each in files.values() if each.name in used))

    def _file(self, element: Element) -> FileReference:
        size = _attribute(element, "size")
        compression = _attribute(element, "compression")
        name = _need(element, "href", self._thing)
        if compression not in (None, "", "identity"):
            remedy = (
                f"Unpack the package, decompress {name}, and take the attribute out; or export without compression."
            )
            raise LifeboatError(self._thing, f"{name} compressed with {compression}", "a plain file", remedy)
        if _attribute(element, "chunkSize"):
            raise LifeboatError(self._thing, f"{name} in chunks", "one file", "Export without splitting the disks.")
        return FileReference(name, None if size is None else number(size, self._thing, f"size of {name}"))

    def _disks(self, files: Mapping[str, FileReference]) -> Iterator[Disk]:
        described = {_need(each, "diskId", self._thing): each for each in self._root.iter() if _tag(each) == "Disk"}
        for item in self._of(_DISK):
            reference = re.fullmatch(r"(?:ovf:)?/disk/(.+)", item.get("HostResource", ""))
            if reference is None or reference[1] not in described:
                found = f"the disk {item.get('ElementName')!r} at {item.get('HostResource')!r}"
                raise LifeboatError(self._thing, found, "a disk of its DiskSection", "Export the machine again.")
            yield self._disk(reference[1], described[reference[1]], item, files)

    def _disk(self, name: str, element: Element, item: Mapping[str, str], files: Mapping[str, FileReference]) -> Disk:
        reference = _attribute(element, "fileRef")
        if _attribute(element, "parentRef"):
            remedy = "Consolidate the snapshots of the source, and export it again."
            raise LifeboatError(self._thing, f"disk {name} on top of another disk", "a whole disk", remedy)
        if reference is not None and reference not in files:
            found = f"disk {name} in the file {reference}"
            raise LifeboatError(self._thing, found, "a file of its References", "Export the machine again.")
        if reference is None:
            self._findings.append(Finding(False, f"disk {name} has no file: it is empty"))
        factor = unit_factor(_attribute(element, "capacityAllocationUnits"), self._thing)
        capacity = number(_attribute(element, "capacity"), self._thing, f"capacity of disk {name}") * factor
        file = None if reference is None else files[reference].name
        bus, controller = self._controller(name, item)
        return Disk(name, bus, controller, capacity, file, _format(_attribute(element, "format"), file))

    def _controller(self, name: str, item: Mapping[str, str]) -> tuple[str, str | None]:
        for each in self._items:
            if each.get("InstanceID") == item.get("Parent", "none"):
                subtype = each.get("ResourceSubType", "").lower()
                kind = number(each.get("ResourceType"), self._thing, "ResourceType")
                for start, bus in _SUBTYPE_BUSES.items():
                    if start in subtype:
                        return bus, subtype
                if kind in _BUSES:
                    return _BUSES[kind], subtype or None
        raise LifeboatError(self._thing, f"disk {name} without a controller", "one", "Export the machine again.")

    def _interfaces(self) -> Iterator[Interface]:
        for position, item in enumerate(self._of(_ETHERNET)):
            subtype = item.get("ResourceSubType", "").split(" ")[0].lower()
            name = item.get("ElementName") or f"interface {position}"
            if subtype and subtype not in _MODELS:
                self._findings.append(Finding(False, f"{name} is a {subtype}, which becomes another model"))
            yield Interface(
                name=name,
                model=_MODELS.get(subtype),
                network=item.get("Connection") or None,
                mac=item.get("Address", "").lower() or None,
            )

    def _all_findings(self) -> Iterator[Finding]:
        yield from self._findings
        for item in self._items:
            kind = number(item.get("ResourceType"), self._thing, "ResourceType")
            name = item.get("ElementName", f"resource type {kind}")
            if kind in (_FLOPPY, _CD, _DVD):
                yield Finding(bool(item.get("HostResource")), f"the drive {name} is left out")
            elif kind not in (*_BUSES, _CPU, _MEMORY, _ETHERNET, _DISK) and kind not in _DROPPED:
                yield Finding(True, f"the device {name} (resource type {kind}) is left out")

    def _of(self, kind: int) -> list[dict[str, str]]:
        return [item for item in self._items if item.get("ResourceType") == str(kind)]

    def _sum(self, kind: int, factor: int) -> int:
        thing, items = self._thing, self._of(kind)
        return sum(number(item.get("VirtualQuantity"), thing, "VirtualQuantity") for item in items) * factor

    def _memory(self) -> int:
        units = {item.get("AllocationUnits") for item in self._of(_MEMORY)}
        if len(units) != 1:
            raise LifeboatError(self._thing, f"{len(units)} items of memory", "one", "Correct the descriptor.")
        return self._sum(_MEMORY, unit_factor(units.pop(), self._thing))

    def _name(self) -> str:
        named = [each.text for each in self._system if _tag(each) == "Name"]
        named += [each.text for each in self._tagged("VirtualSystemIdentifier")]
        return next(filter(None, named), None) or _need(self._system, "id", self._thing)

    def _firmware(self) -> str:
        # VMware's key, and the element that VirtualBox writes into its own part.
        told = [self._config("firmware"), *(_attribute(each, "type") for each in self._tagged("Firmware"))]
        return "uefi" if any((each or "").lower().startswith("efi") for each in told) else "bios"

    def _tagged(self, tag: str) -> list[Element]:
        return [each for each in self._system.iter() if _tag(each) == tag]

    def _config(self, key: str) -> str | None:
        for each in (*self._tagged("Config"), *self._tagged("ExtraConfig")):
            if _attribute(each, "key") == key:
                return _attribute(each, "value")
        return None

    def _os_type(self) -> str | None:
        section = next((each for each in self._system if _tag(each) == "OperatingSystemSection"), None)
        if section is None:
            return None
        told = " ".join(filter(None, (_attribute(section, "osType"), *(each.text for each in section)))).lower()
        return "windows" if "windows" in told else "linux" if _LINUX.search(told) else None


_LINUX = re.compile(r"linux|ubuntu|debian|centos|rhel|red hat|fedora|sles|suse|rocky|alma|photon|coreos")


def _configurations(root: Element, thing: str) -> list[str]:
    """The names of the configurations that the machine can have, the default one first."""
    sections = [each for each in root.iter() if _tag(each) == "DeploymentOptionSection"]
    described = [each for section in sections for each in section if _tag(each) == "Configuration"]
    described.sort(key=lambda each: _attribute(each, "default") not in ("true", "1"))
    return [_need(each, "id", thing) for each in described]


def _items(system: Element, configurations: list[str], thing: str) -> Iterator[tuple[dict[str, str], bool]]:
    """The items of the first configuration and those of all, each with whether it is only of some."""
    for element in system.iter():
        # What has another bound tells the range that a value may be in.
        if _tag(element) not in _ITEMS or _attribute(element, "bound") not in (None, "normal"):
            continue
        names = (_attribute(element, "configuration") or "").split()
        if unknown := [name for name in names if name not in configurations]:
            found, expected = f"an item of the configuration {unknown[0]}", "one of its DeploymentOptionSection"
            raise LifeboatError(thing, found, expected, "Export the machine again.")
        if not names or configurations[0] in names:
            yield {_tag(child): (child.text or "").strip() for child in element}, bool(names)


def _overlaid(items: list[tuple[dict[str, str], bool]]) -> Iterator[dict[str, str]]:
    """The devices. What an item of some configurations tells replaces what the one of all tells of the same device."""
    special: dict[tuple[str, str | None], dict[str, str]] = {}
    for item, is_special in items:
        if is_special:
            special.setdefault(_device(item), {}).update(item)
    common = {_device(item) for item, is_special in items if not is_special}
    for item, is_special in items:
        device = _device(item)
        if not is_special:
            yield item | special.get(device, {})
        elif device not in common and device in special:
            yield special.pop(device)


def _device(item: dict[str, str]) -> tuple[str, str | None]:
    return item.get("InstanceID") or f"unnamed {id(item)}", item.get("ResourceType")


def _format(uri: str | None, file: str | None) -> str | None:
    if uri and _VMDK in uri:
        return "vmdk"
    ending = (file or "").rpartition(".")[2].lower()
    return _FORMATS.get(ending)


def _tag(element: Element) -> str:
    # OVF 1 and 2 differ in their namespaces, and exporters in whether they use them.
    return str(element.tag).rpartition("}")[2]


def _attribute(element: Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return None


def _need(element: Element, name: str, thing: str) -> str:
    value = _attribute(element, name)
    if not value:
        raise LifeboatError(thing, f"<{_tag(element)}> without {name}", "one", "Export the machine again.")
    return value
