# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What migrations that ended teach about the next ones.

An outcome says what was assumed of a migration and what was measured. Measured against assumed gives, for each pair of
hosts, the share of the bandwidth that was really carried, the seconds of switching over (S of _migration_model) and of
preparing and tidying up; and, for each server, the memory that was really sent, the rate at which it dirties it, and
the share of its host's own disk that it has written and that is copied. Of each the median of the last nine counts, so
that one odd migration changes nothing, and none leaves its bounds.

By the series of _migration_model a guest with D below B has sent M / (1 - D / B) bytes after many rounds. Where the
dirty rate was measured, M follows from it; otherwise M is what was stated, if as much was sent, and D follows.

A cold migration teaches how long the server is away, and how long preparing and tidying up take. A server of a dead
host that was rebuilt teaches how long that takes.

Where the bytes were not measured, bandwidth and dirty rate cannot be told apart, and only seconds are compared. A copy
that took longer than predicted means that the path carried less, a shorter one that the guest sent less. Where the
seconds of the copy were not measured either, what the whole took longer is preparing and tidying up, and a shorter
whole means less of both. Where there was a disk to copy, what was shorter is the disk's before it is anything else's,
since before it is learned nobody knows how much of it is written. A downtime that was not measured teaches nothing.
"""

from __future__ import annotations

import copy
import math
import statistics
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Server

_LAST = 9
_BANDWIDTH_SHARE = (0.05, 2.0)
_SECONDS = (0.0, 600.0)
# With nothing left to be copied no later copy could show that there is more.
_DISK_SHARE = (0.01, 1.0)
_RATE = (0.0, 2.0**40)
_FIGURES = ("bandwidth", "carried_share", "memory", "dirty_rate", "switch_s", "downtime_s", "total_s")
_OPTIONAL = ("transferred", "disk", "copy_s", "downtime_s", "dirty_rate")
_LIVE = ("pre-copy", "auto-converge", "post-copy")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Seconds before anything was learned.

    Of each migration: switching over, the rest of the work, and a reboot; and of rebuilding a server of a dead host.
    What they took of Nova on the lab, see docs/benchmarks.md, to the next 5 s.
    """

    switch_s: float = 0.2
    setup_s: float = 10.0
    reboot_s: float = 15.0
    rebuild_s: float = 25.0


@dataclass(frozen=True, slots=True)
class Learned:
    """Of a guest: ``memory`` that is sent, ``dirty_rate``."""

    memory: float
    dirty_rate: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A migration that ended: what the plan assumed of it, and what was measured.

    ``bandwidth`` is what was expected after ``carried_share``, the share of the hosts' bandwidth that had been learned
    by then. ``memory`` is what the server was said to use, ``disk`` what its local disk was said to hold, of which
    ``disk_share`` had been learned by then, ``transferred`` the bytes of both that were predicted. ``measured_bytes``
    are those of both, ``measured_disk`` the disk's of them. ``measured_copy_s`` is from the first byte to the last.
    What was not measured, or not said, is None.
    """

    server: str
    source: str
    destination: str
    mode: str
    bandwidth: float
    carried_share: float
    memory: float
    dirty_rate: float
    switch_s: float
    downtime_s: float
    total_s: float
    transferred: float | None
    measured_total_s: float
    disk: float = 0.0
    disk_share: float = 1.0
    measured_bytes: float | None = None
    measured_disk: float | None = None
    measured_copy_s: float | None = None
    measured_downtime_s: float | None = None
    measured_dirty_rate: float | None = None

    @property
    def error(self) -> float:
        """Of the predicted total time, as a share of the measured one."""
        return abs(self.total_s - self.measured_total_s) / self.measured_total_s

    @property
    def copy_s(self) -> float | None:
        """The predicted time of copying."""
        return self.transferred / self.bandwidth if self.transferred else None

    @property
    def disk_s(self) -> float:
        """What of it was the disk's."""
        return self.disk * self.disk_share / self.bandwidth if self.disk else 0.0


