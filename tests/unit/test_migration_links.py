# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role migration plans and moves by the links that hosts of OpenStack share."""

from __future__ import annotations

import json
import sys

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.migration_role import role
from ansible_collections.lifeboat.cloud.tests.unit.migration_run_samples import build, requests
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import LIVE, Moving
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import run_playbook, try_playbook

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
RACKS = {
    "migration_links": [{"name": "rack1", "bandwidth": 1.25e8}, {"name": "rack2", "bandwidth": 1.25e8}],
    "migration_host_links": {"cmp1": "rack1", "cmp2": "rack2"},
}


@pytest.fixture
def nova(cloud, tmp_path):
    """web-1 and web-2 on cmp1, and cmp2 without servers, as C(admin) of the role's clouds.yaml. They move soon."""
    known = {"admin": cloud.options | {"region_name": "RegionOne"}}
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": known}), encoding="utf-8")
    build(cloud, ("cmp1", "cmp2"), [Moving(f"web-{each}", f"web-{each}", "cmp1") for each in (1, 2)])
    cloud.moving.script["live"] = LIVE[3:]
    return cloud


def drain_of(tmp_path, **variables):
    """The play that empties cmp1, two servers at a time from and to a host, and one on a link."""
    wish = {"migration_goal": "drain", "migration_drain": ["cmp1"], "migration_shared_storage": "ceph"}
    limits = {"migration_limits": {"outgoing": 2, "incoming": 2, "link": 1}}
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"cloud_state_directory": str(tmp_path), **wish, **limits, **variables},
        "tasks": [
            {"ansible.builtin.import_role": role("plan")},
            {"ansible.builtin.import_role": role("run")},
            {
                "ansible.builtin.debug": {
                    "msg": "begins: {{ _migration_plan.steps | map(attribute='start_s') | join(' ') }};"
                }
            },
        ],
    }


def test_a_drain_passes_a_link_by_as_many_as_it_may(nova, tmp_path):
    seen = []
    nova.moving.at_list = lambda _number: seen.append(len(nova.moving.under_way))
    said = run_playbook(tmp_path, drain_of(tmp_path, **RACKS), {"all": {"hosts": {"localhost": LOCAL}}})
    assert max(seen) == 1 and {each.host for each in nova.moving.servers.values()} == {"cmp2"}
    first, second = said.split("begins: ")[1].split(";")[0].split()
    assert float(first) == 0 < float(second)


def test_a_host_that_nova_does_not_have_is_named_and_nothing_begins(nova, tmp_path):
    links = RACKS | {"migration_host_links": {"cmp9": "rack1"}}
    done = try_playbook(tmp_path, drain_of(tmp_path, **links), {"all": {"hosts": {"localhost": LOCAL}}})
    assert done.returncode and "host cmp9 of host_links: found no such host" in done.stdout and requests(nova) == {}
