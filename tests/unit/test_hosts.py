# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is, and whether hosts fit together."""

from __future__ import annotations

import copy
import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.lifeboat.cloud.plugins.filter.cloud_host_findings import FilterModule
from ansible_collections.lifeboat.cloud.plugins.module_utils import _hosts
from ansible_collections.lifeboat.cloud.plugins.modules import host_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

cloud_host_findings = FilterModule().filters()["cloud_host_findings"]

ANSWERS = {
    "dpkg-query": "installed nova-common 2:31.0.0-6\nconfig-files old 1\ninstalled libc6 2.41-12\n",
    "dpkg": "amd64\n",
    "ip": json.dumps(
        [
            {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
            {"ifname": "eth0", "addr_info": [{"local": "10.0.0.1"}, {"label": "odd"}]},
            {"ifname": "eth1"},
        ]
    ),
    "apt-cache": "libvirt0:\n  Installed: (none)\n  Candidate: 11.3.0-3\n  Version table:\nx:\n  Installed: (none)\n"
    "  Candidate: (none)\n",
}
EXPECTED = {
    "addresses": {"a": {"management": "10.0.0.1"}, "b": {"management": "10.0.0.2"}},
    "interfaces": {name: {"management": "eth0", "public": "eth1", "storage": "eth2"} for name in "ab"},
    "without_address": {"b": ["public"]},
    "one_version": ["nova-common", "libvirt0"],
    "same_ids": ["nova"],
}


def host(address: str) -> dict[str, t.Any]:
    return {
        "architecture": "amd64",
        "addresses": {"lo": ["127.0.0.1"], "eth0": [address], "eth1": []},
        "users": {"nova": "64060:64060"},
        "packages": {"nova-common": "1"},
        "candidates": {"libvirt0": "11"},
    }


@pytest.fixture
def hosts() -> dict[str, t.Any]:
    return {"a": host("10.0.0.1"), "b": host("10.0.0.2")}


def test_a_host_is_read_in_one_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA root@installer\n")
    monkeypatch.setattr(_hosts, "_SSH_KEY", tmp_path / "key.pub")
    asked: list[list[str]] = []

    def output_of(command: list[str], _timeout_s: float) -> str:
        asked.append(command)
        return ANSWERS[command[0]]

    monkeypatch.setattr(_hosts, "output_of", output_of)
    me = _hosts.pwd.getpwuid(os.getuid())
    done = run_module(host_info.main, users=[me.pw_name, "nobody-at-all"], candidates=["nova-common", "libvirt0", "x"])
    assert done["ansible_facts"]["cloud_host"] == {
        "architecture": "amd64",
        "addresses": {"lo": ["127.0.0.1"], "eth0": ["10.0.0.1"], "eth1": []},
        "users": {me.pw_name: f"{me.pw_uid}:{me.pw_gid}"},
        "groups": {group.gr_name: group.gr_mem for group in _hosts.grp.getgrall()},
        "packages": {"nova-common": "2:31.0.0-6", "libc6": "2.41-12"},
        "candidates": {"libvirt0": "11.3.0-3"},
        "ssh_key": "ssh-ed25519 AAAA",
    }
    assert ["apt-cache", "policy", "libvirt0", "x"] in asked


def test_hosts_that_fit_together(hosts: dict[str, t.Any]) -> None:
    assert cloud_host_findings(hosts, EXPECTED) == []


@pytest.mark.parametrize(
    ("path", "value", "thing", "found"),
    [
        (("addresses",), {"lo": [], "eth0": ["10.0.0.2"]}, "host b", "no interface eth1 among lo, eth0"),
        (("addresses", "eth0"), [], "host b", "10.0.0.2 nowhere, eth0 with no address"),
        (("addresses", "eth0"), ["10.0.0.9"], "host b", "10.0.0.2 nowhere, eth0 with 10.0.0.9"),
        (("packages", "nova-common"), "2", "package nova-common", "1 on a; 2 on b"),
        (("packages", "libvirt0"), "12", "package libvirt0", "11 on a; 12 on b"),
        (("users", "nova"), "998:64060", "user nova", "UID:GID 64060:64060 on a; 998:64060 on b"),
    ],
)
def test_each_difference_is_one_finding(
    path: tuple[str, ...], value: object, thing: str, found: str, hosts: dict[str, t.Any]
) -> None:
    hosts = copy.deepcopy(hosts)
    *above, last = path
    place = hosts["b"]
    for key in above:
        place = place[key]
    place[last] = value
    [finding] = cloud_host_findings(hosts, EXPECTED)
    assert (finding["thing"], finding["found"]) == (thing, found)
    assert finding["expected"]
    assert finding["remedy"]


def test_addresses_by_interface() -> None:
    shown = (Path(__file__).parent / "fixtures/steady/ip-address.json").read_text(encoding="utf-8")
    assert _hosts.parse_addresses(shown) == {"lo": ["127.0.0.1"], "mgmt0": ["10.98.0.11", "10.98.0.10", "fe80::1"]}


def test_an_address_may_have_moved_to_a_bridge(hosts: dict[str, t.Any]) -> None:
    hosts["b"]["addresses"] |= {"eth0": [], "br-eth0": ["10.0.0.2"]}
    assert cloud_host_findings(hosts, EXPECTED) == []


def test_a_user_or_package_that_a_host_lacks_is_no_difference(hosts: dict[str, t.Any]) -> None:
    hosts["b"] |= {"users": {}, "packages": {}, "candidates": {}}
    assert cloud_host_findings(hosts, EXPECTED) == []


def test_facts_of_another_shape_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="another shape"):
        cloud_host_findings({"a": {}}, EXPECTED)
