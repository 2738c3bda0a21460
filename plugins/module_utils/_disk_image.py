# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A disk image: what it is, whether it may be read, and how QEMU reads it in place.

An image comes from elsewhere, so nothing that it claims is believed: not its format, and no file that it names. What
QEMU says of it is asked under limits, as headers can be made to cost it memory and time (OpenStack bug 1449062).
"""

from __future__ import annotations

import json
import os
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_header import (
    FORMATS,
    backing_name,
    check_capacity,
    detected_format,
    vmdk_extents,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import FilePart, whole_file
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import LARGEST_DISK

Json = dict[str, t.Any]


class FileState(t.NamedTuple):
    """What tells that a file of a source is the one that it was. Times in ns.

    The inode and the time of change of that notice a file that was put in its place with its size and time. A block
    device tells nothing: what is written to it changes none of these.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    is_device: bool


# Nova's limits for the same program: 1 GiB of address space and 30 s of a processor.
_INFO_LIMITS = ("prlimit", f"--as={2**30}", "--cpu=30")
_INFO_TIMEOUT_S = 60.0
# It reads all tables of the image: of 64 TiB in qcow2 they have 8 GiB, of 1 TiB 128 MiB.
_CHECK_LIMITS = ("prlimit", f"--as={4 * 2**30}", "--cpu=600")
_CHECK_TIMEOUT_S = 1200.0
_CHECKABLE = ("qcow2", "vmdk", "vhdx")
_LONGEST_CHAIN = 16


@dataclass(frozen=True, slots=True)
class DiskImage:
    """An image that may be read; ``size`` is the disk's, in bytes. ``backing`` is the image on which it lies."""

    part: FilePart
    format: str
    size: int
    files: tuple[str, ...]
    backing: DiskImage | None = None

    @property
    def options(self) -> Json:
        """What QEMU opens, as its options of block devices; formats are told and never probed."""
        return _options(self.part, self.format, None if self.backing is None else self.backing.options)

    def identity(self) -> tuple[FileState, ...]:
        """The state of every file that it is read from."""
        own = []
        for path in (self.part.path, *self.files):
            try:
                found = os.stat(path)
            except OSError as error:
                said, remedy = error.strerror or str(error), "Leave the source in its place until it is copied."
                raise LifeboatError(f"file {path}", said, "the source as it was", remedy) from error
            is_device = stat.S_ISBLK(found.st_mode)
            own.append(FileState(path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns, is_device))
        return (*own, *(self.backing.identity() if self.backing else ()))


def inspect(
    part: FilePart, claimed: str | None, thing: str, allow_backing: bool = False, is_running: bool = False
) -> DiskImage:
    """The image in ``part``, which is of the format ``claimed`` unless that is None.

    The tables of one whose machine is running are not checked: they change meanwhile.

    LifeboatError when it is not, lies on another image (which ``allow_backing`` permits in the same directory), has
    data elsewhere, or is encrypted, damaged or absurdly large.
    """
    return _inspect(part, claimed, thing, _LONGEST_CHAIN if allow_backing else 0, is_running)


def data_size(image: DiskImage, thing: str) -> int:
    """About how many bytes of the disk have been written: those of a copy in qcow2, which leaves the others out."""
    measure = [*_CHECK_LIMITS, "qemu-img", "measure", "-O", "qcow2"]
    return int(json.loads(_asked(measure, image.options, _CHECK_TIMEOUT_S, thing))["required"])


def _inspect(part: FilePart, claimed: str | None, thing: str, chain: int, is_running: bool) -> DiskImage:
    form = _checked_format(part, claimed, thing)
    files = _extent_files(part, thing) if form == "vmdk" else ()
    name = backing_name(part, form, thing)
    below = None if name is None else _backing_file(part, name, thing, chain)
    backing = None if below is None else _inspect(below, None, thing, chain - 1, is_running)
    size = _asked_size(_options(part, form, None), thing)
    if form in _CHECKABLE and not is_running:
        _check_tables(_options(part, form, None), thing)
    return DiskImage(part, form, size, files, backing)


