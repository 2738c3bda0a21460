# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe program costs and how exact it is.

Cost: 10 HTTP targets at 50 Hz each; peak memory, and the share of one core in the steady part of the run.
Exactness: a server that falls silent for known, random times (it accepts, and answers at the end of the silence);
whether the measured interval contains the true one.

Usage: ``python3 tests/benchmarks/probe_runner.py [--seconds 20] [--trials 20] [--json]`` from the repository, after
the tests' set-up has linked the collection. Exit status 1 when a figure misses its aim.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible" / "collections"))

from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.control import archive

TARGETS = 10
RATE = 50.0
SLO = 0.1
MEMORY_AIM_MIB = 60.0
CPU_AIM = 0.15
SPACING = 1.5
SETTLE_SECONDS = 2.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Cost:
    """Of the runner process; ``cpu_share`` of one core."""

    targets: int
    rate_hz: float
    seconds: float
    requests: int
    failed: int
    max_rss_mib: float
    cpu_share: float
    lateness_p99_ms: float
    latency_p99_ms: float


@dataclass(frozen=True)
class Exactness:
    """Over all trials; differences in milliseconds between the bounds and the true length."""

    trials: int
    found: int
    contained: int
    contained_within_a_period: int
    above_median_ms: float
    above_max_ms: float
    below_median_ms: float
    below_max_ms: float


