# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source that an import has shut down: given back where no server replaces it, and what is said where it is not."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination
from ansible_collections.lifeboat.cloud.tests.unit.import_role import Ran, run
from ansible_collections.lifeboat.cloud.tests.unit.import_samples import machine, planned

if t.TYPE_CHECKING:
    from pathlib import Path

Tasks = list[dict[str, t.Any]]
BEGAN = "2026-07-01T06-30-00Z"
START = "virsh -c test:///lab start web1 on web-host"
READ = machine("vda")
PLAN = planned(READ)


def fails(words: str) -> Tasks:
    return [{"name": "Fail", "ansible.builtin.fail": {"msg": words}}]


def sets(**facts: t.Any) -> Tasks:
    return [{"ansible.builtin.set_fact": facts}]


IMAGE_FAILS = {"image": fails("no room")}
SERVER_REFUSED = {
    "image": sets(_uploaded=True),
    "server": sets(_machine_import_server={"thing": "server web1", "made": ["volume web1-data"]}) + fails("no room"),
}
SILENT = {
    "image": sets(_uploaded=True),
    "server": sets(_machine_import_server={"address": "192.0.2.7"}),
    "answer": fails("no answer"),
}
REMOVED = {"remove": sets(_removed=True)}


def made(tmp_path: Path, files: dict[str, Tasks], domain: dict[str, t.Any] | None = None, **given: object) -> Ran:
    """Have the source shut down and replaced, where something fails."""
    return run(
        tmp_path,
        "make",
        files=REMOVED | files,
        finds="{'removed': _removed | default(false), 'off': _machine_import_off}",
        domain=domain,
        **{
            "machine_import_source": "/srv/web1.xml",
            "machine_import_warm": True,
            "machine_import_source_uri": "test:///lab",
            "machine_import_report_directory": str(tmp_path / "receipts"),
            "_machine_import_read": READ,
            "_machine_import_plan": PLAN,
            "_machine_import_domain": {"domains": [{"name": "web1", "state": "running"}]},
            "_machine_import_began": BEGAN,
            "_machine_import_steps": [],
            "_machine_import_converted": "",
            "_machine_import_told": {"rounds": [], "predicted": None},
            **given,
        },
    )


def receipt(tmp_path: Path) -> dict[str, t.Any]:
    told: dict[str, t.Any] = json.loads((tmp_path / "receipts" / f"{BEGAN}.json").read_text(encoding="utf-8"))
    return told


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("files", [IMAGE_FAILS, SERVER_REFUSED], ids=["no image", "volumes only"])
def test_the_source_runs_again_when_no_server_was_begun(tmp_path: Path, files: dict[str, Tasks], keep: bool) -> None:
    ran = made(tmp_path, files, machine_import_keep=keep)
    assert "Fail: no room The source runs again." in ran.failure
    assert (ran.domain["starts"], ran.domain["off"], ran.found["removed"]) == (1, False, True)
    assert receipt(tmp_path)["failure"] == ran.failure.partition(" Receipt: ")[0]


def test_it_runs_again_when_its_server_does_not_answer_and_is_gone(tmp_path: Path) -> None:
    ran = made(tmp_path, SILENT)
    assert (ran.domain["starts"], ran.found["removed"]) == (1, True)


@pytest.mark.parametrize(
    ("files", "given"),
    [(SILENT, {"machine_import_keep": True}), (SILENT | {"remove": fails("conflict")}, {})],
    ids=["kept", "left"],
)
def test_it_stays_off_beside_a_server_and_how_to_start_it_is_said(
    tmp_path: Path, files: dict[str, Tasks], given: dict[str, object]
) -> None:
    ran = made(tmp_path, files, **given)
    assert (ran.domain["starts"], ran.domain["off"], ran.found["removed"]) == (0, True, False)
    stays = "The source stays off, since server web1 may run and not both must. Start it once that server is gone:"
    assert f"{stays} {START}." in ran.failure
    assert ran.found["off"]["by"].startswith("libvirt") and receipt(tmp_path)["answered"] is False


