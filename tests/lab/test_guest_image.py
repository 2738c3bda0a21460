# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest image in QEMU on the observer: what it serves, what it keeps without power, how it honours user data.

QEMU emulates the processor; its user network forwards ports of the observer to the guest, and the address of the
metadata service to a directory.
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from standing_lab import ROOT, ansible, play

OBSERVER = "10.98.0.21"
IMAGE = ROOT / ".lab/guest.qcow2"
QCOW2 = ("-e", "guest_image_format=qcow2")
WORK = "/var/tmp/guest-image-test"
UNIT = "guest-image-test"
HTTP_PORT, ECHO_PORT, SSH_PORT = 18080, 18007, 18022
# It takes 4 s on cores of its own; here others work on them.
BOOT_WITHIN_S = 180
SSH_OPTIONS = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
SCRIPT = """\
#!/bin/sh
echo run >>/var/lib/guest/runs
echo "<h1>Web server of team 3 on $(hostname)</h1>" >/var/www/index.html
"""
CLOUD_CONFIG = """\
#cloud-config
hostname: web2
packages: [nginx]
users:
  - name: anna
    ssh_authorized_keys: ["{key}"]
write_files:
  - path: /var/www/index.html
    permissions: "0600"
    content: |
      <h1>It's the
        team</h1>
runcmd:
  - mke2fs -F /dev/vdb && mkdir /mnt && mount /dev/vdb /mnt && echo kept >/mnt/file
"""
POWER_BUTTON = """\
import socket, sys
monitor = socket.socket(socket.AF_UNIX)
monitor.connect(sys.argv[1])
stream = monitor.makefile("rw")
stream.readline()
# QEMU drops a command whose sender has gone: wait for each answer.
for name in ("qmp_capabilities", "system_powerdown"):
    print('{"execute": "%s"}' % name, file=stream, flush=True)
    stream.readline()
"""


