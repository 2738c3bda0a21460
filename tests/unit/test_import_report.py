# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is thought of an import from its receipt, the page that shows it, and that the role leaves both."""

from __future__ import annotations

import json
import sys
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import import_report
from ansible_collections.lifeboat.cloud.tests.unit import import_samples as samples
from ansible_collections.lifeboat.cloud.tests.unit.import_samples import (
    DEVICE,
    OTHER_SUM,
    RUN,
    copied,
    failed,
    receipt,
    warm,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import try_playbook
from ansible_collections.lifeboat.cloud.tests.unit.test_report_page import HOSTILE, read_page

if t.TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, t.Any]


def run(directory: Path, check: bool = False, **options: t.Any) -> Json:
    result = run_module(import_report.main, check, **{"directory": str(directory), "run": RUN, **options})
    del result["invocation"]
    return result


def told(directory: Path, document: Json, **options: t.Any) -> tuple[Json, list[str]]:
    """What the module returns of the receipt, and all texts of its page."""
    samples.write(directory, document)
    result = run(directory, **options)
    page = (directory / f"{RUN}.html").read_text(encoding="utf-8")
    return result, read_page(page).texts


def not_new(**changed: t.Any) -> Json:
    """Of a server that an earlier run has made."""
    one = receipt(copies={}, server_seconds={}, **changed)
    return one | {"plan": {**one["plan"], "make": False, "flavor": "", "volumes": []}}


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (receipt(), "answered"),
        (receipt(rehearsal=True), "answered"),
        (receipt(findings=[DEVICE]), "answered with warnings"),
        (not_new(), "answered"),
        (warm(), "answered"),
        (warm(None, answered=False), "not made yet"),
        (failed(receipt()), "failed"),
        (failed(receipt(), left=True), "failed, left things"),
        (failed(receipt(), kept=True), "failed, left things"),
        (failed(not_new()), "failed, left things"),
        (failed(warm(), started_again=True), "failed"),
    ],
)
def test_a_verdict_says_what_became_of_it(tmp_path: Path, one: Json, verdict: str) -> None:
    seen, said = told(tmp_path, one)
    assert seen["verdict"] == verdict and verdict in said
    assert (seen["found"] in said) is bool(one["failure"])


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (receipt(findings=[DEVICE]), "the device usb0"),
        (receipt(copies={"boot": copied(destination_digest=OTHER_SUM)}), "another digest than its source: boot"),
        (failed(receipt(), left=True), "could not be taken away"),
        (failed(receipt(), kept=True), "was kept"),
        (failed(not_new()), "the server of an earlier run was left as it is"),
        (failed(warm()), "the source was stopped and not started again"),
        (warm(120.5), "was away for 120 s, 90.0 s are allowed"),
    ],
)
def test_what_somebody_has_to_look_at_is_serious(tmp_path: Path, one: Json, words: str) -> None:
    seen, said = told(tmp_path, one, offline_limit=90)
    (serious,) = seen["serious"]
    assert words in serious and "Needs attention" in said and said.count(serious) == 2


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (receipt(), "sda: the drive is left out"),
        (receipt(findings=[], rehearsal=True, kept=True), "the server of the rehearsal was kept"),
        (warm(121.5, findings=[]), "was away 2.0 times the predicted 60.5 s"),
    ],
)
def test_what_means_no_harm_is_told_apart(tmp_path: Path, one: Json, words: str) -> None:
    seen, said = told(tmp_path, one)
    (harmless,) = seen["harmless"]
    assert words in harmless and seen["serious"] == [] and "Needs attention" not in said


@pytest.mark.parametrize(
    "one",
    [
        receipt(findings=[]),
        receipt(findings=[], kept=True),
        warm(findings=[]),
        warm(120.9, findings=[]),
        warm(None, findings=[], answered=False, kept=True),
        failed(warm(findings=[]), started_again=True),
        failed(warm(None, findings=[])),
    ],
)
def test_where_nothing_is_odd_there_is_no_finding(tmp_path: Path, one: Json) -> None:
    seen, said = told(tmp_path, one)
    assert (seen["serious"], seen["harmless"]) == ([], []) and "Findings" not in said


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/srv/web1.OVA", "OVA"),
        ("/srv/web1.ovf", "OVF"),
        ("/etc/pve/qemu-server/101.conf", "Proxmox"),
        ("/srv/web1.xml", "libvirt"),
        ("/srv/web1.vmdk", "bare disk"),
        ("/dev/sdb", "bare disk"),
    ],
)
def test_the_page_says_from_where_it_came_and_how(tmp_path: Path, source: str, kind: str) -> None:
    assert f"{kind}, cold" in told(tmp_path, receipt(source=source))[1]
    assert f"{kind}, cold, rehearsal" in told(tmp_path, receipt(source=source, rehearsal=True))[1]
    assert f"{kind}, converted" in told(tmp_path, receipt(source=source, converted=True))[1]
    assert f"{kind}, warm" in told(tmp_path, warm(source=source))[1]


