# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of another hypervisor: a Debian without virtio's drivers, which foreign_guest.sh makes on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

BUILD_WITHIN_S = 1200
NEEDED = ("mmdebstrap", "lsinitramfs")


def lacking(programs: Iterable[str]) -> list[str]:
    """What this machine does not have of the programs, and of what the guest is made with."""
    return [each for each in (*NEEDED, *programs) if shutil.which(each) is None]


def build(directory: Path) -> Path:
    """Its disk, disk.raw in the directory."""
    script = Path(__file__).with_suffix(".sh")
    subprocess.run(["sh", script, directory, mirror()], check=True, timeout=BUILD_WITHIN_S)
    assert not drivers(directory / "initrd"), "the guest has drivers for virtio before it is converted"
    return directory / "disk.raw"


def mirror() -> str:
    """Where this machine has Debian's packages from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    asked = subprocess.run([*command, "Component: main"], capture_output=True, text=True, check=True, timeout=60)
    return next(line for line in asked.stdout.splitlines() if "security" not in line)


def drivers(initrd: Path) -> set[str]:
    """The drivers for virtio in an initramfs."""
    listed = subprocess.run(["lsinitramfs", initrd], capture_output=True, text=True, check=True, timeout=120).stdout
    return {name.split(".")[0] for name in map(os.path.basename, listed.splitlines()) if name.startswith("virtio")}
