# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drill files: what is accepted, how it is normalised, and what each mistake is answered with."""

from __future__ import annotations

import copy
import typing as t
from enum import Enum

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named, select
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import Component, Form, Healing, Pick
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._limits import FORMULAS
from hypothesis import given
from hypothesis import strategies as st

if t.TYPE_CHECKING:
    from pathlib import Path

PROBES = ("database_ledger", "identity_api")

DRILL: dict[str, t.Any] = {
    "name": "writer_hung",
    "says": "The writer hangs.",
    "tags": ["database"],
    "needs": {"database": 3},
    "steady": ["vip", "database"],
    "probes": {
        "database_ledger": {"bound": {"outage": "1600ms", "lost": 0}, "at_least": {"outage": "0.5s"}},
        "identity_api": None,
    },
    "fault": {"form": "hang", "component": "database", "pick": "active_writer"},
    "hold": "10s",
    "recovery": {"within": "1min"},
    "limit": {"formula": "galera_member_loss", "probe": "database_ledger"},
    "audits": ["no_core_dump"],
}

SLOW_DISK: dict[str, t.Any] = {
    "form": "slow_disk",
    "component": "database",
    "pick": "all",
    "path": "/var/lib/mysql",
    "iops": 10,
}
CLOCK_STEP: dict[str, t.Any] = {"form": "clock_step", "pick": "not_vip_holder", "step_s": -300}


def changed(path: str, value: object) -> dict[str, t.Any]:
    """The drill with ``value`` at the dotted ``path``; None removes it."""
    drill = copy.deepcopy(DRILL)
    *parents, key = path.split(".")
    inner = drill
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    return drill


def test_durations_and_defaults_are_normalised() -> None:
    drill = read_drill("writer_hung.yml", DRILL, PROBES)
    assert drill.hold == 10.0
    assert drill.recovery.within == 60.0
    assert drill.recovery.by is Healing.HEAL
    assert drill.needs == ((Component.DATABASE, 3),)
    assert drill.probes[0].bound.outage == 1.6
    assert drill.probes[0].bound.lost == 0
    assert drill.probes[0].bound.failed is None
    assert drill.probes[1].at_least.outage is None


def test_normal_form_is_read_as_the_same_drill() -> None:
    drill = read_drill("writer_hung.yml", DRILL, PROBES)
    mapping = drill.as_mapping()
    assert read_drill("again", mapping) == drill
    assert mapping["probes"]["database_ledger"] == {"bound": {"outage": 1.6, "lost": 0}, "at_least": {"outage": 0.5}}
    assert not isinstance(mapping["fault"]["form"], Enum)


