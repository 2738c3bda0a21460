# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and servers of a plan, from what the modules for libvirt return of hypervisors in memory."""

from __future__ import annotations

import contextlib
import copy
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import (
    Condition,
    Described,
    GuestAddress,
    Leftovers,
    State,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import read_domains
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import read_host
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Network, Pool, read_resources
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_results import domains_of, host_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_libvirt import fleet_of_libvirt
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_domain_info, libvirt_host_info, migration_plan
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_samples import (
    CAPABILITIES,
    DOMAIN_CAPABILITIES,
    hypervisor,
    network,
    pool,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, MIB
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

KEY = "1e2d3c4b-5a69-4788-8796-a5b4c3d2e1f0"
WEB = "97a39d8b-e245-4420-bffb-88b87168e39c"
OWN = "<disk type='file'><source file='/images/web.qcow2'/><target dev='vda'/></disk>"
ON_NFS = "<disk type='file'><source file='/srv/nfs/web.qcow2'/><target dev='vda'/></disk>"
IN_CEPH = (
    f"<disk type='network'><auth username='nova'><secret type='ceph' uuid='{KEY}'/></auth>"
    "<source protocol='rbd' name='vms/web'/><target dev='vda'/></disk>"
)
ON_BRIDGE = "<interface type='bridge'><source bridge='br0'/></interface>"
ON_NETWORK = "<interface type='network'><source network='default'/></interface>"
ON_DEVICE = "<interface type='direct'><source dev='eth1'/></interface>"
RICH_CPU = "<cpu mode='custom'><model>EPYC</model><feature policy='require' name='umip'/>"
RICH_CPU += "<feature policy='disable' name='svm'/></cpu>"
SIZES = {"block.count": 1, "block.0.name": "vda", "block.0.capacity": 10 * GIB, "block.0.physical": 2 * GIB}


def kvm(number, **parts):
    """A hypervisor with 8 GiB and 3 processors, that has all that the domains of these tests need."""
    capabilities = CAPABILITIES.replace("11111111", str(number) * 8).replace(">2048<", f">{8 * 2**20}<")
    has = {
        "capabilities_xml": capabilities.replace(">4096<", ">0<"),
        "host": f"kvm{number}",
        "pools_found": [pool("images", "dir", "/images"), pool("nfs", "netfs", "/srv/nfs", "<dir path='/export'/>")],
        "networks_found": [network("default")],
        "interfaces_found": ["br0", "eth0", "eth1"],
        "secrets_found": [KEY],
    }
    return hypervisor(**{**has, **parts})


def run(fake, name="web", devices="", cpu="", identity=WEB, machine="pc-q35-10.0", kind="kvm", memory=1024, start=True):
    """Define a domain on a hypervisor, and start it."""
    fake.define(
        f"<domain type='{kind}'><name>{name}</name><uuid>{identity}</uuid><memory unit='MiB'>{memory}</memory>"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os>{cpu}<devices>{devices}</devices></domain>",
        validate=True,
    )
    if start:
        fake.known[name].start()
    fake.counted = {identity: SIZES}
    return fake


@pytest.fixture
def told(monkeypatch):
    """What the two modules return of hypervisors, as a playbook hands it on."""
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)

    def tell(*fakes, **more):
        entries = []
        for fake in fakes:
            for module in (libvirt_host_info, libvirt_domain_info):
                monkeypatch.setattr(module, "connected", lambda *_args, fake=fake, **_: contextlib.nullcontext(fake))
            results = {"host": run_module(libvirt_host_info.main), "domains": run_module(libvirt_domain_info.main)}
            entries.append({"name": fake.host, **results, **more})
        return entries

    return tell


def fleet(entries):
    return fleet_of_libvirt(entries, assumed={"bandwidth": 1.25e8, "dirty_rate": 1e6})


def against(entries):
    of = fleet(entries)
    return [(each.subject, each.reason) for each in Matrix(of).against(of.servers[WEB], "kvm2", Layout(of))]


def test_results_become_what_they_were_made_from(told):
    fake = run(kvm(1), devices=OWN + ON_BRIDGE + IN_CEPH.replace("vda", "vdb"), cpu=RICH_CPU)
    web = fake.known["web"]
    mac = ElementTree.fromstring(web.definition(live=True)).find("devices/interface/mac").get("address")
    web.known_addresses = (GuestAddress(mac, "192.0.2.7", 24, "lease"),)
    web.job_statistics = {"type": 2, "operation": 9, "data_remaining": 1}
    [entry] = told(fake)
    assert host_of(entry["host"], "kvm1") == (read_host(fake), read_resources(fake))
    domains = domains_of(entry["domains"], "kvm1")
    assert domains == tuple(read_domains(fake, None, ["lease"]))
    assert domains[0].interfaces[0].addresses == web.known_addresses and domains[0].job and len(domains[0].disks) == 2


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
    ("there", "guest", "subject", "words"),
    [
        ({"interfaces_found": ["eth0"]}, {"devices": ON_BRIDGE}, "network", "the host lacks bridge br0"),
        ({"interfaces_found": ["eth0"]}, {"devices": ON_DEVICE}, "network", "the host lacks interface eth1"),
        ({"networks_found": [network("default", False)]}, {"devices": ON_NETWORK}, "network", "lacks network default"),
        ({"secrets_found": []}, {"devices": IN_CEPH}, "storage", f"the host lacks secret {KEY}"),
        (
            {"pools_found": [pool("nfs", "netfs", "/srv/nfs", "<dir path='/other'/>")]},
            {"devices": ON_NFS},
            "storage",
            "the host lacks shared directory /srv/nfs from nas:/export",
        ),
        (
            {"pools_found": []},
            {"devices": "<disk type='volume'><source pool='nfs' volume='web'/><target dev='vda'/></disk>"},
            "storage",
            "the host lacks storage pool nfs",
        ),
        (
            {"domain_capabilities_xml": DOMAIN_CAPABILITIES.replace("'require' name='umip'", "'disable' name='umip'")},
            {"cpu": RICH_CPU},
            "cpu",
            "EPYC on the destination lacks umip",
        ),
        (
            {"capabilities_xml": CAPABILITIES.replace("<model>EPYC<", "<model>EPYC-Rome<").replace("2048", "8388608")},
            {"cpu": "<cpu mode='host-passthrough'/>"},
            "cpu",
            "EPYC on the source, EPYC-Rome on the destination",
        ),
        (
            {"capabilities_xml": kvm(2).capabilities_xml.replace("pc-q35-10.0", "pc-q35-9.2")},
            {},
            "machine type",
            "the destination does not know pc-q35-10.0",
        ),
        (
            {"capabilities_xml": kvm(2).capabilities_xml.replace("type='kvm'", "type='xen'")},
            {},
            "virtualization",
            "the domain is of type kvm, the destination has qemu, xen",
        ),
        ({}, {"memory": 8193}, "capacity", "GiB of memory, which the host does not have free"),
    ],
)
def test_each_refusal_has_its_reason(told, there, guest, subject, words):
    found = against(told(run(kvm(1), **guest), kvm(2, **there)))
    assert [each for each, _reason in found if each != "identity"] == [subject]
    assert words in found[-1][1]


