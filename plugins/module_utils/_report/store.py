# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The files of a run: what they are, what they should be, and writing those that differ, each atomically.

DIRECTORY/RUN/{report.json,report.html,junit.xml,metrics.prom}, DIRECTORY/history.jsonl, DIRECTORY/latest -> RUN
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.files import content_of, replace
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.history import (
    earlier,
    figures_of,
    read_history,
    with_figures,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.junit import junit_xml
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.metrics import metrics_text
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Report
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.page import report_page

SCHEMA_VERSION = 1
Document = dict[str, t.Any]

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NUMBER = r"(?:-?\d[\d.eE+-]*|null)"
_ROW = re.compile(rf"\[\n\s+({_NUMBER}(?:,\n\s+{_NUMBER})*)\n\s+\]")


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """Where the files of one run are."""

    report: Path
    html: Path
    junit: Path
    metrics: Path
    history: Path
    latest: Path


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """A drill and the JSON object it was read from, which is what the report keeps."""

    drill: Drill
    document: Document


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The report as it should be, the files whose content must change for that, and the drill's entry before."""

    paths: Paths
    report: Report
    stale: tuple[tuple[Path, str], ...]
    link_to: str | None
    before: Document | None

    @property
    def changes(self) -> tuple[Path, ...]:
        """The paths that would change."""
        return (*(path for path, _content in self.stale), *([self.paths.latest] if self.link_to else []))


def plan_entry(directory: Path, run: str, document: Document, environment: Document) -> Plan:
    """What has to change so that the run's report has the drill ``document`` and the facts of ``environment``."""
    paths = _paths(directory, run)
    entry = Recorded(read_drill("entry", document), document)
    facts, recorded = _read_report(paths.report)
    others = [old for old in recorded if old.drill.name != entry.drill.name]
    drills = sorted([*others, entry], key=lambda one: (one.drill.started_at, one.drill.name))
    report = Report(run, facts | environment, tuple(one.drill for one in drills))
    history = with_figures(read_history(content_of(paths.history) or ""), figures_of(run, entry.drill))
    trends = {drill.name: earlier(history, run, drill) for drill in report.drills}
    wanted = (
        (paths.report, _report_json(report, [one.document for one in drills])),
        (paths.history, "".join(f"{line.text}\n" for line in history)),
        (paths.html, report_page(report, trends)),
        (paths.junit, junit_xml(report)),
        (paths.metrics, metrics_text(report)),
    )
    return Plan(
        paths=paths,
        report=report,
        stale=tuple((path, content) for path, content in wanted if content_of(path) != content),
        link_to=_link_to(paths.latest, run),
        before=next((old.document for old in recorded if old.drill.name == entry.drill.name), None),
    )


def carry_out(plan: Plan) -> None:
    """Write what the plan found stale."""
    try:
        plan.paths.report.parent.mkdir(parents=True, exist_ok=True)
        for path, content in plan.stale:
            replace(path, content)
        if plan.link_to:
            _link(plan.paths.latest, plan.link_to)
    except OSError as error:
        place = str(error.filename or plan.paths.report.parent)
        raise LifeboatError(
            place, str(error.strerror), "a place that can be written", "Choose another directory."
        ) from error


def _paths(directory: Path, run: str) -> Paths:
    if not _RUN.fullmatch(run) or run == "latest":
        raise LifeboatError(
            "run", repr(run), "letters, digits, '.', '_' and '-', and not 'latest'", "Use one such as 20261121T101500Z."
        )
    place = directory / run
    return Paths(
        report=place / "report.json",
        html=place / "report.html",
        junit=place / "junit.xml",
        metrics=place / "metrics.prom",
        history=directory / "history.jsonl",
        latest=directory / "latest",
    )


def _read_report(path: Path) -> tuple[Document, list[Recorded]]:
    """The environment and the drills of an existing report; both empty when there is none yet."""
    text = content_of(path)
    if text is None:
        return {}, []
    try:
        document = json.loads(text)
        version, environment, drills = (document[key] for key in ("schema_version", "environment", "drills"))
    except (ValueError, KeyError, TypeError) as error:
        raise LifeboatError(
            str(path), f"{error!r}", "a drill report", "Move the file away or use another run."
        ) from error
    if version != SCHEMA_VERSION:
        raise LifeboatError(
            str(path),
            f"schema version {version}",
            f"schema version {SCHEMA_VERSION}",
            "Use another run; reports are not converted.",
        )
    return environment, [
        Recorded(read_drill(f"{path}: drills[{index}]", drill), drill) for index, drill in enumerate(drills)
    ]


def _report_json(report: Report, drills: list[Document]) -> str:
    document = {
        "schema_version": SCHEMA_VERSION,
        "run": report.run,
        "started_at": report.started_at,
        "finished_at": report.finished_at,
        "environment": report.environment,
        "summary": report.summary,
        "drills": drills,
    }
    spread = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # A row of numbers belongs on one line; texts are safe, for JSON escapes their line breaks.
    return _ROW.sub(lambda row: f"[{' '.join(row[1].split())}]", spread) + "\n"


def _link_to(latest: Path, run: str) -> str | None:
    """``run`` when ``latest`` does not lead there yet."""
    if latest.is_symlink():
        return None if os.readlink(latest) == run else run
    if latest.exists():
        raise LifeboatError(str(latest), "a file or directory", "a symbolic link or nothing", "Move it away.")
    return run


def _link(latest: Path, run: str) -> None:
    with tempfile.TemporaryDirectory(dir=latest.parent, prefix=".latest.") as place:
        link = Path(place) / "latest"
        link.symlink_to(run)
        os.replace(link, latest)
