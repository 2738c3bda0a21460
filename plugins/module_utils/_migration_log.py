# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The migrations that a log of nova-compute tells of, with the length of their phases and what was warned of.

A log shows one side. The source of a live migration tells how long memory was copied, how long the server stood still
and how long the clean-up took; its destination how long the server took from being there to running; the source of a
cold migration how long the server took to shut down. Every time is the moment at which the line was written, so a pause
is what Nova saw of it: a lower bound of what a client notices.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \d+ (?P<level>[A-Z]+) (?P<logger>[\w.]+) ?"
    r"(?:\[(?!instance:)[^\]]*\] ?)?(?:\[instance: (?P<instance>[0-9a-f-]+)\] ?)?(?P<message>.*)",
    re.DOTALL,
)
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f"
_PROGRESS = re.compile(r"Migration running for \d+ secs.*processed=(\d+), *remaining=(\d+), *total=(\d+)", re.DOTALL)
_SHUTDOWN = re.compile(r"Instance shutdown successfully after (\d+) seconds")
_LIFECYCLE = re.compile(r"VM (Started|Paused|Resumed|Stopped) \(Lifecycle Event\)")
_FINISHED = re.compile(r"Migrating instance to (\S+) finished successfully")
_PREPARED = re.compile(r"Took ([\d.]+) seconds for pre_live_migration on destination host (\S+?)\.?$")
_MOVED = re.compile(r"the instance\s*has moved from host (\S+) to host (\S+)")
_FAILED = re.compile(r"Live Migration failure|Migration operation (?:has aborted|was cancelled)|migration failed", re.I)
# For so many seconds Nova, which looks twice a second, may go on to tell of a migration that libvirt has ended.
_LATE_S = 5.0
# The only signs in its source's log that a server was shut down to be moved, and not stopped or deleted: Neutron's word
# that its ports are gone, and the traceback of a move that broke off before that came.
_COLD = re.compile(r"task_state resize_migrat|, in _?resize_instance\b")
# Nova is through with the shutdown before it moves the disks.
_COLD_FAILED = "Setting instance vm_state to ERROR"
# Seen in migrations that went well; everything else that is warned of deserves a look.
_HARMLESS = (
    re.compile(r"Received unexpected event network-vif-(?:un)?plugged"),
    re.compile(r"Instance not resizing, skipping migration"),
    re.compile(r"While synchronizing instance power states, found"),
)
_WARNED = ("WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log; ``instance`` is None for what concerns no single server."""

    time: datetime
    level: str
    logger: str
    instance: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Warned:
    """An entry at WARNING or above, in full."""

    time: str
    level: str
    logger: str
    message: str
    serious: bool


@dataclass(slots=True)
class Migration:
    """One migration of one server as one side saw it; bytes are the last that Nova wrote down, if it wrote any."""

    instance: str
    kind: t.Literal["live", "cold"]
    side: t.Literal["source", "destination"]
    marks: dict[str, datetime] = field(default_factory=dict)
    source: str | None = None
    destination: str | None = None
    shutdown_s: float | None = None
    preparation_s: float | None = None
    processed_bytes: int | None = None
    total_bytes: int | None = None
    failed_at: datetime | None = None
    warnings: list[Warned] = field(default_factory=list)

    def mark(self, name: str, time: datetime) -> None:
        """The first moment of that name counts."""
        self.marks.setdefault(name, time)

    def seconds(self, begin: str, end: str) -> float | None:
        """Between two marks, or None when one of them is missing."""
        if begin not in self.marks or end not in self.marks:
            return None
        return round((self.marks[end] - self.marks[begin]).total_seconds(), 3)

    @property
    def outcome(self) -> str:
        if self.failed_at is not None:
            return "failed"
        ends = {"source": "finished" if self.kind == "live" else "destroyed", "destination": "resumed"}
        return "finished" if ends[self.side] in self.marks else "unfinished"

    def phases(self) -> dict[str, float | None]:
        """Seconds of each phase; None for what this side's log does not tell."""
        return {
            "shutdown_s": self.shutdown_s,
            "preparation_s": self.preparation_s,
            "copy_s": self.seconds("began", "paused"),
            "pause_s": self.seconds("paused", "completed"),
            "resume_s": self.seconds("started", "resumed"),
            "cleanup_s": self.seconds("cleanup", "finished"),
            "total_s": self.seconds("began", "finished"),
        }


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """The entries of a log; a line that begins no entry goes on with the one before it, if there is one."""
    pending: list[str] = []
    for line in lines:
        begins = _LINE.match(line) is not None
        if begins and pending:
            yield from _entry("".join(pending))
            pending = []
        if begins or pending:
            pending.append(line.rstrip("\n"))
    yield from _entry("".join(pending))


def _entry(text: str) -> Iterator[Entry]:
    found = _LINE.match(text)
    if found:
        time = datetime.strptime(found["time"], _TIME_FORMAT)
        yield Entry(time, found["level"], found["logger"], found["instance"], found["message"])


def migrations(log: Iterable[Entry]) -> list[Migration]:
    """Every migration in the order in which they began."""
    reader = _Reader()
    for entry in log:
        reader.read(entry)
    return reader.told()


class _Reader:
    """What is known so far. ``_open`` holds for each server what may still become or be a migration."""

    def __init__(self) -> None:
        self._all: list[Migration] = []
        self._open: dict[str, Migration] = {}
        # On a destination the server's start comes before the line that tells that it was a migration.
        self._started: dict[str, Migration] = {}

    def told(self) -> list[Migration]:
        """A server that was shut down without a sign of a move is none."""
        return [each for each in self._all if each.kind == "live" or "cold" in each.marks]

    def read(self, entry: Entry) -> None:
        if entry.instance is None:
            return
        self._begin(entry)
        current = self._open.get(entry.instance)
        if current is None:
            self._destination(entry)
        else:
            self._source(current, entry)

    def _begin(self, entry: Entry) -> None:
        instance = t.cast("str", entry.instance)
        current = self._open.get(instance)
        late = current and current.failed_at and (entry.time - current.failed_at).total_seconds() > _LATE_S
        if current and (late or "VM Started (Lifecycle Event)" in entry.message):
            # A server that starts here has come here, or was here all the time.
            del self._open[instance]
            current = None
        prepared, cold = _PREPARED.search(entry.message), _SHUTDOWN.search(entry.message)
        if prepared:
            self._take(Migration(instance, "live", "source", preparation_s=float(prepared[1]), destination=prepared[2]))
        elif _PROGRESS.search(entry.message) and (current is None or current.kind == "cold"):
            self._take(Migration(instance, "live", "source"))
        elif cold:
            self._take(Migration(instance, "cold", "source", {"began": entry.time}, shutdown_s=float(cold[1])))

    def _take(self, migration: Migration) -> None:
        self._open[migration.instance] = migration
        self._all.append(migration)

    def _source(self, current: Migration, entry: Entry) -> None:
        message = entry.message
        if current.failed_at is None:
            self._mark(current, entry)
        if _COLD.search(message):
            current.mark("cold", entry.time)
        if entry.level in _WARNED:
            current.warnings.append(warned(entry))
        broke = current.kind == "cold" and entry.level == "ERROR" and _COLD_FAILED in message
        if broke or _FAILED.search(message):
            current.failed_at = current.failed_at or entry.time

    def _mark(self, current: Migration, entry: Entry) -> None:
        message = entry.message
        if progress := _PROGRESS.search(message):
            current.mark("began", entry.time)
            current.processed_bytes, current.total_bytes = int(progress[1]), int(progress[3])
        elif lifecycle := _LIFECYCLE.search(message):
            current.mark(lifecycle[1].lower(), entry.time)
        elif "Migration operation has completed" in message:
            current.mark("completed", entry.time)
        elif "_post_live_migration() is started" in message:
            current.mark("cleanup", entry.time)
        elif "Instance destroyed successfully" in message:
            current.mark("destroyed", entry.time)
        elif finished := _FINISHED.search(message):
            current.mark("finished", entry.time)
            current.destination = finished[1]
            del self._open[current.instance]

    def _destination(self, entry: Entry) -> None:
        instance = t.cast("str", entry.instance)
        lifecycle, moved = _LIFECYCLE.search(entry.message), _MOVED.search(entry.message)
        if lifecycle and lifecycle[1] == "Started":
            self._started[instance] = Migration(instance, "live", "destination", {"started": entry.time})
        elif lifecycle and lifecycle[1] == "Stopped":
            self._started.pop(instance, None)
        candidate = self._started.get(instance)
        if candidate is None:
            return
        if lifecycle:
            candidate.mark(lifecycle[1].lower(), entry.time)
        if entry.level in _WARNED:
            candidate.warnings.append(warned(entry))
        if moved and candidate.source is None:
            candidate.source, candidate.destination = moved[1], moved[2]
            self._all.append(candidate)


def warned(entry: Entry) -> Warned:
    """Serious unless it is known from migrations that went well; an error always is."""
    harmless = entry.level == "WARNING" and any(known.search(entry.message) for known in _HARMLESS)
    return Warned(entry.time.isoformat(sep=" "), entry.level, entry.logger, entry.message, not harmless)
