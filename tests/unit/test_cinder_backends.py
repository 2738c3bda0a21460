# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which back ends of Cinder each host serves, with which options, and what is refused.

Ansible itself fills in the role's variables.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

SHOWN = {
    "cluster": "{{ _cinder_own_cluster }}",
    "coordination": "{{ _cinder_config.coordination.backend_url }}",
    "enabled": "{{ _cinder_default.enabled_backends }}",
    "sections": "{{ _cinder_sections }}",
    "files": "{{ _cinder_shares_files }}",
    "units": "{{ _cinder_service.units }}",
    "ceph": "{{ _cinder_uses_ceph }}",
    "types": "{{ _cinder_types | map(attribute='name') }}",
    "findings": "{{ _cinder_findings }}",
}
CEPH = {"name": "ceph", "kind": "rbd"}
LVM = {"name": "lvm", "kind": "lvm"}
FILES = {"name": "files", "kind": "nfs", "shares": ["10.0.2.21:/srv/a", "10.0.2.22:/srv/a"]}
GROUP = {"lvm_iscsi_volume_groups": {"cinder-volumes": ["/dev/sdb"]}}
CONTROLLERS: dict[str, dict[str, t.Any]] = {"ctl1": {}, "ctl2": {}}
Seen = dict[str, dict[str, t.Any]]
Look = Callable[..., Seen]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """The role's variables on each host, with these back ends and hosts of the group lvm_iscsi."""

    def of(
        backends: list[dict[str, t.Any]],
        lvm_iscsi: dict[str, t.Any] | None = None,
        shown: t.Iterable[str] = tuple(SHOWN),
        **variables: t.Any,
    ) -> Seen:
        groups = {"cinder": CONTROLLERS, "lvm_iscsi": lvm_iscsi or {}, "ceph_mon": {"ctl1": {}}}
        children = {name: {"hosts": hosts} for name, hosts in groups.items()}
        shared = {
            "ansible_connection": "local",
            "cinder_backends": backends,
            "cloud_vip": "10.0.0.100",
            "cloud_region": "RegionOne",
            "cloud_address": "10.0.0.1",
            "cloud_addresses": {"storage": "10.0.2.1"},
            "cloud_tls_directory": "/etc/tls",
            "ceph_cinder_libvirt_secret": "uuid",
            "cinder_database_password": "secret",
            "cinder_identity_password": "secret",
            "openstack_service_auth": {},
            **variables,
        }
        role = ROOT / "roles/cinder"
        play = {
            "hosts": "cinder:lvm_iscsi",
            "gather_facts": False,
            "vars_files": [str(role / "vars/main.yml")],
            "tasks": [{"ansible.builtin.debug": {"msg": {name: SHOWN[name] for name in shown}}}],
        }
        defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        (tmp_path / "group_vars/all.yml").write_text(yaml.safe_dump(defaults | shared))
        configuration = tmp_path / "ansible.cfg"
        configuration.write_text("[defaults]\nstdout_callback = ansible.posix.json\n")
        inventory = {"all": {"vars": shared, "children": children}}
        said = run_playbook(tmp_path, play, inventory, ANSIBLE_CONFIG=str(configuration))
        (task,) = json.loads(said)["plays"][0]["tasks"]
        return {host: result["msg"] for host, result in task["hosts"].items()}

    return of


def found(seen: Seen) -> str:
    return "; ".join(" ".join(finding) for finding in seen["ctl1"]["findings"])


def test_ceph_alone_makes_a_cluster(look: Look) -> None:
    for host in look([CEPH]).values():
        assert (host["cluster"], host["enabled"], host["findings"]) == ("lifeboat", "ceph", [])
        assert host["coordination"].startswith("mysql://")
        assert host["sections"]["ceph"]["backend_host"] is None
        assert "cinder-volume.service" in host["units"]


def test_a_volume_group_elsewhere_leaves_the_cluster_whole(look: Look) -> None:
    seen = look([CEPH, LVM], {"vol1": GROUP})
    for name in CONTROLLERS:
        assert (seen[name]["cluster"], seen[name]["enabled"]) == ("lifeboat", "ceph")
        assert list(seen[name]["sections"]) == ["ceph"]
    alone = seen["vol1"]
    assert (alone["cluster"], alone["coordination"], alone["enabled"], alone["ceph"]) == ("", None, "lvm", False)
    section = alone["sections"]["lvm"]
    assert section["target_ip_address"] == "10.0.2.1" and section["use_chap_auth"] is True
    assert "backend_host" not in section
    assert not found(seen)
    assert alone["types"] == ["ceph", "lvm"]


def test_a_volume_group_on_a_member_ends_the_cluster(look: Look) -> None:
    seen = look([CEPH, LVM], {"ctl1": GROUP})
    assert (seen["ctl1"]["enabled"], seen["ctl2"]["enabled"]) == ("ceph,lvm", "ceph")
    for host in seen.values():
        assert host["cluster"] == ""
        # Ceph's volumes belong to no single host then either.
        assert host["sections"]["ceph"]["backend_host"] == "lifeboat"
    assert not found(seen)
    assert "rbd alone in a cluster" in found(look([CEPH, LVM], {"ctl1": GROUP}, cinder_cluster="own"))


def test_nfs_has_its_shares_in_a_file(look: Look) -> None:
    host = look([FILES])["ctl2"]
    section = host["sections"]["files"]
    assert host["files"] == {"/etc/cinder/nfs_shares_files": "10.0.2.21:/srv/a\n10.0.2.22:/srv/a\n"}
    assert section["nfs_shares_config"] == "/etc/cinder/nfs_shares_files"
    assert section["nas_secure_file_operations"] == "true"
    assert (host["cluster"], section["backend_host"]) == ("", "lifeboat")


def test_hosts_that_serve_nothing_run_no_volume_service(look: Look) -> None:
    seen = look([LVM], {"vol1": GROUP})
    assert seen["ctl1"]["enabled"] == "" and "cinder-volume.service" not in seen["ctl1"]["units"]
    assert not found(seen)


def test_back_ends_that_nobody_can_serve_are_refused(look: Look) -> None:
    backends = [
        LVM,
        LVM | {"name": "fast", "options": {"volume_group": "fast"}},
        LVM | {"name": "away", "group": "cinder"},
        CEPH | {"group": "nobody"},
        {"name": "files", "kind": "nfs"},
        {"name": "archive", "kind": "tape"},
    ]
    said = found(look(backends, {"vol1": GROUP, "vol2": {}}, shown=["findings"]))
    for words in (
        "back end lvm vol2 without the volume group cinder-volumes",
        "back end fast vol1 without the volume group fast",
        "back end away ctl1 without the volume group cinder-volumes",
        "back end ceph no host that serves it",
        "back end files no shares",
        "nfs, tape only rbd, nfs, lvm",
    ):
        assert words in said, words
    assert "back end lvm vol1" not in said
    assert "back end lvm no host that serves it" in found(look([LVM], shown=["findings"]))
