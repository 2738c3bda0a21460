# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is to be thought of an import: a verdict, and findings that are told apart by what they mean.

A finding is harmless where the guest is as it should be, and serious where somebody has to look. Why, stands beside it.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.findings import Finding

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.model import Loss, Receipt

# Measured against predicted time from which a machine is called slow to come back.
_SLOW = 2.0


class Verdict(enum.StrEnum):
    """What became of a machine."""

    ANSWERED = "answered"
    WARNED = "answered with warnings"
    WAITS = "not made yet"
    FAILED = "failed"
    LEFT = "failed, left things"


@dataclass(frozen=True, slots=True)
class Case:
    """A receipt, and for how many seconds its machine may be away, None for any."""

    receipt: Receipt
    offline_limit_s: float | None


@dataclass(frozen=True, slots=True)
class Rule:
    """``find`` says what is odd about a case, empty when nothing is."""

    serious: bool
    why: str
    find: Callable[[Case], str]


def _left(case: Case) -> str:
    return "what was made could not be taken away" if case.receipt.failure and case.receipt.is_left else ""


def _kept_broken(case: Case) -> str:
    receipt = case.receipt
    kept = receipt.failure and receipt.plan.is_new and receipt.is_kept
    return "what was made was kept (machine_import_keep)" if kept else ""


def _silent(case: Case) -> str:
    failed = case.receipt.failure and not case.receipt.plan.is_new
    return "the server of an earlier run was left as it is" if failed else ""


def _source_off(case: Case) -> str:
    receipt = case.receipt
    is_off = receipt.failure and receipt.warm and receipt.warm.stop and not receipt.is_started_again
    return "the source was stopped and not started again" if is_off else ""


def _unequal(case: Case) -> str:
    names = [name for name, copy in case.receipt.copies.items() if not copy.is_equal]
    return f"the copy has another digest than its source: {', '.join(names)}" if names else ""


def _away_too_long(case: Case) -> str:
    limit, away = case.offline_limit_s, case.receipt.warm.offline_s if case.receipt.warm else None
    if limit is None or away is None or away <= limit:
        return ""
    return f"was away for {figures.seconds(away)}, {figures.seconds(limit)} are allowed"


def _slow(case: Case) -> str:
    warm = case.receipt.warm
    if not case.receipt.answered or not warm or not warm.predicted or (warm.slowness or 0.0) <= _SLOW:
        return ""
    return f"was away {warm.slowness:.1f} times the predicted {figures.seconds(warm.predicted.seconds)}"


def _kept_rehearsal(case: Case) -> str:
    kept = case.receipt.answered and case.receipt.rehearsal and case.receipt.is_kept
    return "the server of the rehearsal was kept (machine_import_keep)" if kept else ""


RULES = (
    Rule(True, "Its server may run, and the source must not run beside it.", _left),
    Rule(True, "Somebody wants to look at it, and has to remove it before this is run again.", _kept_broken),
    Rule(True, "Nobody but its users can tell whether it is needed, and it was not seen to answer.", _silent),
    Rule(True, "Its users have neither the machine nor a server that was seen to answer.", _source_off),
    Rule(True, "The guest would read what it has not written.", _unequal),
    Rule(True, "Its users have waited longer than was promised.", _away_too_long),
    Rule(False, "It has answered; what it taught is in the next prediction.", _slow),
    Rule(False, "It is in a network of its own, and goes when somebody removes it.", _kept_rehearsal),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """A receipt and what is thought of it."""

    receipt: Receipt
    verdict: Verdict
    findings: tuple[Finding, ...]

    def says(self, serious: bool) -> list[str]:
        """The findings of that weight."""
        return [finding.says for finding in self.findings if finding.serious is serious]


def judge(receipt: Receipt, offline_limit_s: float | None) -> Judged:
    """The receipt, judged."""
    findings = tuple(_findings(Case(receipt, offline_limit_s)))
    return Judged(receipt, _verdict(receipt, any(finding.serious for finding in findings)), findings)


def _verdict(receipt: Receipt, is_serious: bool) -> Verdict:
    if receipt.failure:
        is_clean = receipt.plan.is_new and not receipt.is_left and not receipt.is_kept
        return Verdict.FAILED if is_clean else Verdict.LEFT
    if not receipt.answered:
        return Verdict.WAITS
    return Verdict.WARNED if is_serious else Verdict.ANSWERED


def _findings(case: Case) -> Iterator[Finding]:
    for rule in RULES:
        if says := rule.find(case):
            yield Finding(says, rule.why, rule.serious)
    yield from map(_of_loss, case.receipt.losses)


def _of_loss(loss: Loss) -> Finding:
    # An import with a serious loss is refused, unless somebody says that it is not.
    accepted = "The guest may not start, or lacks something, which somebody has accepted."
    why = accepted if loss.serious else "The guest starts all the same."
    return Finding(loss.says.removesuffix("."), why, loss.serious)
