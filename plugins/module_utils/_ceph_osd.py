# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The OSDs of a host: what has been begun or finished on each device, and what is still to be done.

An OSD is made in steps that leave a trace, so that a run that was killed is finished by the next one:

1. C(new-UUID) below /var/lib/ceph/osd holds the UUID and the key, and lastly the link C(block) to the device;
2. the cluster has given a number to that UUID and key, and the directory is called C(ceph-NUMBER);
3. the device has a finished label, and what has been written of it into the directory.
"""

from __future__ import annotations

import configparser
import enum
import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._bluestore_label import Label, read_label
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OSD_ROOT = Path("/var/lib/ceph/osd")


class Step(enum.Enum):
    """The step at which the making of an OSD stands."""

    CREATE = "create an OSD"
    REGISTER = "finish the OSD (it has no number yet)"
    FORMAT = "finish the OSD (it has not been formatted)"
    ADOPT = "take back the OSD"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Record:
    """A directory of an OSD. ``osd_id`` is None before the cluster has given a number; ``cluster`` may be empty."""

    directory: Path
    osd_id: int | None
    osd_uuid: str
    cluster: str
    device: str


@dataclass(frozen=True, slots=True)
class Target:
    """A device or a file that shall carry an OSD. ``device`` is the path behind links, ``trouble`` why it is unread."""

    path: str
    device: str
    exists: bool
    label: Label | None
    record: Record | None
    trouble: str = ""

    @property
    def is_file(self) -> bool:
        return not self.path.startswith("/dev/")


def cluster_of(conf_file: str) -> str:
    """The fsid in a configuration file of Ceph."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(Path(conf_file).read_text(encoding="utf-8"))
        return parser["global"]["fsid"]
    except (OSError, configparser.Error, KeyError) as error:
        remedy = "Write the file first, or give fsid."
        raise LifeboatError(f"configuration file {conf_file}", str(error), "one with an fsid", remedy) from error


def records_in(root: Path) -> list[Record]:
    """The directories that have a link to a device, by name."""
    directories = sorted(root.iterdir()) if root.is_dir() else []
    return [_record(directory) for directory in directories if (directory / "block").is_symlink()]


def _record(directory: Path) -> Record:
    prefix, _dash, number = directory.name.partition("-")
    return Record(
        directory=directory,
        osd_id=int(number) if prefix == "ceph" and number.isdigit() else None,
        osd_uuid=_line(directory / "fsid"),
        cluster=_line(directory / "ceph_fsid"),
        device=os.path.realpath(directory / "block"),
    )


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def targets_of(paths: Sequence[str], records: Sequence[Record]) -> list[Target]:
    """What is at each path. A label's OSD is recognised by its UUID, as names of disks may change at a boot."""
    return [_target(path, records) for path in paths]


def _target(path: str, records: Sequence[Record]) -> Target:
    device = os.path.realpath(path)
    exists = os.path.exists(device)
    label, trouble = None, ""
    try:
        label = read_label(device) if exists and not os.path.isdir(device) else None
    except OSError as error:
        trouble = error.strerror or str(error)
    by_uuid = [record for record in records if label and label.ready and record.osd_uuid == label.osd_uuid]
    by_device = [record for record in records if record.device == device]
    return Target(path, device, exists, label, next(iter([*by_uuid, *by_device]), None), trouble)


def step_of(target: Target, cluster: str) -> Step:
    """Where the making of the OSD stands; ``cluster`` is the fsid of the cluster that it shall belong to."""
    label, record = target.label, target.record
    if label and label.ready and label.cluster == cluster:
        in_place = record and record.osd_uuid == label.osd_uuid and record.osd_id == label.osd_id
        if in_place and record and record.device == target.device:
            return Step.READY
        # The label alone is enough to go on, for instance after the system disk was installed anew.
        return Step.ADOPT
    # A finished OSD that the device no longer has is none to be finished.
    if record and not _line(record.directory / "ready"):
        return Step.REGISTER if record.osd_id is None else Step.FORMAT
    return Step.CREATE


def record_findings(target: Target, cluster: str, records: Sequence[Record], *, force_used: bool) -> Iterator[Finding]:
    """What Ceph's own traces on the device and in the directories say against using it."""
    thing, label, record = f"device {target.path}", target.label, target.record
    step = step_of(target, cluster)
    if target.trouble:
        yield Finding(thing, f"an error when it is read ({target.trouble})", "a device that works", "Replace the disk.")
        return
    if step is Step.CREATE and record is not None:
        remedy = f"Remove it with state=absent and ids: [{record.osd_id}], then give the new disk to Ceph."
        yield Finding(thing, f"another content than osd.{record.osd_id} had, whose it was", "that OSD", remedy)
    elif step is Step.CREATE and label is not None and not force_used:
        whose = f"osd.{label.osd_id} of the cluster {label.cluster}" if label.ready else "an OSD that was not finished"
        remedy = "Choose another device, or have it wiped with force_used."
        yield Finding(thing, whose, f"an empty device, or an OSD of the cluster {cluster}", remedy)
    elif step is Step.ADOPT and label is not None:
        for other in records:
            if other.osd_id == label.osd_id and other.osd_uuid != label.osd_uuid:
                found = f"osd.{label.osd_id}, a number that {other.directory} has for another device"
                yield Finding(thing, found, "a number of its own", "Remove the one that the cluster does not know.")


def cluster_findings(records: Sequence[Record], cluster: str) -> Iterator[Finding]:
    """OSDs of another cluster in the directories of this host."""
    for record in records:
        if record.cluster not in ("", cluster):
            found = f"an OSD of the cluster {record.cluster}"
            remedy = "Take the host's OSDs away from that cluster, or correct ceph_fsid in the secrets file."
            yield Finding(str(record.directory), found, f"none but of {cluster}", remedy)
