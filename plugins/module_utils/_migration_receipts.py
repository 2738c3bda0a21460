# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What became of each server, as plain values, and the file that keeps them whatever becomes of the run.

Before a migration is asked for, the file gets a line that says so. What has no receipt after it is owed one by whoever
goes on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_steps import Step
    from ansible_collections.lifeboat.cloud.plugins.module_utils._server_journey import Journey

Json = dict[str, t.Any]
# The mode of a step that has a server of a dead host rebuilt.
EVACUATION = "evacuation"
# In so many files it is looked for what is owed, or missing in a report, the newest.
_FILES = 20
# As the role migration names them, by when a run began.
_JOURNALS = "????-??-??T??-??-??Z.jsonl"
# In place of what a run wanted that cannot say so any more.
_INTERRUPTED = "interrupted"


class ReceiptFile:
    """A file with one receipt a line, in JSON. A line that is written outlasts the machine's sudden end."""

    def __init__(self, path: str) -> None:
        """LifeboatError when nothing can be written there; nothing is written yet."""
        self._path = Path(path)
        if not os.access(self._path.parent, os.W_OK):
            remedy = "Make the directory, or give another path."
            raise LifeboatError(f"receipts {path}", "no directory for it", "one that can be written to", remedy)

    def add(self, receipt: Json) -> None:
        line = f"{json.dumps(receipt)}\n".encode()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.fchmod(descriptor, 0o644)
                end = os.fstat(descriptor).st_size
                # A line that was cut off, for want of room or as its writer was killed, would take this one with it.
                if end and os.pread(descriptor, 1, end - 1) != b"\n":
                    line = b"\n" + line
                while line:
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            expected, remedy = "a file that can be written", "Make room, and run it again."
            raise LifeboatError(f"receipts {self._path}", str(error), expected, remedy) from error


def owed(directory: Path) -> list[Json]:
    """What was asked for and has no receipt, as the files of ``directory`` tell in the order of their names.

    Of each server it is what was asked for last.
    """
    found: dict[str, tuple[Json, Json]] = {}
    for file in sorted(directory.glob("*.jsonl"))[-_FILES:]:
        for entry, way in _entries(file):
            if "asked" in entry:
                found[way["server"]] = entry, way
            elif way["server"] in found:
                asked = found[way["server"]][1]
                # Of a server of a dead host Nova chooses the destination.
                if way == asked | ({"destination": way["destination"]} if asked["destination"] is None else {}):
                    del found[way["server"]]
    return [entry for entry, _way in found.values()]


def kept(journal: Path) -> list[Json]:
    """The receipts in a file, in the order of their ends; one that is not there has none."""
    return [entry for entry, _way in _entries(journal) if "asked" not in entry] if journal.exists() else []


def unreported(directory: Path) -> dict[str, Json]:
    """By the name of the run what belongs into its JSON file, where that has not all receipts of the journal beside it.

    So it is when a run was interrupted before it wrote that file, and when a module has outlived its playbook.
    """
    found: dict[str, Json] = {}
    for journal in sorted(directory.glob(_JOURNALS))[-_FILES:]:
        report = journal.with_suffix(".json")
        if report.exists() and report.stat().st_mtime_ns >= journal.stat().st_mtime_ns:
            continue
        run = {"goal": _INTERRUPTED, "began": journal.stem, "plan": {}, "stayed": [], "receipts": []}
        try:
            run = json.loads(report.read_text(encoding="utf-8")) if report.exists() else run
            missing = kept(journal)[len(run["receipts"]) :]
            if missing:
                found[journal.stem] = {**run, "receipts": [*run["receipts"], *missing]}
        except (ValueError, TypeError, KeyError):
            # Whoever has changed the report by hand keeps it.
            continue
    return found


def _entries(file: Path) -> Iterator[tuple[Json, Json]]:
    """The lines with their server, source and destination; what is not of a migration, or broken off, is left out."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
                of = entry["step"] if "asked" in entry else entry
                yield entry, {name: of[name] for name in ("server", "source", "destination")}
            except (ValueError, TypeError, KeyError):
                continue


def asked_of(step: Step, moment: str) -> Json:
    """The line that says that a step is asked for now."""
    return {"asked": moment, "step": step.planned}


def receipt_of(step: Step, found: str = "", journey: Journey | None = None) -> Json:
    """The receipt of a step; ``found`` is why it did not come about, and without a journey it was not begun."""
    seen = journey.receipt if journey else None
    return {
        "server": step.move.server,
        "name": step.name,
        "kind": step.kind,
        "planned": step.planned,
        "moved": not found,
        "found": found,
        "source": step.move.source,
        "destination": step.move.destination,
        "began": seen.began_at if seen else None,
        "seconds": seen.seconds if seen else None,
        "transferred": seen.transferred if seen else {},
        "timeline": [dataclasses.asdict(state) for state in seen.timeline] if seen else [],
        "phases": [dataclasses.asdict(event) for event in seen.phases] if seen else [],
        "warnings": seen.warnings if seen else [],
    }


def receipt_of_result(result: Mapping[str, t.Any], step: Mapping[str, t.Any], began: str) -> Json:
    """The receipt of a step from what server_migration or server_evacuation returned.

    It was asked for at ``began``, unless the module tells it itself.
    """
    failed = bool(result.get("failed"))
    mode, arrived = step["mode"], (result.get("server") or {}).get("host")
    return {
        "server": step["server"],
        "name": step.get("name", step["server"]),
        "kind": mode if mode in ("cold", EVACUATION) else "live",
        "planned": dict(step),
        "moved": not failed,
        "found": str(result.get("found") or result.get("msg") or "no reason") if failed else "",
        "source": step["source"],
        "destination": (None if failed else arrived) or step.get("destination"),
        "began": result.get("began") or began,
        "seconds": result.get("seconds"),
        "transferred": result.get("transferred") or {},
        "timeline": result.get("timeline") or [],
        "phases": result.get("phases") or [],
        "warnings": [str(each) for each in result.get("warnings") or []],
    }
