# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan learns from the receipts of earlier runs, only what they tell, and predicts nearer to what was measured."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _migration_model as model
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_history import read_history
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal, make_plan, plan_json
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits, Move
from ansible_collections.lifeboat.cloud.plugins.modules import migration_plan
from ansible_collections.lifeboat.cloud.tests.unit import receipt_samples as samples
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, GIGABIT, MIB, fleet, host, server
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import RUN, cold, receipt, run_of, step
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def learned(tmp_path):
    """The estimates after a run of these receipts."""

    def read(*receipts):
        samples.write(tmp_path, run_of(*receipts))
        return Estimates(read_history(tmp_path).outcomes)

    return read


def without(one, *names):
    return {name: value for name, value in one.items() if name not in names}


def test_a_receipt_that_tells_all_teaches_all(learned):
    # 1 GiB, of which the copy took 9 s and the whole 14 s.
    one = receipt(seconds=16.0)
    one["transferred"]["downtime_ms"] = 700
    seen = learned(one)
    assert seen.bandwidth("cmp1", "cmp2") == pytest.approx(GIB / 9 / (128 * MIB))
    assert seen.switch_s("cmp1", "cmp2") == pytest.approx(0.7)
    assert seen.setup_s("cmp1", "cmp2") == pytest.approx(16 - 9 - 0.7)
    assert {each.what for each in seen.lessons()} == {"bandwidth", "switch_s", "setup_s", "memory", "dirty_rate"}


def test_a_downtime_that_nobody_measured_teaches_nothing(learned):
    seen = learned(receipt(seconds=16.0))
    assert "switch_s" not in {each.what for each in seen.lessons()}
    assert seen.switch_s("cmp1", "cmp2") == 0.2


@pytest.mark.parametrize(
    ("copy_s", "taught"),
    [
        # Twice as long as the 8 s that were predicted: the path; half as long: the guest.
        (16, {"bandwidth": 0.5, "setup_s": 6.8}),
        (5, {"memory": GIB * 5 / 8, "setup_s": 17.8}),
    ],
)
def test_without_bytes_the_seconds_of_the_copy_are_compared(learned, copy_s, taught):
    one = receipt(seconds=23.0, transferred={})
    one["phases"][-1]["began"] = samples.iso(samples.START + 4 + copy_s)
    lessons = {each.what: each.after for each in learned(one).lessons()}
    assert lessons == pytest.approx(taught)


@pytest.mark.parametrize(
    ("seconds", "taught"),
    [(20.0, {"setup_s": 20 - 8 - 0.2}), (6.7, {"memory": GIB / 2, "setup_s": 2.5})],
)
def test_without_phases_the_whole_is_compared(learned, seconds, taught):
    lessons = {each.what: each.after for each in learned(receipt(seconds=seconds, phases=[], transferred={})).lessons()}
    assert lessons == pytest.approx(taught)


@pytest.mark.parametrize(
    "nothing",
    [
        receipt(timeline=[]),
        samples.failed("a", 0, "no route"),
        samples.evacuated("a", 0, timeline=samples.ended("ACTIVE")),
        without(receipt(planned=without(step(), "assumed"))),
    ],
)
def test_what_did_not_move_or_was_not_predicted_is_no_outcome(learned, nothing):
    assert learned(nothing).error is None


def test_servers_of_dead_hosts_teach_how_long_it_takes_to_rebuild_one(tmp_path):
    assert Estimates().rebuild_s() == 25.0
    for day, seconds in enumerate((20.0, 40.0, 30.0), 1):
        rebuilt = samples.evacuated("a", 0, seconds=seconds)
        failed = samples.evacuated("b", 0, seconds=1.0, moved=False, found="no host")
        samples.write(tmp_path, run_of(receipt(), rebuilt, failed), f"2026-11-0{day}T00-00-00Z")
    history = read_history(tmp_path)
    assert history.rebuilds == (20.0, 40.0, 30.0) and len(history.outcomes) == 3
    seen = Estimates(history.outcomes, rebuilds=history.rebuilds)
    [lesson] = [each for each in seen.lessons() if each.what == "rebuild_s"]
    assert (lesson.before, lesson.after, lesson.samples) == (25.0, 30.0, 3) and seen.rebuild_s() == 30.0
    # Not of migrations, whose errors these are.
    assert seen.error == Estimates(history.outcomes).error


