# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The journal of the faults made on a host, and the dead man's switch that heals them when nobody else does."""

from __future__ import annotations

import inspect
import json
import select
import subprocess
import sys
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_heal
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import (
    LOCK_NAME,
    PROGRAM_NAME,
    Entry,
    Runner,
    entry_path,
    heal_entry,
    locked,
    read_entry,
    run_command,
    sync_directory,
    write_entry,
    write_file,
)

SYSTEMD_RUNS = Path("/run/systemd/system")
ANSWER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Journal:
    """The entries in ``directory``; ``systemd`` None: found out from the host."""

    directory: Path
    run: Runner = run_command
    systemd: bool | None = None

    def open(self) -> None:
        """Make the directory, the lock and the heal program: healing must not need a free block on the disk."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / LOCK_NAME).touch(mode=0o600)
        program = self.directory / PROGRAM_NAME
        # Works from the zip in which Ansible delivers module_utils, too.
        source = inspect.getsource(_fault_heal)
        if not program.exists() or program.read_text(encoding="utf-8") != source:
            write_file(program, source, 0o700)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, the oldest first. A file that is none is an error: a fault may hide behind it."""
        found = [self._parsed(path) for path in self.directory.glob("*.json")]
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: (entry.armed_at, entry.key)))

    def find(self, key: str) -> Entry | None:
        """The entry of ``key``."""
        return self._parsed(entry_path(self.directory, key))

    def write(self, entry: Entry) -> Entry:
        """Put the entry on the disk."""
        write_entry(self.directory, entry)
        return entry

    def update(self, entry: Entry) -> Entry:
        """Put the entry on the disk, unless the dead man's switch has healed it meanwhile: then it heals once more."""
        with locked(self.directory):
            found = read_entry(self.directory, entry.key)
            if found is not None and found.state != "healed":
                return self.write(entry)
            failure = "the dead man's switch healed while the fault was being made"
            self.write(replace(entry, state="unhealed", failures=(failure,)))
        raise LifeboatError(f"fault {entry.key}", failure, "the fault made in time", "Heal it; raise heal_after.")

    def remove(self, key: str) -> None:
        """Forget the entry."""
        entry_path(self.directory, key).unlink(missing_ok=True)
        sync_directory(self.directory)

    def arm_switch(self, entry: Entry) -> Entry:
        """Arm the dead man's switch for the deadline of ``entry`` and note its kind in the journal."""
        kind = "systemd" if self._has_systemd() else "process"
        entry = self.write(replace(entry, switch=kind))
        if kind == "systemd":
            self._arm_timer(entry)
        else:
            self._arm_process(entry)
        return entry

    def disarm(self, entry: Entry) -> None:
        """Take the timer away; a waiting process ends by itself when its entry is gone."""
        if entry.switch != "systemd":
            return
        # Not loaded any more is fine: the timer has fired, or the host has been restarted since.
        self.run(("systemctl", "stop", f"{_unit(entry)}.timer"), 30.0)
        self.run(("systemctl", "reset-failed", f"{_unit(entry)}.service"), 30.0)

    def heal(self, entry: Entry) -> Entry:
        """Follow the entry's recipe, disarm its switch and forget it; the entry as it ended.

        When a step fails, the entry and its switch stay, and a LifeboatError says which.
        """
        healed = heal_entry(self.directory, entry.key, "run", self.run)
        if healed is None:
            return entry
        if healed.state != "healed":
            raise LifeboatError(
                f"healing of fault {entry.key}",
                "; ".join(healed.failures),
                "every step of its recipe to succeed",
                f"Repair what the step names and heal again; the recipe stays in {self.directory}.",
            )
        self.disarm(healed)
        self.remove(healed.key)
        return healed

    def _parsed(self, path: Path) -> Entry | None:
        try:
            return read_entry(self.directory, path.stem)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise LifeboatError(
                f"fault journal {path}",
                f"no journal entry ({error!r})",
                "an entry written by the fault module",
                "Undo the fault by hand and remove the file.",
            ) from error

    def _has_systemd(self) -> bool:
        return SYSTEMD_RUNS.is_dir() if self.systemd is None else self.systemd

    def _program(self, entry: Entry) -> tuple[str, ...]:
        program = self.directory / PROGRAM_NAME
        arguments = ("--journal", str(self.directory), "--key", entry.key, "--deadline", repr(entry.deadline))
        # Isolated: the environment of a broken run must not decide what the switch imports.
        return (sys.executable, "-I", str(program), *arguments)

    def _arm_timer(self, entry: Entry) -> None:
        argv = (
            "systemd-run",
            f"--on-active={entry.deadline - entry.armed_at:.3f}s",
            f"--unit={_unit(entry)}",
            "--timer-property=AccuracySec=100ms",
            f"--description=Heal fault {entry.key} when its drill has died",
            "--",
            *self._program(entry),
        )
        result = self.run(argv, 30.0)
        if result.code != 0:
            raise _unarmed(entry, result.err.strip())

    def _arm_process(self, entry: Entry) -> None:
        process = subprocess.Popen(
            [*self._program(entry), "--wait"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        answer, errors = t.cast("tuple[t.IO[bytes], t.IO[bytes]]", (process.stdout, process.stderr))
        with answer, errors:
            readable = select.select([answer], [], [], ANSWER_TIMEOUT_S)[0]
            if not readable or answer.readline() != b"waiting\n":
                process.kill()
                raise _unarmed(entry, errors.read().decode(errors="replace").strip() or "no answer")


def _unit(entry: Entry) -> str:
    return f"lifeboat-deadman-{entry.key}"


def _unarmed(entry: Entry, found: str) -> LifeboatError:
    return LifeboatError(
        f"dead man's switch of fault {entry.key}",
        found,
        "it to be armed",
        "No fault was made. Without a switch (deadman: false) nothing heals when the run dies.",
    )
