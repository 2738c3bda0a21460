# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The JSON edge of the runner: status.json while it runs, results.json when it has ended.

status.json::

    {pid, at, state: running|stopping|finished, runner: {cpu_s, max_rss_mib},
     probes: {NAME: {requests, successes, last_success, last_error, current_outage_s}}}

results.json: a list, one entry for each probe (a message ledger has a second one, NAME_consume)::

    {name, kind, period_s, slo_s, started_at, stopped_at, requests, failed, slow,
     longest_outage_s, longest_outage_lower_s, total_outage_s, uncertainty_s,
     lateness_ms: {p50, p99, max}, latency_ms: {p50, p95, p99, p999, max},
     outages: [{start, lower_s, upper_s, requests, reason}], errors: {reason: count},
     series: [[start of the bin, successes, errors, worst latency in ms]]}
    and for ledgers: acknowledged, refused, unknown, lost, unexpected, duplicated, lost_examples

Moments (``at``, ``last_success``, ``started_at``, ``stopped_at``, ``start``) are seconds since 1970; keys that end
in ``_s`` are seconds, in ``_ms`` milliseconds. ``longest_outage_s`` and ``total_outage_s`` are upper bounds.
``lost``, ``unexpected`` and ``duplicated`` are null when the ledger could not be read back. Of a guest's ledger
``lost`` are answers whose counter went back, ``unexpected`` is how often it booted meanwhile.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._outage import Analysis, Outage, analyse

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import Probe
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import Balance
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.series import Clock, Series

Json = dict[str, t.Any]
MAX_OUTAGES = 1000


def write_json(path: Path, value: t.Any) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(value, separators=(",", ":")))
    beside.replace(path)


def runner_use() -> Json:
    """What this program has used so far: {cpu_s, max_rss_mib}."""
    # getrusage would tell the peak of the parent too: the kernel keeps it across exec.
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)
    return {"cpu_s": round(time.process_time(), 3), "max_rss_mib": round(peak / 1024, 1)}


def status_json(state: str, series: Mapping[str, Series], clock: Clock, probed_until: float) -> Json:
    """What status.json holds; outages are counted up to ``probed_until`` of the monotonic clock."""
    probes = {name: _probe_status(one, clock, probed_until) for name, one in series.items()}
    return {
        "pid": os.getpid(),
        "at": clock.wall(time.monotonic()),
        "state": state,
        "runner": runner_use(),
        "probes": probes,
    }


def _probe_status(series: Series, clock: Clock, now: float) -> Json:
    return {
        "requests": len(series),
        "successes": series.successes,
        "last_success": None if series.last_success is None else clock.wall(series.last_success),
        "last_error": series.last_error,
        "current_outage_s": round(series.current_outage(now), 3),
    }


def result_json(
    name: str, probe: Probe, series: Series, clock: Clock, *, span: tuple[float, float], balance: Balance | None
) -> Json:
    """One entry of results.json; ``span`` is the first and the last moment of probing."""
    analysis = analyse(series.samples(), series.slo, series.period)
    result: Json = {
        "name": name,
        "kind": probe.kind,
        "period_s": series.period,
        "slo_s": series.slo,
        "started_at": clock.wall(span[0]),
        "stopped_at": clock.wall(span[1]),
        **_analysis_json(analysis, clock),
        "errors": dict(series.errors),
        "series": [
            [round(clock.wall(one.start), 3), one.ok, one.failed, _milliseconds(one.worst_latency)]
            for one in series.bins()
        ],
    }
    return result if balance is None else {**result, **_balance_json(balance)}


def _analysis_json(analysis: Analysis, clock: Clock) -> Json:
    lateness, latency, longest = analysis.lateness, analysis.latency, analysis.longest
    return {
        "requests": analysis.requests,
        "failed": analysis.failed,
        "slow": analysis.slow,
        "longest_outage_s": _seconds(longest.upper if longest else 0.0),
        "longest_outage_lower_s": _seconds(longest.lower if longest else 0.0),
        "total_outage_s": _seconds(analysis.total_outage),
        "uncertainty_s": _seconds(analysis.uncertainty),
        "lateness_ms": {key: _milliseconds(getattr(lateness, key)) for key in ("p50", "p99", "max")},
        "latency_ms": {key: _milliseconds(getattr(latency, key)) for key in ("p50", "p95", "p99", "p999", "max")},
        "outages": [_outage_json(outage, clock) for outage in _worst(analysis.outages)],
    }


def _worst(outages: tuple[Outage, ...]) -> list[Outage]:
    """All outages, or the longest thousand of them, in order of time."""
    if len(outages) <= MAX_OUTAGES:
        return list(outages)
    longest = sorted(outages, key=lambda outage: outage.upper, reverse=True)[:MAX_OUTAGES]
    return sorted(longest, key=lambda outage: outage.started)


def _outage_json(outage: Outage, clock: Clock) -> Json:
    return {
        "start": clock.wall(outage.started),
        "lower_s": _seconds(outage.lower),
        "upper_s": _seconds(outage.upper),
        "requests": outage.requests,
        "reason": outage.reason,
    }


def _balance_json(balance: Balance) -> Json:
    return {
        "acknowledged": balance.acknowledged,
        "refused": balance.refused,
        "unknown": balance.unknown,
        "lost": balance.lost,
        "unexpected": balance.unexpected,
        "duplicated": balance.duplicated,
        "lost_examples": list(balance.lost_examples),
    }


def _seconds(value: float) -> float:
    return round(value, 6)


def _milliseconds(value: float) -> float:
    return round(value * 1000, 3)
