# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the role machine_import without a cloud: some of its files are others, and libvirt has one domain, web1."""

from __future__ import annotations

import json
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# A guest that goes off when it is asked to (heeds), or once it was looked at so many times after (late), or never.
LIBVIRT = """
import json, pathlib
PLACE = pathlib.Path(__file__).with_name("domain.json")
class libvirtError(Exception):
    def get_error_code(self): return 38
    def get_error_message(self): return "out of memory"
class Domain:
    def __init__(self): self.told = json.loads(PLACE.read_text())
    def keep(self, **changed): PLACE.write_text(json.dumps(self.told | changed))
    def name(self): return "web1"
    def UUIDString(self): return "3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1"
    def state(self): return [5, 1] if self.told["off"] else [1, 1]
    def isPersistent(self): return self.told["persistent"]
    def autostart(self): return False
    def hasManagedSaveImage(self): return False
    def listAllSnapshots(self): return []
    def listAllCheckpoints(self): return []
    def jobStats(self): return {"type": 0}
    def XMLDesc(self, flags):
        return "<domain type='kvm'><name>web1</name><memory>1</memory><os><type arch='x86_64'>hvm</type></os></domain>"
    def shutdown(self): self.keep(asked=True, off=self.told["guest"] == "heeds")
    def createWithFlags(self, flags):
        if self.told["broken"]: raise libvirtError
        self.keep(off=False, starts=self.told["starts"] + 1)
class Connection:
    def listAllDomains(self): return [Domain()]
    def lookupByName(self, name): return Domain()
    def getAllDomainStats(self, kinds, flags):
        domain = Domain()
        looks = domain.told["looks"] + domain.told["asked"]
        domain.keep(looks=looks, off=domain.told["off"] or (domain.told["guest"] == "late" and looks >= 2))
        return []
    def close(self): pass
def __getattr__(name):
    if name.startswith("VIR_ERR"): raise AttributeError(name)
    return 0
def registerErrorHandler(handler, context): pass
def open(uri): return Connection()
openReadOnly = open
"""
DOMAIN = {
    "off": False,
    "guest": "heeds",
    "asked": False,
    "looks": 0,
    "starts": 0,
    "broken": False,
    "persistent": True,
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What the tasks have said when they failed (else nothing), what they left in ``finds``, and the domain."""

    failure: str
    found: t.Any
    domain: Mapping[str, t.Any]
    said: str


def run(
    tmp_path: Path,
    tasks_from: str,
    *options: str,
    files: Mapping[str, list[dict[str, t.Any]]] | None = None,
    finds: str = "{}",
    domain: Mapping[str, t.Any] | None = None,
    facts: Mapping[str, t.Any] | None = None,
    **variables: object,
) -> Ran:
    """Run tasks of the role, in which ``files`` has other tasks for some of its files."""
    _lay_out(tmp_path, files or {})
    state = tmp_path / "lib" / "domain.json"
    state.write_text(json.dumps(DOMAIN | (domain or {})), encoding="utf-8")
    local = {"ansible_connection": "local", "ansible_python_interpreter": str(tmp_path / "python")}
    out = tmp_path / "out.json"
    content = f"{{{{ {{'failure': _failure | default(''), 'found': {finds}}} | to_json }}}}"
    include = {"ansible.builtin.include_role": {"name": "machine_import", "tasks_from": tasks_from, "public": True}}
    # Ansible keeps what a rescue had to do with for its tasks alone.
    note = {"ansible.builtin.set_fact": {"_failure": "{{ ansible_failed_result.msg }}"}}
    copy = {"dest": str(out), "content": content, "mode": "0600"}
    play = {
        "hosts": "web-host",
        "gather_facts": False,
        "vars": {"cloud_state_directory": str(tmp_path), **variables},
        "tasks": [
            {"ansible.builtin.set_fact": {"cacheable": True, **(facts or {}), "_": ""}},
            {"block": [include], "rescue": [note]},
            {"ansible.builtin.copy": copy, "check_mode": False},
        ],
    }
    inventory = {"all": {"hosts": {"localhost": local, "web-host": local}}}
    said = run_playbook(tmp_path, play, inventory, *options, ANSIBLE_ROLES_PATH=str(tmp_path / "roles"))
    left = json.loads(out.read_text(encoding="utf-8"))
    return Ran(left["failure"], left["found"], json.loads(state.read_text(encoding="utf-8")), said)


def _lay_out(tmp_path: Path, files: Mapping[str, list[dict[str, t.Any]]]) -> None:
    """The role with other files, the library, and a Python that finds it."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libvirt.py").write_text(LIBVIRT, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}/lib" exec {sys.executable} "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    source, role = ROOT / "roles" / "machine_import", tmp_path / "roles" / "machine_import"
    (role / "tasks").mkdir(parents=True)
    for each in source.iterdir():
        if each.name != "tasks":
            (role / each.name).symlink_to(each)
    for each in (source / "tasks").iterdir():
        if each.stem not in files:
            (role / "tasks" / each.name).symlink_to(each)
    for name, tasks in files.items():
        (role / "tasks" / f"{name}.yml").write_text(json.dumps(tasks), encoding="utf-8")
