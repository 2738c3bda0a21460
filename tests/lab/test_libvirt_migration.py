# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest moves between the two hypervisors in every mode, and stays whole where that is not allowed to succeed.

It has a disk in Ceph, or one of its own that is copied. It rewrites 60 MiB of memory faster than the link, which is
held to 20 MiB a second, carries. Its counter must never go back, and it must not have been booted anew.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from own_guest import HOSTS, NAME, PLACE, POOL, Moving, moving, prepared
from standing_lab import ROOT, module, shell

BUSY = {"bandwidth": 20}


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    with prepared():
        yield


@pytest.fixture
def shared(hosts: None) -> Iterator[Moving]:
    with moving("shared") as guest:
        yield guest


@pytest.fixture
def own(hosts: None) -> Iterator[Moving]:
    with moving("own") as guest:
        yield guest


def test_a_guest_that_writes_faster_than_the_link_ends_within_its_bounds(shared):
    plain = shared.migrate()["migration"]
    assert plain["ended_by"] == "pre_copy" and plain["downtime_ms"] < 2000 and plain["memory_bytes"] > 50 << 20
    assert "enable" in shell(shared.here, f"virsh dominfo {NAME} | grep Autostart")
    shared.write_memory()
    refused = shared.migrate(check=False, max_seconds=6, **BUSY)
    assert refused["failed"] and "abort at 6" in refused["found"] and "the guest is running" in refused["found"]
    throttled = shared.migrate(max_seconds=6, then="throttle", **BUSY)["migration"]
    assert throttled["ended_by"] == "throttle" and throttled["total_s"] < 30
    post_copy = shared.migrate(max_seconds=6, then="post_copy", **BUSY)["migration"]
    assert post_copy["ended_by"] == "post_copy" and post_copy["total_s"] < 30
    # Slower than a guest that gets half of a busy processor writes.
    slowed = shared.migrate(auto_converge=True, throttle_initial=70, throttle_increment=29, bandwidth=8)["migration"]
    assert slowed["ended_by"] == "auto_converge" and slowed["throttle"] >= 70
    shared.stop_writing()


def test_how_fast_it_writes_is_measured_while_it_runs(shared):
    def mib_per_second():
        [found] = module(shared.here, "libvirt_dirty_rate", names=[NAME])["dirty_rates"]
        assert found["state"] == "running" and found["reason"] is None
        return found["bytes_per_second"] >> 20

    assert mib_per_second() < 20
    shared.write_memory()
    # Of 60 MiB, by 512 samples of each GiB.
    assert 20 <= mib_per_second() <= 120
    shared.stop_writing()


