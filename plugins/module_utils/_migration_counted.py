# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What hypervisors have counted of live migrations, put into the receipts of these.

When a guest arrives, libvirt there replaces what it knew of its last job, or forgets it after post-copy. So what it
knows is of this arrival or of what came later: of another kind of job, which it names, or of a migration that took the
server away and one that brought it back. Of these the counts must fit, too, before they are believed.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, t.Any]
# The source does not tell the destination what kind of job it is.
_ARRIVALS = frozenset({"unknown", "migration_in"})
# Of what ended while nobody looked Nova tells whole seconds.
_ROUNDED_MS = 1000.0


def counted(receipts: Sequence[Mapping[str, t.Any]], jobs: Sequence[Mapping[str, t.Any]]) -> list[Json]:
    """The receipts, with the figures of ``jobs``, as libvirt_job_info returns them, in ``transferred``.

    A server's job belongs to the live migration that has moved it last; one that does not fit to that is passed over.
    """
    known = {str(job["uuid"]): job["statistics"] for job in jobs if job["operation"] in _ARRIVALS}
    last = {
        receipt["server"]: place
        for place, receipt in enumerate(receipts)
        if receipt["kind"] == "live" and receipt["moved"] and receipt["seconds"] is not None
    }
    return [
        dict(receipt)
        if last.get(receipt["server"]) != place
        else {**receipt, "transferred": {**receipt["transferred"], **_figures(receipt, known.get(receipt["server"]))}}
        for place, receipt in enumerate(receipts)
    ]


def _figures(receipt: Mapping[str, t.Any], said: Mapping[str, t.Any] | None) -> Json:
    """By the names of receipts; without ``copy_ms`` where libvirt does not tell how fast it was sent."""
    if said is None or not _fits(receipt, said):
        return {}
    figures = {name: said[name] for name in ("memory_total", "memory_processed", "memory_remaining") if name in said}
    figures |= {"downtime_ms": said["downtime"], "elapsed_ms": said["time_elapsed"]}
    if said.get("memory_bps") and said.get("memory_processed"):
        figures["copy_ms"] = round(1000 * said["memory_processed"] / said["memory_bps"])
    return figures


def _fits(receipt: Mapping[str, t.Any], said: Mapping[str, t.Any]) -> bool:
    """Whether it lies within the migration, by clock and by what Nova saw sent of it."""
    downtime, elapsed = said.get("downtime", -1), said.get("time_elapsed", 0)
    sent_before = receipt["transferred"].get("memory_processed", 0)
    in_time = 0 <= downtime <= elapsed <= 1000 * receipt["seconds"] + _ROUNDED_MS
    return bool(in_time and said.get("memory_processed", 0) >= sent_before)
