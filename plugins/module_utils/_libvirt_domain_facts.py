# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What can be said of a domain without changing anything."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import guest_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse, size_kib

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain, GuestAddress
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import CpuModel

# virDomainJobType and virDomainJobOperation, in their order.
_JOB_TYPES = ("none", "bounded", "unbounded", "completed", "failed", "cancelled")
_JOB_OPERATIONS = (
    *("unknown", "start", "save", "restore", "migration_in", "migration_out", "snapshot", "snapshot_revert", "dump"),
    *("backup", "snapshot_delete"),
)
_AGENT = "org.qemu.guest_agent.0"


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk, CD-ROM or floppy. ``source`` is a path, pool/volume, or protocol:name; ``statistics`` are libvirt's.

    One that is ``shareable`` may be written by several guests at once.
    """

    target: str
    bus: str | None
    device: str
    type: str
    source: str | None
    format: str | None
    read_only: bool
    shareable: bool
    statistics: Mapping[str, t.Any]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface. ``target`` is its name on the host while it runs."""

    mac: str | None
    type: str
    source: str | None
    target: str | None
    model: str | None
    addresses: tuple[GuestAddress, ...]
    statistics: Mapping[str, t.Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What libvirt is doing with a domain. ``statistics`` are libvirt's, times in ms and sizes in bytes."""

    type: str
    operation: str
    statistics: Mapping[str, t.Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    """A domain as it is now, or as it is defined when it is off. Memory in KiB.

    ``cpu_mode``, ``cpu``, ``machine``, ``arch`` and ``virtualization`` are as in Guest. ``pinned`` are the devices that
    libvirt moves nowhere, ``secrets`` the UUIDs of those that it starts with.
    """

    name: str
    uuid: str
    state: str
    reason: str
    persistent: bool
    autostart: bool
    vcpus: int
    max_vcpus: int
    memory_kib: int
    max_memory_kib: int
    virtualization: str
    arch: str
    machine: str
    cpu_mode: str
    cpu: CpuModel | None
    pinned: tuple[str, ...]
    secrets: tuple[str, ...]
    snapshots: int
    checkpoints: int
    managed_save: bool
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    job: Job | None


def read_domains(
    connection: Connection, names: Collection[str] | None, sources: Sequence[str]
) -> Iterator[DomainFacts]:
    """The facts of the named domains, or of all. One that is not there, or that goes meanwhile, is left out."""
    statistics = connection.statistics()
    for domain in connection.domains():
        if names is None or domain.name in names:
            try:
                yield _read(domain, statistics.get(domain.uuid, {}), sources)
            except CallError:
                if connection.find(domain.name) is not None:
                    raise


def _read(domain: Domain, statistics: Mapping[str, t.Any], sources: Sequence[str]) -> DomainFacts:
    condition = domain.condition()
    root = parse(domain.definition(live=True), f"definition of domain {domain.name}")
    persistent = domain.persistent()
    vcpu = root.find("vcpu")
    most = int(vcpu.text or 1) if vcpu is not None else 1
    asked = tuple(_addresses(domain, root, sources)) if condition.state is State.RUNNING else ()
    memory = _size(root, "memory") or 0
    guest, left = guest_of(root), domain.leftovers()
    return DomainFacts(
        name=domain.name,
        uuid=domain.uuid,
        state=condition.state.value,
        reason=condition.reason,
        persistent=persistent,
        autostart=persistent and domain.autostart(),
        vcpus=int(vcpu.get("current", most)) if vcpu is not None else 1,
        max_vcpus=most,
        memory_kib=_size(root, "currentMemory") or memory,
        max_memory_kib=memory,
        virtualization=guest.virtualization,
        arch=guest.arch,
        machine=guest.machine,
        cpu_mode=guest.cpu_mode,
        cpu=guest.cpu,
        pinned=tuple(dict.fromkeys(_pinned(root))),
        secrets=tuple(sorted({each.get("uuid", "").lower() for each in root.iter("secret")} - {""})),
        snapshots=left.snapshots,
        checkpoints=left.checkpoints,
        managed_save=left.managed_save,
        disks=tuple(_disk(each, _named(statistics, "block")) for each in root.findall("devices/disk")),
        interfaces=tuple(
            _interface(each, asked, _named(statistics, "net")) for each in root.findall("devices/interface")
        ),
        job=job_of(domain.job()) if condition.active else None,
    )


def _size(root: Element, name: str) -> int | None:
    element = root.find(name)
    return size_kib(element) if element is not None else None


def _attribute(element: Element, path: str, *names: str) -> str | None:
    child = element.find(path)
    return next((child.attrib[name] for name in names if name in child.attrib), None) if child is not None else None


def _disk(disk: Element, statistics: Mapping[str, Mapping[str, t.Any]]) -> Disk:
    target = _attribute(disk, "target", "dev") or ""
    source = _attribute(disk, "source", "file", "dev", "dir", "name", "volume")
    scope = _attribute(disk, "source", "protocol", "pool")
    separator = ":" if disk.get("type") == "network" else "/"
    return Disk(
        target=target,
        bus=_attribute(disk, "target", "bus"),
        device=disk.get("device", "disk"),
        type=disk.get("type", ""),
        source=f"{scope}{separator}{source}" if scope and source else source,
        format=_attribute(disk, "driver", "type"),
        read_only=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        statistics=statistics.get(target, {}),
    )


def _pinned(root: Element) -> Iterator[str]:
    """Devices of the host, and what QEMU keeps in them or in files that it does not send along."""
    for device in root.findall("devices/hostdev"):
        # libvirt takes a device of a pair away for the migration, and gives the guest another one there.
        if device.find("teaming") is None:
            yield f"host device ({device.get('type', 'unknown')})"
    for interface in root.findall("devices/interface"):
        if interface.get("type") in {"hostdev", "vdpa"} and interface.find("teaming") is None:
            yield f"{interface.get('type')} interface"
    for disk in root.findall("devices/disk"):
        if disk.get("type") in {"nvme", "vhostvdpa"}:
            yield f"{disk.get('type')} disk"
    if root.find("devices/filesystem") is not None:
        yield "directory of the host"
    if root.find("devices/shmem") is not None:
        yield "shared memory device"
    if root.find("launchSecurity") is not None:
        yield "encrypted memory"


def _interface(
    interface: Element, addresses: Sequence[GuestAddress], statistics: Mapping[str, Mapping[str, t.Any]]
) -> Interface:
    mac = _attribute(interface, "mac", "address")
    target = _attribute(interface, "target", "dev")
    return Interface(
        mac=mac,
        type=interface.get("type", ""),
        source=_attribute(interface, "source", "network", "bridge", "dev", "path", "name"),
        target=target,
        model=_attribute(interface, "model", "type"),
        addresses=tuple(each for each in addresses if mac and each.mac == mac.lower()),
        statistics=statistics.get(target or "", {}),
    )


def _addresses(domain: Domain, root: Element, sources: Sequence[str]) -> Iterator[GuestAddress]:
    """Each address once, told by the first source that knows it. A source that cannot tell is no error."""
    seen = set()
    for source in sources:
        if source == "agent" and not _agent_answers(root):
            continue
        try:
            told = domain.addresses(source)
        except LifeboatError:
            # The agent can hang with its guest, and that is no reason to know nothing of the domain.
            continue
        for each in told:
            if (each.mac, each.address) not in seen:
                seen.add((each.mac, each.address))
                yield each


def _agent_answers(root: Element) -> bool:
    return any(
        target.get("name") == _AGENT and target.get("state") == "connected"
        for target in root.findall("devices/channel/target")
    )


def _named(statistics: Mapping[str, t.Any], kind: str) -> dict[str, dict[str, t.Any]]:
    """libvirt's flat ``block.0.rd.bytes`` as a mapping by device, then ``rd_bytes``."""
    devices: dict[str, dict[str, t.Any]] = {}
    for number in range(int(statistics.get(f"{kind}.count", 0))):
        start = f"{kind}.{number}."
        said = {
            key.removeprefix(start).replace(".", "_"): value
            for key, value in statistics.items()
            if key.startswith(start)
        }
        # Of a disk with backing files the first entry is the disk itself.
        devices.setdefault(str(said.pop("name", number)), said)
    return devices


def job_of(said: Mapping[str, t.Any]) -> Job | None:
    """From what Domain.job tells; None without a job."""
    if not said:
        return None
    return Job(
        type=_of(_JOB_TYPES, said.get("type")),
        operation=_of(_JOB_OPERATIONS, said.get("operation")),
        statistics={key: value for key, value in said.items() if key not in {"type", "operation"}},
    )


def _of(names: Sequence[str], number: object) -> str:
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else "unknown"
