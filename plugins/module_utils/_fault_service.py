# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Faults of systemd units: crash, hang and stop.

A hang writes the unit's cgroup.freeze itself. C(systemctl freeze) is not used: systemd (257) refuses every operation
on a unit that it froze, and when such a unit is killed (a watchdog, the OOM killer, another fault) it can be neither
thawed nor started until the host is restarted. To systemd, a cgroup frozen behind its back looks like a real hang.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, Form, must, wait_until
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Step

RUNTIME_UNITS = Path("/run/systemd/system")
CGROUPS = Path("/sys/fs/cgroup")
PROCESSES = Path("/proc")
# Read after every other addition to the unit, so that no Restart= of theirs wins.
DROP_IN = "zz-lifeboat-fault.conf"
LAND_TIMEOUT_S = 5.0
# A database or a message queue that joins its cluster again takes its time.
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 300.0
GONE = frozenset({"inactive", "failed", "deactivating"})


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be taken for a later one with the same id: ``started`` in clock ticks since the boot."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether it still is there and no zombie."""
        return self.started != "" and (_start(self.pid) == self.started)


def _start(pid: int) -> str:
    """When the process started; empty when it is gone or a zombie. Field 3 and 22 of proc_pid_stat(5)."""
    try:
        fields = (
            (PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _processes(cgroup: Path) -> tuple[Process, ...]:
    """Every process of the cgroup and of those below it."""
    pids: set[int] = set()
    for listing in cgroup.rglob("cgroup.procs"):
        try:
            pids.update(int(line) for line in listing.read_text(encoding="utf-8").split())
        except OSError:
            continue
    return tuple(process for pid in sorted(pids) if (process := Process(pid, _start(pid))).started)


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """What systemd says about a unit."""

    load: str
    active: str
    sub: str
    cgroup: str


@dataclass(slots=True)
class UnitForm(Form):
    """What the forms share: units that must be active, and their processes before the fault."""

    before: dict[str, tuple[Process, ...]] = field(default_factory=dict)

    @property
    def units(self) -> tuple[str, ...]:
        """The units by their full names."""
        return tuple(unit if "." in unit else f"{unit}.service" for unit in self.request.units)

    def status(self, unit: str) -> UnitStatus:
        """Ask systemd."""
        out = must(
            self.run,
            ("systemctl", "show", "--property=LoadState,ActiveState,SubState,ControlGroup", "--", unit),
            f"unit {unit}",
            "This form needs systemd.",
        )
        values = dict(line.partition("=")[::2] for line in out.splitlines())
        return UnitStatus(*(values.get(name, "") for name in ("LoadState", "ActiveState", "SubState", "ControlGroup")))

    def check(self) -> None:
        """A unit that does not run cannot fail."""
        self.require("units", self.units)
        self.check_types()
        for unit in self.units:
            status = self.status(unit)
            if status.load != "loaded" or status.active != "active":
                raise LifeboatError(
                    f"unit {unit}",
                    f"load state {status.load}, active state {status.active}",
                    "loaded and active",
                    "Name a unit that runs on this host, or bring it up first.",
                )

    def check_types(self) -> None:
        """A slice or scope may hold the dead man's switch itself."""
        for unit in self.units:
            if not unit.endswith(".service"):
                raise LifeboatError(f"unit {unit}", "no service", "a unit of the type service", "Correct units.")

    def cgroup(self, unit: str) -> Path:
        """The unit's directory in the unified cgroup tree."""
        path = CGROUPS / self.status(unit).cgroup.lstrip("/")
        if path == CGROUPS or not (path / "cgroup.procs").exists():
            raise LifeboatError(
                f"cgroup of unit {unit}", f"no {path}/cgroup.procs", "a unified cgroup (v2)", "Boot with cgroup v2."
            )
        return path

    def observe(self) -> None:
        """Note the processes."""
        self.before = {unit: _processes(self.cgroup(unit)) for unit in self.units}

    def gone(self) -> Evidence:
        """The evidence of crash and stop: the processes are gone and systemd knows."""
        victims = [process for processes in self.before.values() for process in processes]
        wait_until(lambda: not any(victim.alive() for victim in victims), LAND_TIMEOUT_S)
        wait_until(lambda: all(self.status(unit).active in GONE for unit in self.units), LAND_TIMEOUT_S)
        details = {}
        landed = True
        for unit, processes in self.before.items():
            left = [process.pid for process in processes if process.alive()]
            status = self.status(unit)
            landed = landed and bool(processes) and not left and status.active in GONE
            details[unit] = {
                "pids_before": [process.pid for process in processes],
                "pids_left": left,
                "active_state": status.active,
                "sub_state": status.sub,
            }
        return Evidence(landed, "processes and active state", {"units": details})

    def start_steps(self) -> tuple[Step, ...]:
        """Start what runs no more; a unit that runs is left alone by systemd."""
        if not self.request.start_on_heal:
            return ()
        return (
            Step(run=("systemctl", "reset-failed", *self.units), required=False),
            Step(run=("systemctl", "start", *self.units), timeout_s=START_TIMEOUT_S),
        )


class Crash(UnitForm):
    """SIGKILL of every process of the units, which systemd does not restart."""

    __slots__ = ()

    def _drop_ins(self) -> tuple[Path, ...]:
        return tuple(RUNTIME_UNITS / f"{unit}.d" / DROP_IN for unit in self.units)

    def prepare(self) -> None:
        """Forbid the restart, by a drop-in that a reboot forgets."""
        for drop_in in self._drop_ins():
            drop_in.parent.mkdir(parents=True, exist_ok=True)
            drop_in.write_text("[Service]\nRestart=no\n", encoding="utf-8")
        must(self.run, ("systemctl", "daemon-reload"), "systemd", "Look at the journal of systemd.", timeout_s=60.0)

    def recipe(self) -> tuple[Step, ...]:
        """Allow the restart again and start."""
        files = tuple(Step(remove=str(path)) for drop_in in self._drop_ins() for path in (drop_in, drop_in.parent))
        return (*files, Step(run=("systemctl", "daemon-reload"), timeout_s=60.0), *self.start_steps())

    def _argv(self) -> tuple[str, ...]:
        # Killing the main process only is no crash: its children may end in order.
        return ("systemctl", "kill", "--kill-whom=all", "--signal=SIGKILL", *self.units)

    def act(self) -> None:
        """Kill."""
        must(self.run, self._argv(), "crash", "Look at the units' state; heal the fault.")

    def evidence(self) -> Evidence:
        """The processes are gone."""
        return self.gone()

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (*(f"write {path} with Restart=no" for path in self._drop_ins()), " ".join(self._argv()))


class Stop(UnitForm):
    """An orderly stop."""

    __slots__ = ()

    def recipe(self) -> tuple[Step, ...]:
        """Start."""
        return self.start_steps()

    def act(self) -> None:
        """Stop, and wait for the end as systemd does."""
        remedy = "Look at the units' state; heal the fault."
        must(self.run, ("systemctl", "stop", *self.units), "stop", remedy, timeout_s=STOP_TIMEOUT_S)

    def evidence(self) -> Evidence:
        """The processes are gone."""
        return self.gone()

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"systemctl stop {' '.join(self.units)}",)


@dataclass(slots=True)
class Hang(UnitForm):
    """Every process of the units is frozen: sockets stay open, nobody answers."""

    cgroups: tuple[Path, ...] = ()

    def check(self) -> None:
        """The freezer is there."""
        UnitForm.check(self)
        self.cgroups = tuple(self.cgroup(unit) for unit in self.units)

    def recipe(self) -> tuple[Step, ...]:
        """Thaw. The cgroup of a unit that was restarted meanwhile has the same path and is not frozen."""
        return tuple(Step(write=str(cgroup / "cgroup.freeze"), text="0") for cgroup in self.cgroups)

    def act(self) -> None:
        """Freeze."""
        for cgroup in self.cgroups:
            (cgroup / "cgroup.freeze").write_text("1", encoding="utf-8")

    def evidence(self) -> Evidence:
        """The kernel says that the cgroups are frozen."""
        wait_until(lambda: all(map(_frozen, self.cgroups)), LAND_TIMEOUT_S)
        details = {
            unit: {"frozen": _frozen(cgroup), "pids": [process.pid for process in self.before.get(unit, ())]}
            for unit, cgroup in zip(self.units, self.cgroups, strict=True)
        }
        landed = all(map(_frozen, self.cgroups)) and all(self.before.values())
        return Evidence(landed, "cgroup.events", {"units": details})

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return tuple(f"write '1' into {cgroup}/cgroup.freeze" for cgroup in self.cgroups)


def _frozen(cgroup: Path) -> bool:
    try:
        return "frozen 1" in (cgroup / "cgroup.events").read_text(encoding="utf-8")
    except OSError:
        return False
