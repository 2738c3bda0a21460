# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the role migration that ask hypervisors: cmp1 answers, cmp2 and cmp3 do not, and nobody is to ask cmp4."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import run_playbook

BUSY, REFUSED = (f"3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a{number}" for number in range(2))
# A library with a guest that writes 40 MiB/s and has come here in 4 s, and one of which it tells nothing.
LIBVIRT = f"""
UUIDS = {{"busy": "{BUSY}", "refused": "{REFUSED}"}}
class libvirtError(Exception):
    def get_error_code(self): return 55
    def get_error_message(self): return "it is measured already"
class Domain:
    def __init__(self, name): self._name = name
    def name(self): return self._name
    def UUIDString(self): return UUIDS[self._name]
    def state(self): return [1, 1]
    def jobStats(self, flags=0):
        if self._name == "refused" or flags != 3: return {{"type": 0}}
        return {{"type": 3, "operation": 0, "time_elapsed": 4000, "downtime": 223, "memory_processed": 2**30}}
    def startDirtyRateCalc(self, seconds, flags):
        if self._name == "refused": raise libvirtError
        return 0
class Connection:
    def listAllDomains(self): return [Domain("busy"), Domain("refused")]
    def lookupByName(self, name): return Domain(name)
    def getAllDomainStats(self, kinds, flags):
        return [(Domain("busy"), {{"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": 40}})]
    def close(self): pass
VIR_DOMAIN_STATS_DIRTYRATE = 512
VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE = VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT = 0
VIR_DOMAIN_JOB_STATS_COMPLETED, VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED = 1, 2
VIR_ERR_NO_SUPPORT, VIR_DOMAIN_JOB_NONE, VIR_DOMAIN_JOB_COMPLETED = 3, 0, 3
def registerErrorHandler(handler, context): pass
def open(uri): return Connection()
def openReadOnly(uri): return Connection()
"""


def role(tasks_from: str) -> dict[str, t.Any]:
    """As import_role and include_role take it."""
    return {"name": "lifeboat.cloud.migration", "tasks_from": tasks_from}


def run(
    tmp_path: Path,
    tasks: list[dict[str, t.Any]],
    finds: str,
    *options: str,
    group: str = "hypervisor",
    **variables: object,
) -> tuple[t.Any, str]:
    """What the expression ``finds`` is after the tasks, and what ansible-playbook has said."""
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
    keep = {"dest": str(out), "content": f"{{{{ {finds} | to_json }}}}", "mode": "0600"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"cloud_state_directory": str(tmp_path), **variables},
        "tasks": [*tasks, {"ansible.builtin.copy": keep, "check_mode": False}],
    }
    said = run_playbook(tmp_path, play, inventory, *options)
    return json.loads(out.read_text(encoding="utf-8")), said
