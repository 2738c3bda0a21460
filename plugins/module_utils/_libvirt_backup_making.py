# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Making and removing backups: all of one or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import (
    Kept,
    Manifest,
    WantedBackup,
    backups_on,
    check_base,
    check_complete,
    disks_of,
    find_domain,
    is_of,
    left_of,
    read_manifest,
    remove_empty,
    remove_files,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_disks import WrittenDisk
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_snapshot import take
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock
    from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import Images, RbdImage

POLL_S = 0.25
# virDomainJobOperation
BACKUP_JOB = 9


class BackupCalls(t.Protocol):
    """libvirt's calls for backups. CallError when it refuses."""

    def begin(self, name: str, backup_xml: str, checkpoint_xml: str) -> None:
        """Begin the backup, and a checkpoint at the same moment."""

    def abort(self, name: str) -> None:
        """End the job under way."""

    def under_way(self, name: str) -> str:
        """XML of the backup under way; empty without one."""

    def completed(self, name: str) -> Mapping[str, t.Any]:
        """The statistics of the last job."""

    def checkpoints(self, name: str) -> list[str]:
        """The names of the domain's checkpoints."""

    def delete_checkpoint(self, name: str, checkpoint: str) -> None:
        """Forget a checkpoint."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What backups are made with."""

    calls: BackupCalls
    images: Images
    clock: Clock


def backup_changes(connection: Connection, tools: Tools, wanted: WantedBackup) -> list[Change]:
    """What makes the backup, unless it is there; LifeboatError when it cannot be made."""
    domain = find_domain(connection, wanted)
    found = read_manifest(wanted.place)
    served = found is not None and found.mode == "pull" and not found.fetched
    if found is not None and not (wanted.pull and served and not is_under_way(tools, domain, wanted)):
        check_complete(found, domain, wanted)
        return []
    if domain.job():
        remedy = "Wait for its end. A backup that is pulled ends with state=fetched, or with state=absent."
        raise LifeboatError(f"domain {wanted.name}", "another job under way", "none", remedy)
    disks = disks_of(domain, wanted)
    images = [disk.image for disk in disks if disk.image is not None]
    left = left_of(domain, wanted)
    _check_free(tools, wanted, images, left)
    check_base(domain, wanted, _points(tools, wanted, images))
    making = _Making(tools, domain, wanted, disks, images, left)
    verb = "serve" if wanted.pull else "make"
    since = f" since {wanted.base}" if wanted.base else ""
    return [Change(f"{verb} {wanted.thing}{since}", wanted.thing, "absent", wanted.place, making.do)]


def removal_changes(connection: Connection, tools: Tools, wanted: WantedBackup) -> list[Change]:
    """What removes the backup; LifeboatError while others are based on it."""
    domain = find_domain(connection, wanted)
    needing = backups_on(wanted.directory, wanted.backup)
    if needing:
        remedy = "Remove those first, the newest before the others."
        raise LifeboatError(wanted.thing, f"backups based on it: {', '.join(needing)}", "none", remedy)
    left = left_of(domain, wanted)
    if left is None:
        return []
    condition = domain.condition()
    if not condition.active and left.kept_by == "libvirt" and wanted.backup in tools.calls.checkpoints(wanted.name):
        remedy = "Start it, at least paused, with libvirt_domain: a checkpoint is removed from a guest that runs only."
        raise LifeboatError(f"domain {wanted.name}", str(condition), "a guest that runs", remedy)

    def remove() -> None:
        if is_under_way(tools, domain, wanted):
            tools.calls.abort(wanted.name)
        _forget(tools, wanted, left)

    return [Change(f"remove {wanted.thing}", wanted.thing, wanted.place, "absent", remove)]


def _points(tools: Tools, wanted: WantedBackup, images: Sequence[RbdImage]) -> Collection[str]:
    """The backups since which the domain can tell what has changed."""
    if images:
        return set.intersection(*(set(tools.images.snapshots(image)) for image in images))
    return tools.calls.checkpoints(wanted.name)


def _check_free(tools: Tools, wanted: WantedBackup, images: Sequence[RbdImage], left: Manifest | None) -> None:
    """LifeboatError for a point in time of this name that belongs to no backup here, and must not go with one."""
    own = [] if left is None else [image.image for image in left.images]
    if images:
        others = [image for image in images if image.image not in own]
        taken = [f"snapshot {image.image}@{wanted.backup}" for image in others if _has(tools, image, wanted)]
    elif left is None or left.kept_by != "libvirt":
        taken = [f"checkpoint {name}" for name in tools.calls.checkpoints(wanted.name) if name == wanted.backup]
    else:
        taken = []
    if taken:
        remedy = "Choose another name, or remove it: with libvirt_snapshot one of Ceph, with virsh a checkpoint."
        raise LifeboatError(wanted.thing, f"{', '.join(taken)} of something else", "a name that is free", remedy)


def _has(tools: Tools, image: RbdImage, wanted: WantedBackup) -> bool:
    return wanted.backup in tools.images.snapshots(image)


def is_under_way(tools: Tools, domain: Domain, wanted: WantedBackup) -> bool:
    """Whether the domain's job is this backup. Another's, or a migration, is none of ours."""
    return domain.job().get("operation") == BACKUP_JOB and is_of(tools.calls.under_way(wanted.name), wanted)


def _forget(tools: Tools, wanted: WantedBackup, left: Manifest) -> None:
    """Remove the point in time from the domain, and the files."""
    for image in left.images:
        if _has(tools, image, wanted):
            tools.images.remove(image, wanted.backup)
    if left.kept_by == "libvirt" and wanted.backup in tools.calls.checkpoints(wanted.name):
        tools.calls.delete_checkpoint(wanted.name, wanted.backup)
    remove_files(wanted.place)