def _checked_format(part: FilePart, claimed: str | None, thing: str) -> str:
    found = detected_format(part)
    if found not in FORMATS:
        raise LifeboatError(
            thing, f"the format {found}", f"one of {', '.join(FORMATS)}", "Convert it where it is made."
        )
    if claimed is not None and claimed != found:
        remedy = "State the true format, or find out why the image pretends to be another."
        raise LifeboatError(thing, f"the format {found}", f"{claimed} as stated", remedy)
    return found


def _extent_files(part: FilePart, thing: str) -> tuple[str, ...]:
    extents = vmdk_extents(part, thing)
    if extents and part.offset:
        names, remedy = ", ".join(extent.name for extent in extents), "Export the machine with one file for each disk."
        raise LifeboatError(thing, f"data in other files: {names}", "an image of one file", remedy)
    paths = tuple(_beside(part, extent.name, thing) for extent in extents)
    for extent, path in zip(extents, paths, strict=True):
        if extent.kind != "FLAT":
            check_capacity(whole_file(path), f"file {path} of {thing}")
    return paths


def _backing_file(part: FilePart, name: str, thing: str, chain: int) -> FilePart:
    if chain <= 0 or part.offset:
        remedy = "Make one image of the chain with qemu-img convert, or permit it if you trust who made it."
        raise LifeboatError(thing, f"an image on top of {name!r}", "an image by itself", remedy)
    return whole_file(_beside(part, name, thing))


def _beside(part: FilePart, name: str, thing: str) -> str:
    """The path of a plain file in the directory of ``part``."""
    directory = os.path.dirname(part.path)
    path = os.path.join(directory, name)
    if os.path.dirname(os.path.realpath(path)) != directory or os.path.basename(path) in ("", ".", ".."):
        remedy = "Do not use it; get the image from who made it."
        raise LifeboatError(thing, f"a reference to {name!r}", f"a file in {directory}", remedy)
    if not os.path.isfile(path) or os.path.islink(path):
        raise LifeboatError(thing, f"no plain file {path}", "the files that belong to it", "Fetch them, too.")
    return os.path.realpath(path)


def _options(part: FilePart, form: str, backing: Json | None) -> Json:
    node: Json = {"driver": "host_device" if part.is_device else "file", "filename": part.path}
    if part.offset:
        node = {"driver": "raw", "offset": part.offset, "size": part.size, "file": node}
    options: Json = {"driver": form, "file": node}
    return options | ({"backing": backing} if form in ("qcow2", "vmdk") else {})


def _asked_size(options: Json, thing: str) -> int:
    """The disk's size as QEMU tells it, unless it tells of something that forbids the import."""
    told = json.loads(_asked([*_INFO_LIMITS, "qemu-img", "info"], options, _INFO_TIMEOUT_S, thing))
    if told.get("encrypted"):
        raise LifeboatError(thing, "an encrypted image", "a plain one", "Decrypt it where it comes from.")
    if told.get("format-specific", {}).get("data", {}).get("corrupt"):
        remedy = "Repair a copy of it with qemu-img check -r all."
        raise LifeboatError(thing, "an image marked as damaged", "a whole one", remedy)
    size = int(told["virtual-size"])
    if not 0 < size <= LARGEST_DISK:
        raise LifeboatError(thing, f"a disk of {size} bytes", f"from 1 to {LARGEST_DISK}", "Get another image.")
    return size


def _check_tables(options: Json, thing: str) -> None:
    """LifeboatError when the image's tables point behind its end, where QEMU would read zeros without a word."""
    _asked([*_CHECK_LIMITS, "qemu-img", "check"], options, _CHECK_TIMEOUT_S, thing)


def _asked(command: list[str], options: Json, timeout_s: float, thing: str) -> str:
    # A running guest holds a lock on its image; facts may be read all the same.
    arguments = ["--force-share", "--output=json", f"json:{json.dumps(options)}"]
    try:
        return output_of([*command, *arguments], timeout_s)
    except LifeboatError as error:
        # qemu-img check ends so when clusters are allocated that nothing uses, which harms nobody.
        if error.found.startswith("exit status 3:"):
            return ""
        asked = command[command.index("qemu-img") + 1]
        remedy = "If it is damaged or cut off, fetch or export it again."
        raise LifeboatError(thing, f"{asked} of qemu-img: {error.found}", "a whole image", remedy) from error
