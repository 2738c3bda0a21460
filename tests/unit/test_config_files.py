# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a service: written together or not at all, validated first, and left alone when they are right."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import config_files
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def run(*files: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
    return run_module(config_files.main, check, files=[{**ME, **file} for file in files])


def test_new_files_with_their_directories(tmp_path: Path) -> None:
    first, second = tmp_path / "etc/a/one.conf", tmp_path / "two.conf"
    old_umask = os.umask(0o077)
    try:
        done = run({"path": str(first), "content": "1\n"}, {"path": str(second), "content": "2\n", "mode": "0600"})
    finally:
        os.umask(old_umask)
    assert done["changed_files"] == [str(first), str(second)]
    assert (first.read_text(), second.read_text()) == ("1\n", "2\n")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (first, second, first.parent, first.parent.parent)]
    assert modes == [0o644, 0o600, 0o755, 0o755]
    assert [part["after"] for part in done["diff"]] == ["1\n", "2\n"]


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a"), "content": "ä\n", "mode": "640"}
    assert run(file)["changed"]
    inode = (tmp_path / "a").stat().st_ino
    done = run(file)
    assert (done["changed"], done["changed_files"], done["diff"]) == (False, [], [])
    assert done["paths"] == [file["path"]]
    assert (tmp_path / "a").stat().st_ino == inode


def test_check_mode_tells_and_touches_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("before\n")
    done = run({"path": str(old), "content": "after\n"}, {"path": str(tmp_path / "d/new"), "content": ""}, check=True)
    assert done["changed_files"] == [str(old), str(tmp_path / "d/new")]
    assert (done["diff"][0]["before"], done["diff"][0]["after"]) == ("before\n", "after\n")
    assert old.read_text() == "before\n"
    assert not (tmp_path / "d").exists()


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    same, other = ({"path": str(tmp_path / name), "content": name} for name in "ab")
    run(same, other)
    assert run(same, {**other, "content": "new"})["changed_files"] == [str(tmp_path / "b")]


def test_a_wrong_mode_is_mended_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o644)
    done = run({"path": str(path), "content": "x", "mode": "0600"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "mode 0644" in done["diff"][0]["before"]
    assert "mode 0600" in done["diff"][0]["after"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    run({"path": str(tmp_path / "link"), "content": "new"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_one_invalid_content_keeps_all_files(tmp_path: Path) -> None:
    good = {"path": str(tmp_path / "good"), "content": "listen\n"}
    bad = {"path": str(tmp_path / "bad"), "content": "lissen\n", "validate": "grep -q listen %s"}
    done = run(good, bad)
    assert done["failed"]
    assert done["thing"] == f"file {tmp_path}/bad"
    assert "grep refuses" in done["found"]
    assert list(tmp_path.iterdir()) == []
    assert run(good, {**bad, "content": "listen\n"})["changed"]


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"path": "etc/a"}, "a relative path"),
        ({"mode": "rw-"}, "the mode 'rw-'"),
        ({"mode": "420 "}, "the mode '420 '"),
        ({"mode": "0888"}, "the mode '0888'"),
        ({"validate": "true"}, "the validation 'true'"),
        ({"validate": "/no/such/program %s"}, "No such file"),
        ({"group": "nobody-knows"}, "no group nobody-knows on this host"),
        ({"owner": "nobody-knows"}, "no user nobody-knows on this host"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, wrong: dict[str, str], found: str) -> None:
    done = run({"path": str(tmp_path / "a"), "content": "", **wrong})
    assert done["failed"]
    assert found in done["found"]
    assert list(tmp_path.iterdir()) == []


def test_two_contents_for_one_path_are_refused(tmp_path: Path) -> None:
    file = {"path": str(tmp_path / "a"), "content": ""}
    assert run(file, file)["found"] == "two contents for it"


def test_a_directory_in_the_way_is_refused(tmp_path: Path) -> None:
    assert run({"path": str(tmp_path), "content": ""})["found"] == "a directory"
    (tmp_path / "file").write_text("")
    assert run({"path": str(tmp_path / "file/below"), "content": ""})["failed"]


def test_in_check_mode_a_user_that_a_package_will_bring_is_no_error(tmp_path: Path) -> None:
    assert run({"path": str(tmp_path / "a"), "content": "", "owner": "nobody-knows"}, check=True)["changed"]
