# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Guests of Proxmox VE as their files in /etc/pve/qemu-server describe them (qm.conf(5))."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import (
    Disk,
    Finding,
    Interface,
    Machine,
    check,
    machine_type,
    number,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Settings = dict[str, str]
_LINE = re.compile(r"([a-z][a-z0-9_-]*):\s*(.*)")
_SECTION = re.compile(r"\[(.+)\]")
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_BUSES = ("virtio", "scsi", "sata", "ide")
_DRIVE = re.compile(rf"({'|'.join(_BUSES)})(\d+)")
# What a guest may have several of, each with its number behind the name.
_NUMBERED = re.compile(
    r"(audio|efidisk|hostpci|ide|ipconfig|net|numa|parallel|rng|sata|scsi|serial|smbios|tpmstate|unused|usb|virtio|virtiofs)"
    r"(\d{1,3})"
)
_MODELS = frozenset({"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3", "pcnet", "ne2k_pci"})
_READ = """
    name sockets cores vcpus memory bios machine ostype scsihw boot bootdisk arch efidisk lock net virtio scsi sata ide
"""
# What a guest does not notice, or what the cloud decides itself.
_LEFT = """
    acpi affinity agent allow-ksm archive audio autostart balloon cdrom cipassword citype ciupgrade ciuser cpu cpulimit
    cpuunits description freeze hotplug hugepages import-working-storage ipconfig keephugepages keyboard kvm localtime
    meta migrate_downtime migrate_speed nameserver numa onboot parallel parent protection reboot rng
    running-nets-host-mtu searchdomain serial shares smbios smp spice_enhancements sshkeys startdate startup tablet tags
    tdf template vga vmgenid vmstatestorage watchdog
"""
_SERIOUS = {
    "args": "QEMU's own arguments are left out",
    "amd-sev": "memory encryption is left out",
    "intel-tdx": "memory encryption is left out",
    "cicustom": "the custom cloud-init files are left out",
    "hookscript": "the hook script is left out",
    "hostpci": "a device of the host is passed through; it is left out",
    "ivshmem": "the memory shared with the host is left out",
    "tpmstate": "the TPM with its keys is left out; a disk encrypted by it cannot be opened",
    "usb": "a USB device is left out",
    "virtiofs": "a directory of the host is shared; it is left out",
}
_KNOWN = frozenset([*_READ.split(), *_LEFT.split(), *_SERIOUS, "unused"])


def parse_proxmox(text: str, guest: str, thing: str) -> Machine:
    """The machine of the file ``guest``.conf as it is now, without its snapshots. Unknown keys are refused."""
    settings, sections = _sections(text, thing)
    _check_known(settings, thing)
    if "lock" in settings:
        remedy = f"Wait until the task has ended; qm unlock {guest} when it has died."
        raise LifeboatError(thing, f"a guest locked by {settings['lock']}", "one that no task works on", remedy)
    machine = Machine(
        name=settings.get("name", guest),
        vcpus=number(settings.get("sockets", "1"), thing, "sockets")
        * number(settings.get("cores", "1"), thing, "cores"),
        memory=_memory(settings, thing),
        firmware="uefi" if settings.get("bios") == "ovmf" else "bios",
        secure_boot="pre-enrolled-keys=1" in settings.get("efidisk0", ""),
        machine_type=machine_type(_first(settings.get("machine", "pc"), "type")),
        os_type=_os_type(settings.get("ostype", "other")),
        disks=tuple(_disks(settings, thing)),
        interfaces=tuple(_interfaces(settings, thing)),
        findings=tuple(_findings(settings, sections)),
    )
    return check(machine, thing)


def _sections(text: str, thing: str) -> tuple[Settings, list[str]]:
    """The guest's settings, and the names of the sections behind them, mostly snapshots."""
    settings: Settings = {}
    sections: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            sections.append(section[1])
            continue
        setting = _LINE.fullmatch(line)
        if setting is None or (not sections and setting[1] in settings):
            found = f"the line {line[:80]!r}"
            raise LifeboatError(thing, found, "lines such as cores: 2, each key once", "Correct the file.")
        if not sections:
            settings[setting[1]] = setting[2]
    return settings, sections


def _check_known(settings: Settings, thing: str) -> None:
    unknown = [key for key in settings if _family(key) not in _KNOWN]
    if unknown:
        remedy = "Take them out if the guest can do without."
        raise LifeboatError(thing, f"the unknown keys {', '.join(unknown)}", "keys of qm.conf(5)", remedy)


