# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a machine can carry the lab: each refusal with its thing, finding and remedy, and how the machine is seen."""

from __future__ import annotations

import dataclasses
import json
import resource
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _lab
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._lab import Machine, Need, look, problems
from ansible_collections.lifeboat.cloud.plugins.modules import lab_preflight
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

NETWORKS = {"management": "10.98.0.0/24", "tunnel": "10.98.1.0/24"}
NEED = Need(memory_mib=5000, disk_mib=6000, networks=NETWORKS)
GOOD = Machine(
    user_id=0,
    commands=frozenset(NEED.commands),
    unified_cgroups=True,
    memory_mib=5000,
    disk_mib=6000,
    routes=(("192.0.2.0/24", "eth0"), ("10.98.2.1", "eth0"), ("2001:db8::/32", "eth0")),
    lab_interfaces=frozenset(),
    open_files=20000,
    processes=20000,
)
RUNNING = {"lab_interfaces": frozenset({"podman1"}), "routes": (("10.98.0.0/24", "podman1"),)}


def machine(**changes: t.Any) -> Machine:
    return dataclasses.replace(GOOD, **changes)


def test_a_machine_with_just_enough_has_no_problem() -> None:
    assert problems(GOOD, NEED) == []


@pytest.mark.parametrize(
    ("changes", "thing", "found", "remedy"),
    [
        ({"user_id": 1000}, "the user", "user id 1000", "as root"),
        (
            {"commands": frozenset({"ip", "nsenter"})},
            "commands of this machine",
            "no mmdebstrap, podman",
            "Install podman, crun, netavark, mmdebstrap",
        ),
        ({"unified_cgroups": False}, "/sys/fs/cgroup", "the old cgroup layout", "systemd.unified_cgroup_hierarchy=1"),
        ({"memory_mib": 4999}, "memory", "4999 MiB available", "lab_memory_mib"),
        ({"disk_mib": 5999}, "disk space for containers", "5999 MiB available", "lab_disk_mib"),
        (
            {"routes": (("10.98.1.128/25", "eth1"),)},
            "network tunnel (10.98.1.0/24)",
            "a route to 10.98.1.128/25 through eth1",
            "cloud_networks",
        ),
        (
            {"routes": (("10.98.0.77", "wg0"),)},
            "network management (10.98.0.0/24)",
            "a route to 10.98.0.77 through wg0",
            "cloud_networks",
        ),
    ],
)
def test_each_lack_is_one_refusal(changes: dict[str, t.Any], thing: str, found: str, remedy: str) -> None:
    (problem,) = problems(machine(**changes), NEED)
    assert (problem.thing, problem.found) == (thing, found)
    assert problem.expected and remedy in problem.remedy


def test_a_range_that_covers_both_networks_is_in_the_way_of_both() -> None:
    assert len(problems(machine(routes=(("10.0.0.0/8", "tun0"),)), NEED)) == 2


def test_the_labs_own_routes_are_not_in_the_way() -> None:
    assert problems(machine(**RUNNING), NEED) == []
    assert len(problems(machine(**{**RUNNING, "routes": (("10.98.0.0/24", "podman2"),)}), NEED)) == 1


@pytest.mark.parametrize("cidr", ["10.98.0.1/24", "10.98.0/24/1", "everywhere", None])
def test_what_is_no_range_is_named(cidr: t.Any) -> None:
    (problem,) = problems(GOOD, dataclasses.replace(NEED, networks={"management": cidr}))
    assert problem.thing == f"network management ({cidr})"
    assert str(cidr) in problem.found and "cloud_networks" in problem.remedy


def test_the_most_basic_comes_first() -> None:
    nothing = machine(
        user_id=1,
        commands=frozenset(),
        unified_cgroups=False,
        memory_mib=0,
        disk_mib=0,
        routes=(("10.98.0.0/16", "eth0"),),
    )
    things = [problem.thing.split()[0] for problem in problems(nothing, NEED)]
    assert things == ["the", "commands", "/sys/fs/cgroup", "memory", "disk", "network", "network"]


ROUTES: list[dict[str, t.Any]] = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "192.0.2.0/24", "dev": "eth0"},
    {"type": "unreachable", "dst": "10.0.0.0/8"},
]
PODMAN_NETWORKS = [
    {"name": "podman", "network_interface": "podman0"},
    {"name": "lifeboat-management", "network_interface": "podman1"},
    {"name": "without-an-interface"},
]


