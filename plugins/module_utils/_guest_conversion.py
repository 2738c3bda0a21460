# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A machine's guest made fit for KVM by virt-v2v: with virtio's drivers, and without the tools of its hypervisor.

virt-v2v reads the source, and writes disks and a domain's XML into a directory. It works in a small virtual machine of
its own, which without KVM takes many times as long.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import typing as t
from dataclasses import dataclass
from hashlib import sha256
from xml.etree.ElementTree import Element, SubElement, tostring

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_lock import open_alone
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import foreign_network
from ansible_collections.lifeboat.cloud.plugins.module_utils._stop_signals import StopSignals

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage, FileState
    from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import Disk, Machine

Json = dict[str, t.Any]
_RECEIPT = ".lifeboat-conversion.json"
_LAST_BYTES = 2000
_SMALLEST_MEMORY = 512 * 2**20
# How long a signal to stop may go unnoticed.
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Conversion:
    """The machine described at ``source``, by the states of its files, and the directory that gets what it becomes.

    ``slow`` does without KVM.
    """

    source: str
    name: str
    states: tuple[FileState, ...]
    directory: str
    timeout_s: float
    slow: bool = False

    @property
    def thing(self) -> str:
        return f"conversion of {self.source}"

    @property
    def place(self) -> str:
        """The directory of this machine."""
        return os.path.join(self.directory, self.name)

    @property
    def description(self) -> str:
        """The converted domain."""
        return os.path.join(self.place, f"{self.name}.xml")

    @property
    def scratch(self) -> str:
        """Where virt-v2v has what it needs for itself, of which it removes nothing when it is killed.

        It has sockets there, of which the path must be short.
        """
        return os.path.join(self.directory, f".{sha256(self.name.encode()).hexdigest()[:8]}.v2v")

    @property
    def log(self) -> str:
        """What virt-v2v said, which stays when it fails."""
        return f"{self.place}.log"


@contextlib.contextmanager
def alone(conversion: Conversion) -> Iterator[t.IO[bytes]]:
    """The lock of the machine's place while the block lasts. LifeboatError while another conversion has it."""
    path = f"{conversion.place}.lifeboat-lock"
    with open_alone(path, conversion.thing, "conversion") as lock:
        try:
            yield lock
        finally:
            os.unlink(path)


def earlier(conversion: Conversion) -> bool:
    """Whether the machine as it is now has been converted. LifeboatError when something else is at its place."""
    if not os.path.lexists(conversion.place):
        return False
    try:
        with open(os.path.join(conversion.place, _RECEIPT), encoding="utf-8") as file:
            states = json.load(file)["states"]
    except (OSError, ValueError, KeyError):
        states = None
    if states != [list(state) for state in conversion.states] or not os.path.exists(conversion.description):
        found = "something else" if states is None else "one of another machine, or of an earlier state of this one"
        remedy = "Remove it if nobody needs it, or choose another directory."
        raise LifeboatError(f"directory {conversion.place}", found, "nothing, or this conversion", remedy)
    return True


def convert(conversion: Conversion, given: Sequence[str], lock: t.IO[bytes]) -> None:
    """Run virt-v2v with what it is ``given`` as the source. LifeboatError leaves nothing but its log."""
    partial = f"{conversion.place}.lifeboat-partial"
    # Whoever stops it shall find nothing half-made either.
    with StopSignals() as signals:
        try:
            for made in (partial, conversion.scratch):
                shutil.rmtree(made, ignore_errors=True)
                os.makedirs(made, mode=0o700)
            arguments = [*given, "-o", "local", "-os", partial, "-of", "raw", "-on", conversion.name]
            _run(conversion, arguments, lock, signals)
            _settle(conversion, partial)
            os.rename(partial, conversion.place)
        finally:
            for made in (partial, conversion.scratch):
                shutil.rmtree(made, ignore_errors=True)


