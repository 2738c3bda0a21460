# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A domain's definition as wanted, compared with the one libvirt has.

What is said must be there. What is not said may be there, since libvirt completes a definition by itself, with three
exceptions: what libvirt never adds (the tables ``OWNED`` and ``DRIVER_ADDED``), further elements of a name of which one
is said (unless they are devices of ``ADDED``), and what derives from what is said (``completed``).
"""

from __future__ import annotations

import copy
import typing as t
from collections import Counter
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import (
    same_attribute,
    same_text,
    size_attributes,
    size_kib,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
# Children, by their parent's name, that libvirt has only when it was told so: not said means not wanted.
OWNED: dict[str, frozenset[str]] = {
    "domain": frozenset(
        {
            *("title", "description", "genid", "maxMemory", "memoryBacking", "memtune", "blkiotune", "cputune"),
            *("numatune", "iothreads", "sysinfo", "keywrap", "launchSecurity", "idmap", "bootloader", "perf"),
            *(f"{_QEMU}commandline", f"{_QEMU}override", f"{_QEMU}capabilities"),
        }
    ),
    "os": frozenset({"kernel", "initrd", "cmdline", "dtb", "bootmenu", "bios", "smbios", "acpi"}),
    "features": frozenset({"acpi", "apic", "pae", "hap", "hyperv", "kvm", "vmcoreinfo", "vmport"}),
    "clock": frozenset({"timer"}),
    "cpu": frozenset({"feature", "topology", "cache", "maxphysaddr"}),
    "devices": frozenset(
        {
            *("disk", "filesystem", "interface", "hostdev", "redirdev", "redirfilter", "smartcard", "shmem", "memory"),
            *("vsock", "rng", "tpm", "sound", "parallel", "lease", "graphics", "channel", "crypto", "pstore"),
        }
    ),
    "disk": frozenset(
        {
            *("boot", "iotune", "serial", "wwn", "vendor", "product", "shareable", "transient", "encryption"),
            *("throttlefilters", "blockio", "geometry"),
        }
    ),
    "interface": frozenset(
        {"boot", "bandwidth", "mtu", "filterref", "link", "tune", "vlan", "coalesce", "rom", "guest", "teaming"}
    ),
}
OWNED_ATTRIBUTES: dict[str, frozenset[str]] = {"vcpu": frozenset({"current", "cpuset"})}
# Of these the order counts.
_ORDERED = frozenset({"boot", f"{_QEMU}arg"})
# Attributes of a disk's driver that libvirt fills in; it has all others only when told so.
DRIVER_ADDED = frozenset({"name", "type"})
# Kinds of devices of which libvirt adds some beside those it is told.
ADDED = frozenset({"controller", "input", "console", "serial", "audio", "watchdog", "panic", "iommu"})
# What identifies repeated elements: the path of a child, or nothing, and an attribute. The others go by their order.
_KEYS = {
    "disk": ("target", "dev"),
    "interface": ("mac", "address"),
    "filesystem": ("target", "dir"),
    "channel": ("target", "name"),
    "graphics": ("", "type"),
    "feature": ("", "name"),
    "cell": ("", "id"),
    "timer": ("", "name"),
    "vcpupin": ("", "vcpu"),
    "iothreadpin": ("", "iothread"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a definition is not as wanted."""

    path: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found} -> {self.wanted}"


def differences(wanted: Element, found: Element) -> list[Difference]:
    """Where the definition that libvirt has is not the wanted one."""
    return list(_differences(completed(wanted), found, ""))


def live_differences(wanted: Element, live: Element) -> list[Difference]:
    """Where the running guest is not what the wanted definition makes at its next start.

    Left out is what may differ while it runs: the balloon, the number of processors online, metadata, security labels,
    the features of a CPU, ports that were chosen at the start, and what a network turned out to be.
    """
    return list(_differences(_as_live(completed(wanted)), live, "", live=True))


def completed(wanted: Element) -> Element:
    """With what libvirt derives from what is said, so that a change of the one changes the other."""
    root = copy.deepcopy(wanted)
    memory = root.find("memory")
    if memory is not None and root.find("currentMemory") is None:
        current = Element("currentMemory", {"unit": memory.get("unit", "KiB")})
        current.text = memory.text
        root.append(current)
    for devices in root.findall("devices"):
        _say_console_as_serial(devices)
    return root


def _say_console_as_serial(devices: Element) -> None:
    """The first console of a full virtual machine is another name of its first serial port, made from it or for it."""
    console = devices.find("console")
    target = console.find("target") if console is not None else None
    if console is None or (target is not None and target.get("type", "serial") != "serial"):
        return
    devices.remove(console)
    if devices.find("serial") is None:
        console.tag = "serial"
        if target is not None:
            console.remove(target)
        devices.append(console)


def _as_live(wanted: Element) -> Element:
    root = copy.deepcopy(wanted)
    for name in ("currentMemory", "metadata", "seclabel"):
        for element in root.findall(name):
            root.remove(element)
    for vcpu in root.findall("vcpu"):
        vcpu.attrib.pop("current", None)
    for cpu in root.findall("cpu"):
        _forget_resolved(cpu)
    for graphics in root.findall("devices/graphics"):
        for name in ("port", "tlsPort", "websocket"):
            if graphics.get("autoport") == "yes" or graphics.get(name) == "-1":
                graphics.attrib.pop(name, None)
    # libvirt forgets the format of a drive without a medium.
    for driver in [each.find("driver") for each in root.findall("devices/disk") if each.find("source") is None]:
        if driver is not None:
            driver.attrib.pop("type", None)
    for interface in root.findall("devices/interface[@type='network']"):
        del interface.attrib["type"]
    return root