class Tools:
    """A directory that is the whole PATH, with commands that say what they are told to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, name: str, said: object = "", code: int = 0) -> None:
        (self._directory / f"{name}.out").write_text(said if isinstance(said, str) else json.dumps(said))
        self.script(name, f'read -r line < {self._directory}/{name}.out; echo "$line"; exit {code}')

    def script(self, name: str, text: str) -> None:
        program = self._directory / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_lab.os, "geteuid", lambda: 0)
    made = Tools(tmp_path)
    made.put("ip", ROUTES)
    made.put("podman", PODMAN_NETWORKS)
    return made


def test_a_machine_is_seen_with_its_routes_and_the_labs_own_networks(tools: Tools) -> None:
    seen = look("lifeboat")
    assert seen.commands == {"ip", "podman"}
    assert seen.routes == (("192.0.2.0/24", "eth0"), ("10.0.0.0/8", ""))
    assert seen.lab_interfaces == {"podman1"}
    assert look("other").lab_interfaces == frozenset()
    assert seen.memory_mib > 0 and seen.disk_mib > 0
    assert (seen.open_files, seen.processes) == (
        resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        resource.getrlimit(resource.RLIMIT_NPROC)[1],
    )


def test_a_machine_without_the_commands_is_seen_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = look("lifeboat")
    assert (seen.commands, seen.routes, seen.lab_interfaces) == (frozenset(), (), frozenset())
    assert any(one.found == "no ip, mmdebstrap, nsenter, podman" for one in problems(seen, NEED))


def test_another_user_than_root_hears_that_and_not_what_podman_says(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.put("podman", "command required for rootless mode with multiple IDs: newuidmap", code=125)
    monkeypatch.setattr(_lab.os, "geteuid", lambda: 1000)
    assert problems(look("lifeboat"), NEED)[0].thing == "the user"


def test_a_command_that_fails_is_named_with_what_it_said(tools: Tools) -> None:
    tools.script("podman", "echo 'database is locked' >&2; exit 125")
    with pytest.raises(LifeboatError) as failure:
        look("lifeboat")
    assert failure.value.thing == "command podman network ls --format json"
    assert "database is locked" in failure.value.found and failure.value.remedy


def test_a_command_that_hangs_is_given_up(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lab, "COMMAND_TIMEOUT_S", 0.1)
    tools.script("ip", "exec /bin/sleep 30")
    with pytest.raises(LifeboatError, match=r"ip -j route: found no end within 0\.1 s"):
        look("lifeboat")


@pytest.fixture
def preflight(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., dict[str, t.Any]]:
    """The module on a machine with these changes."""

    def run(check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(lab_preflight, "look", lambda prefix: machine(**changes) if prefix == "lab" else None)
        arguments = {"networks": NETWORKS, "network_prefix": "lab", "memory_mib": 5000, "disk_mib": 6000}
        return run_module(lab_preflight.main, check, **arguments)

    return run


@pytest.mark.parametrize("check", [False, True])
def test_the_module_returns_what_the_lab_may_use(preflight: t.Callable[..., dict[str, t.Any]], check: bool) -> None:
    result = preflight(check)
    assert (result["changed"], result["memory_mib"], result["disk_mib"]) == (False, 5000, 6000)
    assert result["limits"] == {"nofile": 20000, "nproc": 20000}


def test_limits_are_what_podman_can_give(preflight: t.Callable[..., dict[str, t.Any]]) -> None:
    unlimited = preflight(open_files=-1, processes=-1)["limits"]
    assert unlimited == preflight(open_files=2**40, processes=2**40)["limits"] == {"nofile": 1048576, "nproc": 32768}


def test_memory_and_disk_are_not_asked_of_a_machine_whose_lab_runs(
    preflight: t.Callable[..., dict[str, t.Any]],
) -> None:
    assert preflight(memory_mib=10, disk_mib=10)["failed"]
    assert preflight(memory_mib=10, disk_mib=10, **RUNNING)["memory_mib"] == 10
    assert preflight(user_id=1, **RUNNING)["failed"]


def test_one_lack_is_the_failure(preflight: t.Callable[..., dict[str, t.Any]]) -> None:
    failed = preflight(unified_cgroups=False)
    assert failed["failed"] and failed["thing"] == "/sys/fs/cgroup"
    assert failed["remedy"] in failed["msg"] and "scripts/demo" in failed["remedy"]


def test_several_lacks_are_said_at_once_each_with_its_remedy(preflight: t.Callable[..., dict[str, t.Any]]) -> None:
    failed = preflight(user_id=7, memory_mib=1, commands=frozenset())
    assert failed["thing"] == "this machine"
    for said in ("user id 7", "Run the playbook as root.", "1 MiB available", "lab_memory_mib", "Install podman"):
        assert said in failed["msg"]
