# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What can be said of a hypervisor, above all what decides whether a domain can come to it or leave it."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type; ``canonical`` is the version that an unversioned name stands for, else the name."""

    name: str
    canonical: str
    deprecated: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node. Memory in bytes; ``free`` is None when libvirt cannot tell."""

    id: int
    cpus: int
    memory: int
    free: int | None


@dataclass(frozen=True, slots=True)
class CpuModel:
    """A CPU by libvirt's name of the model, with the features that it has beyond and that it lacks of it."""

    model: str
    vendor: str | None = None
    features: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


def cpu_json(cpu: CpuModel | None) -> dict[str, t.Any] | None:
    """The CPU as plain values."""
    if cpu is None:
        return None
    return {
        "model": cpu.model,
        "vendor": cpu.vendor,
        "features": sorted(cpu.features),
        "without": sorted(cpu.without),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A hypervisor. ``guest_cpu`` is what a domain with C(host-model) gets, with its XML in ``guest_cpu_xml``.

    ``usable_models`` are the CPU models that it can give to a domain; None when libvirt cannot tell.
    ``migration_transports`` are URI schemes over which it takes migrations.
    """

    uri: str
    transport: str
    uuid: str
    hostname: str
    hypervisor: str
    libvirt_version: str
    hypervisor_version: str
    client_version: str
    arch: str
    virtualization: tuple[str, ...]
    cpu: CpuModel | None
    guest_cpu: CpuModel | None
    guest_cpu_xml: str | None
    usable_models: frozenset[str] | None
    cpus: int
    nodes: tuple[Node, ...]
    machines: tuple[Machine, ...]
    live_migration: bool
    migration_transports: tuple[str, ...]

    @property
    def accelerated(self) -> bool:
        """Whether domains can run on KVM."""
        return "kvm" in self.virtualization


def read_host(connection: Connection, virtualization: str = "") -> HostFacts:
    """The facts of the host at the other end.

    Its CPUs and machines are those that domains of this kind get, such as C(qemu); without one, of the best it has.
    """
    root = ElementTree.fromstring(connection.capabilities())
    arch = root.findtext("host/cpu/arch") or ""
    guest = next((each for each in root.findall("guest/arch") if each.get("name") == arch), None)
    kinds = tuple(dict.fromkeys(each.get("type", "") for each in guest.findall("domain"))) if guest is not None else ()
    best = next((kind for kind in (virtualization, "kvm") if kind in kinds), kinds[0] if kinds else "")
    said = connection.domain_capabilities(arch, best) if best else ""
    domains = ElementTree.fromstring(said) if said else None
    guest_cpu = domains.find("cpu/mode[@name='host-model'][@supported='yes']") if domains is not None else None
    versions = connection.versions()
    cells = root.findall("host/topology/cells/cell")
    return HostFacts(
        uri=connection.uri,
        transport=transport(connection.uri),
        uuid=(root.findtext("host/uuid") or "").lower(),
        hostname=connection.hostname(),
        hypervisor=connection.hypervisor(),
        libvirt_version=versions.libvirt,
        hypervisor_version=versions.hypervisor,
        client_version=versions.client,
        arch=arch,
        virtualization=kinds,
        cpu=_cpu(root.find("host/cpu")),
        guest_cpu=_cpu(guest_cpu),
        guest_cpu_xml=_host_model_xml(guest_cpu),
        usable_models=_usable(domains),
        cpus=len(root.findall("host/topology/cells/cell/cpus/cpu")),
        nodes=_nodes(cells, connection),
        machines=_machines(guest, best),
        live_migration=root.find("host/migration_features/live") is not None,
        migration_transports=tuple(
            each.text or "" for each in root.findall("host/migration_features/uri_transports/uri_transport")
        ),
    )


def transport(uri: str) -> str:
    """How a URI reaches the daemon: what it names after C(+), else C(unix) for this host and C(tls) for another."""
    scheme, _colon, rest = uri.partition(":")
    named = scheme.partition("+")[2]
    return named or ("unix" if rest.startswith("///") else "tls")


def _cpu(element: Element | None) -> CpuModel | None:
    model = element.findtext("model") if element is not None else None
    if element is None or not model:
        return None
    features = {each.get("name", ""): each.get("policy", "require") for each in element.findall("feature")}
    return CpuModel(
        model,
        element.findtext("vendor"),
        frozenset(name for name, policy in features.items() if policy in {"require", "force"}),
        frozenset(name for name, policy in features.items() if policy in {"disable", "forbid"}),
    )


def _host_model_xml(mode: Element | None) -> str | None:
    """As C(<cpu>) of a domain, which virConnectBaselineHypervisorCPU and its sisters take."""
    if mode is None:
        return None
    cpu = ElementTree.Element("cpu", {"mode": "custom", "match": "exact"})
    cpu.extend(copy.deepcopy(list(mode)))
    for element in cpu.iter():
        element.tail = None
    return ElementTree.tostring(cpu, encoding="unicode")


def _usable(domains: Element | None) -> frozenset[str] | None:
    custom = domains.find("cpu/mode[@name='custom'][@supported='yes']") if domains is not None else None
    if custom is None:
        return None
    return frozenset(each.text for each in custom.findall("model") if each.text and each.get("usable") != "no")


def _nodes(cells: list[Element], connection: Connection) -> tuple[Node, ...]:
    free = dict(enumerate(connection.free_memory(len(cells)))) if cells else {}
    return tuple(
        Node(
            int(cell.get("id", number)),
            len(cell.findall("cpus/cpu")),
            _bytes(cell.find("memory")),
            free.get(number),
        )
        for number, cell in enumerate(cells)
    )


def _bytes(memory: Element | None) -> int:
    # Capabilities always give KiB.
    return int(memory.text or 0) * 1024 if memory is not None else 0


def _machines(guest: Element | None, kind: str) -> tuple[Machine, ...]:
    """Those of the emulator, and those that only this kind of domain has."""
    if guest is None:
        return ()
    elements = [*guest.findall("machine"), *guest.findall(f"domain[@type='{kind}']/machine")]
    by_name: Mapping[str, Machine] = {
        each.text: Machine(each.text, each.get("canonical", each.text), each.get("deprecated") == "yes")
        for each in elements
        if each.text
    }
    return tuple(by_name.values())
