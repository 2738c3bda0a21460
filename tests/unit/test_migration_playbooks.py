# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that move servers, over HTTP as Nova takes it; the inventory leaves all to the roles' defaults."""

from __future__ import annotations

import itertools
import json
import os
import sys
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import MICROVERSIONS, CloudOverHttp
from ansible_collections.lifeboat.cloud.tests.unit.migration_role import role
from ansible_collections.lifeboat.cloud.tests.unit.migration_run_samples import build
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import UUID, Moving
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, receipt
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, try_playbook

HOSTS = ("cmp1", "cmp2", "cmp3")
OTHER = "16fe8c23-1858-4770-93fa-b6cc82d2ec85"
FILES = {"nova_images_type": "qcow2"}
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# As podman tells of a container, and what it is told to do.
PODMAN = """#!/bin/sh
cd "$(dirname "$0")"
case "$1" in
container) printf '[{"State": {"Status": "%s", "Pid": 0}, "NetworkSettings": {"Networks": {}}}]' "$(cat power)" ;;
kill) echo exited >power ;;
esac
"""


class Done(t.NamedTuple):
    """How a playbook has ended, and what it has said with line breaks folded to spaces."""

    failed: bool
    said: str


class Operator:
    """Runs playbooks against the cloud; its settings are where the collection looks for them by itself."""

    def __init__(self, cloud: CloudOverHttp, directory: Path) -> None:
        self.cloud, self._directory = cloud, directory
        self._bin = directory / "bin"
        for each in (directory / ".lifeboat", self._bin):
            each.mkdir()
        clouds = yaml.safe_dump({"clouds": {"admin": cloud.options}})
        (directory / ".lifeboat/clouds.yaml").write_text(clouds, encoding="utf-8")
        (self._bin / "power").write_text("running", encoding="utf-8")
        (self._bin / "podman").write_text(PODMAN, encoding="utf-8")
        (self._bin / "podman").chmod(0o755)
        self.hypervisors: dict[str, t.Any] = {}

    def play(self, playbook: str | list[dict[str, t.Any]], *options: str, **variables: object) -> Done:
        """A playbook of the collection, or tasks."""
        whole = f"- ansible.builtin.import_playbook: lifeboat.cloud.{playbook}\n"
        of_tasks = {"hosts": "localhost", "gather_facts": False, "tasks": playbook}
        children = {
            "hypervisor": {"hosts": {name: LOCAL | told for name, told in self.hypervisors.items()}},
            "ceph_mon": {"hosts": {"stor1": LOCAL}},
        }
        done = try_playbook(
            self._directory,
            whole if isinstance(playbook, str) else of_tasks,
            {"all": {"hosts": {"localhost": LOCAL}, "children": children if self.hypervisors else {}}},
            "-e",
            json.dumps(variables),
            *options,
            PATH=f"{self._bin}:{os.environ['PATH']}",
        )
        return Done(done.returncode != 0, " ".join((done.stdout + done.stderr).split()))

    @property
    def power(self) -> str:
        return (self._bin / "power").read_text(encoding="utf-8").strip()

    def service(self, host: str = "cmp1") -> dict[str, t.Any]:
        (found,) = [each for each in self.cloud.services if each["host"] == host]
        return found

    def changes(self) -> list[t.Any]:
        """What was asked for, of all that was said to Nova."""
        return [call.body for call in self.cloud.calls if call.method != "GET"]


