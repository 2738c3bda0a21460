# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role migration asks the hypervisors of the inventory, and goes on without those that do not answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# A library with a guest that writes 40 MiB/s, and one that cannot be measured.
LIBVIRT = """
class libvirtError(Exception):
    def get_error_code(self): return 55
    def get_error_message(self): return "it is measured already"
class Domain:
    def __init__(self, name): self._name = name
    def name(self): return self._name
    def UUIDString(self): return f"uuid-{self._name}"
    def state(self): return [1, 1]
    def jobStats(self): return {"type": 0}
    def startDirtyRateCalc(self, seconds, flags):
        if self._name == "refused": raise libvirtError
        return 0
class Connection:
    def listAllDomains(self): return [Domain("busy"), Domain("refused")]
    def lookupByName(self, name): return Domain(name)
    def getAllDomainStats(self, kinds, flags):
        return [(Domain("busy"), {"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": 40})]
    def close(self): pass
VIR_DOMAIN_STATS_DIRTYRATE = 512
VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE = VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT = 0
VIR_ERR_NO_SUPPORT, VIR_DOMAIN_JOB_NONE = 3, 0
def registerErrorHandler(handler, context): pass
def open(uri): return Connection()
"""


def play(out: Path, measures: str) -> dict[str, t.Any]:
    role = {"name": "lifeboat.cloud.migration", "tasks_from": "measure"}
    content = "{{ {'measures': _migration_measures, 'rates': _migration_dirty_rates} | to_json }}"
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "migration_goal": "drain",
            "migration_drain": ["cmp1", "cmp2", "cmp3", "of another cloud"],
            "migration_measure": measures,
            "cloud_state_directory": str(out.parent),
        },
        "tasks": [
            # Its variables are there whether it is asked or not.
            {"ansible.builtin.import_role": role, "when": "_migration_measures"},
            {
                "ansible.builtin.copy": {"dest": str(out), "content": content, "mode": "0600"},
                "check_mode": False,
            },
        ],
    }


def run(tmp_path: Path, *options: str, measures: str = "1", group: str = "hypervisor") -> tuple[t.Any, str]:
    """What the role has found out, and what ansible-playbook has said."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libvirt.py").write_text(LIBVIRT, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}/lib" exec {sys.executable} "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        "cmp1": local | {"ansible_python_interpreter": str(python)},
        "cmp2": {"ansible_host": "127.0.0.1", "ansible_port": 1},
        "cmp3": local | {"ansible_python_interpreter": "/usr/bin/false"},
        "cmp4": local,
    }
    inventory = {"all": {"hosts": {"localhost": local}, "children": {group: {"hosts": hosts}}}}
    out = tmp_path / "out.json"
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play(out, measures)]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml", *options],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text(encoding="utf-8")), done.stdout


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["run", "check"])
def test_who_answers_is_measured_and_who_does_not_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    seen, said = run(tmp_path, *options)
    assert seen == {"measures": True, "rates": {"uuid-busy": 40 * 2**20}}
    assert "cmp2: its guests were not measured:" in said and "cmp3: its guests were not measured:" in said
    assert "server uuid-refused: not measured: it is measured already" in said
    assert "cmp1: its guests" not in said and "cmp4" not in said


@pytest.mark.parametrize(("measures", "group"), [("0", "hypervisor"), ("1", "computes")], ids=["off", "no group"])
def test_nobody_is_asked(tmp_path: Path, measures: str, group: str) -> None:
    seen, said = run(tmp_path, measures=measures, group=group)
    assert seen == {"measures": False, "rates": {}} and "not measured" not in said
