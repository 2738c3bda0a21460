# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the Open Virtualization Format: what is read from them, and the bad ones that are refused."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._ova import open_package, verified
from ansible_collections.lifeboat.cloud.plugins.module_utils._ovf import parse_ovf, unit_factor
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import (
    CONTROLLER,
    CPU,
    MEMORY,
    SampleDisk,
    item,
    manifest,
    options,
    ovf,
    write_ova,
    write_tar,
)
from hypothesis import given
from hypothesis import strategies as st

if t.TYPE_CHECKING:
    from pathlib import Path

ONE = SampleDisk("disk1.vmdk", b"KDMV" + os.urandom(5000))
TWO = SampleDisk("disk2.vmdk", b"KDMV" + os.urandom(700))


def refusal(text: str) -> str:
    with pytest.raises(LifeboatError) as error:
        parse_ovf(text.encode(), "descriptor")
    return str(error.value)


def package_refusal(path: Path) -> str:
    with pytest.raises(LifeboatError) as error:
        list(verified(open_package(str(path)), "package"))
    return str(error.value)


def test_a_machine_of_vmware() -> None:
    machine = parse_ovf(ovf([ONE, TWO], firmware="efi").encode(), "descriptor").machine
    assert (machine.name, machine.vcpus, machine.memory, machine.firmware) == ("web1", 2, 2 * 2**30, "uefi")
    assert machine.os_type == "linux"
    assert [(disk.name, disk.bus, disk.controller, disk.capacity, disk.reference) for disk in machine.disks] == [
        ("disk0", "scsi", "virtualscsi", 16 * 2**20, "disk1.vmdk"),
        ("disk1", "scsi", "virtualscsi", 16 * 2**20, "disk2.vmdk"),
    ]
    [interface] = machine.interfaces
    assert (interface.model, interface.network, interface.mac) == ("vmxnet3", "VM Network", "00:50:56:aa:bb:cc")
    assert machine.findings == ()


def test_the_buses_of_controllers() -> None:
    controllers = {
        "ide": item(5, InstanceID=3, ResourceSubType="PIIX4"),
        "sata": item(20, InstanceID=3, ResourceSubType="AHCI"),
        "nvme": item(20, InstanceID=3, ResourceSubType="vmware.nvme.controller"),
    }
    for bus, controller in controllers.items():
        text = ovf([ONE]).replace(CONTROLLER, controller)
        assert [disk.bus for disk in parse_ovf(text.encode(), "d").machine.disks] == [bus]


def test_what_is_left_out_is_told_by_its_weight() -> None:
    drives = item(15, InstanceID=30, ElementName="CD 1") + item(
        15, InstanceID=31, ElementName="CD 2", HostResource="ovf:/file/file0"
    )
    passthrough = item(12, InstanceID=32, ElementName="Fibre channel")
    findings = parse_ovf(ovf([ONE], extra=drives + passthrough).encode(), "d").machine.findings
    assert [(each.serious, each.says) for each in findings] == [
        (False, "the drive CD 1 is left out"),
        (True, "the drive CD 2 is left out"),
        (True, "the device Fibre channel (resource type 12) is left out"),
    ]


def cpus(number: int, attributes: str, instance: int = 1) -> str:
    return item(3, attributes, InstanceID=instance, ElementName=f"{number} CPUs", VirtualQuantity=number)


def memory_of(mebibytes: int, attributes: str) -> str:
    return item(4, attributes, InstanceID=2, VirtualQuantity=mebibytes)


NAMES = ("small", "large", "huge")
SMALL, LARGE, NOT_SMALL = (f'ovf:configuration="{names}"' for names in ("small", "large", "large huge"))
SIZES = (
    cpus(4, SMALL, 40) + cpus(16, LARGE) + cpus(32, 'ovf:configuration="huge"') + memory_of(512, 'ovf:bound="min"')
    + memory_of(8192, NOT_SMALL) + item(10, NOT_SMALL, InstanceID=41, ElementName="Network adapter 2")
)  # fmt: skip


@pytest.mark.parametrize(
    ("section", "vcpus", "memory", "interfaces", "says"),
    [
        (options(*NAMES), 6, 2048, 1, "the configuration small is taken; there are also large, huge"),
        (options(*NAMES, default="large"), 16, 8192, 2, "the configuration large is taken; there are also sm"),
        (options(*NAMES, default="huge"), 32, 8192, 2, "the configuration huge is taken; there are also sm"),
    ],
)
def test_of_several_configurations_the_default_one_is_taken(
    section: str, vcpus: int, memory: int, interfaces: int, says: str
) -> None:
    for text in (ovf([ONE], extra=SIZES, options=section), ovf([ONE], options=section).replace(CPU, SIZES + CPU)):
        machine = parse_ovf(text.encode(), "d").machine
        assert (machine.vcpus, machine.memory, len(machine.interfaces)) == (vcpus, memory * 2**20, interfaces)
        [finding] = machine.findings
        assert not finding.serious and finding.says.startswith(says)


