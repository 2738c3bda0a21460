# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks on the standing lab share: commands on its hosts, a client that pings, and the spread of figures."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import statistics
import sys
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible" / "collections"))

import own_guest
from standing_lab import module, shell

__all__ = [
    "PERIOD_S",
    "RECORDED_AT_MOST_S",
    "Order",
    "Recording",
    "answers",
    "answers_again",
    "gaps",
    "medians",
    "migrate_by_virsh",
    "module",
    "own_guest",
    "pinging",
    "recorded",
    "shell",
]

PERIOD_S = 0.02
# Longer than any migration of a benchmark, so that nothing is left running even when a benchmark is killed.
RECORDED_AT_MOST_S = 600
ANSWERS_WITHIN_S = 60
RECORDER = (Path(__file__).parent / "_recorder.py").read_bytes()
# The wall time of one call, without the start of a remote shell.
VIRSH = (
    "python3 -c 'import subprocess, time; begin = time.monotonic();"
    ' subprocess.run("virsh migrate --live --p2p --tls --persistent --undefinesource {domain} {uri}".split(),'
    " check=True, stdout=subprocess.DEVNULL, timeout=150); print(time.monotonic() - begin)'"
)


class Recording(t.TypedDict):
    """What a recorder saw: what each command printed, frames as (time, interface, direction, text), links."""

    outputs: dict[str, str]
    frames: list[tuple[float, str, str, str]]
    links: list[tuple[float, str, str]]


class Order(t.NamedTuple):
    """What a host records: commands by name, and frames of a MAC address."""

    commands: dict[str, list[str]]
    mac: str | None = None


@contextlib.contextmanager
def recorded(orders: Mapping[str, Order]) -> Iterator[dict[str, Recording]]:
    """While the block runs each host records; what they saw is there once it has ended. The first host ends last."""
    found: dict[str, Recording] = {}

    def stop(host: str) -> None:
        said = _recorder(host, "stop")
        if said.strip():
            found[host] = json.loads(said)

    with contextlib.ExitStack() as stack:
        for host, order in orders.items():
            stack.callback(stop, host)
            told = {**order._asdict(), "limit_s": RECORDED_AT_MOST_S}
            _recorder(host, "start", base64.b64encode(json.dumps(told).encode()).decode())
        yield found
    missing = ", ".join(set(orders) - set(found))
    if missing:
        raise SystemExit(f"recorders: found none any more on {missing}; expected them to last {RECORDED_AT_MOST_S} s")


def _recorder(host: str, *words: str) -> str:
    # Handed over with the command, so that no file comes to the host.
    program = f'python3 -c "$(echo {base64.b64encode(RECORDER).decode()} | base64 -d)"'
    return shell(host, " ".join([program, *words]))


def pinging(address: str) -> Order:
    """The client: an echo request every 20 ms, each answer with the time."""
    return Order({"ping": ["ping", "-D", "-n", "-i", str(PERIOD_S), "-w", str(RECORDED_AT_MOST_S), address]})


def answers_again(observer: str, address: str) -> bool:
    """Whether a client is answered within a minute; then half a second more is waited."""
    return bool(
        shell(observer, f"ping -n -c 1 -w {ANSWERS_WITHIN_S} {address} >/dev/null && sleep 0.5 && echo yes; true")
    )


def answers(recording: Recording) -> list[float]:
    """When the client was answered by the guest itself, by the clock that the lab's hosts share."""
    said = recording["outputs"]["ping"]
    found = [float(stamp) for stamp in re.findall(r"^\[([0-9.]+)\] \d+ bytes from .*icmp_seq", said, re.MULTILINE)]
    if len(found) < 2:
        raise SystemExit(f"client: found {len(found)} answers to its echo requests; expected one every {PERIOD_S} s")
    return found


def gaps(stamps: Iterable[float]) -> list[tuple[float, float]]:
    """From each answer to the next one, the longest first."""
    return sorted(itertools.pairwise(stamps), key=lambda gap: gap[0] - gap[1])


def migrate_by_virsh(domain: str, source: str, destination: str) -> float:
    """Seconds until the call returned."""
    return float(shell(source, VIRSH.format(domain=domain, uri=f"qemu+tls://{destination}/system")))


def medians(runs: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The median of each figure of each tool, over the runs that have it."""
    found: dict[str, dict[str, float]] = {}
    for tool, each in runs.items():
        names = dict.fromkeys(name for run in each for name in run)
        found[tool] = {name: statistics.median(run[name] for run in each if name in run) for name in names}
    return found
