# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a receipt tells of bytes, of the time of copying, and of how long a server stood still; None where it does not.

Nova writes down every five seconds how much of a live migration has been sent and how much is left, and nothing at the
end, so that the bytes of a short one are not known, unless the hypervisor was asked afterwards. It notes the steps of
an action in whole seconds.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Phase, Receipt, Seen

# Of what had been sent when Nova looked last: with more than this left, what was sent in the end is not known.
_LEFT = 0.05
# With both ends rounded to whole seconds the time of a shorter copy is off by more than a fifth.
_LEAST_COPY_S = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes; when not ``whole``, at least so many."""

    bytes: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Downtime:
    """How long a server stood still, by one method."""

    method: str
    seconds: float


def sent(receipt: Receipt) -> Sent | None:
    """What was said last of memory and disks."""
    processed, remaining = (_sum(receipt, ending) for ending in ("_processed", "_remaining"))
    if not processed:
        return None
    whole = remaining <= _LEFT * processed
    return Sent(processed + remaining if whole else processed, whole)


def disk_bytes(receipt: Receipt) -> float:
    """What Nova said last of disks, sent and to be sent."""
    return sum(receipt.transferred.get(f"disk_{which}", 0) for which in ("processed", "remaining"))


def _sum(receipt: Receipt, ending: str) -> float:
    return sum(value for name, value in receipt.transferred.items() if name.endswith(ending))


def copy_s(receipt: Receipt) -> float | None:
    """Of a live migration, as the hypervisor counted it.

    Else from the end of preparing on the destination to the beginning of the work after it there.
    """
    # It counts the memory, and a disk is copied before that.
    if "copy_ms" in receipt.transferred and not disk_bytes(receipt):
        return receipt.transferred["copy_ms"] / 1000 or None
    prepared, after = (_phase(receipt, name) for name in ("pre_live_migration", "post_live_migration_at_destination"))
    if prepared is None or after is None or prepared.seconds is None:
        return None
    copying = after.began - prepared.began - prepared.seconds
    return copying if copying >= _LEAST_COPY_S else None


def downtimes(receipt: Receipt, seen: Seen | None) -> tuple[Downtime, ...]:
    """By each method that is known, the one that is nearest to a user first."""
    return tuple(_downtimes(receipt, seen))


def _downtimes(receipt: Receipt, seen: Seen | None) -> Iterator[Downtime]:
    if seen is not None and seen.gap_s is not None:
        yield Downtime("client", seen.gap_s)
    if "downtime_ms" in receipt.transferred:
        yield Downtime("libvirt", receipt.transferred["downtime_ms"] / 1000)
    stopped, started = _phase(receipt, "resize_instance"), _phase(receipt, "finish_resize")
    # Of a live migration Nova notes no step that begins or ends with the server standing still.
    if receipt.planned.stops_server and stopped and started and started.seconds is not None:
        yield Downtime("Nova", started.began + started.seconds - stopped.began)


def _phase(receipt: Receipt, name: str) -> Phase | None:
    return next((each for each in reversed(receipt.phases) if each.name == name and each.result == "Success"), None)


def ratio(measured: float | None, predicted: float | None) -> float | None:
    """Measured against predicted; None without one of them, or where nothing was predicted."""
    return measured / predicted if measured is not None and predicted else None


def amount(found: Sent | None) -> str:
    """Bytes for people."""
    if found is None:
        return figures.NOTHING
    return figures.amount(found.bytes) if found.whole else f"≥ {figures.amount(found.bytes)}"
