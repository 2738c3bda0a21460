# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the standing lab share: running a playbook, and reading what it has left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from openstack.connection import Connection

ROOT = Path(__file__).resolve().parents[2]
PLAY_TIMEOUT_S = 900
# A drill may make ten servers first, and move them one after the other.
DRILL_TIMEOUT_S = 2700
CONTROLLERS = ("ctl1", "ctl2", "ctl3")
# Where the playbooks that move servers leave receipts.
RECEIPTS = ROOT / ".lab/reports/migrations"
# What the failure drills need, on the hosts that they need.
CONTROL_PLANE = ("control_plane", "--limit", "controllers:observers:localhost")
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Play:
    """A finished run of ansible-playbook.

    ``text`` is all that it printed, with line breaks folded to spaces; ``changed`` counts changes by host and
    ``changes`` names the tasks that made them.
    """

    returncode: int
    text: str
    changed: dict[str, int]
    changes: tuple[str, ...]


def play(
    playbook: str,
    *arguments: str,
    inventory: Path | None = None,
    check: bool = True,
    timeout_s: float = PLAY_TIMEOUT_S,
) -> Play:
    """Run a playbook of the collection, or one that is a file; ``check`` fails the test when it fails."""
    command = ["ansible-playbook", playbook if playbook.endswith(".yml") else f"lifeboat.cloud.{playbook}", *arguments]
    if inventory:
        command += ["-i", str(inventory)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    output = done.stdout + done.stderr
    if check:
        assert done.returncode == 0, output[-4000:]
    changed = {match[1]: int(match[3]) for match in RECAP.finditer(output)}
    return Play(done.returncode, " ".join(output.split()), changed, tuple(changes(output)))


def changes(output: str) -> Iterator[str]:
    """The tasks and handlers that changed something, with the host."""
    task = ""
    for line in output.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.strip("* ")
        elif line.startswith("changed: "):
            yield f"{task} {line}"


def ansible(hosts: str, module: str, arguments: str) -> str:
    """One module on hosts of the lab; returns what was printed."""
    done = subprocess.run(
        ["ansible", hosts, "-m", module, "-a", arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def module(
    place: str, short_name: str, check: bool = True, timeout_s: float = PLAY_TIMEOUT_S, **arguments: object
) -> dict[str, t.Any]:
    """The result of a module on a host; ``check`` as for ``play``. One of another collection needs its whole name."""
    whole_name = short_name if "." in short_name else f"lifeboat.cloud.{short_name}"
    done = subprocess.run(
        ["ansible", place, "-m", whole_name, *(["-a", json.dumps(arguments)] if arguments else [])],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "OS_CLIENT_CONFIG_FILE": str(ROOT / ".lab/clouds.yaml"),
        },
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    begins = done.stdout.find("{")
    assert begins >= 0 and (not check or done.returncode == 0), done.stdout + done.stderr
    # Other callbacks print before and after it.
    [of_play] = json.JSONDecoder().raw_decode(done.stdout, begins)[0]["plays"]
    [of_task] = of_play["tasks"]
    result: dict[str, t.Any] = of_task["hosts"][place]
    return {**result, "failed": done.returncode != 0}


def receipts(directory: Path = RECEIPTS) -> dict[str, t.Any]:
    """Those of the run that has left receipts last."""
    report: dict[str, t.Any] = json.loads(_latest(directory).read_text(encoding="utf-8"))
    return report


def judged(directory: Path = RECEIPTS) -> dict[str, dict[str, t.Any]]:
    """What is thought of each migration of that run, by the server's name."""
    done = module("localhost", "migration_report", directory=str(directory), run=_latest(directory).stem)
    return {each["name"]: each for each in done["servers"]}


def _latest(directory: Path) -> Path:
    return max(directory.glob("*.json"), key=lambda path: path.stat().st_mtime)


def shell(host: str, command: str) -> str:
    """What a command printed on a host, where it must succeed."""
    return str(module(host, "ansible.builtin.shell", cmd=command)["stdout"])


def ceph_secret(hypervisor: str) -> str:
    """The UUID of the secret by which a hypervisor's libvirt opens images in Ceph."""
    return shell(hypervisor, "virsh -q secret-list | awk '/client.nova/ {print $1}'").strip()


def account(name: str) -> dict[str, t.Any]:
    """An account of the lab's clouds.yaml."""
    found: dict[str, t.Any] = yaml.safe_load((ROOT / ".lab/clouds.yaml").read_text(encoding="utf-8"))["clouds"][name]
    return found


def connected(name: str) -> Connection:
    """The lab's cloud as that account sees it."""
    return Connection(**{key: account(name)[key] for key in ("auth", "region_name", "cacert")})


def drill(name: str, *arguments: str) -> dict[str, object]:
    """Run one drill and return its entry of the report, whatever the verdict."""
    play("drill", "-e", f"drill={name}", "-e", "drill_fail_on_verdict=false", *arguments, timeout_s=DRILL_TIMEOUT_S)
    report = json.loads((ROOT / "reports" / "latest" / "report.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in report["drills"]] == [name]
    entry: dict[str, object] = report["drills"][0]
    return entry
