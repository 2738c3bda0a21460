# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hypervisor has counted comes into the receipt of the migration that it is of, and into no other."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.receipts_counted import receipts_counted
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report import measures
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run
from ansible_collections.lifeboat.cloud.tests.unit import receipt_samples as samples
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import GIB, MIB, RUN, receipt, step

if t.TYPE_CHECKING:
    from pathlib import Path

# A quarter of what Nova never saw sent, in 1.5 s of 9 that libvirt was about it.
SAID = {
    "time_elapsed": 9000,
    "downtime": 223,
    "downtime_net": 221,
    "memory_total": GIB,
    "memory_processed": 300 * MIB,
    "memory_remaining": 0,
    "memory_bps": 200 * MIB,
}


def job(server: str = "web-1", operation: str | None = "unknown", **changes: t.Any) -> dict[str, t.Any]:
    return {"uuid": f"id-{server}", "name": "i", "operation": operation, "statistics": SAID | changes, "reason": None}


def short(server: str = "web-1", **values: t.Any) -> dict[str, t.Any]:
    """Of a migration of which Nova has said no bytes; 14 s."""
    return receipt(server, transferred={"memory_processed": 0, "memory_remaining": 0, "memory_total": 0}, **values)


def test_the_figures_are_put_beside_the_bytes() -> None:
    [found] = receipts_counted([short()], [job("other"), job()])
    assert found == short() | {
        "transferred": {
            "memory_total": GIB,
            "memory_processed": 300 * MIB,
            "memory_remaining": 0,
            "downtime_ms": 223,
            "elapsed_ms": 9000,
            "copy_ms": 1500,
        }
    }


def test_without_a_speed_the_time_of_copying_is_not_known() -> None:
    [found] = receipts_counted([short()], [job(memory_bps=0)])
    assert found["transferred"]["downtime_ms"] == 223 and "copy_ms" not in found["transferred"]


@pytest.mark.parametrize(
    ("one", "of"),
    [
        (short(), job(time_elapsed=15_100)),
        (short(), job(downtime=9001)),
        (short(), {**job(), "statistics": {"time_elapsed": 9000}}),
        (receipt(), job()),
        (short(), job(operation="migration_out")),
        (short(), job(operation="backup")),
        (short(), {"uuid": "id-web-1", "operation": None, "statistics": {}, "reason": "no such domain"}),
        (samples.cold("web-1", 0), job()),
        (samples.evacuated("web-1", 0), job()),
        (samples.failed("web-1", 0, "no route"), job()),
    ],
    ids=["longer", "stops", "bare", "sent-more", "left", "backup", "absent", "cold", "rebuilt", "failed"],
)
def test_what_is_of_something_else_is_passed_over(one: dict[str, t.Any], of: dict[str, t.Any]) -> None:
    assert receipts_counted([one], [of]) == [one]


def test_what_nova_rounded_to_seconds_fits() -> None:
    [found] = receipts_counted([short(seconds=14.0)], [job(time_elapsed=14_900)])
    assert found["transferred"]["elapsed_ms"] == 14_900


def test_of_a_server_that_went_by_way_of_a_third_host_it_is_the_last_way() -> None:
    ways = [short(), short(planned=step("web-1", source="cmp2", destination="cmp3"))]
    later = samples.failed("web-1", 30, "no route")
    found = receipts_counted(iter([*ways, later]), [job()])
    assert ["downtime_ms" in each["transferred"] for each in found] == [False, True, False]


def test_the_report_shows_it_and_the_planner_learns_from_it(tmp_path: Path) -> None:
    samples.write(tmp_path, samples.run_of(*receipts_counted([short()], [job()])))
    [read] = read_run(tmp_path / f"{RUN}.json").receipts
    assert measures.downtimes(read, None) == (measures.Downtime("libvirt", 0.223),)
    assert measures.sent(read) == measures.Sent(300 * MIB, whole=True)
    [outcome] = read_history(tmp_path).outcomes
    assert (outcome.measured_downtime_s, outcome.measured_bytes, outcome.measured_copy_s) == (0.223, 300 * MIB, 1.5)


def test_where_a_disk_was_copied_the_time_of_the_memory_is_not_the_copy(tmp_path: Path) -> None:
    one = short()
    one["transferred"] |= {"disk_processed": GIB, "disk_remaining": 0}
    samples.write(tmp_path, samples.run_of(*receipts_counted([one], [job()])))
    [read] = read_run(tmp_path / f"{RUN}.json").receipts
    # By Nova's phases.
    assert measures.copy_s(read) == 7.0


@pytest.mark.parametrize(("receipts", "jobs"), [("none", []), ([], {"jobs": []}), ([{}], []), ([short()], ["job"])])
def test_what_is_no_receipt_or_no_job_is_refused(receipts: object, jobs: object) -> None:
    with pytest.raises(AnsibleFilterError, match="receipts_counted: found"):
        receipts_counted(receipts, jobs)


def test_it_comes_out_as_json() -> None:
    assert json.loads(json.dumps(receipts_counted([short()], [job()])))
