# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form clock_step, on a host whose clock is a number."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_clock
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault import Injector
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_clock import SET_OFFSET, ClockStep, set_offset
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, follow, heal_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal

BEFORE = 1_795_000_000.25
STOP = ("systemctl", "stop", "chronyd.service")
START = ("systemctl", "start", "chronyd.service")


class Host:
    """A runner in whose place a host answers; chrony.service is another name of chronyd.service."""

    def __init__(self) -> None:
        self.offset = BEFORE
        self.running = {"chronyd.service"}
        self.container = CommandResult(1, "none\n")
        self.given: list[tuple[str, ...]] = []

    @property
    def changes(self) -> list[tuple[str, ...]]:
        """What was more than a question."""
        return [argv for argv in self.given if argv[0] != "systemd-detect-virt" and argv[1] != "show"]

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        self.given.append(tuple(argv))
        if argv[0] == "systemd-detect-virt":
            return self.container
        if argv[0] == sys.executable:
            self.offset = float(argv[-1])
        elif argv[1] == "stop":
            self.running -= set(argv[2:])
        elif argv[1] == "start":
            self.running |= set(argv[2:])
        elif argv[1] == "show":
            unit = "chronyd.service" if argv[-1] == "chrony.service" else argv[-1]
            active = "active" if unit in self.running else "inactive"
            return CommandResult(0, f"LoadState=loaded\nActiveState={active}\nSubState=x\nControlGroup=/{unit}")
        return CommandResult(0)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(_fault_clock, "offset_s", lambda: made.offset)
    monkeypatch.setattr(_fault_clock, "BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(_fault_clock, "PROCESS_STATUS", tmp_path / "status")
    (tmp_path / "boot_id").write_text("ca24-first\n", encoding="utf-8")
    (tmp_path / "status").write_text("Name:\tpython3\nCapEff:\t0000000002000000\n", encoding="utf-8")
    return made


def step(host: Host, step_s: int = -300, units: tuple[str, ...] = ()) -> ClockStep:
    return ClockStep(FaultRequest("run1", "clock_step", units=units, step_s=step_s), host)


@pytest.mark.parametrize("step_s", [-86400, -1, 1, 300, 86400])
def test_the_clock_is_stepped_without_its_time_service_and_goes_back(host: Host, step_s: int) -> None:
    form = step(host, step_s)
    form.check()
    form.observe()
    assert host.changes == []
    form.act()
    assert host.changes == [STOP, set_offset(BEFORE + step_s)]
    evidence = form.evidence()
    assert (evidence.landed, evidence.basis) == (True, "wall clock minus monotonic clock")
    assert evidence.details == {
        "offset_before_s": BEFORE,
        "offset_after_s": BEFORE + step_s,
        "stepped_s": step_s,
        "services": {"chronyd.service": "inactive"},
    }
    assert follow(form.recipe(), host) == ()
    assert host.changes[2:] == [set_offset(BEFORE), START]
    assert (host.offset, host.running) == (BEFORE, {"chronyd.service"})


def test_the_command_adds_what_the_monotonic_clock_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, float]] = []
    argv = set_offset(1000.5)
    assert argv[:4] == (sys.executable, "-I", "-c", SET_OFFSET)
    with monkeypatch.context() as patched:
        patched.setattr(time, "clock_settime", lambda clock, seconds: given.append((clock, seconds)))
        patched.setattr(time, "monotonic", lambda: 77.25)
        patched.setattr(sys, "argv", ["-c", *argv[4:]])
        exec(SET_OFFSET, {})
    assert given == [(time.CLOCK_REALTIME, 1077.75)]


def test_a_step_that_was_never_made_is_not_undone(host: Host) -> None:
    form = step(host)
    form.check()
    host.offset += 7  # The time service has corrected the clock since.
    assert follow(form.recipe(), host) == ()
    assert host.changes == [START]


def test_after_a_reboot_the_clock_is_left_alone(host: Host, tmp_path: Path) -> None:
    form = step(host)
    form.check()
    form.observe()
    recipe = form.recipe()
    (tmp_path / "boot_id").write_text("ca24-first-and-more\n", encoding="utf-8")
    assert follow(recipe, host) == ()
    assert host.changes == [START]


def test_the_dead_man_s_switch_goes_back_from_the_journal_alone(host: Host, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "faults", host, systemd=True)
    injector = Injector(step(host).request, journal, 60)
    before = time.time()
    injector.arm()
    (entry,) = injector.inject().entries
    assert before <= (entry.injected_at or 0) <= time.time()
    assert host.offset == BEFORE - 300
    healed = heal_entry(journal.directory, "run1", "deadman", host, deadline=entry.deadline)
    assert healed is not None
    assert (healed.state, healed.failures) == ("healed", ())
    assert (host.offset, host.running) == (BEFORE, {"chronyd.service"})
    (timer,) = [argv for argv in host.given if argv[0] == "systemd-run"]
    assert timer[1] == "--on-active=60.000s", "a timer on the monotonic clock"


@pytest.mark.parametrize(
    ("units", "running", "stopped"),
    [
        ((), {"systemd-timesyncd.service"}, ("systemd-timesyncd.service",)),
        ((), {"chronyd.service", "systemd-timesyncd.service"}, ("chronyd.service", "systemd-timesyncd.service")),
        (("ptp4l", "phc2sys"), {"phc2sys.service", "chronyd.service"}, ("phc2sys.service",)),
    ],
)
def test_the_active_time_services_are_stopped(
    host: Host, units: tuple[str, ...], running: set[str], stopped: tuple[str, ...]
) -> None:
    host.running = running
    form = step(host, units=units)
    form.check()
    assert form.plan()[0] == f"systemctl stop {' '.join(stopped)}"
    assert [str(one) for one in form.recipe()] == [f"systemctl start {' '.join(stopped)}"]


def test_a_clock_that_something_keeps_has_not_been_stepped(host: Host) -> None:
    form = step(host)
    form.check()
    form.observe()
    form.act()
    host.running.add("chronyd.service")
    assert not form.evidence().landed, "the time service is back"
    host.running.clear()
    host.offset = BEFORE
    assert not form.evidence().landed, "something has set the clock back"


@pytest.mark.parametrize("step_s", [0, 86401, -86401])
def test_the_step_is_bounded(host: Host, step_s: int) -> None:
    with pytest.raises(LifeboatError, match="1 to 86400 s"):
        step(host, step_s).check()
    assert host.given == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (CommandResult(0, "podman\n"), "'podman' from systemd-detect-virt"),
        (CommandResult(0, "container-other\n"), "'container-other' from"),
        (CommandResult(127, "", "No such file or directory"), "'No such file or directory' from"),
    ],
)
def test_the_clock_of_others_is_refused(host: Host, answer: CommandResult, said: str) -> None:
    host.container = answer
    with pytest.raises(LifeboatError, match=said):
        step(host).check()
    assert host.changes == []


def test_a_clock_that_may_not_be_set_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "status").write_text("CapPrm:\t0000000002000000\nCapEff:\tfffffffffdffffff\n", encoding="utf-8")
    with pytest.raises(LifeboatError, match="no CAP_SYS_TIME"):
        step(host).check()
    assert host.changes == []


def test_without_a_time_service_to_stop_it_is_refused(host: Host) -> None:
    host.running = {"ptp4l.service"}
    with pytest.raises(LifeboatError, match=r"none active of chronyd\.service, chrony\.service"):
        step(host).check()
    with pytest.raises(LifeboatError, match=r"unit system\.slice: found no service"):
        step(host, units=("system.slice",)).check()
    assert host.changes == []
