# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_host_info, and whether two hosts can exchange domains."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_compatibility import (
    Guest,
    Weight,
    can_migrate,
    guest_of,
    obstacles,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import (
    CpuModel,
    Machine,
    Node,
    read_host,
    transport,
)
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_host_info
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_samples import CAPABILITIES, hypervisor
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

LIVE = Path(__file__).parent / "fixtures" / "libvirt" / "live.xml"
HOST = read_host(hypervisor())
OTHER = replace(HOST, uuid="66666666-2222-4333-8444-555555555555", hostname="compute2")
GUEST = Guest(virtualization="kvm", arch="x86_64", machine="pc-q35-10.0")


def test_a_host_is_read():
    assert (HOST.uuid, HOST.hostname, HOST.hypervisor) == (
        "11111111-2222-4333-8444-555555555555",
        "compute1",
        "QEMU",
    )
    assert (HOST.libvirt_version, HOST.hypervisor_version, HOST.client_version) == ("11.3.0", "10.0.13", "9.0.0")
    assert (HOST.arch, HOST.virtualization, HOST.accelerated, HOST.transport) == (
        "x86_64",
        ("qemu", "kvm"),
        True,
        "tls",
    )
    assert HOST.cpu == CpuModel("EPYC", "AMD", frozenset({"umip", "pku"}))
    assert HOST.guest_cpu == CpuModel("EPYC", "AMD", frozenset({"umip"}), frozenset({"svm"}))
    assert HOST.guest_cpu_xml.startswith(
        '<cpu mode="custom" match="exact"><model fallback="forbid">EPYC</model><vendor>'
    )
    assert HOST.usable_models == {"qemu64", "EPYC"}
    assert HOST.nodes == (Node(0, 2, 2048 * 1024, 1024**3), Node(1, 1, 4096 * 1024, 2 * 1024**3)) and HOST.cpus == 3
    assert HOST.machines == (
        Machine("pc-i440fx-10.0", "pc-i440fx-10.0", False),
        Machine("q35", "pc-q35-10.0", False),
        Machine("pc-q35-10.0", "pc-q35-10.0", False),
        Machine("pc-q35-5.2", "pc-q35-5.2", True),
        Machine("microvm", "microvm", False),
    )
    assert HOST.live_migration and HOST.migration_transports == ("tcp", "rdma")


def test_a_host_without_kvm_is_said_to_be_one():
    host = read_host(hypervisor(capabilities_xml=CAPABILITIES.replace("<domain type='kvm'>", "<domain type='xen'>")))
    assert not host.accelerated and host.virtualization == ("qemu", "xen")
    assert "microvm" not in {each.name for each in host.machines}


def test_what_libvirt_cannot_tell_is_left_open():
    host = read_host(hypervisor(domain_capabilities_xml=""))
    assert host.guest_cpu is None and host.guest_cpu_xml is None and host.usable_models is None


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("qemu:///system", "unix"),
        ("qemu+unix:///system?socket=/x", "unix"),
        ("qemu://host/system", "tls"),
        ("qemu+ssh://root@host/system", "ssh"),
        ("qemu+tcp://host/system", "tcp"),
        ("test:///default", "unix"),
    ],
)
def test_the_transport_is_in_the_uri(uri, named):
    assert transport(uri) == named


def test_hosts_that_are_alike_can_exchange_domains():
    assert obstacles(HOST, OTHER) == [] and obstacles(HOST, OTHER, GUEST) == []
    assert can_migrate([])


CPU = {"cpu_mode": "custom"}


