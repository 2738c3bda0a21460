# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a plan of migrations is made from: hosts, servers, server groups, links, limits.

Memory, disks and what is transferred are in bytes, bandwidths and dirty rates in bytes per second, times in seconds.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import Guest
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import HostFacts

GroupPolicy = t.Literal["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
Movable = t.Literal["live", "cold", "none"]
Storage = t.Literal["volume", "shared", "local"]
NOT_RUNNING = frozenset({"SHUTOFF", "SHELVED", "STOPPED"})


@dataclass(frozen=True, slots=True)
class Amounts:
    """Of a host what may be allocated in all, over-commit counted in; of a server what it takes."""

    vcpus: float
    memory: float
    disk: float = 0


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides which servers a host can run. What is empty is not known, and nothing is refused for it.

    ``parts`` are those that servers may need by name, such as storage pools. ``shared_names`` are names that libvirt
    tells hosts apart by and that other hosts have as well. ``libvirt`` is what libvirt says of the host, without what
    is only its own: where source and destination have it, it decides instead of versions, processors and machines.
    """

    hypervisor: str = ""
    hypervisor_version: str = ""
    libvirt_version: str = ""
    cpu_model: str = ""
    cpu_models: frozenset[str] = frozenset()
    cpu_features: frozenset[str] = frozenset()
    machines: frozenset[str] = frozenset()
    zone: str = ""
    aggregates: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    storage: str | None = None
    parts: frozenset[str] = frozenset()
    shared_names: frozenset[str] = frozenset()
    libvirt: HostFacts | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """``bandwidth`` in each direction, for migrations; ``link`` is the uplink that it shares with other hosts."""

    name: str
    capacity: Amounts
    bandwidth: float
    link: str | None = None
    state: str = "up"
    status: str = "enabled"
    traits: Traits = Traits()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a server needs of its host beside room. What is empty is not needed, or not known.

    ``storage`` says where its disks are: on ``volume``s, on the storage that hosts share, or on the host's own disks.
    ``parts`` are what it needs of Traits.parts, ``guest`` is what of its domain matters to libvirt.
    """

    storage: Storage = "volume"
    cpu_mode: str = ""
    cpu_model: str = ""
    cpu_features: frozenset[str] = frozenset()
    machine: str = ""
    zone: str = ""
    aggregates: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    guest: Guest | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server. ``takes`` is its flavor, ``memory`` what of it is in use; ``local_disk`` is copied with it.

    ``movable`` is ``live`` when it may move while it runs, ``cold`` when it must stand still for it, ``none`` when it
    cannot move; ``reason`` says why. Where it starts anew it needs only ``needs_anew``, None for the same. One that is
    under way is ``bound_for`` another host; ``avoid`` are hosts to which its migration failed.
    """

    id: str
    name: str
    host: str
    takes: Amounts
    memory: float
    dirty_rate: float = 0.0
    working_set: float | None = None
    local_disk: float = 0.0
    status: str = "ACTIVE"
    needs: Needs = Needs()
    needs_anew: Needs | None = None
    group: str | None = None
    movable: Movable = "live"
    reason: str = ""
    priority: int = 0
    bound_for: str | None = None
    avoid: frozenset[str] = frozenset()

    @property
    def running(self) -> bool:
        return self.status not in NOT_RUNNING

    @property
    def stoppable(self) -> bool:
        """Whether it may be stopped for its move: Nova moves one that stands still in its memory only live, or not."""
        return self.status not in {"PAUSED", "SUSPENDED"}

    def stopped(self, reason: str) -> Server:
        """The same, to be stopped for its move."""
        return dataclasses.replace(self, movable="cold", reason=reason, needs=self.needs_anew or self.needs)


@dataclass(frozen=True, slots=True)
class Group:
    """A server group. A host takes ``max_server_per_host`` of one whose policy is anti-affinity; 1 with any other."""

    policy: GroupPolicy
    max_server_per_host: int = 1


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts by name, servers by id, server groups by name, and shared links' bandwidths by name."""

    hosts: Mapping[str, Host]
    servers: Mapping[str, Server]
    groups: Mapping[str, Group] = field(default_factory=dict)
    links: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Uplinks:
    """Links that hosts share: ``bandwidths`` by the link's name, ``of_hosts`` the link that a host is at, by host."""

    bandwidths: Mapping[str, float] = field(default_factory=dict)
    of_hosts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many migrations there may be at the same time: from a host, to a host, on a link each way, and in all."""

    outgoing: int = 1
    incoming: int = 1
    link: int = 4
    total: int = 50


@dataclass(frozen=True, slots=True)
class Move:
    """A server, by id, from host to host."""

    server: str
    source: str
    destination: str
