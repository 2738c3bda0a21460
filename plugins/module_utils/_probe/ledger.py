# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The ledger: what became of every numbered write, and what of it is there afterwards."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EXAMPLES = 10


class Outcome(enum.IntEnum):
    """What the service said of a write: nothing (it may or may not be there), yes, or no."""

    UNKNOWN = 0
    ACKNOWLEDGED = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class Balance:
    """Outcomes and read-back compared. The last four are ``None`` when the read-back failed: unknown is not zero.

    ``lost``: acknowledged but absent; ``unexpected``: refused but present; ``duplicated``: present more than once.
    """

    acknowledged: int
    refused: int
    unknown: int
    lost: int | None
    unexpected: int | None
    duplicated: int | None
    lost_examples: tuple[int, ...] = ()


class Ledger:
    """The outcome of each write, one byte a write; numbers ascend from 0."""

    def __init__(self) -> None:
        self._outcomes = bytearray()
        self._closed = False

    def open(self, number: int) -> None:
        """A write is about to be sent: unknown until somebody says more."""
        if number >= len(self._outcomes):
            self._outcomes.extend(bytes(number + 1 - len(self._outcomes)))

    def note(self, number: int, outcome: Outcome) -> None:
        """What became of a write; the last word counts, since a confirmation may follow a timeout."""
        self.open(number)
        if not self._closed:
            self._outcomes[number] = outcome

    def close(self) -> None:
        """Ignore what is said from now on: what is acknowledged after the read-back would look lost."""
        self._closed = True

    def outcome(self, number: int) -> Outcome:
        """The outcome of a write; unknown for one that was never opened."""
        return Outcome(self._outcomes[number]) if number < len(self._outcomes) else Outcome.UNKNOWN

    def numbers(self, outcome: Outcome) -> list[int]:
        """All writes with that outcome, ascending."""
        return [number for number, value in enumerate(self._outcomes) if value == outcome]

    def balance(self, present: Mapping[int, int] | None) -> Balance:
        """Compare with what was read back: {number: times present}, ``None`` when nothing could be read."""
        acknowledged, refused = self.numbers(Outcome.ACKNOWLEDGED), self.numbers(Outcome.REFUSED)
        unknown = len(self._outcomes) - len(acknowledged) - len(refused)
        if present is None:
            return Balance(len(acknowledged), len(refused), unknown, None, None, None)
        lost = [number for number in acknowledged if not present.get(number)]
        return Balance(
            acknowledged=len(acknowledged),
            refused=len(refused),
            unknown=unknown,
            lost=len(lost),
            unexpected=sum(1 for number in refused if present.get(number)),
            duplicated=sum(1 for times in present.values() if times > 1),
            lost_examples=tuple(lost[:MAX_EXAMPLES]),
        )
