# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which faults are armed, made and healed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault import FORMS, Injector, heal, heal_preview, select
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, FaultRequest, Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, Entry, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal

happened: list[str] = []
on_act: list[Callable[[], None]] = []


class Commands:
    """Notes the commands among what happened; answers that all is well."""

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        happened.append(" ".join(argv[:2]))
        return CommandResult(0)


class Touch(Form):
    """A harmless form: the fault is a file."""

    __slots__ = ()

    def check(self) -> None:
        happened.append("check")

    def recipe(self) -> tuple[Step, ...]:
        return (Step(remove=self.request.path),)

    def prepare(self) -> None:
        happened.append("prepare")

    def observe(self) -> None:
        happened.append("observe")

    def act(self) -> None:
        happened.append("act")
        for look in on_act:
            look()
        Path(self.request.path).touch()

    def evidence(self) -> Evidence:
        happened.append("evidence")
        return Evidence(Path(self.request.path).exists(), "the file", {"seen": 1})

    def plan(self) -> tuple[str, ...]:
        return ("touch it",)


@pytest.fixture(autouse=True)
def harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    happened.clear()
    on_act.clear()
    monkeypatch.setitem(FORMS, "crash", Touch)
    monkeypatch.setitem(FORMS, "hang", Touch)
    monkeypatch.setitem(FORMS, "clock_step", Touch)


@pytest.fixture
def injector(tmp_path: Path) -> Injector:
    journal = Journal(tmp_path / "faults", Commands(), systemd=True)
    request = FaultRequest("run1", "crash", units=("a",), path=str(tmp_path / "victim"))
    return Injector(request, journal, 60)


def only(journal: Journal) -> Entry:
    (entry,) = journal.entries()
    return entry


def test_journal_then_switch_then_fault_then_evidence(injector: Injector) -> None:
    states = []
    on_act.append(lambda: states.append((only(injector.journal).state, only(injector.journal).switch)))
    before = time.time()
    outcome = injector.inject()
    assert happened == ["check", "systemd-run --on-active=60.000s", "prepare", "observe", "act", "evidence"]
    assert states == [("injecting", "systemd")]
    entry = only(injector.journal)
    assert outcome.changed
    assert entry.state == "injected"
    assert entry.evidence == {"landed": True, "basis": "the file", "seen": 1}
    assert before <= (entry.injected_at or 0) <= time.time()
    assert outcome.to_json()["landed"] is True


def test_what_was_armed_costs_nothing_when_it_is_injected(injector: Injector) -> None:
    assert injector.arm().changed
    assert not injector.arm().changed
    happened.clear()
    assert injector.inject().changed
    assert happened == ["check", "observe", "act", "evidence"]
    happened.clear()
    assert not injector.inject().changed
    assert happened == []


def test_a_switch_with_less_than_half_of_its_time_is_armed_anew(injector: Injector) -> None:
    injector.arm()
    armed = only(injector.journal)
    injector.journal.write(replace(armed, armed_at=armed.armed_at - 40, deadline=armed.deadline - 40))
    happened.clear()
    injector.inject()
    assert "systemctl stop" in happened
    assert "systemd-run --on-active=60.000s" in happened
    assert only(injector.journal).deadline > time.time() + 55


def test_an_entry_healed_by_the_switch_is_armed_anew(injector: Injector) -> None:
    injector.arm()
    injector.journal.write(replace(only(injector.journal), state="healed", healed_by="deadman"))
    happened.clear()
    injector.inject()
    assert happened.count("prepare") == 1
    assert only(injector.journal).healed_by == ""


def test_a_fault_that_breaks_while_it_is_made_can_be_healed(injector: Injector, tmp_path: Path) -> None:
    def half_done() -> None:
        (tmp_path / "victim").touch()
        raise RuntimeError("broken in the middle")

    on_act.append(half_done)
    with pytest.raises(RuntimeError):
        injector.inject()
    assert only(injector.journal).state == "injecting"
    outcome = heal(injector.journal, select(injector.journal, "all"))
    assert outcome.changed
    assert not (tmp_path / "victim").exists()
    assert injector.journal.entries() == ()