def test_a_disk_that_is_copied_needs_a_pool_and_room(told):
    no_pool = against(told(run(kvm(1), devices=OWN), kvm(2, pools_found=[])))
    assert no_pool[0] == ("storage", "the host lacks storage pool for /images")
    # Two pools on one file system have its room once.
    small = [pool(name, "dir", path, free=5 * GIB) for name, path in (("images", "/images"), ("more", "/more"))]
    [(subject, reason)] = against(told(run(kvm(1), devices=OWN), kvm(2, pools_found=small)))
    assert (subject, reason) == ("capacity", "needs 10 GiB of disk, which the host does not have free")
    assert against(told(run(kvm(1), devices=OWN), kvm(2, pools_found=small), disk=20 * GIB)) == []


def test_what_is_shared_is_not_copied(told):
    on_nfs = fleet(told(run(kvm(1), devices=ON_NFS), kvm(2))).servers[WEB]
    assert (on_nfs.needs.storage, on_nfs.local_disk, on_nfs.takes.disk) == ("volume", 0, 0)
    named = told(run(kvm(1), devices=OWN), kvm(2), shared=["/images"])
    assert fleet(named).servers[WEB].local_disk == 0 and against(named) == []
    del named[1]["shared"]
    assert against(named) == [("storage", "the host lacks shared directory /images")]


def test_what_libvirt_cannot_tell_is_not_refused(told):
    nothing = dict.fromkeys(["pools_found", "networks_found", "interfaces_found", "secrets_found"])
    devices = OWN + IN_CEPH.replace("vda", "vdb") + ON_BRIDGE + ON_NETWORK
    assert against(told(run(kvm(1), devices=devices), kvm(2, **nothing))) == []


def test_an_older_libvirt_is_a_risk(told):
    of = fleet(told(run(kvm(1)), kvm(2, libvirt_version="9.0.0"), kvm(3)))
    seen = Matrix(of).destinations(of.servers[WEB], "kvm1")
    assert (seen.risky, seen.safe) == ({"kvm2"}, {"kvm1", "kvm3"})


def test_hosts_that_libvirt_takes_for_one_are_refused(told):
    cloned = against(told(run(kvm(1)), kvm(2, capabilities_xml=kvm(1).capabilities_xml)))
    assert cloned == [
        ("identity", "both hosts have the UUID 11111111-2222-4333-8444-555555555555: libvirt takes them for one host")
    ]
    entries = told(run(kvm(1)), kvm(2))
    entries[1]["host"]["host"]["hostname"] = "kvm1"
    assert "both hosts have the hostname kvm1" in against(entries)[0][1]


