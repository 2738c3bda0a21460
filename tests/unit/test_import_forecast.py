# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a machine will be away is the sum of what is assumed, and better learned from the receipts of others."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.import_forecast import told

MIB = 2**20
ROUNDS = [{"written": 64 * MIB, "seconds": 40.0}, {"written": 3 * MIB, "seconds": 9.5}]
GIVEN = {"machine": "web1", "server": "web1", "source": "5891", "rounds": ROUNDS, "upload_bytes": 250_000_000}


def receipt(machine="web1", make=True, answered=True, rehearsal=False, warm=None, **seconds):
    """What the role writes of an import whose steps took so long."""
    steps = {"read": 8, "shut down": 4, "copy vda": 5, "upload vda": 2, "server": 30, "answer": 20}
    steps |= {name.replace("_", " "): taken for name, taken in seconds.items()}
    return {
        "machine": {"name": machine},
        "plan": {"server": machine, "source": "5891", "make": make},
        "steps": [{"step": name, "seconds": taken} for name, taken in steps.items() if taken is not None],
        "copies": {"vda": {"size": 64 * MIB, "seconds": 5}},
        "server_seconds": {"floating IP": 12.0, "server": 28.0} if steps["server"] is not None else {},
        "rehearsal": rehearsal,
        "answered": answered,
        "warm": warm or {},
    }


@pytest.fixture
def keep(tmp_path):
    def write(*receipts):
        for number, each in enumerate(receipts):
            text = each if isinstance(each, str) else json.dumps(each)
            (tmp_path / f"2026-07-01T06-{number:02}-00Z.json").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def predicted(directory, **changed):
    return told({**GIVEN, **changed}, str(directory))["predicted"]


def seconds_of(found):
    return {part["step"]: part["seconds"] for part in found["parts"]}


def known_of(found):
    return {part["step"]: part["known"] for part in found["parts"]}


def test_without_receipts_all_but_the_copy_is_assumed_and_says_so(tmp_path):
    found = predicted(tmp_path / "none")
    assert seconds_of(found) == {"shut down": 3.0, "copy": 9.5, "upload": 2.0, "server": 29.0, "answer": 17.0}
    assert found["seconds"] == 60.5
    known = known_of(found)
    assert known.pop("copy") == "as long as the last round"
    assert all(each.startswith("assumed") for each in known.values())


def test_what_receipts_tell_is_learned_and_the_sum_is_of_it(keep):
    found = predicted(keep(receipt("db1"), receipt("db2", shut_down=6, upload_vda=4, server=40, answer=10)))
    rate = (64 * MIB / 2 + 64 * MIB / 4) / 2
    upload = round(250_000_000 / rate, 1)
    assert seconds_of(found) == {"shut down": 5.0, "copy": 9.5, "upload": upload, "server": 35.0, "answer": 15.0}
    assert found["seconds"] == pytest.approx(64.5 + upload)
    assert known_of(found)["server"] == "the median of 2 earlier of any machine"


def test_what_is_known_of_the_machine_itself_counts_more(keep):
    others = [receipt("db1", answer=300) for _number in range(5)]
    found = predicted(keep(*others, receipt("web1", answer=11, shut_down=None)))
    assert (seconds_of(found)["answer"], seconds_of(found)["shut down"]) == (11.0, 4.0)
    assert known_of(found)["answer"] == "the median of 1 earlier of this machine"
    assert known_of(found)["shut down"] == "the median of 5 earlier of any machine"


def test_a_rehearsal_teaches_without_the_network_that_it_makes(keep):
    found = predicted(keep(receipt(rehearsal=True, server=60)))
    assert seconds_of(found)["server"] == 28.0


def test_one_odd_receipt_and_old_ones_change_nothing(keep):
    old, odd = [receipt(answer=90)] * 9, receipt(answer=900)
    found = predicted(keep(*old, *[receipt(answer=20)] * 4, odd, *[receipt(answer=20)] * 4))
    assert seconds_of(found)["answer"] == 20.0


@pytest.mark.parametrize(
    ("of", "step"),
    [
        (receipt(make=False, server=0.5, answer=0.2), "server"),
        (receipt(answered=False, answer=None), "answer"),
        (receipt(server=None, answer=None, answered=False), "server"),
        (receipt(shut_down=None), "shut down"),
    ],
)
def test_what_did_not_come_about_teaches_nothing(keep, of, step):
    assert known_of(predicted(keep(of)))[step].startswith("assumed")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"a"', '{"steps": 3}'])
def test_what_is_no_receipt_is_left_out(keep, text):
    assert seconds_of(predicted(keep(receipt(answer=11), text)))["answer"] == 11.0


def waiting(**changed):
    """As a run leaves it that ends after the rounds."""
    first = predicted("/nowhere")
    return receipt(answered=False, server=None, answer=None, warm={"rounds": ROUNDS, "predicted": first}, **changed)


def test_the_run_that_goes_on_has_what_the_one_before_has_told(keep):
    found = told({**GIVEN, "rounds": []}, str(keep(receipt("db1"), waiting(), receipt("db2"))))
    assert found == {"rounds": ROUNDS, "predicted": predicted("/nowhere")}


@pytest.mark.parametrize(
    "later", [[], [waiting(), receipt()], [waiting(), receipt(answered=False)], [waiting(machine="web2")]]
)
def test_nothing_is_told_by_a_run_that_has_ended_or_was_about_another(keep, later):
    assert told({**GIVEN, "rounds": []}, str(keep(*later))) == {"rounds": (), "predicted": None}


@pytest.mark.parametrize("given", ["x", {"rounds": []}, {**GIVEN, "rounds": [{}]}, {**GIVEN, "upload_bytes": "many"}])
def test_what_cannot_be_reckoned_with_is_an_error(tmp_path, given):
    with pytest.raises(AnsibleFilterError, match="import_forecast"):
        told(given, str(tmp_path))
