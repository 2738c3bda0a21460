# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Heal a fault from its journal entry: the one way to heal, with Ansible or without.

Standard library only, nothing imported from the collection: the C(fault) module writes this very file beside the
journal, and the dead man's switch runs it there when the Ansible run that made the fault has died:

    python3 heal.py --journal DIRECTORY --key KEY --deadline EPOCH [--wait]

A journal is a directory with one JSON file per fault, KEY.json (mode 0600), whose recipe is data.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

PROGRAM_NAME = "heal.py"
LOCK_NAME = ".lock"
LOCK_TIMEOUT_S = 600.0
ATTEMPTS = 3
ATTEMPT_INTERVAL_S = 1.0
POLL_S = 0.2
TIMED_OUT = 124
NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left: exit code (124 timed out, 127 not found), standard output, standard error."""

    code: int
    out: str = ""
    err: str = ""


class Runner(t.Protocol):
    """Runs one command without a shell; the tests put their own in its place."""

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        """Run ``argv`` for at most ``timeout_s`` seconds."""


def run_command(argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
    """Run ``argv``; never raises for what the command does."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return CommandResult(TIMED_OUT, "", f"no end within {timeout_s:g} s")
    except OSError as error:
        return CommandResult(NOT_FOUND, "", str(error))
    return CommandResult(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when the file exists or the command succeeds, and its text matches the regular expression."""

    file: str = ""
    run: tuple[str, ...] = ()
    matches: str = ""

    def holds(self, run: Runner) -> bool:
        """Look now."""
        if self.file:
            try:
                text = Path(self.file).read_text(encoding="utf-8", errors="replace")
            except OSError:
                return False
        else:
            result = run(self.run, 30.0)
            if result.code != 0:
                return False
            text = result.out
        return re.search(self.matches, text.strip()) is not None

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> Condition:
        """The inverse of asdict."""
        return cls(**{**data, "run": tuple(data["run"])})


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a recipe: run a command, remove a file or an empty directory, or write ``text`` into a file.

    A file to remove or to write that is absent is fine. ``required`` False: its failure does not count. A condition
    whose command fails does not hold: then ``only_if`` leaves the step out, and ``unless`` does it.
    """

    run: tuple[str, ...] = ()
    remove: str = ""
    write: str = ""
    text: str = ""
    timeout_s: float = 30.0
    only_if: Condition | None = None
    unless: Condition | None = None
    required: bool = True

    def __str__(self) -> str:
        if self.run:
            return " ".join(self.run)
        return f"remove {self.remove}" if self.remove else f"write {self.text!r} into {self.write}"

    def failure(self, run: Runner) -> str:
        """Do the step; the reason when it failed, else an empty string."""
        if self.only_if is not None and not self.only_if.holds(run):
            return ""
        if self.unless is not None and self.unless.holds(run):
            return ""
        reason = self._command_failure(run) if self.run else self._file_failure()
        return reason if self.required else ""

    def _command_failure(self, run: Runner) -> str:
        result = run(self.run, self.timeout_s)
        return "" if result.code == 0 else f"{self}: exit code {result.code}: {(result.err or result.out).strip()}"

    def _file_failure(self) -> str:
        try:
            if self.write:
                with contextlib.suppress(FileNotFoundError):
                    _write_existing(self.write, self.text)
            elif Path(self.remove).is_dir():
                # A directory that others use too stays.
                with contextlib.suppress(OSError):
                    Path(self.remove).rmdir()
            else:
                Path(self.remove).unlink(missing_ok=True)
        except OSError as error:
            return f"{self}: {error}"
        return ""

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> Step:
        """The inverse of asdict."""
        conditions = {name: Condition.from_json(data[name]) for name in ("only_if", "unless") if data.get(name)}
        return cls(**{**data, "run": tuple(data["run"]), **conditions})


def _write_existing(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault in the journal. Times are seconds since the epoch; state: arming, armed, injecting, injected,
    healed, unhealed.

    ``switch`` is the dead man's switch: systemd, process or none. ``evidence`` is what the injector saw, as JSON.
    """

    key: str
    id: str
    form: str
    armed_at: float
    deadline: float
    recipe: tuple[Step, ...]
    units: tuple[str, ...] = ()
    host: str = ""
    network: str = ""
    state: str = "arming"
    switch: str = "none"
    injected_at: float | None = None
    healed_at: float | None = None
    healed_by: str = ""
    failures: tuple[str, ...] = ()
    evidence: dict[str, t.Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, t.Any]:
        """The entry as it stands in the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> Entry:
        """The inverse of to_json."""
        lists = {name: tuple(data[name]) for name in ("units", "failures")}
        return cls(**{**data, **lists, "recipe": tuple(Step.from_json(step) for step in data["recipe"])})


def write_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace ``path`` by ``text`` so that a crash at any instant leaves the old or the new whole text on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Bring the directory's entries to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def entry_path(journal: Path, key: str) -> Path:
    """Where the entry of ``key`` lies."""
    return journal / f"{key}.json"


def write_entry(journal: Path, entry: Entry) -> None:
    """Put the entry into the journal, on the disk, before returning."""
    write_file(entry_path(journal, entry.key), json.dumps(entry.to_json(), indent=1) + "\n")


def read_entry(journal: Path, key: str) -> Entry | None:
    """The entry of ``key``, or None when there is none."""
    try:
        text = entry_path(journal, key).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return Entry.from_json(json.loads(text))


@contextlib.contextmanager
def locked(journal: Path) -> Iterator[None]:
    """Keep the run and the dead man's switch from healing at the same time."""
    with open(journal / LOCK_NAME, "a", encoding="utf-8") as stream:
        end = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{journal / LOCK_NAME} is still held after {LOCK_TIMEOUT_S:g} s") from None
                time.sleep(POLL_S)
        yield


def follow(recipe: Sequence[Step], run: Runner, pause: Callable[[float], None] = time.sleep) -> tuple[str, ...]:
    """Do every step, also after a failed one; try a failing recipe again; the failures of the last attempt."""
    failures: tuple[str, ...] = ()
    for attempt in range(ATTEMPTS):
        failures = tuple(reason for step in recipe if (reason := step.failure(run)))
        if not failures:
            break
        if attempt + 1 < ATTEMPTS:
            pause(ATTEMPT_INTERVAL_S)
    return failures


def heal_entry(
    journal: Path, key: str, by: str, run: Runner = run_command, deadline: float | None = None
) -> Entry | None:
    """Follow the recipe of ``key`` and mark the entry healed (or unhealed, with the failures).

    None when there is no entry, or when its deadline is later than ``deadline``: it was armed anew.
    """
    with locked(journal):
        entry = read_entry(journal, key)
        if entry is None or (deadline is not None and entry.deadline > deadline):
            return None
        if entry.state == "healed":
            return entry
        failures = follow(entry.recipe, run)
        state = "unhealed" if failures else "healed"
        entry = replace(entry, state=state, healed_at=time.time(), healed_by=by, failures=failures)
        write_entry(journal, entry)
        return entry


def deadline_comes(journal: Path, key: str, deadline: float) -> bool:
    """Wait for the deadline; False as soon as the entry is gone, healed or armed anew."""
    # The monotonic clock, because a fault may be a step of the other one.
    end = time.monotonic() + deadline - time.time()
    while True:
        entry = read_entry(journal, key)
        if entry is None or entry.state == "healed" or entry.deadline > deadline:
            return False
        left = end - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(POLL_S, left))


def detach_output() -> None:
    """Say that the switch waits, then let go of the pipe on which the arming module listens."""
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the dead man's switch: 0 when there was nothing (left) to heal, 1 when healing failed."""
    parser = argparse.ArgumentParser(description="Heal a fault from its journal entry.")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--wait", action="store_true", help="wait for the deadline first")
    options = parser.parse_args(arguments)
    if options.wait:
        detach_output()
        if not deadline_comes(options.journal, options.key, options.deadline):
            return 0
    entry = heal_entry(options.journal, options.key, "deadman", deadline=options.deadline)
    if entry is None or entry.state == "healed":
        return 0
    sys.stderr.write("\n".join(entry.failures) + "\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
