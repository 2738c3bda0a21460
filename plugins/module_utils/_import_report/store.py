# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The page of an import beside its receipt."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.judging import judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.page import page
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.reading import read_receipt
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.beside import Page, receipts_of

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._import_report.judging import Judged


@dataclass(frozen=True, slots=True)
class Report:
    """An import that was judged, and its page."""

    judged: Judged
    page: Page


def report_of(directory: Path, run: str, offline_limit_s: float | None) -> Report:
    """The report of the run's receipt."""
    receipt = receipts_of(directory, run)
    judged = judge(read_receipt(receipt), offline_limit_s)
    return Report(judged, Page.beside(receipt, page(run, judged)))
