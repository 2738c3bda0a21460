# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and servers of a plan, from what the modules for libvirt return of hypervisors in memory."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.modules import migration_plan
from ansible_collections.lifeboat.cloud.tests.unit.plan_libvirt_samples import (
    IN_CEPH,
    ON_BRIDGE,
    ON_DEVICE,
    ON_NETWORK,
    OWN,
    RICH_CPU,
    WEB,
    against,
    fleet,
    kvm,
    run,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, MIB
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


def test_a_fleet_is_what_libvirt_tells(told):
    of = fleet(told(run(kvm(1), devices=OWN + ON_BRIDGE), kvm(2)))
    web = of.servers[WEB]
    assert (web.name, web.host, web.status, web.movable, web.dirty_rate) == ("web", "kvm1", "ACTIVE", "live", 1e6)
    assert (web.takes.vcpus, web.takes.memory, web.takes.disk) == (1, GIB, 10 * GIB)
    assert (web.memory, web.local_disk, web.needs.storage) == (GIB, 2 * GIB, "local")
    first, second = of.hosts.values()
    assert (first.capacity.vcpus, first.capacity.memory, first.bandwidth) == (3, 8 * GIB, 1.25e8)
    # What is free in the pool for its disk, and what it has there.
    assert (first.capacity.disk, second.capacity.disk) == (60 * GIB, 50 * GIB)
    # Hosts that are alike are one class.
    assert first.traits == second.traits
    assert against(told(run(kvm(1), devices=OWN + ON_BRIDGE + ON_NETWORK + ON_DEVICE), kvm(2))) == []
    assert against(told(run(kvm(1), devices=IN_CEPH, cpu=RICH_CPU), kvm(2))) == []


@pytest.mark.parametrize(
    ("guest", "changes", "movable", "reason"),
    [
        ({"start": False}, {}, "cold", ""),
        ({"start": False, "devices": OWN}, {}, "none", "libvirt copies disks such as vda only while it runs"),
        ({}, {"found": Condition(State.PAUSED, "user")}, "live", ""),
        ({}, {"found": Condition(State.PAUSED, "migration")}, "none", "it is paused (migration)"),
        ({}, {"found": Condition(State.CRASHED, "panicked")}, "none", "it is crashed (panicked)"),
        ({}, {"job_statistics": {"type": 2, "operation": 9}}, "none", "libvirt is busy with it (backup)"),
        ({}, {"left": Leftovers(snapshots=2)}, "none", "it has 2 snapshots of libvirt, which do not move"),
        ({}, {"left": Leftovers(checkpoints=1)}, "none", "it has 1 checkpoints"),
        ({"start": False}, {"left": Leftovers(managed_save=True)}, "none", "its saved memory does not move"),
        ({"devices": "<hostdev type='pci'/>"}, {}, "none", "what stays with its host: host device (pci)"),
        ({"devices": "<hostdev type='pci'><teaming type='transient'/></hostdev>"}, {}, "live", ""),
        ({"devices": "<interface type='vdpa'/>"}, {}, "none", "vdpa interface"),
        ({"devices": "<filesystem/><shmem/>"}, {}, "none", "directory of the host, shared memory device"),
        ({"devices": "<disk type='nvme'><target dev='vda'/></disk>"}, {}, "none", "nvme disk"),
        (
            {"devices": "<disk type='volume'><source pool='images' volume='web'/><target dev='vda'/></disk>"},
            {},
            "none",
            "its disk vda is a volume that only its host has",
        ),
        ({"devices": OWN.replace("<target", "<readonly/><target")}, {}, "live", ""),
    ],
)
def test_what_cannot_move_says_why(told, guest, changes, movable, reason):
    fake = run(kvm(1), **guest)
    for name, value in changes.items():
        setattr(fake.known["web"], name, value)
    web = fleet(told(fake, kvm(2))).servers[WEB]
    assert web.movable == movable and (reason in web.reason if reason else not web.reason)


def test_one_that_is_under_way_counts_on_both_hosts(told):
    source, destination = run(kvm(1)), run(kvm(2))
    source.known["web"].job_statistics = {"type": 2, "operation": 5}
    destination.known["web"].found = Condition(State.PAUSED, "migration")
    web = fleet(told(source, destination)).servers[WEB]
    assert (web.host, web.bound_for) == ("kvm1", "kvm2")


def test_a_domain_counts_once(told):
    # Cluster managers define a domain on every host.
    of = fleet(told(run(kvm(1), start=False), run(kvm(2)), run(kvm(3), start=False)))
    assert [(each.host, each.status) for each in of.servers.values()] == [("kvm2", "ACTIVE")]
    of = fleet(told(run(kvm(1), start=False), run(kvm(2), start=False)))
    assert [(each.host, each.status) for each in of.servers.values()] == [("kvm1", "SHUTOFF")]


def test_a_domain_that_runs_twice_is_refused(told):
    with pytest.raises(LifeboatError, match=r"domain web \(97a3.*: found it on kvm1 \(running\) and kvm2 \(running\)"):
        fleet(told(run(kvm(1)), run(kvm(2))))


def test_the_module_plans_from_results(told):
    web, mail = run(kvm(1), devices=OWN), kvm(2, interfaces_found=["eth0"])
    run(web, name="mail", identity=WEB.replace("9", "8"), devices=ON_BRIDGE)
    entries = told(web, mail)
    options = {"goal": "drain", "drain": ["kvm1"], "assumed": {"bandwidth": 100.0 * MIB}}
    seen = run_module(migration_plan.main, libvirt=entries, **options)
    (step,) = seen["steps"]
    assert (step["server"], step["name"], step["destination"], step["mode"]) == (WEB, "web", "kvm2", "pre-copy")
    [stays] = seen["unplaced"]
    assert stays["servers"][0]["name"] == "mail"
    against_it = {"subject": "network", "reason": "the host lacks bridge br0"}
    assert stays["reasons"] == [{"hosts": ["kvm2"], "obstacles": [against_it]}]
    moves = [{"server": "web", "destination": "kvm2"}]
    wished = run_module(migration_plan.main, libvirt=entries, goal="move", moves=moves, assumed=options["assumed"])
    assert [each["server"] for each in wished["steps"]] == [WEB]
    failed = run_module(migration_plan.main, libvirt=entries, hosts=[], **options)
    assert "mutually exclusive: hosts|path|libvirt" in failed["msg"]
    for other in ("servers", "groups"):
        failed = run_module(migration_plan.main, libvirt=entries, **{other: []}, **options)
        assert f"required by '{other}': hosts" in failed["msg"]
    failed = run_module(migration_plan.main, libvirt=entries, host_links={"kvm1": "rack1"}, **options)
    assert "mutually exclusive: libvirt|host_links" in failed["msg"]
    assert "found no bandwidth" in run_module(migration_plan.main, libvirt=entries, goal="balance")["msg"]
