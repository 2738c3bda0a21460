# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A difference between what is and what is wanted, from which ``changed``, the diff and the reason come."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Difference(t.Protocol):
    """What is reported of a difference: one sentence, and what is there before and after."""

    @property
    def says(self) -> str: ...

    @property
    def thing(self) -> str: ...

    @property
    def before(self) -> object: ...

    @property
    def after(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, without secrets, and the call that removes it."""

    says: str
    thing: str
    before: str
    after: str
    do: Callable[[], None]


def result_of(changes: Sequence[Difference]) -> dict[str, t.Any]:
    """What a module returns of its differences."""
    return {
        "changed": bool(changes),
        "actions": [change.says for change in changes],
        "diff": {
            "before": {change.thing: change.before for change in changes},
            "after": {change.thing: change.after for change in changes},
        },
    }
