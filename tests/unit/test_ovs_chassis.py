# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open vSwitch of a chassis: what differs is one transaction, the rest is left alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._ovs_chassis import (
    Bridge,
    Chassis,
    carry_out,
    differences,
    look,
)
from ansible_collections.lifeboat.cloud.plugins.modules import ovs_chassis
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

# As ovs-vsctl 3.5 prints.
ANSWERS = {
    "Open_vSwitch": '{"data":[[["map",[["hostname","cmp1"],["ovn-encap-type","geneve"],["system-id","cmp1"]]]]],'
    '"headings":["external_ids"]}',
    "Port": '{"data":[[["uuid","a1"],"br-ex"],[["uuid","a2"],"public0"],[["uuid","b1"],"br-int"]],'
    '"headings":["_uuid","name"]}',
    "Bridge": '{"data":[["br-ex","netdev",["set",[["uuid","a1"],["uuid","a2"]]]],["br-int","",["uuid","b1"]]],'
    '"headings":["name","datapath_type","ports"]}',
    "get-manager": "ptcp:6640:127.0.0.1\n",
}
FOUND = look(lambda words: ANSWERS[words[-1]])
SAME = Chassis(
    {"ovn-encap-type": "geneve"}, (Bridge("br-ex", "netdev", ("public0",)), Bridge("br-int")), ("ptcp:6640:127.0.0.1",)
)


def says(wanted: Chassis, found: Chassis = FOUND) -> list[str]:
    return [step.says for step in differences(wanted, found)]


def test_what_is_there_is_read() -> None:
    assert FOUND.external_ids == {"hostname": "cmp1", "ovn-encap-type": "geneve", "system-id": "cmp1"}
    assert FOUND.bridges == (Bridge("br-ex", "netdev", ("br-ex", "public0")), Bridge("br-int", "", ("br-int",)))
    assert FOUND.managers == ("ptcp:6640:127.0.0.1",)


def test_nothing_differs() -> None:
    assert says(SAME) == []
    assert says(Chassis(managers=None)) == []


def test_what_differs_is_said() -> None:
    wanted = Chassis(
        {"ovn-encap-type": "vxlan", "hostname": None, "absent": None}, (Bridge("br-ex", "", ("bond0",)),), ()
    )
    assert says(wanted) == [
        "give bridge br-ex the datapath system",
        "add port bond0 to bridge br-ex",
        "set ovn-encap-type to vxlan",
        "remove hostname",
        "be managed by nobody",
    ]


def test_a_new_host_is_made_in_one_transaction() -> None:
    asked: list[Sequence[str]] = []
    carry_out(list(differences(SAME, Chassis(managers=()))), lambda words: asked.append(words) or "")
    assert " ".join(asked[0]) == (
        "-- add-br br-ex -- set Bridge br-ex datapath_type=netdev -- add-port br-ex public0 -- add-br br-int"
        ' -- set Open_vSwitch . external_ids:ovn-encap-type="geneve" -- set-manager ptcp:6640:127.0.0.1'
    )
    assert len(asked) == 1
    carry_out([], lambda words: asked.append(words) or "")
    assert len(asked) == 1


def test_the_module_tells_in_check_mode_and_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def vsctl(words: Sequence[str]) -> str:
        asked.append(" ".join(words))
        return "" if words[0] == "--" else ANSWERS[words[-1]]

    monkeypatch.setattr(ovs_chassis, "vsctl", vsctl)
    wanted = {
        "external_ids": {"ovn-encap-type": "geneve", "hostname": None},
        "bridges": [{"name": "br-ex", "datapath_type": "netdev", "ports": ["public0"]}, {"name": "br-int"}],
    }
    told = run_module(ovs_chassis.main, True, **wanted)
    assert (told["changed"], told["actions"]) == (True, ["remove hostname"])
    assert not [words for words in asked if words.startswith("--") and " remove " in words]
    run_module(ovs_chassis.main, **wanted)
    assert asked[-1] == "-- remove Open_vSwitch . external_ids hostname"
    assert not run_module(ovs_chassis.main, external_ids={"ovn-encap-type": "geneve"})["changed"]
