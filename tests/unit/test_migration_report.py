# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is thought of migrations from their receipts, and the page that shows it."""

from __future__ import annotations

import json
import re
import time

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report import measures
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.judging import judge
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.reading import read_run, read_seen
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_report.store import report_of
from ansible_collections.lifeboat.cloud.plugins.modules import migration_report
from ansible_collections.lifeboat.cloud.tests.unit import receipt_samples as samples
from ansible_collections.lifeboat.cloud.tests.unit.receipt_samples import GIB, MIB, RUN, cold, ended, receipt, step
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.test_report_page import HOSTILE, read_page


@pytest.fixture
def read(tmp_path):
    """The run of these receipts."""
    return lambda *receipts, **plan: read_run(samples.write(tmp_path, samples.run_of(*receipts, **plan)))


@pytest.fixture
def judged(read):
    """What is thought of one receipt."""

    def think(one, seen=None, limit=None):
        (found,) = judge(read(one), {one["server"]: seen} if seen else {}, limit)
        return found

    return think


def seen_by_client(**values):
    return read_seen({"a": values})["a"]


def run(directory, check=False, **options):
    result = run_module(migration_report.main, check, directory=str(directory), run=RUN, **options)
    del result["invocation"]
    return result


@pytest.mark.parametrize(
    ("one", "words", "serious"),
    [
        (receipt(timeline=ended("ERROR")), "ended in ERROR", True),
        (receipt(timeline=ended("SHUTOFF")), "ended SHUTOFF, ACTIVE or PAUSED was expected", True),
        (cold("a", 0, timeline=ended("SHUTOFF", "confirmed")), "ended SHUTOFF, ACTIVE was expected", True),
        (cold("a", 0, timeline=ended("VERIFY_RESIZE", "finished")), "waits to be confirmed", True),
        (receipt(destination="cmp1"), "cmp1 still holds it", True),
        (receipt(warnings=["the moon is full."]), "the moon is full", True),
        (
            receipt(warnings=["Nova's record of migration 7 says error, yet server a has arrived."]),
            "has arrived",
            False,
        ),
        (receipt(seconds=26.5), "took 2.0 times the predicted 13.2 s", False),
    ],
)
def test_what_is_odd_is_found_and_weighed(judged, one, words, serious):
    seen = judged(one)
    ((says, weight),) = [(each.says, each.serious) for each in seen.findings]
    assert words in says and weight is serious and seen.verdict == "moved with warnings"


@pytest.mark.parametrize(
    "one",
    [
        receipt(),
        receipt(seconds=26.3),
        receipt(timeline=[]),
        receipt(timeline=ended("PAUSED")),
        cold("a", 0),
        samples.evacuated("a", 0),
        {name: value for name, value in receipt().items() if name != "began"},
    ],
)
def test_what_went_well_has_no_finding(judged, one):
    assert (judged(one).verdict, judged(one).findings) == ("moved", ())


@pytest.mark.parametrize(("before", "after"), [("PAUSED", "ACTIVE"), ("ACTIVE", "PAUSED")])
def test_a_server_must_end_in_the_state_that_it_was_asked_for_in(judged, before, after):
    (found,) = judged(receipt(timeline=ended(after, before=before))).findings
    assert found.serious and found.says == f"the server ended {after}, {before} was expected"
    assert not judged(receipt(timeline=ended(before, before=before))).findings


def test_a_phase_that_failed_is_serious_though_the_server_arrived(judged):
    one = receipt()
    one["phases"][-1]["result"] = "Error"
    (found,) = judged(one).findings
    assert found.serious and "post_live_migration_at_destination" in found.says


def test_a_server_that_did_not_move_is_told_with_its_reason(read, tmp_path):
    samples.write(tmp_path, samples.run_of(samples.failed("a", 0, "no route"), stayed=["b"]))
    seen = run(tmp_path)
    assert [(each["verdict"], each["found"]) for each in seen["servers"]] == [("not moved", "no route")]
    assert (seen["summary"]["not_moved"], seen["summary"]["stayed"], seen["stayed"]) == (1, 1, ["b"])


def test_a_downtime_is_told_by_each_method_and_judged_by_what_a_client_saw(judged, tmp_path):
    one = receipt()
    one["transferred"]["downtime_ms"] = 180
    seen = seen_by_client(gap_s=0.7)
    assert measures.downtimes(judged(one).case.receipt, seen) == (
        measures.Downtime("client", 0.7),
        measures.Downtime("libvirt", 0.18),
    )
    assert not judged(one, limit=0.5).findings
    (found,) = judged(one, seen, 0.5).findings
    assert found.serious and "0.700 s by client, 0.500 s are allowed" in found.says
    # A cold migration stops the server by intent.
    assert [each.seconds for each in judged(cold("a", 0), limit=0.5).case.downtimes] == [20.0]
    assert not judged(cold("a", 0), limit=0.5).findings
    assert not judged(cold("a", 0) | {"planned": step("a", mode="cold")}).case.downtimes


