# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a machine of elsewhere needs in OpenStack: a flavor's size, and the properties of its image."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import Disk, Machine

_MIB, _GIB = 2**20, 2**30
# Interfaces that QEMU has and a guest without drivers for virtio finds by itself. VMware's own is not among them: its
# guests have the driver of the e1000e, too.
_KEPT_MODELS = frozenset({"virtio", "e1000", "e1000e", "rtl8139", "pcnet", "ne2k_pci"})


@dataclass(frozen=True, slots=True)
class Needs:
    """What to give to Nova and Glance. ``ram`` in MiB, ``disk`` (the first disk's size) in GiB; None is not known."""

    vcpus: int | None
    ram: int | None
    disk: int | None
    properties: Mapping[str, str]
    findings: tuple[Finding, ...]


def needs_of(machine: Machine, boot_size: int | None, virtio: bool) -> Needs:
    """What the machine needs. ``boot_size`` in bytes is its first disk's; with ``virtio`` its guest has the drivers."""
    findings: list[Finding] = [*machine.findings]
    told = {"hw_firmware_type": machine.firmware, "os_type": machine.os_type}
    properties = {name: value for name, value in told.items() if value} | _machine_type(machine)
    if machine.disks:
        properties |= _disk_bus(machine, virtio, findings)
    if machine.interfaces:
        properties["hw_vif_model"] = _interface_model(machine, virtio, findings)
    findings += _oddities(machine)
    return Needs(
        vcpus=machine.vcpus,
        ram=None if machine.memory is None else _ceiling(machine.memory, _MIB),
        disk=None if boot_size is None else _ceiling(boot_size, _GIB),
        properties=properties,
        findings=tuple(findings),
    )


def _ceiling(amount: int, unit: int) -> int:
    return -(-amount // unit)


def _machine_type(machine: Machine) -> dict[str, str]:
    secure_boot = {"os_secure_boot": "required"} if machine.secure_boot else {}
    # Nova's secure boot needs the system management mode, which only q35 has.
    if machine.secure_boot or machine.machine_type == "q35":
        return {"hw_machine_type": "q35", **secure_boot}
    return {"hw_machine_type": "pc"} if machine.machine_type == "i440fx" else {}


def _disk_bus(machine: Machine, virtio: bool, findings: list[Finding]) -> dict[str, str]:
    """The bus of the boot disk, or one for which every guest has a driver."""
    boot = machine.disks[0]
    if boot.bus == "virtio" or (virtio and not _is_virtio_scsi(boot)):
        return {"hw_disk_bus": "virtio"}
    if _is_virtio_scsi(boot):
        return {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}
    if boot.bus == "ide" and machine.machine_type != "q35" and not machine.secure_boot:
        return {"hw_disk_bus": "ide"}
    if boot.bus != "sata":
        controller = f" ({boot.controller})" if boot.controller else ""
        says = (
            f"disk {boot.name} on {boot.bus}{controller} gets SATA: see that the guest's initramfs has the driver ahci"
        )
        more = "have it converted (machine_import_convert), or set virtio (machine_import_virtio) when it has virtio's"
        findings.append(Finding(True, f"{says}, {more}"))
    return {"hw_disk_bus": "sata"}


def _is_virtio_scsi(disk: Disk) -> bool:
    return disk.bus == "scsi" and (disk.controller or "").startswith("virtio-scsi")


def _interface_model(machine: Machine, virtio: bool, findings: list[Finding]) -> str:
    model = machine.interfaces[0].model
    if virtio or model == "virtio":
        return "virtio"
    chosen = model if model in _KEPT_MODELS else "e1000e"
    if chosen != model:
        says = f"interface {machine.interfaces[0].name} of the model {model or 'unknown'} becomes an {chosen}"
        findings.append(Finding(False, f"{says}; the guest may give it another name"))
    return str(chosen)


def _oddities(machine: Machine) -> Iterator[Finding]:
    """An image has one bus and one model for all, so that what differs changes."""
    if len({disk.bus for disk in machine.disks}) > 1:
        buses = ", ".join(f"{disk.name} on {disk.bus}" for disk in machine.disks)
        yield Finding(False, f"the disks come to one bus: {buses}; name them by UUID in the guest's fstab")
    if len({interface.model for interface in machine.interfaces}) > 1:
        models = ", ".join(f"{each.name} {each.model}" for each in machine.interfaces)
        yield Finding(True, f"the interfaces come to one model: {models}")
