# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Backups of a running domain's disks: what is wanted, what is there, and what speaks against it.

A backup is a directory with a file for each disk. Its mark is written first and its manifest last, so a directory with
the mark alone is what an interrupted run left, and one with neither is no backup. The next can be based on it: by a
checkpoint of libvirt, or by a snapshot in Ceph.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_disks import WrittenDisk, written_disks
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_snapshot import check_name
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdImage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_MANIFEST, _MARK = "backup.json", "backup.begun"
_OWN_FILES = re.compile(r"backup\.(json|begun)(\.new)?|nbd\.socket|[a-z]+\.(qcow2|rbd-diff|scratch)")


@dataclass(frozen=True, slots=True)
class WantedBackup:
    """``base`` is the earlier backup of which this one has the differences; None for a full one."""

    name: str
    backup: str
    directory: str
    base: str | None = None
    pull: bool = False
    max_seconds: float = 3600.0

    @property
    def thing(self) -> str:
        return f"backup {self.backup} of domain {self.name}"

    @property
    def place(self) -> str:
        return os.path.join(self.directory, self.backup)

    @property
    def socket(self) -> str:
        """Where a pulled backup is served."""
        return os.path.join(self.place, "nbd.socket")


@dataclass(frozen=True, slots=True)
class Kept:
    """One disk in a backup: its file, by name, the size of that in bytes, and in Ceph its image and who opens that."""

    target: str
    file: str
    bytes: int = 0
    image: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is. ``kept_by`` is libvirt or ceph, ``mode`` push or pull, ``fetched`` once that was said."""

    domain: str
    uuid: str
    backup: str
    base: str | None
    kept_by: str
    mode: str
    disks: tuple[Kept, ...]
    fetched: bool = False

    @property
    def images(self) -> list[RbdImage]:
        """The images that have its snapshots."""
        return [RbdImage(disk.image, disk.client or "admin") for disk in self.disks if disk.image]

    def begin(self, place: str) -> None:
        """Mark the directory as what will be this backup, so that its files may be removed until it is."""
        self._put(os.path.join(place, _MARK))

    def write(self, place: str) -> None:
        """Put it into the directory in one step."""
        self._put(os.path.join(place, _MANIFEST))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(place, _MARK))

    def _put(self, path: str) -> None:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)


def read_manifest(place: str) -> Manifest | None:
    """The manifest of a directory; None without one."""
    return _read(place, _MANIFEST)


def _read(place: str, name: str) -> Manifest | None:
    try:
        with open(os.path.join(place, name), encoding="utf-8") as file:
            said = json.load(file)
        return Manifest(**{**said, "disks": tuple(Kept(**disk) for disk in said["disks"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError) as error:
        remedy = "Restore the file, or remove the directory."
        raise LifeboatError(
            f"manifest in {place}", f"no manifest: {error}", "what this module wrote", remedy
        ) from error


def backups_on(directory: str, base: str) -> list[str]:
    """The backups in the directory that are of no use without ``base``."""
    return sorted(found.backup for found in _manifests(directory) if found.base == base)


def _manifests(directory: str) -> Iterator[Manifest]:
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        found = read_manifest(os.path.join(directory, name))
        if found is not None:
            yield found


def find_domain(connection: Connection, wanted: WantedBackup) -> Domain:
    """The domain, with names and paths checked."""
    for name in filter(None, (wanted.backup, wanted.base)):
        check_name(name, wanted.thing)
    if not os.path.isabs(wanted.directory):
        raise LifeboatError(wanted.thing, f"directory {wanted.directory}", "an absolute path", "Give the whole path.")
    return require_domain(connection, wanted.name)


def left_of(domain: Domain, wanted: WantedBackup) -> Manifest | None:
    """The backup in the place, whole or begun, which may be removed; None where there is nothing.

    LifeboatError for anything else, which would be lost with it.
    """
    left = read_manifest(wanted.place) or _read(wanted.place, _MARK)
    if left is not None and (left.uuid, left.backup) != (domain.uuid, wanted.backup):
        found = f"backup {left.backup} of domain {left.domain} with UUID {left.uuid}"
        expected = f"backup {wanted.backup} of UUID {domain.uuid}"
        raise LifeboatError(wanted.place, found, expected, "Correct name, backup or directory.")
    files = os.listdir(wanted.place) if os.path.isdir(wanted.place) else []
    # A mark that its writer did not come to put there is as good as none.
    others = [name for name in files if not (_OWN_FILES.fullmatch(name) if left else name == f"{_MARK}.new")]
    if others:
        found = f"{len(others)} files that are of no backup, such as {min(others)}"
        remedy = "Choose another directory or name, or remove them if they are of no use."
        raise LifeboatError(wanted.place, found, "a directory of this module", remedy)
    if left is None:
        return None
    _check_no_disk(domain, wanted)
    return _with_images(left, domain, wanted)


def _with_images(left: Manifest, domain: Domain, wanted: WantedBackup) -> Manifest:
    """With the images that manifests of earlier versions do not name: those of the same disks today."""
    if left.kept_by != "ceph" or left.images:
        return left
    today = {disk.target: disk.image for disk in written_disks(domain)}
    images = [(disk, image) for disk in left.disks if (image := today.get(disk.target)) is not None]
    if len(images) < len(left.disks):
        remedy = f"Remove the snapshots {wanted.backup} with rbd snap rm where they are, and then the directory."
        found = f"images of {len(images)} of its {len(left.disks)} disks"
        raise LifeboatError(wanted.thing, found, "those that have its snapshots", remedy)
    named = (dataclasses.replace(disk, image=image.image, client=image.client) for disk, image in images)
    return dataclasses.replace(left, disks=tuple(named))


def remove_empty(place: str) -> None:
    """Remove a directory in which there is nothing but perhaps a mark that was not put there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(place, f"{_MARK}.new"))
    os.rmdir(place)


