# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of docs/migration_plan.md that carry out a plan from libvirt, and give what each move took to the next."""

from __future__ import annotations

import importlib
import json
import re
import sys

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import CONNECTION_OPTIONS
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_migration, migration_plan
from ansible_collections.lifeboat.cloud.tests.unit.plan_libvirt_samples import OWN, WEB, kvm, run
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

MODULES = "ansible_collections.lifeboat.cloud.plugins.modules"
PLAN = {"goal": "drain", "drain": ["kvm1"], "assumed": {"bandwidth": 1.25e8}, "limits": {"total": 1}}
# As libvirt_migration returns it: of a live migration with a disk, and of one that ended by post-copy.
LIVE = {
    "ended_by": "pre_copy",
    "total_s": 30.0,
    "downtime_ms": 200,
    "memory_bytes": GIB,
    "disk_bytes": GIB,
    "timeline": [
        {"phase": "preparing", "seconds": 4.0},
        {"phase": "copying disks", "seconds": 10.0},
        {"phase": "copying memory", "seconds": 15.5},
    ],
}
POST_COPY = {**LIVE, "ended_by": "post_copy", "downtime_ms": None, "memory_bytes": None, "disk_bytes": 0}


def shown(page):
    """What the page shows in YAML."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [yaml.safe_load(each) for each in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]


def calls_in(part):
    """The modules of this collection that are called, each with its options."""
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from calls_in(each)
    if isinstance(part, dict):
        prefix = "lifeboat.cloud."
        yield from ((name.removeprefix(prefix), given) for name, given in part.items() if name.startswith(prefix))


@pytest.mark.parametrize("page", ["libvirt.md", "migration_plan.md"])
def test_the_page_shows_options_that_there_are(page):
    calls = list(calls_in(shown(page)))
    assert len(calls) > 3
    for name, given in calls:
        # Those without a specification of their own take the connection.
        options = getattr(importlib.import_module(f"{MODULES}.{name}"), "ARGUMENT_SPEC", CONNECTION_OPTIONS)
        assert set(given or ()) <= options.keys(), name


def carrying_out(steps, migrations):
    """The play of the page over these steps; what each call of the module would get is kept in calls.json.

    ``migrations`` are what the module returns.
    """
    [[block]] = [each for each in shown("migration_plan.md") if isinstance(each, list) and "block" in each[0]]
    [move], note = block["block"], block["always"]
    given = move.pop("lifeboat.cloud.libvirt_migration")
    assert move.pop("delegate_to") == "{{ item.source }}"
    [again] = [
        each["lifeboat.cloud.migration_plan"]["history"]
        for each in shown("migration_plan.md")
        if isinstance(each, dict) and "history" in each["lifeboat.cloud.migration_plan"]
    ]
    results = [{"item": step, "migration": each} for step, each in zip(steps, migrations, strict=True)]
    # One that has failed, or was there already.
    results.append({"item": steps[0]})

    def keep(file, content):
        return {"ansible.builtin.copy": {"dest": f"{{{{ playbook_dir }}}}/{file}", "content": content, "mode": "0600"}}

    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"plan": {"steps": steps}, "history": again},
        "tasks": [
            {**move, "ansible.builtin.debug": {"msg": given}},
            keep("calls.json", "{{ moved.results | map(attribute='msg') | to_json }}"),
            {"ansible.builtin.set_fact": {"moved": {"results": results}}},
            *note,
            keep("history.json", "{{ history | to_json }}"),
        ],
    }


def test_the_tasks_of_the_page_carry_a_plan_out_and_teach_the_next(told, tmp_path):
    there = run(kvm(1), name="busy", identity=WEB.replace("9", "8"))
    run(there, name="off", identity=WEB.replace("9", "7"), start=False)
    sites = told(run(there, devices=OWN), kvm(2))
    writes = {"dirty_rates": {WEB.replace("9", "8"): 2e8}, "policy": {"auto_converge": False, "post_copy": True}}
    steps = run_module(migration_plan.main, libvirt=sites, **PLAN, **writes)["steps"]
    by_name = {each["name"]: each for each in steps}
    assert {name: each["mode"] for name, each in by_name.items()} == {
        "web": "pre-copy",
        "busy": "post-copy",
        "off": "cold",
    }
    migrations = {"web": LIVE, "busy": POST_COPY, "off": {**POST_COPY, "ended_by": "offline", "total_s": 0.2}}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    play = carrying_out(steps, [migrations[each["name"]] for each in steps])
    run_playbook(tmp_path, play, {"all": {"hosts": {"localhost": local}}})
    calls = json.loads((tmp_path / "calls.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in calls] == [each["name"] for each in steps]
    seen = {each["name"]: each for each in calls}
    for each in calls:
        assert ArgumentSpecValidator(libvirt_migration.ARGUMENT_SPEC).validate(each).error_messages == []
        assert each["destination"] == "qemu+tls://kvm2/system" and each["max_seconds"] >= 300
    chosen = {name: (each["mode"], each["copy_storage"], each["then"]) for name, each in seen.items()}
    assert chosen == {
        "web": ("live", True, "abort"),
        "busy": ("live", False, "post_copy"),
        "off": ("offline", False, "abort"),
    }
    [kept] = tmp_path.glob("moves-*.json")
    history = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert history == json.loads(kept.read_text(encoding="utf-8")) and len(history) == len(steps)
    measured = {each["name"]: each["measured"] for each in history}
    assert measured["web"] == {
        "total_s": 30.0,
        "transferred": 2 * GIB,
        "disk": GIB,
        "copy_s": 25.5,
        "downtime_s": 0.2,
    }
    assert measured["busy"] == {"total_s": 30.0}
    learned = run_module(migration_plan.main, libvirt=sites, history=history, **PLAN)["learned"]
    assert {"bandwidth", "switch_s", "setup_s", "disk_share"} <= {each["what"] for each in learned}
