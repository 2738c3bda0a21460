# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images as qemu-img makes them, and what is not taken for one."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, inspect
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import FilePart, whole_file
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import OPTIONS, SIZE, make_raw, qemu_img

SELF_CONTAINED = [name for name in OPTIONS if name not in ("flat.vmdk", "split.vmdk")]


def looked_at(path: Path, claimed: str | None = None, allow_backing: bool = False) -> DiskImage:
    return inspect(whole_file(str(path)), claimed, "image", allow_backing)


def refusal(path: Path, claimed: str | None = None, allow_backing: bool = False) -> str:
    with pytest.raises(LifeboatError) as error:
        looked_at(path, claimed, allow_backing)
    return str(error.value)


@pytest.mark.parametrize(("name", "form"), [*((name, OPTIONS[name][0]) for name in OPTIONS), ("disk.raw", "raw")])
def test_every_format_is_found_and_its_size_told(images: Path, name: str, form: str) -> None:
    found = looked_at(images / name)
    assert (found.format, found.size) == (form, SIZE)


def test_an_image_that_goes_away_is_told_by_its_name(tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "disk.raw")
    found = looked_at(raw)
    raw.unlink()
    with pytest.raises(LifeboatError, match=rf"file {raw}: found No such file.*expected the source as it was"):
        found.identity()


def test_an_image_inside_an_archive(images: Path, tmp_path: Path) -> None:
    content = (images / "stream.vmdk").read_bytes()
    archive = tmp_path / "archive"
    archive.write_bytes(bytes(1024) + content + os.urandom(5000))
    found = inspect(FilePart(str(archive), 1024, len(content)), "vmdk", "image")
    assert (found.format, found.size) == ("vmdk", SIZE)


