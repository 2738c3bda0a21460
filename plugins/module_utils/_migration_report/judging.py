# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What is to be thought of each migration: a verdict, and findings that are told apart by what they mean.

A finding is harmless where the server is where and as it should be, and serious where somebody has to look. Why, stands
beside each rule. A warning that no rule knows is serious, since nobody has said that it is not.
"""

from __future__ import annotations

import enum
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report import measures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.findings import Finding

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.model import Receipt, Run, Seen

# Measured against predicted time from which a migration is called slow.
_SLOW = 2.0
# What a server is when nothing is done with it, by the kind of its migration.
_SETTLED = {
    "live": frozenset({"ACTIVE", "PAUSED"}),
    "cold": frozenset({"ACTIVE", "SHUTOFF"}),
    "evacuation": frozenset({"ACTIVE", "SHUTOFF"}),
}


class Verdict(enum.StrEnum):
    """What became of a server."""

    MOVED = "moved"
    WARNED = "moved with warnings"
    NOT_MOVED = "not moved"
    STAYED = "stayed"


@dataclass(frozen=True, slots=True)
class Case:
    """A receipt with what was measured. ``downtime_limit_s`` is what a live migration may cost, None if any."""

    receipt: Receipt
    sent: measures.Sent | None
    downtimes: tuple[measures.Downtime, ...]
    same_boot: bool | None
    downtime_limit_s: float | None

    @property
    def promised_s(self) -> float | None:
        """What it may cost, or what the plan told where that is more: to what is allowed it adds the switching over."""
        limit = self.downtime_limit_s
        return None if limit is None else max(limit, self.receipt.planned.downtime_s or 0.0)

    @property
    def downtime_s(self) -> float | None:
        """By the method that is nearest to a user."""
        return self.downtimes[0].seconds if self.downtimes else None

    @property
    def slowness(self) -> float | None:
        """Seconds against those predicted."""
        return measures.ratio(self.receipt.seconds, self.receipt.planned.total_s)

    @property
    def last_status(self) -> str:
        """The server's status at the end, as far as it was watched."""
        return self.receipt.timeline[-1].server if self.receipt.timeline else ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A case and what is thought of it."""

    case: Case
    verdict: Verdict
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """``find`` says what is odd about a case, empty when nothing is."""

    serious: bool
    why: str
    find: Callable[[Case], str]


def _in_error(case: Case) -> str:
    return "the server ended in ERROR" if case.last_status == "ERROR" else ""


def _unconfirmed(case: Case) -> str:
    return "the server waits to be confirmed or reverted" if case.last_status == "VERIFY_RESIZE" else ""


def _other_status(case: Case) -> str:
    if case.last_status in {"", "ERROR", "VERIFY_RESIZE"}:
        return ""
    expected = _expected(case.receipt)
    wanted = " or ".join(sorted(expected))
    return "" if case.last_status in expected else f"the server ended {case.last_status}, {wanted} was expected"


def _expected(receipt: Receipt) -> frozenset[str]:
    settled = _SETTLED.get(receipt.kind, frozenset())
    if receipt.kind == "cold" and receipt.planned.stops_server is not None:
        return frozenset({"ACTIVE" if receipt.planned.stops_server else "SHUTOFF"})
    first = receipt.timeline[0].server
    return frozenset({first}) if first in settled else settled


def _still_there(case: Case) -> str:
    receipt = case.receipt
    return f"{receipt.source} still holds it" if receipt.moved and receipt.destination == receipt.source else ""


def _failed_phase(case: Case) -> str:
    failed = [each.name for each in case.receipt.phases if each.result == "Error"]
    return f"failed on the way: {', '.join(failed)}" if case.receipt.moved and failed else ""


def _stood_too_long(case: Case) -> str:
    limit, seen = case.promised_s, case.downtime_s
    if case.receipt.kind != "live" or limit is None or seen is None or seen <= limit:
        return ""
    return (
        f"stood still for {figures.seconds(seen)} by {case.downtimes[0].method}, {figures.seconds(limit)} are allowed"
    )


def _booted(case: Case) -> str:
    return "it was booted anew" if case.receipt.kind == "live" and case.same_boot is False else ""


def _slow(case: Case) -> str:
    slowness = case.slowness
    if not case.receipt.moved or slowness is None or slowness <= _SLOW:
        return ""
    return f"took {slowness:.1f} times the predicted {figures.seconds(case.receipt.planned.total_s)}"


RULES = (
    Rule(True, "It does not run: its owner is without it until it is repaired.", _in_error),
    Rule(True, "It has room on two hosts, and nothing else can be done with it, until somebody decides.", _unconfirmed),
    Rule(True, "Somebody or something else has changed it meanwhile, or the migration has.", _other_status),
    Rule(True, "It is called moved, yet a host that is to be emptied is not empty.", _still_there),
    Rule(True, "What Nova could not do, such as binding its ports, may be missing on the destination.", _failed_phase),
    Rule(True, "Its users have waited longer than was promised.", _stood_too_long),
    Rule(True, "A live migration must not lose what is in a server's memory.", _booted),
    Rule(False, "It has arrived; what it taught is in the next prediction.", _slow),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A warning of the modules or of Ansible that means no harm."""

    pattern: re.Pattern[str]
    why: str


KNOWN = (
    Known(
        re.compile(r"Nova's record of migration \d+ says \w+, yet .* has arrived"),
        "The server is what counts: Nova closes a record wrongly when an earlier migration of the server has failed.",
    ),
    Known(re.compile(r"discovered Python interpreter"), "It concerns the control node, not the server."),
)


def judge(run: Run, seen: Mapping[str, Seen], downtime_limit_s: float | None) -> tuple[Judged, ...]:
    """Every receipt of the run, in its order. What clients saw belongs to the last migration of a server."""
    last = {receipt.server: index for index, receipt in enumerate(run.receipts)}
    return tuple(
        _judged(receipt, seen.get(receipt.server) if last[receipt.server] == index else None, downtime_limit_s)
        for index, receipt in enumerate(run.receipts)
    )


def _judged(receipt: Receipt, seen: Seen | None, downtime_limit_s: float | None) -> Judged:
    case = Case(
        receipt=receipt,
        sent=measures.sent(receipt),
        downtimes=measures.downtimes(receipt, seen),
        same_boot=seen.same_boot if seen else None,
        downtime_limit_s=downtime_limit_s,
    )
    findings = tuple(_findings(case))
    moved = Verdict.WARNED if findings else Verdict.MOVED
    return Judged(case, moved if receipt.moved else Verdict.NOT_MOVED, findings)


def _findings(case: Case) -> Iterator[Finding]:
    for rule in RULES:
        if says := rule.find(case):
            yield Finding(says, rule.why, rule.serious)
    for warning in case.receipt.warnings:
        known = next((each for each in KNOWN if each.pattern.search(warning)), None)
        why = known.why if known else "Nobody knows it to be harmless."
        yield Finding(warning.removesuffix("."), why, serious=known is None)