def _forget_resolved(cpu: Element) -> None:
    """A running guest has a model instead of ``host-model``, and features that nobody asked for."""
    if cpu.get("mode") == "host-model":
        cpu.set("mode", "custom")
    for name in ("match", "check", "migratable"):
        cpu.attrib.pop(name, None)
    for element in [each for each in cpu if each.tag in {"feature", "cache", "maxphysaddr"}]:
        cpu.remove(element)


def _differences(wanted: Element, found: Element, path: str, *, live: bool = False) -> Iterator[Difference]:
    yield from _value_differences(wanted, found, path, live=live)
    if wanted.tag == "disk":
        yield from _driver_differences(wanted, found, path)
    tags = list(dict.fromkeys(child.tag for child in wanted))
    for tag in tags:
        said = wanted.findall(tag)
        pairs, others = pair(tag, said, found.findall(tag))
        for number, (one, other) in enumerate(pairs):
            place = f"{path}/{_named(one, number if len(said) > 1 else None)}"
            if other is None:
                yield Difference(place, "absent", _shown(one))
            else:
                yield from _differences(one, other, place, live=live)
        if _complete(wanted, tag) and not (live and wanted.tag == "cpu"):
            yield from (Difference(f"{path}/{_named(each)}", "present", "absent") for each in others)
    for element in found if not (live and wanted.tag == "cpu") else ():
        if element.tag not in tags and element.tag in OWNED.get(wanted.tag, ()):
            yield Difference(f"{path}/{_named(element)}", _shown(element), "absent")


def _value_differences(wanted: Element, found: Element, path: str, *, live: bool) -> Iterator[Difference]:
    size, found_size = size_kib(wanted), size_kib(found)
    compared_as_size = size is not None and found_size is not None
    # QEMU rounds the memory of a running guest up to whole MiB.
    if compared_as_size and size != found_size and not (live and -(-(size or 0) // 1024) * 1024 == found_size):
        yield Difference(path, f"{found_size} KiB", f"{size} KiB")
    skipped = size_attributes(wanted) if compared_as_size else frozenset()
    for name, value in wanted.attrib.items():
        other = found.get(name)
        if name not in skipped and (other is None or not same_attribute(wanted, name, value, other)):
            yield Difference(f"{path}@{name}", other if other is not None else "absent", value)
    owned = OWNED_ATTRIBUTES.get(wanted.tag, frozenset()) - ({"current"} if live else set())
    for name in owned & (found.attrib.keys() - wanted.attrib.keys()):
        yield Difference(f"{path}@{name}", found.attrib[name], "absent")
    said = wanted.text if not (compared_as_size and wanted.tag != "cell") else None
    if said is not None and not same_text(wanted, said, found.text):
        yield Difference(path, found.text or "nothing", said)


def _driver_differences(wanted: Element, found: Element, path: str) -> Iterator[Difference]:
    driver, other = wanted.find("driver"), found.find("driver")
    said = frozenset(driver.attrib) if driver is not None else frozenset()
    for name, value in other.attrib.items() if other is not None else ():
        if name not in said | DRIVER_ADDED:
            yield Difference(f"{path}/driver@{name}", value, "absent")


def _complete(parent: Element, tag: str) -> bool:
    """Whether the list of these children is to be taken as the whole."""
    return parent.tag != "devices" or tag not in ADDED


def pair(
    tag: str, wanted: Sequence[Element], found: Sequence[Element]
) -> tuple[list[tuple[Element, Element | None]], list[Element]]:
    """For each wanted element the one that it is compared with, None when it must be added; and what is left over.

    By what identifies them, then by being equal, then by order.
    """
    keys, remaining = _keys(tag, wanted), list(found)
    by_key = {key: each for key, each in zip(_keys(tag, remaining), remaining, strict=True) if key is not None}
    partner: dict[int, Element | None] = {}
    for number, key in enumerate(keys):
        if key is not None:
            partner[number] = by_key.pop(key, None)
            remaining = [each for each in remaining if each is not partner[number]]
    for number, one in enumerate(wanted) if tag not in _ORDERED else ():
        equal = [each for each in remaining if not any(_differences(one, each, ""))] if number not in partner else []
        if equal:
            partner[number] = equal[0]
            remaining = [each for each in remaining if each is not equal[0]]
    # A controller of PCI is a place in the guest's topology: another one is not turned into it.
    for number in range(len(wanted)) if tag != "controller" else ():
        if number not in partner and remaining:
            partner[number] = remaining.pop(0)
    return [(one, partner.get(number)) for number, one in enumerate(wanted)], remaining


def _keys(tag: str, elements: Sequence[Element]) -> list[str | None]:
    if tag == "controller":
        return _controller_keys(elements)
    return [_key(each) for each in elements]


def _key(element: Element) -> str | None:
    path, name = _KEYS.get(element.tag, ("", ""))
    holder = element.find(path) if path else element
    value = holder.get(name) if holder is not None and name else None
    return value.lower() if value and element.tag == "interface" else value


def _controller_keys(elements: Sequence[Element]) -> list[str | None]:
    """Type and index; libvirt counts an index that is not said, for PCI as the topology asks."""
    seen: Counter[str] = Counter()
    keys: list[str | None] = []
    for each in elements:
        kind = each.get("type", "")
        index = each.get("index") or ("" if kind == "pci" else str(seen[kind]))
        seen[kind] += 1
        keys.append(f"{kind} {index}" if index else None)
    return keys


def _named(element: Element, number: int | None = None) -> str:
    tag = element.tag.rpartition("}")[2]
    key = _key(element)
    if key is not None:
        return f"{tag}[{key}]"
    return tag if number is None else f"{tag}[{number}]"


def _shown(element: Element) -> str:
    return element.text if element.text and not len(element) else "present"
