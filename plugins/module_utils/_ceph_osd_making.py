# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Making OSDs on this host, step by step, each step repeatable."""

from __future__ import annotations

import os
import shutil
import time
import typing as t
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd import OSD_ROOT, Step, Target
from ansible_collections.lifeboat.cloud.plugins.module_utils._cephx import new_cephx_key
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._systemd_units import (
    UnitsPlan,
    carry_out,
    look,
    plan,
    systemctl,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph

MKFS_TIMEOUT_S = 300.0
TOOL_TIMEOUT_S = 60.0
PARALLEL_MKFS = 4
POLL_S = 0.3
USER = "ceph"
# Where signatures, labels and the first extents of RocksDB are.
_WIPED_BYTES = 10 * 2**20


def make_osds(ceph: Ceph, conf_file: str, work: Sequence[tuple[Target, Step]], file_size: int | None) -> dict[str, int]:
    """Bring every target to its end, and say which OSD each path has."""
    directories = {target.path: _registered(ceph, target, step, file_size) for target, step in work}
    unformatted = [target.path for target, step in work if step is not Step.ADOPT]
    with ThreadPoolExecutor(PARALLEL_MKFS) as pool:
        # list() hands on the first exception.
        list(pool.map(lambda path: _format(directories[path], conf_file), unformatted))
    return {path: int(directory.name.removeprefix("ceph-")) for path, directory in directories.items()}


def unit_plan(numbers: Sequence[int]) -> UnitsPlan:
    """What has to be done so that the daemons of these OSDs run and start at boot."""
    names = [f"ceph-osd@{number}.service" for number in numbers]
    return plan(look(names, systemctl), []) if names else UnitsPlan(False, (), (), ())


def start_osds(ceph: Ceph, numbers: Sequence[int], timeout_s: int) -> None:
    """Start the daemons, and wait until the cluster has them up."""
    names = [f"ceph-osd@{number}.service" for number in numbers]
    carry_out(unit_plan(numbers), names, systemctl, float(timeout_s))
    deadline = time.monotonic() + timeout_s
    while True:
        up = {osd["osd"] for osd in ceph.read("osd dump")["osds"] if osd["up"]}
        down = [f"osd.{number}" for number in numbers if number not in up]
        if not down:
            return
        if time.monotonic() > deadline:
            found = f"not up {timeout_s} s after the start of its daemon"
            remedy = "Look into its log below /var/log/ceph."
            raise LifeboatError(", ".join(down), found, "an OSD that is up", remedy)
        time.sleep(POLL_S)


def _registered(ceph: Ceph, target: Target, step: Step, file_size: int | None) -> Path:
    """The directory of an OSD that has its number."""
    if step is Step.ADOPT:
        return _adopted(ceph, target)
    directory = target.record.directory if target.record else _prepared(target, file_size)
    if not directory.name.startswith("new-"):
        return directory
    osd_uuid, key = (directory / "fsid").read_text().strip(), (directory / "osd_key").read_text().strip()
    # The monitors give the same number to the same UUID and key again.
    number = ceph.create("osd new", f'{{"cephx_secret": "{key}"}}', uuid=osd_uuid)["osdid"]
    _write(directory / "keyring", f"[osd.{number}]\n\tkey = {key}\n")
    final = directory.with_name(f"ceph-{number}")
    if final.exists():
        remedy = "Move it away when it belongs to no disk of this host."
        raise LifeboatError(str(final), "a directory of an OSD that the cluster does not know", "none", remedy)
    directory.rename(final)
    return final


def _prepared(target: Target, file_size: int | None) -> Path:
    """A directory with all that is needed to ask for a number again; the link to the device comes last."""
    if target.is_file and not target.exists:
        _make_file(target, file_size)
    elif not target.is_file:
        wipe(target.device)
    osd_uuid = str(uuid.uuid4())
    directory = OSD_ROOT / f"new-{osd_uuid}"
    directory.mkdir(mode=0o750)
    _write(directory / "fsid", f"{osd_uuid}\n")
    _write(directory / "osd_key", f"{new_cephx_key()}\n")
    shutil.chown(directory, USER, USER)
    (directory / "block").symlink_to(stable_path(target.path))
    return directory


def _make_file(target: Target, size: int | None) -> None:
    if size is None:
        raise LifeboatError(f"file {target.path}", "no file", "one, or its size", "Give file_size.")
    os.makedirs(os.path.dirname(target.device), mode=0o755, exist_ok=True)
    descriptor = os.open(target.device, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _format(directory: Path, conf_file: str) -> None:
    """Write the OSD's first content. What a killed run has left on the device is wiped, as it holds no data yet."""
    number, device = directory.name.removeprefix("ceph-"), os.path.realpath(directory / "block")
    wipe(device)
    shutil.chown(device, USER, USER)
    osd_uuid, key = (directory / "fsid").read_text().strip(), (directory / "osd_key").read_text().strip()
    output_of(
        [
            *("ceph-osd", "--conf", conf_file, "--id", number, "--osd-data", str(directory)),
            *("--mkfs", "--osd-uuid", osd_uuid, "--keyfile", "-", "--setuser", USER, "--setgroup", USER),
        ],
        MKFS_TIMEOUT_S,
        key,
    )


def _adopted(ceph: Ceph, target: Target) -> Path:
    """The directory of an OSD whose device was finished before, from the device's label."""
    label = t.cast("t.Any", target.label)
    known = {osd["osd"]: osd["uuid"] for osd in ceph.read("osd dump")["osds"]}
    if known.get(label.osd_id) != label.osd_uuid:
        found = f"osd.{label.osd_id} with the UUID {label.osd_uuid}, which the cluster does not know"
        remedy = "Wipe the device with wipefs, if nothing on it is needed."
        raise LifeboatError(f"device {target.path}", found, "an OSD of the cluster", remedy)
    directory = OSD_ROOT / f"ceph-{label.osd_id}"
    directory.mkdir(mode=0o750, exist_ok=True)
    link = directory / "block"
    link.unlink(missing_ok=True)
    shutil.chown(target.device, USER, USER)
    output_of(
        ["ceph-bluestore-tool", "prime-osd-dir", "--dev", target.device, "--path", str(directory)], TOOL_TIMEOUT_S
    )
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, USER, USER)
    link.symlink_to(stable_path(target.path))
    return directory


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        shutil.chown(path, USER, USER)
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def wipe(device: str) -> None:
    """Take signatures and labels away."""
    if not os.path.isfile(device):
        output_of(["wipefs", "--all", "--force", device], TOOL_TIMEOUT_S)
    with open(device, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        file.write(b"\0" * min(_WIPED_BYTES, end))
        file.flush()
        os.fsync(file.fileno())


def stable_path(path: str, links: Callable[[str], Sequence[str]] | None = None) -> str:
    """A name of the same device that lasts over a boot, where there is one; names such as /dev/sdb do not."""
    device = os.path.realpath(path)
    if not path.startswith("/dev/") or path != device:
        return path
    for kind in ("by-partuuid", "by-id"):
        root = Path("/dev/disk") / kind
        names = sorted(links(kind) if links else map(str, root.iterdir()) if root.is_dir() else [])
        for name in names:
            if os.path.realpath(name) == device:
                return name
    return path