def _settle(conversion: Conversion, partial: str) -> None:
    """Let the description name the disks where they will be, and note of what they are made."""
    path = os.path.join(partial, f"{conversion.name}.xml")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise _failed(conversion, f"no description {path}") from error
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(partial, conversion.place))
    with open(os.path.join(partial, _RECEIPT), "w", encoding="utf-8") as file:
        json.dump({"source": conversion.source, "states": conversion.states}, file)


def _run(conversion: Conversion, arguments: Sequence[str], lock: t.IO[bytes], signals: StopSignals) -> None:
    environment = {**os.environ, "LIBGUESTFS_BACKEND": "direct", "LANG": "C", "TMPDIR": conversion.scratch}
    # Its overlays on the source may become as large as what it changes.
    environment |= {"VIRT_V2V_TMPDIR": conversion.scratch, "LIBGUESTFS_CACHEDIR": "/var/tmp"}
    if conversion.slow:
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    with open(conversion.log, "wb") as log:
        process = subprocess.Popen(
            ["virt-v2v", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            # It may outlive this process, and writes as long as it lives.
            pass_fds=(lock.fileno(),),
        )
        try:
            status = _status(conversion, process, signals)
        finally:
            # With it go its virtual machine and its servers of disks.
            _end(process)
    if status != 0:
        raise _failed(conversion, f"exit status {status}")


def _status(conversion: Conversion, process: subprocess.Popen[bytes], signals: StopSignals) -> int:
    """The exit status. LifeboatError when it takes too long, or is to stop."""
    end = time.monotonic() + conversion.timeout_s
    while True:
        try:
            return process.wait(min(_LOOK_S, max(0.0, end - time.monotonic())))
        except subprocess.TimeoutExpired as error:
            if signals.seen():
                raise _failed(conversion, "a signal to stop") from error
            if time.monotonic() >= end:
                raise _failed(conversion, f"no end within {conversion.timeout_s:g} s") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failed(conversion: Conversion, found: str) -> LifeboatError:
    with open(conversion.log, "rb") as file:
        file.seek(max(0, os.path.getsize(conversion.log) - _LAST_BYTES))
        said = file.read().decode(errors="replace").strip().splitlines()
    # What follows its error is advice.
    last = next((line for line in said if "error:" in line), said[-1] if said else "nothing")
    remedy = f"Read {conversion.log}. The source was not changed."
    return LifeboatError(conversion.thing, f"{found}; virt-v2v said: {last}", "a converted guest", remedy)


def domain_xml(machine: Machine, images: Mapping[str, DiskImage]) -> str:
    """The machine as virt-v2v reads it with C(-i libvirtxml), with the disks whose images are known."""
    root = Element("domain", type="kvm")
    SubElement(root, "name").text = machine.name
    SubElement(root, "memory", unit="b").text = str(machine.memory or _SMALLEST_MEMORY)
    SubElement(root, "vcpu").text = str(machine.vcpus or 1)
    system = SubElement(root, "os", {"firmware": "efi"} if machine.firmware == "uefi" else {})
    SubElement(system, "type", arch="x86_64").text = "hvm"
    devices = SubElement(root, "devices")
    known = [disk for disk in machine.disks if disk.name in images]
    for position, disk in enumerate(known):
        _add_disk(devices, disk, images[disk.name], f"sd{chr(ord('a') + position)}")
    for interface in machine.interfaces:
        network = foreign_network({"network": interface.network, "name": interface.name, "vlan": interface.vlan})
        each = SubElement(devices, "interface", type="network")
        SubElement(each, "source", network=network)
        if interface.mac:
            SubElement(each, "mac", address=interface.mac)
    return tostring(root, encoding="unicode")


def _add_disk(devices: Element, disk: Disk, image: DiskImage, target: str) -> None:
    kind, key = ("block", "dev") if image.part.is_device else ("file", "file")
    each = SubElement(devices, "disk", type=kind, device="disk")
    SubElement(each, "driver", name="qemu", type=image.format)
    SubElement(each, "source", {key: image.part.path})
    SubElement(each, "target", dev=target, bus=disk.bus if disk.bus in ("ide", "scsi", "virtio") else "sata")
