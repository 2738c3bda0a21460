# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks decide on by themselves: hosts emptied, loads evened out, members of a group parted.

Three small servers, two of which should rather not share a host, are all that the cloud has. Each test first brings
them where it needs them; in the order of this file most are there already.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from openstack.compute.v2.server import Server
from openstack.connection import Connection
from standing_lab import Play, connected, judged, module, play, receipts

CLOUD = {"cloud": "admin"}
HOSTS = ("cmp1", "cmp2")
GROUP = "kept"
PAIR, SINGLE = ("kept-1", "kept-2"), "kept-3"
NAMES = (*PAIR, SINGLE)
LOAD = ("VCPU", "MEMORY_MB")
REASON = "new disk"
# In bytes per second: 128 MiB take longer than the 600 s that a live migration may.
SLOW = 1.0e5
STAYING = re.compile(r"servers ([^:]+): found no way to move them")
WAIT_S = 180


class Crew:
    """The servers, and where they are."""

    def __init__(self, cloud: Connection) -> None:
        self._cloud = cloud
        self._ids = {each.name: each.id for each in self._cloud.compute.servers(name=f"^{GROUP}-")}

    def all(self) -> dict[str, Server]:
        return {name: self._cloud.compute.get_server(key) for name, key in self._ids.items()}

    def hosts(self) -> dict[str, str]:
        return {name: server.compute_host for name, server in self.all().items()}

    def statuses(self) -> dict[str, str]:
        return {name: server.status for name, server in self.all().items()}

    def on(self, host: str) -> list[str]:
        """All that Nova has there, whosever it is."""
        return [each.name for each in self._cloud.compute.servers(all_projects=True, compute_host=host)]

    def loads(self) -> dict[str, float]:
        """Of each host the larger of the shares of its VCPUs and memory that Placement has given away."""
        found = module("localhost", "hypervisor_info", **CLOUD)["hypervisors"]
        return {
            each["host"]: max(each["resources"][name]["used"] / each["resources"][name]["capacity"] for name in LOAD)
            for each in found
        }

    def bring(self, name: str, host: str) -> None:
        server = self.all()[name]
        if server.compute_host != host:
            kind = "live" if server.status == "ACTIVE" else "cold"
            module("localhost", "server_migration", server=name, host=host, kind=kind, **CLOUD)

    def gathered(self) -> tuple[str, str]:
        """The host that has all of them, once they are there, and the other one."""
        hosts = list(self.hosts().values())
        here = max(HOSTS, key=hosts.count)
        for name in NAMES:
            self.bring(name, here)
        return here, elsewhere(here)

    def stop(self, name: str) -> None:
        server = self.all()[name]
        if server.status != "SHUTOFF":
            self._cloud.compute.stop_server(server)
            self._cloud.compute.wait_for_server(server, status="SHUTOFF", wait=WAIT_S)

    def lock(self, name: str, reason: str) -> None:
        self._cloud.compute.lock_server(self._ids[name], locked_reason=reason)

    def unlock(self, name: str) -> None:
        self._cloud.compute.unlock_server(self._ids[name])


def elsewhere(host: str) -> str:
    [other] = set(HOSTS) - {host}
    return other


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """The pair on one host, and the single server on the other."""
    play("guest_image")
    play("cloud_content")
    with connected("admin") as cloud:
        take_away(cloud)
        others = [each.name for each in cloud.compute.servers(all_projects=True)]
        assert not others, f"the cloud has the servers {others}, which these tests would move, too"
        try:
            make(cloud)
            yield Crew(cloud)
        finally:
            take_away(cloud)


def make(cloud: Connection) -> None:
    group = cloud.compute.create_server_group(name=GROUP, policy="soft-anti-affinity")
    image = cloud.image.find_image("guest", ignore_missing=False)
    flavor = cloud.compute.find_flavor("small", ignore_missing=False)
    wanted = {"image_id": image.id, "flavor_id": flavor.id, "networks": "none"}
    # Nova's weights would part the pair; nothing forbids to name one host for both.
    made = [
        cloud.compute.create_server(name=name, host="cmp1", scheduler_hints={"group": group.id}, **wanted)
        for name in PAIR
    ]
    made.append(cloud.compute.create_server(name=SINGLE, host="cmp2", **wanted))
    for server in made:
        cloud.compute.wait_for_server(server, wait=WAIT_S)