def remove_files(place: str) -> None:
    """Remove the directory; what says whose the rest is goes last."""
    for name in sorted(os.listdir(place), key=lambda each: each in (_MANIFEST, _MARK)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(place, name))
    shutil.rmtree(place)


def _check_no_disk(domain: Domain, wanted: WantedBackup) -> None:
    """LifeboatError when the domain has come to use what is in the place, such as after it was restored there."""
    for live in (True, False):
        definition = parse(domain.definition(live=live), f"definition of domain {domain.name}")
        used = [path for each in definition.iter("source") if (path := each.get("file")) and _lies_in(wanted, path)]
        if used:
            found = f"{used[0]}, a disk of domain {domain.name}"
            raise LifeboatError(wanted.place, found, "no disk that is in use", "Move the disk elsewhere first.")


def _lies_in(wanted: WantedBackup, path: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(wanted.place) + os.sep)


def is_of(backup_xml: str, wanted: WantedBackup) -> bool:
    """Whether the C(<domainbackup>) that is under way is the wanted one, by where its files are; empty for none."""
    elements = ElementTree.fromstring(backup_xml).iter() if backup_xml else ()
    named = (each.get(name) for each in elements for name in ("file", "socket"))
    return any(path is not None and _lies_in(wanted, path) for path in named)


def check_complete(found: Manifest, domain: Domain, wanted: WantedBackup) -> None:
    """LifeboatError when the backup that is there is not the one that is wanted, or lacks something."""
    differs = [
        f"{name} {getattr(found, name)}"
        for name, value in (("uuid", domain.uuid), ("base", wanted.base), ("mode", "pull" if wanted.pull else "push"))
        if getattr(found, name) != value
    ]
    if differs:
        remedy = "Choose another name for the new backup, or remove the old one with state=absent."
        raise LifeboatError(wanted.thing, f"one with {', '.join(differs)}", "the one that is wanted", remedy)
    for disk in found.disks if not wanted.pull else ():
        path = os.path.join(wanted.place, disk.file)
        size = os.path.getsize(path) if os.path.exists(path) else None
        if size != disk.bytes:
            is_there = "no file" if size is None else f"{size} bytes"
            remedy = "Do not rely on it or on those based on it; make a full backup of another name."
            raise LifeboatError(path, is_there, f"{disk.bytes} bytes", remedy)


def check_base(domain: Domain, wanted: WantedBackup, points: t.Collection[str]) -> None:
    """LifeboatError when the base is no backup here, or the domain has forgotten it. ``points`` are those it knows."""
    if wanted.base is None:
        return
    base = read_manifest(os.path.join(wanted.directory, wanted.base))
    if base is None or base.uuid != domain.uuid:
        found = f"no backup {wanted.base} of this domain in {wanted.directory}"
    elif wanted.base not in points:
        found = f"a domain that does not know what has changed since {wanted.base}"
    elif base.mode == "pull" and not base.fetched:
        found = f"{wanted.base}, which was served, and of which nobody has said that it was fetched"
    else:
        return
    raise LifeboatError(wanted.thing, found, "a base that is there", "Make a full backup, without base.")


def disks_of(domain: Domain, wanted: WantedBackup) -> tuple[WrittenDisk, ...]:
    """The disks of the backup; LifeboatError for what cannot be backed up so."""
    disks = written_disks(domain)
    in_ceph = disks[0].image is not None
    if in_ceph and wanted.pull:
        remedy = "Use mode=push, or read the snapshots from Ceph with rbd export-diff."
        raise LifeboatError(f"disks of domain {wanted.name}", "images in Ceph", "qcow2 files, for mode=pull", remedy)
    condition = domain.condition()
    if not in_ceph and not condition.active:
        remedy = (
            "Start it, at least paused, with libvirt_domain; the files of a guest that is off can be copied as such."
        )
        raise LifeboatError(f"domain {wanted.name}", str(condition), "a guest that runs", remedy)
    return disks
