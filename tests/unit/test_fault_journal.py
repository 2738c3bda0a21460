# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal, the recipe and the dead man's switch."""

from __future__ import annotations

import contextlib
import json
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_heal
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import wait_until
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import (
    NOT_FOUND,
    TIMED_OUT,
    CommandResult,
    Condition,
    Entry,
    Step,
    entry_path,
    follow,
    heal_entry,
    read_entry,
    run_command,
    write_entry,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal


class Commands:
    """A runner that notes what it is given and answers what it was told."""

    def __init__(self, answers: dict[str, CommandResult] | None = None) -> None:
        self.answers = answers or {}
        self.given: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        self.given.append(tuple(argv))
        return next((answer for start, answer in self.answers.items() if " ".join(argv).startswith(start)), OK)


OK = CommandResult(0)


def make_entry(recipe: tuple[Step, ...] = (), lasts_s: float = 60.0, **changes: object) -> Entry:
    now = time.time()
    entry = Entry("run1", "run1", "hang", armed_at=now, deadline=now + lasts_s, recipe=recipe, state="injected")
    return replace(entry, **changes)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "faults", Commands(), systemd=False)
    made.open()
    return made


def removal(path: Path) -> tuple[Step, ...]:
    path.write_text("fault", encoding="utf-8")
    return (Step(remove=str(path)),)


def test_an_entry_survives_its_file(journal: Journal) -> None:
    recipe = (
        Step(run=("a", "b"), timeout_s=3, only_if=Condition(run=("c",), matches="^x$"), required=False),
        Step(write="/some/file", text="0"),
    )
    entry = make_entry(recipe, units=("a.service",), evidence={"landed": True}, failures=("one",))
    journal.write(entry)
    assert journal.entries() == (entry,)


def test_the_journal_is_private_and_leaves_no_temporary_file(journal: Journal) -> None:
    journal.write(make_entry())
    assert stat.S_IMODE(journal.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry_path(journal.directory, "run1").stat().st_mode) == 0o600
    assert sorted(path.name for path in journal.directory.iterdir()) == [".lock", "heal.py", "run1.json"]


def test_a_file_that_is_no_entry_is_named(journal: Journal) -> None:
    (journal.directory / "odd.json").write_text("{", encoding="utf-8")
    with pytest.raises(LifeboatError, match=r"odd\.json"):
        journal.entries()


def test_a_journal_that_was_never_opened_is_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path / "nothing").entries() == ()


def test_healing_follows_the_recipe_and_forgets_the_entry(journal: Journal, tmp_path: Path) -> None:
    entry = journal.write(make_entry(removal(tmp_path / "victim")))
    healed = journal.heal(entry)
    assert (healed.state, healed.healed_by) == ("healed", "run")
    assert not (tmp_path / "victim").exists()
    assert journal.entries() == ()


def test_a_failed_step_keeps_the_entry_and_does_the_others(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fault_heal, "ATTEMPT_INTERVAL_S", 0.0)
    entry = journal.write(make_entry((Step(run=("false",)), *removal(tmp_path / "victim"))))
    broken = replace(journal, run=Commands({"false": CommandResult(1, "", "no such thing")}))
    with pytest.raises(LifeboatError, match="no such thing"):
        broken.heal(entry)
    assert not (tmp_path / "victim").exists()
    left = journal.find("run1")
    assert left is not None
    assert left.state == "unhealed"
    assert len(left.failures) == 1


def test_a_step_that_fails_once_is_tried_again() -> None:
    answers = iter([CommandResult(1, "", "busy"), OK])
    assert follow((Step(run=("x",)),), lambda argv, timeout_s=0, stdin="": next(answers), lambda seconds: None) == ()


@pytest.mark.parametrize(
    ("condition", "done"),
    [
        (Condition(run=("probe",), matches="^paused$"), True),
        (Condition(run=("probe",), matches="^running$"), False),
        (Condition(run=("absent",)), False),
        (Condition(file="{file}", matches="^17$"), True),
        (Condition(file="{file}", matches="^1$"), False),
        (Condition(file="{file}.no"), False),
    ],
)
def test_a_step_is_done_only_when_its_condition_holds(tmp_path: Path, condition: Condition, done: bool) -> None:
    (tmp_path / "index").write_text("17\n", encoding="utf-8")
    condition = replace(condition, file=condition.file.format(file=tmp_path / "index"))
    commands = Commands({"probe": CommandResult(0, "paused\n"), "absent": CommandResult(1)})
    assert Step(run=("act",), only_if=condition).failure(commands) == ""
    assert (("act",) in commands.given) is done


def test_files_are_removed_and_written_but_never_made(tmp_path: Path) -> None:
    used = tmp_path / "used.d"
    used.mkdir()
    (used / "other").touch()
    (tmp_path / "empty.d").mkdir()
    frozen = tmp_path / "cgroup.freeze"
    frozen.write_text("1", encoding="utf-8")
    steps = (
        Step(remove=str(used)),
        Step(remove=str(tmp_path / "empty.d")),
        Step(remove=str(tmp_path / "absent")),
        Step(write=str(frozen), text="0"),
        Step(write=str(tmp_path / "gone"), text="0"),
    )
    assert follow(steps, Commands()) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cgroup.freeze", "used.d"]
    assert frozen.read_text(encoding="utf-8") == "0"


