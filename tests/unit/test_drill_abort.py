# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of the drill whose migration an operator aborts, over a Nova where it would never end."""

from __future__ import annotations

import json
import os
import sys
import typing as t

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named
from ansible_collections.lifeboat.cloud.tests.unit import moving_nova
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, Moving, MovingNova
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

if t.TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import CloudOverHttp

DRILL = named(load([ROOT / "roles/drill/files/moving"]), "live_aborted_by_operator").as_mapping()


@pytest.fixture
def nova(cloud: CloudOverHttp) -> CloudOverHttp:
    """drill-1 on cmp1, from which no migration arrives."""
    cloud.services = [service("cmp1"), service("cmp2")]
    cloud.moving = MovingNova(Moving(UUID, "drill-1", "cmp1"))
    cloud.moving.script["live"] = moving_nova.LIVE_STUCK
    return cloud


def moved(tmp_path: Path, nova: CloudOverHttp) -> dict[str, t.Any]:
    """What the role has kept of the move."""
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"admin": nova.options}}), encoding="utf-8")
    virsh = tmp_path / "virsh"
    virsh.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/virsh.log\n', encoding="utf-8")
    virsh.chmod(0o755)
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_async_dir": str(tmp_path / "async"),
    }
    out = tmp_path / "out.json"
    kept = "{'found': _drill_move_found, 'disturbed': _drill_interrupted_at, 'ended': _drill_move_ended}"
    play = {
        "hosts": "cmp1",
        "gather_facts": False,
        "vars": {
            "cloud_state_directory": str(tmp_path),
            "_drill": {**DRILL, "move": {**DRILL["move"], "within": 90.0}},
            "_drill_moving": [{"server": UUID, "name": "drill-1", "source": "cmp1", "destination": "cmp2"}],
            "_drill_servers": [{"id": UUID, "instance_name": "instance-1"}],
        },
        "tasks": [
            {"ansible.builtin.set_fact": {"_drill_interrupted_at": "{{ none }}"}},
            {"ansible.builtin.import_role": {"name": "lifeboat.cloud.drill", "tasks_from": "move_by_module"}},
            {"ansible.builtin.copy": {"dest": str(out), "content": f"{{{{ {kept} | to_json }}}}", "mode": "0600"}},
        ],
    }
    inventory = {"all": {"hosts": {"localhost": local, "cmp1": local, "cmp2": local}}}
    run_playbook(tmp_path, play, inventory, PATH=f"{tmp_path}:{os.environ['PATH']}")
    found: dict[str, t.Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_the_operator_aborts_it_while_the_call_that_moves_it_waits(tmp_path: Path, nova: CloudOverHttp) -> None:
    kept = moved(tmp_path, nova)
    assert kept["found"] == "a migration that is cancelled: it was aborted by user operator"
    assert DRILL["move"]["reason"] in kept["found"] and kept["disturbed"] < kept["ended"]
    assert nova.moving.servers[UUID].host == "cmp1"
    assert [call.method for call in nova.calls].count("DELETE") == 1
    assert (tmp_path / "virsh.log").read_text(encoding="utf-8").split("\n")[0] == "migrate-setspeed instance-1 1"
