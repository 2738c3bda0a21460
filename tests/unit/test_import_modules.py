# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of the import, run as Ansible does, and what a foreign machine needs in OpenStack."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _rbd_client, _rbd_destination
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import (
    Destination,
    Options,
    earlier_import,
    import_disk,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import whole_file
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import Disk, Interface, Machine
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_needs import needs_of
from ansible_collections.lifeboat.cloud.plugins.modules import disk_import, foreign_machine_info
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import SIZE, make_image, make_raw
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, write_ova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

pytestmark = pytest.mark.usefixtures("libnbd")
MIB = "byte * 2^20"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a package of two disks, and the disks."""
    directory = tmp_path_factory.mktemp("source")
    disks = []
    for seed, name in ((1, "stream.vmdk"), (2, "sparse.vmdk")):
        image = make_image(make_raw(directory / f"{seed}.raw", seed), name)
        disks.append(SampleDisk(name, image.read_bytes(), str(SIZE // 2**20), MIB))
    write_ova(directory / "vm.ova", disks, firmware="efi")
    return directory


def test_a_package_is_told_in_full(source: Path) -> None:
    found = run_module(foreign_machine_info.main, path=str(source / "vm.ova"))
    assert found["machine"]["name"] == "web1"
    assert [(disk["format"], disk["size"], disk["path"]) for disk in found["disks"]] == [
        ("vmdk", SIZE, str(source / "vm.ova"))
    ] * 2
    assert {each["file"] for each in found["checksums"]} == {"vm.ovf", "stream.vmdk", "sparse.vmdk"}
    assert found["needs"] == {
        "vcpus": 2,
        "ram": 2048,
        "disk": 1,
        "properties": {
            "hw_disk_bus": "sata",
            "hw_firmware_type": "uefi",
            "hw_vif_model": "e1000e",
            "os_type": "linux",
        },
    }


def test_a_guest_of_proxmox_with_a_disk_whose_path_is_told(source: Path, tmp_path: Path) -> None:
    path, image = tmp_path / "101.conf", str(source / "1.raw")
    path.write_text("scsi0: local-lvm:vm-101-disk-0,size=64M\nscsi1: x:y,size=1G\nscsihw: virtio-scsi-pci")
    found = run_module(foreign_machine_info.main, path=str(path), disks={"scsi0": image})
    assert [(disk["size"], disk["path"]) for disk in found["disks"]] == [(SIZE, image), (2**30, None)]
    assert found["needs"]["properties"]["hw_scsi_model"] == "virtio-scsi"
    path.write_text("scsi0: local-lvm:vm-101-disk-0,size=65M")
    cut = run_module(foreign_machine_info.main, path=str(path), disks={"scsi0": image})
    assert "It was cut off" in cut["msg"]
    wrong = run_module(foreign_machine_info.main, path=str(path), disks={"sda": image})
    assert "no disk sda; expected one of scsi0" in wrong["msg"]


def test_a_bare_disk_promises_nothing(source: Path) -> None:
    found = run_module(foreign_machine_info.main, path=str(source / "sparse.vmdk"))
    assert (found["needs"]["vcpus"], found["needs"]["ram"], found["needs"]["disk"]) == (None, None, 1)
    assert found["needs"]["properties"] == {"hw_disk_bus": "sata"}
    assert "driver ahci" in next(each["says"] for each in found["findings"] if each["serious"])


def test_an_import_its_check_mode_and_its_second_run(source: Path, tmp_path: Path) -> None:
    arguments = {"src": str(source / "vm.ova"), "disk": "disk1", "dest": str(tmp_path / "out.raw")}
    planned = run_module(disk_import.main, check=True, **arguments)
    assert list(tmp_path.iterdir()) == []
    done = run_module(disk_import.main, **arguments)
    assert (planned["changed"], planned["actions"], planned["diff"]) == (True, done["actions"], done["diff"])
    assert (tmp_path / "out.raw").read_bytes() == (source / "2.raw").read_bytes()
    again = run_module(disk_import.main, **arguments)
    assert (again["changed"], again["copy"]) == (False, done["copy"])


def test_refusals_change_nothing(source: Path, tmp_path: Path) -> None:
    tampered = tmp_path / "vm.ova"
    content = bytearray((source / "vm.ova").read_bytes())
    content[-2_000_000] ^= 1
    tampered.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    said = {
        "disk0, disk1; expected one disk": {"src": str(source / "vm.ova")},
        "expected the disk disk7": {"src": str(source / "vm.ova"), "disk": "disk7"},
        "of the manifest": {"src": str(tampered), "disk": "disk1"},
        "No such file": {"src": str(tmp_path / "absent.vmdk")},
        "a link, a device or a directory": {"src": str(source / "1.raw"), "dest": "/dev/null"},
    }
    for message, arguments in said.items():
        result = run_module(disk_import.main, **{"dest": str(out / "out.raw")} | arguments)
        assert message in result["msg"]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("machine", "virtio", "expected"),
    [
        ({"disks": [Disk("a", "virtio")]}, False, {"hw_disk_bus": "virtio"}),
        ({"disks": [Disk("a", "ide")]}, False, {"hw_disk_bus": "ide"}),
        (
            {"disks": [Disk("a", "ide")], "machine_type": "q35"},
            False,
            {"hw_disk_bus": "sata", "hw_machine_type": "q35"},
        ),
        ({"disks": [Disk("a", "scsi", "lsilogic")]}, True, {"hw_disk_bus": "virtio"}),
        ({"interfaces": [Interface("n", "vmxnet3")]}, False, {"hw_vif_model": "e1000e"}),
        ({"interfaces": [Interface("n", "rtl8139")]}, False, {"hw_vif_model": "rtl8139"}),
        ({"machine_type": "i440fx"}, False, {"hw_machine_type": "pc"}),
        (
            {"firmware": "uefi", "secure_boot": True},
            False,
            {"hw_firmware_type": "uefi", "os_secure_boot": "required", "hw_machine_type": "q35"},
        ),
    ],
)
def test_needs(machine: dict[str, t.Any], virtio: bool, expected: dict[str, str]) -> None:
    described = Machine(**{"name": "m", "vcpus": 1, "memory": 2**30, "firmware": None} | machine)
    assert needs_of(described, None, virtio).properties == expected


def test_sizes_are_rounded_up() -> None:
    needs = needs_of(Machine(name="m", vcpus=1, memory=2**30 + 1), 2**30 + 1, False)
    assert (needs.ram, needs.disk) == (1025, 2)


class RbdError(Exception):
    """As rbd.Error."""


class ImageNotFoundError(RbdError):
    """As rbd.ImageNotFound."""


class MemoryRbd:
    """librbd over a dictionary; an image that fails at an offset is a lost connection."""

    Error = RbdError
    ImageNotFound = ImageNotFoundError

    def __init__(self) -> None:
        self.images: dict[str, tuple[bytearray, dict[str, str]]] = {}
        self.fails_from: int | None = None
        self.is_lost = False
        self.written = datetime.datetime(2026, 1, 1)
        self.is_closed = False

    def RBD(self) -> MemoryRbd:
        return self

    def create(self, _context: object, name: str, size: int, old_format: bool) -> None:
        assert not old_format and name not in self.images
        self.images[name] = (bytearray(size), {})

    def rename(self, _context: object, name: str, other: str) -> None:
        assert other not in self.images
        self.images[other] = self.images.pop(name)

    def remove(self, _context: object, name: str) -> None:
        if self.is_lost and name in self.images:
            raise RbdError
        if self.images.pop(name, None) is None:
            raise ImageNotFoundError

    def Image(self, _context: object, name: str, read_only: bool = False) -> MemoryImage:
        if self.is_closed:
            raise RbdError("[errno 1] RBD permission error")
        if name not in self.images:
            raise ImageNotFoundError
        return MemoryImage(self, *self.images[name], read_only)


class MemoryImage:
    def __init__(self, pool: MemoryRbd, content: bytearray, metadata: dict[str, str], read_only: bool) -> None:
        self._pool, self._content, self._metadata, self._read_only = pool, content, metadata, read_only

    def __enter__(self) -> MemoryImage:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def size(self) -> int:
        return len(self._content)

    def write(self, data: bytes, offset: int) -> None:
        assert not self._read_only
        if self._pool.fails_from is not None and offset >= self._pool.fails_from:
            raise RbdError("[errno 110] RBD connection timed out")
        self._content[offset : offset + len(data)] = data

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._content[offset : offset + length])

    def flush(self) -> None: ...

    def modify_timestamp(self) -> datetime.datetime:
        return self._pool.written

    def invalidate_cache(self) -> None: ...

    def metadata_get(self, name: str) -> str:
        return self._metadata[name]

    def metadata_set(self, name: str, value: str) -> None:
        self._metadata[name] = value


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> MemoryRbd:
    made = MemoryRbd()
    for module in (_rbd_client, _rbd_destination):
        monkeypatch.setattr(module, "rbd", made, raising=False)
    return made


def test_a_pool_that_may_not_be_read_is_an_error_with_a_reason(tmp_path: Path, library: MemoryRbd) -> None:
    library.is_closed = True
    with pytest.raises(LifeboatError, match=r"image volumes/web1: found .*permission error.*profile rbd"):
        _rbd_destination.RbdDestination(None, "volumes", "web1", str(tmp_path)).exists()


def test_an_image_of_rbd_appears_when_it_is_whole(
    source: Path, tmp_path: Path, library: MemoryRbd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy._BATCH", 1)
    image = inspect(whole_file(str(source / "stream.vmdk")), None, "image")
    destination = _rbd_destination.RbdDestination(None, "volumes", "web1", str(tmp_path / "journals"))
    assert found_again(image, destination) is None
    assert not (tmp_path / "journals").exists()
    library.fails_from = 32 * 2**20
    with pytest.raises(LifeboatError, match=r"connection timed out.* 3 blocks of .* kept as web1.lifeboat-partial"):
        import_disk(image, destination, Options(), "disk")
    assert (list(library.images), found_again(image, destination)) == (["web1.lifeboat-partial"], None)
    library.fails_from = None
    copied = import_disk(image, destination, Options(), "disk")
    assert copied.resumed == 3 * 4 * 2**20
    assert list(library.images) == ["web1"]
    assert library.images["web1"][0] == (source / "1.raw").read_bytes()
    receipt = found_again(image, destination)
    assert receipt is not None and receipt["destination_digest"] == copied.source_digest
    assert list((tmp_path / "journals").iterdir()) == []
    library.images["other"] = (bytearray(10), {})
    with pytest.raises(LifeboatError, match="found something else"):
        found_again(image, _rbd_destination.RbdDestination(None, "volumes", "other", str(tmp_path)))
    assert json.loads(library.images["web1"][1]["lifeboat.receipt"])["size"] == SIZE


@pytest.mark.parametrize("written", ["2026-01-01T00:00:00", "2026-01-01T00:10:00"])
def test_an_image_of_rbd_that_a_guest_has_written_to_is_no_copy_any_more(
    source: Path, tmp_path: Path, library: MemoryRbd, written: str
) -> None:
    """Ceph's time of change is coarse: what it does not tell is noticed by a block, else the whole image is read."""
    image = inspect(whole_file(str(source / "stream.vmdk")), None, "image")
    destination = _rbd_destination.RbdDestination(None, "volumes", "web1", str(tmp_path))
    import_disk(image, destination, Options(), "disk")
    library.written = datetime.datetime.fromisoformat(written)
    assert found_again(image, destination) is not None
    library.images["web1"][0][5 * 2**20] ^= 1
    with pytest.raises(LifeboatError, match="a copy of this disk that was changed since"):
        found_again(image, destination)


def found_again(image: DiskImage, destination: Destination) -> dict[str, t.Any] | None:
    return earlier_import(image, destination, Options(), "disk")


def test_a_connection_that_is_lost_for_good(source: Path, tmp_path: Path, library: MemoryRbd) -> None:
    image = inspect(whole_file(str(source / "stream.vmdk")), None, "image")
    destination = _rbd_destination.RbdDestination(None, "volumes", "web1", str(tmp_path))
    library.fails_from, library.is_lost = 0, True
    with pytest.raises(LifeboatError, match=r"timed out.*web1.lifeboat-partial could not be removed"):
        import_disk(image, destination, Options(), "disk")
    library.fails_from, library.is_lost = None, False
    assert import_disk(image, destination, Options(), "disk").resumed == 0
    assert list(library.images) == ["web1"]