@pytest.mark.parametrize(
    ("path", "value", "place", "said"),
    [
        ("hodl", "1s", "key hodl", "Did you mean hold?"),
        ("probes.databse_ledger", {}, "key probes", "Did you mean database_ledger?"),
        ("probes.identity_api", {"bounds": {}}, "key probes.identity_api.bounds", "Did you mean bound?"),
        (
            "probes.database_ledger.bound.outage",
            "soon",
            "key probes.database_ledger.bound.outage",
            "a duration such as",
        ),
        ("probes.database_ledger.bound.outage", -1, "key probes.database_ledger.bound.outage", "a duration such as"),
        ("probes.database_ledger.bound.lost", "1s", "key probes.database_ledger.bound.lost", "whole number"),
        ("probes.database_ledger.bound.p99.9", 1, "key probes.database_ledger.bound", "mapping"),
        ("probes.database_ledger.bound.p9999", "1s", "key probes.database_ledger.bound.p9999", "p999"),
        ("probes.database_ledger.at_least.outage", "2s", "key probes.database_ledger.at_least.outage", "1.6"),
        ("probes", {}, "key probes", "at least one probe"),
        ("fault.form", "crush", "key fault.form", "Did you mean crash?"),
        ("fault.component", "databases", "key fault.component", "Did you mean database?"),
        ("fault.pick", "active_writr", "key fault.pick", "Did you mean active_writer"),
        ("fault.network", "management", "key fault.network", "network_cut"),
        ("fault.pick", "queue_leader", "key fault.pick", "message_queue"),
        ("fault.form", "power_off", "key fault.component", "whole host"),
        ("fault.component", None, "key fault.component", "the component"),
        ("fault", {"form": "network_cut", "pick": "any"}, "key fault.network", "a network"),
        ("fault.path", "/var/lib/mysql", "key fault.path", "a path for the form slow_disk, and only for it"),
        ("fault.iops", 10, "key fault.iops", "slow_disk, and only for it"),
        ("fault.step_s", 60, "key fault.step_s", "a step for the form clock_step, and only for it"),
        ("fault.iop", 10, "key fault.iop", "Did you mean iops?"),
        ("fault", SLOW_DISK | {"iops": 0}, "key fault.iops", "at least 1"),
        ("fault", SLOW_DISK | {"iops": "10/s"}, "key fault.iops", "whole number"),
        ("fault", SLOW_DISK | {"path": "var/lib"}, "key fault.path", "absolute"),
        ("fault", {key: SLOW_DISK[key] for key in ("form", "component", "pick", "iops")}, "key fault.path", "a path"),
        ("fault", {key: SLOW_DISK[key] for key in ("form", "component", "pick", "path")}, "key fault.iops", "a rate"),
        ("fault", SLOW_DISK, "key limit.formula", "none; leave the limit out"),
        ("fault", CLOCK_STEP | {"component": "database"}, "key fault.component", "whole host"),
        ("fault", CLOCK_STEP | {"step_s": 0}, "key fault.step_s", "1 to 86400"),
        ("fault", CLOCK_STEP | {"step_s": 86401}, "key fault.step_s", "1 to 86400"),
        ("fault", CLOCK_STEP | {"step_s": -86401}, "key fault.step_s", "at least -86400"),
        ("fault", CLOCK_STEP | {"step_s": "1min"}, "key fault.step_s", "whole number"),
        ("fault", {"form": "clock_step", "pick": "any"}, "key fault.step_s", "a step"),
        ("fault", CLOCK_STEP, "key limit.formula", "none; leave the limit out"),
        ("fault", {"form": "partition", "component": "cache", "pick": "any"}, "key fault.form", "quorum"),
        ("fault", {"form": "partition", "component": "database", "pick": "all"}, "key fault.pick", "one member"),
        (
            "fault",
            {"form": "crash", "component": "database", "pick": "all"},
            "key limit.formula",
            "galera_total_outage",
        ),
        ("limit.formula", "galera_member_los", "key limit.formula", "Did you mean galera_member_loss"),
        ("limit.formula", "vrrp_silence", "key limit.formula", "galera_member_loss, galera_member_loss_via_proxy"),
        ("limit.probe", "identity_token", "key limit.probe", "identity_api"),
        ("audits", ["no_coredump"], "key audits", "Did you mean no_core_dump?"),
        ("steady", ["vip", "databse"], "key steady", "Did you mean database?"),
        ("needs.galera", 3, "key needs.galera", "Known: cache, database"),
        ("needs.database", "three", "key needs.database", "whole number"),
        ("hold", "0s", "key hold", "more than 0 s"),
        ("hold", None, "key hold", "Add the key hold"),
        ("recovery.by", "prayer", "key recovery.by", "heal"),
        ("says", "", "key says", "text"),
        ("tags", "database", "key tags", "a list"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(path: str, value: object, place: str, said: str) -> None:
    drill = copy.deepcopy(DRILL)
    if path == "probes.database_ledger.bound.p99.9":
        drill["probes"]["database_ledger"]["bound"] = "1s"
    else:
        drill = changed(path, value)
    with pytest.raises(LifeboatError) as error:
        read_drill("folder/writer_hung.yml", drill, PROBES)
    assert error.value.thing == f"drill file folder/writer_hung.yml, {place}"
    assert said in str(error.value)


@pytest.mark.parametrize("fault", [SLOW_DISK, CLOCK_STEP])
def test_what_a_form_is_told_reaches_the_normal_form(fault: dict[str, t.Any]) -> None:
    drill = read_drill("x", {key: value for key, value in DRILL.items() if key != "limit"} | {"fault": fault})
    assert drill.as_mapping()["fault"] == fault
    assert read_drill("again", drill.as_mapping()) == drill


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(LifeboatError, match=r"drill file x\.yml: found \['a'\]; expected a mapping"):
        read_drill("x.yml", ["a"])


@given(form=st.sampled_from(Form), component=st.none() | st.sampled_from(Component), pick=st.sampled_from(Pick))
def test_every_accepted_fault_is_accepted_with_exactly_its_formulas(
    form: Form, component: Component | None, pick: Pick
) -> None:
    fault = {"form": str(form), "pick": str(pick)} | ({"component": str(component)} if component else {})
    fault |= {"network": "management"} if form is Form.NETWORK_CUT else {}
    fault |= {"path": "/srv", "iops": 10} if form is Form.SLOW_DISK else {}
    fault |= {"step_s": 60} if form is Form.CLOCK_STEP else {}
    plain = {key: value for key, value in DRILL.items() if key != "limit"} | {"fault": fault}
    try:
        drill = read_drill("x", plain)
    except LifeboatError:
        return
    whole_host = {Form.POWER_OFF, Form.HOST_FREEZE, Form.NETWORK_CUT, Form.CLOCK_STEP}
    assert (drill.fault.component is None) == (form in whole_host)
    for name, formula in FORMULAS.items():
        limited = plain | {"limit": {"formula": name, "probe": "identity_api"}}
        if formula.holds_for(form, component, pick):
            assert read_drill("x", limited).limit is not None
        else:
            with pytest.raises(LifeboatError):
                read_drill("x", limited)


def write(directory: Path, name: str, text: str) -> Path:
    """A drill file."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


TEXT = """
name: {name}
says: Something.
tags: [{tag}]
probes: {{identity_api: }}
fault: {{form: crash, component: identity, pick: any}}
hold: 1s
recovery: {{within: 1s}}
"""


def drills(tmp_path: Path) -> tuple[Drill, ...]:
    for name, tag in (("alpha", "first"), ("beta", "second"), ("gamma", "second")):
        write(tmp_path / "one", f"{name}.yml", TEXT.format(name=name, tag=tag))
    return load([tmp_path / "one"], PROBES)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("all", ["alpha", "beta", "gamma"]),
        ("beta", ["beta"]),
        ("second", ["beta", "gamma"]),
        ("gamma, first", ["alpha", "gamma"]),
        ("beta,second", ["beta", "gamma"]),
    ],
)
def test_selection_by_name_tag_and_list(tmp_path: Path, wanted: str, chosen: list[str]) -> None:
    assert [drill.name for drill in select(drills(tmp_path), wanted)] == chosen


@pytest.mark.parametrize(
    ("wanted", "said"), [("betta", "Did you mean beta?"), ("beta,secnd", "second"), (" , ", "alpha")]
)
def test_an_unknown_selection_lists_what_is_near(tmp_path: Path, wanted: str, said: str) -> None:
    with pytest.raises(LifeboatError, match=said):
        select(drills(tmp_path), wanted)


def test_named_finds_only_names(tmp_path: Path) -> None:
    assert named(drills(tmp_path), "beta").name == "beta"
    with pytest.raises(LifeboatError, match="Known: alpha, beta, gamma"):
        named(drills(tmp_path), "second")


def test_a_name_that_is_not_the_file_s_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "delta.yml", TEXT.format(name="alpha", tag="x"))
    with pytest.raises(LifeboatError, match="found alpha; expected delta"):
        load([tmp_path])


def test_a_name_of_two_files_is_refused(tmp_path: Path) -> None:
    drills(tmp_path)
    write(tmp_path / "own", "beta.yml", TEXT.format(name="beta", tag="x"))
    with pytest.raises(LifeboatError, match=r"beta again.*one/beta\.yml"):
        load([tmp_path / "one", tmp_path / "own"])


def test_a_missing_folder_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match=r"nowhere: found no such directory"):
        load([tmp_path / "nowhere"])
    write(tmp_path, "broken.yml", "name: [")
    with pytest.raises(LifeboatError, match=r"broken\.yml: found .*expected YAML"):
        load([tmp_path])