def observer(command: str, given: bytes = b"") -> str:
    """A command on the observer."""
    done = subprocess.run(
        ["ssh", *SSH_OPTIONS, "-i", ROOT / ".lab/ssh/id_ed25519", f"root@{OBSERVER}", command],
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"
    return done.stdout.decode()


def get(path: str) -> str:
    """An answer of the guest over HTTP."""
    with urllib.request.urlopen(f"http://{OBSERVER}:{HTTP_PORT}{path}", timeout=10) as response:
        return str(response.read().decode())


def wait_for(what: str, ask: Callable[[], object], within_s: float = BOOT_WITHIN_S) -> None:
    """Ask until the answer is yes."""
    end = time.monotonic() + within_s
    seen: object = None
    while time.monotonic() < end:
        try:
            if seen := ask():
                return
        except OSError as error:
            seen = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: seen last after {within_s} s: {seen}; {observer(f'cat {WORK}/console')}")


@dataclass(frozen=True)
class Guest:
    """A guest in QEMU on the observer; ``disk`` is the name of its disk."""

    disk: str
    key: Path

    def start(self, *arguments: str) -> float:
        """Start it; returns the seconds until it answered."""
        forwards = f"hostfwd=tcp::{HTTP_PORT}-:80,hostfwd=tcp::{ECHO_PORT}-:7,hostfwd=tcp::{SSH_PORT}-:22"
        service = f"guestfwd=tcp:169.254.169.254:80-cmd:busybox httpd -i -h {WORK}/metadata"
        network = f"user,id=net,net=169.254.169.0/24,host=169.254.169.2,{forwards},{service}"
        command = ["systemd-run", "--quiet", "--collect", "--unit", UNIT, "qemu-system-x86_64", "-accel", "tcg"]
        command += ["-m", "128", "-display", "none", "-serial", f"file:{WORK}/console", "-netdev", network]
        command += ["-device", "virtio-net-pci,netdev=net", "-qmp", f"unix:{WORK}/qmp,server=on,wait=off"]
        command += ["-drive", f"file={WORK}/{self.disk},if=virtio,format=qcow2", *arguments]
        began = time.monotonic()
        observer(shlex.join(command))
        wait_for("the first answer over HTTP", self.state)
        return time.monotonic() - began

    def state(self) -> dict[str, object]:
        state: dict[str, object] = json.loads(get("/state"))
        return state

    def ready(self) -> None:
        wait_for("SSH", lambda: "SSH is ready" in self.console() and "guest: ready" in self.console())

    def console(self) -> str:
        return observer(f"cat {WORK}/console")

    def ssh(self, command: str, user: str = "guest") -> str:
        return subprocess.run(
            ["ssh", *SSH_OPTIONS, "-i", self.key, "-p", str(SSH_PORT), f"{user}@{OBSERVER}", command],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def running(self) -> bool:
        return observer(f"systemctl is-active {UNIT} || true").strip() == "active"

    def kill(self) -> None:
        """Take its power away."""
        observer(f"systemctl kill --signal KILL {UNIT}; while systemctl is-active -q {UNIT}; do sleep 0.1; done")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tester", "-f", path], check=True, timeout=10)
    return path


@pytest.fixture(scope="module", autouse=True)
def place() -> Iterator[None]:
    play("guest_image", *QCOW2)
    ansible(
        "client1",
        "ansible.builtin.apt",
        "name=qemu-system-x86 install_recommends=false update_cache=true cache_valid_time=3600",
    )
    observer(f"rm -rf {WORK}; mkdir -p {WORK}/metadata/openstack/latest; cat >{WORK}/image", IMAGE.read_bytes())
    yield
    observer(f"rm -rf {WORK}")


@pytest.fixture
def guest(key: Path) -> Iterator[Guest]:
    observer(f"cp {WORK}/image {WORK}/disk; rm -f {WORK}/metadata/openstack/latest/*")
    yield Guest("disk", key)
    observer(f"systemctl stop {UNIT} 2>/dev/null || true")


def metadata(key: Path, uuid: str) -> bytes:
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    return json.dumps({"uuid": uuid, "hostname": "web1.novalocal", "public_keys": {"key": public}}).encode()


def test_the_second_run_and_check_mode_change_nothing() -> None:
    assert not play("guest_image", *QCOW2).changes
    assert not play("guest_image", *QCOW2, "--check", "--diff").changes
    assert play("guest_image", "--check", "-e", f"guest_image_path={WORK}/none").changes
    assert IMAGE.stat().st_size <= 25 * 2**20
    assert "guest-image-" not in observer("ls /tmp /root /var/tmp/ansible* 2>/dev/null || true")


def test_a_loss_of_power_and_the_metadata_service(guest: Guest) -> None:
    served = f"{WORK}/metadata/openstack/latest"
    observer(f"cat >{served}/meta_data.json", metadata(guest.key, "11111111-0000-4000-8000-000000000001"))
    observer(f"cat >{served}/user_data", SCRIPT.encode())
    guest.start()
    guest.ready()
    before = guest.state()
    assert before["hostname"] == "web1"
    assert before["instance_id"] == "11111111-0000-4000-8000-000000000001"
    assert get("/") == "<h1>Web server of team 3 on web1</h1>\n"
    host_key = guest.ssh("dropbearkey -y -f /var/lib/guest/host_key")
    with socket.create_connection((OBSERVER, ECHO_PORT), timeout=10) as session:
        for word in (b"one", b"two"):
            session.sendall(word)
            assert session.recv(100) == word
    counted = [guest.state()["counter"] for _each in range(20)]
    assert counted == list(range(counted[0], counted[0] + 20))  # type: ignore[call-overload, operator]

    guest.kill()
    guest.start()
    guest.ready()
    after = guest.state()
    assert after["counter"] > counted[-1]  # type: ignore[operator]
    assert after["boot_id"] != before["boot_id"]
    assert after["hostname"] == "web1"
    assert guest.ssh("dropbearkey -y -f /var/lib/guest/host_key") == host_key
    assert guest.ssh("cat /var/lib/guest/runs") == "run\n"

    began = time.monotonic()
    observer(f"python3 - {WORK}/qmp", POWER_BUTTON.encode())
    wait_for("shutdown", lambda: not guest.running(), within_s=60)
    print(f"shut down {time.monotonic() - began:.1f} s after the power button")
    assert "the power button was pressed" in guest.console()


def test_a_config_drive_with_cloud_config_and_a_second_disk(guest: Guest) -> None:
    text = CLOUD_CONFIG.format(key=guest.key.with_suffix(".pub").read_text(encoding="utf-8").strip())
    served = f"{WORK}/openstack/latest"
    observer(f"mkdir -p {served}; cd {WORK}; truncate -s 4M drive; mkfs.fat -n CONFIG-2 drive; truncate -s 16M more")
    observer(f"cat >{served}/meta_data.json", metadata(guest.key, "22222222-0000-4000-8000-000000000002"))
    observer(f"cat >{served}/user_data", text.encode())
    observer(f"mcopy -s -i {WORK}/drive {WORK}/openstack ::/")
    disks = [word for name in ("more", "drive") for word in ("-drive", f"file={WORK}/{name},if=virtio,format=raw")]
    guest.start("-machine", "q35", *disks)
    guest.ready()
    assert guest.state()["hostname"] == "web2"
    assert guest.state()["instance_id"] == "22222222-0000-4000-8000-000000000002"
    assert get("/") == "<h1>It's the\n  team</h1>\n"
    assert guest.ssh("cat /mnt/file; stat -c %a /var/www/index.html") == "kept\n600\n"
    assert guest.ssh("id -un", user="anna") == "anna\n"
    assert "packages 1 is ignored: this guest has no packages" in guest.console()

    boot = guest.state()["boot_id"]
    guest.ssh("reboot")
    wait_for("another boot", lambda: guest.state()["boot_id"] != boot)


def test_load_on_the_memory(guest: Guest) -> None:
    guest.start()
    with pytest.raises(urllib.error.HTTPError) as refused:
        get("/dirty?mib=500&seconds=10")
    assert "Found mib=500; expected at most" in refused.value.read().decode()
    assert json.loads(get("/dirty?mib=32&seconds=60&rate=64"))["mib"] == 32

    def written() -> int:
        return int(json.loads(get("/dirty"))["written_mib"])

    wait_for("a second round over the memory", lambda: written() > 64)
    assert json.loads(get("/dirty?stop")) | {"written_mib": 0} == {"mib": 0, "seconds_left": 0.0, "written_mib": 0}
    stopped = written()
    time.sleep(1)
    assert written() == stopped