@pytest.fixture
def operator(cloud: CloudOverHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Three computes; web-1 and web-2 on the second one."""
    # That by which openstack.cloud.server_info reads, which also asks for addresses.
    monkeypatch.setitem(MICROVERSIONS, "compute", MICROVERSIONS["compute"] | {"compute 2.100"})
    cloud.neutron = SimpleNamespace(answer=lambda _call, rest: (200, {rest[-1]: []}))
    return Operator(build(cloud, HOSTS, [Moving(UUID, "web-1", "cmp2"), Moving(OTHER, "web-2", "cmp2")]), tmp_path)


def test_a_host_goes_out_of_service_and_comes_back(operator: Operator) -> None:
    begun = operator.play("maintenance", maintenance_host="cmp1", maintenance_reason="new disk")
    assert not begun.failed and "cmp1: no server, and nothing under way." in begun.said, begun.said[-3000:]
    service = operator.service()
    assert (service["status"], service["disabled_reason"]) == ("disabled", "new disk")
    ended = operator.play("maintenance", maintenance_host="cmp1", maintenance_state="end")
    assert not ended.failed, ended.said[-3000:]
    assert "cmp1 takes new servers again; why it did not: new disk" in ended.said
    assert (service["status"], service["disabled_reason"]) == ("enabled", None)


def test_the_reason_that_somebody_gave_stays_until_another_one_is_given(operator: Operator) -> None:
    def begin(**told: str) -> list[t.Any]:
        done = operator.play([{"ansible.builtin.import_role": role("service")}], migration_drain=list(HOSTS), **told)
        assert not done.failed, done.said[-3000:]
        return [operator.service(host)["disabled_reason"] for host in HOSTS]

    operator.service("cmp2").update(status="disabled", disabled_reason="new disk")
    # Nova takes away again what it has noted itself, and with it enables the service.
    operator.service("cmp3").update(status="disabled", disabled_reason="AUTO: Connection to libvirt lost: 1")
    assert begin() == ["maintenance", "new disk", "maintenance"]
    assert begin(migration_reason="new board") == ["new board"] * 3


@pytest.mark.parametrize("goal", ["move", "drain"])
def test_nothing_is_not_moved(operator: Operator, goal: str) -> None:
    done = operator.play("migrate", migration_goal=goal)
    assert done.failed and f"migration_goal={goal}: found nothing to move" in done.said, done.said[-3000:]
    assert not operator.cloud.calls


def test_check_mode_says_what_would_be_waited_for_first(operator: Operator) -> None:
    on_its_way = operator.cloud.moving.servers[UUID]
    operator.cloud.moving.begin(on_its_way, "live", "cmp1")
    done = operator.play("migrate", "--check", migration_goal="drain", migration_drain=["cmp2"], migration_measure=0)
    assert not done.failed, done.said[-3000:]
    assert "servers web-1: Nova is busy with them." in done.said and "server web-2: cmp2 to cmp" in done.said


@pytest.mark.parametrize(
    ("playbook", "wanted"),
    [
        ("migrate", {"migration_goal": "drain", "migration_drain": ["cmp2"], "migration_measure": 0}),
        ("maintenance", {"maintenance_host": "cmp2", "migration_measure": 0}),
    ],
)
def test_a_run_that_fails_tells_what_it_has_moved(
    operator: Operator, tmp_path: Path, playbook: str, wanted: dict[str, t.Any]
) -> None:
    """Nova refuses everything from the moment at which the second server is on its way."""
    moving = operator.cloud.moving
    moving.at_list = lambda _number: operator.cloud.forbidden.update({"compute"} if len(moving.records) > 1 else ())
    done = operator.play(playbook, migration_report_directory=str(tmp_path), **wanted)
    assert done.failed and "1 of 2 servers moved" in done.said, done.said[-3000:]
    (page,) = tmp_path.glob("*.html")
    report = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    [receipt] = report["receipts"]
    assert receipt["moved"] and report["goal"] == "drain" and receipt["name"] in page.read_text(encoding="utf-8")


def test_what_an_interrupted_run_has_left_is_shown_by_the_next_one(operator: Operator, tmp_path: Path) -> None:
    # Of the other one nobody knows any more what it was.
    for run, kept in (("2026-11-21T00-00-00Z", receipt("web-9") | {"kind": None}), (RUN, receipt("web-1"))):
        (tmp_path / f"{run}.jsonl").write_text(f"{json.dumps(kept)}\n", encoding="utf-8")
    begin: dict[str, t.Any] = {"ansible.builtin.import_role": role("begin")}
    options = {"migration_report_directory": str(tmp_path), "migration_shared_storage": ""}
    would = operator.play([begin], "--check", **options)
    assert not would.failed and "changed=1" in would.said and not list(tmp_path.glob("*.json")), would.said[-3000:]
    did = operator.play([begin], **options)
    assert not did.failed and "web-1" in (tmp_path / f"{RUN}.html").read_text(encoding="utf-8"), did.said[-3000:]
    assert len(read_history(tmp_path).outcomes) == 1
    again = operator.play([begin], **options)
    assert not again.failed and "changed=0" in again.said, again.said[-3000:]


def test_a_dead_host_that_nova_does_not_know_is_refused(operator: Operator) -> None:
    done = operator.play("evacuate", migration_dead="cmp9")
    assert done.failed and "nova-compute runs on cmp1, cmp2, cmp3" in done.said, done.said[-3000:]


def test_the_power_of_a_host_that_works_is_not_cut(operator: Operator) -> None:
    for options in ((), ("--check",)):
        done = operator.play("evacuate", *options, migration_dead="cmp2", migration_power_off=True)
        assert done.failed and "found that nova-compute on cmp2 is up" in done.said, done.said[-3000:]
        assert "with the servers web-1, web-2; expected one that is down" in done.said
    assert operator.power == "running" and not operator.changes()


def test_a_host_that_reports_though_it_is_forced_down_is_not_dead(operator: Operator) -> None:
    cmp2, looks = operator.service("cmp2"), itertools.count()
    cmp2.update(forced_down=True)
    operator.cloud.before_services = lambda _cloud: cmp2.update(updated_at=f"2026-11-21T13:42:{next(looks):02}.000000")
    done = operator.play("evacuate", migration_dead="cmp2", migration_lose_disks=True)
    assert done.failed and "though it is forced down" in done.said and not operator.changes(), done.said[-3000:]


def test_a_server_that_was_on_its_way_is_not_rebuilt_until_somebody_has_looked(operator: Operator) -> None:
    operator.service("cmp2").update(forced_down=True, state="down")
    web_1 = operator.cloud.moving.servers[UUID]
    operator.cloud.moving.begin(web_1, "live", "cmp3")
    web_1.status, web_1.task, web_1.steps = "ACTIVE", None, []
    options = {"migration_dead": "cmp2", "migration_lose_disks": True, "migration_dead_silent_for": 1}
    refused = operator.play("evacuate", "--check", **options)
    assert refused.failed and "it may run there although Nova has it on cmp2" in refused.said, refused.said[-3000:]
    looked = operator.play("evacuate", "--check", **options, migration_not_running_on=["cmp3"])
    assert not looked.failed, looked.said[-3000:]


def test_a_host_that_hangs_loses_its_power_where_that_is_said(operator: Operator) -> None:
    operator.hypervisors = {host: {} for host in HOSTS}
    operator.cloud.moving.servers.clear()
    cut = {"migration_power_off": True, "migration_power_off_though_up": True}
    done = operator.play("evacuate", migration_dead="cmp2", **cut)
    assert not done.failed and "cmp2: no server, and nothing under way." in done.said, done.said[-3000:]
    assert operator.power == "exited" and operator.service("cmp2")["forced_down"]


def test_check_mode_says_what_will_be_refused_when_the_power_is_cut(operator: Operator) -> None:
    """Only the first of both hosts has its disks where the others have theirs."""
    operator.service("cmp2")["state"] = "down"
    operator.cloud.moving.servers[UUID].status = "PAUSED"
    done = operator.play("evacuate", "--check", migration_dead="cmp2", migration_power_off=True)
    assert done.failed and "found status PAUSED" in done.said, done.said[-3000:]
    assert "server web-2: found disks of its own on cmp2" in done.said and "not forced down" not in done.said
    assert operator.power == "running" and not operator.changes()


def test_hosts_that_differ_in_where_disks_are_are_refused(operator: Operator) -> None:
    operator.hypervisors = {"cmp1": {}, "cmp2": {"nova_images_type": "qcow2"}}
    done = operator.play("migrate", migration_goal="balance")
    assert done.failed and "found nova_images_type rbd and qcow2, nfs_instances_share none" in done.said, done.said
    assert not operator.cloud.calls


@pytest.mark.parametrize(
    ("hypervisors", "dead", "shared"),
    [
        ({"cmp1": {}, "cmp2": {"nova_images_type": "rbd"}}, "", "ceph"),
        ({"cmp1": FILES, "cmp2": {"nova_images_type": "raw"}}, "cmp1", ""),
        ({"cmp1": FILES, "cmp2": {}}, "", None),
        ({host: FILES | {"nfs_instances_share": "a:/srv"} for host in HOSTS}, "cmp1", "nfs"),
        ({"cmp1": FILES | {"nfs_instances_share": "a:/srv"}, "cmp2": FILES}, "", None),
        ({"cmp1": {}}, "cmp9", ""),
    ],
    ids=["ceph", "own", "some in Ceph", "nfs", "some on NFS", "dead host not in the inventory"],
)
def test_storage_is_shared_where_all_hypervisors_share_it(
    operator: Operator, tmp_path: Path, hypervisors: dict[str, t.Any], dead: str, shared: str | None
) -> None:
    operator.hypervisors = hypervisors
    seen = "{{ [migration_shared_storage, drill_shared_disks] | to_json }}"
    keep = {"ansible.builtin.copy": {"dest": str(tmp_path / "seen.json"), "content": seen, "mode": "0600"}}
    drill = yaml.safe_load((ROOT / "roles/drill/defaults/main.yml").read_text(encoding="utf-8"))["drill_shared_disks"]
    # Its variables stay.
    named = {"ansible.builtin.import_role": role("begin"), "when": "false"}
    done = operator.play([named, keep | {"vars": {"drill_shared_disks": drill}}], migration_dead=dead)
    assert not done.failed, done.said[-3000:]
    of_migration, of_drill = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    assert of_migration == shared
    assert of_drill == bool(shared)


@pytest.mark.parametrize(
    ("left", "moving", "says"),
    [
        ([UUID, OTHER], False, "cmp2: web-1, web-2 left where they are, and nothing under way."),
        ([UUID], False, "cmp2: found the servers web-2 and 0 migrations under way"),
        ([UUID, OTHER], True, "cmp2: found the servers none and 1 migrations under way"),
    ],
    ids=["as planned", "another one", "one that comes"],
)
def test_a_host_where_servers_are_left_has_no_others_and_gets_none(
    operator: Operator, left: list[str], moving: bool, says: str
) -> None:
    if moving:
        third = Moving("16fe8c23-1858-4770-93fa-b6cc82d2ec86", "web-3", "cmp1")
        operator.cloud.moving.servers[third.id] = third
        operator.cloud.moving.begin(third, "live", "cmp2")
    unplaced = [{"servers": [{"server": each, "name": each} for each in left], "reasons": []}]
    done = operator.play(
        [{"ansible.builtin.import_role": role("empty")}],
        migration_drain=["cmp2"],
        migration_leave=True,
        _migration_plan={"unplaced": unplaced, "refused": []},
    )
    assert says in done.said and done.failed == ("found" in says), done.said[-3000:]