def test_the_runner_bounds_a_command_and_knows_an_absent_one() -> None:
    assert run_command(("sleep", "5"), 0.1).code == TIMED_OUT
    assert run_command(("/no/such/command",)).code == NOT_FOUND
    assert run_command(("cat",), 5, "text").out == "text"


def test_an_old_switch_leaves_a_fault_that_was_armed_anew(journal: Journal, tmp_path: Path) -> None:
    entry = journal.write(make_entry(removal(tmp_path / "victim")))
    assert heal_entry(journal.directory, "run1", "deadman", deadline=entry.deadline - 10) is None
    assert (tmp_path / "victim").exists()


def test_the_switch_process_heals_at_its_deadline_without_the_collection(journal: Journal, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    entry = journal.arm_switch(make_entry(removal(victim), lasts_s=1.2))
    assert entry.switch == "process"
    assert wait_until(lambda: not victim.exists(), 30.0)
    assert wait_until(lambda: _state(journal) == ("healed", "deadman"), 30.0)
    assert entry.deadline <= (_found(journal).healed_at or 0) < entry.deadline + 30
    healed = journal.heal(_found(journal))
    assert (healed.healed_by, journal.entries()) == ("deadman", ())


def test_the_switch_process_does_not_heal_when_disarmed(journal: Journal, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    entry = journal.arm_switch(make_entry(removal(victim)))
    assert _switches(journal)
    argv = [sys.executable, "-I", str(journal.directory / "heal.py"), "--journal", str(journal.directory)]
    argv += ["--key", "run1", "--deadline", repr(entry.deadline), "--wait"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as second:
        journal.heal(entry)
        victim.write_text("made by somebody else later", encoding="utf-8")
        # Both end by themselves, before the deadline.
        assert second.wait(30) == 0
    assert wait_until(lambda: not _switches(journal), 30.0)
    assert time.time() < entry.deadline
    assert victim.exists()
    assert journal.entries() == ()


def test_the_switch_reports_a_recipe_that_fails(journal: Journal) -> None:
    journal.write(make_entry((Step(run=("/no/such/command",)),), lasts_s=0))
    argv = [sys.executable, "-I", str(journal.directory / "heal.py"), "--journal", str(journal.directory)]
    done = subprocess.run(
        [*argv, "--key", "run1", "--deadline", repr(time.time())],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "/no/such/command" in done.stderr
    assert _state(journal) == ("unhealed", "deadman")


def test_a_switch_that_cannot_start_is_an_error(journal: Journal) -> None:
    (journal.directory / "heal.py").write_text("raise SystemExit('broken')", encoding="utf-8")
    with pytest.raises(LifeboatError, match="broken"):
        journal.arm_switch(make_entry())


def test_on_systemd_the_switch_is_a_timer(journal: Journal) -> None:
    commands = Commands()
    with_systemd = replace(journal, run=commands, systemd=True)
    entry = with_systemd.arm_switch(make_entry(lasts_s=30))
    (argv,) = commands.given
    assert argv[:4] == (
        "systemd-run",
        "--on-active=30.000s",
        "--unit=lifeboat-deadman-run1",
        "--timer-property=AccuracySec=100ms",
    )
    assert argv[argv.index("--") + 2 :][:2] == ("-I", str(journal.directory / "heal.py"))
    assert "--wait" not in argv
    with_systemd.heal(entry)
    assert ("systemctl", "stop", "lifeboat-deadman-run1.timer") in commands.given


def test_a_timer_that_systemd_refuses_is_an_error(journal: Journal) -> None:
    refusing = replace(journal, run=Commands({"systemd-run": CommandResult(1, "", "denied")}), systemd=True)
    with pytest.raises(LifeboatError, match="denied"):
        refusing.arm_switch(make_entry())


def test_an_entry_healed_while_the_fault_was_made_is_healed_once_more(journal: Journal) -> None:
    entry = journal.write(make_entry(state="injecting"))
    journal.write(replace(entry, state="healed", healed_by="deadman"))
    with pytest.raises(LifeboatError, match="while the fault was being made"):
        journal.update(replace(entry, state="injected"))
    assert _found(journal).state == "unhealed"


def test_the_file_is_plain_json(journal: Journal) -> None:
    write_entry(journal.directory, make_entry((Step(remove="/x"),)))
    data = json.loads(entry_path(journal.directory, "run1").read_text(encoding="utf-8"))
    assert (data["key"], data["recipe"][0]["remove"]) == ("run1", "/x")


def _found(journal: Journal) -> Entry:
    found = read_entry(journal.directory, "run1")
    assert found is not None
    return found


def _state(journal: Journal) -> tuple[str, str]:
    return _found(journal).state, _found(journal).healed_by


def _switches(journal: Journal) -> list[int]:
    """The processes that have the journal on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(journal.directory).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