@pytest.mark.parametrize("name", SELF_CONTAINED)
@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_a_truncated_image_is_refused_where_qemu_would_read_zeros(
    images: Path, tmp_path: Path, name: str, share: float
) -> None:
    path = shutil.copy(images / name, tmp_path / name)
    os.truncate(path, int(path.stat().st_size * share) // 512 * 512)
    said = refusal(path, OPTIONS[name][0])
    assert "fetch or export it again" in said or "found the format raw; expected vpc as stated" in said


def test_a_format_that_is_not_the_stated_one(images: Path, tmp_path: Path) -> None:
    assert "the format qcow2; expected raw as stated" in refusal(images / "disk.qcow2", "raw")
    assert "the format raw; expected vmdk as stated" in refusal(images / "disk.raw", "vmdk")
    luks = tmp_path / "luks.img"
    luks.write_bytes(b"LUKS\xba\xbe" + bytes(2048))
    assert "the format luks" in refusal(luks)


def test_a_backing_file_is_refused_unless_permitted_and_beside(images: Path, tmp_path: Path) -> None:
    shutil.copy(images / "disk.qcow2", tmp_path / "base.qcow2")
    top = tmp_path / "top.qcow2"
    qemu_img("create", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", str(top))
    assert "an image on top of 'base.qcow2'" in refusal(top)
    permitted = looked_at(top, allow_backing=True)
    assert permitted.backing is not None
    assert permitted.options["backing"]["file"]["filename"] == str(tmp_path / "base.qcow2")
    assert [Path(file.path).name for file in permitted.identity()] == ["top.qcow2", "base.qcow2"]


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret", "json:{}", "nbd://example.org/x", "link"])
def test_a_backing_file_outside_is_always_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(4096))
    directory = tmp_path / "images"
    directory.mkdir()
    (directory / "link").symlink_to("/etc/hostname")
    top = directory / "top.qcow2"
    qemu_img("create", "-u", "-f", "qcow2", "-b", name, "-F", "raw", str(top), "1M")
    said = refusal(top, allow_backing=True)
    assert "a reference to" in said or "no plain file" in said


def test_a_chain_that_bites_its_tail(tmp_path: Path) -> None:
    qemu_img("create", "-u", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", str(tmp_path / "a.qcow2"), "1M")
    assert "an image on top of 'a.qcow2'" in refusal(tmp_path / "a.qcow2", allow_backing=True)


def test_data_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", str(path), "1M")
    assert "its data in another file" in refusal(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('RW 131072 FLAT "/etc/hostname" 0', "data in '/etc/hostname'"),
        ('RW 131072 FLAT "../flat-flat.vmdk" 0', "data in '../flat-flat.vmdk'"),
        ('RW 131072 FLAT "nbd:localhost:1" 0', "data in 'nbd:localhost:1'"),
        # What QEMU's sscanf and strstr take for an extent and a parent all the same.
        ('RW +131072 FLAT "/etc/hostname" 0', "with the line 'RW +131072"),
        ('RW 131072\nFLAT\n"/etc/hostname" 0', "with the line 'RW 131072'"),
        ('RW\f131072 FLAT "/etc/hostname" 0', "with the line 'RW\\x0c131072"),
        ('comment = "x\rRW 131072 FLAT /etc/hostname"', "with the line 'comment"),
        ('ddb.parentFileNameHint="/etc/hostname"', "on top of another"),
        ('RW 131072 FLAT "absent.vmdk" 0', "no plain file"),
        ('RW 131072 FLAT "link.vmdk" 0', "a reference to 'link.vmdk'"),
        ('parentFileNameHint="base.vmdk"', "on top of another"),
        ("parentCID=12345678", "on top of another"),
    ],
)
def test_descriptors_of_vmware_that_name_other_files(images: Path, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "link.vmdk").symlink_to("/etc/hostname")
    text = (images / "flat.vmdk").read_text()
    path = tmp_path / "bad.vmdk"
    path.write_text(
        "\n".join(
            line if each.startswith(("RW ", line.split("=", maxsplit=1)[0])) else each for each in text.splitlines()
        )
    )
    assert said in refusal(path)


def test_an_embedded_descriptor_is_not_trusted_either(images: Path, tmp_path: Path) -> None:
    content = bytearray((images / "sparse.vmdk").read_bytes())
    struct.pack_into("<Q", content, 12, 0)
    (tmp_path / "none.vmdk").write_bytes(content)
    assert "a capacity of 0" in refusal(tmp_path / "none.vmdk")
    content = bytearray((images / "sparse.vmdk").read_bytes())
    at = content.index(b"parentCID=")
    content[at : at + 31] = b'parentFileNameHint="/etc/passwd'
    (tmp_path / "child.vmdk").write_bytes(content)
    assert "on top of another" in refusal(tmp_path / "child.vmdk")
    # QEMU looks there all the same.
    struct.pack_into("<QQ", content, 28, 0, 0)
    (tmp_path / "hidden.vmdk").write_bytes(content)
    assert "on top of another" in refusal(tmp_path / "hidden.vmdk")
    content = bytearray((images / "sparse.vmdk").read_bytes())
    struct.pack_into("<Q", content, 36, 2**40)
    (tmp_path / "far.vmdk").write_bytes(content)
    assert "a descriptor beyond its end" in refusal(tmp_path / "far.vmdk")


def test_a_file_of_a_disk_in_several_has_no_descriptor_that_names_others(images: Path, tmp_path: Path) -> None:
    files = sorted(images.glob("split*.vmdk"))
    assert len(files) > 1
    for each in files:
        shutil.copy(each, tmp_path / each.name)
    assert looked_at(tmp_path / "split.vmdk").files
    content = bytearray((tmp_path / "split-s001.vmdk").read_bytes())
    struct.pack_into("<Q", content, 12, 0)
    (tmp_path / "split-s001.vmdk").write_bytes(content)
    said = refusal(tmp_path / "split.vmdk")
    assert "split-s001.vmdk" in said and "a capacity of 0" in said


def test_a_differencing_vhd_and_a_snapshot_of_esx(images: Path, tmp_path: Path) -> None:
    content = bytearray((images / "dynamic.vhd").read_bytes())
    for footer in (0, len(content) - 512):
        struct.pack_into(">I", content, footer + 60, 4)
    (tmp_path / "child.vhd").write_bytes(content)
    assert "a differencing VHD" in refusal(tmp_path / "child.vhd")
    (tmp_path / "delta.vmdk").write_bytes(b"COWD" + bytes(4096))
    assert "vmfsSparse" in refusal(tmp_path / "delta.vmdk")


def test_a_disk_of_absurd_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.qcow2"
    qemu_img("create", "-f", "qcow2", str(path), "100T")
    assert f"a disk of {100 * 2**40} bytes" in refusal(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, said in ((tmp_path, "directory"), (tmp_path / "absent", "No such file"), (Path("/dev/zero"), "neither")):
        with pytest.raises(LifeboatError, match=said):
            whole_file(str(path))