def take_away(cloud: Connection) -> None:
    left = list(cloud.compute.servers(name=f"^{GROUP}-"))
    for server in left:
        cloud.compute.delete_server(server)
    for server in left:
        cloud.compute.wait_for_delete(server, wait=WAIT_S)
    for group in cloud.compute.server_groups():
        if group.name == GROUP:
            cloud.compute.delete_server_group(group)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """For the receipts. What earlier runs have taught is not known there."""
    # As the role makes it, which so has nothing to change.
    tmp_path.chmod(0o755)
    return tmp_path


def rebalance(directory: Path, **variables: object) -> Play:
    return play("rebalance", "-e", json.dumps({"migration_report_directory": str(directory), **variables}))


def begin(host: str, directory: Path, **variables: object) -> tuple[str, str]:
    told = {"maintenance_host": host, "maintenance_reason": REASON, "migration_report_directory": str(directory)}
    return "-e", json.dumps(told | variables)


def end(host: str) -> tuple[str, str]:
    return "-e", json.dumps({"maintenance_host": host, "maintenance_state": "end"})


def service(host: str) -> tuple[str, str | None]:
    """Whether Nova sends servers to the host, and why not."""
    found: dict[str, t.Any] = module("localhost", "compute_service", host=host, **CLOUD)["service"]
    return found["status"], found["disabled_reason"]


def moved(directory: Path) -> dict[str, tuple[str, str]]:
    """By name how each server of the last run went, and where to, where nobody has to look at it."""
    thought = judged(directory)
    for name, verdict in thought.items():
        # Whatever is slow on a busy machine has arrived all the same.
        assert verdict["verdict"] in ("moved", "moved with warnings") and not verdict["serious"], (name, verdict)
    return {each["name"]: (each["kind"], each["destination"]) for each in receipts(directory)["receipts"]}


def test_idle_hosts_are_emptied(crew: Crew, directory: Path) -> None:
    here = crew.hosts()[PAIR[0]]
    crew.bring(PAIR[1], here)
    crew.bring(SINGLE, elsewhere(here))
    rebalance(directory, migration_goal="consolidate")
    assert crew.hosts() == dict.fromkeys(NAMES, here) and not crew.on(elsewhere(here))
    assert list(moved(directory)) == [SINGLE]
    assert not rebalance(directory, migration_goal="consolidate").changes
    assert crew.hosts() == dict.fromkeys(NAMES, here)


def under_way_together(directory: Path) -> int:
    """How many of the last run's moves were under way at once, at most."""
    spans = []
    for each in receipts(directory)["receipts"]:
        began = datetime.fromisoformat(each["began"]).timestamp()
        # Receipts say when without fractions, so that the next one may seem to begin before this one's end.
        spans.append((began, began + each["seconds"] - 1))
    return max(sum(began <= now < ended for began, ended in spans) for now, _ended in spans)


def test_moves_over_a_link_wait_for_each_other(crew: Crew, directory: Path) -> None:
    """The hosts would send and take two at a time, and do where their uplinks do."""
    source, destination = crew.gathered()
    uplinks = {
        "migration_goal": "drain",
        "migration_links": [{"name": f"uplink-{host}", "bandwidth": 1.25e8} for host in HOSTS],
        "migration_host_links": {host: f"uplink-{host}" for host in HOSTS},
        "migration_report_directory": str(directory),
    }
    for link in (2, 1):
        told = {"migration_drain": [source], "migration_limits": {"outgoing": 2, "incoming": 2, "link": link}}
        play("migrate", "-e", json.dumps(uplinks | told))
        assert crew.hosts() == dict.fromkeys(NAMES, destination)
        assert moved(directory) == dict.fromkeys(NAMES, ("live", destination)) and under_way_together(directory) == link
        source, destination = destination, source


def test_check_mode_foretells_a_maintenance_and_changes_nothing(crew: Crew, directory: Path) -> None:
    here, there = crew.gathered()
    crew.stop(SINGLE)
    before = crew.statuses()
    foretold = play("maintenance", *begin(here, directory), "--check").text
    for name in NAMES:
        mode = "cold" if name == SINGLE else "pre-copy"
        assert f"server {name}: {here} to {there}, {mode}," in foretold
    assert (crew.hosts(), crew.statuses()) == (dict.fromkeys(NAMES, here), before)
    assert service(here) == ("enabled", None) and not list(directory.iterdir())