def _family(key: str) -> str:
    numbered = _NUMBERED.fullmatch(key)
    return numbered[1] if numbered else key


def _options(value: str, first: str) -> dict[str, str]:
    """C(a,b=c) as {first: a, b: c}."""
    options = {}
    for position, part in enumerate(value.split(",")):
        name, equals, rest = part.partition("=")
        options[name if equals else first if position == 0 else part] = rest if equals else part
    return options


def _first(value: str, name: str) -> str:
    return _options(value, name).get(name, "")


def _memory(settings: Settings, thing: str) -> int:
    return number(_first(settings.get("memory", "512"), "current"), thing, "memory") * 2**20


def _os_type(told: str) -> str | None:
    if told in ("l24", "l26"):
        return "linux"
    return "windows" if told.startswith("w") else None


def _disks(settings: Settings, thing: str) -> Iterator[Disk]:
    order = _boot_order(settings)
    found = [_disk(key, value, settings, thing) for key, value in settings.items() if _is_disk(key, value)]
    yield from sorted(found, key=lambda disk: order.index(disk.name) if disk.name in order else len(order))


def _boot_order(settings: Settings) -> list[str]:
    order = _options(settings.get("boot", ""), "legacy").get("order", settings.get("bootdisk", ""))
    return [each.strip() for each in order.split(";")]


def _is_disk(key: str, value: str) -> bool:
    return _DRIVE.fullmatch(key) is not None and _options(value, "file").get("media", "disk") == "disk"


def _disk(key: str, value: str, settings: Settings, thing: str) -> Disk:
    drive, options = _DRIVE.fullmatch(key), _options(value, "file")
    bus = drive[1] if drive else ""
    size = _SIZE.fullmatch(options["size"]) if "size" in options else None
    if "size" in options and size is None:
        found = f"{key} of size {options['size']!r}"
        raise LifeboatError(thing, found, "a size such as 32G", "Correct the file.")
    volume = options.get("file", "")
    if not volume or volume == "none":
        raise LifeboatError(
            thing, f"{key} without a volume", "one such as local-lvm:vm-101-disk-0", "Correct the file."
        )
    return Disk(
        name=key,
        bus=bus,
        controller=settings.get("scsihw", "lsi") if bus == "scsi" else None,
        capacity=int(size[1]) * _UNITS[size[2]] if size else None,
        reference=volume,
        format=options.get("format") or _format(volume),
    )


def _format(volume: str) -> str:
    ending = volume.rpartition(".")[2]
    return ending if ending in ("qcow2", "vmdk") else "raw"


def _interfaces(settings: Settings, thing: str) -> Iterator[Interface]:
    for key, value in settings.items():
        if _family(key) != "net":
            continue
        options = _options(value, "model")
        model = options.get("model") or next((name for name in options if name in _MODELS), None)
        yield Interface(
            name=key,
            model=model,
            network=options.get("bridge"),
            mac=(options.get("macaddr") or options.get(model or "", "")).lower() or None,
            vlan=number(options["tag"], thing, f"tag of {key}") if "tag" in options else None,
        )


def _findings(settings: Settings, sections: list[str]) -> Iterator[Finding]:
    for key, value in settings.items():
        if _family(key) in _SERIOUS:
            yield Finding(True, f"{key}: {_SERIOUS[_family(key)]}")
        elif _family(key) == "unused":
            yield Finding(False, f"{key}: the volume {value} belongs to no disk and is left out")
        elif _DRIVE.fullmatch(key) and not _is_disk(key, value):
            yield Finding(False, f"{key}: the drive is left out")
        elif _family(key) == "efidisk":
            yield Finding(True, f"{key}: UEFI's variables are left out; the guest must start from EFI/BOOT")
        elif key == "arch" and value != "x86_64":
            yield Finding(True, f"a guest of the architecture {value}")
    yield from _section_findings(sections)


def _section_findings(sections: list[str]) -> Iterator[Finding]:
    snapshots = [name for name in sections if name != "PENDING" and not name.startswith("special:")]
    if snapshots:
        yield Finding(False, f"the snapshots {', '.join(snapshots)} are left out")
    if "PENDING" in sections:
        yield Finding(True, "changes that wait for the guest's next start are left out")
