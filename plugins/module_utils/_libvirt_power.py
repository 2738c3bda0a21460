# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Bringing a domain from one state to another."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, State

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_POLL_S = 0.5
# A job of libvirt holds the processors and lets them go by itself.
_HELD = frozenset(
    {"migration", "save", "dump", "shutting_down", "snapshot", "starting_up", "postcopy", "postcopy_failed"}
)
_UP = frozenset({State.RUNNING, State.BLOCKED})


class Clock(t.Protocol):
    """A clock and a way to wait, as module ``time`` has them."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


CLOCK = t.cast("Clock", time)


@dataclass(slots=True)
class Power:
    """Changes of one domain's state. ``forced`` says afterwards whether the power plug was pulled."""

    connection: Connection
    name: str
    force: bool
    shutdown_timeout_s: float
    clock: Clock
    forced: bool = False

    def changes(self, found: Condition, wanted: str, *, saved: bool, discard_saved: bool) -> Iterator[Change]:
        """What leads from the condition to the state running, paused or shut_off."""
        if found.state is State.PAUSED and found.reason in _HELD and wanted != "paused":
            raise self._refusal(found, wanted, "Wait until the job that holds it is over, or abort that job.")
        if found.state is State.CRASHED and wanted == "shut_off" and not self.force:
            raise self._refusal(found, wanted, self._help(found))
        match wanted:
            case "running":
                yield from self._to_running(found, saved and not discard_saved, discard_saved)
            case "paused":
                yield from self._to_paused(found, saved and not discard_saved, discard_saved)
            case "shut_off" if found.active:
                yield self._change("shut down", found, wanted, self.stop)

    def _to_running(self, found: Condition, restores: bool, discard_saved: bool) -> Iterator[Change]:
        if found.state in _UP:
            return
        if found.state is State.SHUT_OFF:
            verb = "restore" if restores else "start"
            yield self._change(verb, found, "running", lambda: self._domain().start(discard_saved=discard_saved))
        elif found.state is State.PAUSED:
            yield self._change("resume", found, "running", lambda: self._domain().resume())
        elif found.state is State.SLEEPING:
            yield self._change("wake", found, "running", lambda: self._domain().wake())
        elif found.state is State.CRASHED and self.force:
            yield self._change("power off crashed", found, "shut_off", self._power_off)
            off = Condition(State.SHUT_OFF, "crashed")
            yield self._change("start", off, "running", lambda: self._domain().start(discard_saved=discard_saved))
        else:
            raise self._refusal(found, "running", self._help(found))

    def _to_paused(self, found: Condition, restores: bool, discard_saved: bool) -> Iterator[Change]:
        if found.state is State.PAUSED:
            return
        if found.state in _UP:
            yield self._change("pause", found, "paused", lambda: self._domain().suspend())
        elif found.state is State.SHUT_OFF:
            verb = "restore paused" if restores else "start paused"
            yield self._change(
                verb, found, "paused", lambda: self._domain().start(paused=True, discard_saved=discard_saved)
            )
        else:
            raise self._refusal(found, "paused", self._help(found))

    @staticmethod
    def _help(found: Condition) -> str:
        if found.state is State.CRASHED:
            return "Look at what is left of the guest; then state=running or shut_off with force=true powers it off."
        return "Bring it to running or shut_off first."

    def _change(self, verb: str, found: Condition, wanted: str, do: Callable[[], None]) -> Change:
        return Change(f"{verb} domain {self.name}", "state", found.state.value, wanted, do)

    def _refusal(self, found: Condition, wanted: str, remedy: str) -> LifeboatError:
        return LifeboatError(f"domain {self.name}", str(found), f"a state that leads to {wanted}", remedy)

    def _domain(self) -> Domain:
        domain = self.connection.find(self.name)
        if domain is None:
            raise LifeboatError(f"domain {self.name}", "none", "the domain", "See who else removes it, and run again.")
        return domain

    def _condition(self) -> Condition:
        """A transient domain that is off is gone."""
        domain = self.connection.find(self.name)
        try:
            return domain.condition() if domain is not None else Condition(State.SHUT_OFF)
        except CallError:
            if self.connection.find(self.name) is None:
                return Condition(State.SHUT_OFF)
            raise

    def stop(self) -> None:
        """Let the guest shut down; pull the plug when it has not, and only with ``force``."""
        if self._asked_to_shut_down():
            last = self._await_off()
            if not last.active:
                return
        else:
            last = self._condition()
        if not self.force:
            raise LifeboatError(
                f"domain {self.name}",
                f"{last} {self.shutdown_timeout_s:g} s after it was asked to shut down",
                "shut off",
                "See whether the guest heeds the power button (acpid, systemd-logind) or has an agent, allow more with "
                "shutdown_timeout, or let it be powered off with force=true.",
            )
        self._power_off()

    def _asked_to_shut_down(self) -> bool:
        """Whether it makes sense to wait. A guest that is stopped could not hear the request, so it goes on for it."""
        found = self._condition()
        if found.state in {State.CRASHED, State.UNKNOWN} or (self.force and not self.shutdown_timeout_s):
            return False
        try:
            if found.state is State.PAUSED:
                self._domain().resume()
            elif found.state is State.SLEEPING:
                self._domain().wake()
            if found.active and found.state is not State.SHUTTING_DOWN:
                self._domain().request_shutdown()
        except LifeboatError:
            if self._condition().active and not self.force:
                raise
        return True

    def _await_off(self) -> Condition:
        """The condition when it is off, or when the time is over."""
        end = self.clock.monotonic() + self.shutdown_timeout_s
        while (last := self._condition()).active and self.clock.monotonic() < end:
            self.clock.sleep(_POLL_S)
        return last

    def _power_off(self) -> None:
        self.forced = True
        self._domain().power_off()
