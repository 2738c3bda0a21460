# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What speaks against the OSDs that are asked for, found before anything is changed."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils import _block_devices
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import SMALLEST_BYTES, Permissions
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd import (
    Record,
    Step,
    Target,
    cluster_findings,
    record_findings,
    step_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def osd_findings(
    targets: Sequence[Target], records: Sequence[Record], cluster: str, allowed: Permissions, file_size: int | None
) -> Iterator[Finding]:
    """Everything that is wrong, in a stable order."""
    foreign = [*cluster_findings(records, cluster)]
    if foreign:
        yield from foreign
        return
    for target in targets:
        same = [other.path for other in targets if other.device == target.device and other is not target]
        if same and target is not targets[-1]:
            yield Finding(f"device {target.path}", f"the same as {same[0]}", "each device once", "Take one out.")
        yield from record_findings(target, cluster, records, force_used=allowed.used)
    new = [target for target in targets if step_of(target, cluster) is Step.CREATE]
    for target in new:
        if target.is_file:
            yield from _file_findings(target, allowed, file_size)
    yield from _new_device_findings([each for each in new if not each.is_file], records, allowed)


def _new_device_findings(new: Sequence[Target], records: Sequence[Record], allowed: Permissions) -> Iterator[Finding]:
    if not new:
        return
    devices, signatures = _block_devices.look([target.device for target in new if not target.trouble])
    for target in new:
        # What a label says has been told already.
        told = {_block_devices.BLUESTORE} if target.label else set()
        found = [each for each in signatures.get(target.device, []) if each not in told]
        if target.exists:
            yield from _block_devices.device_findings(target.device, devices, found, allowed, told)
        else:
            remedy = "Correct the path, or add the disk."
            yield Finding(f"device {target.path}", "no such device", "a block device of this host", remedy)
    paths = [target.device for target in new if target.exists]
    occupied = [record.device for record in records if record.device in devices]
    yield from _block_devices.shared_disk_findings(paths, occupied, devices, allowed)


def _file_findings(target: Target, allowed: Permissions, size: int | None) -> Iterator[Finding]:
    thing = f"file {target.path}"
    if target.exists:
        if not os.path.isfile(target.device):
            yield Finding(thing, "no regular file", "a file, or a device below /dev", "Correct the path.")
        elif os.stat(target.device).st_blocks and not allowed.used and not target.label:
            yield Finding(thing, "data in it", "an empty file, or none", "Choose another path, or set force_used.")
        elif os.stat(target.device).st_size < SMALLEST_BYTES:
            found, expected = f"{os.stat(target.device).st_size} bytes", f"at least {SMALLEST_BYTES}"
            yield Finding(thing, found, expected, "Remove it and give file_size.")
    elif size is None:
        yield Finding(thing, "no file and no size to make it with", "one of them", "Give file_size.")
    elif size < SMALLEST_BYTES:
        yield Finding(thing, f"file_size {size}", f"at least {SMALLEST_BYTES}", "Raise file_size.")
    elif (free := _free_bytes(target.device)) < size:
        yield Finding(
            thing, f"{free} bytes free in its file system", f"{size}", "Choose another place, or lower file_size."
        )


def _free_bytes(path: str) -> int:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize
