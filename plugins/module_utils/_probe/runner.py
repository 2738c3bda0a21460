# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The program that probes: ``python3 runner.pyz CONFIG.json``, one event loop for all probes.

Open loop: request n of a probe is launched at t0 + n periods, whatever became of the earlier ones; how late it
was launched is recorded. The probes take turns in four phases of a period: all at the same moment they would
delay each other, each at its own they would wake the program too often. The program stops at SIGTERM, SIGINT,
when a file ``stop`` appears beside its configuration, or after ``max_seconds``; then it waits for requests under
way, balances the ledgers and writes results.json. The formats are described in ``result``, the clock in ``series``.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import os
import signal
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import (
    DatabaseLedger,
    GuestLedger,
    Http,
    Icmp,
    IdentityToken,
    MessageLedger,
    Probe,
    RunConfig,
    Session,
    Tcp,
    parse_run,
    result_names,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.database import DatabaseTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.guest import GuestTarget, SessionTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.http import HttpTarget, TcpTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.icmp import IcmpTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.messages import MessageTarget
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.result import result_json, status_json, write_json
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.series import Clock, Series
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Target, reason_of

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.ledger import Balance

STATUS_SECONDS = 0.5
STOP_POLL_SECONDS = 0.1
GRACE_SECONDS = 0.5
PHASES = 4
THREAD_STACK_BYTES = 512 * 1024


class Pacer:
    """Launches the requests of one probe on time and notes how each of them ended."""

    def __init__(self, probe: Probe, run: str) -> None:
        self.probe = probe
        self.series = {name: Series(probe.slo, probe.period) for name in result_names(probe)}
        self.target = make_target(probe, run, self.series)
        self._own = self.series[probe.name]
        self._under_way: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._first_due = 0.0
        self._number = 0

    def start(self, first_due: float) -> None:
        """Launch the first request at ``first_due`` of the loop's clock, and so on."""
        self._loop = asyncio.get_running_loop()
        self._first_due = first_due
        self._timer = self._loop.call_at(first_due, self._tick)

    async def stop(self) -> None:
        """Launch no more and wait until the last request has ended or timed out."""
        if self._timer is not None:
            self._timer.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self.probe.timeout + GRACE_SECONDS)

    def _tick(self) -> None:
        due = self._due()
        while due <= self._loop.time():
            index = self._own.start(due, self._loop.time())
            task = self._loop.create_task(self._request(index, self._number, due))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            self._number += 1
            due = self._due()
        self._timer = self._loop.call_at(due, self._tick)

    def _due(self) -> float:
        return self._first_due + self._number * self.probe.period

    async def _request(self, index: int, number: int, due: float) -> None:
        failure = None
        try:
            async with asyncio.timeout(self.probe.timeout):
                await self.target.request(number, due)
        except Exception as error:  # whatever it is, it is what the client got
            failure = reason_of(error)
        self._own.settle(index, self._loop.time(), failure)


def make_target(probe: Probe, run: str, series: t.Mapping[str, Series]) -> Target:
    """What the requests of the probe are sent to."""
    ledger = f"{run}/{probe.name}"
    match probe.settings:
        case DatabaseLedger() as settings:
            return DatabaseTarget(settings, ledger, probe.timeout)
        case MessageLedger() as settings:
            return MessageTarget(settings, ledger, probe.timeout, series[result_names(probe)[1]])
        case settings:
            return _TARGETS[type(settings)](settings)


# Of the kinds that need nothing but their settings.
_TARGETS: dict[type, t.Callable[[t.Any], Target]] = {
    Tcp: TcpTarget,
    Http: HttpTarget.from_settings,
    IdentityToken: HttpTarget.issuing_token,
    Icmp: IcmpTarget,
    GuestLedger: GuestTarget,
    Session: SessionTarget,
}


class Runner:
    """One run in its directory."""

    def __init__(self, config: RunConfig, directory: Path) -> None:
        self._config = config
        self._directory = directory
        self._clock = Clock.anchored()
        self._pacers = [Pacer(probe, config.run) for probe in config.probes]
        self._series = {name: series for pacer in self._pacers for name, series in pacer.series.items()}
        self._state = "running"
        self._stopped: float | None = None

    async def run(self) -> None:
        """Probe until told to stop, then write the results."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            if threading.current_thread() is threading.main_thread():
                loop.add_signal_handler(number, stopping.set)
        await asyncio.gather(*(pacer.target.open() for pacer in self._pacers))
        # What exists now stays; the collector need not look at it again and again.
        gc.freeze()
        reporter = loop.create_task(self._report())
        started = self._start_pacers()
        await self._until_stopped(stopping, started + self._config.max_seconds)
        self._stopped = stopped = loop.time()
        self._state = "stopping"
        await asyncio.gather(*(pacer.stop() for pacer in self._pacers))
        balances = await self._balances()
        reporter.cancel()
        for pacer in self._pacers:
            await pacer.target.close()
        self._write_results((started, stopped), balances)

    def _start_pacers(self) -> float:
        started = time.monotonic()
        for index, pacer in enumerate(self._pacers):
            pacer.start(started + pacer.probe.period * (index % PHASES) / PHASES)
        return started

    async def _until_stopped(self, stopping: asyncio.Event, deadline: float) -> None:
        stop_file = self._directory / "stop"
        while not stopping.is_set() and time.monotonic() < deadline and not stop_file.exists():
            try:
                async with asyncio.timeout(STOP_POLL_SECONDS):
                    await stopping.wait()
            except TimeoutError:
                continue

    async def _report(self) -> None:
        while True:
            self._write_status()
            await asyncio.sleep(STATUS_SECONDS)

    def _write_status(self) -> None:
        probed_until = time.monotonic() if self._stopped is None else self._stopped
        status = status_json(self._state, self._series, self._clock, probed_until)
        write_json(self._directory / "status.json", status)

    async def _balances(self) -> dict[str, Balance]:
        ledgers = {
            pacer.probe.name: pacer.target
            for pacer in self._pacers
            if isinstance(pacer.target, DatabaseTarget | MessageTarget | GuestTarget)
        }
        balances = await asyncio.gather(*(target.balance() for target in ledgers.values()))
        return dict(zip(ledgers, balances, strict=True))

    def _write_results(self, span: tuple[float, float], balances: dict[str, Balance]) -> None:
        results = []
        for pacer in self._pacers:
            for name, series in pacer.series.items():
                series.settle_rest(time.monotonic())
                result = result_json(name, pacer.probe, series, self._clock, span=span, balance=balances.get(name))
                error = getattr(pacer.target, "read_back_error", "")
                if result.get("lost", 0) is None:
                    result["errors"][f"ledger not read back: {error}"] = 1
                results.append(result)
        write_json(self._directory / "results.json", results)
        self._state = "finished"
        self._write_status()


def main(arguments: list[str]) -> int:
    """Run the configuration at ``arguments[0]``; 2 and a line on standard error when it cannot be run."""
    path = Path(arguments[0])
    threading.stack_size(THREAD_STACK_BYTES)
    try:
        with open(path.with_name("lock"), "w", encoding="ascii") as lock:
            # Held as long as the program lives: this is how others see that it does.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            asyncio.run(Runner(parse_run(json.loads(path.read_text())), path.parent).run())
    except BlockingIOError:
        sys.stderr.write(f"{path}: this run is already under way\n")
        return 2
    except (LifeboatError, ImportError, OSError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
