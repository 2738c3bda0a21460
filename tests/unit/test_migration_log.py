# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of nova-compute as they were published with a measured migration, and what was read from them by hand."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_log import entries, migrations
from ansible_collections.lifeboat.cloud.plugins.modules import migration_log_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures" / "migration_log"
SERVER = "6ae5427f-1e23-4421-bcbb-62e23108745f"
START = "2026-01-01 00:00:00.000 1 "


def read(name: str, **options: t.Any) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = run_module(migration_log_info.main, path=str(FIXTURES / name), **options)[
        "migrations"
    ]
    return found


def known(phases: dict[str, float | None]) -> dict[str, float]:
    return {name: seconds for name, seconds in phases.items() if seconds is not None}


def line(second: int, message: str, level: str = "INFO", logger: str = "nova.virt.libvirt.driver") -> str:
    """A line as today's Nova writes it."""
    context = "[None req-93e9e0f4-6a2b-4ed5-8a22-3f3c0a2a2e11 admin admin - - default default]"
    return f"2026-01-01 00:00:{second:02}.000 7 {level} {logger} {context} [instance: {SERVER}] {message}\n"


def test_the_source_of_a_live_migration() -> None:
    [one] = read("live_source.log")
    assert known(one["phases"]) == {"copy_s": 2.189, "pause_s": 0.564, "cleanup_s": 22.385, "total_s": 25.139}
    told = {name: one[name] for name in ("instance", "kind", "side", "destination", "outcome", "processed_bytes")}
    assert told == {
        "instance": SERVER,
        "kind": "live",
        "side": "source",
        "destination": "compute1",
        "outcome": "finished",
        "processed_bytes": 0,
    }
    assert [warning["serious"] for warning in one["warnings"]] == [False, False]
    assert one["warnings"][1]["message"] == "Instance not resizing, skipping migration."


def test_the_destination_of_a_live_migration() -> None:
    [one] = read("live_destination.log")
    assert known(one["phases"]) == {"resume_s": 2.257}
    assert (one["side"], one["source"], one["destination"], one["outcome"]) == (
        "destination",
        "compute2",
        "compute1",
        "finished",
    )


def test_the_source_of_a_cold_migration() -> None:
    [one] = read("cold_source.log")
    assert known(one["phases"]) == {"shutdown_s": 3.0}
    assert (one["kind"], one["side"], one["outcome"]) == ("cold", "source", "finished")
    assert one["instance"] == "8dc3411c-1ca2-448e-bdb3-4090d87d621b"


def test_only_the_servers_that_were_asked_for() -> None:
    assert read("live_source.log", instances=["8dc3411c-1ca2-448e-bdb3-4090d87d621b"]) == []
    assert len(read("live_source.log", instances=[SERVER])) == 1


def test_a_log_of_today_tells_the_preparation_and_the_bytes() -> None:
    log = [
        line(1, "Took 2.50 seconds for pre_live_migration on destination host cmp2.", logger="nova.compute.manager"),
        line(2, "Migration running for 0 secs, memory 100% remaining (bytes processed=0, remaining=0, total=0)"),
        line(
            7, "Migration running for 5 secs, memory 9% remaining (bytes processed=70, remaining=30, total=100); disk"
        ),
        line(8, "VM Paused (Lifecycle Event)"),
        line(9, "Migration operation has completed"),
        line(9, "_post_live_migration() is started.."),
    ]
    [one] = migrations(entries(log))
    assert known(one.phases()) == {"preparation_s": 2.5, "copy_s": 6.0, "pause_s": 1.0}
    assert (one.processed_bytes, one.total_bytes, one.destination, one.outcome) == (70, 100, "cmp2", "unfinished")


def test_a_server_that_is_stopped_or_deleted_has_not_moved() -> None:
    log = [line(1, "Instance shutdown successfully after 3 seconds."), line(2, "Instance destroyed successfully.")]
    assert migrations(entries(log)) == []


def test_a_server_that_is_started_here_has_not_come_from_elsewhere() -> None:
    assert migrations(entries([line(1, "VM Started (Lifecycle Event)"), line(2, "VM Resumed (Lifecycle Event)")])) == []


def test_a_failure_is_told_and_its_error_is_kept_in_full() -> None:
    error = "Live Migration failure: operation aborted: job 'migration out' canceled by client"
    log = [
        line(1, "Migration running for 0 secs, memory 100% remaining (bytes processed=0, remaining=0, total=0)"),
        line(4, error, level="ERROR"),
        line(5, "VM Paused (Lifecycle Event)"),
    ]
    [one] = migrations(entries(log))
    assert one.outcome == "failed"
    assert [(warning.message, warning.serious) for warning in one.warnings] == [(error, True)]
    assert "paused" not in one.marks


def test_what_nova_says_late_of_a_failure_is_no_migration_of_its_own() -> None:
    running = "Migration running for 1 secs, memory 100% remaining (bytes processed=0, remaining=0, total=0)"
    errors = ["Live Migration failure: Unable to access credentials", "Migration operation has aborted"]
    log = [line(1, errors[0], "ERROR"), line(2, running), line(2, errors[1], "ERROR"), line(20, running)]
    begun = line(0, "Took 9.55 seconds for pre_live_migration on destination host cmp1.", logger="nova.compute.manager")
    failed, again = migrations(entries([begun, *log]))
    assert [each.message for each in failed.warnings] == errors and failed.outcome == "failed"
    assert (failed.processed_bytes, again.outcome, again.warnings) == (None, "unfinished", [])


