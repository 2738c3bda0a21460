# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How fast guests write to their memory, as QEMU measures it while they run.

QEMU takes the checksums of a few pages of each GiB, and again at the end, and counts those that are others then. It
marks and stops nothing, so the guest does not notice, and neither do its migrations.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State, require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import job_of

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Connection, Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock

# libvirt's MIN_DIRTYRATE_CALC_PERIOD and MAX_DIRTYRATE_CALC_PERIOD.
_SECONDS = (1, 60)
_POLL_S = 0.25
# A busy host is late with the checksums.
_LATE_S = 30.0
# VIR_DOMAIN_DIRTYRATE_MEASURED
_MEASURED = 2
_UP = frozenset({State.RUNNING, State.BLOCKED})
_GONE = "it is gone meanwhile"


@dataclass(frozen=True, slots=True)
class DirtyRate:
    """What a guest writes to its memory, in ``bytes_per_second``; None with the ``reason`` where it is not known.

    ``state`` is the domain's at the beginning.
    """

    name: str
    uuid: str
    state: str
    bytes_per_second: int | None = None
    reason: str | None = None


class DirtyRateCalls(t.Protocol):
    """What libvirt has for it; CallError when it refuses."""

    def start(self, name: str, seconds: int) -> None:
        """Have QEMU begin to measure for so long; LifeboatError where libvirt does not know how."""

    def read(self) -> Mapping[str, Mapping[str, t.Any]]:
        """The statistics of the last measurement of each running domain, by UUID; empty of one that is busy."""


@dataclass(slots=True)
class Measurement:
    """Of many domains at the same time."""

    connection: Connection
    calls: DirtyRateCalls
    clock: Clock

    def rates(self, names: Collection[str] | None, seconds: int) -> list[DirtyRate]:
        """Of the named domains, or of all that run, by name."""
        least, most = _SECONDS
        if not least <= seconds <= most:
            raise LifeboatError("seconds", str(seconds), f"{least} to {most}, as libvirt has it", "Correct seconds.")
        rates: dict[str, DirtyRate] = {}
        pending: dict[str, Domain] = {}
        for domain, condition in self._domains(names):
            state = (condition.state if condition else State.UNKNOWN).value
            reason = self._refusal(domain, condition) or self._start(domain, seconds)
            rates[domain.uuid] = DirtyRate(domain.name, domain.uuid, state, reason=reason)
            if reason is None:
                pending[domain.uuid] = domain
        for uuid, (rate, reason) in self._results(pending, seconds).items():
            at_first = rates[uuid]
            rates[uuid] = DirtyRate(at_first.name, uuid, at_first.state, rate, reason)
        return list(rates.values())

    def _domains(self, names: Collection[str] | None) -> list[tuple[Domain, Condition | None]]:
        if names is not None:
            named = [require_domain(self.connection, name) for name in sorted(set(names))]
            return [(domain, self._condition(domain)) for domain in named]
        found = [(domain, self._condition(domain)) for domain in self.connection.domains()]
        return [(domain, condition) for domain, condition in found if condition and condition.state in _UP]

    def _condition(self, domain: Domain) -> Condition | None:
        """None when it is gone meanwhile."""
        try:
            return domain.condition()
        except CallError:
            if self.connection.find(domain.name) is not None:
                raise
            return None

    def _refusal(self, domain: Domain, condition: Condition | None) -> str | None:
        """Why it cannot be measured."""
        if condition is None:
            return _GONE
        return f"it is {condition}" if condition.state not in _UP else self._busy(domain)

    def _busy(self, domain: Domain) -> str | None:
        """With what. libvirt would wait half a minute for most jobs to end before it refuses."""
        try:
            job = job_of(domain.job())
        except CallError:
            if self.connection.find(domain.name) is not None:
                raise
            return _GONE
        return f"libvirt is busy with it ({job.operation})" if job else None

    def _start(self, domain: Domain, seconds: int) -> str | None:
        """Why libvirt or QEMU refuses."""
        try:
            self.calls.start(domain.name, seconds)
        except CallError as error:
            # Who does not answer for one would not do so for the others either.
            if error.code is None:
                raise
            return error.found if self.connection.find(domain.name) is not None else _GONE
        return None

    def _results(self, pending: dict[str, Domain], seconds: int) -> dict[str, tuple[int | None, str | None]]:
        """Rate, or the reason for none, by UUID."""
        results: dict[str, tuple[int | None, str | None]] = {}
        began = self.clock.monotonic()
        pause_s: float = seconds
        while len(results) < len(pending) and self.clock.monotonic() - began < seconds + _LATE_S:
            self.clock.sleep(pause_s)
            pause_s = _POLL_S
            said = self.calls.read()
            left = {uuid: domain for uuid, domain in pending.items() if uuid not in results}
            results |= dict(self._look(left, said))
        late = f"QEMU had not measured it {seconds + _LATE_S:g} s after it began"
        for uuid, domain in pending.items():
            if uuid not in results:
                results[uuid] = None, self._busy(domain) or late
        return results

    def _look(
        self, left: Mapping[str, Domain], said: Mapping[str, Mapping[str, t.Any]]
    ) -> Iterator[tuple[str, tuple[int | None, str | None]]]:
        for uuid, domain in left.items():
            told = said.get(uuid, {})
            mib = told.get("dirtyrate.megabytes_per_second")
            if told.get("dirtyrate.calc_status") == _MEASURED and mib is not None:
                yield uuid, (int(mib) * 2**20, None)
            elif not told:
                condition = self._condition(domain)
                if condition is None or condition.state not in _UP:
                    yield uuid, (None, _GONE if condition is None else f"it is {condition}")