class SilentServer(asyncio.Protocol):
    """Answers at once, or when the silence ends."""

    silent = False
    waiting: t.ClassVar[list[asyncio.Transport]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = t.cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if SilentServer.silent:
            SilentServer.waiting.append(self._transport)
        else:
            self._transport.write(ANSWER)
            self._transport.close()

    @classmethod
    def change(cls, silent: bool) -> float:
        """Fall silent or speak again; returns the moment."""
        cls.silent = silent
        moment = time.monotonic()
        for transport in cls.waiting:
            transport.write(ANSWER)
            transport.close()
        cls.waiting.clear()
        return moment


def serve(pipe: Connection, silences: list[tuple[float, float]]) -> None:
    """The server's process: sends its port, waits for a word, is silent as planned, sends the true times."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(SilentServer, "127.0.0.1", 0, backlog=1000)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        began, times = loop.time(), []
        for after, length in silences:
            await asyncio.sleep(began + after - loop.time())
            start = SilentServer.change(True)
            await asyncio.sleep(length)
            times.append((start, SilentServer.change(False)))
        pipe.send(times)
        await loop.run_in_executor(None, pipe.recv)

    asyncio.run(work())


def start_server(silences: list[tuple[float, float]]) -> tuple[Connection, int]:
    """The pipe to a new server process, and its port."""
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.Process(target=serve, args=(theirs, silences), daemon=True).start()
    return ours, ours.recv()


def start_runner(directory: Path, port: int, targets: int, seconds: float) -> subprocess.Popen[bytes]:
    """The runner as the module delivers it."""
    probe = {"kind": "http", "url": f"http://127.0.0.1:{port}/", "rate": RATE, "slo": SLO, "timeout": 5.0}
    probes = [{**probe, "name": f"target-{number}"} for number in range(targets)]
    program, settings = directory / "runner.pyz", directory / "config.json"
    program.write_bytes(archive())
    settings.write_text(json.dumps({"run": "benchmark", "probes": probes, "max_seconds": seconds}))
    return subprocess.Popen([sys.executable, str(program), str(settings)])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(directory: Path, name: str) -> t.Any:
    """One of the runner's files."""
    return json.loads((directory / name).read_text())


def measure_cost(seconds: float) -> Cost:
    """Run the ten targets."""
    pipe, port = start_server([])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runner = start_runner(directory, port, TARGETS, seconds)
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds(runner.pid), time.monotonic()
        time.sleep(seconds - 2 * SETTLE_SECONDS)
        share = (cpu_seconds(runner.pid) - before) / (time.monotonic() - began)
        runner.wait(60)
        results, status = read(directory, "results.json"), read(directory, "status.json")
    pipe.send("end")
    return Cost(
        targets=TARGETS,
        rate_hz=RATE,
        seconds=seconds,
        requests=sum(one["requests"] for one in results),
        failed=sum(one["failed"] + one["slow"] for one in results),
        max_rss_mib=status["runner"]["max_rss_mib"],
        cpu_share=round(share, 4),
        lateness_p99_ms=max(one["lateness_ms"]["p99"] for one in results),
        latency_p99_ms=max(one["latency_ms"]["p99"] for one in results),
    )


def measure_exactness(trials: int) -> Exactness:
    """Silences of 0.2 to 1 s at random moments, watched by one probe."""
    chance = random.Random(1)
    silences = [(1.0 + number * SPACING + chance.random() / RATE, chance.uniform(0.2, 1.0)) for number in range(trials)]
    pipe, port = start_server(silences)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runner = start_runner(directory, port, 1, 2.0 + trials * SPACING)
        pipe.send("begin")
        times: list[tuple[float, float]] = pipe.recv()
        runner.wait(60)
        (result,) = read(directory, "results.json")
    pipe.send("end")
    return compare(times, result["outages"])


def compare(times: list[tuple[float, float]], outages: list[dict[str, float]]) -> Exactness:
    """Match each silence with the outage that began in it."""
    epoch = time.time() - time.monotonic()
    pairs = [
        (end - start, outage)
        for start, end in times
        for outage in outages
        if start - 1 / RATE <= outage["start"] - epoch <= end
    ]
    above = [(outage["upper_s"] - true) * 1000 for true, outage in pairs] or [0.0]
    below = [(true - outage["lower_s"]) * 1000 for true, outage in pairs] or [0.0]
    period = 1000 / RATE
    return Exactness(
        trials=len(times),
        found=len(pairs),
        contained=sum(up >= 0 and down >= 0 for up, down in zip(above, below, strict=True)),
        contained_within_a_period=sum(up >= -period and down >= -period for up, down in zip(above, below, strict=True)),
        above_median_ms=round(statistics.median(above), 2),
        above_max_ms=round(max(above), 2),
        below_median_ms=round(statistics.median(below), 2),
        below_max_ms=round(max(below), 2),
    )


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="Cost and exactness of the probe program")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the run with ten targets, above 4")
    parser.add_argument("--trials", type=int, default=20, help="number of silences")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    arguments = parser.parse_args()
    cost = measure_cost(arguments.seconds)
    exactness = measure_exactness(arguments.trials)
    reached = {
        "memory": cost.max_rss_mib <= MEMORY_AIM_MIB,
        "cpu": cost.cpu_share <= CPU_AIM,
        "exactness": exactness.contained_within_a_period == exactness.trials,
    }
    if arguments.json:
        print(json.dumps({"cost": asdict(cost), "exactness": asdict(exactness), "reached": reached}, indent=2))
    else:
        print(
            f"{TARGETS} targets x {RATE:g} Hz for {cost.seconds:g} s: {cost.requests} requests, {cost.failed} not good"
        )
        print(f"{'peak memory':<34}{cost.max_rss_mib:>9.1f} MiB   aim {MEMORY_AIM_MIB:g}")
        print(f"{'share of one core':<34}{cost.cpu_share * 100:>9.1f} %     aim {CPU_AIM * 100:g}")
        print(f"{'lateness, latency (p99)':<34}{cost.lateness_p99_ms:>9.2f} ms    {cost.latency_p99_ms:.2f} ms")
        inside = f"{exactness.contained_within_a_period}/{exactness.trials}"
        above = (exactness.above_median_ms, exactness.above_max_ms)
        below = (exactness.below_median_ms, exactness.below_max_ms)
        print(f"{'silences inside, to one period':<34}{inside:>9}       exactly {exactness.contained}")
        print(f"{'upper bound above the truth':<34}{above[0]:>9.2f} ms    at most {above[1]}")
        print(f"{'lower bound below the truth':<34}{below[0]:>9.2f} ms    at most {below[1]}")
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
