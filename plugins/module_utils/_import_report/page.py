# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The import as one HTML page, made of the same parts as the pages of drills and migrations."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report import tables
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.judging import Verdict
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.parts import badge, beside, document, facts, figure

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.model import Machine, Receipt

_LOOKS = {
    Verdict.ANSWERED: "passed",
    Verdict.WARNED: "void",
    Verdict.WAITS: "refused",
    Verdict.FAILED: "failed",
    Verdict.LEFT: "failed",
}


def page(run: str, judged: Judged) -> str:
    """The page."""
    receipt = judged.receipt
    return document(
        f"Import {run}",
        _header(run, judged),
        _figures(judged),
        _attention(judged),
        _section("Machine and server", _facts(receipt), "environment"),
        _section("Steps", tables.steps(receipt)),
        _section("Disks", tables.disks(receipt)),
        _section("Copied while it ran", tables.rounds(receipt)),
        _section("Away", tables.away(receipt)),
        _section("Findings", tables.findings(judged)),
        _footer(),
    )


def _section(heading: str, content: Markup | None, class_: str = "overview") -> Markup | None:
    return join(element("h2", heading), element("div", content, class_=f"{class_} card")) if content else None


def _header(run: str, judged: Judged) -> Markup:
    receipt = judged.receipt
    what = f"The rehearsal of {receipt.machine.name}" if receipt.rehearsal else receipt.machine.name
    title = {
        Verdict.WAITS: f"{what} was copied while it ran",
        Verdict.FAILED: f"{what} did not answer",
        Verdict.LEFT: f"{what} did not answer",
    }.get(judged.verdict, f"{what} answered")
    return element(
        "header",
        element("p", f"lifeboat.cloud, import, {receipt.kind}, {receipt.way}, run {run}", class_="eyebrow"),
        element("h1", title),
        element("p", badge(judged.verdict.value, _LOOKS[judged.verdict]), class_="lead"),
    )


def _figures(judged: Judged) -> Markup:
    receipt, warm = judged.receipt, judged.receipt.warm
    serious, harmless = (len(judged.says(weight)) for weight in (True, False))
    copies = receipt.copies.values()
    equal = "all digests are equal" if all(copy.is_equal for copy in copies) else "a digest differs"
    return element(
        "dl",
        figure(
            "Time of all steps", figures.seconds(sum(each.seconds for each in receipt.steps)), "one after the other"
        ),
        figure(
            "Disks copied",
            figures.amount(sum(copy.size for copy in copies)) if copies else None,
            f"{len(copies)} of {len(receipt.plan.disks)}; {equal}" if copies else "none in this run",
        ),
        figure("Away", _away(receipt), "from its stop to the answer") if warm else None,
        figure("Until it answered", figures.seconds(receipt.seconds_of("answer")), "after the server was made"),
        figure(
            "Serious findings",
            element("span", str(serious), class_="failed") if serious else "0",
            f"and {harmless} harmless",
        ),
        class_="figures",
    )


def _away(receipt: Receipt) -> Markup | None:
    warm = receipt.warm
    if warm is None or (warm.offline_s is None and warm.predicted is None):
        return None
    predicted = warm.predicted.seconds if warm.predicted else None
    return beside(figures.seconds(warm.offline_s), figures.seconds(predicted), warm.slowness)


def _attention(judged: Judged) -> Markup | None:
    """Why it failed, and what somebody should look at."""
    worries = [("serious", says) for says in judged.says(serious=True)]
    if judged.receipt.failure:
        worries.insert(0, (judged.verdict.value, judged.receipt.failure))
    if not worries:
        return None
    items = [element("li", badge(word, "failed"), element("div", says)) for word, says in worries]
    return join(element("h2", "Needs attention"), element("ul", *items, class_="attention long card"))


def _facts(receipt: Receipt) -> Markup:
    plan = receipt.plan
    networks = "one of its own" if receipt.rehearsal else ", ".join(plan.networks)
    properties = ", ".join(f"{name} {value}" for name, value in receipt.properties.items())
    return facts(
        [
            ("Machine", receipt.machine.name),
            ("Described as", _described(receipt.machine)),
            ("Source", element("code", receipt.source)),
            ("Kind", f"{receipt.kind}, {receipt.way}"),
            ("Read on", receipt.host),
            ("Began", figures.moment(receipt.began)),
            ("As its manifest says", ", ".join(receipt.checksums)),
            ("Server", plan.server if plan.is_new else f"{plan.server}, made by an earlier run"),
            ("Cloud", receipt.cloud),
            ("Answered at" if receipt.answered else "Address", receipt.address),
            ("Flavor", plan.flavor),
            ("Networks", networks),
            ("Image properties", properties),
        ]
    )


def _described(machine: Machine) -> str:
    told = [
        f"{machine.vcpus} VCPUs" if machine.vcpus is not None else None,
        f"{figures.amount(machine.memory)} of memory" if machine.memory is not None else None,
        machine.firmware,
        machine.machine_type,
    ]
    return ", ".join(each for each in told if each)


def _footer() -> Markup:
    return element(
        "footer",
        element(
            "p",
            "A disk's digests are SHA-256 over the SHA-256 of its blocks, of the source as it was read and of the copy "
            "as it was read back. Away is from the stop of the machine, as far as it is known, until its server "
            "answered or, where it did not, until the machine was started again or the run gave up.",
        ),
        element(
            "p",
            "Answered: the guest was reached where it should be. Not made yet: the machine was copied while it ran and "
            "waits for a run that goes on. Failed: it did not answer, and what was made went again. Failed, left "
            "things: somebody has to see to what is still there. Serious is what somebody has to look at. The same "
            "figures are in the receipt beside this page.",
        ),
    )
