# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets file: made once, private from its first moment, never rewritten, and its values never returned."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import stat
import struct
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils import _secrets
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._secrets import SecretKind, converge, secret_kinds
from ansible_collections.lifeboat.cloud.plugins.modules import secrets_file
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

WANTED = {"keystone_password": SecretKind(), "cluster_key": SecretKind("hex", 64), "fernet_key": SecretKind("fernet")}


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def text_of(path):
    return Path(path).read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "secrets.yml")


def test_a_first_run_makes_a_private_file_with_all_names(path):
    outcome = converge(path, WANTED, [], check=False)
    assert outcome.changed and list(outcome.added) == list(WANTED)
    assert mode_of(path) == 0o600 and mode_of(os.path.dirname(path)) == 0o700
    values = yaml.safe_load(text_of(path))
    assert len(values["keystone_password"]) == 32 and values["keystone_password"].isalnum()
    assert len(values["cluster_key"]) == 64 and int(values["cluster_key"], 16) >= 0
    assert len(base64.urlsafe_b64decode(values["fernet_key"])) == 32
    assert os.listdir(os.path.dirname(path)) == ["secrets.yml"]


def test_the_file_is_private_from_its_first_moment(path, monkeypatch):
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append(mode_of(old)), replace(old, new)))
    old_umask = os.umask(0)
    try:
        converge(path, WANTED, [], check=False)
    finally:
        os.umask(old_umask)
    assert seen == [0o600]


def test_a_second_run_changes_nothing(path):
    converge(path, WANTED, [], check=False)
    before = (text_of(path), os.stat(path).st_ino)
    outcome = converge(path, WANTED, [], check=False)
    assert not outcome.changed and outcome.added == []
    assert (text_of(path), os.stat(path).st_ino) == before


def test_a_missing_name_is_appended_and_the_rest_kept_to_the_letter(path):
    os.mkdir(os.path.dirname(path))
    text = "# mine\nkeystone_password:   'chosen by hand'  # why\nother: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162"
    with open(path, "w") as file:
        file.write(text)
    outcome = converge(path, WANTED | {"other": SecretKind()}, [], check=False)
    assert list(outcome.added) == ["cluster_key", "fernet_key"]
    assert text_of(path).startswith(text + "\n")
    assert mode_of(path) == 0o600
    assert _secrets.read(path).names == {"keystone_password", "other", "cluster_key", "fernet_key"}


def test_a_mode_too_open_is_mended_without_touching_the_text(path):
    converge(path, WANTED, [], check=False)
    text = text_of(path)
    os.chmod(path, 0o644)
    assert converge(path, WANTED, [], check=True).changed and mode_of(path) == 0o644
    assert converge(path, WANTED, [], check=False).changed and mode_of(path) == 0o600
    assert text_of(path) == text


def test_check_mode_makes_nothing(path):
    outcome = converge(path, WANTED, [], check=True)
    assert outcome.changed and list(outcome.added) == list(WANTED)
    assert not os.path.exists(os.path.dirname(path))


def test_nothing_wanted_makes_nothing(path):
    assert not converge(path, {}, [], check=False).changed
    assert not os.path.exists(os.path.dirname(path))


def test_a_link_stays_a_link(path, tmp_path):
    target = tmp_path / "elsewhere" / "real.yml"
    os.mkdir(os.path.dirname(path))
    os.symlink(target, path)
    converge(path, WANTED, [], check=False)
    assert os.path.islink(path) and set(yaml.safe_load(target.read_text())) == set(WANTED)


def encrypted(path):
    os.mkdir(os.path.dirname(path))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("$ANSIBLE_VAULT;1.1;AES256\n6162\n")


def test_an_encrypted_file_is_judged_by_the_variables_of_the_play(path):
    encrypted(path)
    outcome = converge(path, WANTED, [*WANTED, "more"], check=False)
    assert outcome.encrypted and not outcome.changed


@pytest.mark.parametrize("check", [True, False])
def test_an_encrypted_file_that_lacks_a_name_is_refused_with_the_remedy(path, check):
    encrypted(path)
    with pytest.raises(LifeboatError) as refusal:
        converge(path, WANTED, ["keystone_password"], check=check)
    assert "cluster_key, fernet_key" in refusal.value.found
    assert f"ansible-vault edit {path}" in refusal.value.remedy
    assert text_of(path) == "$ANSIBLE_VAULT;1.1;AES256\n6162\n"


def test_known_variables_do_not_stand_for_names_of_a_readable_file(path):
    assert list(converge(path, WANTED, list(WANTED), check=False).added) == list(WANTED)