def test_processors_that_are_emulated_are_not_held_against_those_of_kvm(told):
    cpu = "<cpu mode='custom'><model>Skylake-Server</model></cpu>"
    assert against(told(run(kvm(1), cpu=cpu, kind="qemu"), kvm(2))) == []
    without = {"capabilities_xml": kvm(2).capabilities_xml.replace("type='kvm'", "type='xen'")}
    [(subject, reason)] = against(told(run(kvm(1, **without), cpu=cpu, kind="qemu"), kvm(2, **without)))[-1:]
    assert subject == "cpu" and "cannot give Skylake-Server" in reason


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


def test_a_host_has_one_domain_of_a_name(told):
    found = against(told(run(kvm(1)), run(kvm(2), identity=WEB.replace("9", "8"))))
    assert found == [
        ("group", "server group domains called web has 1 there, and its policy anti-affinity allows 1 on a host")
    ]


def broken(entries, *path, value=None):
    entries = copy.deepcopy(entries)
    place = entries[0]
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return entries


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("name",), None, "host ?: found no name"),
        (("host",), None, "host kvm1: found no host"),
        (("host",), "kvm1", "result of libvirt_host_info on host kvm1: found 'kvm1'; expected a dictionary"),
        (("host", "failed"), True, "result of libvirt_host_info on host kvm1: found that the task failed"),
        (("domains", "failed"), True, "result of libvirt_domain_info on host kvm1: found that the task failed"),
        (("domains",), {"unreachable": True, "msg": "no route"}, "found that the task did not reach the host: no rout"),
        (("domains",), {"skipped": True, "skip_reason": "false"}, "found that the task skipped: false"),
        (("domains", "domains"), None, "found no domains; expected domains, as the module returns it"),
        (("host", "host", "pools"), None, "found no pools"),
        (
            ("host", "host", "cpus"),
            "3",
            "cpus in the result of libvirt_host_info on host kvm1: found '3'",
        ),
        (
            ("host", "host", "cpu", "features"),
            None,
            "cpu in the result of libvirt_host_info on host kvm1: found no",
        ),
        (("host", "host", "machines", 0, "deprecated"), 1, "deprecated in the machines in the result of"),
        (("host", "host", "pools", 0, "path"), 7, "path in the pools in the result of libvirt_host_info"),
        (("host", "host", "secrets"), [7], "secrets in the result of libvirt_host_info on host kvm1: found 7"),
        (("domains", "domains", 0, "vcpus"), True, "vcpus in the domains in the result of libvirt_domain_info"),
        (("host", "host", "nodes"), [], "host kvm1: found no NUMA node with memory"),
        (("domains", "domains", 0, "machine"), None, "found no machine"),
        (("bandwidht",), 1, "unknown bandwidht"),
        (("status",), "off", "one of enabled, disabled"),
        (("name",), "kvm2", "host kvm2: found two entries"),
        (("link",), "rack1", "link rack1, which is not given"),
    ],
)
def test_what_is_no_result_is_refused(told, path, value, words):
    entries = broken(told(run(kvm(1)), kvm(2)), *path, value=value)
    with pytest.raises(LifeboatError) as error:
        fleet(entries)
    assert words in str(error.value)


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
        assert f"mutually exclusive: {other}|libvirt" in failed["msg"]
    assert "found no bandwidth" in run_module(migration_plan.main, libvirt=entries, goal="balance")["msg"]


def test_resources_are_read(told):
    said = told(kvm(1, networks_found=[network("default"), network("isolated", False)]))[0]["host"]["host"]
    assert said["pools"][1] == {
        "name": "nfs",
        "type": "netfs",
        "active": True,
        "path": "/srv/nfs",
        "source": "nas:/export",
        "capacity": 100 * GIB,
        "available": 50 * GIB,
    }
    assert said["pools"][0]["source"] is None
    assert said["networks"][1] == {"name": "isolated", "active": False, "bridge": "virbr0"}
    assert (said["interfaces"], said["secrets"]) == (["br0", "eth0", "eth1"], [KEY])
    assert read_resources(kvm(1, interfaces_found=[])).interfaces is None
    stopped = read_resources(kvm(1, pools_found=[Described(pool("images", "dir", "/images").xml, False)])).pools
    assert stopped == (Pool("images", "dir", False, "/images", None, 0, 0),)


def test_resources_of_the_test_driver_are_read():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        found = read_resources(connection)
    assert Network("default", True, "virbr0") in found.networks
    assert [(each.name, each.type, each.active) for each in found.pools] == [("default-pool", "dir", True)]
    assert found.pools[0].capacity and found.interfaces
