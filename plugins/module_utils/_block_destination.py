# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A block device, such as a logical volume, as the destination of a copy.

It has no other name to be written under, so its first block, in which a partition table or a file system begins, is
written last. What it held is not taken for zeros. Journal and receipt are kept in a directory of this host.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from urllib.parse import quote

from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_devices, _qemu_lock
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE
from ansible_collections.lifeboat.cloud.plugins.module_utils._bluestore_label import read_label
from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import read_receipt, recorded_digest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileTarget, write_receipt

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import BlockDevice

Json = dict[str, t.Any]


class BlockDestination:
    """The device at ``path`` for a disk of ``size`` bytes; ``directory`` is for what is noted about it."""

    def __init__(self, path: str, directory: str, size: int) -> None:
        self._path, self._size = os.path.abspath(path), size
        name = os.path.join(directory, quote(self._path, safe=""))
        self.partial, self.thing = self._path, f"device {self._path}"
        self.journal, self._receipt = f"{name}.lifeboat-journal", f"{name}.lifeboat-receipt"
        self.to_replace = f"wipe it with wipefs and remove {self._receipt}, if nobody needs what is on it"

    def exists(self) -> bool:
        """Whether it has a copy. LifeboatError when it is too small, in use, or has something of somebody else."""
        if os.path.exists(self._receipt):
            return True
        real = os.path.realpath(self._path)
        devices, signatures = _block_devices.look([real])
        found = list(uses_of(real, devices, [] if self._is_own() else signatures[real], self._size))
        label = read_label(real)
        found += [f"OSD {label.osd_id} of Ceph"] if label else []
        found += ["open in the kernel or a program"] if not found and _is_open(self._path) else []
        if found:
            remedy = "Choose another, or take away what uses it, and wipe it with wipefs, if nobody needs it."
            raise LifeboatError(self.thing, "; ".join(found), f"an unused device of {self._size} bytes", remedy)
        return False

    def receipt(self) -> Json | None:
        """Of what it is a copy."""
        return read_receipt(self._receipt)

    def stamp(self) -> list[int]:
        """How much of the disk it has room for. Nothing tells when a device was written to."""
        with self.open_whole() as whole:
            return [min(self._size, whole.size())]

    @contextlib.contextmanager
    def open_whole(self) -> Iterator[BlockTarget]:
        """The device, to be read."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield BlockTarget(descriptor)
        finally:
            os.close(descriptor)

    def check_room(self, needed: int) -> None:
        """Nothing: the device has its size."""

    def has_partial(self, size: int) -> bool:
        """True: the journal alone tells what of the copy is there."""
        return size == self._size

    @contextlib.contextmanager
    def open_partial(self, size: int) -> Iterator[BlockTarget]:
        """The device for this program alone, and everything on it when the block has ended."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            found, remedy = error.strerror or str(error), "See with lsblk and fuser what uses it."
            raise LifeboatError(self.thing, found, f"an unused device of {size} bytes", remedy) from error
        try:
            _lock(descriptor, self.thing)
            yield BlockTarget(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def publish(self, receipt: Json) -> None:
        """Note what it is a copy of. Without a stamp, as none could be believed, it is read whole when in doubt."""
        write_receipt(self._receipt, {**receipt, "stamp": None})

    def discard_partial(self) -> None:
        """Take away the first block, without which the others are found by nobody."""
        with self.open_partial(self._size) as target:
            target.write(0, bytes(min(BLOCK_SIZE, self._size)))

    def _is_own(self) -> bool:
        """Whether the first block, with its signatures, is of an unfinished copy."""
        recorded = recorded_digest(self.journal, 0)
        if recorded is None:
            return False
        with self.open_whole() as whole:
            return hashlib.sha256(whole.read(0, min(BLOCK_SIZE, self._size))).hexdigest() == recorded


class BlockTarget(FileTarget):
    """An open device; it has whatever it had before."""

    is_blank = False

    def size(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_END)


def uses_of(path: str, devices: Mapping[str, BlockDevice], signatures: Sequence[str], size: int) -> Iterator[str]:
    """What speaks against filling the device at ``path`` (behind links) with a disk of ``size`` bytes."""
    device = devices.get(path)
    if device is None:
        yield "nothing that lsblk knows"
        return
    if device.size < size:
        yield f"{device.size} bytes"
    if device.read_only or device.kind == "rom":
        yield "a read-only device"
    if mounted := _block_devices.mountpoints_below(device, devices):
        yield f"mounted at {', '.join(mounted)}"
    if signatures:
        yield f"with {', '.join(signatures)}"
        if device.children:
            yield f"with {', '.join(device.children)} on it"


def _is_open(path: str) -> bool:
    """Whether the kernel (a mount, a mapping, swap) or QEMU has it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return _qemu_lock.is_open(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, thing: str) -> None:
    """Keep QEMU from opening it, as it would keep us."""
    try:
        _qemu_lock.hold(descriptor)
    except BlockingIOError as error:
        remedy = "See with fuser which, such as a guest, and end it."
        raise LifeboatError(thing, "a program that has it open", "an unused device", remedy) from error
