# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The report in the Prometheus text exposition format, version 0.0.4, for the node exporter's textfile collector."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._report.model import Drill, Report, Verdict

Sample: t.TypeAlias = "tuple[t.Mapping[str, str], float | None]"


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """A gauge: its name, what it says, and its samples of a report; a sample without value is left out."""

    name: str
    says: str
    samples: t.Callable[[Report], t.Iterable[Sample]]


def metrics_text(report: Report) -> str:
    """The exposition of the report; a metric without a sample is left out."""
    return "".join(_exposition(metric, report) for metric in _METRICS)


def _exposition(metric: Metric, report: Report) -> str:
    lines = [
        f"{metric.name}{_labels(labels)} {value!r}\n" for labels, value in metric.samples(report) if value is not None
    ]
    if not lines:
        return ""
    return f"# HELP {metric.name} {metric.says}\n# TYPE {metric.name} gauge\n" + "".join(lines)


def _labels(labels: t.Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _of_probes(figure: str) -> t.Callable[[Report], t.Iterable[Sample]]:
    def samples(report: Report) -> t.Iterator[Sample]:
        for drill in report.drills:
            for probe in drill.probes:
                yield {"drill": drill.name, "probe": probe.name}, getattr(probe, figure)

    return samples


def _of_drills(figure: t.Callable[[Drill], float | None]) -> t.Callable[[Report], t.Iterable[Sample]]:
    return lambda report: (({"drill": drill.name}, figure(drill)) for drill in report.drills)


def _limits(report: Report) -> t.Iterator[Sample]:
    for drill in report.drills:
        for edge, value in zip(("min", "max"), drill.limit or (), strict=False):
            yield {"drill": drill.name, "edge": edge}, value


def _verdicts(report: Report) -> t.Iterator[Sample]:
    for drill in report.drills:
        for verdict in Verdict:
            yield {"drill": drill.name, "verdict": verdict.value}, int(drill.verdict is verdict)


def _lost_writes(report: Report) -> t.Iterator[Sample]:
    for drill in report.drills:
        for probe in drill.probes:
            if probe.ledger:
                yield {"drill": drill.name, "probe": probe.name}, probe.ledger.lost


_METRICS = (
    Metric(
        "lifeboat_drill_outage_seconds", "Longest outage that the probe saw, upper end.", _of_probes("longest_outage")
    ),
    Metric(
        "lifeboat_drill_outage_lower_seconds",
        "Longest outage that the probe saw, lower end.",
        _of_probes("longest_outage_lower"),
    ),
    Metric("lifeboat_drill_bound_seconds", "Longest outage that the drill accepts.", _of_probes("bound")),
    Metric("lifeboat_drill_requests", "Requests that the probe sent.", _of_probes("requests")),
    Metric("lifeboat_drill_failed_requests", "Requests that failed.", _of_probes("failed")),
    Metric("lifeboat_drill_lost_writes", "Acknowledged writes that were lost.", _lost_writes),
    Metric("lifeboat_drill_limit_seconds", "Outage that the protocol allows with the settings in force.", _limits),
    Metric(
        "lifeboat_drill_recovery_seconds", "From healing to steady state.", _of_drills(lambda drill: drill.recovery)
    ),
    Metric("lifeboat_drill_verdict", "1 for the verdict of the drill, 0 for the others.", _verdicts),
    Metric(
        "lifeboat_drill_finished_timestamp_seconds",
        "When the drill was judged.",
        _of_drills(lambda drill: drill.finished_at),
    ),
    Metric("lifeboat_drill_run_timestamp_seconds", "When the run finished.", lambda report: [({}, report.finished_at)]),
    Metric("lifeboat_drill_run_info", "The run that these figures are of.", lambda report: [({"run": report.run}, 1)]),
)
