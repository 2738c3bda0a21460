# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository of keys: read, made, rotated without a gap, private, and never damaged by a damaged key."""

from __future__ import annotations

import base64
import json
import os
import pwd
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import key_repository
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

Keys = dict[str, str]
A, B, C, D, E = (base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in range(5))
MADE = {"0": A, "1": B, "2": C}
# As keystone-manage rotates: the key that was 0 signs from now on, and a new one waits.
ROTATED = {"0": D, "1": B, "2": C, "3": A}


def run(path: Path, keys: object = None, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    given = {} if keys is None else {"keys": keys}
    return run_module(key_repository.main, check, path=str(path), **given, **options)


def contents(path: Path) -> Keys:
    return {file.name: file.read_text() for file in path.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One that holds MADE."""
    path = tmp_path / "fernet-keys"
    run(path, MADE)
    return path


def test_an_absent_repository_has_no_keys_and_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "keystone" / "fernet-keys"
    assert run(path)["found_keys"] == {}
    assert not path.parent.exists()
    old_umask = os.umask(0)
    try:
        assert run(path, MADE)["changed"]
    finally:
        os.umask(old_umask)
    assert contents(path) == MADE
    assert mode(path) == 0o700
    assert {mode(file) for file in path.iterdir()} == {0o600}


def test_a_key_is_private_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append(mode(Path(old))), rename(old, new)))
    run(tmp_path / "keys", MADE)
    assert seen == [0o600] * 3


def test_what_one_member_returns_makes_another_the_same(repository: Path, tmp_path: Path) -> None:
    (repository / "3.tmp").write_text(D)
    first_member = run(repository)
    assert (first_member["changed"], first_member["found_keys"]) == (False, MADE)
    assert run(tmp_path / "second", first_member["found_keys"])["changed"]
    assert run(tmp_path / "second")["found_keys"] == MADE
    assert run(repository, first_member["found_keys"])["changed"] is False


def test_a_second_run_writes_nothing(repository: Path) -> None:
    before = {file.name: file.stat().st_ino for file in repository.iterdir()}
    assert run(repository, MADE)["changed"] is False
    assert {file.name: file.stat().st_ino for file in repository.iterdir()} == before


@pytest.mark.parametrize(
    "after",
    [
        ROTATED,
        {"0": D, "2": C, "3": A},
        {"0": E, "2": C, "3": A, "4": D},
        {str(n): key for n, key in enumerate([D, A])},
    ],
    ids=["rotated", "oldest dropped", "rotated twice", "made anew"],
)
def test_no_key_that_stays_is_missing_at_any_moment(
    repository: Path, after: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays = {*MADE.values()} & {*after.values()}
    gaps = []

    def watched(act: t.Callable[..., None]) -> t.Callable[..., None]:
        def acting(*arguments: t.Any, **options: t.Any) -> None:
            act(*arguments, **options)
            gaps.extend(stays - {file.read_text() for file in repository.glob("[0-9]*")})

        return acting

    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
    result = run(repository, after)
    assert result["changed"]
    assert (result["diff"]["before"], result["diff"]["after"]) == ("0\n1\n2\n", "\n".join(sorted(after)) + "\n")
    assert contents(repository) == after
    assert gaps == []


@pytest.mark.parametrize("wanted", [MADE, ROTATED, {"0": D}])
def test_check_mode_says_what_a_run_would_and_changes_nothing(repository: Path, wanted: Keys) -> None:
    would = run(repository, wanted, check=True)
    assert contents(repository) == MADE
    did = run(repository, wanted)
    assert (would["changed"], would["diff"]) == (did["changed"], did["diff"])


def test_check_mode_makes_no_directory(tmp_path: Path) -> None:
    assert run(tmp_path / "keys", MADE, check=True, owner="not-yet-made", group="not-yet-made")["changed"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "1"])
def test_open_access_is_noticed_and_mended_though_the_keys_are_right(repository: Path, name: str) -> None:
    (repository / name).chmod(0o755)
    assert run(repository, MADE, check=True)["changed"] and mode(repository / name) == 0o755
    assert run(repository, MADE)["changed"]
    assert mode(repository / name) == (0o600 if name else 0o700)
    assert run(repository, MADE)["changed"] is False


def test_a_repository_behind_a_link_is_as_good(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository)
    assert run(tmp_path / "link", MADE, check=True)["changed"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_keys_of_another_owner_are_noticed_and_given_back(repository: Path) -> None:
    options = {"owner": pwd.getpwuid(0).pw_name, "group": repository.group()}
    os.chown(repository / "2", 65534, -1)
    assert run(repository, MADE, check=True, **options)["changed"] and (repository / "2").stat().st_uid == 65534
    assert run(repository, MADE, **options)["changed"]
    assert (repository / "2").stat().st_uid == 0


def test_new_keys_belong_to_the_owner_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(key_repository.shutil, "chown", lambda path, *owner: given.append(Path(path).name[:4]))
    owner, group = tmp_path.owner(), tmp_path.group()
    run(tmp_path / "keys", {"0": A}, owner=owner, group=group)
    assert given == ["keys", ".key"]


DAMAGED = {
    "empty": "",
    "short": A[:20],
    "unpadded": A[:43],
    "not ASCII": "\N{SNOWMAN}" * 44,
    "two": f"{A}\n{A}",
    "odd space": f"{A}\N{EM SPACE}",
    "number": 170_000_017,
    "null": None,
    "nested": {"key": A},
}


@pytest.mark.parametrize("key", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_key_is_not_handed_on(repository: Path, key: object) -> None:
    refused = run(repository, {**MADE, "1": key})
    assert refused["failed"]
    assert (refused["thing"], refused["found"]) == (f"keys for {repository}", "no key in 1")
    assert "another member" in refused["remedy"]
    assert contents(repository) == MADE


@pytest.mark.parametrize(
    "key", [b"", A.encode()[:43], b"\x00" * 44, b"\xff\xfe"], ids=["empty", "short", "zeros", "not ASCII"]
)
def test_a_damaged_repository_is_not_read_and_can_be_replaced(repository: Path, key: bytes) -> None:
    (repository / "2").write_bytes(key)
    refused = run(repository)
    assert (refused["found"], refused["thing"]) == ("no key in 2", f"key repository {repository}")
    assert not {A, B, C} & {*json.dumps(refused).split('"')}
    assert run(repository, MADE)["changed"]
    assert contents(repository) == MADE


@pytest.mark.parametrize(
    ("keys", "found"), [({}, "no key at all"), ({"a": A, "\N{SUPERSCRIPT TWO}": B, "0": C}, "a, ²")]
)
def test_names_that_keystone_does_not_know_are_refused(repository: Path, keys: Keys, found: str) -> None:
    refused = run(repository, keys)
    assert found in refused["found"]
    assert "another member" in refused["remedy"]
    assert contents(repository) == MADE


def test_no_key_is_shown_when_keys_are_distributed(repository: Path) -> None:
    shown = json.dumps(run(repository, ROTATED)) + json.dumps(run(repository, {**MADE, "odd": D}))
    assert not [key for key in (A, B, C, D) if key in shown]


def test_an_interrupted_run_leaves_no_key_behind_and_says_why(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> t.NoReturn:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        failed = run(repository, ROTATED)
    assert "No space left on device" in failed["found"]
    assert contents(repository) == MADE
    assert run(repository, ROTATED)["changed"]


def test_an_unknown_owner_is_named_and_no_key_is_written(repository: Path) -> None:
    failed = run(repository, ROTATED, owner="no-such-user", group="no-such-group")
    assert "no-such-user" in failed["found"] and "owner" in failed["remedy"]
    assert contents(repository) == MADE


@pytest.mark.parametrize("place", ["file", "0"])
def test_a_place_that_cannot_hold_keys_is_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "keys"
    if place == "file":
        path.touch()
    else:
        (path / "0").mkdir(parents=True)
    failed = run(path, MADE)
    assert failed["thing"] == f"key repository {path}" and str(path) in failed["found"]
    assert "Correct path" in failed["remedy"]
