# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of a monitor: whole or not there, never that of another cluster, its keys never among arguments."""

from __future__ import annotations

import shutil
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _ceph_monitor
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_monitor
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

KEY = "AQCmadeupkeyofatestAAAAAAAAAAAAAAAAAAA=="
OPTIONS: dict[str, t.Any] = {
    "name": "stor1",
    "fsid": "59ec7030-a38f-4de5-8869-e4b49601033e",
    "monitors": {"stor1": "[v2:10.0.1.1:3300,v1:10.0.1.1:6789]", "stor2": "[v2:10.0.1.2:3300]"},
    "entities": {"mon.": {"key": KEY, "caps": {"mon": "allow *"}}},
}


class Tools:
    """monmaptool and ceph-mon; ``dies`` kills the run while the store is made."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.dies = False

    def output_of(self, arguments: Sequence[str], timeout_s: float) -> str:
        self.calls.append(" ".join(arguments))
        if arguments[0] == "ceph-mon":
            options = dict(zip(arguments[4:], arguments[5:], strict=False))  # noqa: RUF007
            store = Path(options["--mon-data"])
            (store / "store.db").mkdir()
            if self.dies:
                raise KeyboardInterrupt
            (store / "keyring").write_text(Path(options["--keyring"]).read_text())
        else:
            Path(arguments[-1]).write_text("monmap")
        return ""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools()
    monkeypatch.setattr(_ceph_monitor, "output_of", made.output_of)
    monkeypatch.setattr(_ceph_monitor.MonitorStore.__init__, "__defaults__", (tmp_path,))
    monkeypatch.setattr(shutil, "chown", lambda path, user, group: None)
    return made


def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(ceph_monitor.main, check, **{**OPTIONS, **options})


def test_a_store_is_made_once(tools: Tools, tmp_path: Path) -> None:
    would = run(check=True)
    assert would["changed"] and not would["present"] and tools.calls == []
    assert run()["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["ceph-stor1"]
    assert "--addv stor1 [v2:10.0.1.1:3300,v1:10.0.1.1:6789] --addv stor2 [v2:10.0.1.2:3300]" in tools.calls[0]
    again = run()
    assert again["changed"] is False and again["present"] and len(tools.calls) == 2
    assert KEY not in " ".join(tools.calls)


def test_a_run_that_is_killed_leaves_no_store(tools: Tools, tmp_path: Path) -> None:
    tools.dies = True
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "ceph-stor1").exists()
    assert not (tmp_path / "keyring-stor1").exists()
    tools.dies = False
    assert run()["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["ceph-stor1"]


def test_a_store_of_another_cluster_is_refused(tools: Tools) -> None:
    run()
    failed = run(entities={"mon.": {"key": KEY.replace("AQ", "BQ")}})
    assert "another cluster" in failed["found"]
    assert KEY not in failed["msg"]


def test_what_cannot_be_meant_is_refused(tools: Tools) -> None:
    assert "no stor1" in run(monitors={"stor2": "x"})["found"]
    assert "mon. among them" in run(entities={"client.admin": {"key": KEY}})["expected"]
    assert tools.calls == []
