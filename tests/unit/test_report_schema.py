# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An entry of the report: schema and reader agree, and which probe speaks for the drill."""

from __future__ import annotations

import copy
import typing as t

import jsonschema
import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report import (
    section,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.entry import read_drill
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import (
    ENTRY,
    SAMPLES,
    SCHEMA,
    Entry,
    changed,
)

DRILL_SCHEMA = {"$schema": SCHEMA["$schema"], "$ref": "#/$defs/drill", "$defs": SCHEMA["$defs"]}
DRILL_VALIDATOR = jsonschema.Draft202012Validator(DRILL_SCHEMA)


def reads(entry: object) -> bool:
    try:
        read_drill("entry", entry)
    except LifeboatError:
        return False
    return True


def places(value: object, path: tuple[str | int, ...] = ()) -> t.Iterator[tuple[str | int, ...]]:
    yield path
    items: t.Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    if isinstance(value, list):
        items = list(enumerate(value))[:1]
    for key, item in items:
        yield from places(item, (*path, key))


def at(value: t.Any, path: tuple[str | int, ...]) -> t.Any:
    for key in path:
        value = value[key]
    return value


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("sample", [ENTRY, *SAMPLES.values()], ids=lambda sample: sample["name"])
def test_samples_are_valid(sample: Entry) -> None:
    DRILL_VALIDATOR.validate(sample)
    assert reads(sample)


@pytest.mark.parametrize("path", [path for path in places(ENTRY) if path], ids=lambda path: ".".join(map(str, path)))
def test_schema_and_reader_agree_on_a_missing_value(path: tuple[str | int, ...], entry: Entry) -> None:
    parent = at(entry, path[:-1])
    del parent[path[-1]]
    assert reads(entry) == DRILL_VALIDATOR.is_valid(entry)


@pytest.mark.parametrize("wrong", [None, True, "text", -1, 0.25, [], {}, [1], {"a": "b"}], ids=repr)
def test_schema_and_reader_agree_on_a_wrong_value(wrong: object, entry: Entry) -> None:
    for path in places(ENTRY):
        if path:
            broken = copy.deepcopy(entry)
            at(broken, path[:-1])[path[-1]] = wrong
            assert reads(broken) == DRILL_VALIDATOR.is_valid(broken), path


def test_unknown_keys_are_allowed_in_probes_only(entry: Entry) -> None:
    for path in places(ENTRY):
        if isinstance(at(entry, path), dict) and path[-1:] != ("errors",):
            broken = copy.deepcopy(entry)
            at(broken, path)["surplus"] = 1
            assert reads(broken) == DRILL_VALIDATOR.is_valid(broken) == (path == ("probes", 0)), path


def test_error_names_the_place(entry: Entry) -> None:
    entry["probes"][1]["latency_ms"]["p99"] = "fast"
    with pytest.raises(
        LifeboatError, match=r"entry\.probes\[1\]\.latency_ms\.p99: found 'fast'; expected a finite number"
    ):
        read_drill("entry", entry)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(entry: Entry, value: float) -> None:
    entry["recovery_s"] = value
    assert not reads(entry)


def test_limit_is_an_interval(entry: Entry) -> None:
    entry["limit_s"] = [2.0, 1.0]
    with pytest.raises(LifeboatError, match=r"entry\.limit_s"):
        read_drill("entry", entry)


def test_headline_is_the_longest_outage_with_a_bound(entry: Entry) -> None:
    del entry["limit_probe"]
    bounded, observer = entry["probes"]
    observer |= {"bound_s": None, "longest_outage_s": 99.0}
    headline = read_drill("entry", entry).headline
    assert headline and headline.name == bounded["name"]
    bounded["bound_s"] = None
    headline = read_drill("entry", entry).headline
    assert headline and headline.name == observer["name"]


def test_the_probe_of_the_limit_speaks_for_the_drill(entry: Entry) -> None:
    limited, other = entry["probes"]
    limited |= {"bound_s": None, "longest_outage_s": 5.0}
    other |= {"bound_s": 9.0, "longest_outage_s": 8.0}
    drill = read_drill("entry", changed(entry, limit_s=[1.0, 2.0], limit_probe=limited["name"]))
    assert drill.headline is drill.probes[0]
    assert [drill.exceeded_by(probe) for probe in drill.probes] == [True, False]


def test_what_was_planned_is_not_said_to_be_broken(entry: Entry) -> None:
    entry["fault"]["injected_at"] = None
    fault = read_drill("entry", entry).fault
    assert section.broken(fault) == "hang of mariadb on controller1, not injected"
    assert section.broken(None) == "nothing was broken"


def test_no_ledger_is_not_no_loss(entry: Entry) -> None:
    assert read_drill("entry", entry).lost == 0
    for probe in entry["probes"]:
        probe.pop("acknowledged", None)
    assert read_drill("entry", entry).lost is None


@pytest.mark.parametrize(
    ("outage", "bound", "limit", "over"),
    [
        (1.0, 1.0, None, False),
        (1.01, 1.0, None, True),
        (1.09, 9.0, (0.5, 1.0), False),
        (1.11, 9.0, (0.5, 1.0), True),
        (9.0, None, (0.5, 1.0), False),
    ],
)
def test_what_counts_as_over(
    entry: Entry, outage: float, bound: float | None, limit: tuple[float, float] | None, over: bool
) -> None:
    del entry["limit_probe"]
    entry["probes"][0] |= {"longest_outage_s": outage, "bound_s": bound}
    entry["limit_s"] = list(limit) if limit else None
    drill = read_drill("entry", entry)
    assert drill.exceeded_by(drill.probes[0]) is over