def test_standing_still_as_long_as_was_planned_breaks_no_promise(judged):
    """The plan takes a rest that is sent within what is allowed, and tells the switching over with it."""
    planned = step("a", downtime_s=0.667)
    for gap_s, said in ((0.667, []), (0.668, ["stood still for 0.668 s by client, 0.667 s are allowed"])):
        seen = judged(receipt("a", planned=planned), seen_by_client(gap_s=gap_s), 0.5)
        assert [each.says for each in seen.findings] == said


def test_a_live_migration_that_booted_the_server_is_serious_and_a_cold_one_is_not(judged):
    assert "booted anew" in judged(receipt(), seen_by_client(same_boot=False)).findings[0].says
    assert not judged(receipt(), seen_by_client(same_boot=True)).findings
    assert not judged(cold("a", 0), seen_by_client(same_boot=False)).findings


def test_what_clients_saw_belongs_to_the_last_of_a_servers_migrations(read):
    by_way_of = read(receipt(), receipt(at=20))
    first, last = judge(by_way_of, {"id-web-1": seen_by_client(gap_s=9)}, 1.0)
    assert not first.findings and last.findings


@pytest.mark.parametrize(
    ("transferred", "sent"),
    [
        ({}, None),
        ({"memory_total": GIB, "memory_processed": 0, "memory_remaining": GIB}, None),
        ({"memory_processed": 100 * MIB, "memory_remaining": 6 * MIB}, (100 * MIB, False)),
        ({"memory_processed": 100 * MIB, "memory_remaining": 4 * MIB}, (104 * MIB, True)),
        ({"memory_processed": 10 * MIB, "disk_processed": 90 * MIB, "disk_remaining": 90 * MIB}, (100 * MIB, False)),
    ],
)
def test_bytes_are_known_only_when_little_was_left_at_the_last_look(judged, transferred, sent):
    seen = judged(receipt(transferred=transferred)).case.sent
    assert (seen and (seen.bytes, seen.whole)) == sent


def test_the_summary_compares_with_the_plan(tmp_path):
    samples.write(tmp_path, samples.run_of(receipt(seconds=10.0), receipt("b", at=15, seconds=16.5), total_s=21.0))
    seen = run(tmp_path)["summary"]
    assert (seen["elapsed_s"], seen["ratio"], seen["bytes"]) == (31.5, 1.5, 2 * GIB)
    # 13.2 s were predicted for both.
    assert seen["prediction_error"] == pytest.approx((0.32 + 0.2) / 2)


def test_the_time_of_all_is_that_of_what_the_run_began(tmp_path):
    resumed, refused = receipt("a", at=-10_800, seconds=10_790.0), samples.not_begun("b")
    samples.write(tmp_path, samples.run_of(resumed, receipt("c", at=5), refused, receipt("d", at=12), total_s=13.0))
    seen = run(tmp_path)["summary"]
    assert (seen["elapsed_s"], seen["ratio"]) == (21.0, pytest.approx(21 / 13, abs=0.001))
    # Nothing but what was under way, and what was not begun.
    samples.write(tmp_path, samples.run_of(resumed, refused))
    assert run(tmp_path)["summary"]["elapsed_s"] is None
    # Of old: neither when it was asked for, nor Nova's steps.
    samples.write(tmp_path, samples.run_of(receipt("c"), receipt("d", began=None, phases=[])))
    assert run(tmp_path)["summary"]["elapsed_s"] is None


def test_where_nothing_was_predicted_nothing_is_compared(tmp_path):
    document = samples.run_of(samples.evacuated("a", 0), samples.evacuated("b", 3))
    samples.write(tmp_path, document | {"goal": "evacuate", "plan": {"moves": 2}})
    seen = run(tmp_path)["summary"]
    assert (seen["elapsed_s"], seen["predicted_s"], seen["ratio"], seen["prediction_error"]) == (24.0, None, None, None)


def test_what_was_predicted_of_a_dead_host_is_compared(tmp_path):
    document = samples.run_of(samples.evacuated("a", 0, 42.0), samples.evacuated("b", 3, 10.0))
    samples.write(tmp_path, document | {"goal": "evacuate", "plan": {"moves": 2, "total_s": 48.0}})
    seen = run(tmp_path)
    assert [seen["summary"][name] for name in ("predicted_s", "ratio", "lower_bound_s")] == [48.0, 0.5, None]
    # Of 100 % and 52 %.
    assert seen["summary"]["prediction_error"] == pytest.approx(0.762, abs=0.001)
    assert [(each["harmless"], each["serious"]) for each in seen["servers"]] == [
        ([], []),
        (["took 2.1 times the predicted 10.0 s"], []),
    ]
    said = " ".join(read_page((tmp_path / f"{RUN}.html").read_text(encoding="utf-8")).texts)
    assert "predicted 48.0 s" in said and "predicted 48.0 s, at least" not in said


