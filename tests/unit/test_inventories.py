# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every inventory of the repository is a cloud that would not be refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

INVENTORIES = sorted(path.name for path in (ROOT / "inventories").iterdir())
PLAY = {
    "hosts": "cloud",
    "connection": "local",
    "gather_facts": False,
    # Its defaults; it has no tasks of its own.
    "roles": ["lifeboat.cloud.cloud"],
    "tasks": [
        {
            "ansible.builtin.copy": {"dest": "{{ out }}", "content": "{{ shown | to_json }}", "mode": "0600"},
            "vars": {
                "shown": {
                    "findings": "{{ cloud_layout | lifeboat.cloud.cloud_layout_findings }}",
                    "networks": "{{ cloud_networks }}",
                    "interfaces": "{{ cloud_interfaces }}",
                    "hosts": "{{ groups.cloud }}",
                    "packages": "{{ _cloud_packages_to_come }}",
                }
            },
            "run_once": True,
        },
    ],
}


@pytest.mark.parametrize("name", INVENTORIES)
def test_an_inventory_is_accepted(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    run_playbook(tmp_path, PLAY, ROOT / "inventories" / name, "-e", f"out={out}")
    seen = json.loads(out.read_text(encoding="utf-8"))
    assert seen["findings"] == []
    assert seen["hosts"]
    # Of the first host, a controller.
    assert "keystone" in seen["packages"]
    assert ("libvirt0" in seen["packages"]) == (name in {"hyperconverged", "single"})
    assert set(seen["interfaces"]) == set(seen["networks"]) == {"management", "tenant", "storage", "public"}


def test_there_are_the_inventories_that_the_documentation_names() -> None:
    assert INVENTORIES == ["hyperconverged", "lab", "production", "single"]