def outcome_of(entry: Mapping[str, t.Any]) -> Outcome:
    """From ``{server, source, destination, mode, assumed: {...}, measured: {...}}``, all but ``measured`` a step's."""
    thing = f"outcome of {entry.get('server', '?')}"
    try:
        assumed = {name: float(entry["assumed"][name]) for name in _FIGURES}
        # Receipts of older plans do not tell.
        disk, disk_share = (float(entry["assumed"].get(name, old)) for name, old in (("disk", 0), ("disk_share", 1)))
        total = float(entry["measured"]["total_s"])
        measured = {name: _or_none(entry["measured"].get(name)) for name in _OPTIONAL}
        where = {name: str(entry[name]) for name in ("server", "source", "destination", "mode")}
        transferred = _or_none(entry.get("transferred"))
    except KeyError as error:
        raise LifeboatError(thing, f"no {error.args[0]}", "all figures of an outcome", "Correct the entry.") from error
    except (TypeError, ValueError) as error:
        raise LifeboatError(thing, str(error), "numbers", "Correct the entry.") from error
    divisors: dict[str, float | None] = {"total_s": total}
    if where["mode"] in _LIVE:
        divisors |= {name: measured[name] for name in ("transferred", "copy_s")} | {"bandwidth": assumed["bandwidth"]}
    for name, figure in divisors.items():
        if figure is not None and (math.isnan(figure) or figure <= 0):
            raise LifeboatError(f"{name} of {thing}", str(figure), "more than 0", "Correct the entry.")
    return Outcome(
        server=where["server"],
        source=where["source"],
        destination=where["destination"],
        mode=where["mode"],
        bandwidth=assumed["bandwidth"],
        carried_share=assumed["carried_share"],
        memory=assumed["memory"],
        dirty_rate=assumed["dirty_rate"],
        switch_s=assumed["switch_s"],
        downtime_s=assumed["downtime_s"],
        total_s=assumed["total_s"],
        transferred=transferred,
        measured_total_s=total,
        disk=disk,
        disk_share=disk_share,
        measured_bytes=measured["transferred"],
        measured_disk=measured["disk"],
        measured_copy_s=measured["copy_s"],
        measured_downtime_s=measured["downtime_s"],
        measured_dirty_rate=measured["dirty_rate"],
    )