def test_two_migrations_of_one_server_are_two() -> None:
    log = [
        line(1, "Migration running for 0 secs, memory 100% remaining (bytes processed=0, remaining=0, total=0)"),
        line(2, "Migrating instance to cmp2 finished successfully."),
        line(3, "Migration running for 0 secs, memory 100% remaining (bytes processed=0, remaining=0, total=0)"),
        line(5, "Migrating instance to cmp3 finished successfully."),
    ]
    assert [(each.destination, each.phases()["total_s"]) for each in migrations(entries(log))] == [
        ("cmp2", 1.0),
        ("cmp3", 2.0),
    ]


UNPLUGGED = "Received unexpected event network-vif-unplugged-1 for instance with vm_state active and task_state resize_"
TO_ERROR = "Setting instance vm_state to ERROR: oslo_concurrency.processutils.ProcessExecutionError: scp failed"
POWERED_OFF = [line(1, "Instance shutdown successfully after 3 seconds."), line(2, "Instance destroyed successfully.")]


@pytest.mark.parametrize(("level", "outcome"), [("ERROR", "failed"), ("WARNING", "finished")])
def test_a_cold_migration_can_fail_after_the_server_was_shut_down(level: str, outcome: str) -> None:
    log = [
        *POWERED_OFF,
        line(3, f"{UNPLUGGED}migrating.", "WARNING", "nova.compute.manager"),
        line(9, TO_ERROR, level, "nova.compute.manager"),
    ]
    [one] = migrations(entries(log))
    assert (one.kind, one.outcome, one.phases()["shutdown_s"]) == ("cold", outcome, 3.0)
    assert [(each.message, each.serious) for each in one.warnings][1:] == [(TO_ERROR, True)]


@pytest.mark.parametrize(("function", "told"), [("_resize_instance", ["failed"]), ("do_terminate_instance", [])])
def test_a_server_that_broke_right_after_its_shutdown_was_moved_where_the_traceback_says_so(
    function: str, told: list[str]
) -> None:
    place = f'  File "/usr/lib/python3/dist-packages/nova/compute/manager.py", line 6019, in {function}'
    trace = [
        f"2026-01-01 00:00:03.000 7 ERROR nova.compute.manager [instance: {SERVER}] {text}\n"
        for text in ("Traceback (most recent call last):", place)
    ]
    log = [*POWERED_OFF, line(3, TO_ERROR, "ERROR", "nova.compute.manager"), *trace]
    assert [each.outcome for each in migrations(entries(log))] == told


@pytest.mark.parametrize("cold", [True, False])
def test_a_server_that_left_cold_or_was_stopped_comes_back_live(cold: bool) -> None:
    unplugged = "Received unexpected event network-vif-unplugged-1 for instance with task_state resize_migrated."
    error = "Failed to plug again"
    log = [
        line(1, "Instance shutdown successfully after 3 seconds."),
        line(1, "Instance destroyed successfully."),
        *([line(9, unplugged, "WARNING")] if cold else []),
        line(30, "VM Started (Lifecycle Event)"),
        line(31, "VM Resumed (Lifecycle Event)"),
        line(32, error, "ERROR"),
        line(33, "During the sync_power process the instance has moved from host compute2 to host compute1"),
    ]
    *left, back = migrations(entries(log))
    assert [(each.kind, each.outcome, len(each.warnings)) for each in left] == [("cold", "finished", 1)] * cold
    assert "started" not in {name for each in left for name in each.marks}
    assert (back.side, back.source, back.outcome, known(back.phases())) == (
        *("destination", "compute2", "finished"),
        {"resume_s": 1.0},
    )
    assert [each.message for each in back.warnings] == [error]


def test_lines_before_the_first_entry_are_not_kept() -> None:
    rest = (f"{number:01000}\n" for number in range(5000))
    tracemalloc.start()
    try:
        assert [each.message for each in entries(itertools.chain(rest, [line(1, "first"), " goes on\n"]))] == [
            "first goes on"
        ]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_compressed_log(tmp_path: Path) -> None:
    path = tmp_path / "nova-compute.log.1.gz"
    path.write_bytes(gzip.compress((FIXTURES / "live_source.log").read_bytes()))
    [one] = run_module(migration_log_info.main, path=str(path))["migrations"]
    assert one["phases"]["pause_s"] == 0.564


WHOLE = gzip.compress((FIXTURES / "live_source.log").read_bytes())
PAUSED = "VM Paused (Lifecycle Event)"
UNREADABLE = {
    "broken.gz": b"no gzip",
    "cut.gz": WHOLE[:-20],
    "spoilt.gz": WHOLE[:40] + b"\xff" * 40 + WHOLE[80:],
    "journal.log": f"Jan 01 00:00:01 cmp1 nova-compute[7]: {line(1, PAUSED)}".encode(),
    "json.log": f'{{"message": "{PAUSED}"}}\n'.encode(),
    "json.gz": gzip.compress(f'{{"message": "{PAUSED}"}}\n'.encode()),
}


@pytest.mark.parametrize("name", ["absent.log", *UNREADABLE])
def test_a_log_that_cannot_be_read_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    if name in UNREADABLE:
        (tmp_path / name).write_bytes(UNREADABLE[name])
    done = run_module(migration_log_info.main, path=str(tmp_path / name))
    assert done["failed"]
    assert done["thing"] == f"log {tmp_path / name}"
    assert done["remedy"]


@pytest.mark.parametrize("name", ["empty.log", "empty.gz"])
def test_an_empty_log_tells_of_no_migration(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    assert run_module(migration_log_info.main, path=str(tmp_path / name))["migrations"] == []


@given(st.lists(st.sampled_from([*(FIXTURES / "live_source.log").read_text().splitlines(), "", START, "x [instance:"])))
def test_any_order_and_any_part_of_a_log_is_read(log: list[str]) -> None:
    for each in migrations(entries(log)):
        assert each.instance == SERVER
        assert each.outcome in {"finished", "unfinished", "failed"}
