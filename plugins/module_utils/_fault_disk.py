# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The fault full_disk: a file system without free blocks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, Form
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Step

MIB = 1024 * 1024
MOUNTS = Path("/proc/self/mountinfo")
MEMORY = Path("/proc/meminfo")
# Without room here the host itself stops working: logins, systemd, the dead man's switch.
NEEDED_BY_THE_HOST = frozenset({"/", "/run", "/dev"})
NO_DISK = frozenset({"proc", "sysfs", "cgroup2", "ramfs", "unknown"})


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of proc_pid_mountinfo(5): which part of a file system is mounted where."""

    root: str
    point: str
    kind: str


def mount_of(path: str, mountinfo: str) -> Mount:
    """The mount on which ``path`` (absolute, resolved) lies: the last of the longest mount points above it."""
    best = Mount("/", "/", "unknown")
    for line in mountinfo.splitlines():
        left, _separator, right = line.partition(" - ")
        fields = left.split()
        point = fields[4].replace("\\040", " ")
        above = point in ("/", path) or path.startswith(f"{point}/")
        if above and len(point) >= len(best.point):
            best = Mount(fields[3], point, right.split()[0])
    return best


def refuse_unsafe(path: str, mount: Mount) -> None:
    """Refuse a file system that others need: the host's own, or one shared with the host of a container."""
    reason = ""
    if mount.point in NEEDED_BY_THE_HOST:
        reason = f"it lies on {mount.point}, which the host itself needs"
    elif mount.kind == "overlay" or mount.root != "/":
        # A layer, a bind mount, a subvolume: filling it fills the disk of somebody else.
        reason = f"{mount.point} is a part ({mount.kind}, {mount.root}) of a file system that others use"
    elif mount.kind in NO_DISK:
        reason = f"{mount.point} is no disk ({mount.kind})"
    if reason:
        raise LifeboatError(
            f"full_disk on {path}", reason, "a file system of its own", "Mount one for the component and name it."
        )


def _free_mib(path: str) -> float:
    status = os.statvfs(path)
    # What users other than root can have.
    return status.f_bavail * status.f_frsize / MIB


class FullDisk(Form):
    """One file takes all blocks but ``leave_mib``."""

    __slots__ = ()

    @property
    def _filler(self) -> Path:
        return Path(os.path.realpath(self.request.path)) / f".lifeboat-fault-{self.request.key}"

    def check(self) -> None:
        """The file system is nobody else's, and the journal keeps room."""
        self.require("path", self.request.path)
        path = os.path.realpath(self.request.path)
        if not os.path.isdir(path):
            raise LifeboatError("path of full_disk", self.request.path, "an existing directory", "Correct path.")
        mount = mount_of(path, MOUNTS.read_text(encoding="utf-8"))
        refuse_unsafe(path, mount)
        if mount.kind == "tmpfs":
            self._refuse_memory(path)
        journal = self.request.journal
        shared = bool(journal) and os.path.isdir(journal) and os.stat(journal).st_dev == os.stat(path).st_dev
        if shared and self.request.leave_mib < 1:
            raise LifeboatError(
                f"full_disk on {path}", "the fault journal on the same file system", "leave_mib of 1 or more", "Set it."
            )

    def _refuse_memory(self, path: str) -> None:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text(encoding="utf-8").splitlines())
        available_mib = int(lines["MemAvailable"].split()[0]) / 1024
        if _free_mib(path) > available_mib / 4:
            raise LifeboatError(
                f"full_disk on {path}",
                f"{_free_mib(path):.0f} MiB free on a file system in memory",
                f"at most a quarter of the {available_mib:.0f} MiB of available memory",
                "Limit the size of the file system.",
            )

    def recipe(self) -> tuple[Step, ...]:
        """Remove the file."""
        return (Step(remove=str(self._filler)),)

    def act(self) -> None:
        """Reserve the blocks without writing them."""
        size = int((_free_mib(self.request.path) - self.request.leave_mib) * MIB)
        with open(os.open(self._filler, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
            if size <= 0:
                return
            try:
                os.posix_fallocate(stream.fileno(), 0, size)
            except OSError as error:
                raise LifeboatError(
                    f"full_disk on {self.request.path}", str(error), f"{size} bytes to be reserved", "Heal the fault."
                ) from error

    def evidence(self) -> Evidence:
        """What is free now."""
        free = _free_mib(self.request.path)
        return Evidence(free <= self.request.leave_mib + 1, "free blocks", {"free_mib": round(free, 2)})

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return (f"fill {self._filler} until {self.request.leave_mib} MiB are free",)
