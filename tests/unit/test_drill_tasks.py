# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the role drill that keep what became of the servers, on this machine and without a cloud."""

from __future__ import annotations

import json
import sys
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

if t.TYPE_CHECKING:
    from pathlib import Path

MOVING = load([ROOT / "roles/drill/files/moving"])


def drill(name: str) -> dict[str, t.Any]:
    """The drill of the catalogue, as the role has it."""
    return named(MOVING, name).as_mapping()


def run(tmp_path: Path, tasks: list[dict[str, t.Any]], finds: str, **variables: object) -> t.Any:
    """What the expression ``finds`` is after the tasks."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    out = tmp_path / "out.json"
    keep = {"dest": str(out), "content": f"{{{{ {finds} | to_json }}}}", "mode": "0600"}
    play = {"hosts": "cmp1", "gather_facts": False, "tasks": [*tasks, {"ansible.builtin.copy": keep}]}
    hosts = {"all": {"hosts": {"localhost": local, "cmp1": local}}}
    run_playbook(tmp_path, play, hosts, "-e", json.dumps(variables))
    return json.loads(out.read_text(encoding="utf-8"))


def role(tasks_from: str) -> dict[str, t.Any]:
    return {"ansible.builtin.import_role": {"name": "lifeboat.cloud.drill", "tasks_from": tasks_from}}


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'fatal: [cmp1]: x ...ignoring'; exit 0", ""),
        ("echo 'fatal: [cmp1]: no receipt'; exit 2", "fatal: [cmp1]: no receipt"),
        ("echo 'ERROR! no such playbook' >&2; exit 4", "exit status 4, and at last: ERROR! no such playbook"),
        ("exit 250", "exit status 250, and at last: non-zero return code"),
    ],
)
def test_a_playbook_that_fails_says_so_whatever_it_says(tmp_path: Path, script: str, found: str) -> None:
    told = {"_drill_migrate": ["sh", "-c", script], "_drill_migrate_environment": {}}
    kept = run(tmp_path, [role("move_by_playbook")], "_drill_move_found", _drill=drill("ten_servers_drained"), **told)
    assert kept.startswith(found) and bool(kept) == bool(found)
