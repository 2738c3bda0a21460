# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The figures of a whole run."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_receipts import EVACUATION
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.measures import ratio

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Run


@dataclass(frozen=True, slots=True)
class Summary:
    """How many migrations ended how, and how that compares with the plan; None is what is not known.

    ``bytes`` are at least so many. ``elapsed_s`` is from the first request of the run to the last end, ``ratio`` that
    against ``predicted_s``, ``prediction_error`` the median error of the predicted seconds as a share of the measured.
    """

    moved: int
    moved_with_warnings: int
    not_moved: int
    stayed: int
    serious: int
    harmless: int
    bytes: int
    elapsed_s: float | None
    predicted_s: float | None
    lower_bound_s: float | None
    ratio: float | None
    longest_downtime_s: float | None
    prediction_error: float | None

    def counts(self) -> dict[Verdict, int]:
        """By verdict."""
        return dict(zip(Verdict, (self.moved, self.moved_with_warnings, self.not_moved, self.stayed), strict=True))

    def json(self) -> dict[str, t.Any]:
        """As plain values."""
        return dataclasses.asdict(self)


def summary_of(run: Run, judged: Sequence[Judged]) -> Summary:
    """The summary of a run whose receipts were judged."""
    verdicts = Counter(each.verdict for each in judged)
    weights = Counter(finding.serious for each in judged for finding in each.findings)
    elapsed = elapsed_s(run)
    return Summary(
        moved=verdicts[Verdict.MOVED],
        moved_with_warnings=verdicts[Verdict.WARNED],
        not_moved=verdicts[Verdict.NOT_MOVED],
        stayed=len(run.stayed),
        serious=weights[True],
        harmless=weights[False],
        bytes=round(sum(each.case.sent.bytes for each in judged if each.case.sent)),
        elapsed_s=_rounded(elapsed),
        predicted_s=run.forecast.total_s,
        lower_bound_s=run.forecast.lower_bound_s,
        ratio=_rounded(ratio(elapsed, run.forecast.total_s)),
        longest_downtime_s=_rounded(
            max((each.case.downtime_s for each in judged if each.case.downtime_s is not None), default=None)
        ),
        prediction_error=_rounded(_error(judged)),
    )


def elapsed_s(run: Run) -> float | None:
    """From the first request to the last end of what the run began itself; None when a beginning is not known."""
    if any(each.begins is None and each.seconds is not None for each in run.receipts):
        return None
    known = [(each.begins, each.seconds or 0.0) for each in run.receipts if each.begins is not None]
    # What was under way before the run is not in its plan.
    own = [(begins, seconds) for begins, seconds in known if run.began is None or begins >= run.began]
    ends = [begins + seconds for begins, seconds in own]
    return max(ends) - min(begins for begins, _seconds in own) if own else None


def _error(judged: Sequence[Judged]) -> float | None:
    """Of those that were moved, and not at once, since such were there already.

    Of a server of a dead host no states are seen.
    """
    errors = [
        abs(total - seconds) / seconds
        for each in judged
        for total, seconds in [(each.case.receipt.planned.total_s, each.case.receipt.seconds)]
        if each.case.receipt.moved and total is not None and seconds
        if each.case.receipt.timeline or each.case.receipt.kind == EVACUATION
    ]
    return statistics.median(errors) if errors else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