def test_the_page_is_written_once_and_not_at_all_in_check_mode(tmp_path):
    samples.write(tmp_path, samples.mixed())
    page = tmp_path / f"{RUN}.html"
    told = run(tmp_path, check=True)
    assert told["changed"] and not page.exists()
    assert told["diff"]["before"] == {str(page): "absent"}
    done = run(tmp_path)
    assert done == told
    again = run(tmp_path)
    assert (again["changed"], again["actions"]) == (False, []) and again["diff"]["before"] == again["diff"]["after"]
    assert run(tmp_path, measured={"id-dns": {"gap_s": 0.2}})["changed"] is True
    assert {each.name for each in tmp_path.iterdir()} == {f"{RUN}.html", f"{RUN}.json"}


def test_the_page_says_what_became_of_twelve_servers(tmp_path):
    samples.write(tmp_path, samples.mixed())
    seen = run(tmp_path, measured={"id-web-1": {"gap_s": 0.31}}, downtime_limit=0.5)
    page = (tmp_path / f"{RUN}.html").read_text(encoding="utf-8")
    reader = read_page(page)
    said = "\n".join(reader.texts)
    assert "11 of 12 migrations arrived" in said and "gpu-1, gpu-2" in said
    assert seen["summary"]["serious"] == 5 and "no route to cmp2" in said and "build-<b>1</b>" in said
    assert {
        "client 0.310 s",
        "libvirt 0.180 s",
        "Nova 20.0 s",
        "≥ 700 MiB",
        "post_live_migration_at_destination",
    } <= set(reader.texts)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"url\(|@import|https?://", page)
    targets = {value for _tag, name, value in reader.attributes if name == "id"}
    links = {value.removeprefix("#") for _tag, name, value in reader.attributes if name == "href"}
    assert links == targets == {f"m{number}" for number in range(12)}


def test_text_is_never_markup(tmp_path):
    one = receipt(HOSTILE, warnings=[HOSTILE], found=HOSTILE, source=HOSTILE, destination=HOSTILE)
    samples.write(tmp_path, samples.run_of(one, stayed=[HOSTILE]) | {"goal": HOSTILE})
    run(tmp_path)
    page = (tmp_path / f"{RUN}.html").read_text(encoding="utf-8")
    assert "script" not in read_page(page).tags and HOSTILE in read_page(page).texts


def test_a_thousand_receipts_fit(tmp_path):
    samples.write(tmp_path, samples.many(1000))
    began = time.process_time()
    report = report_of(tmp_path, RUN, {}, None)
    # A tenth of it where this was written; what else the machine does does not count.
    assert time.process_time() - began < 10
    assert len(report.page.content.encode()) < 5 * MIB


def test_a_run_without_a_receipt_has_a_page(tmp_path):
    samples.write(tmp_path, samples.run_of(stayed=["gpu-1"]))
    assert run(tmp_path)["summary"]["elapsed_s"] is None
    assert "Nothing was moved" in (tmp_path / f"{RUN}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": "../secrets"}, "run: found '../secrets'; expected the name of a file of receipts"),
        ({"run": "2026-01-01T00-00-00Z"}, "found no such file; expected receipts of a run"),
        ({"measured": {"web-1": {"gap_s": 1}}}, "measured: found web-1; expected ids of servers"),
        ({"measured": {"id-web-1": {"gap": 1}}}, "measured.id-web-1: found ['gap']"),
        (
            {"measured": {"id-web-1": {"gap_s": -1}}},
            "measured.id-web-1.gap_s: found -1; expected a number of at least 0",
        ),
        ({"measured": {"id-web-1": 1}}, "measured.id-web-1: found 1; expected an object"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, words):
    samples.write(tmp_path, samples.run_of(receipt()))
    failed = run_module(migration_report.main, **{"directory": str(tmp_path), "run": RUN, **options})
    assert failed["failed"] and words in failed["msg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object"),
        ('{"goal": "drain", "plan": {}, "stayed": []}', "expected the key receipts"),
        (json.dumps(samples.run_of(receipt(moved="yes"))), "receipts[0].moved: found 'yes'; expected true or false"),
        (
            json.dumps(samples.run_of(receipt(began="yesterday"))),
            "receipts[0].began: found 'yesterday'; expected a time",
        ),
        (json.dumps(samples.run_of(receipt(transferred={"memory_total": "1"}))), "memory_total: found '1'"),
    ],
)
def test_a_file_that_is_no_run_is_refused(tmp_path, text, words):
    file = tmp_path / f"{RUN}.json"
    file.write_text(text)
    with pytest.raises(LifeboatError) as error:
        read_run(file)
    assert words in str(error.value) and "docs/migrate.md" in error.value.remedy


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    samples.write(tmp_path, samples.run_of(receipt()))
    (tmp_path / f"{RUN}.html").mkdir()
    assert f"{RUN}.html: found" in run(tmp_path)["msg"]
