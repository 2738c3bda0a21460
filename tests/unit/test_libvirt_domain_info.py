# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain_info against a hypervisor in memory, and against libvirt's own test driver where it is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, GuestAddress, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import Job, read_domains
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_domain_info
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeDomain, FakeHypervisor
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

FIXTURES = Path(__file__).parent / "fixtures" / "libvirt"
MAC = "52:54:00:ab:cd:ef"
LEASE, AGENT, ARP = (GuestAddress(MAC, address, 24, source) for address, source in (
    ("192.0.2.7", "lease"), ("192.0.2.8", "agent"), ("192.0.2.7", "arp"),
))  # fmt: skip
# As virConnectGetAllDomainStats of QEMU gives them.
STATISTICS = {
    "net.count": 1,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 110,
    "block.count": 3,
    "block.0.name": "vda",
    "block.0.rd.bytes": 4096,
    "block.1.name": "vda",
    "block.1.backingIndex": 3,
    "block.2.name": "sda",
    "block.2.rd.reqs": 2,
}


@pytest.fixture
def hypervisor():
    """One domain that runs, as libvirt 11.3 and QEMU 10 describe it, and one that does not."""
    fake = FakeHypervisor()
    defined, live = (ElementTree.parse(FIXTURES / name).getroot() for name in ("defined.xml", "live.xml"))
    identity = defined.findtext("uuid")
    fake.known["vm1"] = FakeDomain(fake, "vm1", identity, defined, live, Condition(State.RUNNING, "migrated"))
    fake.known["vm1"].autostarts = True
    fake.known["vm1"].known_addresses = (LEASE, AGENT, ARP)
    fake.define(
        "<domain type='test'><name>a-small-one</name><memory unit='MiB'>64</memory><vcpu current='1'>4</vcpu>"
        "<os><type>hvm</type></os><devices><disk type='network' device='disk'><driver name='qemu' type='raw'/>"
        "<source protocol='rbd' name='vms/small'/><target dev='vda' bus='virtio'/></disk>"
        "<disk type='volume'><source pool='fast' volume='v1'/><target dev='vdb'/></disk></devices></domain>",
        validate=True,
    )
    fake.counted = {identity: STATISTICS}
    return fake


def read(hypervisor, names=None, sources=("lease", "agent")):
    return {each.name: each for each in read_domains(hypervisor, names, sources)}


def test_a_running_domain_is_described_as_it_is(hypervisor):
    found = read(hypervisor)["vm1"]
    assert (found.state, found.reason, found.persistent, found.autostart) == ("running", "migrated", True, True)
    assert (found.vcpus, found.max_vcpus, found.memory_kib, found.max_memory_kib) == (2, 2, 262144, 262144)
    assert (found.virtualization, found.arch, found.machine) == ("qemu", "x86_64", "pc-q35-10.0")
    assert (found.cpu_mode, found.cpu.model, found.pinned, found.secrets) == ("custom", "qemu64", (), ())
    assert (found.snapshots, found.checkpoints, found.managed_save) == (0, 0, False)
    disk, cdrom = found.disks
    assert (disk.target, disk.bus, disk.source, disk.format) == ("vda", "virtio", "/images/vm1.qcow2", "qcow2")
    assert disk.statistics == {"rd_bytes": 4096} and not disk.read_only
    assert (cdrom.device, cdrom.source, cdrom.read_only, cdrom.statistics) == ("cdrom", None, True, {"rd_reqs": 2})
    (interface,) = found.interfaces
    assert (interface.mac, interface.source, interface.target, interface.model) == (MAC, "br0", "vnet0", "virtio")
    assert interface.statistics == {"rx_bytes": 110} and found.job is None


def test_a_domain_that_is_off_is_described_as_it_is_defined(hypervisor):
    found = read(hypervisor)["a-small-one"]
    assert (found.state, found.vcpus, found.max_vcpus, found.memory_kib) == ("shut_off", 1, 4, 65536)
    assert [each.source for each in found.disks] == ["rbd:vms/small", "fast/v1"]
    assert found.disks[0].statistics == {}


