# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steady state: how a controller is asked, and the module that asks."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _steady_checks
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of, parse_active_states
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._steady_checks import (
    Controller,
    concurrently,
    core_dumps,
    steady_state,
)
from ansible_collections.lifeboat.cloud.plugins.modules import steady_state as steady_state_module
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.steady_samples import controller

FIXTURES = Path(__file__).parent / "fixtures" / "steady"


def test_unit_states_in_order() -> None:
    shown = "ActiveState=active\n\nActiveState=inactive\n"
    assert parse_active_states(["a", "b"], shown) == {"a": "active", "b": "inactive"}
    with pytest.raises(LifeboatError, match="2 answers"):
        parse_active_states(["a"], shown)


def test_programs() -> None:
    assert output_of(["echo", "here"], 5.0) == "here\n"
    with pytest.raises(LifeboatError, match=r"exit status 3: no"):
        output_of(["sh", "-c", "echo no >&2; exit 3"], 5.0)
    with pytest.raises(LifeboatError, match="no end within"):
        output_of(["sleep", "9"], 0.1)
    with pytest.raises(LifeboatError, match="no such program"):
        output_of(["/no/such/program"], 1.0)


def test_work_goes_on_beside_what_hangs_or_breaks() -> None:
    forever = threading.Event()
    begin = time.monotonic()
    results = concurrently(
        {"slow": lambda: str(forever.wait(30)), "bad": lambda: str(1 // 0), "good": lambda: "x"}, 2.0
    )
    assert time.monotonic() - begin < 5
    forever.set()
    assert results["good"] == "x"
    assert isinstance(results["bad"], ZeroDivisionError)
    assert isinstance(results["slow"], LifeboatError) and "no answer within 2 s" in str(results["slow"])


def test_checks_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    results = concurrently({name: lambda: str(together.wait(5) >= 0) for name in "abc"}, 5.0)
    assert set(results.values()) == {"True"}


def test_core_dumps_newer_than_an_instant(tmp_path: Path) -> None:
    for name, written in (("core", 100), ("core.1234", 300), ("core.mariadbd.0.zst", 400), ("ibdata1", 500)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (written, written))
    (tmp_path / "core.d").mkdir()
    assert core_dumps(200, [tmp_path, tmp_path / "absent"]) == [
        str(tmp_path / "core.1234"),
        str(tmp_path / "core.mariadbd.0.zst"),
    ]


class Health(http.server.BaseHTTPRequestHandler):
    """Keystone without a database."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/healthcheck" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def identity_port() -> t.Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache() -> t.Iterator[tuple[int, list[bytes]]]:
    listener = socket.create_server(("127.0.0.1", 0))
    answers = [b"VERSION 1.6.38\r\n"]

    def run() -> None:
        stream, _address = listener.accept()
        with stream:
            stream.recv(100)
            stream.sendall(answers[0])

    threading.Thread(target=run, daemon=True).start()
    yield listener.getsockname()[1], answers
    listener.close()


def asked(monkeypatch: pytest.MonkeyPatch, component: str, **places: t.Any) -> dict[str, t.Any]:
    def states(units: t.Sequence[str], timeout_s: float) -> dict[str, str]:
        return dict.fromkeys(units, "active")

    monkeypatch.setattr(_steady_checks, "active_states", states)
    target = Controller(vip="192.0.2.1", address="127.0.0.1", management=None, timeout_s=1.0, **places)
    return t.cast("dict[str, t.Any]", steady_state(target, [component])[component])


def test_an_unhealthy_keystone_answers(monkeypatch: pytest.MonkeyPatch, identity_port: int) -> None:
    assert asked(monkeypatch, "identity", identity_port=identity_port) == {
        "running": True,
        "answering": True,
        "status": 503,
        "error": None,
    }


def test_memcached(monkeypatch: pytest.MonkeyPatch, cache: tuple[int, list[bytes]]) -> None:
    expected = {"running": True, "answering": True, "error": None}
    assert asked(monkeypatch, "cache", cache_port=cache[0]) == expected


def test_something_else_on_the_port_of_memcached(
    monkeypatch: pytest.MonkeyPatch, cache: tuple[int, list[bytes]]
) -> None:
    cache[1][0] = b"-ERR unknown command\r\n"
    answer = asked(monkeypatch, "cache", cache_port=cache[0])
    assert not answer["answering"] and "-ERR" in answer["error"]


@pytest.mark.parametrize(
    ("component", "places"),
    [
        ("cache", {"cache_port": 1}),
        ("identity", {"identity_port": 1}),
        ("database", {"database_socket": "/nonexistent/socket"}),
        ("load_balancer", {"load_balancer_socket": "/nonexistent/socket"}),
        ("message_queue", {}),
    ],
)
def test_what_does_not_answer_says_so_in_the_usual_shape(
    component: str, places: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked(monkeypatch, component, **places)
    assert answer["running"] and answer["error"]
    assert set(answer) == set(controller(False)[component])


def test_a_host_without_systemd_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def states(units: t.Sequence[str], timeout_s: float) -> dict[str, str]:
        raise LifeboatError("systemctl", "nothing", "systemd", "Boot.")

    monkeypatch.setattr(_steady_checks, "active_states", states)
    target = Controller(vip="192.0.2.1", address="127.0.0.1", management=None, cache_port=1, timeout_s=1.0)
    answer = steady_state(target, ["cache"])["cache"]
    assert not answer["running"] and answer["error"]


def test_only_what_was_asked_for() -> None:
    target = Controller(vip="192.0.2.1", address="127.0.0.1", management=None)
    assert steady_state(target, ["core_dumps"]).keys() == {"core_dumps"}


def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    return run_module(steady_state_module.main, check, vip="192.0.2.1", address="127.0.0.1", **options)


def test_the_module_needs_a_user_of_the_message_queue_only_to_ask_it() -> None:
    failed = run(components=["message_queue"])
    assert (failed["failed"], failed["thing"]) == (True, "rabbitmq_user")
    assert "leave message_queue out" in failed["remedy"]
    assert run(components=["core_dumps"])["steady"].keys() == {"core_dumps"}


@pytest.mark.parametrize("check", [False, True])
def test_the_module_does_not_fail_over_what_does_not_answer_and_shows_no_password(
    check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_steady_checks, "active_states", lambda units, timeout_s: dict.fromkeys(units, "active"))
    user = {"rabbitmq_user": "monitor", "rabbitmq_password": "s3cret-value", "rabbitmq_port": 1}
    result = run(check, components=["message_queue"], timeout=1.0, **user)
    assert result["changed"] is False
    assert result["steady"]["message_queue"]["error"]
    assert "s3cret-value" not in json.dumps(result)
