# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of outages: the true outage lies between the bounds, whatever the service did."""

from __future__ import annotations

import math
import random

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._outage import (
    STALL,
    Sample,
    analyse,
    is_good,
    percentile,
    percentiles,
)
from hypothesis import given
from hypothesis import strategies as st

TOLERANCE = 1e-9
PERIODS = st.sampled_from([0.01, 0.02, 0.05, 0.1])


def schedule(period: float, length: float, jitter: float, seed: int) -> list[tuple[float, float]]:
    """(scheduled, started) of each request; never started early, and in order."""
    chance = random.Random(seed)
    return [(n * period, n * period + chance.random() * jitter) for n in range(int(length / period))]


def refused(
    times: list[tuple[float, float]], down: tuple[float, float], latencies: list[float], point: float
) -> list[Sample]:
    """Errors for what reaches the server in the window; a request meets it at ``point`` of its way."""
    samples = []
    for (scheduled, started), latency in zip(times, latencies, strict=True):
        ok = not down[0] <= started + point * latency < down[1]
        samples.append(Sample(scheduled, started, started + latency, ok, "" if ok else "refused"))
    return samples


def silent(times: list[tuple[float, float]], down: tuple[float, float], service: float, timeout: float) -> list[Sample]:
    """A server frozen in the window, which then finishes what it had begun; clients give up at ``timeout``."""
    samples = []
    for scheduled, started in times:
        finished = started + service
        if started < down[1] and finished > down[0]:
            finished = down[1] + service - max(0.0, down[0] - started)
        ok = finished - started <= timeout
        samples.append(Sample(scheduled, started, finished if ok else started + timeout, ok, "" if ok else "timeout"))
    return samples


@given(
    period=PERIODS,
    start=st.floats(1.0, 2.0),
    length=st.floats(0.0, 3.0),
    latency=st.floats(0.0, 0.09),
    point=st.floats(0.0, 1.0),
    jitter=st.floats(0.0, 0.9),
    seed=st.integers(0, 1000),
)
def test_bounds_hold_for_errors(
    period: float, start: float, length: float, latency: float, point: float, jitter: float, seed: int
) -> None:
    times = schedule(period, 7.0, jitter * period * 0.5, seed)
    # Requests stay in order: jitter and latency together vary by less than a period.
    chance = random.Random(seed + 1)
    latencies = [latency + chance.random() * 0.45 * period for _time in times]
    result = analyse(refused(times, (start, start + length), latencies, point), slo=0.2, period=period)
    if result.longest is None:
        assert length <= 2 * period
        return
    assert len(result.outages) == 1
    assert result.longest.lower - TOLERANCE <= length <= result.longest.upper + TOLERANCE
    assert result.uncertainty <= 5 * period + latency + TOLERANCE


@given(
    period=PERIODS,
    start=st.floats(1.0, 2.0),
    length=st.floats(0.0, 3.0),
    service=st.floats(0.0, 0.05),
    slo=st.sampled_from([0.1, 0.3]),
    timeout=st.sampled_from([0.5, 1.0, 5.0]),
    jitter=st.floats(0.0, 0.9),
    seed=st.integers(0, 1000),
)
def test_bounds_hold_for_silence(
    period: float, start: float, length: float, service: float, slo: float, timeout: float, jitter: float, seed: int
) -> None:
    times = schedule(period, 7.0, jitter * min(period * 0.5, 0.04), seed)
    samples = silent(times, (start, start + length), service, timeout)
    result = analyse(samples, slo=slo, period=period)
    if result.longest is None:
        assert length <= slo + 2 * period
        return
    assert len(result.outages) == 1
    assert result.longest.lower - TOLERANCE <= length <= result.longest.upper + TOLERANCE
    assert result.failed + result.slow == sum(not is_good(sample, slo) for sample in samples)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 0.2), st.floats(0, 3), st.booleans()), max_size=60))
