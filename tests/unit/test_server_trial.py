# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial of a server: all of it is removed, whatever fails."""

from __future__ import annotations

import typing as t
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _server_trial
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_trial import Trial, Wanted, try_server
from ansible_collections.lifeboat.cloud.plugins.modules import server_trial
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

WANTED = Wanted("guest", "small", "public", "192.168.250.0/24", 1, 80, "/", timeout_s=0.05)


class Project:
    """A project of a cloud. ``there`` is what it has, as (kind, name); ``broken`` names calls that fail."""

    def __init__(self) -> None:
        self.there: list[tuple[str, str]] = []
        self.broken: set[str] = set()
        self.states: dict[str, list[str]] = {"server": ["BUILD", "ACTIVE"], "volume": ["creating", "available"]}
        self.compute = self.network = self.block_storage = self.image = self

    def __getattr__(self, call: str) -> t.Callable[..., t.Any]:
        if call.startswith("__"):
            raise AttributeError(call)
        return lambda *arguments, **options: self.answer(call, arguments, options)

    def answer(self, call: str, arguments: tuple[t.Any, ...], options: dict[str, t.Any]) -> t.Any:
        if call in self.broken:
            raise RuntimeError(f"{call} refused")
        verb, _underscore, kind = call.partition("_")
        if verb == "create":
            return self.create(kind, options)
        if verb == "delete":
            self.there = [each for each in self.there if each[0] != kind]
        if verb == "get":
            states = self.states[kind]
            return SimpleNamespace(status=states.pop(0) if len(states) > 1 else states[0], compute_host="cmp1")
        if verb == "find" and f"{kind}s" not in self.broken:
            return SimpleNamespace(id=f"{kind}-id")
        if verb == "ports":
            return iter([SimpleNamespace(id="port-id")])
        of = {"security": "security_group"}.get(verb, verb.removesuffix("s"))
        return iter([SimpleNamespace(id=name) for each, name in self.there if each == of]) if verb != "find" else None

    def create(self, kind: str, options: dict[str, t.Any]) -> t.Any:
        name = options.get("name") or options.get("description") or ""
        if name:
            self.there.append((kind, name))
        if kind == "volume_attachment":
            self.states["volume"] = ["attaching", "in-use"]
        return SimpleNamespace(id=f"{kind}-id", name=name, floating_ip_address="203.0.113.9")


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(_server_trial, "_POLL_S", 0)
    monkeypatch.setattr(_server_trial, "_status", lambda _address, _wanted: "200")
    project = Project()
    delete = project.answer

    def with_subnets(call: str, arguments: tuple[t.Any, ...], options: dict[str, t.Any]) -> t.Any:
        if call == "delete_network":
            project.there = [each for each in project.there if each[0] != "subnet"]
        return delete(call, arguments, options)

    monkeypatch.setattr(project, "answer", with_subnets)
    return project


def test_each_step_has_its_time_and_nothing_is_left(project: Project) -> None:
    trial = try_server(project, WANTED)
    assert list(trial.seconds) == [
        "network",
        "volume available",
        "server ACTIVE",
        "floating IP answers",
        "volume attached",
        "removed",
    ]
    assert (trial.address, trial.host, project.there) == ("203.0.113.9", "cmp1", [])


def test_without_a_volume_none_is_made(project: Project) -> None:
    project.broken = {"create_volume", "create_volume_attachment"}
    try_server(project, Wanted("guest", "small", "public", "192.168.250.0/24", 0, 80, "/", timeout_s=0.05))
    assert project.there == []


@pytest.mark.parametrize(
    ("broken", "states", "said"),
    [
        ("create_router", {}, "create_router refused"),
        ("create_server", {}, "create_server refused"),
        ("", {"server": ["BUILD", "ERROR"]}, "found ERROR; expected ACTIVE"),
        ("", {"server": ["BUILD"]}, "server after 0.05 s: found BUILD; expected ACTIVE"),
        ("", {"volume": ["creating", "error"]}, "found error; expected available"),
        ("images", {}, "image guest: found none that this project sees"),
    ],
)
def test_what_was_made_is_removed_when_a_step_fails(
    broken: str, states: dict[str, list[str]], said: str, project: Project
) -> None:
    project.broken = {broken}
    project.states |= states
    with pytest.raises(LifeboatError, match=said):
        try_server(project, WANTED)
    assert project.there == []


def test_what_cannot_be_removed_is_named(project: Project) -> None:
    project.broken = {"delete_router"}
    with pytest.raises(LifeboatError, match=r"left behind router trial-1 \(delete_router refused\); router trial-1"):
        try_server(project, WANTED, Trial("trial-1"))
    assert project.there == [("router", "trial-1")]


def test_a_server_that_does_not_answer_fails_the_trial(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server_trial, "_status", lambda _address, _wanted: "timed out")
    with pytest.raises(LifeboatError, match=r"answer of the server after .* found timed out"):
        try_server(project, WANTED)
    assert project.there == []


def test_check_mode_makes_nothing() -> None:
    assert run_module(server_trial.main, True, cloud="nowhere")["changed"] is False
