# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each wrong inventory, drill or cloud is refused before the first change, with the thing and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from standing_lab import ROOT, ansible, play

NOTHING = ("--tags", "none")


def changed_inventory(directory: Path, change: str) -> Path:
    """The lab's inventory, with one group changed by ``change``."""
    hosts = yaml.safe_load((ROOT / "inventories/lab/hosts.yml").read_text(encoding="utf-8"))
    children = hosts["all"]["children"]
    if change == "even database":
        children["database"] = {"hosts": {"ctl1": {}, "ctl2": {}}}
    elif change == "one controller":
        children["controllers"]["hosts"] = {"ctl1": {"lab_number": 11}}
    elif change == "two roles":
        children["computes"] = {"hosts": {"ctl1": {}}}
    elif change == "duplicate address":
        children["controllers"]["hosts"]["ctl2"]["lab_number"] = 11
    elif change == "unreachable":
        children["controllers"]["hosts"]["ctl3"]["lab_number"] = 99
    (directory / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
    (directory / "group_vars").symlink_to(ROOT / "inventories/lab/group_vars")
    return directory


@pytest.mark.parametrize(
    ("change", "thing", "remedy"),
    [
        ("even database", "database", "odd"),
        ("one controller", "controllers", "at least"),
        ("two roles", "ctl1", "only one of them"),
        ("duplicate address", "10.98.0.11", "ctl2"),
        ("unreachable", "ctl3", "10.98.0.99"),
    ],
)
def test_inventory_is_refused(tmp_path: Path, change: str, thing: str, remedy: str) -> None:
    state = ("-e", f"cloud_state_directory={ROOT}/.lab")
    done = play("site", *NOTHING, *state, inventory=changed_inventory(tmp_path, change), check=False)
    assert done.returncode != 0
    assert thing in done.text
    assert remedy in done.text
    assert not done.changes


@pytest.mark.parametrize(
    ("vip", "words"),
    [
        ("10.99.0.100", ("10.99.0.100", "10.98.0.0/24")),
        ("10.98.0.21", ("10.98.0.21", "client1")),
        ("10.98.0.1", ("10.98.0.1", "answers", "cloud_vip")),
        ("10.98.0.300", ("10.98.0.300",)),
    ],
)
def test_virtual_address_is_refused(vip: str, words: tuple[str, ...]) -> None:
    done = play("site", *NOTHING, "-e", f"cloud_vip={vip}", check=False)
    assert done.returncode != 0
    assert all(word in done.text for word in words), done.text[-2000:]
    assert not done.changes


def test_an_absent_interface_is_refused() -> None:
    interfaces = {"management": "management0", "tenant": "tenant9", "storage": "storage0", "public": "public0"}
    done = play("site", *NOTHING, "-e", json.dumps({"cloud_interfaces": interfaces}), check=False)
    assert done.returncode != 0
    assert "host cmp1: found no interface tenant9 among" in done.text
    assert not done.changes


def test_hosts_with_differing_ids_are_refused() -> None:
    ansible("client1", "command", "groupmod -g 64999 glance")
    try:
        done = play("site", *NOTHING, check=False)
        assert done.returncode != 0
        assert "user glance: found UID:GID" in done.text
        assert ":64999 on client1" in done.text
        assert not done.changes
        assert play("site", *NOTHING, "-e", "cloud_accept_mixed_hosts=true").returncode == 0
    finally:
        ansible("client1", "command", "groupmod -g 64062 glance")


def test_half_a_certificate_is_refused() -> None:
    done = play("site", *NOTHING, "-e", "cloud_tls_certificate=/nowhere/host.pem", check=False)
    assert done.returncode != 0
    assert "cloud_tls_authority unset" in done.text
    assert not done.changes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("probes: {identity_apo: {}}", ("identity_apo", "identity_api")),
        ("fault: {form: explode, component: identity, pick: any}", ("explode", "crash")),
        ("probes: {identity_api: {bound: {outage: soon}}}", ("soon", "500ms")),
    ],
)
def test_drill_file_is_refused(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    catalogue = ROOT / "roles/drill/files/catalogue"
    good = yaml.safe_load((catalogue / "identity_backend_killed.yml").read_text(encoding="utf-8"))
    wrong = {**good, **yaml.safe_load(text), "name": "wrong"}
    (tmp_path / "wrong.yml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    done = play("drill", "-e", "drill=wrong", "-e", f'{{"drill_catalogue": ["{tmp_path}"]}}', check=False)
    assert done.returncode != 0
    assert all(word in done.text for word in words), done.text[-2000:]
    assert not done.changes


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("{form: clock_step, step_s: 60, pick: any}", ("clock of this host", "use a machine")),
        (
            "{form: slow_disk, component: database, path: /var/lib/mysql, iops: 10, pick: any}",
            ("cgroup controllers", "expected io"),
        ),
    ],
    ids=["clock_step", "slow_disk"],
)
def test_fault_that_cannot_be_made_here_is_refused(tmp_path: Path, fault: str, words: tuple[str, ...]) -> None:
    catalogue = ROOT / "roles/drill/files/catalogue"
    good = yaml.safe_load((catalogue / "cache_hung.yml").read_text(encoding="utf-8"))
    del good["limit"]
    impossible = {**good, "name": "impossible", "fault": yaml.safe_load(fault)}
    (tmp_path / "impossible.yml").write_text(yaml.safe_dump(impossible), encoding="utf-8")
    done = play("drill", "-e", "drill=impossible", "-e", f'{{"drill_catalogue": ["{tmp_path}"]}}', check=False)
    assert done.returncode != 0
    assert "'impossible': 'refused'" in done.text
    assert all(word in done.text for word in words), done.text[-2000:]


def test_unknown_drill_is_refused() -> None:
    done = play("drill", "-e", "drill=vip_holder_powerlost", check=False)
    assert done.returncode != 0
    assert "vip_holder_power_lost" in done.text


def test_evacuation_of_no_host_is_refused() -> None:
    done = play("evacuate", check=False)
    assert done.returncode != 0
    assert "migration_dead: found nothing; expected the name of a dead host" in done.text


def test_broken_cluster_is_refused_by_a_deployment_and_by_a_drill() -> None:
    ansible("ctl3", "ansible.builtin.systemd_service", "name=mariadb.service state=stopped")
    try:
        deployed = play("site", *NOTHING, check=False)
        assert deployed.returncode != 0
        assert "MariaDB stopped" in deployed.text
        assert "cloud_accept_unhealthy" in deployed.text
        drilled = play("drill", "-e", "drill=galera_writer_killed", "-e", "drill_steady_within=1", check=False)
        assert drilled.returncode != 0
        assert "refused" in drilled.text
        assert "members of database: found 2 healthy (ctl1, ctl2)" in drilled.text
    finally:
        ansible("ctl3", "ansible.builtin.systemd_service", "name=mariadb.service state=started")
    play("verify", "-e", "verify_cloud=false", "-e", "verify_within=60")
