# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The import of one disk: whether there is anything to do, the copy, and what is left when it fails."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import BLOCK_SIZE, Copied, Copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Journal, Subject, open_journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_source import open_source

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import Target
    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
    from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_source import QemuSource

Json = dict[str, t.Any]


class Destination(t.Protocol):
    """A place for a disk. ``partial`` is the name of the unfinished copy, ``journal`` the path of its journal."""

    thing: str
    partial: str
    journal: str

    def exists(self) -> bool: ...
    def receipt(self) -> Json | None: ...
    def check_room(self, needed: int) -> None: ...
    def has_partial(self, size: int) -> bool: ...
    def open_partial(self, size: int) -> contextlib.AbstractContextManager[Target]: ...
    def publish(self, receipt: Json) -> None: ...
    def discard_partial(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """``resume`` keeps what a failed copy has copied and goes on from it; ``timeout_s`` is for one read."""

    resume: bool = True
    read_back: bool = True
    timeout_s: float = 60.0


def subject_of(image: DiskImage) -> Subject:
    """What a copy of the image is a copy of."""
    return Subject(image.identity(), image.size, BLOCK_SIZE)


def earlier_import(image: DiskImage, destination: Destination) -> Json | None:
    """The receipt when the destination is this disk already, None when nothing is there; else LifeboatError."""
    if not destination.exists():
        return None
    receipt = destination.receipt()
    if receipt is None or receipt["source"] != subject_of(image).header():
        found = "something else" if receipt is None else "a copy of another disk, or of an earlier state of this one"
        remedy = "Choose another name, or remove it if nobody needs it."
        raise LifeboatError(destination.thing, found, "nothing, or a copy of this disk", remedy)
    return receipt


def import_disk(image: DiskImage, destination: Destination, options: Options, thing: str) -> Copied:
    """Copy the disk, and let it appear when it is whole. LifeboatError leaves nothing, or what can be resumed."""
    subject = subject_of(image)
    with open_source(image, options.timeout_s, thing) as source:
        destination.check_room(sum(length for _offset, length in source.extents()))
        os.makedirs(os.path.dirname(destination.journal), mode=0o700, exist_ok=True)
        with open_journal(destination.journal, subject, destination.thing) as journal:
            _prepare(destination, journal, subject, options)
            try:
                copied = _copied(source, destination, journal, options)
                if subject != subject_of(image):
                    journal.restart(subject)
                    raise LifeboatError(thing, "a source that changed meanwhile", "one at rest", "Shut its guest down.")
                _publish(destination, subject, copied)
            except (LifeboatError, OSError) as error:
                raise _left(destination, options, _explained(error, destination)) from error
            os.unlink(destination.journal)
    return copied


def _prepare(destination: Destination, journal: Journal, subject: Subject, options: Options) -> None:
    if not (options.resume and journal.is_resumed and destination.has_partial(subject.size)):
        destination.discard_partial()
        journal.restart(subject)


def _copied(source: QemuSource, destination: Destination, journal: Journal, options: Options) -> Copied:
    with destination.open_partial(source.size) as target:
        return Copy(source, target, journal, options.read_back, destination.thing).run()


def _publish(destination: Destination, subject: Subject, copied: Copied) -> None:
    if copied.source_digest != copied.destination_digest:
        found = f"digest {copied.destination_digest}"
        raise LifeboatError(destination.thing, found, copied.source_digest, "Report this: a block passed its check.")
    destination.publish({"source": subject.header(), **dataclasses.asdict(copied)})


def _explained(error: LifeboatError | OSError, destination: Destination) -> LifeboatError:
    if isinstance(error, LifeboatError):
        return error
    remedy = "See its storage's health and free space."
    return LifeboatError(destination.thing, error.strerror or str(error), "a copy that succeeds", remedy)


def _left(destination: Destination, options: Options, error: LifeboatError) -> LifeboatError:
    """The error, with what it leaves behind: nothing, unless some blocks are worth being resumed."""
    with open(destination.journal, "rb") as file:
        blocks = file.read().count(b"\n") - 1
    if options.resume and blocks > 0:
        remedy = (
            f"{error.remedy} {blocks} blocks of {BLOCK_SIZE} bytes are kept as {destination.partial}: run this again"
        )
        return LifeboatError(
            error.thing, error.found, error.expected, f"{remedy} to go on, with resume set to false to begin anew."
        )
    try:
        destination.discard_partial()
    except LifeboatError:
        remedy = f"{error.remedy} {destination.partial} could not be removed; the next run does it."
        return LifeboatError(error.thing, error.found, error.expected, remedy)
    os.unlink(destination.journal)
    return error
