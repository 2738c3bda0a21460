# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What libvirt_host_info and libvirt_domain_info returned, read back into the values that it was made from."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import (
    Disk,
    DomainFacts,
    Interface,
    Job,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import CpuModel, HostFacts, Machine, Node
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Network, Pool, Resources

if t.TYPE_CHECKING:
    from collections.abc import Callable

_HOST, _DOMAINS = "libvirt_host_info", "libvirt_domain_info"
_REMEDY = "Give the registered result of the task whole, from a run that succeeded."
_Value = t.TypeVar("_Value")


def host_of(result: object, host: str) -> tuple[HostFacts, Resources]:
    """From the result of libvirt_host_info on ``host``, or LifeboatError."""
    thing = f"result of {_HOST} on host {host}"
    found = _Found(_Found(_succeeded(result, thing), thing).value("host", dict), thing)
    facts = HostFacts(
        uri=found.text("uri"),
        transport=found.text("transport"),
        uuid=found.text("uuid"),
        hostname=found.text("hostname"),
        hypervisor=found.text("hypervisor"),
        libvirt_version=found.text("libvirt_version"),
        hypervisor_version=found.text("hypervisor_version"),
        client_version=found.text("client_version"),
        arch=found.text("arch"),
        virtualization=found.texts("virtualization"),
        cpu=found.maybe("cpu", _cpu),
        guest_cpu=found.maybe("guest_cpu", _cpu),
        guest_cpu_xml=found.value("guest_cpu_xml", str, type(None)),
        usable_models=found.set_or_none("usable_models"),
        cpus=found.number("cpus"),
        nodes=found.each("nodes", _node),
        machines=found.each("machines", _machine),
        live_migration=found.value("live_migration", bool),
        migration_transports=found.texts("migration_transports"),
    )
    resources = Resources(
        pools=None if found.is_null("pools") else found.each("pools", _pool),
        networks=None if found.is_null("networks") else found.each("networks", _network),
        interfaces=None if found.is_null("interfaces") else found.texts("interfaces"),
        secrets=None if found.is_null("secrets") else found.texts("secrets"),
    )
    return facts, resources


def domains_of(result: object, host: str) -> tuple[DomainFacts, ...]:
    """From the result of libvirt_domain_info on ``host``, or LifeboatError. Addresses are left out."""
    thing = f"result of {_DOMAINS} on host {host}"
    return _Found(_succeeded(result, thing), thing).each("domains", _domain)


def _succeeded(result: object, thing: str) -> object:
    if isinstance(result, dict) and (result.get("failed") or result.get("unreachable") or result.get("skipped")):
        how = "failed" if result.get("failed") else "did not reach the host" if result.get("unreachable") else "skipped"
        said = str(result.get("msg") or result.get("skip_reason") or "without a message").partition("\n")[0]
        raise LifeboatError(thing, f"that the task {how}: {said}", "one that succeeded", _REMEDY)
    return result


@dataclass(frozen=True, slots=True)
class _Found:
    """Takes values out of a part of a result; refuses what is missing or of another kind."""

    said: t.Any
    thing: str

    def __post_init__(self) -> None:
        if not isinstance(self.said, dict):
            raise LifeboatError(self.thing, f"{self.said!r:.60}", "a dictionary", _REMEDY)

    def value(self, name: str, *kinds: type) -> t.Any:
        if name not in self.said:
            raise LifeboatError(self.thing, f"no {name}", f"{name}, as the module returns it", _REMEDY)
        value = self.said[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise LifeboatError(f"{name} in the {self.thing}", f"{value!r:.60}", expected, _REMEDY)
        return value

    def text(self, name: str) -> str:
        return str(self.value(name, str))

    def text_or_none(self, name: str) -> str | None:
        return t.cast("str | None", self.value(name, str, type(None)))

    def number(self, name: str) -> int:
        return int(self.value(name, int))

    def flag(self, name: str) -> bool:
        return bool(self.value(name, bool))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(str(each) for each in self.value(name, list, tuple))

    def is_null(self, name: str) -> bool:
        return self.value(name, list, tuple, type(None)) is None

    def set_or_none(self, name: str) -> frozenset[str] | None:
        return None if self.is_null(name) else frozenset(self.texts(name))

    def maybe(self, name: str, read: Callable[[_Found], _Value]) -> _Value | None:
        value = self.value(name, dict, type(None))
        return None if value is None else read(_Found(value, f"{name} in the {self.thing}"))

    def each(self, name: str, read: Callable[[_Found], _Value]) -> tuple[_Value, ...]:
        return tuple(read(_Found(each, f"{name} in the {self.thing}")) for each in self.value(name, list, tuple))


def _cpu(found: _Found) -> CpuModel:
    return CpuModel(
        found.text("model"),
        found.text_or_none("vendor"),
        frozenset(found.texts("features")),
        frozenset(found.texts("without")),
    )


def _node(found: _Found) -> Node:
    return Node(found.number("id"), found.number("cpus"), found.number("memory"), found.value("free", int, type(None)))


def _machine(found: _Found) -> Machine:
    return Machine(found.text("name"), found.text("canonical"), found.flag("deprecated"))


def _pool(found: _Found) -> Pool:
    return Pool(
        found.text("name"),
        found.text("type"),
        found.flag("active"),
        found.text_or_none("path"),
        found.text_or_none("source"),
        found.number("capacity"),
        found.number("available"),
    )


def _network(found: _Found) -> Network:
    return Network(found.text("name"), found.flag("active"), found.text_or_none("bridge"))


def _domain(found: _Found) -> DomainFacts:
    return DomainFacts(
        name=found.text("name"),
        uuid=found.text("uuid"),
        state=found.text("state"),
        reason=found.text("reason"),
        persistent=found.flag("persistent"),
        autostart=found.flag("autostart"),
        vcpus=found.number("vcpus"),
        max_vcpus=found.number("max_vcpus"),
        memory_kib=found.number("memory_kib"),
        max_memory_kib=found.number("max_memory_kib"),
        virtualization=found.text("virtualization"),
        arch=found.text("arch"),
        machine=found.text("machine"),
        cpu_mode=found.text("cpu_mode"),
        cpu=found.maybe("cpu", _cpu),
        pinned=found.texts("pinned"),
        secrets=found.texts("secrets"),
        snapshots=found.number("snapshots"),
        checkpoints=found.number("checkpoints"),
        managed_save=found.flag("managed_save"),
        disks=found.each("disks", _disk),
        interfaces=found.each("interfaces", _interface),
        job=found.maybe("job", _job),
    )


def _disk(found: _Found) -> Disk:
    return Disk(
        target=found.text("target"),
        bus=found.text_or_none("bus"),
        device=found.text("device"),
        type=found.text("type"),
        source=found.text_or_none("source"),
        format=found.text_or_none("format"),
        read_only=found.flag("read_only"),
        shareable=found.flag("shareable"),
        statistics=found.value("statistics", dict),
    )


def _interface(found: _Found) -> Interface:
    return Interface(
        mac=found.text_or_none("mac"),
        type=found.text("type"),
        source=found.text_or_none("source"),
        target=found.text_or_none("target"),
        model=found.text_or_none("model"),
        addresses=(),
        statistics=found.value("statistics", dict),
    )


def _job(found: _Found) -> Job:
    return Job(found.text("type"), found.text("operation"), found.value("statistics", dict))