def test_bounds_are_ordered_for_any_samples(raw: list[tuple[float, float, float, bool]]) -> None:
    samples = [Sample(due, due + late, due + late + took, ok, "error") for due, late, took, ok in raw]
    result = analyse(samples, slo=0.5, period=0.1)
    assert all(0 <= outage.lower <= outage.estimate <= outage.upper for outage in result.outages)
    assert sum(outage.requests for outage in result.outages) == result.failed + result.slow
    assert result.requests == len(samples)
    assert (result.longest is None) == (result.failed + result.slow == 0)
    assert analyse(reversed(samples), slo=0.5, period=0.1).failed == result.failed


def steady(first: int, last: int, period: float = 0.1, took: float = 0.005) -> list[Sample]:
    return [Sample(n * period, n * period, n * period + took, True) for n in range(first, last)]


def test_a_stall_is_an_outage_of_its_length() -> None:
    samples = [*steady(0, 10, 1.0), Sample(10.0, 10.0, 11.0, True), *steady(12, 20, 1.0)]
    result = analyse(samples, slo=0.1, period=1.0)
    assert (result.failed, result.slow) == (0, 1)
    assert result.longest is not None
    assert result.longest.lower == pytest.approx(0.995)
    assert result.longest.reason == STALL


def test_the_service_time_is_that_of_the_time_before_the_fault() -> None:
    slower = [Sample(n * 0.1, n * 0.1, n * 0.1 + 0.09, True) for n in range(35, 90)]
    samples = [*steady(0, 30), Sample(3.0, 3.0, 3.45, True), *slower]
    result = analyse(samples, slo=0.1, period=0.1)
    assert result.longest is not None
    assert result.longest.lower == pytest.approx(0.445)


def test_one_stuck_request_among_served_ones_proves_no_long_outage() -> None:
    samples = [*steady(0, 10), Sample(1.0, 1.0, 2.0, True), *steady(11, 30)]
    result = analyse(samples, slo=0.1, period=0.1)
    assert result.longest is not None
    assert result.longest.lower == 0.0
    assert result.longest.upper == pytest.approx(0.2)
    assert result.latency.max == pytest.approx(1.0)


def test_a_late_probe_widens_the_interval_and_proves_nothing() -> None:
    paused = [Sample(1.0 + n * 0.1, 2.0 + n * 0.001, 2.005 + n * 0.001, True) for n in range(9)]
    result = analyse([*steady(0, 10), *paused, *steady(21, 30)], slo=0.05, period=0.1)
    assert result.slow == 9
    assert result.longest is not None
    assert result.longest.lower == 0.0
    assert result.longest.upper == pytest.approx(1.2)
    assert result.lateness.max == pytest.approx(1.0)


def test_errors_between_good_requests_are_separate_outages() -> None:
    samples = [Sample(n * 0.1, n * 0.1, n * 0.1 + 0.001, n % 3 > 0, "status 503") for n in range(1, 31)]
    result = analyse(samples, slo=0.1, period=0.1)
    assert result.failed == 10
    assert len(result.outages) == 10
    assert result.outages[0].upper == pytest.approx(0.2)
    assert result.outages[0].reason == "status 503"


def test_an_outage_that_does_not_end_lasts_to_the_last_answer() -> None:
    dead = [Sample(n * 0.1, n * 0.1, n * 0.1 + 0.5, False, "timeout") for n in range(10, 20)]
    result = analyse([*steady(0, 10), *dead], slo=0.1, period=0.1)
    assert result.longest is not None
    assert result.longest.upper == pytest.approx(2.4 - 0.9)
    assert result.longest.requests == 10


def test_without_an_outage_the_uncertainty_is_two_periods() -> None:
    result = analyse(steady(0, 10), slo=0.1, period=0.1)
    assert result.longest is None
    assert result.total_outage == 0
    assert result.uncertainty == pytest.approx(0.2)


def test_nothing_measured_is_nothing_found() -> None:
    result = analyse([], slo=0.1, period=0.1)
    assert (result.requests, result.longest, result.latency.max) == (0, None, 0.0)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_below_which_the_share_lies(values: list[float], fraction: float) -> None:
    ordered = sorted(values)
    value = percentile(ordered, fraction)
    assert value in ordered
    assert sum(one <= value for one in ordered) >= math.floor(fraction * len(ordered))
    assert percentiles(values).max == max(values)