def test_only_one_configuration_and_the_bounds_of_values() -> None:
    bounds = cpus(1, 'ovf:bound="min"') + cpus(8, 'ovf:bound="max"') + cpus(1, 'ovf:bound="normal"', 42)
    machine = parse_ovf(ovf([ONE], extra=bounds, options=options("small")).encode(), "d").machine
    assert (machine.vcpus, machine.findings) == (3, ())


def test_two_disks_of_which_one_is_only_of_the_default_configuration_keep_their_order() -> None:
    text = ovf([ONE, TWO], options=options("small")).replace("<Item >", f"<Item {SMALL}>", 4)
    assert [disk.name for disk in parse_ovf(text.encode(), "d").machine.disks] == ["disk0", "disk1"]


def test_a_device_of_a_configuration_that_is_not_described_is_refused() -> None:
    assert "an item of the configuration large" in refusal(ovf([ONE], extra=SIZES, options=options("small")))


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        (None, 1),
        ("byte", 1),
        ("byte * 2^20", 2**20),
        ("byte*2^30", 2**30),
        ("byte * 10^9", 10**9),
        ("byte * 512", 512),
        ("MegaBytes", 2**20),
        ("GB", 2**30),
    ],
)
def test_units(units: str | None, factor: int) -> None:
    assert unit_factor(units, "d") == factor


@given(st.text(max_size=30))
def test_an_unknown_unit_is_refused_and_never_guessed(units: str) -> None:
    try:
        assert unit_factor(units, "d") >= 1
    except LifeboatError as error:
        assert "unit" in str(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("<Envelope ", "<!DOCTYPE Envelope [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Envelope "), "a document type"),
        (("</Envelope>", ""), "no XML"),
        (('capacity="16"', 'capacity="-16"'), "capacity of disk disk0 '-16'"),
        (('capacity="16"', 'capacity="99999999999999"'), "bytes of disk disk0; expected from 1 to"),
        (('ovf:fileRef="file0"', 'ovf:fileRef="file7"'), "disk disk0 in the file file7"),
        (('ovf:fileRef="file0"', 'ovf:fileRef="file0" ovf:parentRef="x"'), "on top of another disk"),
        (("ovf:/disk/disk0", "ovf:/disk/other"), "ovf:/disk/other"),
        (("<rasd:Parent>3<", "<rasd:Parent>8<"), "disk disk0 without a controller"),
        (('ovf:href="disk1.vmdk"', 'ovf:href="disk1.vmdk.gz" ovf:compression="gzip"'), "compressed with gzip"),
        (('ovf:href="disk1.vmdk"', 'ovf:href="disk1.vmdk" ovf:chunkSize="1000"'), "in chunks"),
        (("<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>0<"), "0 processors"),
        ((MEMORY, MEMORY.replace("2^20", "2^70")), "bytes of memory; expected from 1 to"),
        ((MEMORY, MEMORY.replace("byte * 2^20", "furlong")), "the unit 'furlong'"),
        ((CPU, ""), "0 processors"),
        ((MEMORY, ""), "0 items of memory"),
        (("VirtualSystem", "VirtualSystemCollection"), "0 machines"),
    ],
)
def test_bad_descriptors(change: tuple[str, str], said: str) -> None:
    assert said in refusal(ovf([ONE]).replace(*change))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_an_archive_is_read_in_place_and_its_hashes_verified(tmp_path: Path, algorithm: str) -> None:
    path = write_ova(tmp_path / "vm.ova", [ONE, TWO], algorithm)
    located = open_package(str(path))
    for disk in (ONE, TWO):
        part = located.parts[disk.file]
        assert path.read_bytes()[part.offset : part.offset + part.size] == disk.content
    assert {name for name, _algorithm, _digest in verified(located, "p")} == {"vm.ovf", "disk1.vmdk", "disk2.vmdk"}


def test_a_descriptor_with_its_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "disk1.vmdk").write_bytes(ONE.content)
    (tmp_path / "vm.ovf").write_text(ovf([ONE]))
    located = open_package(str(tmp_path / "vm.ovf"))
    assert located.parts["disk1.vmdk"].offset == 0
    assert located.manifest is None


def test_a_link_beside_a_descriptor_is_no_disk(tmp_path: Path) -> None:
    (tmp_path / "disk1.vmdk").symlink_to("/etc/hostname")
    (tmp_path / "vm.ovf").write_text(ovf([ONE]))
    assert "no file disk1.vmdk" in package_refusal(tmp_path / "vm.ovf")