@pytest.mark.parametrize(
    ("source", "destination", "guest", "subject", "weight", "says"),
    [
        ({}, {"uuid": HOST.uuid}, {}, "host uuid", Weight.BLOCKS, "host_uuid in libvirtd.conf"),
        ({}, {"hostname": "compute1"}, {}, "hostname", Weight.BLOCKS, "both hosts are called compute1"),
        ({}, {"hypervisor": "Xen"}, {}, "hypervisor", Weight.BLOCKS, "Xen on the destination"),
        (
            {},
            {"hypervisor_version": "9.2.0"},
            {},
            "QEMU",
            Weight.RISK,
            "9.2.0 on the destination is older",
        ),
        ({}, {"libvirt_version": "9.0.0"}, {}, "libvirt", Weight.RISK, "older than 11.3.0"),
        ({}, {"live_migration": False}, {}, "live migration", Weight.BLOCKS, "libvirt on the destination"),
        ({}, {"arch": "aarch64"}, {}, "architecture", Weight.BLOCKS, "x86_64 in the domain, aarch64"),
        (
            {},
            {"virtualization": ("qemu",)},
            {},
            "virtualization",
            Weight.BLOCKS,
            "the destination has qemu",
        ),
        ({}, {}, {"machine": "pc-q35-11.0"}, "machine type", Weight.BLOCKS, "does not know pc-q35-11.0"),
        (
            {"machines": (Machine("q35", "pc-q35-11.0", False),)},
            {},
            {"machine": "q35"},
            "machine type",
            Weight.BLOCKS,
            "does not know pc-q35-11.0",
        ),
        ({}, {}, {**CPU, "cpu": CpuModel("Skylake-Server")}, "cpu", Weight.BLOCKS, "cannot give Skylake-Server"),
        (
            {},
            {"guest_cpu": CpuModel("EPYC", "AMD", frozenset(), frozenset({"svm"}))},
            {**CPU, "cpu": HOST.guest_cpu},
            "cpu",
            Weight.BLOCKS,
            "EPYC on the destination lacks umip",
        ),
        (
            {},
            {},
            {**CPU, "cpu": CpuModel("EPYC")},
            "cpu",
            Weight.BLOCKS,
            "EPYC on the destination lacks svm",
        ),
        (
            {},
            {},
            {**CPU, "cpu": CpuModel("qemu64", None, frozenset({"svm"}))},
            "cpu",
            Weight.BLOCKS,
            "EPYC on the destination lacks svm",
        ),
        (
            {},
            {},
            {**CPU, "cpu": CpuModel("qemu64", None, frozenset({"aes"}))},
            "cpu",
            Weight.RISK,
            "whether EPYC on the destination includes aes is not known here",
        ),
        (
            {},
            {"cpu": CpuModel("EPYC", "AMD", frozenset({"pku"}))},
            {"cpu_mode": "host-passthrough"},
            "cpu",
            Weight.BLOCKS,
            "the hosts differ in umip",
        ),
        ({}, {}, {"cpu_mode": "host-passthrough"}, "cpu", Weight.RISK, "the same microcode"),
        ({}, {"guest_cpu": None}, {**CPU, "cpu": HOST.guest_cpu}, "cpu", Weight.RISK, "does not say"),
    ],
)
def test_each_obstacle_is_named(source, destination, guest, subject, weight, says):
    found = obstacles(replace(HOST, **source), replace(OTHER, **destination), replace(GUEST, **guest))
    assert [(each.subject, each.weight) for each in found] == [(subject, weight)]
    assert says in found[0].reason
    assert can_migrate(found) is (weight is Weight.RISK)


def test_without_a_domain_the_hosts_are_compared_as_such():
    fewer = replace(OTHER, machines=HOST.machines[1:])
    assert [(each.subject, each.weight) for each in obstacles(HOST, fewer)] == [("machine type", Weight.RISK)]
    none = replace(OTHER, machines=(Machine("pc-q35-2.0", "pc-q35-2.0", True),))
    assert [(each.subject, each.weight) for each in obstacles(HOST, none)] == [("machine type", Weight.BLOCKS)]
    poorer = replace(OTHER, guest_cpu=CpuModel("EPYC", "AMD", frozenset(), HOST.guest_cpu.without))
    assert "lacks umip" in obstacles(HOST, poorer)[0].reason
    assert obstacles(poorer, HOST) == obstacles(HOST, HOST)[2:] + obstacles(poorer, HOST)


def test_a_guest_is_what_its_definition_says():
    guest = guest_of(ElementTree.parse(LIVE).getroot())
    assert guest == Guest(
        virtualization="qemu",
        arch="x86_64",
        machine="pc-q35-10.0",
        cpu_mode="custom",
        cpu=CpuModel("qemu64", None, frozenset({"hypervisor", "lahf_lm"})),
    )
    assert guest_of(ElementTree.fromstring("<domain type='kvm'/>")) == Guest(virtualization="kvm", arch="", machine="")
    tuned = guest_of(
        ElementTree.fromstring(
            "<domain><cpu><model>EPYC</model><feature name='a'/><feature policy='disable' name='b'/></cpu></domain>"
        )
    )
    assert tuned.cpu_mode == "custom" and tuned.cpu == CpuModel("EPYC", None, frozenset("a"), frozenset("b"))


FEATURES = st.frozensets(st.sampled_from(["a", "b", "c"]))


@given(here=FEATURES, there=FEATURES)
def test_a_host_can_take_the_cpu_of_another_when_it_has_all_its_features(here, there):
    found = obstacles(
        replace(HOST, guest_cpu=CpuModel("EPYC", "AMD", here)), replace(OTHER, guest_cpu=CpuModel("EPYC", "AMD", there))
    )
    assert can_migrate(found) is (here <= there)


def test_the_test_driver_is_described():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        host = read_host(connection)
    assert host.hypervisor == "TEST" and host.hostname and host.virtualization == ("test",)
    assert host.cpus == 16 and len(host.nodes) == 2 and all(node.free for node in host.nodes)


def test_the_module_returns_plain_values(monkeypatch):
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_host_info, "connected", lambda uri, timeout: contextlib.nullcontext(hypervisor()))
    result = run_module(libvirt_host_info.main)
    host = result["host"]
    assert not result["changed"] and host["accelerated"] is True
    assert host["cpu"] == {"model": "EPYC", "vendor": "AMD", "features": ["pku", "umip"], "without": []}
    assert host["usable_models"] == ["EPYC", "qemu64"] and host["machines"][1]["canonical"] == "pc-q35-10.0"


def test_the_module_names_the_library_it_lacks(monkeypatch):
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", "ImportError: no libvirt")
    failed = run_module(libvirt_host_info.main)
    assert failed["failed"] and "libvirt-python" in failed["msg"]
