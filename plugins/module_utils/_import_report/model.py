# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The receipt of an import as values: moments are seconds since the Unix epoch, durations seconds, amounts bytes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_forecast import Forecast

# By the ending of what describes a machine; anything else is a disk alone.
_KINDS = {"ova": "OVA", "ovf": "OVF", "conf": "Proxmox", "xml": "libvirt"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What was brought in, as far as its description tells: None for the rest."""

    name: str
    vcpus: int | None
    memory: int | None
    firmware: str | None
    machine_type: str | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What the import loses or changes, as foreign_machine_info says it."""

    says: str
    serious: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """What copying a disk did; ``resumed`` bytes were there from an earlier copy."""

    size: int
    read: int
    written: int
    resumed: int
    source_digest: str
    destination_digest: str
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether both sides have the same content."""
        return self.source_digest == self.destination_digest


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk by its name; ``image`` is None for an empty one, ``volume`` for the boot disk."""

    name: str
    image: str | None
    volume: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """The server; ``is_new`` is false for one that an earlier run has made, of which no flavor is told."""

    server: str
    is_new: bool
    flavor: str
    networks: tuple[str, ...]
    disks: tuple[Disk, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A step, in the order of their coming, and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One reading of a machine that runs; ``written`` of what was read had become another since the one before."""

    read: int
    written: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Since when the machine was off, and how that is known."""

    since: float
    by: str


@dataclass(frozen=True, slots=True)
class Warm:
    """Of a machine that was copied while it ran. ``stop`` and ``offline_s`` are None where it was not stopped."""

    rounds: tuple[Round, ...]
    predicted: Forecast | None
    stop: Stop | None
    offline_s: float | None

    @property
    def slowness(self) -> float | None:
        """Seconds that it was away against those predicted."""
        if self.offline_s is None or self.predicted is None or not self.predicted.seconds:
            return None
        return self.offline_s / self.predicted.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one machine. ``failure`` and ``address`` may be empty, ``warm`` is None for one that was off.

    ``server_s`` has for each step of making the server how long after the beginning it had ended. ``is_left`` is true
    when what was made could not be taken away, ``is_kept`` when nobody tried to, as the operator has asked.
    ``is_started_again`` is about the source.
    """

    source: str
    host: str
    cloud: str
    address: str
    began: float
    machine: Machine
    checksums: tuple[str, ...]
    losses: tuple[Loss, ...]
    properties: Mapping[str, str]
    plan: Planned
    rehearsal: bool
    converted: bool
    copies: Mapping[str, Copy]
    steps: tuple[Step, ...]
    server_s: Mapping[str, float]
    warm: Warm | None
    answered: bool
    failure: str
    is_left: bool
    is_kept: bool
    is_started_again: bool

    @property
    def kind(self) -> str:
        """What the machine was described by."""
        return _KINDS.get(self.source.lower().rpartition(".")[2], "bare disk")

    @property
    def way(self) -> str:
        """How it was brought in."""
        way = "converted" if self.converted else "warm" if self.warm else "cold"
        return f"{way}, rehearsal" if self.rehearsal else way

    def seconds_of(self, step: str) -> float | None:
        """How long the step took, of all disks where it was done for each; None when it was not done."""
        found = [each.seconds for each in self.steps if each.name == step or each.name.startswith(f"{step} ")]
        return sum(found) if found else None
