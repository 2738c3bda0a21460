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

from ansible_collections.lifeboat.cloud.plugins.module_utils import _qemu_lock
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import (
    BLOCK_SIZE,
    Copied,
    Copy,
    block_digest,
    digest_of,
    found_digest,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._copy_journal import Journal, Subject, open_journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_source import open_source

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._block_copy import Readable, Target
    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
    from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_source import QemuSource

Json = dict[str, t.Any]


class Destination(t.Protocol):
    """A place for a disk. ``partial`` is the name of the unfinished copy, ``journal`` the path of its journal.

    ``to_replace`` says how somebody makes room for another copy.
    """

    thing: str
    to_replace: str
    partial: str
    journal: str

    def exists(self) -> bool: ...
    def receipt(self) -> Json | None: ...
    def stamp(self) -> Sequence[int | str]: ...
    def open_whole(self) -> contextlib.AbstractContextManager[Readable]: ...
    def check_room(self, needed: int) -> None: ...
    def has_partial(self, size: int) -> bool: ...
    def open_partial(self, size: int) -> contextlib.AbstractContextManager[Target]: ...
    def publish(self, receipt: Json) -> None: ...
    def discard_partial(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """``resume`` keeps what a failed copy has copied and goes on from it; ``timeout_s`` is for one read.

    ``is_running`` copies what a running machine has now, to be gone on with once it is off.
    """

    resume: bool = True
    read_back: bool = True
    timeout_s: float = 60.0
    is_running: bool = False


def subject_of(image: DiskImage, is_running: bool = False) -> Subject:
    """What a copy of the image is a copy of."""
    return Subject(image.identity(), image.size, BLOCK_SIZE, is_running)


def is_gone(destination: Destination) -> bool:
    """Whether there was a copy, which somebody has removed."""
    return not destination.exists() and destination.receipt() is not None


def earlier_import(image: DiskImage, destination: Destination, options: Options, thing: str) -> Json | None:
    """What an earlier copy did when the destination is this disk still, None when nothing is there; else LifeboatError.

    Whatever does not tell by itself that it is as it was, of source and destination, is read whole and compared.
    """
    if not destination.exists():
        return None
    receipt = destination.receipt()
    subject = subject_of(image)
    if receipt is not None and options.is_running:
        remedy = f"Choose another place, or {destination.to_replace}."
        raise LifeboatError(destination.thing, "a copy that was finished", "none of a running machine", remedy)
    if receipt is None or not _may_be_same(receipt["source"], subject):
        found = "something else" if receipt is None else "a copy of another disk, or of an earlier state of this one"
        remedy = f"Choose another place, or {destination.to_replace}."
        raise LifeboatError(destination.thing, found, "nothing, or a copy of this disk", remedy)
    if not (subject.tells_changes and receipt["source"] == subject.header()):
        _check_source(image, receipt, destination.to_replace, options, thing)
    _check_destination(destination, receipt)
    return {each.name: receipt[each.name] for each in dataclasses.fields(Copied)}


def _may_be_same(header: Json, subject: Subject) -> bool:
    """Whether paths, sizes and times are the same. What has been put there with them is noticed by its content."""
    then, now = header["files"], subject.header()["files"]
    return subject.is_same_disk(header) and [
        file[1:3] for file, state in zip(then, subject.files, strict=True) if not state.is_device
    ] == [file[1:3] for file, state in zip(now, subject.files, strict=True) if not state.is_device]


def _check_source(image: DiskImage, receipt: Json, to_replace: str, options: Options, thing: str) -> None:
    """LifeboatError unless the source has the content that was copied."""
    with open_source(image, options.timeout_s, thing) as source:
        digest = digest_of(source, thing)
    if digest != receipt["source_digest"]:
        found = f"a source of the same name with the digest {digest}"
        expected = f"{receipt['source_digest']}, of which there is a copy"
        raise LifeboatError(thing, found, expected, f"Choose another place, or {to_replace}.")


def _check_destination(destination: Destination, receipt: Json) -> None:
    """LifeboatError when the destination is no longer what was copied: by some blocks, or all if it was touched."""
    size = receipt["size"]
    with destination.open_whole() as whole:
        if destination.stamp() == receipt["stamp"]:
            changed = [
                f"block {number} changed"
                for number, digest in receipt["samples"].items()
                if block_digest(whole, int(number), size) != digest
            ]
        else:
            digest = found_digest(whole, size, destination.thing)
            changed = [f"digest {digest}"] if digest != receipt["destination_digest"] else []
            changed += [f"{destination.stamp()[0]} bytes"] if destination.stamp()[0] != size else []
    if changed:
        found = f"a copy of this disk that was changed since: {', '.join(changed)}"
        remedy = f"It was left alone. Use it as it is, or {destination.to_replace}, to have the disk copied again."
        raise LifeboatError(
            destination.thing, found, f"{size} bytes with digest {receipt['destination_digest']}", remedy
        )


def import_disk(image: DiskImage, destination: Destination, options: Options, thing: str) -> Copied:
    """Copy the disk, and let it appear when it is whole, unless its machine is running.

    LifeboatError leaves nothing, or what can be resumed.
    """
    subject = subject_of(image, options.is_running)
    with open_source(image, options.timeout_s, thing, options.is_running) as source:
        destination.check_room(sum(length for _offset, length in source.extents()))
        os.makedirs(os.path.dirname(destination.journal), mode=0o700, exist_ok=True)
        with open_journal(destination.journal, subject, destination.thing) as journal:
            _prepare(destination, journal, subject, options)
            try:
                copied, samples = _copied(source, destination, journal, options)
                if options.is_running:
                    journal.end()
                    return copied
                if subject != subject_of(image) or any(_qemu_lock.is_written(file.path) for file in subject.files):
                    raise LifeboatError(thing, "a source that changed meanwhile", "one at rest", "Shut its guest down.")
                _publish(destination, subject, copied, samples)
            except (LifeboatError, OSError) as error:
                raise _left(destination, journal, options, _explained(error, destination)) from error
            os.unlink(destination.journal)
    return copied


def _prepare(destination: Destination, journal: Journal, subject: Subject, options: Options) -> None:
    if options.resume and journal.recorded is not None and destination.has_partial(subject.size):
        journal.go_on(subject)
    else:
        destination.discard_partial()
        journal.restart(subject)


def _copied(
    source: QemuSource, destination: Destination, journal: Journal, options: Options
) -> tuple[Copied, dict[int, str]]:
    with destination.open_partial(source.size) as target:
        copy = Copy(source, target, journal, options.read_back, destination.thing)
        return copy.run(), copy.samples


def _publish(destination: Destination, subject: Subject, copied: Copied, samples: dict[int, str]) -> None:
    if copied.source_digest != copied.destination_digest:
        found = f"digest {copied.destination_digest}"
        raise LifeboatError(destination.thing, found, copied.source_digest, "Report this: a block passed its check.")
    destination.publish({"source": subject.header(), "samples": samples, **dataclasses.asdict(copied)})


def _explained(error: LifeboatError | OSError, destination: Destination) -> LifeboatError:
    if isinstance(error, LifeboatError):
        return error
    remedy = "See its storage's health and free space."
    return LifeboatError(destination.thing, error.strerror or str(error), "a copy that succeeds", remedy)


def _left(destination: Destination, journal: Journal, options: Options, error: LifeboatError) -> LifeboatError:
    """The error, with what it leaves behind: nothing, unless some blocks are worth being resumed."""
    if options.resume and journal.blocks:
        kept = f"{journal.blocks} blocks of {BLOCK_SIZE} bytes are kept as {destination.partial}"
        remedy = f"{error.remedy} {kept}: run this again to go on, with resume set to false to begin anew."
        return LifeboatError(error.thing, error.found, error.expected, remedy)
    try:
        destination.discard_partial()
    except LifeboatError:
        remedy = f"{error.remedy} {destination.partial} could not be removed; the next run does it."
        return LifeboatError(error.thing, error.found, error.expected, remedy)
    os.unlink(destination.journal)
    return error
