# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A virtual machine of another hypervisor, in one form whatever described it."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.parsers import expat

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LARGEST_DESCRIPTION = 4 * 2**20
"""Bytes of an OVF, a Proxmox file or a domain's XML. Real ones have some ten KiB."""

LARGEST_DISK = 64 * 2**40
"""Bytes of one disk: what VHDX can hold, and more than VMDK can."""
_LARGEST_MEMORY = 64 * 2**40
_MOST_VCPUS = 4096
# More digits than any amount has; Python refuses some thousands with an error of its own.
_MOST_DIGITS = 20
# Of bytes: a name of a file has 255, and what is put around it, with the name of a disk, has some too.
_LONGEST_NAME = 150
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

FILE_NAME = f"at most {_LONGEST_NAME} bytes without a slash, and no dot at the beginning"
"""What C(can_name_a_file) expects, in words."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk. ``name`` and ``reference`` (a file or a volume) are the source's own words.

    ``bus`` is one of virtio, scsi, sata, ide, usb, nvme and unknown, ``controller`` the model of it where one is told,
    ``capacity`` is in bytes, ``format`` is QEMU's name. What the source does not tell is None.
    """

    name: str
    bus: str
    controller: str | None = None
    capacity: int | None = None
    reference: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface; ``model`` is QEMU's name, ``network`` a bridge or a network of the source."""

    name: str
    model: str | None = None
    network: str | None = None
    mac: str | None = None
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the import loses or changes; ``serious`` when the guest may not start or lacks something."""

    serious: bool
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, its boot disk first. ``memory`` is in bytes, ``firmware`` bios or uefi, ``os_type`` linux or windows.

    ``machine_type`` is i440fx, q35 or what else is told. A bare disk tells no processors, memory and firmware.
    """

    name: str
    vcpus: int | None
    memory: int | None
    firmware: str | None = "bios"
    secure_boot: bool = False
    machine_type: str | None = None
    os_type: str | None = None
    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    findings: tuple[Finding, ...] = ()


def check(machine: Machine, thing: str) -> Machine:
    """The machine, unless it has absurd amounts of something or two disks of one name."""
    amounts = [
        ("processors", machine.vcpus, _MOST_VCPUS),
        ("bytes of memory", machine.memory, _LARGEST_MEMORY),
        *((f"bytes of disk {disk.name}", disk.capacity, LARGEST_DISK) for disk in machine.disks),
    ]
    for what, amount, most in amounts:
        if amount is not None and not 0 < amount <= most:
            remedy = "Correct the description of the machine."
            raise LifeboatError(thing, f"{amount} {what}", f"from 1 to {most}", remedy)
    names = [disk.name for disk in machine.disks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LifeboatError(thing, f"the disk {twice[0]} twice", "one of each name", "Correct the description.")
    return machine


def can_name_a_file(name: str) -> bool:
    """Whether a file may be called as a machine is, which whoever described it has chosen."""
    is_plain = "/" not in name and not name.startswith(".") and not _CONTROL.search(name)
    return is_plain and 0 < len(name.encode()) <= _LONGEST_NAME


def machine_type(told: str | None) -> str | None:
    """The family of a machine type of QEMU, such as pc-q35-9.2."""
    if told is None:
        return None
    if "q35" in told:
        return "q35"
    return "i440fx" if told == "pc" or told.startswith("pc-i440fx") else told


def number(value: str | None, thing: str, name: str) -> int:
    """A whole number that is not negative."""
    digits = (value or "").strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        found = f"{name} {value if value is None else value[:80]!r}"
        raise LifeboatError(thing, found, "a whole number", "Correct the description of the machine.")
    return int(digits)


def parse_xml(text: bytes, thing: str) -> Element:
    """The root of a document from elsewhere. A document type, and with it every entity, is refused."""

    def refuse(*_declaration: object) -> t.NoReturn:
        raise LifeboatError(thing, "a document type", "plain XML", "Take <!DOCTYPE ...> with its entities out.")

    scanner = expat.ParserCreate()
    scanner.StartDoctypeDeclHandler = refuse
    try:
        scanner.Parse(text, True)
        return ElementTree.fromstring(text)
    except (expat.ExpatError, ElementTree.ParseError, ValueError) as error:
        raise LifeboatError(thing, f"no XML: {error}", "well-formed XML", "Fetch or export it again.") from error
