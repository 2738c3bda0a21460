# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images for tests, made by qemu-img of a raw one with random data and holes."""

from __future__ import annotations

import random
import subprocess
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
SIZE = 64 * MIB
# Where the data are; the blocks of a copy have 4 MiB, and one of these is zeros written out.
EXTENTS = ((0, MIB), (5 * MIB, 3 * MIB), (30 * MIB, 7 * MIB), (60 * MIB, 4 * MIB))
ZEROS = (44 * MIB, 2 * MIB)
OPTIONS = {
    "sparse.vmdk": ("vmdk", "subformat=monolithicSparse"),
    "stream.vmdk": ("vmdk", "subformat=streamOptimized"),
    "disk.qcow2": ("qcow2", "compat=1.1"),
    "dynamic.vhdx": ("vhdx", "subformat=dynamic"),
    "fixed.vhdx": ("vhdx", "subformat=fixed"),
    "dynamic.vhd": ("vpc", "subformat=dynamic,force_size=on"),
    "fixed.vhd": ("vpc", "subformat=fixed,force_size=on"),
    "flat.vmdk": ("vmdk", "subformat=monolithicFlat"),
    "split.vmdk": ("vmdk", "subformat=twoGbMaxExtentSparse"),
}


def make_raw(path: Path, seed: int = 1) -> Path:
    """A raw image of SIZE with EXTENTS of random data, the same for the same seed."""
    source = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for offset, length in EXTENTS:
            file.seek(offset)
            file.write(source.randbytes(length))
        file.seek(ZEROS[0])
        file.write(bytes(ZEROS[1]))
    return path


def make_image(raw: Path, name: str) -> Path:
    """The raw image in the format that OPTIONS has for the name, beside it."""
    form, options = OPTIONS[name]
    path = raw.with_name(name)
    qemu_img("convert", "-f", "raw", "-O", form, "-o", options, str(raw), str(path))
    return path


def qemu_img(*arguments: str) -> None:
    subprocess.run(["qemu-img", *arguments], check=True, timeout=60, capture_output=True)
