# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entities: rights compared by their meaning, keys that show nowhere, keyring files that are private and stay."""

from __future__ import annotations

import json
import os
import pwd
import stat
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_caps import same_caps
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_auth
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner
from hypothesis import given
from hypothesis import strategies as st

CAPS = {"mon": "profile rbd", "osd": "profile rbd pool=images, profile rbd-read-only pool=vms"}
GLANCE = {"entity": "client.glance", "caps": CAPS}


@pytest.fixture
def cluster() -> RecordedCluster:
    return RecordedCluster()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cluster: RecordedCluster) -> Run:
    return runner(monkeypatch, ceph_auth.main, cluster)


def key_of(cluster: RecordedCluster, entity: str) -> str:
    return next(each["key"] for each in cluster.answers["entities"] if each["entity"] == entity)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("allow r", " allow  r "),
        ("allow rw", "allow r, allow w"),
        ("allow *", "allow all"),
        ("allow *", "allow rwx, allow *"),
        ("allow r, allow command foo", "allow command=foo;allow r"),
        ("profile rbd pool=vms", "allow profile rbd pool vms"),
        ("profile rbd pool=vms", "profile=rbd pool='vms'"),
        ("allow rwx pool=a namespace=b", "allow pool a namespace b rwx"),
        ('allow command "auth get" with entity="client.a"', "allow command 'auth get' with entity = client.a"),
        ("allow rw tag cephfs data=x", "allow rw tag cephfs data = x"),
        ("allow r network 10.0.0.0/8", 'allow r network "10.0.0.0/8"'),
        (
            "allow class-read object_prefix rbd_children, allow r",
            "allow r, allow class-read object_prefix rbd_children",
        ),
        ("", " "),
    ],
)
def test_two_ways_to_write_one_right(one: str, other: str) -> None:
    assert same_caps({"osd": one, "mon": ""}, {"osd": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("allow r", "allow rw"),
        ("allow r", ""),
        ("allow rw pool=a", "allow rw pool=b"),
        ("allow rw pool=a", "allow rw"),
        ("allow r pool=w", "allow rw pool=w, allow w"),
        ("allow pool r r", "allow pool r rw"),
        ("allow *", "allow rwx"),
        ("profile rbd", "profile rbd-read-only"),
        ("allow rw pool=a, allow r pool=b", "allow r pool=a, allow rw pool=b"),
        ('allow r pool="a,b"', "allow r pool=a, allow r pool=b"),
        ("allow command foo with x=r", "allow command foo with x=w"),
        ("allow command foo with x prefix r", "allow command foo with r prefix x"),
        ("allow class foo x", "allow class foo, allow x"),
    ],
)
def test_two_rights_that_look_alike(one: str, other: str) -> None:
    assert not same_caps({"osd": one}, {"osd": other})


GRANTS = st.lists(
    st.tuples(
        st.sampled_from(["", " pool=a", " pool=b", " pool=b namespace=r"]), st.sampled_from(["r", "w", "rw", "*"])
    ),
    min_size=1,
    max_size=4,
)


