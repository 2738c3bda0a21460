# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the modules ask of libvirt, and the values it answers with.

Written as protocols, which _libvirt_client implements over Python's libvirt and the tests in memory.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from enum import StrEnum

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# What can outlive a domain, besides its storage.
PARTS = ("managed_save", "nvram", "tpm_state", "snapshots_metadata", "checkpoints_metadata")


class State(StrEnum):
    """The states of virDomainState, in its order."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTTING_DOWN = "shutting_down"
    SHUT_OFF = "shut_off"
    CRASHED = "crashed"
    SLEEPING = "sleeping"


# The reasons of libvirt-domain.h (virDomainRunningReason and so on), in their order.
REASONS: Mapping[State, tuple[str, ...]] = {
    State.RUNNING: (
        *("unknown", "booted", "migrated", "restored", "from_snapshot", "unpaused", "migration_canceled"),
        *("save_canceled", "wakeup", "crashed", "postcopy", "postcopy_failed"),
    ),
    State.PAUSED: (
        *("unknown", "user", "migration", "save", "dump", "ioerror", "watchdog", "from_snapshot", "shutting_down"),
        *("snapshot", "crashed", "starting_up", "postcopy", "postcopy_failed", "api_error"),
    ),
    State.SHUTTING_DOWN: ("unknown", "user"),
    State.SHUT_OFF: (
        *("unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot", "daemon"),
    ),
    State.CRASHED: ("unknown", "panicked"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a domain and why it is in it."""

    state: State
    reason: str = "unknown"

    @classmethod
    def of(cls, state: int, reason: int) -> Condition:
        """From the two numbers of virDomainGetState; numbers of newer versions are unknown."""
        states = tuple(State)
        named = states[state] if 0 <= state < len(states) else State.UNKNOWN
        reasons = REASONS.get(named, ())
        return cls(named, reasons[reason] if 0 <= reason < len(reasons) else "unknown")

    @property
    def active(self) -> bool:
        """Whether the hypervisor holds it."""
        return self.state is not State.SHUT_OFF

    def __str__(self) -> str:
        return f"{self.state.value} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is kept beside a domain's definition."""

    managed_save: bool = False
    snapshots: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class GuestAddress:
    """An IP address of a guest's interface, told by ``source``: lease, agent or arp."""

    mac: str
    address: str
    prefix: int
    source: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions as text: of the daemon's libvirt, the hypervisor, and the library that asks."""

    libvirt: str
    hypervisor: str
    client: str


@dataclass(frozen=True, slots=True)
class Described:
    """A storage pool or a network by its XML; ``active`` when it is started."""

    xml: str
    active: bool


class CallError(LifeboatError):
    """A call of libvirt that failed; ``code`` is its virErrorNumber, None when it did not answer in time."""

    def __init__(self, thing: str, found: str, expected: str, remedy: str, code: int | None = None) -> None:
        super().__init__(thing, found, expected, remedy)
        self.code = code


class Volume(t.Protocol):
    """A storage volume."""

    def delete(self) -> None:
        """Remove it with what it holds."""


class Domain(t.Protocol):
    """A domain. Every method asks libvirt anew; CallError when it refuses."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uuid(self) -> str:
        """Its UUID."""

    def condition(self) -> Condition:
        """State and reason."""

    def persistent(self) -> bool:
        """Whether it has a definition, so that it is still there when it is off."""

    def autostart(self) -> bool:
        """Whether it starts with the host."""

    def definition(self, *, live: bool = False, secrets: bool = False) -> str:
        """XML of its next start, or of the running guest when ``live``; with passwords when ``secrets``."""

    def leftovers(self) -> Leftovers:
        """What is kept beside its definition."""

    def job(self) -> Mapping[str, t.Any]:
        """The statistics of the job under way as libvirt has them; empty without one, or when it cannot tell."""

    def addresses(self, source: str) -> Sequence[GuestAddress]:
        """What the DHCP leases, the guest agent or the ARP table tell; empty when it cannot."""

    def start(self, *, paused: bool = False, discard_saved: bool = False) -> None:
        """Start it, from its managed save when it has one and ``discard_saved`` is false."""

    def request_shutdown(self) -> None:
        """Ask the guest to shut down."""

    def power_off(self) -> None:
        """Stop it at once."""

    def suspend(self) -> None:
        """Stop its processors."""

    def resume(self) -> None:
        """Let its processors go on."""

    def wake(self) -> None:
        """Wake a guest that sleeps."""

    def set_autostart(self, autostart: bool) -> None:
        """Start it with the host, or not."""

    def undefine(self, remove: Collection[str], keep: Collection[str]) -> None:
        """Remove the definition with some of PARTS, and keep others of them explicitly."""


class Connection(t.Protocol):
    """A connection to one hypervisor."""

    @property
    def uri(self) -> str:
        """Its URI."""

    def find(self, name: str) -> Domain | None:
        """The domain of this name."""

    def domains(self) -> Sequence[Domain]:
        """All domains."""

    def define(self, xml: str, *, validate: bool) -> None:
        """Define a domain, or give one a new definition; ``validate`` lets libvirt hold the XML against its schema."""

    def statistics(self) -> Mapping[str, Mapping[str, t.Any]]:
        """What virConnectGetAllDomainStats says of block devices and interfaces, by UUID; empty when it cannot tell."""

    def find_volume(self, path: str) -> Volume | None:
        """The volume with this path in a started pool."""

    def find_pool_volume(self, pool: str, name: str) -> Volume | None:
        """The volume of this name in this pool."""

    def hypervisor(self) -> str:
        """The hypervisor's type, such as QEMU."""

    def versions(self) -> Versions:
        """The versions in use."""

    def hostname(self) -> str:
        """The host's own name."""

    def capabilities(self) -> str:
        """XML of the host's capabilities."""

    def domain_capabilities(self, arch: str, virtualization: str) -> str:
        """XML of what domains of this kind can have; empty when it cannot tell."""

    def free_memory(self, cells: int) -> Sequence[int]:
        """Free bytes in the first so many NUMA nodes; empty when it cannot tell."""

    def pools(self) -> Sequence[Described] | None:
        """The storage pools; None when it cannot tell."""

    def networks(self) -> Sequence[Described] | None:
        """libvirt's own networks; None when it cannot tell."""

    def interfaces(self) -> Sequence[str] | None:
        """The names of the host's network interfaces, bridges among them; None when it cannot tell."""

    def secrets(self) -> Sequence[str] | None:
        """The UUIDs of the secrets; None when it cannot tell."""


def require_domain(connection: Connection, name: str) -> Domain:
    """The domain of this name; LifeboatError when there is none."""
    domain = connection.find(name)
    if domain is None:
        raise LifeboatError(f"domain {name}", f"no such domain at {connection.uri}", "one", "Correct the name.")
    return domain
