# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversion of a guest: what virt-v2v is given, and what is left of it. A program takes its place and pretends."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _guest_conversion, _guest_conversion_checks
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
from ansible_collections.lifeboat.cloud.plugins.modules import foreign_machine_info, guest_conversion
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import SIZE, make_image, make_raw
from ansible_collections.lifeboat.cloud.tests.unit.ovf_samples import SampleDisk, write_ova
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

MIB = "byte * 2^20"
# Writes what virt-v2v writes with -o local, and keeps what it was given.
PRETEND = """#!/bin/sh
echo "$@" "$LIBGUESTFS_BACKEND_SETTINGS" >>{calls}
if [ "$2" = libvirtxml ]; then cat "$3" >>{calls}; fi
while [ $# -gt 0 ]; do case $1 in -os) place=$2;; -on) name=$2;; esac; shift; done
{act}
printf data >"$place/$name-sda"
echo "<domain type='kvm'><name>$name</name><memory>1048576</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices>
<disk type='file'><driver type='raw'/><source file='$place/$name-sda'/><target dev='vda' bus='virtio'/></disk></devices>
</domain>" >"$place/$name.xml"
"""
GUEST = """name: web 1
memory: 1024
cores: 2
scsi0: local:vm-101,size=64M
net0: e1000=52:54:00:12:34:56,bridge=vmbr0,tag=7
"""


