# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role migration asks the hypervisors of the inventory, and goes on without those that do not answer."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.migration_role import BUSY, REFUSED, role, run
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, cold, receipt, step

if t.TYPE_CHECKING:
    from pathlib import Path


def measured(tmp_path: Path, *options: str, measures: str = "1", group: str = "hypervisor") -> tuple[t.Any, str]:
    """How fast guests write, as the role has found out, and what was said."""
    return run(
        tmp_path,
        # Its variables are there whether it is asked or not.
        [{"ansible.builtin.import_role": role("measure"), "when": "_migration_measures"}],
        "{'measures': _migration_measures, 'rates': _migration_dirty_rates}",
        *options,
        group=group,
        migration_goal="drain",
        migration_drain=["cmp1", "cmp2", "cmp3", "of another cloud"],
        migration_measure=measures,
    )


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["run", "check"])
def test_who_answers_is_measured_and_who_does_not_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    seen, said = measured(tmp_path, *options)
    assert seen == {"measures": True, "rates": {BUSY: 40 * 2**20}}
    assert "cmp2: its guests were not measured:" in said and "cmp3: its guests were not measured:" in said
    assert f"server {REFUSED}: not measured: it is measured already" in said
    assert "cmp1: its guests" not in said and "cmp4" not in said


@pytest.mark.parametrize(("measures", "group"), [("0", "hypervisor"), ("1", "computes")], ids=["off", "no group"])
def test_nobody_is_asked(tmp_path: Path, measures: str, group: str) -> None:
    seen, said = measured(tmp_path, measures=measures, group=group)
    assert seen == {"measures": False, "rates": {}} and "not measured" not in said


def counted(tmp_path: Path, *receipts: dict[str, t.Any]) -> tuple[t.Any, str]:
    """Of each server the downtime in its receipt, as the role writes it, and what was said."""
    lines = [
        json.dumps({"asked": each["began"], "step": each["planned"]}) + "\n" + json.dumps(each) for each in receipts
    ]
    (tmp_path / f"{RUN}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    journal = str(tmp_path / f"{RUN}.jsonl")
    tasks = [{"ansible.builtin.import_role": role("counted")}]
    written, said = run(tmp_path, tasks, "_migration_receipts", _migration_journal=journal)
    return {each["name"]: each["transferred"].get("downtime_ms") for each in written}, said


def moved(name: str, destination: str, server: str = "", **values: t.Any) -> dict[str, t.Any]:
    return receipt(planned=step(name, destination=destination) | {"server": server or f"id-{name}"}, **values)


def test_who_has_counted_is_asked_where_servers_are_now(tmp_path: Path) -> None:
    seen, said = counted(
        tmp_path,
        moved("came", "cmp1", BUSY),
        moved("mute", "cmp1", REFUSED),
        moved("gone", "cmp1", "3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a9"),
        moved("lost", "cmp2"),
        moved("broken", "cmp3"),
        moved("elsewhere", "of another cloud"),
        moved("stayed", "cmp1", moved=False, found="no route"),
        cold("stopped", 0),
    )
    assert seen == {"came": 223} | dict.fromkeys(
        ("mute", "gone", "lost", "broken", "elsewhere", "stayed", "stopped"), None
    )
    assert "server mute: how long it stood still is not known: libvirt knows of no job of it that has" in said
    assert "server gone: how long it stood still is not known: no such domain at qemu:///system" in said
    assert "server lost: how long it stood still is not known:" in said
    assert "server broken: how long it stood still is not known:" in said
    for other in ("came", "elsewhere", "stayed", "stopped"):
        assert f"server {other}:" not in said


def test_what_is_of_another_migration_is_named(tmp_path: Path) -> None:
    # libvirt was about it for 4 s.
    seen, said = counted(tmp_path, moved("came", "cmp1", BUSY, seconds=2.5))
    assert seen == {"came": None} and "server came: how long it stood still is not known: what libvirt knows" in said
