# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with a thousand servers of Nova's fake driver are drained, and the control node is lost twice meanwhile.

Each server moves once and has one receipt in one of the runs, and the control node needs no more memory for it than a
small machine has.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
import time
import typing as t
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from openstack import exceptions
from openstack.compute.v2.server import Server
from openstack.connection import Connection
from standing_lab import ROOT, connected, module, play

NUMBER = int(os.environ.get("LIFEBOAT_MANY_SERVERS", "1000"))
# Nova counts the servers of a host one after the other, so that two are filled and emptied faster than one.
FULL, EMPTY = ("fake1", "fake2"), ("fake3", "fake4")
# So few of few that an interruption finds some that have not begun yet.
AT_ONCE = max(2, min(10, NUMBER // 10))
LIMITS = {"outgoing": AT_ONCE // 2, "incoming": AT_ONCE // 2, "total": AT_ONCE}
FLAVOR = {"name": "many", "vcpus": 1, "ram": 16, "disk": 0}
BATCH = 25
# How many of all may not come about; they are made once more, since this is not what is tested. One that is not made
# after so long will never be: whoever was about it has been lost.
MAY_BREAK = 0.1
STUCK_S = 300.0
# What Nova may take for each server, on a machine that runs the whole cloud beside it.
TO_MAKE_S, TO_MOVE_S, TO_DELETE_S = 3.0, 12.0, 4.0
AT_LEAST_S = 600.0
# ansible-playbook with a worker and the module take 120 MiB with few servers; a plan of a thousand, and what Nova tells
# of them, some tens more. What has moved already must not add to it.
MEMORY_MIB = 256
# The module ends by itself after its next look at what is under way.
TO_END_S = 90.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Connection]:
    with connected("admin") as connection:
        yield connection


@pytest.fixture(scope="module")
def servers(cloud: Connection) -> Iterator[list[str]]:
    """The servers' ids; half of them are on each host of FULL."""
    play("guest_image")
    play("cloud_content")
    # Of a test that did not come to its end.
    take_away(cloud)
    quota = f"/os-quota-sets/{cloud.current_project_id}"
    before = answer(cloud.compute.get(quota))["quota_set"]
    kept = {name: before[name] for name in ("instances", "cores", "ram")}
    try:
        play("tests/lab/fake_computes.yml")
        await_that("fake computes that Nova has placed", computes_missing, AT_LEAST_S)
        answer(cloud.compute.put(quota, json={"quota_set": dict.fromkeys(kept, -1)}))
        yield made(cloud)
    finally:
        try:
            take_away(cloud)
        finally:
            # Only now: Nova refuses a quota below what is used.
            answer(cloud.compute.put(quota, json={"quota_set": kept}))


def made(cloud: Connection) -> list[str]:
    flavor = cloud.compute.create_flavor(**FLAVOR)
    image = cloud.image.find_image("guest", ignore_missing=False)
    wanted = {"flavorRef": flavor.id, "imageRef": image.id, "networks": "none"}
    hosts = itertools.cycle(FULL)
    since, asked = time.monotonic(), 0
    broken: set[str] = set()

    def missing() -> str:
        nonlocal asked
        active = count_of(cloud, status="ACTIVE")
        # One moment in which a busy machine has no database, and Nova finds no host for what it was about just then.
        for server in itertools.chain(all_of(cloud, status="ERROR"), filter(stuck, all_of(cloud, status="BUILD"))):
            if server.id not in broken:
                broken.add(server.id)
                assert len(broken) <= MAY_BREAK * NUMBER, f"{len(broken)} servers did not come about: {server.fault}"
                cloud.compute.delete_server(server)
        if active == NUMBER:
            return ""
        going = asked - len(broken) - active
        while going <= BATCH and active + going < NUMBER:
            count = min(BATCH, NUMBER // len(FULL), NUMBER - active - going)
            body = {"name": f"many-{asked:04}", "min_count": count, "max_count": count, "host": next(hosts), **wanted}
            # 2.74 takes the host.
            answer(cloud.compute.post("/servers", json={"server": body}, microversion="2.74"))
            asked, going = asked + count, going + count
            print(f"{active} servers made in {time.monotonic() - since:.0f} s, {len(broken)} once more", flush=True)
        return f"{active} of {NUMBER} servers"

    await_that("servers ACTIVE", missing, TO_MAKE_S * NUMBER + AT_LEAST_S)
    await_that("broken servers deleted", lambda: str(left) if (left := count_of(cloud) - NUMBER) else "", AT_LEAST_S)
    found = {server.id: server.compute_host for server in all_of(cloud)}
    assert len(found) == NUMBER and set(found.values()) == {*FULL}, Counter(found.values())
    return list(found)


def take_away(cloud: Connection) -> None:
    """The cloud as it was. Servers whose host is gone Nova deletes by itself, which is much faster."""
    play("tests/lab/fake_computes.yml", "-e", "fake_computes_state=absent")
    services = [each for each in cloud.compute.services(binary="nova-compute") if each.host in FULL + EMPTY]
    for service in services:
        cloud.compute.update_service_forced_down(service, service.host, service.binary, True)
    asked: set[str] = set()

    def remaining() -> str:
        left = [server.id for server in cloud.compute.servers(all_projects=True, details=False, name="^many-")]
        for server in set(left) - asked:
            try:
                cloud.compute.delete_server(server)
            except exceptions.SDKException as error:
                return f"{len(left)} servers, and {error}"
            asked.add(server)
        return f"{len(left)} servers" if left else ""

    await_that("servers deleted", remaining, TO_DELETE_S * NUMBER + AT_LEAST_S)

    def refused() -> str:
        for service in list(services):
            try:
                cloud.compute.delete_service(service)
            except exceptions.ConflictException as error:
                return f"{service.host}: {error}"
            services.remove(service)
        return ""

    await_that("services of the fake computes deleted", refused, AT_LEAST_S)
    flavor = cloud.compute.find_flavor(FLAVOR["name"])
    if flavor:
        cloud.compute.delete_flavor(flavor)


def answer(response: t.Any) -> dict[str, t.Any]:
    exceptions.raise_from_response(response)
    body: dict[str, t.Any] = response.json()
    return body


def all_of(cloud: Connection, **filters: str) -> Iterator[Server]:
    found: Iterator[Server] = cloud.compute.servers(all_projects=True, name="^many-", limit=100, **filters)
    return found


def stuck(server: Server) -> bool:
    return (datetime.now(UTC) - datetime.fromisoformat(server.created_at)).total_seconds() > STUCK_S


def count_of(cloud: Connection, **filters: str) -> int:
    return sum(1 for _server in cloud.compute.servers(all_projects=True, details=False, name="^many-", **filters))


def computes_missing() -> str:
    found = {
        each["host"]: each["state"] for each in module("localhost", "hypervisor_info", cloud="admin")["hypervisors"]
    }
    states = {host: found.get(host, "not there") for host in FULL + EMPTY}
    return "" if set(states.values()) == {"up"} else str(states)


def await_that(what: str, missing: Callable[[], str], within_s: float, pause_s: float = 5.0) -> None:
    """Until ``missing`` says nothing any more."""
    end = time.monotonic() + within_s
    while seen := missing():
        assert time.monotonic() < end, f"{what}: not within {within_s:.0f} s; seen last: {seen}"
        time.sleep(pause_s)


class Drain:
    """A running ansible-playbook, with everything that it has started: how much memory that takes, and its end."""

    def __init__(self, receipts: Path) -> None:
        told = {"migration_goal": "drain", "migration_drain": FULL, "migration_limits": LIMITS}
        told |= {"migration_report_directory": str(receipts)}
        self._log = receipts / f"{time.time():.0f}.log"
        with self._log.open("wb") as log:
            self._main = subprocess.Popen(
                ["ansible-playbook", "lifeboat.cloud.migrate", "-e", json.dumps(told)],
                cwd=ROOT,
                env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.whole_kib, self.one_kib = 0, 0
        self._known: set[tuple[int, str]] = set()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._measure, daemon=True)
        self._watch.start()

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._kill()

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def await_share(self, receipts: Path, count: int) -> None:
        """Until so many servers have their receipts."""

        def missing() -> str:
            assert self._main.poll() is None, f"it ended before {count} servers had moved: {self.said}"
            moved = sum(entry.get("moved", False) for entry in told_by(receipts))
            return "" if moved >= count else f"{moved} of {count}"

        await_that("servers moved", missing, TO_MOVE_S * count + AT_LEAST_S, pause_s=1.0)

    def must_end(self) -> None:
        try:
            code = self._main.wait(TO_MOVE_S * NUMBER + AT_LEAST_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not come to its end: {self.said}") from None
        assert code == 0, self.said

    def is_stopped(self) -> None:
        """As by an operator, or a system that shuts down: SIGTERM, and the module returns by itself."""
        self._main.terminate()
        assert self._main.wait(TO_END_S) != 0

        def left() -> str:
            return ", ".join(str(pid) for pid, _began in self._alive())

        await_that("processes ended after SIGTERM", left, TO_END_S, pause_s=1.0)
        self._kill()

    def is_killed(self) -> None:
        """As by a power cut: all processes at once."""
        self._kill()
        assert self._main.wait(TO_END_S) == -signal.SIGKILL

    def _kill(self) -> None:
        self._over.set()
        self._watch.join(TO_END_S)
        self._see()
        # Its workers, and so the module, are in sessions of their own.
        for pid, _began in self._alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._main.wait(TO_END_S)

    def _alive(self) -> list[tuple[int, str]]:
        return [each for each in self._known if begun(each[0]) == each[1]]

    def _see(self) -> None:
        """Note what has been started, also by what has been."""
        stats = {int(name): stat_of(int(name)) for name in os.listdir("/proc") if name.isdigit()}
        found = {pid for pid, _began in self._alive()} | ({self._main.pid} if self._main.poll() is None else set())
        while more := {pid for pid, stat in stats.items() if stat and int(stat[1]) in found} - found:
            found |= more
        # Another one each time, since both threads look through it.
        self._known = self._known | {(pid, moment) for pid in found if (moment := begun(pid))}

    def _measure(self) -> None:
        while not self._over.wait(1):
            self._see()
            # What a worker shares with ansible-playbook, from which it was forked, is there once.
            self.whole_kib = max(self.whole_kib, sum(kib(pid, "smaps_rollup", "Pss:") for pid, _began in self._alive()))
            self.one_kib = max([self.one_kib, *(kib(pid, "status", "VmHWM:") for pid, _began in self._alive())])


def stat_of(pid: int) -> list[str]:
    """State, parent and so on of a process; empty when it is not there any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def begun(pid: int) -> str:
    """When it began, in ticks; empty when it has ended."""
    stat = stat_of(pid)
    return stat[19] if stat and stat[0] != "Z" else ""


def kib(pid: int, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def told_by(receipts: Path) -> list[dict[str, t.Any]]:
    """What the files of all runs tell, in their order; the last line of one that goes on may not be whole yet."""
    found = []
    for file in sorted(receipts.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found.append({"file": file.name, **json.loads(line)})
    return found


def test_a_thousand_servers_are_accounted_for_once(cloud: Connection, servers: list[str], tmp_path: Path) -> None:
    began = time.monotonic()
    with Drain(tmp_path) as first:
        first.await_share(tmp_path, max(1, NUMBER // 4))
        first.is_stopped()
    with Drain(tmp_path) as second:
        second.await_share(tmp_path, max(2, NUMBER // 2))
        second.is_killed()
    with Drain(tmp_path) as third:
        third.must_end()
    seconds = time.monotonic() - began

    now = {server.id: server for server in all_of(cloud)}
    assert sorted(now) == sorted(servers)
    assert {(server.status, server.compute_host in EMPTY) for server in now.values()} == {("ACTIVE", True)}
    begun_by_host = [module("localhost", "migration_info", host=host, cloud="admin")["migrations"] for host in FULL]
    moved = Counter(each["server"] for each in itertools.chain(*begun_by_host))
    assert {server: moved[server] for server in servers} == dict.fromkeys(servers, 1)

    told = told_by(tmp_path)
    receipts = [entry for entry in told if "asked" not in entry]
    assert [each["found"] for each in receipts if not each["moved"]] == []
    assert Counter(each["server"] for each in receipts) == Counter(servers)
    assert {each["server"]: each["destination"] for each in receipts} == {
        key: server.compute_host for key, server in now.items()
    }
    # Of what the killed run has begun its successor tells.
    asked = {entry["step"]["server"]: entry["file"] for entry in told if "asked" in entry}
    adopted = [each for each in receipts if each["file"] != asked[each["server"]]]
    assert 1 <= len(adopted) <= 2 * LIMITS["total"]

    whole, one = (max(getattr(run, name) for run in (first, second, third)) / 1024 for name in ("whole_kib", "one_kib"))
    print(
        f"\n{NUMBER} servers drained in {seconds:.0f} s, {60 * NUMBER / seconds:.1f} a minute, interrupted twice "
        f"({len(adopted)} receipts by the next run); control node: {whole:.0f} MiB, its largest process {one:.0f} MiB"
    )
    assert whole < MEMORY_MIB