def test_one_changed_byte_of_a_disk(tmp_path: Path) -> None:
    path = write_ova(tmp_path / "vm.ova", [ONE, TWO])
    part = open_package(str(path)).parts["disk2.vmdk"]
    with path.open("r+b") as file:
        file.seek(part.offset + 100)
        file.write(b"!!!!")
    said = package_refusal(path)
    assert "disk2.vmdk with sha256" in said
    assert "damaged or changed" in said


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_an_archive_that_was_cut_off(tmp_path: Path, share: float) -> None:
    path = write_ova(tmp_path / "vm.ova", [SampleDisk("disk1.vmdk", b"KDMV" + bytes(200_000))])
    os.truncate(path, int(path.stat().st_size * share))
    assert "etch" in package_refusal(path)


@pytest.mark.parametrize("name", ["../disk1.vmdk", "/etc/cron.d/x", "a/b.vmdk", "..", "a\\b"])
def test_members_that_would_leave_the_package(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "vm.ova", [("vm.ovf", ovf([ONE]).encode()), (name, b"x"), ("disk1.vmdk", ONE.content)])
    assert f"the name {name!r}" in package_refusal(path)


def test_a_descriptor_that_refers_outside(tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "http://example.org/disk1.vmdk"):
        path = write_tar(tmp_path / "vm.ova", [("vm.ovf", ovf([SampleDisk(name, b"x")]).encode())])
        assert f"the name {name!r}" in package_refusal(path)


def test_members_that_are_no_files_or_come_twice(tmp_path: Path) -> None:
    kinds = {
        tarfile.SYMTYPE: "a link",
        tarfile.LNKTYPE: "a link",
        tarfile.CHRTYPE: "no plain file",
        tarfile.DIRTYPE: "no",
    }
    for kind, said in kinds.items():
        with tarfile.open(tmp_path / "vm.ova", "w") as archive:
            member = tarfile.TarInfo("disk1.vmdk")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        assert said in package_refusal(tmp_path / "vm.ova")
    path = write_tar(tmp_path / "vm.ova", [("disk1.vmdk", b"a"), ("disk1.vmdk", b"b")])
    assert "disk1.vmdk twice" in package_refusal(path)


def test_a_member_of_an_absurd_size(tmp_path: Path) -> None:
    member = tarfile.TarInfo("disk1.vmdk")
    member.size = 2**50
    (tmp_path / "vm.ova").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert f"of {2**50} bytes, which ends beyond" in package_refusal(tmp_path / "vm.ova")


def test_a_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 2**40
    (tmp_path / "vm.ova").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "a header of" in package_refusal(tmp_path / "vm.ova")


@pytest.mark.parametrize("records", [{"GNU.sparse.map": "abc"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}])
def test_headers_that_contradict_themselves(tmp_path: Path, records: dict[str, str]) -> None:
    member = tarfile.TarInfo("disk1.vmdk")
    member.pax_headers = records
    (tmp_path / "vm.ova").write_bytes(member.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert "a broken tar archive" in package_refusal(tmp_path / "vm.ova")


def test_headers_that_follow_each_other_without_end(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 12
    header = member.tobuf(tarfile.USTAR_FORMAT) + b"12 comment=x".ljust(512, b"\0")
    (tmp_path / "vm.ova").write_bytes(header * 3000 + bytes(1024))
    assert "a broken tar archive" in package_refusal(tmp_path / "vm.ova")


def test_what_is_compressed(tmp_path: Path) -> None:
    whole = tmp_path / "whole.ova"
    whole.write_bytes(gzip.compress(b"anything"))
    assert "Decompress it with gunzip" in package_refusal(whole)
    disk = SampleDisk("disk1.vmdk", gzip.compress(ONE.content))
    said = package_refusal(write_ova(tmp_path / "vm.ova", [disk]))
    assert "disk1.vmdk compressed with gzip" in said


def test_manifests_that_do_not_fit(tmp_path: Path) -> None:
    descriptor = ovf([ONE]).encode()
    bad = {
        manifest({"vm.ovf": descriptor}): "a manifest without disk1.vmdk",
        manifest({"vm.ovf": descriptor, "disk1.vmdk": ONE.content, "more.vmdk": b""}): "no file more.vmdk",
        "MD5(vm.ovf)= 00\n": "a manifest with the line 'MD5(vm.ovf)= 00'",
        "SHA256(vm.ovf)= 00\n": "a manifest with the line",
    }
    for text, said in bad.items():
        files = [("vm.ovf", descriptor), ("vm.mf", text.encode()), ("disk1.vmdk", ONE.content)]
        assert said in package_refusal(write_tar(tmp_path / "vm.ova", files))


@given(st.binary(max_size=3000), st.integers(0, 20_000))
def test_a_garbled_archive_is_refused_or_read_but_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, position: int
) -> None:
    path = write_ova(tmp_path_factory.mktemp("ova") / "vm.ova", [SampleDisk("disk1.vmdk", b"KDMV" + bytes(4000))])
    content = io.BytesIO(path.read_bytes())
    content.seek(position)
    content.write(garbage)
    path.write_bytes(content.getvalue())
    try:
        located = open_package(str(path))
        list(verified(located, "p"))
    except LifeboatError:
        return
    assert located.package.machine.vcpus == 2