def test_a_cold_migration_teaches_nothing_of_live_ones(learned):
    seen = learned(cold("a", 0))
    assert seen.error == pytest.approx(3 / 32)
    assert {lesson.what for lesson in seen.lessons()} == {"cold_setup_s", "reboot_s"}


def test_files_that_cannot_be_read_are_named_and_left_out(tmp_path):
    samples.write(tmp_path, run_of(receipt()))
    (tmp_path / "2027-01-01T00-00-00Z.json").write_text('{"goal": "drain", "receipts": [')
    (tmp_path / "2027-01-02T00-00-00Z.json").write_text("[1]")
    broken = step()
    broken["assumed"]["memory"] = "much"
    samples.write(tmp_path, run_of(receipt(planned=broken)), "2027-01-03T00-00-00Z")
    (tmp_path / "2027-01-04T00-00-00Z.html").write_text("no receipts")
    seen = read_history(tmp_path)
    assert len(seen.outcomes) == 1
    assert [f"2027-01-0{day}T00-00-00Z.json" in text for day, text in zip((3, 2, 1), seen.unread, strict=True)] == [
        True,
        True,
        True,
    ]


def test_a_directory_that_is_not_there_yet_teaches_nothing_and_a_file_is_refused(tmp_path):
    assert read_history(tmp_path / "reports") == read_history(tmp_path)
    (tmp_path / "file").touch()
    options = {"goal": "balance", "hosts": [host("cmp1")], "history_directory": str(tmp_path / "file")}
    assert "expected a directory of receipts" in run_module(migration_plan.main, **options)["msg"]


