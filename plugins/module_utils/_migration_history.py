# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the receipts of earlier runs say of how migrations and evacuations come out, for _plan_learning.

A receipt tells how long the whole took, how long the copy if that was long enough for Nova's whole seconds, the bytes
if Nova looked late enough, and the downtime if the hypervisor was asked. What it does not tell stays unknown.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import EVACUATION
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report import measures
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import outcome_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Receipt
    from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Outcome

# So many receipts, and so many files, are read at most, the newest.
_MOST = 200


@dataclass(frozen=True, slots=True)
class History:
    """Outcomes, oldest first, why files could not be read, and the seconds of servers that were rebuilt."""

    outcomes: tuple[Outcome, ...]
    unread: tuple[str, ...]
    rebuilds: tuple[float, ...] = ()


def read_history(directory: Path) -> History:
    """What the receipts in ``directory`` teach; a directory that is not there yet teaches nothing."""
    if directory.exists() and not directory.is_dir():
        raise LifeboatError(str(directory), "a file", "a directory of receipts", "Correct history_directory.")
    outcomes: list[Outcome] = []
    rebuilds: list[float] = []
    unread = []
    # A run is named after the time at which it began.
    for file in sorted(directory.glob("*.json"), reverse=True)[:_MOST]:
        try:
            receipts = read_run(file).receipts
            outcomes[:0] = [found for receipt in receipts for found in _outcome(receipt)]
            rebuilds[:0] = [found for receipt in receipts for found in _rebuild(receipt)]
        except LifeboatError as error:
            unread.append(f"Nothing is learned from {file}: {error}")
        if len(outcomes) >= _MOST:
            break
    return History(tuple(outcomes[-_MOST:]), tuple(unread), tuple(rebuilds))


def _rebuild(receipt: Receipt) -> list[float]:
    """Whether it was predicted or not, since that is not compared."""
    return [receipt.seconds] if receipt.kind == EVACUATION and receipt.moved and receipt.seconds else []


def _outcome(receipt: Receipt) -> list[Outcome]:
    """Nothing for what failed, for what was there already, and for what nobody had predicted."""
    if not (receipt.moved and receipt.timeline and receipt.seconds and "assumed" in receipt.planned.step):
        return []
    sent, downtimes = measures.sent(receipt), measures.downtimes(receipt, None)
    measured = {
        "total_s": receipt.seconds,
        "copy_s": measures.copy_s(receipt),
        "transferred": sent.bytes if sent and sent.whole else None,
        "disk": measures.disk_bytes(receipt),
        "downtime_s": downtimes[0].seconds if downtimes else None,
    }
    return [outcome_of({**receipt.planned.step, "measured": measured})]
