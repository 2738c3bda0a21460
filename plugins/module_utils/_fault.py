# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Make and heal faults, in the order that leaves nothing behind: journal, dead man's switch, fault, evidence."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_clock import ClockStep
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_disk import FullDisk
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest, Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_host import HostFreeze, NetworkCut, PowerOff
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_network import Delay, Drop
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_service import Crash, Hang, Stop
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_slow_disk import SlowDisk

FORMS: dict[str, type[Form]] = {
    "crash": Crash,
    "hang": Hang,
    "silence": Drop,
    "partition": Drop,
    "stop": Stop,
    "delay": Delay,
    "loss": Drop,
    "full_disk": FullDisk,
    "slow_disk": SlowDisk,
    "clock_step": ClockStep,
    "power_off": PowerOff,
    "host_freeze": HostFreeze,
    "network_cut": NetworkCut,
}
HEAL_AFTER_S = (5, 3600)
APPOINTMENT_S = 10.0
# A fault must not begin when its switch is about to fire.
LEAST_LEFT_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the entries concerned, and for check mode what would be."""

    changed: bool
    entries: tuple[Entry, ...] = ()
    plan: tuple[str, ...] = ()
    injection_took_s: float = 0.0
    late_s: float = 0.0

    def to_json(self) -> dict[str, t.Any]:
        """The shape that the fault module returns."""
        entries = [entry.to_json() for entry in self.entries]
        result: dict[str, t.Any] = {"changed": self.changed, "entries": entries, "plan": list(self.plan)}
        if len(entries) == 1:
            entry = self.entries[0]
            result |= {
                "landed": entry.evidence.get("landed"),
                "evidence": entry.evidence,
                "injected_at": entry.injected_at,
                "healed_at": entry.healed_at,
                "healed_by": entry.healed_by,
                "deadline": entry.deadline,
                "injection_took_s": self.injection_took_s,
                "late_s": self.late_s,
            }
        return result


@dataclass(frozen=True, slots=True)
class Injector:
    """Makes one fault on this host. ``heal_after_s`` is counted from the arming; ``deadman`` False: no switch."""

    request: FaultRequest
    journal: Journal
    heal_after_s: int
    deadman: bool = True

    def form(self) -> Form:
        """The form of fault, checked: nothing is changed when it cannot be made."""
        self.request.validate()
        low, high = HEAL_AFTER_S
        if not low <= self.heal_after_s <= high:
            raise LifeboatError(
                "heal_after", f"{self.heal_after_s} s", f"{low} to {high} s", "Say when the dead man's switch heals."
            )
        form = FORMS[self.request.form](self.request, self.journal.run)
        form.check()
        return form

    def current(self) -> Entry | None:
        """The entry of this very fault; refuses when another fault has the key or the victim."""
        mine: Entry | None = None
        for entry in self.journal.entries():
            if (entry.key, entry.form) == (self.request.key, self.request.form) and entry.state != "unhealed":
                mine = entry
            elif entry.state != "healed" and self._collides(entry):
                raise LifeboatError(
                    f"fault {self.request.key}",
                    f"fault {entry.key} ({entry.form}, {entry.state}) on the same victim",
                    "no other fault there",
                    f"Heal it first: state healed, id {entry.id}.",
                )
        return mine

    def _collides(self, entry: Entry) -> bool:
        same_host = bool(entry.host) and (entry.host, entry.network) == (self.request.host, self.request.network)
        same_unit = bool(set(entry.units) & set(self.request.units))
        # Deadlines are instants of the wall clock: nothing else may stand or be armed while it is stepped.
        clock = "clock_step" in (entry.form, self.request.form)
        return entry.key == self.request.key or same_host or same_unit or clock

    def arm(self) -> Outcome:
        """Prepare, so that the fault costs no time when it is made; not changed when that was done."""
        current = self.current()
        if current is not None and current.state in ("armed", "injecting", "injected"):
            return Outcome(False, (current,))
        entry, _form = self._arm(current)
        return Outcome(True, (entry,))

    def _arm(self, stale: Entry | None) -> tuple[Entry, Form]:
        form = self.form()
        if stale is not None:
            self.journal.disarm(stale)
        self.journal.open()
        now = time.time()
        request = self.request
        entry = self.journal.write(
            Entry(
                key=request.key,
                id=request.id,
                form=request.form,
                armed_at=now,
                deadline=now + self.heal_after_s,
                recipe=form.recipe(),
                units=request.units,
                host=request.host,
                network=request.network,
            )
        )
        if self.deadman:
            entry = self.journal.arm_switch(entry)
        form.prepare()
        return self.journal.write(replace(entry, state="armed")), form

    def inject(self, at: float | None = None) -> Outcome:
        """Make the fault, at the instant ``at`` (epoch) when given; not changed when it stands already."""
        current = self.current()
        if current is not None and current.state in ("injecting", "injected"):
            return Outcome(False, (current,))
        _check_appointment(at)
        if current is None or current.state != "armed" or not self._time_left(current):
            entry, form = self._arm(current)
        else:
            entry, form = current, self.form()
        form.observe()
        # The recipe anew: the host may have got new interfaces since it was armed.
        entry = self.journal.write(replace(entry, state="injecting", recipe=form.recipe()))
        late = _keep_appointment(at)
        if time.time() > entry.deadline - LEAST_LEFT_S:
            raise LifeboatError(
                f"fault {entry.key}", "its dead man's switch about to fire", "time to act", "Raise heal_after."
            )
        injected_at, began = time.time(), time.monotonic()
        form.act()
        # The wall clock may be another one now.
        took = time.monotonic() - began
        entry = self.journal.update(replace(entry, state="injected", injected_at=injected_at))
        evidence = form.evidence()
        seen = {"landed": evidence.landed, "basis": evidence.basis, **evidence.details}
        entry = self.journal.update(replace(entry, evidence=seen))
        return Outcome(True, (entry,), injection_took_s=took, late_s=late)

    def _time_left(self, entry: Entry) -> bool:
        """An armed switch serves while at least half of its time is left."""
        return entry.deadline - time.time() >= (entry.deadline - entry.armed_at) / 2

    def preview(self, state: str) -> Outcome:
        """For check mode: what arming or injecting would do."""
        current = self.current()
        done = ("injecting", "injected") if state == "injected" else ("armed", "injecting", "injected")
        if current is not None and current.state in done:
            return Outcome(False, (current,))
        form = self.form()
        switch = f"arm the dead man's switch for {self.heal_after_s} s" if self.deadman else "arm no dead man's switch"
        heals = (f"heal: {step}" for step in form.recipe())
        return Outcome(True, plan=(f"write {self.request.key} into the journal", switch, *form.plan(), *heals))


def _check_appointment(at: float | None) -> None:
    ahead = 0.0 if at is None else at - time.time()
    if ahead > APPOINTMENT_S:
        raise LifeboatError(
            "at", f"an instant {ahead:.1f} s ahead", f"at most {APPOINTMENT_S:g} s", "Choose it later, or arm first."
        )


def _keep_appointment(at: float | None) -> float:
    """Wait for the instant; how late it is now, in seconds."""
    if at is None:
        return 0.0
    time.sleep(max(0.0, at - time.time()))
    return time.time() - at


def select(journal: Journal, fault_id: str, host: str = "", network: str = "") -> tuple[Entry, ...]:
    """The entries of a run, or of all runs ('all'), of one host and network when given."""
    return tuple(
        entry
        for entry in journal.entries()
        if fault_id in ("all", entry.id)
        and (not host or host == entry.host)
        and (not network or network == entry.network)
    )


def heal(journal: Journal, entries: tuple[Entry, ...]) -> Outcome:
    """Heal each, the newest first; one that fails does not keep the others from being healed."""
    healed = []
    errors = []
    for entry in reversed(entries):
        try:
            healed.append(journal.heal(entry))
        except LifeboatError as error:
            errors.append(error)
    if errors:
        found = "; ".join(error.found for error in errors)
        raise LifeboatError("; ".join(error.thing for error in errors), found, errors[0].expected, errors[0].remedy)
    return Outcome(bool(healed), tuple(healed))


def heal_preview(entries: tuple[Entry, ...]) -> Outcome:
    """For check mode: what healing would do."""
    plan = tuple(f"heal {entry.key}: {step}" for entry in reversed(entries) for step in entry.recipe)
    return Outcome(bool(entries), entries, plan)
