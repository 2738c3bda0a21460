# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server moves between the hypervisors in every way that Nova has, and a client outside watches it all the time.

Whatever happens, the counter on its disk must never go back. Moved live it must be the same boot, and an open session
must live on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from standing_lab import RECEIPTS, ROOT, ansible, connected, judged, module, play, receipts, shell

OBSERVER = "client1"
ADDRESS = re.compile(r"http://([0-9.]+)/")
# An emulated processor and a machine that is shared make both longer than they are elsewhere.
LONGEST_GAP_S = 20.0
CLOUD = {"cloud": "admin"}
TO_BOOT_S = 180
# libvirt's greatest, in MiB/s, which is what a domain has by itself.
UNLIMITED = 2**43 - 1


@dataclass
class Server:
    """A server and its address outside."""

    name: str
    address: str
    measured: dict[str, dict[str, t.Any]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self._asked("compute_host")

    @property
    def id(self) -> str:
        return self._asked("id")

    def _asked(self, what: str) -> str:
        with connected("admin") as cloud:
            [found] = [each for each in cloud.compute.servers(all_projects=True) if each.name == self.name]
        return str(found[what])

    @property
    def elsewhere(self) -> str:
        return {"cmp1": "cmp2", "cmp2": "cmp1"}[self.host]

    def migrate(self, check: bool = True, **options: object) -> dict[str, t.Any]:
        return module("localhost", "server_migration", check, server=self.name, **options, **CLOUD)

    @contextlib.contextmanager
    def sent_slowly(self) -> Iterator[None]:
        """While the block runs a migration lasts for minutes."""
        here, key = self.host, self.id
        shell(here, f"virsh migrate-setspeed {key} 1")
        try:
            yield
        finally:
            # What has moved has a limit no more.
            if self.host == here:
                shell(here, f"virsh migrate-setspeed {key} {UNLIMITED}")

    @contextlib.contextmanager
    def on_its_way(self, there: str) -> Iterator[subprocess.Popen[str]]:
        """The call that migrates the server, once its memory is sent, and how it ended after the block."""
        arguments = json.dumps({"server": self.name, "host": there, **CLOUD})
        running = subprocess.Popen(
            ["ansible", "localhost", "-m", "lifeboat.cloud.server_migration", "-a", arguments],
            cwd=ROOT,
            env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(ROOT / ".lab/clouds.yaml")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            end = time.monotonic() + 60
            while "running" not in {each["status"] for each in self.unfinished()}:
                assert time.monotonic() < end, "no memory was sent within 60 s"
            yield running
        finally:
            if running.poll() is None:
                running.kill()
            running.wait()

    def unfinished(self) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = module(
            "localhost", "migration_info", server=self.name, unfinished=True, **CLOUD
        )["migrations"]
        return found

    @contextlib.contextmanager
    def watched(self, run: str) -> Iterator[None]:
        """While the block runs a client asks for the counter, talks in an open session and sends echo requests."""
        probes = [
            {"name": "counter", "kind": "guest_ledger", "host": self.address, "rate": 5},
            {"name": "session", "kind": "session", "host": self.address, "rate": 10, "timeout": 30},
            {"name": "echo", "kind": "icmp", "host": self.address, "rate": 50, "timeout": 1},
        ]
        module(OBSERVER, "probe", run=run, probes=probes, warm_up=5)
        try:
            yield
        finally:
            results = module(OBSERVER, "probe", run=run, state="stopped")["results"]
            module(OBSERVER, "probe", run=run, state="absent")
            self.measured = {result["name"]: result for result in results}

    def must_have_stayed(self) -> None:
        """The same boot, the same session, no answer forgotten, and no longer away than a client endures."""
        counter, session, echo = (self.measured[name] for name in ("counter", "session", "echo"))
        assert (counter["lost"], counter["unexpected"]) == (0, 0)
        assert "session lost" not in session["errors"]
        assert echo["longest_outage_s"] < LONGEST_GAP_S

    def must_have_booted_once(self) -> None:
        counter = self.measured["counter"]
        assert (counter["lost"], counter["unexpected"]) == (0, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    play("guest_image")
    play("cloud_content")
    # Besides the page the echo, in which the session is held.
    made = play("first_server", *first_servers(1))
    address = ADDRESS.search(made.text)
    assert address
    yield Server("web-1", address[1])
    play("first_server", *first_servers(2), "-e", "first_server_state=absent")


@pytest.fixture
def from_volume(server: Server) -> Iterator[Server]:
    """A server beside it that boots from a volume of Cinder, made from the image."""
    name = "web-volume"
    with connected("demo") as project:
        try:
            made = project.create_server(
                name,
                image="guest",
                flavor="small",
                boot_from_volume=True,
                volume_size=1,
                terminate_volume=True,
                network="web",
                security_groups=["web"],
                ip_pool="public",
                wait=True,
                timeout=TO_BOOT_S,
            )
            [address] = [each["addr"] for each in made.addresses["web"] if each["OS-EXT-IPS:type"] == "floating"]
            found = Server(name, address)
            _await_answer(found)
            yield found
        finally:
            project.delete_server(name, wait=True, delete_ips=True)


def first_servers(count: int) -> tuple[str, str]:
    return "-e", json.dumps({"first_server_count": count, "first_server_open_ports": [7, 22, 80]})


def moves(server: str, host: str) -> tuple[str, str]:
    return "-e", json.dumps({"migration_moves": [{"server": server, "destination": host}]})


def test_it_moves_live_to_a_named_host_by_plan(server: Server) -> None:
    there = server.elsewhere
    foretold = play("migrate", *moves(server.name, there), "--check").text
    assert f"server {server.name}: {server.host} to {there}, pre-copy" in foretold and "stands still for" in foretold
    assert "was measured for 1 of them" in foretold
    assert server.elsewhere == there
    with server.watched("live"):
        play("migrate", *moves(server.name, there))
    assert server.host == there
    server.must_have_stayed()
    report = receipts()
    [receipt] = report["receipts"]
    assert receipt["moved"] and receipt["destination"] == there and receipt["seconds"] > 0
    # Its host was asked before it was planned, and the other one after it had come.
    assert report["plan"]["measured"] == 1
    told = receipt["transferred"]
    assert 0 < told["downtime_ms"] <= told["elapsed_ms"] <= 1000 * receipt["seconds"]
    assert 0 < told["copy_ms"] <= told["elapsed_ms"] and told["memory_processed"] > 0
    page = max(RECEIPTS.glob("*.html"), key=lambda path: path.stat().st_mtime)
    assert re.search(r"libvirt [0-9]", page.read_text(encoding="utf-8"))


def test_one_that_boots_from_a_volume_moves_live_by_plan(from_volume: Server) -> None:
    server, here, there = from_volume, from_volume.host, from_volume.elsewhere
    with server.watched("volume"):
        play("migrate", *moves(server.name, there))
    assert server.host == there
    server.must_have_stayed()
    [receipt] = receipts()["receipts"]
    assert (receipt["kind"], receipt["source"], receipt["destination"]) == ("live", here, there)
    # Slow at the most: nobody has to look.
    verdict = judged()[server.name]
    assert verdict["verdict"] in ("moved", "moved with warnings") and not verdict["serious"], verdict
    # Its only disk is the volume, on the destination, too.
    [(_target, source)] = [line.split() for line in shell(there, f"virsh -q domblklist {server.id}").splitlines()]
    assert source.startswith("volumes/volume-")
    assert server.id not in shell(here, "virsh -q list --all --uuid")


def test_it_moves_live_to_where_nova_chooses(server: Server) -> None:
    here = server.host
    with server.watched("automatic"):
        done = server.migrate(away_from=here)
    assert done["server"]["host"] != here and server.migrate(away_from=here)["changed"] is False
    server.must_have_stayed()


def test_it_moves_cold_and_is_confirmed(server: Server) -> None:
    here = server.host
    with server.watched("cold"):
        done = server.migrate(away_from=here, kind="cold")
        _await_answer(server)
    assert done["server"]["host"] != here and done["migration"]["status"] == "confirmed"
    server.must_have_booted_once()


def test_it_moves_cold_and_is_reverted(server: Server) -> None:
    here = server.host
    with server.watched("revert"):
        waits = server.migrate(away_from=here, kind="cold", after_cold="leave")
        assert waits["server"]["status"] == "VERIFY_RESIZE"
        done = server.migrate(host=waits["server"]["host"], kind="cold", after_cold="revert")
        _await_answer(server)
    assert done["server"]["host"] == here and done["migration"]["status"] == "reverted"
    assert server.measured["counter"]["lost"] == 0
    # Nova leaves it on the host where the server had been, and would not take the server live there any more.
    left = f"path=/var/lib/nova/instances/{done['server']['id']} state=absent"
    ansible(str(waits["server"]["host"]), "ansible.builtin.file", left)


def test_a_run_that_is_killed_is_gone_on_with(server: Server) -> None:
    there = server.elsewhere
    before = len(module("localhost", "migration_info", server=server.name, **CLOUD)["migrations"])
    with server.watched("killed"):
        command = ["ansible-playbook", "lifeboat.cloud.migrate", *moves(server.name, there)]
        running = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        end = time.monotonic() + 60
        while not module("localhost", "migration_info", server=server.name, unfinished=True, **CLOUD)["migrations"]:
            assert time.monotonic() < end, "the migration was not begun within 60 s"
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        play("migrate", *moves(server.name, there))
    assert server.host == there
    after = module("localhost", "migration_info", server=server.name, **CLOUD)["migrations"]
    assert len(after) == before + 1 and after[0]["status"] == "completed"
    server.must_have_stayed()


def test_one_under_way_is_aborted_by_a_second_call(server: Server) -> None:
    here, there = server.host, server.elsewhere
    with server.watched("aborted"), server.sent_slowly(), server.on_its_way(there) as first:
        did = server.migrate(state="aborted")
        told, _nothing = first.communicate(timeout=120)
    assert did["actions"] == [f"abort the live migration of server {server.name} from {here}"]
    assert (did["server"]["host"], did["server"]["status"]) == (here, "ACTIVE") and server.host == here
    # Nova calls it failed when libvirt has told it of the end before it has seen the job cancelled.
    status = did["migration"]["status"]
    assert status in ("cancelled", "failed") and server.unfinished() == []
    assert first.returncode != 0 and f"a migration that is {status}: it was aborted by user" in told
    server.must_have_stayed()
    assert server.migrate(state="aborted")["changed"] is False


def test_one_under_way_is_forced_by_a_second_call(server: Server) -> None:
    here, there = server.host, server.elsewhere
    with server.watched("forced"), server.sent_slowly(), server.on_its_way(there) as first:
        did = server.migrate(state="completed")
        told, _nothing = first.communicate(timeout=120)
    assert did["actions"] == [f"force the live migration of server {server.name} from {here}"]
    assert server.host == did["server"]["host"] == there and did["migration"]["status"] == "completed"
    assert first.returncode == 0, told
    # Where nova-compute permits no post-copy it stands still for minutes, which no session outlives.
    assert (server.measured["counter"]["lost"], server.measured["counter"]["unexpected"]) == (0, 0)


def test_a_host_is_emptied_for_maintenance_and_comes_back(server: Server) -> None:
    here = server.host
    begin = ("-e", f"maintenance_host={here}", "-e", "maintenance_reason='new disk'")
    try:
        with server.watched("maintenance"):
            play("maintenance", *begin)
        assert server.host != here
        server.must_have_stayed()
        refused = server.migrate(check=False, host=here)
        assert refused["failed"] and "disabled and up" in refused["found"]
        assert play("maintenance", *begin).changes == ()
    finally:
        play("maintenance", "-e", f"maintenance_host={here}", "-e", "maintenance_state=end")
    assert module("localhost", "compute_service", host=here, **CLOUD)["service"]["status"] == "enabled"


def test_where_it_cannot_go_is_refused_with_the_reason(server: Server) -> None:
    for options, found in (
        ({"host": "cmp9"}, "no such services"),
        ({"host": server.elsewhere, "away_from": server.elsewhere}, "both as host and as away_from"),
        ({"host": server.elsewhere, "cloud": "demo"}, "403"),
    ):
        arguments: dict[str, t.Any] = {"server": server.name, **CLOUD, **options}
        done = module("localhost", "server_migration", check=False, **arguments)
        assert done["failed"] and found in done.get("found", done["msg"])
    not_dead = module("localhost", "server_evacuation", check=False, server=server.name, away_from=server.host, **CLOUD)
    assert not_dead["failed"] and "not forced down" in not_dead["found"]


def test_a_host_that_works_though_it_is_forced_down_loses_no_server(server: Server) -> None:
    here = server.host
    module("localhost", "compute_service", host=here, forced_down=True, **CLOUD)
    try:
        done = play("evacuate", "-e", f"migration_dead={here}", check=False)
    finally:
        module("localhost", "compute_service", host=here, forced_down=False, wait_for="up", **CLOUD)
    assert done.returncode != 0 and "though it is forced down" in done.text and not done.changes
    assert server.host == here


def test_the_servers_of_a_dead_host_are_rebuilt_on_another_one_by_one(server: Server) -> None:
    dead, other = server.host, Server("web-2", "")
    play("first_server", *first_servers(2))
    if other.host != dead:
        other.migrate(host=dead)
    evacuate = ("evacuate", "-e", f"migration_dead={dead}", "-e", "migration_power_off=true")
    evacuate += ("-e", "migration_rebuild_at_once=1")
    alive = play(*evacuate, check=False)
    assert alive.returncode != 0 and f"nova-compute on {dead} is up" in alive.text and not alive.changes
    assert module("localhost", "host_power", host=dead, state="on")["before"]["state"] == "on"
    evacuate += ("-e", "migration_power_off_though_up=true")
    [foretold] = [line for line in play(*evacuate, "--check").text.splitlines() if f"{dead}: web-" in line]
    assert "web-1" in foretold and "web-2" in foretold and "each takes" in foretold
    assert server.host == other.host == dead
    try:
        with server.watched("evacuation"):
            play(*evacuate)
            assert dead not in (server.host, other.host)
            _await_answer(server)
        server.must_have_booted_once()
        report = receipts()
        predicted = {each["name"]: each["planned"]["end_s"] - each["planned"]["start_s"] for each in report["receipts"]}
        assert {each["name"]: each["moved"] for each in report["receipts"]} == {"web-1": True, "web-2": True}
        rebuild_s = report["plan"]["rebuild_s"]
        assert rebuild_s > 0 and predicted == pytest.approx(dict.fromkeys(("web-1", "web-2"), rebuild_s), abs=0.01)
        assert report["plan"]["total_s"] == pytest.approx(2 * rebuild_s, abs=0.01)
        first, second = sorted(map(_latest_record, (server, other)), key=lambda record: str(record["created_at"]))
        assert first["updated_at"] <= second["created_at"]
        # As if the run had been killed when Nova was through with it.
        journal = max(RECEIPTS.glob("*.jsonl"))
        journal.write_text(journal.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
        play(*evacuate)
        [receipt] = receipts()["receipts"]
        assert (receipt["moved"], receipt["kind"], receipt["destination"]) == (True, "evacuation", server.host)
        # As the run had predicted that was killed, which taught this one.
        assert receipt["planned"] in [each["planned"] for each in report["receipts"]]
        assert 1 <= receipts()["plan"]["learned_from"] <= 9
    finally:
        module("localhost", "host_power", host=dead, state="on")
        back = {"state": "enabled", "forced_down": False, "wait_for": "up", "wait_timeout": 180}
        module("localhost", "compute_service", host=dead, **back, **CLOUD)
    assert module(dead, "libvirt_domain_info")["domains"] == []


def _latest_record(server: Server) -> dict[str, t.Any]:
    record: dict[str, t.Any] = module("localhost", "migration_info", server=server.name, **CLOUD)["migrations"][0]
    return record


def _await_answer(server: Server) -> None:
    """Until the counter has been answered again; the watch itself tells how long that took."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        asked = subprocess.run(
            ["curl", "-sf", "-m", "3", f"http://{server.address}/state"], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return
    raise AssertionError(f"{server.name} does not answer at {server.address} within 120 s")