def test_no_fault_without_its_switch(injector: Injector, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        return CommandResult(1, "", "no timers today")

    broken = replace(injector, journal=replace(injector.journal, run=refuse))
    with pytest.raises(LifeboatError, match="no timers today"):
        broken.inject()
    assert "act" not in happened
    # A second try does not take the entry of the first for an armed one.
    injector.inject()
    assert "systemd-run --on-active=60.000s" in happened


def test_without_deadman_there_is_no_switch(injector: Injector) -> None:
    replace(injector, deadman=False).inject()
    assert not [command for command in happened if command.startswith("systemd")]
    assert only(injector.journal).switch == "none"


def test_healing_twice_changes_nothing(injector: Injector, tmp_path: Path) -> None:
    injector.inject()
    assert heal(injector.journal, select(injector.journal, "run1")).changed
    assert not (tmp_path / "victim").exists()
    assert not heal(injector.journal, select(injector.journal, "run1")).changed


def test_one_that_cannot_be_healed_does_not_keep_the_others(
    injector: Injector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal.ATTEMPT_INTERVAL_S", 0)
    injector.inject()
    hopeless = replace(only(injector.journal), key="later", id="later", recipe=(Step(run=("fail",)),))
    injector.journal.write(replace(hopeless, armed_at=hopeless.armed_at + 1))

    def run(argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        return CommandResult(1 if argv[0] == "fail" else 0)

    journal = replace(injector.journal, run=run)
    with pytest.raises(LifeboatError, match="later"):
        heal(journal, select(journal, "all"))
    assert not (tmp_path / "victim").exists()
    assert only(journal).key == "later"


@pytest.mark.parametrize(
    ("changes", "collides"),
    [
        ({"id": "run2", "units": ("a", "b")}, True),
        ({"id": "run1", "form": "hang", "units": ("c",)}, True),
        ({"id": "run2", "units": ("b",)}, False),
        ({"id": "run1", "host": "ctl1", "units": ()}, False),
        ({"id": "run2", "form": "clock_step", "units": ()}, True),
    ],
)
def test_two_faults_never_share_a_victim(injector: Injector, changes: dict[str, object], collides: bool) -> None:
    injector.inject()
    second = replace(injector, request=replace(injector.request, **changes))
    if collides:
        with pytest.raises(LifeboatError, match="run1"):
            second.inject()
    else:
        assert second.inject().changed


def test_no_fault_is_armed_while_the_clock_is_stepped(injector: Injector) -> None:
    replace(injector, request=replace(injector.request, form="clock_step", units=())).inject()
    with pytest.raises(LifeboatError, match="clock_step, injected"):
        replace(injector, request=replace(injector.request, id="run2")).arm()


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a_fault_that_steps_the_clock_is_dated_by_the_unstepped_one(
    injector: Injector, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    unstepped = time.time
    on_act.append(lambda: monkeypatch.setattr(time, "time", lambda: unstepped() + step_s))
    before = unstepped()
    outcome = injector.inject()
    assert before <= (only(injector.journal).injected_at or 0) <= unstepped()
    assert 0 <= outcome.injection_took_s < 10


def test_a_fault_that_could_not_be_healed_is_not_made_again(injector: Injector) -> None:
    injector.inject()
    injector.journal.write(replace(only(injector.journal), state="unhealed"))
    with pytest.raises(LifeboatError, match="unhealed"):
        injector.inject()


def test_several_hosts_are_hit_at_one_instant(injector: Injector) -> None:
    at = time.time() + 2
    outcome = injector.inject(at)
    injected_at = only(injector.journal).injected_at
    assert injected_at is not None
    assert at <= injected_at < at + 1
    assert 0 <= outcome.late_s < 1


def test_an_appointment_is_at_most_ten_seconds_ahead_and_may_be_missed(injector: Injector) -> None:
    with pytest.raises(LifeboatError, match="ahead"):
        injector.inject(time.time() + 30)
    assert happened == []
    assert injector.inject(time.time() - 5).late_s >= 5


def test_no_fault_in_the_last_second_of_its_switch(injector: Injector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fault, "LEAST_LEFT_S", 61.0)
    with pytest.raises(LifeboatError, match="about to fire"):
        injector.inject()
    assert "act" not in happened


@pytest.mark.parametrize(
    "request_change",
    [
        {"id": "a/b"},
        {"id": "all"},
        {"id": "-x"},
        {"host": "a b"},
        {"peers": ("ctl1",)},
        {"ports": (22,)},
        {"ports": (0,)},
    ],
)
def test_bad_requests_stop_before_anything_is_written(injector: Injector, request_change: dict[str, object]) -> None:
    with pytest.raises(LifeboatError):
        replace(injector, request=replace(injector.request, **request_change)).inject()
    assert injector.journal.entries() == ()


@pytest.mark.parametrize("seconds", [0, 4, 3601])
def test_the_switch_fires_within_the_hour(injector: Injector, seconds: int) -> None:
    with pytest.raises(LifeboatError, match="heal_after"):
        replace(injector, heal_after_s=seconds).inject()


def test_check_mode_tells_and_changes_nothing(injector: Injector, tmp_path: Path) -> None:
    outcome = injector.preview("injected")
    assert outcome.changed
    assert outcome.plan[-2:] == ("touch it", f"heal: remove {tmp_path / 'victim'}")
    assert not (tmp_path / "faults").exists()
    injector.inject()
    assert not injector.preview("injected").changed
    told = heal_preview(select(injector.journal, "all"))
    assert told.plan == (f"heal run1: remove {tmp_path / 'victim'}",)
    assert (tmp_path / "victim").exists()


def test_a_power_controller_keeps_the_hosts_of_one_run_apart(injector: Injector) -> None:
    for host in ("ctl1", "ctl2"):
        request = replace(injector.request, host=host, network="mgmt", units=())
        replace(injector, request=request).inject()
    assert [entry.key for entry in select(injector.journal, "run1")] == ["run1.ctl1.mgmt", "run1.ctl2.mgmt"]
    assert [entry.host for entry in select(injector.journal, "run1", host="ctl2")] == ["ctl2"]
    assert select(injector.journal, "all", network="other") == ()
