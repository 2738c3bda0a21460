# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Backups of a running domain's disks: what is wanted, what is there, and what speaks against it.

A backup is a directory with a file for each disk. Its manifest is written last, so a directory without one is what an
interrupted run left. The next backup can be based on it: by a checkpoint of libvirt, or by a snapshot in Ceph.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_disks import WrittenDisk, written_disks
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_snapshot import check_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_MANIFEST = "backup.json"
_OWN_FILES = re.compile(r"backup\.json(\.new)?|nbd\.socket|[a-z]+\.(qcow2|rbd-diff|scratch)")


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
    """One disk in a backup: its file, by name, and the size of that in bytes."""

    target: str
    file: str
    bytes: int = 0


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

    def write(self, place: str) -> None:
        """Put it into the directory in one step."""
        path = os.path.join(place, _MANIFEST)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)


def read_manifest(place: str) -> Manifest | None:
    """The manifest of a directory; None without one."""
    try:
        with open(os.path.join(place, _MANIFEST), encoding="utf-8") as file:
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


def check_own(wanted: WantedBackup) -> None:
    """LifeboatError when the place holds something else than a backup, which would be lost with it."""
    others = [name for name in os.listdir(wanted.place) if not _OWN_FILES.fullmatch(name)]
    if others:
        found = f"{len(others)} files that are of no backup, such as {min(others)}"
        raise LifeboatError(wanted.place, found, "a directory of this module", "Choose another directory or name.")


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