@given(GRANTS, st.data())
def test_the_order_of_grants_and_their_parts_says_nothing(grants: list[tuple[str, str]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(grants))
    one = ",".join(f"allow {rights}{limit}" for limit, rights in grants)
    other = " ; ".join(f"allow{limit} {rights}" for limit, rights in shuffled)
    assert same_caps({"osd": one}, {"osd": other})


def test_an_entity_is_made_once_and_its_key_is_shown_nowhere(run: Run, cluster: RecordedCluster) -> None:
    would = run(check=True, **GLANCE)
    assert cluster.changes == []
    did = run(**GLANCE)
    assert did == would
    assert did["actions"] == ["create client.glance"]
    assert run(**GLANCE)["changed"] is False
    assert len(cluster.changes) == 1
    for result in (did, run(**GLANCE)):
        assert key_of(cluster, "client.glance") not in json.dumps(result)


def test_the_key_is_returned_when_asked_for(run: Run, cluster: RecordedCluster) -> None:
    assert run(check=True, return_key=True, **GLANCE)["key"] == ""
    made = run(return_key=True, **GLANCE)
    assert made["key"] == key_of(cluster, "client.glance") != ""
    assert made["key"] not in json.dumps(made["diff"])
    assert run(return_key=True, **GLANCE)["key"] == made["key"]


def test_rights_are_changed_whole_and_the_key_stays(run: Run, cluster: RecordedCluster) -> None:
    run(**GLANCE)
    key = key_of(cluster, "client.glance")
    changed = run(entity="client.glance", caps={"mon": "profile rbd"})
    assert changed["actions"] == ["change caps of client.glance"]
    assert changed["diff"]["after"] == {"client.glance": "mon: profile rbd"}
    assert cluster.changes[-1] == {"prefix": "auth caps", "entity": "client.glance", "caps": ["mon", "profile rbd"]}
    assert key_of(cluster, "client.glance") == key
    assert run(entity="client.glance", caps={"mon": "allow profile rbd", "osd": ""})["changed"] is False


def test_the_keyring_file_is_private_and_written_only_when_it_differs(
    run: Run, cluster: RecordedCluster, tmp_path: Path
) -> None:
    path = tmp_path / "ceph.client.glance.keyring"
    owner = pwd.getpwuid(os.geteuid()).pw_name
    would = run(check=True, path=str(path), owner=owner, **GLANCE)
    assert not path.exists()
    assert run(path=str(path), owner=owner, **GLANCE) == would
    assert would["actions"][-1] == f"write keyring {path}"
    assert path.read_text() == f"[client.glance]\n\tkey = {key_of(cluster, 'client.glance')}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    inode = path.stat().st_ino
    assert run(path=str(path), owner=owner, **GLANCE)["changed"] is False
    assert path.stat().st_ino == inode
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("fault", ["mode", "key", "entity gone", "empty"])
def test_a_keyring_file_tampered_with_is_mended(run: Run, cluster: RecordedCluster, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "keyring"
    run(path=str(path), **GLANCE)
    right = path.read_text()
    key = key_of(cluster, "client.glance")
    wrong = {"key": right.replace(key, "AQAother"), "entity gone": f"key = {key}\n", "empty": ""}
    path.write_text(wrong.get(fault, right))
    if fault == "mode":
        path.chmod(0o644)
    result = run(path=str(path), **GLANCE)
    assert result["actions"] == [f"write keyring {path}"]
    assert "AQA" not in json.dumps(result)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (right, 0o600)


def test_a_keyring_file_with_the_rights_in_it_is_as_good(run: Run, cluster: RecordedCluster, tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    run(path=str(path), **GLANCE)
    path.write_text(path.read_text() + '\tcaps mon = "profile rbd"\n')
    assert run(path=str(path), **GLANCE)["changed"] is False


def test_a_file_with_other_keys_is_refused_before_anything_is_made(
    run: Run, cluster: RecordedCluster, tmp_path: Path
) -> None:
    path = tmp_path / "keyring"
    path.write_text("[client.admin]\n\tkey = AQAadmin\n")
    for state in ("present", "absent"):
        failed = run(path=str(path), state=state, **GLANCE)
        assert failed["found"] == "keys of client.admin"
    assert cluster.changes == [] and path.exists()


def test_a_directory_that_is_missing_is_made(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "ceph-stor1" / "keyring"
    assert run(path=str(path), **GLANCE)["changed"]
    assert run(path=str(path), **GLANCE)["changed"] is False


def test_a_user_that_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    assert run(check=True, path=str(path), owner="nobody-here", **GLANCE)["changed"]
    failed = run(path=str(path), owner="nobody-here", **GLANCE)
    assert "nobody-here" in failed["found"]
    assert list(tmp_path.iterdir()) == []


def test_an_entity_goes_with_its_file(run: Run, cluster: RecordedCluster, tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    run(path=str(path), **GLANCE)
    gone = {"entity": "client.glance", "state": "absent", "path": str(path)}
    would = run(check=True, **gone)
    assert path.exists()
    assert run(**gone) == would
    assert would["actions"] == ["remove client.glance", f"remove keyring {path}"]
    assert not path.exists()
    assert run(**gone)["changed"] is False


@pytest.mark.parametrize(
    ("options", "thing"),
    [
        ({"entity": "glance", "caps": {}}, "Ceph entity"),
        ({"entity": "client.a b", "caps": {}}, "Ceph entity"),
        ({"entity": "client.a", "caps": {"mom": "allow r"}}, "caps of client.a"),
        ({"entity": "client.admin", "state": "absent"}, "client.admin"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, cluster: RecordedCluster, options: dict[str, object], thing: str
) -> None:
    failed = run(**options)
    assert failed["failed"] and failed["thing"] == thing
    assert cluster.changes == []