def _or_none(value: t.Any) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an estimate was before the outcomes and is after them; ``samples`` is how many it rests on."""

    subject: str
    what: str
    before: float
    after: float
    samples: int


class Estimates:
    """What is to be expected of pairs of hosts and of servers, from the outcomes in the order of their ends."""

    def __init__(
        self, outcomes: Iterable[Outcome] = (), defaults: Defaults | None = None, rebuilds: Iterable[float] = ()
    ) -> None:
        """``rebuilds`` are the seconds that servers of dead hosts took, in the order of their ends."""
        self.defaults = defaults or Defaults()
        self._samples: dict[tuple[str, str], list[float]] = {}
        self._first: dict[tuple[str, str], float] = {}
        self._errors: list[float] = []
        self.dirty_rates: Mapping[str, float] = {}
        for outcome in outcomes:
            self._take(outcome)
            self._errors.append(outcome.error)
        for seconds in rebuilds:
            self._add("rebuild_s", "", seconds, _SECONDS, self.defaults.rebuild_s)

    def with_dirty_rates(self, rates: Mapping[str, float]) -> Estimates:
        """The same, but for the dirty rates of these servers, by id, of which nothing is to be guessed."""
        known = copy.copy(self)
        known.dirty_rates = {**self.dirty_rates, **rates}
        return known

    @property
    def error(self) -> float | None:
        """The median error of the total times that were predicted; None before anything was learned."""
        return statistics.median(self._errors) if self._errors else None

    def bandwidth(self, source: str, destination: str) -> float:
        """The share of the hosts' bandwidth that a migration between them gets."""
        return self._of_pair("bandwidth", source, destination, 1.0)

    def switch_s(self, source: str, destination: str) -> float:
        return self._of_pair("switch_s", source, destination, self.defaults.switch_s)

    def setup_s(self, source: str, destination: str) -> float:
        return self._of_pair("setup_s", source, destination, self.defaults.setup_s)

    def cold_setup_s(self, source: str, destination: str) -> float:
        """Seconds of a cold migration in which the server still runs, or runs again."""
        return self._of_pair("cold_setup_s", source, destination, self.defaults.setup_s)

    def reboot_s(self, source: str, destination: str) -> float:
        """Seconds without the server in a cold migration, apart from the copying of its disks."""
        return self._of_pair("reboot_s", source, destination, self.defaults.reboot_s)

    def rebuild_s(self) -> float:
        """Seconds until a server of a dead host is on another one."""
        return self._median("rebuild_s", "", self.defaults.rebuild_s)

    def disk_share(self, server: Server) -> float:
        """What of its local disk is copied with it."""
        return self._median("disk_share", server.id, self._median("disk_share", "", 1.0))

    def disk(self, server: Server) -> float:
        """Bytes that are copied with it."""
        return server.local_disk * self.disk_share(server)

    def guest(self, server: Server) -> Learned:
        memory = self._median("memory", server.id, server.memory)
        learned = self._median("dirty_rate", server.id, server.dirty_rate)
        return Learned(min(memory, server.takes.memory or memory), self.dirty_rates.get(server.id, learned))

    def lessons(self) -> list[Lesson]:
        """What was learned, of pairs and of servers."""
        return [
            Lesson(subject, what, self._first[what, subject], statistics.median(samples), len(samples))
            for (what, subject), samples in sorted(self._samples.items())
            if (what, subject) in self._first
        ]

    def _of_pair(self, what: str, source: str, destination: str, default: float) -> float:
        # What holds for all pairs is the better guess for one of which nothing is known.
        return self._median(what, f"{source} -> {destination}", self._median(what, "", default))

    def _median(self, what: str, subject: str, default: float) -> float:
        samples = self._samples.get((what, subject))
        return statistics.median(samples) if samples else default

    def _take(self, seen: Outcome) -> None:
        pair = f"{seen.source} -> {seen.destination}"
        if seen.mode not in _LIVE:
            self._take_cold(seen, pair)
            return
        told = _told(seen)
        for what, value, bounds, before in (
            ("bandwidth", told.share, _BANDWIDTH_SHARE, seen.carried_share),
            ("switch_s", told.switch_s, _SECONDS, seen.switch_s),
            ("setup_s", told.setup_s, _SECONDS, self.defaults.setup_s),
        ):
            self._add(what, pair, value, bounds, before)
            self._add(what, "", value, bounds)
        self._take_disk(seen, told.disk_share)
        if seen.mode == "pre-copy":
            self._add("memory", seen.server, told.memory, _RATE, seen.memory)
            self._add("dirty_rate", seen.server, told.dirty_rate, _RATE, seen.dirty_rate)

    def _take_cold(self, seen: Outcome, pair: str) -> None:
        """Of a server that ran; without a measured downtime all that took longer is its stop and start."""
        assumed_setup = seen.total_s - seen.downtime_s
        if seen.mode != "cold" or not seen.downtime_s:
            return
        down = seen.measured_downtime_s
        setup = None if down is None else seen.measured_total_s - down
        away = seen.measured_total_s - assumed_setup if down is None else down
        reboot = away - seen.disk_s
        if away < seen.downtime_s:
            pace, disk_share = _shorter(seen, away, seen.downtime_s)
            reboot = pace * (seen.downtime_s - seen.disk_s)
            self._take_disk(seen, disk_share)
        for what, value, before in (
            ("cold_setup_s", setup, self.defaults.setup_s),
            ("reboot_s", reboot, self.defaults.reboot_s),
        ):
            self._add(what, pair, value, _SECONDS, before)
            self._add(what, "", value, _SECONDS)

    def _take_disk(self, seen: Outcome, share: float | None) -> None:
        if seen.disk:
            self._add("disk_share", seen.server, share, _DISK_SHARE, seen.disk_share)
            self._add("disk_share", "", share, _DISK_SHARE)

    def _add(
        self, what: str, subject: str, value: float | None, bounds: tuple[float, float], before: float | None = None
    ) -> None:
        if value is None:
            return
        samples = self._samples.setdefault((what, subject), [])
        samples.append(min(bounds[1], max(bounds[0], value)))
        del samples[:-_LAST]
        if before is not None:
            self._first.setdefault((what, subject), before)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one outcome tells of its path and of its guest; None where it tells nothing."""

    share: float | None = None
    switch_s: float | None = None
    setup_s: float | None = None
    memory: float | None = None
    dirty_rate: float | None = None
    disk_share: float | None = None


def _told(seen: Outcome) -> _Told:
    last_round = max(0.0, seen.downtime_s - seen.switch_s)
    switch = None if seen.measured_downtime_s is None else seen.measured_downtime_s - last_round
    rest = seen.measured_total_s - (seen.switch_s if switch is None else switch)
    if seen.measured_copy_s is None:
        return _by_total(seen, switch, rest)
    setup = rest - seen.measured_copy_s
    if seen.measured_bytes is None:
        return _by_seconds(seen, seen.measured_copy_s, switch, setup)
    carried = seen.measured_bytes / seen.measured_copy_s
    disk = seen.measured_disk or 0.0
    memory, rate = _guest(seen, seen.measured_bytes - disk, carried)
    disk_share = disk / seen.disk if seen.disk and disk else None
    return _Told(seen.carried_share * carried / seen.bandwidth, switch, setup, memory, rate, disk_share)


def _by_seconds(seen: Outcome, copy_s: float, switch: float | None, setup: float) -> _Told:
    """From the seconds of the copy, without its bytes."""
    if seen.copy_s is None:
        return _Told(switch_s=switch, setup_s=setup)
    if copy_s > seen.copy_s:
        return _Told(share=seen.carried_share * seen.copy_s / copy_s, switch_s=switch, setup_s=setup)
    pace, disk_share = _shorter(seen, copy_s, seen.copy_s)
    return _Told(switch_s=switch, setup_s=setup, memory=pace * _expected_memory(seen), disk_share=disk_share)


def _by_total(seen: Outcome, switch: float | None, rest: float) -> _Told:
    """From the seconds of the whole; ``rest`` is what the switching over has left of them."""
    if seen.copy_s is None:
        return _Told(switch_s=switch)
    expected_s = seen.total_s - seen.switch_s
    if rest >= expected_s:
        return _Told(switch_s=switch, setup_s=rest - seen.copy_s)
    pace, disk_share = _shorter(seen, rest, expected_s)
    setup = pace * (expected_s - seen.copy_s)
    return _Told(switch_s=switch, setup_s=setup, memory=pace * _expected_memory(seen), disk_share=disk_share)


def _shorter(seen: Outcome, seconds: float, expected_s: float) -> tuple[float, float]:
    """What was left of all but the disk, as a share of what was expected, and the share of the disk that was copied."""
    others_s = expected_s - seen.disk_s
    pace = min(1.0, max(0.0, seconds) / others_s) if others_s > 0 else 1.0
    left_s = max(0.0, seconds - others_s)
    return pace, seen.disk_share * min(1.0, left_s / seen.disk_s) if seen.disk_s else 0.0


def _expected_memory(seen: Outcome) -> float:
    """What was expected to be sent once, without what is sent again because the guest writes."""
    again = min(1.0, seen.dirty_rate / seen.bandwidth)
    return min(seen.memory, max(0.0, (seen.transferred or 0.0) - seen.disk * seen.disk_share) * (1 - again))


def _guest(seen: Outcome, sent: float, carried: float) -> tuple[float | None, float | None]:
    """Its memory in use and its dirty rate, by what was ``sent`` of its memory."""
    # Nova looked last while the disk was copied, which comes first.
    if sent <= 0:
        return None, None
    rate = seen.measured_dirty_rate
    if rate is not None and rate < carried:
        return sent * (1 - rate / carried), rate
    memory = min(seen.memory, sent)
    return memory, carried * (1 - memory / sent) if rate is None else rate