class Tool:
    """The program, what it was called with, and a source."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.calls, self.kvm = directory, directory / "calls", directory / "kvm"
        (directory / "bin").mkdir()
        self.raw = make_raw(directory / "disk.raw")
        self.guest = directory / "101.conf"
        self.guest.write_text(GUEST)
        self.kvm.touch()
        self.kernel = directory / "vmlinuz-6"
        self.kernel.touch()
        for name in ("nbdkit", "nbdcopy"):
            self.program(name, "exit 0")
        self.program("qemu-system-x86_64", f'echo "$@" >{directory}/qemu')
        self.acts("echo converting")

    def acts(self, act: str) -> None:
        self.program("virt-v2v", PRETEND.format(calls=self.calls, act=act))

    def program(self, name: str, text: str) -> None:
        program = self.directory / "bin" / name
        program.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def run(self, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
        given = {"src": str(self.guest), "disks": {"scsi0": str(self.raw)}, "dest": str(self.directory / "out")}
        return run_module(guest_conversion.main, check=check, **(given | arguments))

    def left(self) -> list[str]:
        place = self.directory / "out"
        return sorted(path.name for path in place.iterdir()) if place.exists() else []


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    made = Tool(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(_guest_conversion_checks, "KVM", str(made.kvm))
    monkeypatch.setattr(_guest_conversion_checks, "KERNELS", (f"{tmp_path}/vmlinu?-*",))
    for name in ("SUPERMIN_KERNEL", "LIBGUESTFS_PATH"):
        monkeypatch.delenv(name, raising=False)
    return made


def test_a_guest_is_converted_once_and_its_disks_are_where_it_says(tool: Tool) -> None:
    planned = tool.run(check=True)
    assert (planned["changed"], tool.left(), tool.calls.exists()) == (True, [], False)
    done = tool.run()
    assert (done["changed"], done["actions"], done["diff"]) == (True, planned["actions"], planned["diff"])
    assert tool.left() == ["web-1", "web-1.log"]
    found = run_module(foreign_machine_info.main, path=done["path"], virtio=True)
    assert Path(found["disks"][0]["path"]).read_bytes() == b"data"
    assert not tool.run()["changed"]
    given = tool.calls.read_text()
    assert given.count("-i libvirtxml") == 1 and "-of raw -on web-1" in given and "force_tcg" not in given
    assert f"<source file='{tool.raw}'".replace("'", '"') in given
    assert '<source network="vmbr0.7"' in given and '<target dev="sda" bus="scsi"' in given


def test_it_gets_the_name_that_is_wanted(tool: Tool) -> None:
    assert tool.run(name="Web 1")["path"] == f"{tool.directory}/out/Web 1/Web 1.xml"
    assert not tool.run(name="Web 1")["changed"]
    for name in ("../web1", "..", "", "a/b"):
        assert f"found the name {name!r}" in tool.run(name=name)["msg"]
    assert tool.left() == ["Web 1", "Web 1.log"]


def test_a_package_is_given_as_it_is_once_it_is_as_its_manifest_says(tool: Tool) -> None:
    image = make_image(tool.raw, "stream.vmdk")
    ova = write_ova(tool.directory / "vm.ova", [SampleDisk("a.vmdk", image.read_bytes(), str(SIZE // 2**20), MIB)])
    assert tool.run(src=str(ova), disks={})["changed"]
    assert f"-i ova {ova} -o local" in tool.calls.read_text()
    content = bytearray(ova.read_bytes())
    content[-2_000_000] ^= 1
    ova.write_bytes(content)
    assert "of the manifest" in tool.run(src=str(ova), disks={}, dest=str(tool.directory / "other"))["msg"]


def test_a_machine_that_has_changed_since_is_not_taken_for_the_one_converted(tool: Tool) -> None:
    tool.run()
    os.utime(tool.raw)
    assert "an earlier state of this one" in tool.run()["msg"]


@pytest.mark.parametrize(
    ("act", "timeout", "says"),
    [
        (
            "echo 'virt-v2v: error: no root device found'; exit 1",
            30,
            "exit status 1; virt-v2v said: virt-v2v: error: no",
        ),
        ("echo copying; mkdir $TMPDIR/v2v.1; sleep 60 & wait", 1, "no end within 1 s; virt-v2v said: copying"),
        ("exit 0", 30, "no description"),
    ],
)
def test_a_conversion_that_fails_leaves_its_log_and_nothing_else(tool: Tool, act: str, timeout: int, says: str) -> None:
    tool.acts(act)
    failed = tool.run(timeout=timeout)
    assert says in failed["msg"] and "The source was not changed" in failed["msg"]
    assert tool.left() == ["web-1.log"]


def test_without_kvm_it_has_to_be_allowed(tool: Tool) -> None:
    tool.kvm.unlink()
    assert "expected a host with KVM" in tool.run(check=True)["msg"]
    assert tool.left() == []
    assert tool.run(slow=True)["changed"] and "force_tcg" in tool.calls.read_text()


def test_a_kvm_that_runs_no_kernel_is_noticed_before(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guest_conversion_checks, "_KERNEL_TIMEOUT_S", 0.2)
    tool.program("qemu-system-x86_64", "exec sleep 60")
    assert f"a KVM that does not run {tool.kernel}: no end within 0.2 s" in tool.run(check=True)["msg"]
    assert tool.run()["found"].startswith("a KVM that does not run") and tool.left() == []
    assert tool.run(check=True, slow=True)["changed"]


def test_the_kernel_that_is_tried_is_the_newest_or_the_one_told(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    (tool.directory / "vmlinuz-7").touch()
    told, asked = str(tool.directory / "other"), tool.directory / "qemu"
    tool.run(check=True)
    assert "-accel kvm -cpu max" in asked.read_text() and f"-kernel {tool.directory}/vmlinuz-7 " in asked.read_text()
    monkeypatch.setenv("SUPERMIN_KERNEL", told)
    tool.run(check=True)
    assert f"-kernel {told} " in asked.read_text()
    asked.unlink()
    monkeypatch.setenv("LIBGUESTFS_PATH", "/srv/appliance")
    assert tool.run(check=True)["changed"] and not asked.exists()


def test_what_it_lacks_is_named_with_its_package(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.kernel.unlink()
    for check in (True, False):
        assert "Install the package linux-image-amd64" in tool.run(check=check, slow=True)["msg"]
    monkeypatch.setenv("PATH", str(tool.directory / "bin"))
    (tool.directory / "bin/qemu-img").symlink_to("/usr/bin/qemu-img")
    for name in ("prlimit", "sh"):
        (tool.directory / "bin" / name).symlink_to(f"/usr/bin/{name}")
    (tool.directory / "bin/nbdcopy").unlink()
    assert "Install the package libnbd-bin" in tool.run(check=True)["msg"]
    (tool.directory / "bin/nbdkit").unlink()
    assert "nbdkit: found no such program" in tool.run(check=True)["msg"]
    assert tool.left() == []


def test_the_data_of_all_disks_must_find_room(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs_result((4096, 4096, 1000, 500, 500, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: free)
    failed = tool.run(check=True)
    assert failed["found"] == f"{500 * 4096} bytes free in {tool.directory}"
    assert int(failed["expected"].split(",")[0]) > 500 * 4096
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((4096, 4096, 1, 1, 2**20, 0, 0, 0, 0, 255)))
    assert tool.run(check=True)["changed"]


def test_a_path_too_long_for_sockets_is_refused(tool: Tool) -> None:
    failed = tool.run(check=True, dest=str(tool.directory / ("x" * 90)))
    assert "at most 89, to have sockets in it" in failed["msg"]
    # A long name is none.
    tool.guest.write_text(GUEST.replace("web 1", "web" * 30))
    assert tool.run(check=True)["changed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_stop_leaves_nothing_half_made(tool: Tool, number: int) -> None:
    tool.acts(f"echo half >$place/$name-sda; echo $$ >{tool.directory}/pid; kill -{number} $PPID; sleep 60 & wait")
    failed = tool.run()
    assert "a signal to stop; virt-v2v said:" in failed["msg"] and tool.left() == ["web-1.log"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tool.directory / "pid").read_text()), 0)
    tool.acts("echo converting")
    assert tool.run()["changed"]


class Elsewhere:
    """A conversion in a process of its own, whose virt-v2v stands still until it is told to go on."""

    def __init__(self, tool: Tool) -> None:
        self._begun, self._go_on = tool.directory / "begun", tool.directory / "go-on"
        for each in (self._begun, self._go_on):
            os.mkfifo(each)
        self._begun_fd, self._go_on_fd = (os.open(each, os.O_RDWR) for each in (self._begun, self._go_on))
        tool.acts(f"echo >{self._begun}; read said <{self._go_on}")
        self.process = multiprocessing.get_context("fork").Process(target=tool.run, daemon=True)
        self.process.start()
        assert select.select([self._begun_fd], [], [], 60)[0], "virt-v2v was not begun within 60 s"
        tool.acts("echo converting")

    def go_on(self) -> None:
        os.write(self._go_on_fd, b"\n")

    def end(self) -> None:
        self.go_on()
        self.process.join(60)
        self.process.kill()
        for each in (self._begun_fd, self._go_on_fd):
            os.close(each)


@pytest.fixture
def elsewhere(tool: Tool) -> Iterator[Elsewhere]:
    made = Elsewhere(tool)
    yield made
    made.end()


UNDER_WAY = [".c4719afa.v2v", "web-1.lifeboat-lock", "web-1.lifeboat-partial", "web-1.log"]


def test_a_conversion_under_way_is_left_alone_and_is_the_one_that_counts(tool: Tool, elsewhere: Elsewhere) -> None:
    assert "a conversion under way" in tool.run()["msg"]
    assert tool.run(check=True)["changed"] and tool.left() == UNDER_WAY
    elsewhere.go_on()
    elsewhere.process.join(60)
    assert elsewhere.process.exitcode == 0 and tool.left() == ["web-1", "web-1.log"]
    assert not tool.run()["changed"] and tool.calls.read_text().count("libvirtxml") == 1


def test_virt_v2v_that_outlives_its_module_has_the_place_until_it_ends(tool: Tool, elsewhere: Elsewhere) -> None:
    os.kill(elsewhere.process.pid or 0, signal.SIGKILL)
    elsewhere.process.join(60)
    assert "a conversion under way" in tool.run()["msg"] and tool.left() == UNDER_WAY
    elsewhere.go_on()
    lock = tool.directory / "out" / UNDER_WAY[1]
    subprocess.run(["flock", "--wait", "60", lock, "true"], check=True, timeout=70)
    assert tool.run()["changed"] and tool.left() == ["web-1", "web-1.log"]


def test_what_another_run_has_converted_meanwhile_is_not_converted_again(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = guest_conversion.check

    def check_late(conversion: _guest_conversion.Conversion, images: Mapping[str, DiskImage]) -> None:
        checked(conversion, images)
        monkeypatch.setattr(guest_conversion, "check", checked)
        assert tool.run()["changed"]

    monkeypatch.setattr(guest_conversion, "check", check_late)
    assert not tool.run()["changed"]
    assert tool.left() == ["web-1", "web-1.log"] and tool.calls.read_text().count("libvirtxml") == 1