@pytest.mark.parametrize(
    "text",
    ["- a list\n", "plain: [\n  secret123\n", "keystone_password:\n", "keystone_password: ''\n", "{a: hidden123}\n"],
)
def test_a_file_that_cannot_be_kept_as_it_is_is_refused_and_shows_no_value(path, text):
    os.mkdir(os.path.dirname(path))
    with open(path, "w") as file:
        file.write(text)
    with pytest.raises(LifeboatError) as refusal:
        converge(path, WANTED, [], check=False)
    assert "123" not in str(refusal.value)
    assert text_of(path) == text
    assert os.listdir(os.path.dirname(path)) == ["secrets.yml"]


def test_a_failed_write_leaves_the_old_file_alone(path, monkeypatch):
    converge(path, WANTED, [], check=False)
    text = text_of(path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LifeboatError, match="No space left on device"):
        converge(path, WANTED | {"one_more": SecretKind()}, [], check=False)
    assert text_of(path) == text
    assert os.listdir(os.path.dirname(path)) == ["secrets.yml"]


def test_a_run_beside_another_waits_and_then_says_for_what(path, monkeypatch):
    monkeypatch.setattr(_secrets, "_LOCK_TIMEOUT_SECONDS", 0.1)
    _secrets.make_directory(path)
    other = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(LifeboatError, match="a lock held by another run"):
            converge(path, WANTED, [], check=False)
    finally:
        os.close(other)
    assert converge(path, WANTED, [], check=False).changed


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"a-b": {}}, "'a-b'"),
        ({"a": "x"}, "'x'"),
        ({"a": {"size": 3}}, "{'size': 3}"),
        ({"a": {"kind": "rsa"}}, "kind 'rsa'"),
        ({"a": {"length": 15}}, "length 15"),
        ({"a": {"length": "many"}}, "length many"),
        ({"a": {"length": True}}, "length True"),
    ],
)
def test_a_secret_that_cannot_be_meant_is_refused(options, found):
    with pytest.raises(LifeboatError) as refusal:
        secret_kinds(options)
    assert refusal.value.found == found


def test_what_is_left_out_has_the_defaults():
    assert secret_kinds({"a": None, "b": {"length": "40"}}) == {
        "a": SecretKind("password", 32),
        "b": SecretKind(length=40),
    }


@given(kind=st.sampled_from(_secrets.KINDS), length=st.integers(16, 1024))
def test_a_secret_has_its_length_and_is_never_made_twice(kind, length):
    secret = SecretKind(kind, length)
    first = secret.generate()
    assert len(first) == {"fernet": 44, "uuid": 36, "cephx": 40}.get(kind, length)
    assert first != secret.generate()


def test_a_key_of_ceph_has_ceph_s_form():
    key = base64.b64decode(SecretKind("cephx").generate())
    kind, made_at, _nanoseconds, length = struct.unpack("<HIIH", key[:12])
    assert (kind, length, len(key)) == (1, 16, 28)
    assert abs(made_at - time.time()) < 60


OPTIONS = {"keystone_password": {}, "cluster_key": {"kind": "hex", "length": 64}, "fernet_key": {"kind": "fernet"}}


def test_the_module_says_in_check_mode_what_it_then_does(path):
    would = run_module(secrets_file.main, check=True, path=path, secrets=OPTIONS)
    assert not os.path.exists(os.path.dirname(path))
    did = run_module(secrets_file.main, path=path, secrets=OPTIONS)
    for result in (would, did):
        assert (result["changed"], result["added"], result["encrypted"]) == (True, list(OPTIONS), False)
        assert result["diff"]["before"] == {"names": [], "mode": "absent"}
        assert result["diff"]["after"] == {"names": sorted(OPTIONS), "mode": "0600"}
    again = run_module(secrets_file.main, path=path, secrets=OPTIONS)
    assert (again["changed"], again["added"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]


def test_the_module_never_returns_a_value(path):
    results = [run_module(secrets_file.main, path=path, secrets=OPTIONS)]
    values = yaml.safe_load(text_of(path)).values()
    results.append(run_module(secrets_file.main, path=path, secrets=OPTIONS | {"more": {}}))
    with open(path, "a") as file:
        file.write("broken: [\n")
    results.append(run_module(secrets_file.main, path=path, secrets=OPTIONS))
    assert [result.get("failed", False) for result in results] == [False, False, True]
    assert len(values) == 3 and not any(value in json.dumps(results) for value in values)


def test_the_module_says_how_an_encrypted_file_gets_a_name(path):
    encrypted(path)
    failed = run_module(secrets_file.main, path=path, secrets=OPTIONS, known=["cluster_key", "fernet_key"])
    assert failed["failed"] and failed["found"] == "no variable keystone_password"
    assert f"ansible-vault edit {path}" in failed["remedy"]
    assert run_module(secrets_file.main, path=path, secrets=OPTIONS, known=list(OPTIONS))["encrypted"]