def test_only_the_newest_count_and_they_come_last(tmp_path):
    for day in range(1, 31):
        run = [receipt(f"s{number}", seconds=10.0 + day) for number in range(10)]
        samples.write(tmp_path, run_of(*run), f"2026-11-{day:02}T00-00-00Z")
    seen = [each.measured_total_s for each in read_history(tmp_path).outcomes]
    assert (len(seen), seen[0], seen[-1]) == (200, 21.0, 40.0) and seen == sorted(seen)


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is so, whatever a plan assumes; ``tells`` is what a receipt says beside the seconds of the whole."""

    memory: float
    dirty_rate: float
    share: float
    switch_s: float
    setup_s: float
    tells: frozenset[str]

    def came_of(self, planned, scale=1.0):
        """The receipt of a step."""
        path = model.Path(GIGABIT * self.share, self.switch_s)
        guest = model.Guest(min(self.memory, planned["assumed"]["memory"]) * scale, self.dirty_rate)
        seen = model.pre_copy(guest, path, model.Policy(total_s=1e9, rounds=10_000))
        copying = seen.total_s - self.switch_s
        one = receipt("", 0, round(seen.total_s + self.setup_s, 3), planned, transferred={}, phases=[])
        if "bytes" in self.tells:
            one["transferred"] = {"memory_processed": round(seen.transferred), "memory_remaining": 0}
        if "downtime" in self.tells:
            one["transferred"]["downtime_ms"] = 1000 * seen.downtime_s
        if "copy" in self.tells:
            phases = (("pre_live_migration", 0.0, 1.0), ("post_live_migration_at_destination", 1 + copying, 1.0))
            one["phases"] = [
                {
                    "name": name,
                    "host": "cmp2",
                    "began": f"2026-11-22T13:{int(at // 60):02}:{at % 60:09.6f}",
                    "seconds": took,
                    "result": "Success",
                }
                for name, at, took in phases
                if at < 3600
            ]
        return one


TRUTHS = st.builds(
    Truth,
    memory=st.floats(0.1, 4).map(lambda gibs: gibs * GIB),
    dirty_rate=st.floats(0, 0.05 * GIGABIT),
    share=st.floats(0.1, 1.5),
    switch_s=st.floats(0, 2),
    setup_s=st.floats(0, 60),
    tells=st.frozensets(st.sampled_from(["bytes", "copy", "downtime"])),
)


def plan(outcomes, *sizes):
    roomy = [host(name, vcpus=99, memory=99 * GIB) for name in ("cmp1", "cmp2")]
    names = [f"g{number}" for number in range(len(sizes))]
    servers = [server(name, "cmp1", memory=size) for name, size in zip(names, sizes, strict=True)]
    wish = Goal("move", moves=tuple(Move(name, "cmp1", "cmp2") for name in names))
    policy = model.Policy(total_s=1e9)
    return plan_json(make_plan(fleet(roomy, servers), wish, Limits(), policy, Estimates(outcomes)))


def predicted(planned):
    return planned["end_s"] - planned["start_s"]


@settings(max_examples=150)
@given(TRUTHS)
def test_the_same_migration_is_predicted_nearer_whatever_its_receipt_tells(truth):
    (first,) = plan((), 4 * GIB)["steps"]
    came = truth.came_of(first)
    with tempfile.TemporaryDirectory() as directory:
        samples.write(Path(directory), run_of(came))
        history = read_history(Path(directory))
    assert not history.unread
    (second,) = plan(history.outcomes, 4 * GIB)["steps"]
    assert abs(predicted(second) - came["seconds"]) <= abs(predicted(first) - came["seconds"]) + 0.01


@pytest.mark.parametrize("tells", [(), ("copy",), ("bytes", "copy"), ("bytes", "copy", "downtime")])
def test_a_fleet_is_predicted_nearer_run_after_run(tmp_path, tells):
    truth = Truth(99 * GIB, 0.1 * GIGABIT, 0.6, 0.4, 12.0, frozenset(tells))
    sizes = [GIB * size for size in (0.5, 1, 1, 2, 2, 3, 4, 6, 8)]
    errors = []
    for turn in range(4):
        planned = plan(read_history(tmp_path).outcomes, *sizes)
        came = [truth.came_of(each, scale=0.8) for each in planned["steps"]]
        errors.append(
            statistics.median(
                abs(predicted(each) - one["seconds"]) / one["seconds"]
                for each, one in zip(planned["steps"], came, strict=True)
            )
        )
        samples.write(tmp_path, run_of(*came), f"2026-11-2{turn}T00-00-00Z")
    assert errors[0] > 0.3
    assert errors[-1] < (0.05 if "copy" in tells else errors[0] / 2)


def test_the_module_learns_and_says_how_well_it_did(tmp_path, capsys):
    of = {"hosts": [host("cmp1"), host("cmp2")], "servers": [server("web", "cmp1")]}
    first = run_module(migration_plan.main, goal="drain", drain=["cmp1"], history_directory=str(tmp_path), **of)
    assert first["summary"]["prediction_error"] is None and first["learned"] == []
    (planned,) = first["steps"]
    samples.write(tmp_path, run_of(receipt("", 0, 24.0, planned, phases=[], transferred={})))
    (tmp_path / "2027-01-01T00-00-00Z.json").write_text("{")
    again = run_module(migration_plan.main, goal="drain", drain=["cmp1"], history_directory=str(tmp_path), **of)
    assert again["steps"][0]["end_s"] == pytest.approx(24.0, abs=0.01)
    assert again["summary"]["prediction_error"] == pytest.approx((24 - planned["end_s"]) / 24, abs=0.001)
    # Where Ansible tells a warning depends on what ran before in this process.
    told = str(again.get("warnings")) + capsys.readouterr().err
    assert "2027-01-01T00-00-00Z.json" in told and f"{RUN}.json" not in told