def test_the_page_has_steps_disks_and_what_became_of_them(tmp_path: Path) -> None:
    seen, said = told(tmp_path, receipt())
    assert (seen["offline_s"], seen["slowness"]) == (None, None)
    wanted = {"web1 answered", "/srv/import/web1.ova", "ctl1", "demo", "10.98.3.141", "small", "web", "boot.vmdk"}
    wanted |= {"1 VCPUs, 128 MiB of memory, bios, q35", "hw_disk_bus sata, hw_vif_model virtio"}
    wanted |= {"copy boot", "5.20 s", "done after: volumes 2.60 s, floating IP 7.40 s, server 15.1 s", "64.0 s"}
    wanted |= {"image web1", "boots", "image web1-data", "volume web1-data", "4.60 s", "4.00 MiB were there", "equal"}
    assert not wanted - set(said)
    assert "Away" not in said and "Copied while it ran" not in said


def test_a_rehearsal_has_a_network_of_its_own_and_its_server_another_name(tmp_path: Path) -> None:
    _seen, said = told(tmp_path, receipt(rehearsal=True))
    assert {"The rehearsal of web1 answered", "web1-rehearsal", "one of its own"} <= set(said) and "web" not in said


def test_a_disk_without_a_copy_says_why(tmp_path: Path) -> None:
    one = receipt(copies={})
    boot, data = one["plan"]["disks"]
    one["plan"] |= {"disks": [boot, {**data, "image": None, "make": False}]}
    _seen, said = told(tmp_path, one)
    assert {"not copied in this run", "an empty disk", "none in this run"} <= set(said)


def test_digests_that_differ_are_both_shown(tmp_path: Path) -> None:
    _seen, said = told(tmp_path, receipt(copies={"boot": copied(destination_digest=OTHER_SUM)}))
    assert {"different", samples.SUM, OTHER_SUM, "1 of 2; a digest differs"} <= set(said)


def test_what_was_predicted_of_a_warm_import_is_beside_what_it_took(tmp_path: Path) -> None:
    seen, said = told(tmp_path, warm())
    assert (seen["offline_s"], seen["slowness"]) == (65.6, 1.084)
    assert {"48.0 MiB", "61.2 s", "65.6 s", "predicted 60.5 s, 108 % of it", "108 % of the prediction"} <= set(said)
    assert "off since 2026-11-22 13:43:24 UTC, known from libvirt, which was asked to shut it down" in said
    row = said.index("the median of 1 earlier of this machine")
    assert said[row - 3 : row] == ["answer", "20.6 s", "17.0 s"]


def test_one_that_waits_to_be_stopped_has_its_rounds_and_the_prediction(tmp_path: Path) -> None:
    seen, said = told(tmp_path, warm(None, answered=False, copies={}, address="", server_seconds={}))
    assert (seen["offline_s"], seen["slowness"]) == (None, None)
    assert {"web1 was copied while it ran", "not stopped", "predicted 60.5 s", "60.5 s"} <= set(said)


def test_the_page_is_written_once_and_not_at_all_in_check_mode(tmp_path: Path) -> None:
    samples.write(tmp_path, receipt())
    page = tmp_path / f"{RUN}.html"
    would = run(tmp_path, check=True)
    assert would["changed"] and not page.exists() and would["actions"] == [f"write {page}"]
    assert run(tmp_path) == would
    again = run(tmp_path)
    assert (again["changed"], again["actions"]) == (False, [])
    assert {each.name for each in tmp_path.iterdir()} == {f"{RUN}.html", f"{RUN}.json"}


