# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""SIGTERM and SIGINT as a wish to come to an end, instead of an end at once."""

from __future__ import annotations

import signal
import typing as t

if t.TYPE_CHECKING:
    from types import FrameType, TracebackType


class StopSignals:
    """While the block runs, both signals are only noted."""

    def __init__(self) -> None:
        self._seen = False
        self._before: dict[int, t.Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def seen(self) -> bool:
        """Whether one of them has come."""
        return self._seen

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._seen = True
