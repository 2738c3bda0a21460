# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The page of a run beside its receipts: what it should be, and writing it when it differs."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.page import page
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run, read_seen
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.summary import summary_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.files import content_of, replace

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Run, Seen
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.summary import Summary

# Nothing that would lead out of the directory.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Report:
    """A run that was judged, and its page as it should be; ``before`` is what is there, None when nothing is."""

    run: Run
    judged: Sequence[Judged]
    summary: Summary
    path: Path
    content: str
    before: str | None

    @property
    def changed(self) -> bool:
        """Whether the page has to be written."""
        return self.content != self.before

    def write(self) -> None:
        """Put the page where it belongs."""
        try:
            replace(self.path, self.content)
        except OSError as error:
            expected = "a place that can be written"
            raise LifeboatError(str(self.path), str(error.strerror), expected, "See to its rights and room.") from error


def report_of(directory: Path, run: str, measured: Mapping[str, object], downtime_limit_s: float | None) -> Report:
    """The report of the run's receipts."""
    if not _NAME.fullmatch(run):
        expected = "the name of a file of receipts without .json"
        raise LifeboatError("run", repr(run), expected, "Use one such as 2026-11-22T13-42-05Z.")
    read = read_run(directory / f"{run}.json")
    seen = read_seen(measured)
    _refuse_others(read, seen)
    judged = judge(read, seen, downtime_limit_s)
    summary = summary_of(read, judged)
    path = directory / f"{run}.html"
    return Report(read, judged, summary, path, page(read, judged, summary), content_of(path))


def _refuse_others(run: Run, seen: Mapping[str, Seen]) -> None:
    others = sorted(seen.keys() - {each.server for each in run.receipts})
    if others:
        expected = f"ids of servers that have a receipt in run {run.name}"
        raise LifeboatError("measured", ", ".join(others), expected, "Give what was measured by the id of the server.")
