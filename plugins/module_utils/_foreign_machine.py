# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A machine at a path, whatever describes it, and the images of its disks."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import FilePart, whole_file
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import (
    LARGEST_DESCRIPTION,
    Disk,
    Finding,
    Machine,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_libvirt import parse_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_proxmox import parse_proxmox
from ansible_collections.lifeboat.cloud.plugins.module_utils._ova import Located, open_package, verified

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IMAGES = {"vmdk": "vmdk", "vhdx": "vhdx", "vhd": "vpc", "qcow2": "qcow2"}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A hash of a package's file that is as its manifest says."""

    file: str
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class ForeignMachine:
    """A machine, and where the images of its disks are, by the disks' names, as far as that is known."""

    machine: Machine
    parts: Mapping[str, FilePart]
    located: Located | None = None

    def image(self, disk: Disk, thing: str, allow_backing: bool = False, is_running: bool = False) -> DiskImage:
        """The image of the disk. LifeboatError when it is not known, not to be read, or smaller than described."""
        name = f"disk {disk.name} of {thing}"
        if disk.name not in self.parts:
            remedy = f"Give the path of {disk.reference} for {disk.name} in disks."
            raise LifeboatError(name, f"{disk.reference}, of which the path is not known", "a path", remedy)
        image = inspect(self.parts[disk.name], disk.format, name, allow_backing, is_running)
        if disk.capacity is not None and image.size < disk.capacity:
            found = f"an image of {image.size} bytes"
            raise LifeboatError(name, found, f"{disk.capacity} as described", "It was cut off: fetch it again.")
        return image

    def checksums(self, thing: str, disk: Disk | None = None) -> Iterator[Checksum]:
        """The hashes of the package's files, or of those of one disk, verified. LifeboatError for one that is wrong."""
        others = [each.reference or "" for each in self.machine.disks if disk not in (None, each)]
        for found in verified(self.located, thing, others) if self.located else ():
            yield Checksum(*found)


def open_machine(path: str, disks: Mapping[str, str]) -> ForeignMachine:
    """The machine at ``path``; ``disks`` has the paths of disks that the description cannot tell, by their names."""
    ending = path.lower().rpartition(".")[2]
    if ending in ("ova", "ovf"):
        return _of_package(path)
    if ending not in ("conf", "xml"):
        return _of_image(path, ending)
    text = _description(path)
    machine = _of_proxmox(path, text) if ending == "conf" else parse_domain(text, f"domain {path}")
    if unknown := [name for name in disks if name not in {disk.name for disk in machine.disks}]:
        found = ", ".join(disk.name for disk in machine.disks)
        raise LifeboatError(f"machine {path}", f"no disk {unknown[0]}", f"one of {found}", "Correct disks.")
    paths = {disk.name: disk.reference or "" for disk in machine.disks if os.path.isabs(disk.reference or "")}
    paths |= disks
    return ForeignMachine(machine, {name: whole_file(each) for name, each in paths.items()})


def _description(path: str) -> bytes:
    try:
        part = whole_file(path)
        if part.size > LARGEST_DESCRIPTION:
            found = f"{part.size} bytes"
            raise LifeboatError(f"description {path}", found, f"at most {LARGEST_DESCRIPTION}", "Correct the path.")
        return part.read(0, LARGEST_DESCRIPTION)
    except OSError as error:
        found = error.strerror or str(error)
        raise LifeboatError(f"description {path}", found, "a readable file", "Correct the path.") from error


def _of_proxmox(path: str, text: bytes) -> Machine:
    guest = os.path.basename(path).rpartition(".")[0]
    return parse_proxmox(text.decode(errors="replace"), guest, f"guest {path}")


def _of_package(path: str) -> ForeignMachine:
    located = open_package(path)
    machine = located.package.machine
    parts = {disk.name: located.parts[disk.reference] for disk in machine.disks if disk.reference is not None}
    findings = (*machine.findings, *_package_findings(located))
    return ForeignMachine(dataclasses.replace(machine, findings=findings), parts, located)


def _package_findings(located: Located) -> Iterator[Finding]:
    if located.manifest is None:
        yield Finding(False, "the package has no manifest, so its files cannot be verified")
    if located.signed:
        yield Finding(False, "the package's signature is not verified")


def _of_image(path: str, ending: str) -> ForeignMachine:
    """A disk without a machine: a server's size and firmware have to be chosen."""
    name = os.path.basename(path)
    disk = Disk(name, "unknown", reference=path, format=_IMAGES.get(ending))
    finding = Finding(False, "a disk alone tells neither processors, memory and firmware nor the guest's drivers")
    stem = name.rpartition(".")[0] or name
    machine = Machine(name=stem, vcpus=None, memory=None, firmware=None, disks=(disk,), findings=(finding,))
    return ForeignMachine(machine, {name: whole_file(path)})