def test_a_source_that_does_not_start_again_is_told_beside_what_failed_before(tmp_path: Path) -> None:
    ran = made(tmp_path, IMAGE_FAILS, {"broken": True})
    assert ran.failure.startswith("Fail: no room The source may be off: Start the source again: domain web1: found")
    assert f"See whether it runs, and else start it, {START}." in ran.failure
    told = receipt(tmp_path)
    assert told["failure"] in ran.failure and told["warm"]["stopped"]


def test_a_source_that_was_off_before_is_left_off_and_that_is_said(tmp_path: Path) -> None:
    """As when the run before was killed after it had it shut down."""
    before = {"_machine_import_domain": {"domains": [{"name": "web1", "state": "shut_off"}]}}
    stopped = {"stop": sets(_machine_import_off={"since": 1.0, "by": "the last change of its disks"})}
    ran = made(tmp_path, IMAGE_FAILS | stopped, {"off": True}, **before)
    assert (
        f"The source was off before this run and is so now. Run this again to go on, or start it again: {START}."
        in (ran.failure)
    )
    assert (ran.domain["starts"], ran.found["removed"]) == (0, True)


def test_whole_copies_of_a_machine_that_runs_again_are_of_an_earlier_state(tmp_path: Path) -> None:
    """A run that was killed while it uploaded has left them, and they would be refused as finished."""
    staging = staging_of(tmp_path)
    copied_into(staging / "web1.raw")
    given = {"machine_import_staging_directory": str(staging), "_machine_import_plan": PLAN}
    ran = run(tmp_path, "warm", files={"round": fails("enough")}, **given)
    assert ran.failure == "enough" and [each.name for each in staging.iterdir()] == ["other.raw"]


@pytest.mark.parametrize("tasks", ["warm", "image", "tidy"])
def test_a_source_in_the_place_of_the_copies_is_left_alone(tmp_path: Path, tasks: str) -> None:
    """It may be called as its own copy would be."""
    staging = staging_of(tmp_path)
    (staging / "web1.raw").write_bytes(b"the machine")
    ran = run(
        tmp_path,
        tasks,
        files={"round": fails("enough")},
        machine_import_staging_directory=str(staging),
        machine_import_source=str(staging / "web1.raw"),
        _machine_import_converted="",
        _machine_import_plan=PLAN,
        _machine_import_disk=PLAN["disks"][0],
    )
    assert bool(ran.failure) == (tasks != "tidy")
    assert (staging / "web1.raw").read_bytes() == b"the machine"


def staging_of(tmp_path: Path) -> Path:
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / "other.raw").touch()
    return staging


def copied_into(path: Path) -> None:
    destination = FileDestination(str(path))
    with destination.open_partial(1):
        pass
    destination.publish({})


def test_check_mode_fails_where_the_server_that_is_there_is_refused(tmp_path: Path) -> None:
    given = {"machine_import_report_directory": str(tmp_path / "receipts"), "_machine_import_plan": PLAN}
    ran = run(tmp_path, "see", "--check", files={"server": fails("in ERROR")}, **given)
    assert ran.failure.startswith("Fail: in ERROR An earlier run has made the server.")
    assert not (tmp_path / "receipts").exists()


def test_a_guest_that_goes_off_late_is_started_again(tmp_path: Path) -> None:
    ran = made(tmp_path, {}, {"guest": "late"}, machine_import_source_shutdown_timeout=1)
    assert "1 s after it was asked to shut down" in ran.failure
    assert "The source runs again." in ran.failure
    assert (ran.domain["starts"], ran.domain["off"]) == (1, False)


def test_of_a_guest_that_still_runs_it_is_said_that_it_may_go_off(tmp_path: Path) -> None:
    ran = made(tmp_path, {}, {"guest": "deaf"}, machine_import_source_shutdown_timeout=1)
    assert "runs again" not in ran.failure
    assert f"may still go off. Watch it, and start it again if it does, {START}." in ran.failure
    assert (ran.domain["starts"], ran.found["off"]) == (0, {})
    assert receipt(tmp_path)["warm"]["offline_seconds"] is None