def test_a_host_is_emptied_whatever_its_servers_are_like(crew: Crew, directory: Path) -> None:
    """One cannot go live in time, one must not go at all, one does not run."""
    here, there = crew.gathered()
    runs, locked = PAIR
    crew.stop(SINGLE)
    crew.lock(locked, "its owner said so")
    try:
        refused = play("maintenance", *begin(here, directory, migration_bandwidth=SLOW), check=False)
        assert refused.returncode != 0 and not refused.changes
        staying = STAYING.search(refused.text)
        assert staying and set(staying[1].split(", ")) == {runs, locked}, refused.text[-2000:]
        assert "it is locked (its owner said so)" in refused.text
        assert "whose copy does not end in 600" in refused.text and "migration_policy.cold" in refused.text
        assert crew.hosts() == dict.fromkeys(NAMES, here)
        assert service(here) == ("enabled", None) and not list(directory.iterdir())

        allowed = {"migration_policy": {"cold": True}, "migration_leave": True, "migration_bandwidth": SLOW}
        at_once = {"migration_limits": {"outgoing": 2, "incoming": 2}}
        left = play("maintenance", *begin(here, directory, **allowed, **at_once))
        assert f"2 servers moved, {locked} stayed" in left.text
        assert moved(directory) == {runs: ("cold", there), SINGLE: ("cold", there)}
        stops = {each["name"]: each["planned"]["stops_server"] for each in receipts(directory)["receipts"]}
        assert stops == {runs: True, SINGLE: False} and receipts(directory)["stayed"] == [locked]
        assert crew.hosts() == {runs: there, locked: here, SINGLE: there}
        assert crew.statuses() == {runs: "ACTIVE", locked: "ACTIVE", SINGLE: "SHUTOFF"}
        assert service(here) == ("disabled", REASON)

        crew.unlock(locked)
        emptied = play("maintenance", *begin(here, directory))
        assert f"{here}: no server, and nothing under way." in emptied.text
        assert moved(directory) == {locked: ("live", there)}
        assert crew.hosts() == dict.fromkeys(NAMES, there) and not crew.on(here)
        assert module(here, "libvirt_domain_info")["domains"] == []
        assert crew.statuses()[SINGLE] == "SHUTOFF" and service(here) == ("disabled", REASON)
        assert not play("maintenance", *begin(here, directory)).changes
    finally:
        crew.unlock(locked)
        play("maintenance", *end(here))
    assert service(here) == ("enabled", None)
    assert not play("maintenance", *end(here)).changes
    assert crew.hosts() == dict.fromkeys(NAMES, there)


def test_loads_are_evened_out_as_far_as_is_told(crew: Crew, directory: Path) -> None:
    here, there = crew.gathered()
    before = crew.loads()
    # One of three that goes away leaves a third of the difference; another one would only turn it round.
    tolerance = 0.6 * (before[here] - before[there])
    assert tolerance > 0
    rebalance(directory, migration_tolerance=tolerance)
    after = crew.loads()
    assert abs(after[here] - after[there]) <= tolerance
    hosts = crew.hosts()
    [(name, (_kind, destination))] = moved(directory).items()
    assert destination == there and hosts == dict.fromkeys(NAMES, here) | {name: there}
    assert not rebalance(directory, migration_tolerance=tolerance).changes
    assert crew.hosts() == hosts


def test_servers_that_should_rather_not_share_a_host_are_parted(crew: Crew, directory: Path) -> None:
    here = crew.hosts()[PAIR[0]]
    crew.bring(PAIR[1], here)
    third = crew.hosts()[SINGLE]
    rebalance(directory, migration_goal="spread")
    hosts = crew.hosts()
    assert {hosts[name] for name in PAIR} == set(HOSTS) and hosts[SINGLE] == third
    [(name, (kind, destination))] = moved(directory).items()
    assert name in PAIR and (kind, destination) == ("live", elsewhere(here))
    assert not rebalance(directory, migration_goal="spread").changes
    assert crew.hosts() == hosts
