# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The page of a run beside its receipts: what it should be, and writing it when it differs."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.page import page
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run, read_seen
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.summary import summary_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.beside import Page, receipts_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Run, Seen
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.summary import Summary


@dataclass(frozen=True, slots=True)
class Report:
    """A run that was judged, and its page."""

    run: Run
    judged: Sequence[Judged]
    summary: Summary
    page: Page


def report_of(directory: Path, run: str, measured: Mapping[str, object], downtime_limit_s: float | None) -> Report:
    """The report of the run's receipts."""
    receipts = receipts_of(directory, run)
    read = read_run(receipts)
    seen = read_seen(measured)
    _refuse_others(read, seen)
    judged = judge(read, seen, downtime_limit_s)
    summary = summary_of(read, judged)
    return Report(read, judged, summary, Page.beside(receipts, page(read, judged, summary)))


def _refuse_others(run: Run, seen: Mapping[str, Seen]) -> None:
    others = sorted(seen.keys() - {each.server for each in run.receipts})
    if others:
        expected = f"ids of servers that have a receipt in run {run.name}"
        raise LifeboatError("measured", ", ".join(others), expected, "Give what was measured by the id of the server.")
