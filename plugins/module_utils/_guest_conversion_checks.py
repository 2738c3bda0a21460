# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a host must have to convert a guest: programs, a kernel for virt-v2v's virtual machine, KVM, and room."""

from __future__ import annotations

import glob
import os
import shutil
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import data_size
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
    from ansible_collections.lifeboat.cloud.plugins.module_utils._guest_conversion import Conversion

KVM = "/dev/kvm"
# Where supermin looks, which makes virt-v2v's virtual machine.
KERNELS = ("/boot/vmlinu?-*", "/lib/modules/*/vmlinuz")
_QEMU = "qemu-system-x86_64"
# Of these virt-v2v of Debian 12 only recommends some, and the one that copies is asked for at the very end.
_PROGRAMS = {
    "virt-v2v": "virt-v2v",
    "nbdkit": "nbdkit",
    "nbdcopy": "libnbd-bin",
    "qemu-img": "qemu-utils",
    _QEMU: "qemu-system-x86",
}
# It takes 5 s without KVM.
_KERNEL_TIMEOUT_S = 60.0
# What a path of a Unix socket may have, and what virt-v2v puts behind its directory: /v2v.XXXXXX/out99.
_LONGEST_SOCKET = 107
_SOCKET = 18


def check(conversion: Conversion, images: Mapping[str, DiskImage]) -> None:
    """LifeboatError when it cannot be converted here."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            raise LifeboatError(program, "no such program", "one", f"Install the package {package}.")
    _check_path(conversion)
    _check_room(conversion, images)
    # A virtual machine that is ready made is not looked into.
    kernel = None if os.environ.get("LIBGUESTFS_PATH") else _kernel(conversion.thing)
    if not conversion.slow:
        _check_kvm(conversion.thing, kernel)


def _kernel(thing: str) -> str:
    """The kernel that supermin finds, or is told."""
    if told := os.environ.get("SUPERMIN_KERNEL"):
        return told
    found = sorted(path for pattern in KERNELS for path in glob.glob(pattern))
    if not found:
        remedy = "Install the package linux-image-amd64."
        raise LifeboatError(thing, f"no kernel in {' or '.join(KERNELS)}", "one for virt-v2v's virtual machine", remedy)
    return found[-1]


def _check_kvm(thing: str, kernel: str | None) -> None:
    """LifeboatError without KVM, or when it does not run the kernel, for which virt-v2v would wait without end.

    The kernel finds no root file system and resets its machine, which ends QEMU.
    """
    remedy = "Use a host where it works, or do without, which takes many times as long, with slow=true."
    if not os.access(KVM, os.R_OK | os.W_OK):
        raise LifeboatError(thing, f"no {KVM}", "a host with KVM", remedy)
    if kernel is None:
        return
    machine = ["-accel", "kvm", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot"]
    try:
        output_of([_QEMU, *machine, "-kernel", kernel, "-append", "panic=-1"], _KERNEL_TIMEOUT_S)
    except LifeboatError as error:
        raise LifeboatError(
            thing, f"a KVM that does not run {kernel}: {error.found}", "one that does", remedy
        ) from error


def _check_path(conversion: Conversion) -> None:
    longest = _LONGEST_SOCKET - _SOCKET
    if (length := len(os.fsencode(conversion.scratch))) > longest:
        found, remedy = f"{length} bytes of {conversion.scratch}", "Choose a directory with a shorter path."
        raise LifeboatError(conversion.thing, found, f"at most {longest}, to have sockets in it", remedy)


def _check_room(conversion: Conversion, images: Mapping[str, DiskImage]) -> None:
    needed = sum(data_size(image, conversion.thing) for image in images.values())
    existing = conversion.directory
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    found = os.statvfs(existing)
    if (free := found.f_bavail * found.f_frsize) < needed:
        remedy = "Free some, or choose another place."
        raise LifeboatError(conversion.thing, f"{free} bytes free in {existing}", f"{needed}, the disks' data", remedy)