def hostile(value: t.Any, key: str = "") -> t.Any:
    """The receipt with every free text replaced; names of what is in it, too."""
    if isinstance(value, dict):
        named = key in ("properties", "copies", "server_seconds")
        return {(HOSTILE if named else name): hostile(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [hostile(each, key) for each in value]
    return HOSTILE if isinstance(value, str) and key not in ("began", "since") else value


@pytest.mark.parametrize("one", [receipt(findings=[DEVICE]), failed(warm(), left=True)])
def test_text_is_never_markup(tmp_path: Path, one: Json) -> None:
    _seen, said = told(tmp_path, hostile(one))
    reader = read_page((tmp_path / f"{RUN}.html").read_text(encoding="utf-8"))
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not [name for _tag, name, _value in reader.attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in said) > 10


@pytest.mark.parametrize(
    ("options", "document", "words"),
    [
        ({"run": "../secrets"}, receipt(), "run: found '../secrets'; expected the name of a file of receipts"),
        ({"run": "2026-01-01T00-00-00Z"}, receipt(), "found no such file; expected the receipt of an import"),
        ({}, [], "expected an object"),
        ({}, receipt(began="yesterday"), "began: found 'yesterday'; expected a time such as"),
        ({}, receipt(copies={"boot": copied(size=-1)}), "copies.boot.size: found -1"),
        ({}, receipt(answered="yes"), "answered: found 'yes'; expected true or false. Receipts are written by"),
    ],
)
def test_what_is_no_receipt_is_refused(tmp_path: Path, options: Json, document: Json, words: str) -> None:
    samples.write(tmp_path, document)
    failed_ = run(tmp_path, **options)
    assert failed_["failed"] and words in failed_["msg"]


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    samples.write(tmp_path, receipt())
    (tmp_path / f"{RUN}.html").mkdir()
    assert f"{RUN}.html: found" in run(tmp_path)["msg"]


def written(
    tmp_path: Path, *options: str, tasks_from: str = "write", fails: bool = False, **facts: t.Any
) -> tuple[Path, str]:
    """Where the role writes what it knows of an import, and what was said."""
    read = samples.machine("boot", "data")
    known = {
        "began": RUN,
        "read": read,
        "plan": samples.planned(read),
        "copies": {"boot": copied(), "data": copied()},
        "steps": samples.steps(samples.STEPS),
        "server": {"address": "10.98.3.141", "seconds": {"volumes": 2.6, "floating IP": 7.4, "server": 15.1}},
        "answered": True,
        "converted": "",
        "told": {"rounds": [], "predicted": None},
        "off": {},
        "last": 1795354925.0,
        **facts,
    }
    role = {"name": "lifeboat.cloud.machine_import", "tasks_from": tasks_from}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "machine_import_source": "/srv/import/web1.ova",
            "machine_import_report_directory": str(tmp_path / "imports"),
            "machine_import_warm": "predicted" in json.dumps(facts),
        },
        "tasks": [
            {"ansible.builtin.set_fact": {f"_machine_import_{name}": value for name, value in known.items()}},
            {"ansible.builtin.import_role": role},
        ],
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    shown = {"ANSIBLE_SHOW_CUSTOM_STATS": "1"}
    done = try_playbook(tmp_path, play, {"all": {"hosts": {"localhost": local}}}, *options, **shown)
    assert (done.returncode != 0) is fails, done.stdout
    return tmp_path / "imports", done.stdout


def test_the_role_leaves_a_page_beside_its_receipt_once(tmp_path: Path) -> None:
    directory, said = written(tmp_path)
    assert sorted(each.name for each in directory.iterdir()) == [f"{RUN}.html", f"{RUN}.json"]
    wanted = receipt(host="localhost", copies={"boot": copied(), "data": copied()})
    assert json.loads((directory / f"{RUN}.json").read_text(encoding="utf-8")) == wanted
    assert "web1 answered" in read_page((directory / f"{RUN}.html").read_text(encoding="utf-8")).texts
    assert "verdict: answered" in said and f"lifeboat_import_report: {directory / RUN}.html" in said
    assert "changed=3" in said and "changed=0" in written(tmp_path)[1]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"answered": False}, "not made yet"),
        ({"answered": False, "failure": "no answer"}, "failed"),
        ({"answered": False, "failure": "no answer", "left": True}, "failed, left things"),
    ],
)
def test_the_role_tells_what_it_has_left(tmp_path: Path, facts: Json, verdict: str) -> None:
    directory, _said = written(tmp_path, server={"failed": True, "msg": "no answer"}, **facts)
    assert verdict in read_page((directory / f"{RUN}.html").read_text(encoding="utf-8")).texts


def test_a_source_that_was_started_again_is_not_missed(tmp_path: Path) -> None:
    off = {"since": 1795354925.0 - 65.6, "by": "libvirt, which was asked to shut it down"}
    facts = {"told": {"rounds": samples.ROUNDS, "predicted": samples.PREDICTED}, "off": off, "failure": "no answer"}
    for started_again in (True, False):
        directory, _said = written(tmp_path, started_again=started_again, answered=False, **facts)
        texts = read_page((directory / f"{RUN}.html").read_text(encoding="utf-8")).texts
        assert ("the source was stopped and not started again" in texts) is not started_again


def test_the_role_writes_nothing_in_check_mode(tmp_path: Path) -> None:
    directory, _said = written(tmp_path, "--check")
    assert not directory.exists()


def test_the_role_tells_the_page_for_how_long_a_machine_may_be_away(tmp_path: Path) -> None:
    facts = {
        "told": {"rounds": samples.ROUNDS, "predicted": samples.PREDICTED},
        "off": {"since": 1795354925.0 - 65.6, "by": "libvirt, which was asked to shut it down"},
    }
    directory, said = written(tmp_path, "-e", "machine_import_offline_limit=61", tasks_from="receipt", **facts)
    texts = read_page((directory / f"{RUN}.html").read_text(encoding="utf-8")).texts
    assert "was away for 65.6 s, 61.0 s are allowed" in texts and "OVA, warm" in texts
    assert "It was away for 65.6 s" in said and f"{RUN}.json, with a page beside it" in " ".join(said.split())


def test_a_page_that_cannot_be_written_does_not_hide_what_failed_before(tmp_path: Path) -> None:
    (tmp_path / "imports" / f"{RUN}.html").mkdir(parents=True)
    directory, said = written(tmp_path, tasks_from="receipt", failure="The source stays off.", fails=True)
    assert "The source stays off. Show it on a page: " in " ".join(said.split())
    assert json.loads((directory / f"{RUN}.json").read_text(encoding="utf-8"))["failure"] == "The source stays off."
