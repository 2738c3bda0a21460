# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How long a machine will be away while it is brought in: the sum of what is done between its stop and its answer.

The last copy reads all once more and writes little, as the last round did. The rest is the median of what the last nine
receipts say that tell it, of those of the same machine if there are any, and else assumed, as is said of each part.
"""

from __future__ import annotations

import json
import statistics
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Json = t.Mapping[str, t.Any]
# So many files are read at most, the newest, and so many of what they say count.
_MOST, _LAST = 200, 9
_LAB = "assumed, as long as on the lab of docs/benchmarks.md"
_ASSUMED = {
    # tests/unit/fixtures/migration_log/cold_source.log
    "shut down": (3.0, "assumed, as long as a server that Nova's log tells of"),
    "server": (29.0, _LAB),
    "answer": (17.0, _LAB),
}
_UPLOAD_RATE = 1.25e8
_UPLOAD_ASSUMED = "assumed, as fast as a link of 1 Gbit/s carries"


@dataclass(frozen=True, slots=True)
class Part:
    """A step of the receipt, the seconds that it will take, and how that is known."""

    step: str
    seconds: float
    known: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The seconds between the stop of the machine and its answer, and their parts in the order of their coming."""

    seconds: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The rounds of a machine, and the forecast that was made when they were done; None before any."""

    rounds: Sequence[Json]
    predicted: Forecast | None


def read_receipts(directory: Path) -> list[Json]:
    """The newest receipts, oldest first. A directory that is not there has none, and what is no receipt is left out."""
    found = []
    # A run is named after the time at which it began.
    for file in sorted(directory.glob("*.json"))[-_MOST:]:
        try:
            read = json.loads(file.read_text(encoding="utf-8"))
            list(_samples(read))
            found.append(read)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def forecast(receipts: Sequence[Json], machine: str, copy_seconds: float, upload_bytes: int) -> Forecast:
    """Of the machine with that name, whose last copy will take so long, and whose images have so many bytes."""
    known = _Known(receipts, machine)
    rate, rate_known = known.of("upload", _UPLOAD_RATE, _UPLOAD_ASSUMED)
    parts = (
        known.part("shut down"),
        Part("copy", round(copy_seconds, 1), "as long as the last round"),
        Part("upload", round(upload_bytes / rate, 1), rate_known),
        known.part("server"),
        known.part("answer"),
    )
    return Forecast(round(sum(part.seconds for part in parts), 1), parts)


def earlier(receipts: Sequence[Json], server: str, source: str) -> Told:
    """What an earlier run has told before it ended without a server: one that was to go on when the machine is off."""
    ours = [each for each in receipts if (each["plan"]["server"], each["plan"]["source"]) == (server, source)]
    if not ours or ours[-1]["answered"] or not ours[-1]["warm"].get("predicted"):
        return Told((), None)
    warm = ours[-1]["warm"]
    parts = tuple(Part(**part) for part in warm["predicted"]["parts"])
    return Told(warm["rounds"], Forecast(warm["predicted"]["seconds"], parts))


class _Known:
    """What receipts tell of the parts."""

    def __init__(self, receipts: Sequence[Json], machine: str) -> None:
        self._of_all: dict[str, list[float]] = {}
        self._of_machine: dict[str, list[float]] = {}
        for receipt in receipts:
            for step, sample in _samples(receipt):
                self._of_all.setdefault(step, []).append(sample)
                if receipt["machine"]["name"] == machine:
                    self._of_machine.setdefault(step, []).append(sample)

    def of(self, step: str, assumed: float, source: str) -> tuple[float, str]:
        """The figure, and how it is known."""
        for samples, whose in ((self._of_machine, "of this machine"), (self._of_all, "of any machine")):
            if last := samples.get(step, [])[-_LAST:]:
                return statistics.median(last), f"the median of {len(last)} earlier {whose}"
        return assumed, source

    def part(self, step: str) -> Part:
        seconds, known = self.of(step, *_ASSUMED[step])
        return Part(step, round(seconds, 1), known)


def _samples(receipt: Json) -> Iterator[tuple[str, float]]:
    """What a receipt teaches: seconds of steps, and of uploads bytes in a second.

    Not of a server that an earlier run has made.
    """
    steps: dict[str, float] = {each["step"]: float(each["seconds"]) for each in receipt["steps"]}
    for disk, copied in receipt["copies"].items():
        if seconds := steps.get(f"upload {disk}"):
            yield "upload", copied["size"] / seconds
    if "shut down" in steps:
        yield "shut down", steps["shut down"]
    made = receipt["server_seconds"]
    if receipt["plan"]["make"] and "server" in made:
        # A rehearsal makes a network of its own, too.
        yield "server", max(made.values()) if receipt["rehearsal"] else steps["server"]
        if receipt["answered"]:
            yield "answer", steps["answer"]
