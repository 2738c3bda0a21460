# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hypervisor in memory that answers as libvirt's test driver does, and where that one does less, as QEMU's."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import (
    CallError,
    Condition,
    Described,
    GuestAddress,
    Leftovers,
    State,
    Versions,
)

# virErrorNumber
OPERATION_FAILED, NO_DOMAIN, OPERATION_INVALID, CONFIG_UNSUPPORTED, INVALID_SCHEMA = 9, 42, 55, 67, 92
KNOWN = frozenset(
    {
        *("name", "uuid", "genid", "title", "description", "metadata", "memory", "currentMemory", "maxMemory", "vcpu"),
        *("memoryBacking", "memtune", "cputune", "iothreads", "os", "features", "cpu", "clock", "on_poweroff"),
        *("on_reboot", "on_crash", "devices", "seclabel"),
    }
)
KIB = {"": 1, "KiB": 1, "MiB": 1024, "GiB": 1024**2}


def failed(thing: str, found: str, code: int) -> CallError:
    return CallError(thing, found, "success at test:///default", "See the daemon's log for more.", code)


@dataclass
class Clock:
    """Time that passes only by waiting."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


@dataclass
class FakeVolume:
    """A volume of a pool."""

    volumes: dict[str, FakeVolume]
    path: str

    def delete(self) -> None:
        del self.volumes[self.path]


@dataclass
class FakeDomain:
    """A domain, what it was defined with and what it runs with."""

    hypervisor: FakeHypervisor
    name: str
    uuid: str
    defined: Element | None
    running: Element | None = None
    found: Condition = field(default_factory=lambda: Condition(State.SHUT_OFF, "unknown"))
    autostarts: bool = False
    left: Leftovers = field(default_factory=Leftovers)
    saved: Element | None = None
    job_statistics: Mapping[str, Any] = field(default_factory=dict)
    known_addresses: tuple[GuestAddress, ...] = ()
    dirty_mib: int = 0
    measured_at: float | None = None
    heeds_after_s: float | None = 0.0
    goes_down_at: float | None = None

    def _alive(self) -> None:
        if self.hypervisor.known.get(self.name) is not self:
            raise failed(f"domain {self.name}", "Domain not found", NO_DOMAIN)
        if self.goes_down_at is not None and self.hypervisor.clock.now >= self.goes_down_at:
            self._off("shutdown")

    def _needs(self, *states: State) -> None:
        self._alive()
        if self.found.state not in states:
            raise failed(f"domain {self.name}", "Requested operation is not valid", OPERATION_INVALID)

    def _off(self, reason: str) -> None:
        self.running, self.goes_down_at = None, None
        self.found = Condition(State.SHUT_OFF, reason)
        if self.defined is None:
            self.hypervisor.known.pop(self.name, None)

    def condition(self) -> Condition:
        self._alive()
        return self.found

    def persistent(self) -> bool:
        self._alive()
        return self.defined is not None

    def autostart(self) -> bool:
        self._alive()
        return self.autostarts

    def set_autostart(self, autostart: bool) -> None:
        self._alive()
        if self.defined is None:
            raise failed(f"domain {self.name}", "cannot set autostart for transient domain", OPERATION_INVALID)
        self.autostarts = autostart

    def definition(self, *, live: bool = False, secrets: bool = False) -> str:
        self._alive()
        shown = self.running if (live or self.defined is None) and self.running is not None else self.defined
        assert shown is not None
        root = copy.deepcopy(shown)
        for element in root.iter() if not secrets else ():
            element.attrib.pop("passwd", None)
        if live and self.running is not None:
            root.set("id", "7")
        return ElementTree.tostring(root, encoding="unicode")

    def leftovers(self) -> Leftovers:
        self._alive()
        return self.left

    def job(self) -> Mapping[str, Any]:
        return self.job_statistics

    def addresses(self, source: str) -> Sequence[GuestAddress]:
        return [each for each in self.known_addresses if each.source == source]

    def start(self, *, paused: bool = False, discard_saved: bool = False) -> None:
        self._alive()
        if self.found.active:
            raise failed(f"domain {self.name}", "Domain is already running", OPERATION_INVALID)
        restored = self.left.managed_save and not discard_saved
        self.running = copy.deepcopy(self.saved if restored and self.saved is not None else self.defined)
        self.left = Leftovers(False, self.left.snapshots, self.left.checkpoints)
        state = State.PAUSED if paused else State.RUNNING
        self.found = Condition(state, "user" if paused else "restored" if restored else "booted")
        self.hypervisor.calls.append("start")

    def request_shutdown(self) -> None:
        self._needs(State.RUNNING)
        self.hypervisor.calls.append("shutdown")
        if self.heeds_after_s is not None:
            self.goes_down_at = self.hypervisor.clock.now + self.heeds_after_s
            self._alive()

    def power_off(self) -> None:
        self._alive()
        if not self.found.active:
            raise failed(f"domain {self.name}", "domain is not running", OPERATION_INVALID)
        self.hypervisor.calls.append("destroy")
        self._off("destroyed")

    def suspend(self) -> None:
        # The reason tells who asked: 5 is VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT.
        moving = self.job_statistics.get("operation") == 5
        if moving and self.found.state is State.PAUSED:
            return
        self._needs(State.RUNNING)
        self.found = Condition(State.PAUSED, "migration" if moving else "user")

    def resume(self) -> None:
        self._needs(State.PAUSED)
        self.found = Condition(State.RUNNING, "unpaused")

    def wake(self) -> None:
        self._needs(State.SLEEPING)
        self.found = Condition(State.RUNNING, "wakeup")

    def undefine(self, remove: Collection[str], keep: Collection[str]) -> None:
        self._alive()
        assert self.defined is not None
        refused = {
            "managed_save": self.left.managed_save,
            "snapshots_metadata": bool(self.left.snapshots) and not self.found.active,
            "checkpoints_metadata": bool(self.left.checkpoints) and not self.found.active,
        }
        for part, there in refused.items():
            if there and part not in remove:
                raise failed(f"domain {self.name}", f"cannot undefine with {part}", OPERATION_INVALID)
        if self.defined.find("os/nvram") is not None and "nvram" not in {*remove, *keep}:
            raise failed(f"domain {self.name}", "cannot undefine domain with nvram", OPERATION_INVALID)
        self.hypervisor.calls.append(f"undefine {','.join(remove)} keep {','.join(keep)}")
        self.defined, self.autostarts = None, False
        if not self.found.active:
            del self.hypervisor.known[self.name]


@dataclass
class FakeHypervisor:
    """A Connection."""

    uri: str = "test:///default"
    clock: Clock = field(default_factory=Clock)
    known: dict[str, FakeDomain] = field(default_factory=dict)
    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    counted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    capabilities_xml: str = ""
    domain_capabilities_xml: str = ""
    host: str = "compute1"
    libvirt_version: str = "11.3.0"
    pools_found: list[Described] | None = None
    networks_found: list[Described] | None = None
    interfaces_found: list[str] | None = None
    secrets_found: list[str] | None = None
    made_macs: int = 0

    def find(self, name: str) -> FakeDomain | None:
        return self.known.get(name)

    def domains(self) -> list[FakeDomain]:
        return [self.known[name] for name in sorted(self.known)]

    def define(self, xml: str, *, validate: bool) -> None:
        root = ElementTree.fromstring(xml)
        name = root.findtext("name")
        assert name
        self.calls.append("define")
        unknown = [child.tag for child in root if child.tag not in KNOWN]
        if unknown and validate:
            raise failed("the domain's definition", f"XML document failed to validate: {unknown[0]}", INVALID_SCHEMA)
        for child in [each for each in root if each.tag in unknown]:
            root.remove(child)
        if root.find("os/boot") is not None and root.find("devices/*/boot") is not None:
            refusal = "per-device boot elements cannot be used together with os/boot elements"
            raise failed("the domain's definition", refusal, CONFIG_UNSUPPORTED)
        self._complete(root)
        found = self.known.get(name)
        identity = str(root.findtext("uuid"))
        if found is not None and found.uuid != identity:
            raise failed(
                "the domain's definition", f"domain {name} already exists with uuid {found.uuid}", OPERATION_FAILED
            )
        if found is None:
            self.known[name] = FakeDomain(self, name, identity, root)
        else:
            found.defined = root

    def _complete(self, root: Element) -> None:
        """What libvirt adds to a definition, and how it writes what it was given."""
        for name in ("memory", "currentMemory"):
            size = root.find(name)
            if size is None:
                size = SubElement(root, name)
                size.text = root.findtext("memory")
                continue
            size.text = str(int(size.text or 0) * KIB[size.get("unit", "")])
            size.set("unit", "KiB")
        defaults = {"uuid": str(uuid.uuid4()), "vcpu": "1", "on_poweroff": "destroy", "on_reboot": "restart"}
        for name, value in {**defaults, "on_crash": "destroy"}.items():
            if root.find(name) is None:
                SubElement(root, name).text = value
        root.find("vcpu").set("placement", "static")  # type: ignore[union-attr]
        if root.find("vcpu").get("current") == root.findtext("vcpu"):  # type: ignore[union-attr]
            del root.find("vcpu").attrib["current"]  # type: ignore[union-attr]
        if root.find("clock") is None:
            SubElement(root, "clock", {"offset": "utc"})
        system = root.find("os")
        assert system is not None
        system.find("type").attrib.setdefault("arch", "i686")  # type: ignore[union-attr]
        if system.find("boot") is None and root.find("devices/*/boot") is None:
            SubElement(system, "boot", {"dev": "hd"})
        devices = root.find("devices")
        self._complete_devices(devices if devices is not None else SubElement(root, "devices"))

    def _complete_devices(self, devices: Element) -> None:
        for number, disk in enumerate(devices.findall("disk")):
            disk.attrib.setdefault("device", "disk")
            if disk.find("address") is None:
                SubElement(disk, "address", {"type": "drive", "controller": "0", "bus": "0", "unit": str(number)})
        for interface in devices.findall("interface"):
            if interface.find("mac") is None:
                self.made_macs += 1
                SubElement(interface, "mac", {"address": f"52:54:00:00:00:{self.made_macs:02x}"})
        for tag in ("serial", "console"):
            for number, port in enumerate(devices.findall(tag)):
                if port.find("target") is None:
                    SubElement(port, "target", {"port": str(number)})
        for kind, attributes in {
            "input": {"type": "mouse", "bus": "ps2"},
            "memballoon": {"model": "virtio"},
        }.items():
            if devices.find(kind) is None:
                SubElement(devices, kind, attributes)

    def statistics(self) -> Mapping[str, Mapping[str, Any]]:
        return self.counted

    def find_volume(self, path: str) -> FakeVolume | None:
        return self.volumes.get(path)

    def find_pool_volume(self, pool: str, name: str) -> FakeVolume | None:
        return self.volumes.get(f"{pool}/{name}")

    def add_volume(self, path: str) -> None:
        self.volumes[path] = FakeVolume(self.volumes, path)

    def hypervisor(self) -> str:
        return "QEMU"

    def versions(self) -> Versions:
        return Versions(self.libvirt_version, "10.0.13", "9.0.0")

    def hostname(self) -> str:
        return self.host

    def capabilities(self) -> str:
        return self.capabilities_xml

    def domain_capabilities(self, arch: str, virtualization: str) -> str:
        assert arch and virtualization
        return self.domain_capabilities_xml

    def free_memory(self, cells: int) -> Sequence[int]:
        return [1024**3 * (number + 1) for number in range(cells)]

    def pools(self) -> list[Described] | None:
        return self.pools_found

    def networks(self) -> list[Described] | None:
        return self.networks_found

    def interfaces(self) -> list[str] | None:
        return self.interfaces_found

    def secrets(self) -> list[str] | None:
        return self.secrets_found


@dataclass
class FakeDirtyRates:
    """DirtyRateCalls; QEMU needs ``late_s`` more than it is to measure, and refuses the domains of ``refused``."""

    hypervisor: FakeHypervisor
    late_s: float = 0.0
    refused: dict[str, CallError] = field(default_factory=dict)

    def start(self, name: str, seconds: int) -> None:
        domain = self.hypervisor.known.get(name)
        if domain is None or name in self.refused:
            raise self.refused.get(name) or failed(f"domain {name}", "Domain not found", NO_DOMAIN)
        if not domain.found.active:
            raise failed(f"domain {name}", "domain is not running", OPERATION_INVALID)
        domain.measured_at = self.hypervisor.clock.now + seconds + self.late_s
        self.hypervisor.calls.append(f"measure {name} for {seconds} s")

    def read(self) -> Mapping[str, Mapping[str, Any]]:
        active = [each for each in self.hypervisor.known.values() if each.found.active]
        return {each.uuid: self._told(each) for each in active}

    def _told(self, domain: FakeDomain) -> Mapping[str, Any]:
        if domain.job_statistics:
            return {}
        if domain.measured_at is None:
            return {"dirtyrate.calc_status": 0}
        if self.hypervisor.clock.now < domain.measured_at:
            return {"dirtyrate.calc_status": 1}
        return {"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": domain.dirty_mib}


@dataclass
class FakeJobs:
    """JobCalls; what libvirt keeps of each domain is in ``kept``, and those of ``refused`` it does not tell of."""

    hypervisor: FakeHypervisor
    kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refused: dict[str, CallError] = field(default_factory=dict)

    def completed(self, name: str) -> Mapping[str, Any]:
        self.hypervisor.calls.append(f"completed job of {name}")
        if name in self.refused:
            raise self.refused[name]
        return self.kept.get(name, {})