@dataclass(frozen=True, slots=True)
class _Making:
    """One backup to be made, in the place of what is ``left`` of one."""

    tools: Tools
    domain: Domain
    wanted: WantedBackup
    disks: tuple[WrittenDisk, ...]
    images: list[RbdImage]
    left: Manifest | None

    def do(self) -> None:
        wanted, begun = self.wanted, self._begun()
        if self.left is not None:
            _forget(self.tools, wanted, self.left)
        elif os.path.isdir(wanted.place):
            remove_empty(wanted.place)
        # QEMU, which has no more rights than its user, writes or serves the files of libvirt's; Ceph's are root's.
        os.makedirs(wanted.place, mode=0o700 if self.images else 0o711)
        try:
            begun.begin(wanted.place)
            kept = self._by_ceph(begun) if self.images else self._by_libvirt(begun)
            dataclasses.replace(begun, disks=kept).write(wanted.place)
        except BaseException:
            with contextlib.suppress(LifeboatError):
                if is_under_way(self.tools, self.domain, wanted):
                    self.tools.calls.abort(wanted.name)
            with contextlib.suppress(LifeboatError):
                _forget(self.tools, wanted, begun)
            raise

    def _begun(self) -> Manifest:
        """What it will be, without the sizes."""
        wanted = self.wanted
        mode, kept_by = "pull" if wanted.pull else "push", "ceph" if self.images else "libvirt"
        suffix = "scratch" if wanted.pull else "rbd-diff" if self.images else "qcow2"
        disks = tuple(_kept(disk, f"{disk.target}.{suffix}") for disk in self.disks)
        return Manifest(wanted.name, self.domain.uuid, wanted.backup, wanted.base, kept_by, mode, disks)

    def _by_ceph(self, begun: Manifest) -> tuple[Kept, ...]:
        take(self.domain, self.tools.images, self.images, self.wanted.backup)
        for image, kept in zip(begun.images, begun.disks, strict=True):
            path = os.path.join(self.wanted.place, kept.file)
            self.tools.images.export(image, self.wanted.backup, self.wanted.base, path)
        return self._measured(begun)

    def _by_libvirt(self, begun: Manifest) -> tuple[Kept, ...]:
        wanted, targets = self.wanted, [disk.target for disk in self.disks]
        if wanted.pull:
            # The guest's QEMU opens the socket there.
            os.chown(wanted.place, *qemu_owner(self.domain))
        self.tools.calls.begin(wanted.name, backup_xml(wanted, targets), checkpoint_xml(wanted, targets))
        if wanted.pull:
            return begun.disks
        self._await_end()
        return self._measured(begun)

    def _measured(self, begun: Manifest) -> tuple[Kept, ...]:
        place = self.wanted.place
        return tuple(
            dataclasses.replace(disk, bytes=os.path.getsize(os.path.join(place, disk.file))) for disk in begun.disks
        )

    def _await_end(self) -> None:
        clock, wanted = self.tools.clock, self.wanted
        end = clock.monotonic() + wanted.max_seconds
        while job := self.domain.job():
            if clock.monotonic() >= end:
                done, total = job.get("disk_processed", 0) >> 20, job.get("disk_total", 0) >> 20
                found = f"{done} of {total} MiB after {wanted.max_seconds:g} s"
                remedy = "Allow more with max_seconds, or find out what slows the disks down."
                raise LifeboatError(wanted.thing, found, "the end of the copy", remedy)
            clock.sleep(POLL_S)
        said = self.tools.calls.completed(wanted.name)
        if not said.get("success"):
            found = said.get("errmsg") or "a job that failed"
            raise LifeboatError(wanted.thing, found, "a complete copy", "See that there is room, and the daemon's log.")


def _kept(disk: WrittenDisk, file: str) -> Kept:
    image, client = (disk.image.image, disk.image.client) if disk.image is not None else (None, None)
    return Kept(disk.target, file, image=image, client=client)


def qemu_owner(domain: Domain) -> tuple[int, int]:
    """User and group of the guest's QEMU, by the security label that libvirt gave it; -1 where it gave none."""
    root = parse(domain.definition(live=True), f"definition of domain {domain.name}")
    label = root.findtext("seclabel[@model='dac']/label") or ""
    numbers = re.fullmatch(r"\+(\d+):\+(\d+)", label)
    return (int(numbers[1]), int(numbers[2])) if numbers else (-1, -1)


def backup_xml(wanted: WantedBackup, targets: Sequence[str]) -> str:
    """The C(<domainbackup>) of these disks, and of no others."""
    root = Element("domainbackup", mode="pull" if wanted.pull else "push")
    if wanted.base:
        SubElement(root, "incremental").text = wanted.base
    if wanted.pull:
        SubElement(root, "server", transport="unix", socket=wanted.socket)
    disks = SubElement(root, "disks")
    for target in targets:
        disk = SubElement(disks, "disk", name=target, type="file", backup="yes")
        if wanted.pull:
            disk.set("exportname", target)
            if wanted.base:
                disk.set("exportbitmap", target)
            SubElement(disk, "scratch", file=os.path.join(wanted.place, f"{target}.scratch"))
        else:
            SubElement(disk, "driver", type="qcow2")
            SubElement(disk, "target", file=os.path.join(wanted.place, f"{target}.qcow2"))
    return tostring(root, encoding="unicode")


def checkpoint_xml(wanted: WantedBackup, targets: Sequence[str]) -> str:
    """The C(<domaincheckpoint>) from which on changes are noted."""
    root = Element("domaincheckpoint")
    SubElement(root, "name").text = wanted.backup
    disks = SubElement(root, "disks")
    for target in targets:
        SubElement(disks, "disk", name=target, checkpoint="bitmap")
    return tostring(root, encoding="unicode")
