# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The fault slow_disk: a component's units get few operations per second from the disk below a path.

The limit is the cgroup's io.max, set through systemd, which would overwrite one that it does not know.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_service
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_disk import MOUNTS, mount_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import Evidence, must, wait_until
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_service import UnitForm

BLOCK_DEVICES = Path("/sys/dev/block")
# Where systemd keeps what set-property --runtime was told.
RUNTIME_PROPERTIES = Path("/run/systemd/system.control")
OPERATIONS = ("IOReadIOPSMax", "IOWriteIOPSMax")
# systemd writes the four limits of a device together, so one of them would put another one of the unit out of force.
LIMITS = (*OPERATIONS, "IOReadBandwidthMax", "IOWriteBandwidthMax")
LAND_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk: its number (major:minor), by which io.max names it, and its device node."""

    number: str
    node: str


def whole_disk(device: Path) -> Path:
    """The disk below ``device``, both as directories of sysfs: io.max knows no partitions.

    A mapper or array of several disks counts as a disk. systemd looks for the disk, too, but how far depends on its
    version (252 stops after one mapper); the disk found here every version takes as it is.
    """
    layers = sorted((device / "slaves").glob("*"))
    if len(layers) == 1:
        return whole_disk(layers[0].resolve())
    return device.parent if (device / "partition").exists() else device


def disk_of(path: str) -> Disk:
    """The disk that carries ``path`` (absolute, resolved)."""
    number = os.stat(path).st_dev
    device = BLOCK_DEVICES / f"{os.major(number)}:{os.minor(number)}"
    if not device.exists():
        mount = mount_of(path, MOUNTS.read_text(encoding="utf-8"))
        raise LifeboatError(
            f"slow_disk on {path}",
            f"{mount.point} ({mount.kind}), which has no block device of its own",
            "a file system on a block device, such as ext4 or xfs",
            "Name a directory on a disk.",
        )
    disk = whole_disk(device.resolve())
    uevent = dict(line.partition("=")[::2] for line in (disk / "uevent").read_text(encoding="utf-8").splitlines())
    return Disk((disk / "dev").read_text(encoding="utf-8").strip(), f"/dev/{uevent['DEVNAME']}")


@dataclass(frozen=True, slots=True)
class Victim:
    """A unit by its own name (no alias of it) and its cgroup."""

    name: str
    cgroup: Path

    def io_max(self) -> str:
        """The limits in force; empty when the cgroup has no such file."""
        try:
            return (self.cgroup / "io.max").read_text(encoding="utf-8").strip()
        except OSError:
            return ""


@dataclass(slots=True)
class SlowDisk(UnitForm):
    """Reads and writes of the units, each limited to ``iops`` operations per second."""

    disk: Disk = Disk("", "")
    victims: tuple[Victim, ...] = ()

    def check(self) -> None:
        """The units run, their cgroups can limit I/O and do not yet, and the path lies on a disk."""
        self.require("path", self.request.path)
        self.require("iops", self.request.iops > 0)
        UnitForm.check(self)
        for unit in self.units:
            self._check_controller(unit)
        path = os.path.realpath(self.request.path)
        if not os.path.exists(path):
            raise LifeboatError("path of slow_disk", self.request.path, "an existing path", "Correct path.")
        self.disk = disk_of(path)
        self.victims = tuple(Victim(self._check_free(unit), self.cgroup(unit)) for unit in self.units)

    def _check_controller(self, unit: str) -> None:
        """systemd gives a cgroup a controller when a limit needs it, provided that the slices above have it."""
        root = _fault_service.CGROUPS / self.status("-.slice").cgroup.lstrip("/")
        listing = root / "cgroup.controllers"
        controllers = listing.read_text(encoding="utf-8").split() if listing.exists() else []
        if "io" not in controllers:
            raise LifeboatError(
                f"cgroup controllers in {listing}",
                " ".join(controllers) or "none",
                "io among them",
                "Boot with cgroup v2 alone; a container needs a host that does and that delegates io to it.",
            )
        slices = ("-.slice", *self.cgroup(unit).relative_to(root).parts[:-1])
        disabled = self._show("DisableControllers", *slices)
        if any("io" in line.partition("=")[2].split() for line in disabled):
            raise LifeboatError(
                f"cgroup controllers of unit {unit}",
                f"io among DisableControllers of {' or '.join(slices)}",
                "io not disabled",
                "Allow it there.",
            )

    def _check_free(self, unit: str) -> str:
        """Refuse a unit that is limited already: healing could not give it its own limits back. Its own name."""
        lines = self._show(",".join(("Id", *LIMITS)), unit)
        taken = [line for line in lines if line.startswith(LIMITS) and line.partition("=")[2]]
        if taken:
            raise LifeboatError(
                f"unit {unit}", "; ".join(taken), "no limit of its I/O", "Remove it for the time of the drill."
            )
        return next((line.partition("=")[2] for line in lines if line.startswith("Id=")), unit)

    def _show(self, properties: str, *units: str) -> list[str]:
        argv = ("systemctl", "show", f"--property={properties}", "--", *units)
        return must(self.run, argv, f"units {', '.join(units)}", "This form needs systemd.").splitlines()

    def recipe(self) -> tuple[Step, ...]:
        """Lift the limit in the running cgroup, then forget that there was one."""
        steps = []
        for victim in self.victims:
            lift = (*_set_property(victim.name), *(f"{name}=" for name in OPERATIONS))
            drop_ins = RUNTIME_PROPERTIES / f"{victim.name}.d"
            files = (*(drop_ins / f"50-{name}.conf" for name in OPERATIONS), drop_ins)
            steps += [Step(run=lift), *(Step(remove=str(path)) for path in files)]
        return (*steps, Step(run=("systemctl", "daemon-reload"), timeout_s=60.0))

    def _commands(self) -> tuple[tuple[str, ...], ...]:
        limits = tuple(f"{name}={self.disk.node} {self.request.iops}" for name in OPERATIONS)
        return tuple((*_set_property(victim.name), *limits) for victim in self.victims)

    def act(self) -> None:
        """Limit."""
        for argv in self._commands():
            must(self.run, argv, "limit of the I/O", "Heal the fault.")

    def evidence(self) -> Evidence:
        """The kernel says that the limits are in force."""
        wait_until(lambda: all(map(self._limited, self.victims)), LAND_TIMEOUT_S)
        details = {"disk": f"{self.disk.node} ({self.disk.number})"}
        seen = {victim.name: victim.io_max() for victim in self.victims}
        return Evidence(all(map(self._limited, self.victims)), "io.max", {**details, "units": seen})

    def _limited(self, victim: Victim) -> bool:
        wanted = {self.disk.number, f"riops={self.request.iops}", f"wiops={self.request.iops}"}
        return any(wanted <= set(line.split()) for line in victim.io_max().splitlines())

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return tuple(" ".join(argv) for argv in self._commands())


def _set_property(unit: str) -> tuple[str, ...]:
    return ("systemctl", "set-property", "--runtime", unit)
