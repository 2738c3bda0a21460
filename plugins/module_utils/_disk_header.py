# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What the first and the last bytes of a disk image tell: its format, and whether it is a whole disk by itself.

They are read before QEMU is, which on opening an image opens the files that it names.
Sources: QEMU's docs/interop/qcow2.rst, VMware's Virtual Disk Format 5.0, Microsoft's VHD 1.0 and MS-VHDX.
"""

from __future__ import annotations

import re
import struct
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import FilePart

FORMATS = ("raw", "qcow2", "vmdk", "vhdx", "vpc")
"""QEMU's names; vpc is Microsoft's VHD."""

_SECTOR = 512
_LARGEST_DESCRIPTOR = 2**20
# Where QEMU looks for the parent of a sparse VMDK, whatever its header says.
_QEMU_DESCRIPTOR = (0x200, 20 * _SECTOR)
_VMDK_SPARSE, _VMDK_TEXT, _VMDK_ESX = b"KDMV", b"# Disk DescriptorFile", b"COWD"
_VHD = b"conectix"
_MAGICS = {
    b"QFI\xfb": "qcow2",
    _VMDK_SPARSE: "vmdk",
    _VMDK_TEXT: "vmdk",
    _VMDK_ESX: "vmdk",
    b"vhdxfile": "vhdx",
    _VHD: "vpc",
    b"QED\0": "qed",
    b"LUKS\xba\xbe": "luks",
}
_VDI = (0x40, b"\x7f\x10\xda\xbe")
_VHD_DIFFERENCING = 4
_QCOW2_DATA_FILE = 1 << 2
# The forms of a descriptor's lines. What is of none QEMU may read in another way than it looks.
_EXTENT = re.compile(r'(?:RW|RDONLY|NOACCESS)[ \t]+\d+[ \t]+([A-Z]+)(?:[ \t]+"([^"]*)"(?:[ \t].*)?)?')
_SETTING = re.compile(r"([\w.:-]+)[ \t]*=[ \t]*(.*)")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_PARENT = "ffffffff"
_PARENT = "parentFileNameHint"
# A name that QEMU could take for a path or a protocol, such as nbd: or json:, has one of the others.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._()+,@-]*")


def detected_format(part: FilePart) -> str:
    """The format by the image's signatures; raw for what has none."""
    head = part.read(0, _SECTOR)
    for magic, name in _MAGICS.items():
        if head.startswith(magic):
            return name
    if head[_VDI[0] :].startswith(_VDI[1]):
        return "vdi (VirtualBox)"
    # A VHD of fixed size has its only signature at the end, where QEMU does not look for it.
    return "vpc" if _vhd_footer(part).startswith(_VHD) else "raw"


def _vhd_footer(part: FilePart) -> bytes:
    return part.read(max(0, part.size - _SECTOR), _SECTOR)


def backing_name(part: FilePart, form: str, thing: str) -> str | None:
    """The image on which this one lies, as it names it; None when it is whole."""
    if form == "qcow2":
        return _qcow2_backing(part, thing)
    if form == "vpc" and struct.unpack(">I", _vhd_footer(part).ljust(_SECTOR, b"\0")[60:64])[0] == _VHD_DIFFERENCING:
        remedy = "Merge the chain where it comes from; QEMU would read holes of it as zeros."
        raise LifeboatError(thing, "a differencing VHD", "a whole disk", remedy)
    return None


def _qcow2_backing(part: FilePart, thing: str) -> str | None:
    head = part.read(0, 104).ljust(104, b"\0")
    version, offset, length = struct.unpack(">IQI", head[4:20])
    (features,) = struct.unpack(">Q", head[72:80])
    if version >= 3 and features & _QCOW2_DATA_FILE:
        remedy = "Make one file of it where it comes from, with qemu-img convert."
        raise LifeboatError(thing, "an image with its data in another file", "one file", remedy)
    if not offset:
        return None
    if not 0 < length <= 1023:
        raise LifeboatError(thing, f"a backing file's name of {length} bytes", "at most 1023", "Fetch it again.")
    return part.read(offset, length).decode(errors="replace")


class Extent(t.NamedTuple):
    """A file beside a VMDK descriptor that has data of it; ``kind`` is VMware's, such as FLAT for the plain bytes."""

    kind: str
    name: str


def vmdk_extents(part: FilePart, thing: str) -> tuple[Extent, ...]:
    """The files beside a VMDK descriptor that have its data; empty when the image has them itself."""
    head = part.read(0, _SECTOR)
    if head.startswith(_VMDK_ESX):
        remedy = "Consolidate the snapshots, and export the machine."
        raise LifeboatError(thing, "a snapshot of ESX (vmfsSparse)", "a whole disk", remedy)
    if head.startswith(_VMDK_TEXT):
        return _checked_extents(part.read(0, _LARGEST_DESCRIPTOR), thing)
    if head.startswith(_VMDK_SPARSE):
        check_capacity(part, thing)
        offset, length = struct.unpack("<QQ", head[28:44])
        if offset * _SECTOR > part.size or length * _SECTOR > _LARGEST_DESCRIPTOR:
            raise LifeboatError(thing, "a descriptor beyond its end", "a whole image", "Fetch it again.")
        _check_whole(part.read(*_QEMU_DESCRIPTOR).decode(errors="replace"), thing)
        _checked_extents(part.read(offset * _SECTOR, length * _SECTOR), thing)
    return ()


def check_capacity(part: FilePart, thing: str) -> None:
    """LifeboatError for a sparse VMDK of capacity 0: QEMU reads the files that its embedded descriptor names."""
    head = part.read(0, _SECTOR)
    if head.startswith(_VMDK_SPARSE) and not any(head[12:20]):
        raise LifeboatError(thing, "a capacity of 0", "a disk with its data", "Export the machine again.")


def _checked_extents(descriptor: bytes, thing: str) -> tuple[Extent, ...]:
    # As QEMU, which takes it for a string of C.
    text = descriptor.partition(b"\0")[0].decode(errors="replace")
    _check_whole(text, thing)
    return tuple(extent for line in text.split("\n") for extent in _extents_of(line.strip(" \t\r"), thing))


def _check_whole(text: str, thing: str) -> None:
    """LifeboatError for a disk on top of another. QEMU finds the parent's name wherever it stands."""
    settings = filter(None, map(_SETTING.fullmatch, map(str.strip, text.splitlines())))
    parents = {each[2].strip('"').lower() for each in settings if each[1].lower() == "parentcid"}
    if _PARENT.lower() in text.lower() or parents - {_NO_PARENT}:
        remedy = "Consolidate the snapshots, and export the machine."
        raise LifeboatError(thing, "an image on top of another", "a whole disk", remedy)


def _extents_of(line: str, thing: str) -> Iterator[Extent]:
    """The file that a line of a descriptor names, if any; LifeboatError when it could be taken for another."""
    remedy = "Do not use it; get the image from who made it."
    extent = _EXTENT.fullmatch(line)
    if _CONTROL.search(line) or not (not line or line.startswith("#") or extent or _SETTING.fullmatch(line)):
        expected = 'lines such as RW 4096 SPARSE "disk-s001.vmdk", ddb.adapterType = "ide", and comments'
        raise LifeboatError(thing, f"a descriptor with the line {line[:80]!r}", expected, remedy)
    if extent and extent[1] != "ZERO":
        if not _PLAIN_NAME.fullmatch(extent[2] or ""):
            raise LifeboatError(thing, f"data in {extent[2]!r}", "a plain file in the same directory", remedy)
        yield Extent(extent[1], extent[2])