def begin_and_be_killed() -> None:
    """Leave libvirt with a migration to cmp2 whose run is gone."""
    arguments = json.dumps({"name": NAME, "destination": "qemu+tls://cmp2/system", "then": "post_copy", **BUSY})
    running = subprocess.Popen(
        ["ansible", "cmp1", "-m", "lifeboat.cloud.libvirt_migration", "-a", arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while "Unbounded" not in shell("cmp1", f"virsh domjobinfo {NAME}") and time.monotonic() < end:
        time.sleep(0.5)
    running.kill()
    running.wait()


def test_an_interrupted_run_is_watched_on_with_its_bounds(shared):
    shared.write_memory()
    begin_and_be_killed()
    watched = shared.migrate(max_seconds=10, then="post_copy", **BUSY)
    assert watched["actions"] == [f"watch the migration of domain {NAME} to qemu+tls://cmp2/system"]
    assert watched["migration"]["ended_by"] == "post_copy" and watched["migration"]["total_s"] < 40
    again = module("cmp1", "libvirt_migration", name=NAME, destination="qemu+tls://cmp2/system")
    assert not again["changed"]


def test_an_interrupted_run_is_aborted(shared):
    shared.write_memory()
    begin_and_be_killed()
    abort = {"name": NAME, "destination": "qemu+tls://cmp2/system", "state": "aborted"}
    aborted = module("cmp1", "libvirt_migration", **abort)
    assert aborted["actions"] == [f"abort the migration of domain {NAME}"]
    assert aborted["migration"]["ended_by"] == "abort"
    shared.check_whole()
    assert not module("cmp1", "libvirt_migration", **abort)["changed"]


@pytest.fixture
def keys(hosts: None) -> Iterator[str]:
    """What root of either hypervisor opens the other one's SSH with: a key's path."""
    # The lab gives the usual file read-only; sshd looks into this one as well.
    key, known = f"{PLACE}/key", "/root/.ssh/authorized_keys2"
    try:
        for here, there in (HOSTS, HOSTS[::-1]):
            shell(here, f"[ -e {key} ] || ssh-keygen -q -t ed25519 -N '' -f {key}")
            public = shell(here, f"cat {key}.pub")
            shell(there, f"umask 077; echo '{public}' >{known}")
        yield key
    finally:
        for host in HOSTS:
            shell(host, f"rm -f {known}")


def test_it_goes_by_several_connections_through_libvirt_and_over_ssh(shared, keys):
    several = shared.migrate(connections=2)["migration"]
    assert several["ended_by"] == "pre_copy" and several["memory_bytes"] > 50 << 20
    assert shared.migrate(tunnelled=True)["migration"]["ended_by"] == "pre_copy"
    over_ssh = f"qemu+ssh://root@{shared.there}/system?keyfile={keys}&no_verify=1&no_tty=1"
    assert shared.migrate(tunnelled=True, destination=over_ssh)["migration"]["ended_by"] == "pre_copy"


def test_a_plan_from_both_hypervisors_knows_where_a_guest_can_go_and_why_not(own):
    def plan():
        # The lab's other guests take more processors than its hosts have.
        sites = [
            {
                "name": host,
                "host": module(host, "libvirt_host_info"),
                "domains": module(host, "libvirt_domain_info", addresses=[]),
                "vcpus": 64,
            }
            for host in HOSTS
        ]
        wish = {"server": NAME, "destination": own.there}
        return module(
            "localhost", "migration_plan", libvirt=sites, goal="move", moves=[wish], assumed={"bandwidth": 1.25e8}
        )

    planned = plan()
    [step] = planned["steps"]
    assert (step["name"], step["source"], step["destination"]) == (NAME, own.here, own.there)
    assert (step["mode"], planned["unplaced"]) == ("pre-copy", [])
    # Its disk goes along.
    assert 0 < step["assumed"]["disk"] < 72 << 20
    shell(own.there, f"virsh pool-destroy {POOL}")
    try:
        refused = plan()
    finally:
        shell(own.there, f"virsh pool-start {POOL}")
    [stays] = refused["unplaced"]
    obstacle = {"subject": "storage", "reason": f"the host lacks storage pool for {PLACE}"}
    assert refused["steps"] == []
    assert stays["reasons"] == [{"hosts": [own.there], "obstacles": [obstacle]}]


def test_a_disk_of_its_own_goes_along_and_leaves_nothing_when_it_cannot(own):
    refused = own.migrate(check=False, copy_storage=True, bandwidth=3, max_seconds=4)
    assert "MiB of disks sent" in refused["found"]
    assert f"{NAME}.qcow2" not in shell("cmp2", f"ls {PLACE}")
    moved = own.migrate(copy_storage=True)["migration"]
    # What the guest writes meanwhile goes twice.
    assert 64 << 20 <= moved["disk_bytes"] < 72 << 20
    assert "copying disks" in [each["phase"] for each in moved["timeline"]]
    shell("cmp2", f"virsh destroy {NAME}")
    offline = {"name": NAME, "destination": "qemu+tls://cmp1/system", "mode": "offline"}
    assert module("cmp2", "libvirt_migration", **offline)["migration"]["ended_by"] == "offline"
    assert NAME in shell("cmp1", "virsh list --all --name") and NAME not in shell("cmp2", "virsh list --all --name")
