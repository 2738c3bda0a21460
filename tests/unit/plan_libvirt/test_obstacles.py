# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a domain cannot go to a host, from what the modules for libvirt return of both."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_samples import (
    CAPABILITIES,
    DOMAIN_CAPABILITIES,
    network,
    pool,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_libvirt_samples import (
    IN_CEPH,
    KEY,
    ON_BRIDGE,
    ON_DEVICE,
    ON_NETWORK,
    ON_NFS,
    OWN,
    RICH_CPU,
    WEB,
    against,
    fleet,
    kvm,
    run,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB


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


def test_a_host_has_one_domain_of_a_name(told):
    found = against(told(run(kvm(1)), run(kvm(2), identity=WEB.replace("9", "8"))))
    assert found == [
        ("group", "server group domains called web has 1 there, and its policy anti-affinity allows 1 on a host")
    ]
