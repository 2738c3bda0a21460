# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Machines that a domain's XML describes (libvirt's format of domains), whatever started them."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import size_kib
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import (
    Disk,
    Finding,
    Interface,
    Machine,
    check,
    machine_type,
    number,
    parse_xml,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

_SOURCES = ("file", "dev", "name", "dir")
_SERIOUS = {
    "hostdev": "a device of the host is passed through; it is left out",
    "filesystem": "a directory of the host is shared; it is left out",
    "tpm": "the TPM with its keys is left out; a disk encrypted by it cannot be opened",
    "shmem": "the memory shared with the host is left out",
}


def parse_domain(text: bytes, thing: str) -> Machine:
    """The machine of a C(<domain>). LifeboatError for what is no fully virtualized one."""
    root = parse_xml(text, thing)
    kind = root.findtext("os/type", "").strip()
    if root.tag != "domain" or kind != "hvm":
        found = f"<{root.tag}> with the type {kind!r} of operating system"
        raise LifeboatError(thing, found, "a <domain> of type hvm", "Give the XML of a virtual machine.")
    memory = root.find("memory")
    kib = None if memory is None else size_kib(memory)
    if kib is None:
        raise LifeboatError(thing, "no <memory> with a size", "one", "Correct the XML.")
    machine = Machine(
        name=root.findtext("name", "").strip(),
        vcpus=number(root.findtext("vcpu", "1"), thing, "vcpu"),
        memory=kib * 1024,
        firmware="uefi" if _is_uefi(root) else "bios",
        secure_boot=_secure_boot(root),
        machine_type=machine_type(_attribute(root, "os/type", "machine")),
        os_type=_os_type(root),
        disks=tuple(_disks(root, thing)),
        interfaces=tuple(_interfaces(root, thing)),
        findings=tuple(_findings(root)),
    )
    return check(machine, thing)


def _attribute(element: Element, path: str, name: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get(name)


def _is_uefi(root: Element) -> bool:
    return _attribute(root, "os", "firmware") == "efi" or _attribute(root, "os/loader", "type") == "pflash"


def _secure_boot(root: Element) -> bool:
    features = root.findall("os/firmware/feature")
    enabled = any(each.get("name") == "secure-boot" and each.get("enabled") == "yes" for each in features)
    return enabled or _attribute(root, "os/loader", "secure") == "yes"


def _os_type(root: Element) -> str | None:
    # libosinfo's identifier, such as http://microsoft.com/win/11 and http://debian.org/debian/13.
    for element in root.findall("metadata//*"):
        if element.tag.endswith("}os"):
            return "windows" if "microsoft.com" in element.get("id", "") else "linux"
    return None


def _disks(root: Element, thing: str) -> Iterator[Disk]:
    drives = [each for each in root.findall("devices/disk") if each.get("device", "disk") in ("disk", "lun")]
    for drive in sorted(drives, key=_boot_order):
        name = _attribute(drive, "target", "dev")
        if not name:
            raise LifeboatError(thing, "a disk without a target", "one with <target dev=...>", "Correct the XML.")
        yield Disk(
            name=name,
            bus=_attribute(drive, "target", "bus") or "ide",
            controller=_controller(root, drive),
            reference=_reference(drive),
            format=_attribute(drive, "driver", "type") or "raw",
        )


def _boot_order(drive: Element) -> int:
    order = _attribute(drive, "boot", "order") or ""
    return int(order) if order.isdecimal() else 1000


def _controller(root: Element, drive: Element) -> str | None:
    if _attribute(drive, "target", "bus") != "scsi":
        return None
    index = _attribute(drive, "address", "controller") or "0"
    for each in root.findall("devices/controller[@type='scsi']"):
        if each.get("index", "0") == index:
            return each.get("model")
    return None


def _reference(drive: Element) -> str | None:
    source = drive.find("source")
    if source is None:
        return None
    if source.get("pool"):
        return f"{source.get('pool')}/{source.get('volume')}"
    protocol = source.get("protocol")
    told = next((source.get(name) for name in _SOURCES if source.get(name)), None)
    return f"{protocol}:{told}" if protocol else told


def _interfaces(root: Element, thing: str) -> Iterator[Interface]:
    for position, each in enumerate(root.findall("devices/interface")):
        source, tag = each.find("source"), _attribute(each, "vlan/tag", "id")
        told = {} if source is None else source.attrib
        yield Interface(
            name=_attribute(each, "target", "dev") or f"interface {position}",
            model=_attribute(each, "model", "type"),
            network=told.get("network") or told.get("bridge") or told.get("dev"),
            mac=(_attribute(each, "mac", "address") or "").lower() or None,
            vlan=None if tag is None else number(tag, thing, "tag of a VLAN"),
        )


def _findings(root: Element) -> Iterator[Finding]:
    for device in root.findall("devices/*"):
        if device.tag in _SERIOUS:
            yield Finding(True, f"{device.tag}: {_SERIOUS[device.tag]}")
        elif device.tag == "disk" and device.get("device", "disk") in ("cdrom", "floppy"):
            yield Finding(False, f"{_attribute(device, 'target', 'dev')}: the drive is left out")
        elif device.tag == "disk" and device.find("backingStore/source") is not None:
            yield Finding(True, f"{_attribute(device, 'target', 'dev')}: the disk lies on top of another image")
    if root.find("os/nvram") is not None:
        yield Finding(True, "UEFI's variables are left out; the guest must start from EFI/BOOT")
    if root.find("os/kernel") is not None:
        yield Finding(True, "the guest starts a kernel of its host, which is left out")
    if (arch := _attribute(root, "os/type", "arch") or "x86_64") != "x86_64":
        yield Finding(True, f"a guest of the architecture {arch}")
    if any(element.tag.endswith("}commandline") for element in root):
        yield Finding(True, "QEMU's own arguments are left out")
