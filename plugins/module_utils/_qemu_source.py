# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Reading a disk image block by block through QEMU, whatever its format.

libnbd starts qemu-nbd on a socket that both inherit, so there is no address, no kernel module and nothing to clean up:
qemu-nbd ends with the connection, even when this program is killed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
import traceback
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils import _qemu_lock
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

try:
    import nbd
except ImportError:
    NBD_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    NBD_IMPORT_ERROR = None

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage

_CONTEXT = "base:allocation"
_READS_AS_ZERO = 2
# A request for the state of more does not fit into the 32 bits that the protocol has for its length.
_STATUS_BYTES = 2**31
_OPEN_TIMEOUT_S = 30.0
_SHUT_DOWN = "Shut its guest down: what a running guest writes would be missing."


class QemuSource:
    """An open image. ``size`` is in bytes; every answer of QEMU must come within ``timeout_s``."""

    def __init__(self, handle: t.Any, timeout_s: float, thing: str) -> None:
        self._handle, self._timeout_s, self._thing = handle, timeout_s, thing
        self.size: int = handle.get_size()

    def extents(self) -> list[tuple[int, int]]:
        """Offset and length of what may have data; the rest reads as zeros."""
        found: list[tuple[int, int]] = []
        position = 0
        while position < self.size:
            for length, flags in self._status(position, min(_STATUS_BYTES, self.size - position)):
                if not flags & _READS_AS_ZERO:
                    if found and sum(found[-1]) == position:
                        found[-1] = (found[-1][0], found[-1][1] + length)
                    else:
                        found.append((position, length))
                position += length
        return found

    def _status(self, offset: int, count: int) -> list[tuple[int, int]]:
        entries: list[int] = []

        def collect(context: str, _offset: int, told: Sequence[int], _error: object) -> int:
            entries.extend(told if context == _CONTEXT else ())
            return 0

        self._wait(self._handle.aio_block_status(count, offset, collect), f"the state of the data from {offset} on")
        if not entries:
            raise LifeboatError(self._thing, "no state of its data", "one", "Update qemu-utils.")
        return list(zip(entries[::2], entries[1::2], strict=True))

    def read(self, offset: int, length: int) -> bytes:
        """The data there. LifeboatError when they cannot be read."""
        buffer = nbd.Buffer(length)
        self._wait(self._handle.aio_pread(buffer, offset), f"{length} bytes from {offset} on")
        return bytes(buffer.to_bytearray())

    def _wait(self, cookie: int, awaited: str) -> None:
        try:
            _poll(self._handle, lambda: self._handle.aio_command_completed(cookie), self._timeout_s)
        except TimeoutError as error:
            found = f"no answer about {awaited} within {self._timeout_s:g} s"
            raise LifeboatError(self._thing, found, "an answer", "See what the storage of the image does.") from error
        except nbd.Error as error:
            found = f"{error.string} on reading {awaited}"
            raise LifeboatError(self._thing, found, "readable data", "See the host's kernel log.") from error


def _poll(handle: t.Any, is_done: t.Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_done():
        left_ms = int((deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise TimeoutError
        handle.poll(left_ms)


@contextlib.contextmanager
def open_source(image: DiskImage, timeout_s: float, thing: str, is_running: bool = False) -> Iterator[QemuSource]:
    """The image for the time of the block.

    LifeboatError when something else has it open to write, unless its machine may be running: then what is read is of
    no single moment, and an image with tables may even mislead, so that all of it must be read once more later.
    """
    options = f"json:{json.dumps(image.options | ({'force-share': True} if is_running else {}))}"
    if not is_running:
        _check_closed(options, [file.path for file in image.identity()], thing)
    handle = nbd.NBD()
    try:
        _connect(handle, options, thing)
        yield QemuSource(handle, timeout_s, thing)
    finally:
        # It only reads, and it may be what hangs.
        with contextlib.suppress(nbd.Error):
            handle.kill_subprocess(signal.SIGKILL)


def _connect(handle: t.Any, options: str, thing: str) -> None:
    try:
        handle.add_meta_context(_CONTEXT)
        handle.aio_connect_systemd_socket_activation([_program(), "--read-only", options])
        _poll(handle, handle.aio_is_ready, _OPEN_TIMEOUT_S)
    except TimeoutError as error:
        found = f"no answer of qemu-nbd within {_OPEN_TIMEOUT_S:g} s"
        raise LifeboatError(thing, found, "an open image", "See what the storage of the image does.") from error
    except nbd.Error as error:
        raise LifeboatError(thing, f"qemu-nbd: {error.string}", "an open image", "See what it says.") from error


def _check_closed(options: str, files: Sequence[str], thing: str) -> None:
    for path in files:
        if _qemu_lock.is_written(path):
            found = f"{path} open to write in QEMU"
            raise LifeboatError(thing, found, "an image that nobody has open", _SHUT_DOWN)
    try:
        output_of(["qemu-img", "info", "--output=json", options], _OPEN_TIMEOUT_S)
    except LifeboatError as error:
        raise LifeboatError(thing, error.found, "an image that nobody has open", _SHUT_DOWN) from error


def _program() -> str:
    # libnbd cannot tell a missing program from one that fails.
    found = shutil.which("qemu-nbd")
    if found is None:
        raise LifeboatError("qemu-nbd", "no such program", "one", "Install qemu-utils.")
    return found
