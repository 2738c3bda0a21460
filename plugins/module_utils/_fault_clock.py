# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The fault clock_step: the host's wall clock jumps while no time service corrects it.

Wall clock minus monotonic clock, here the offset, changes by steps only: both run at the rate that a time service sets.
Going back to the offset before the fault is right however long the fault lasted, and as often as it is done.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, must
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_service import GONE, UnitForm

STEP_S = (1, 86400)
# Less than the smallest step, more than what passes between two readings on a busy host.
TOLERANCE_S = 0.5
TIME_SERVICES = ("chronyd.service", "chrony.service", "systemd-timesyncd.service", "ntpsec.service", "ntpd.service")
SERVICE_TIMEOUT_S = 90.0
PROCESS_STATUS = Path("/proc/self/status")
CAP_SYS_TIME = 25
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A command and no call, so that the recipe is the same for the module, the dead man's switch and an operator.
SET_OFFSET = "import sys, time; time.clock_settime(time.CLOCK_REALTIME, time.monotonic() + float(sys.argv[1]))"


def offset_s() -> float:
    """Wall clock minus monotonic clock, in seconds."""
    return time.time() - time.monotonic()


def set_offset(offset: float) -> tuple[str, ...]:
    """The command that sets the wall clock to the monotonic one plus ``offset`` seconds."""
    return (sys.executable, "-I", "-c", SET_OFFSET, f"{offset:.6f}")


@dataclass(slots=True)
class ClockStep(UnitForm):
    """The clock jumps by ``step_s``; ``units`` are time services, those known here when empty.

    ``before_s`` is the offset to go back to, 0 until the fault is about to be made.
    """

    services: tuple[str, ...] = ()
    before_s: float = 0.0

    def check(self) -> None:
        """The clock is the host's own, may be set, and what keeps it can be stopped."""
        low, high = STEP_S
        if not low <= abs(self.request.step_s) <= high:
            raise LifeboatError(
                "step_s of clock_step", f"{self.request.step_s} s", f"{low} to {high} s or the negative", "Set step_s."
            )
        self._refuse_foreign_clock()
        self.check_types()
        self.services = self._active_services()

    def _refuse_foreign_clock(self) -> None:
        # Exits with 1 when it finds no container, so only what it says counts.
        answer = self.run(("systemd-detect-virt", "--container"), 10.0)
        found = answer.out.strip() or answer.err.strip() or "no answer"
        if found != "none":
            raise LifeboatError(
                "clock of this host",
                f"'{found}' from systemd-detect-virt --container",
                "'none': a clock that no other host has",
                "A container shares the clock of its host and its neighbours; use a machine, virtual or not.",
            )
        lines = dict(line.split(":", 1) for line in PROCESS_STATUS.read_text(encoding="utf-8").splitlines())
        if not int(lines["CapEff"], 16) >> CAP_SYS_TIME & 1:
            raise LifeboatError("right to set the clock", "no CAP_SYS_TIME", "it", "Become root.")

    def _active_services(self) -> tuple[str, ...]:
        """The active time services; chronyd and chrony may be two names of one unit, which has one cgroup."""
        wanted = self.units or TIME_SERVICES
        active: dict[str, str] = {}
        for unit in wanted:
            status = self.status(unit)
            if status.active == "active":
                active.setdefault(status.cgroup, unit)
        if not active:
            raise LifeboatError(
                "time service",
                f"none active of {', '.join(wanted)}",
                "the one that keeps this host's clock, which would undo the step",
                "Start it, or name it in units.",
            )
        return tuple(active.values())

    def recipe(self) -> tuple[Step, ...]:
        """Go back to the offset once one was stepped from, then start the time services."""
        start = Step(run=("systemctl", "start", *self.services), timeout_s=SERVICE_TIMEOUT_S)
        if not self.before_s:
            return (start,)
        # The monotonic clock begins anew with each boot, and the wall clock is then read from the hardware, unstepped.
        same_boot = Condition(file=str(BOOT_ID), matches=f"^{BOOT_ID.read_text(encoding='utf-8').strip()}$")
        return (Step(run=set_offset(self.before_s), only_if=same_boot), start)

    def observe(self) -> None:
        """Note the offset to go back to."""
        self.before_s = offset_s()

    def act(self) -> None:
        """Stop the time services and step from the offset noted."""
        stop = ("systemctl", "stop", *self.services)
        must(self.run, stop, "time service", "Heal the fault.", timeout_s=SERVICE_TIMEOUT_S)
        must(self.run, set_offset(self.before_s + self.request.step_s), "step of the clock", "Heal the fault.")

    def evidence(self) -> Evidence:
        """The offset has changed by the step, and nobody is there to change it back."""
        after = offset_s()
        stepped_s = after - self.before_s
        states = {unit: self.status(unit).active for unit in self.services}
        details = {
            "offset_before_s": round(self.before_s, 6),
            "offset_after_s": round(after, 6),
            "stepped_s": round(stepped_s, 6),
            "services": states,
        }
        landed = abs(stepped_s - self.request.step_s) < TOLERANCE_S and GONE.issuperset(states.values())
        return Evidence(landed, "wall clock minus monotonic clock", details)

    def plan(self) -> tuple[str, ...]:
        """For check mode; the recipe knows the way back only when the step is made."""
        step = f"step the clock by {self.request.step_s} s; healing goes back, but for the time that has passed"
        return (f"systemctl stop {' '.join(self.services)}", step)