def test_names_choose(hypervisor):
    assert list(read(hypervisor)) == ["a-small-one", "vm1"]
    assert list(read(hypervisor, ["vm1", "none"])) == ["vm1"]
    assert read(hypervisor, []) == {}


def test_addresses_come_from_those_who_know_each_once(hypervisor):
    def addresses(*sources):
        return read(hypervisor, ["vm1"], sources)["vm1"].interfaces[0].addresses

    assert addresses("lease", "agent") == (LEASE,)
    target = hypervisor.known["vm1"].running.find("devices/channel/target")
    target.set("state", "connected")
    assert addresses("lease", "agent", "arp") == (LEASE, AGENT)
    assert addresses("arp", "lease") == (ARP,)
    target.set("name", "com.redhat.spice.0")
    assert addresses("agent") == ()


def test_an_agent_that_hangs_is_no_reason_to_know_nothing(hypervisor, monkeypatch):
    def hang(_self, source):
        raise CallError("domain vm1", "no answer", "an answer", "Look.")

    monkeypatch.setattr(FakeDomain, "addresses", hang)
    assert read(hypervisor)["vm1"].interfaces[0].addresses == ()


def test_a_job_is_named(hypervisor):
    hypervisor.known["vm1"].job_statistics = {"type": 2, "operation": 5, "data_remaining": 4096}
    assert read(hypervisor)["vm1"].job == Job("unbounded", "migration_out", {"data_remaining": 4096})
    hypervisor.known["vm1"].job_statistics = {"type": 1, "operation": 99}
    assert read(hypervisor)["vm1"].job == Job("bounded", "unknown", {})


def test_a_domain_that_goes_meanwhile_is_left_out(hypervisor, monkeypatch):
    gone = hypervisor.known["vm1"]
    monkeypatch.setattr(FakeHypervisor, "domains", lambda self: [*self.known.values(), gone])
    del hypervisor.known["vm1"]
    assert list(read(hypervisor)) == ["a-small-one"]
    hypervisor.known["vm1"] = gone
    monkeypatch.setattr(FakeDomain, "persistent", lambda self: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        read(hypervisor)


def test_the_test_driver_is_described():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0, read_only=True) as connection:
        found = read(connection)["test"]
    assert (found.state, found.persistent, found.vcpus, found.memory_kib) == ("running", True, 2, 2097152)
    assert [(each.target, each.source) for each in found.disks] == [("vda", "/guest/diskimage1")]
    assert [each.source for each in found.interfaces] == ["default"] and found.job is None


def test_the_module_returns_plain_values(monkeypatch, hypervisor):
    asked = []

    def connect(uri, timeout, read_only):
        asked.append((uri, timeout, read_only))
        return contextlib.nullcontext(hypervisor)

    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_domain_info, "connected", connect)
    result = run_module(libvirt_domain_info.main, uri="qemu:///session", names=["vm1"])
    assert not result["changed"] and [each["name"] for each in result["domains"]] == ["vm1"]
    assert result["domains"][0]["interfaces"][0]["addresses"] == [
        {"mac": MAC, "address": "192.0.2.7", "prefix": 24, "source": "lease"}
    ]
    cpu = result["domains"][0]["cpu"]
    assert cpu == {"model": "qemu64", "vendor": None, "features": ["hypervisor", "lahf_lm"], "without": []}
    run_module(libvirt_domain_info.main, addresses=["lease", "arp"])
    assert asked == [("qemu:///session", 60.0, False), ("qemu:///system", 60.0, True)]


def test_the_module_names_the_library_it_lacks(monkeypatch):
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", "ImportError: no libvirt")
    failed = run_module(libvirt_domain_info.main)
    assert failed["failed"] and "libvirt-python" in failed["msg"]
