# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Packages of the Open Virtualization Format: an OVA archive, or a descriptor with its files beside it.

Nothing is unpacked: a file of an archive is known by where it begins, so that QEMU can read it in place.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_part import FilePart
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import LARGEST_DESCRIPTION
from ansible_collections.lifeboat.cloud.plugins.module_utils._ovf import Package, parse_ovf

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 1000
# tarfile reads what headers announce (long names, pax records) in one go, however much that is.
_LARGEST_HEADER = 2**20
_MANIFEST_LINE = re.compile(r"(SHA-?1|SHA-?256|SHA-?512)\s?\(([^()]+)\)\s?=\s?([0-9a-f]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Located:
    """A package with the places of all its files; ``manifest`` has algorithm and hash of each, None without one."""

    package: Package
    parts: Mapping[str, FilePart]
    manifest: Mapping[str, tuple[str, str]] | None
    signed: bool


class _HeadersOnly:
    """A file that gives no more than a header at a time."""

    def __init__(self, file: t.BinaryIO, thing: str) -> None:
        self._file, self._thing = file, thing
        self.seek: Callable[..., int] = file.seek
        self.tell: Callable[[], int] = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            found = f"a header of {size} bytes"
            raise LifeboatError(self._thing, found, f"at most {_LARGEST_HEADER}", "Fetch the archive again.")
        return self._file.read(size)


def open_package(path: str) -> Located:
    """The package at ``path``, an C(.ova) archive or an C(.ovf) descriptor, checked but for its hashes."""
    is_archive = path.lower().endswith(".ova")
    thing = f"{'archive' if is_archive else 'descriptor'} {path}"
    try:
        parts = archive_members(path, thing) if is_archive else _neighbours(path)
        return _located(parts, thing, None if is_archive else os.path.basename(path))
    except OSError as error:
        found = error.strerror or str(error)
        raise LifeboatError(thing, found, "a readable file", "Correct the path, or its permissions.") from error


def archive_members(path: str, thing: str) -> dict[str, FilePart]:
    """The files of a tar archive by their names. LifeboatError for any member that is not a whole plain file."""
    whole, found = os.stat(path).st_size, dict[str, FilePart]()
    with open(path, "rb") as file:
        if file.read(2) == _GZIP:
            raise LifeboatError(thing, "gzip", "a plain tar archive", "Decompress it with gunzip first.")
        file.seek(0)
        try:
            with tarfile.open(fileobj=t.cast("t.IO[bytes]", _HeadersOnly(file, thing)), mode="r:") as archive:
                for member in archive:
                    _check_member(member, whole, found, thing)
                    found[member.name] = FilePart(path, member.offset_data, member.size)
        # The others are what tarfile has for headers that contradict themselves, or that follow each other without end.
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            remedy = "Fetch the archive again."
            raise LifeboatError(thing, f"a broken tar archive: {error}", "a whole one", remedy) from error
    return found


def _check_member(member: tarfile.TarInfo, whole: int, before: Mapping[str, FilePart], thing: str) -> None:
    name, remedy = member.name, "Do not use it; get the package from who made it."
    _check_name(name, thing)
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "no plain file"
        raise LifeboatError(thing, f"the member {name}, {kind}", "plain files only", remedy)
    if name in before:
        raise LifeboatError(thing, f"the member {name} twice", "each name once", remedy)
    if len(before) >= _MOST_MEMBERS:
        raise LifeboatError(thing, f"more than {_MOST_MEMBERS} members", "a descriptor and some disks", remedy)
    if member.size < 0 or member.offset_data + member.size > whole:
        found = f"the member {name} of {member.size} bytes, which ends beyond the archive's {whole}"
        raise LifeboatError(thing, found, "a whole archive", "It was cut off: fetch it again.")


def _check_name(name: str, thing: str) -> None:
    if not name or "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
        remedy = "Do not use it; get the package from who made it."
        raise LifeboatError(thing, f"the name {name!r}", "the plain name of a file in the package", remedy)


def _neighbours(path: str) -> dict[str, FilePart]:
    """The plain files beside a descriptor, without links."""
    beside = Path(path).absolute().parent
    return {
        entry.name: FilePart(entry.path, 0, entry.stat().st_size)
        for entry in os.scandir(beside)
        if entry.is_file(follow_symlinks=False)
    }


def _located(parts: Mapping[str, FilePart], thing: str, descriptor: str | None) -> Located:
    found = [name for name in parts if name.lower().endswith(".ovf")] if descriptor is None else [descriptor]
    if len(found) != 1 or found[0] not in parts:
        raise LifeboatError(thing, f"{len(found)} descriptors", "one .ovf file", "Give a package of one machine.")
    stem = found[0][: -len(".ovf")]
    package = parse_ovf(_small(parts, found[0], thing), f"descriptor {found[0]} of {thing}")
    for reference in package.files:
        _check_name(reference.name, thing)
        _check_reference(reference.name, reference.size, parts, thing)
    manifest = parse_manifest(_small(parts, f"{stem}.mf", thing), thing) if f"{stem}.mf" in parts else None
    return Located(package, parts, manifest, f"{stem}.cert" in parts)


def _small(parts: Mapping[str, FilePart], name: str, thing: str) -> bytes:
    if parts[name].size > LARGEST_DESCRIPTION:
        found = f"{name} of {parts[name].size} bytes"
        raise LifeboatError(thing, found, f"at most {LARGEST_DESCRIPTION}", "Get the package from who made it.")
    return parts[name].read(0, LARGEST_DESCRIPTION)


def _check_reference(name: str, size: int | None, parts: Mapping[str, FilePart], thing: str) -> None:
    part = parts.get(name)
    if part is None:
        raise LifeboatError(thing, f"no file {name}", "every file that the descriptor names", "Fetch it again.")
    if size is not None and size != part.size:
        found = f"{name} of {part.size} bytes"
        raise LifeboatError(thing, found, f"the {size} of the descriptor", "Fetch the package again.")
    if part.read(0, 2) == _GZIP:
        remedy = f"Unpack the package and decompress {name}, or export without compression."
        raise LifeboatError(thing, f"{name} compressed with gzip", "a plain disk image", remedy)


def parse_manifest(text: bytes, thing: str) -> dict[str, tuple[str, str]]:
    """Algorithm and hash of each file that a manifest names."""
    manifest: dict[str, tuple[str, str]] = {}
    for line in filter(None, map(str.strip, text.decode(errors="replace").splitlines())):
        parsed = _MANIFEST_LINE.fullmatch(line)
        algorithm = parsed[1].lower().replace("-", "") if parsed else ""
        if parsed is None or len(parsed[3]) != hashlib.new(algorithm).digest_size * 2:
            expected = "lines such as SHA256(disk1.vmdk)= HASH"
            raise LifeboatError(thing, f"a manifest with the line {line[:80]!r}", expected, "Export it again.")
        manifest[parsed[2]] = (algorithm, parsed[3].lower())
    return manifest


def verified(located: Located, thing: str, without: Collection[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Name, algorithm and hash of each file of the manifest; LifeboatError for one that is not as it says.

    Those ``without`` are only looked for, as hashing a disk takes its time.
    """
    if located.manifest is None:
        return
    _check_listed((each.name for each in located.package.files), located.manifest, thing)
    for name, (algorithm, expected) in located.manifest.items():
        if name not in located.parts:
            raise LifeboatError(thing, f"no file {name}", "every file of the manifest", "Fetch the package again.")
        if name in without:
            continue
        found = located.parts[name].digest(algorithm)
        if found != expected:
            remedy = "It was damaged or changed: fetch the package again, and do not import this one."
            raise LifeboatError(thing, f"{name} with {algorithm} {found}", f"{expected} of the manifest", remedy)
        yield name, algorithm, found


def _check_listed(names: Iterable[str], manifest: Mapping[str, tuple[str, str]], thing: str) -> None:
    if missing := [name for name in names if name not in manifest]:
        remedy = "Get the package from who made it."
        raise LifeboatError(thing, f"a manifest without {missing[0]}", "one that names every disk", remedy)
