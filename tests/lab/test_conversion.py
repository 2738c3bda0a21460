# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest without virtio's drivers is converted by virt-v2v itself, and boots from a disk of virtio.

It needs no lab: all of it happens on this machine, without KVM. The guest is a Debian that foreign_guest.sh makes.
"""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
import subprocess
import time
import typing as t
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import guest_conversion
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, write_ova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from foreign_guest import build, drivers, lacking
from standing_lab import module

LACKING = lacking(["virt-v2v", "nbdcopy", "nbdkit", "qemu-system-x86_64", "debugfs"])
if not glob.glob("/boot/vmlinuz-*"):
    LACKING.append("a kernel in /boot")
# It takes two and a half to four minutes of a processor; where others work on both, twenty.
WITHIN_S = 3600
BOOT_WITHIN_S = 600
# Where foreign_guest.sh has put the partition.
OFFSET = 2**20
DOMAIN = """<domain type='vmware'><name>{name}</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='{disk}'/><target dev='sda' bus='sata'/></disk></devices></domain>"""


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    assert not LACKING, f"this machine has no {', no '.join(LACKING)}; scripts/test convert installs what is needed"


@dataclass(frozen=True)
class Place:
    """The guest, and where it is converted to."""

    directory: Path

    @property
    def disk(self) -> Path:
        return self.directory / "disk.raw"

    @property
    def dest(self) -> Path:
        return self.directory / "out"

    def domain(self, name: str, disk: Path) -> Path:
        path = self.directory / f"{name}.xml"
        path.write_text(DOMAIN.format(name=name, disk=disk), encoding="utf-8")
        return path

    def package(self) -> Path:
        """The guest as VMware exports one."""
        image = self.directory / "disk.vmdk"
        command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
        subprocess.run([*command, self.disk, image], check=True, timeout=600)
        disk = SampleDisk("web1-disk1.vmdk", image.read_bytes(), str(self.disk.stat().st_size // 2**20))
        image.unlink()
        return write_ova(self.directory / "web1.ova", [disk])

    def options(self, source: Path) -> dict[str, t.Any]:
        return {"src": str(source), "dest": str(self.dest), "slow": True, "timeout": WITHIN_S}

    def left(self) -> set[str]:
        return {path.name for path in self.dest.iterdir()} if self.dest.exists() else set()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    directory = tmp_path_factory.mktemp("conversion")
    build(directory)
    return Place(directory)


def wait_for(what: str, ask: Callable[[], object], within_s: float, seen: Path) -> None:
    end = time.monotonic() + within_s
    while not ask():
        said = seen.read_text(encoding="utf-8", errors="replace") if seen.exists() else "nothing"
        assert time.monotonic() < end, f"{what}: not within {within_s} s; seen last: {said[-1000:]}"
        time.sleep(0.5)


def boot(disk: Path, directory: Path) -> str:
    """What a guest with the kernel and the initrd of its own disk, on virtio, prints until it turns itself off."""
    partition = f"{disk}?offset={OFFSET}"
    listed = subprocess.run(["debugfs", "-R", "ls -p /boot", partition], capture_output=True, check=True, timeout=60)
    names = [line.split("/")[5] for line in listed.stdout.decode().splitlines() if line.count("/") > 5]
    [release] = [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]
    for name, path in {"kernel": f"/boot/vmlinuz-{release}", "initrd": f"/boot/initrd.img-{release}"}.items():
        command = ["debugfs", "-R", f"dump {path} {directory / name}", partition]
        subprocess.run(command, capture_output=True, check=True, timeout=60)
    machine = ["-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot"]
    machine += ["-serial", "stdio", "-drive", f"file={disk},if=virtio,format=raw,snapshot=on"]
    machine += ["-kernel", str(directory / "kernel"), "-initrd", str(directory / "initrd")]
    machine += ["-append", "root=/dev/vda1 console=ttyS0 panic=-1 rootdelay=10"]
    done = subprocess.run(["qemu-system-x86_64", *machine], capture_output=True, check=True, timeout=BOOT_WITHIN_S)
    return done.stdout.decode(errors="replace")


def using(path: Path) -> list[str]:
    """The processes that have the path in their command line."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_text(encoding="utf-8", errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(path) in command:
            found.append(command)
    return found


def test_one_that_is_stopped_leaves_its_log_and_nothing_else(place: Place) -> None:
    source = place.domain("stopped", place.disk)
    before = (place.disk.stat().st_size, place.disk.stat().st_mtime_ns)
    log = place.dest / "stopped.log"

    def run() -> None:
        assert "a signal to stop" in run_module(guest_conversion.main, **place.options(source))["msg"]

    converting = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    converting.start()
    wait_for("the guest opened", lambda: log.exists() and b"Inspecting" in log.read_bytes(), WITHIN_S, log)
    assert using(place.dest / "stopped"), "virt-v2v does not run"
    os.kill(converting.pid or 0, signal.SIGTERM)
    converting.join(60)
    assert converting.exitcode == 0
    assert place.left() == {"stopped.log"}
    wait_for("the end of all that virt-v2v has started", lambda: not using(place.dest), 30, log)
    assert (place.disk.stat().st_size, place.disk.stat().st_mtime_ns) == before


def test_a_disk_without_an_operating_system_is_refused_with_what_virt_v2v_says(place: Place) -> None:
    empty = place.directory / "empty.raw"
    with empty.open("wb") as file:
        file.truncate(64 * 2**20)
    failed = module(
        "localhost", "guest_conversion", check=False, timeout_s=WITHIN_S, **place.options(place.domain("empty", empty))
    )
    assert failed["failed"] and "could not detect the source guest" in failed["found"], failed["msg"]
    assert "The source was not changed" in failed["remedy"]
    assert "empty.log" in place.left() and not any("empty" in name for name in place.left() - {"empty.log"})


def test_a_guest_of_vmware_gets_the_drivers_and_boots_from_virtio(place: Place) -> None:
    source = place.package()
    left = place.left()
    planned = run_module(guest_conversion.main, check=True, **place.options(source))
    assert planned["changed"] and place.left() == left

    began = time.monotonic()
    done = module("localhost", "guest_conversion", timeout_s=WITHIN_S, **place.options(source))
    print(f"converted in {time.monotonic() - began:.0f} s")
    assert done["changed"] and done["actions"] == planned["actions"] == [f"convert {source} to {place.dest / 'web1'}"]
    assert place.left() - left == {"web1", "web1.log"}
    assert "Finishing off" in Path(done["log"]).read_text(encoding="utf-8")

    found = module("localhost", "foreign_machine_info", path=done["path"], virtio=True)
    [disk] = found["disks"]
    assert (found["machine"]["name"], disk["bus"], disk["size"]) == ("web1", "virtio", place.disk.stat().st_size)
    path = Path(disk["path"])
    assert path.parent == place.dest / "web1" and path.stat().st_blocks * 512 < path.stat().st_size
    printed = boot(path, place.directory)
    assert {"virtio_blk", "virtio_net"} <= drivers(place.directory / "initrd")
    assert "guest: root on /dev/vda1" in printed, printed[-2000:]

    assert not module("localhost", "guest_conversion", **place.options(source))["changed"]
