# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The tables of the page; None where there is nothing to put into one."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report import figures
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.findings import weight
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.markup import Content, Markup, element, join
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.parts import line, table

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.judging import Judged
    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.model import Copy, Disk, Receipt, Step


def steps(receipt: Receipt) -> Markup | None:
    """What was done, one after the other."""
    if not receipt.steps:
        return None
    rows = [[join(each.name, _within(receipt, each)), figures.seconds(each.seconds)] for each in receipt.steps]
    return table(("Step", "Took"), rows, numbers=(1,))


def _within(receipt: Receipt, step: Step) -> Markup | None:
    if step.name != "server" or not receipt.server_s:
        return None
    ends = sorted(receipt.server_s.items(), key=lambda pair: pair[1])
    return line(f"done after: {', '.join(f'{name} {figures.seconds(after)}' for name, after in ends)}")


def disks(receipt: Receipt) -> Markup | None:
    """Each disk with its copy."""
    if not receipt.plan.disks:
        return None
    heads = ("Disk", "Becomes", "Size", "Read", "Written", "Copied in", "Uploaded in", "Digests")
    return table(heads, [_disk(receipt, each) for each in receipt.plan.disks], numbers=(2, 3, 4, 5, 6))


def _disk(receipt: Receipt, disk: Disk) -> list[Content]:
    copy = receipt.copies.get(disk.name)
    image = f"image {disk.image}" if disk.image is not None else "an empty disk"
    becomes = join(image, line(f"volume {disk.volume}" if disk.volume is not None else "boots"))
    if copy is None:
        missing = "not copied in this run" if disk.image is not None else figures.NOTHING
        return [disk.name, becomes, *[figures.NOTHING] * 5, missing]
    return [
        disk.name,
        becomes,
        figures.amount(copy.size),
        figures.amount(copy.read),
        join(figures.amount(copy.written), _resumed(copy)),
        figures.seconds(copy.seconds),
        figures.seconds(receipt.seconds_of(f"upload {disk.name}")),
        _digests(copy),
    ]


def _resumed(copy: Copy) -> Markup | None:
    return line(f"{figures.amount(copy.resumed)} were there") if copy.resumed else None


def _digests(copy: Copy) -> Markup:
    if copy.is_equal:
        return join("equal", line(element("code", copy.source_digest)))
    sides = (("source", copy.source_digest), ("copy", copy.destination_digest))
    return join(
        element("span", "different", class_="alarm"),
        *(line(join(f"{side} ", element("code", digest))) for side, digest in sides),
    )


def rounds(receipt: Receipt) -> Markup | None:
    """The rounds of a machine that was copied while it ran."""
    if receipt.warm is None or not receipt.warm.rounds:
        return None
    rows = [
        [str(number), figures.amount(each.read), figures.amount(each.written), figures.seconds(each.seconds)]
        for number, each in enumerate(receipt.warm.rounds, 1)
    ]
    return table(("Round", "Read", "Written", "Took"), rows, numbers=(0, 1, 2, 3))


def away(receipt: Receipt) -> Markup | None:
    """What was done while the machine was away, beside what was predicted."""
    warm = receipt.warm
    if warm is None or (warm.predicted is None and warm.stop is None):
        return None
    parts = warm.predicted.parts if warm.predicted else ()
    rows: list[list[Content]] = [
        [each.step, figures.seconds(receipt.seconds_of(each.step)), figures.seconds(each.seconds), each.known]
        for each in parts
    ]
    stopped = f"off since {figures.moment(warm.stop.since)}, known from {warm.stop.by}" if warm.stop else "not stopped"
    predicted = warm.predicted.seconds if warm.predicted else None
    share = f"{figures.percent(warm.slowness)} of the prediction" if warm.slowness is not None else None
    whole = element("b", "all")
    rows.append([join(whole, line(stopped)), figures.seconds(warm.offline_s), figures.seconds(predicted), share])
    return table(("Part", "Took", "Predicted", "Known from"), rows, numbers=(1, 2))


def findings(judged: Judged) -> Markup | None:
    """What was odd, the serious first."""
    if not judged.findings:
        return None
    ordered = sorted(judged.findings, key=lambda each: not each.serious)
    return table(("Weight", "Finding", "Why"), [[weight(each), each.says, each.why] for each in ordered])
