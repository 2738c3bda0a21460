# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's statistics and configuration, read as HAProxy means them, and the module load_balancer_info."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._haproxy import (
    Server,
    Statistics,
    parse_statistics,
    parse_version,
    statistics,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._haproxy_config import parse_backends, time_s
from ansible_collections.lifeboat.cloud.plugins.modules import load_balancer_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures" / "steady"
STAT = (FIXTURES / "haproxy-stat.csv").read_text()
CONFIG = [(FIXTURES / name).read_text() for name in ("haproxy.cfg", "haproxy-services.cfg")]


def test_servers_and_not_the_sums_of_frontends_and_backends() -> None:
    backends = parse_statistics(STAT)
    assert {name: sorted(servers) for name, servers in backends.items()} == {
        "identity": ["ctl1", "ctl2"],
        "database": ["ctl1", "ctl2"],
    }


def test_a_server_that_is_down() -> None:
    server = parse_statistics(STAT)["identity"]["ctl2"]
    assert (server.status, server.check, server.downtime_s, server.since_change_s) == ("DOWN", "L4CON", 34, 12)
    assert (server.connection_errors, server.response_errors, server.retries, server.redispatches) == (3, 1, 2, 5)
    assert (server.sessions, server.sessions_total, server.address) == (1, 424, "10.98.0.12:5000")


@pytest.mark.parametrize(
    ("statuses", "silent"),
    [
        (["UP", "DOWN"], []),
        (["UP 1/2"], []),
        (["no check"], []),
        (["DOWN", "MAINT"], ["image"]),
        (["DOWN 1/2"], ["image"]),
    ],
)
def test_a_backend_is_silent_when_none_of_its_servers_takes_requests(statuses: list[str], silent: list[str]) -> None:
    servers = {f"ctl{number}": Server(status=status) for number, status in enumerate(statuses)}
    assert Statistics("3.0.11", {"image": servers, "identity": {"ctl1": Server(status="UP")}}).silent == silent


def test_backup_and_intermediate_states() -> None:
    servers = parse_statistics(STAT)["database"]
    assert (servers["ctl1"].status, servers["ctl1"].backup) == ("UP 1/2", False)
    assert (servers["ctl2"].status, servers["ctl2"].backup, servers["ctl2"].downtime_s) == ("no check", True, 0)


@pytest.mark.parametrize("answer", ["", "Unknown command: 'show stat'\n"])
def test_what_is_no_table_is_refused(answer: str) -> None:
    with pytest.raises(LifeboatError, match="expected a table"):
        parse_statistics(answer)


def test_version() -> None:
    assert parse_version("Name: HAProxy\nVersion: 3.0.11-1+deb13u1\nUptime: 0d\n") == "3.0.11-1+deb13u1"
    with pytest.raises(LifeboatError, match="version"):
        parse_version("Permission denied\n")


def serve(path: Path, answers: dict[bytes, bytes]) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        for _question in answers:
            stream, _address = listener.accept()
            with stream:
                stream.sendall(answers[stream.recv(100)])

    threading.Thread(target=run, daemon=True).start()


def test_both_questions_are_asked_over_the_socket(tmp_path: Path) -> None:
    serve(tmp_path / "s", {b"show info\n": b"Version: 3.0.11\n", b"show stat\n": STAT.encode()})
    said = statistics(str(tmp_path / "s"), 5.0)
    assert said.version == "3.0.11"
    assert said.backends == parse_statistics(STAT)


def test_a_silent_haproxy_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    begin = time.monotonic()
    with pytest.raises(LifeboatError, match="in time"):
        statistics(str(tmp_path / "s"), 0.2)
    assert time.monotonic() - begin < 2.0
    listener.close()


def test_no_socket(tmp_path: Path) -> None:
    with pytest.raises(LifeboatError, match="Start HAProxy"):
        statistics(str(tmp_path / "none"), 0.2)


@pytest.mark.parametrize(
    ("text", "expected"), [("200ms", 0.2), ("100", 0.1), ("2s", 2.0), ("1m", 60.0), ("50us", 5e-5), ("1h", 3600.0)]
)
def test_times(text: str, expected: float) -> None:
    assert time_s(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "1.5s", "fast", "-1s"])
def test_no_times(text: str) -> None:
    with pytest.raises(LifeboatError):
        time_s(text)


@given(st.integers(0, 10**6))
def test_units_agree(number: int) -> None:
    assert time_s(f"{number}s") == pytest.approx(time_s(f"{number * 1000}"))
    assert time_s(f"{number}m") == pytest.approx(time_s(f"{number * 60}s"))


def test_a_backend_has_the_defaults_of_an_earlier_file() -> None:
    identity = parse_backends(CONFIG)["identity"]
    assert (identity.fastinter_s, identity.downinter_s, identity.fall, identity.rise) == (0.05, 0.5, 2, 2)
    assert (identity.check_timeout_s, identity.connect_timeout_s) == (0.1, 0.3)
    assert identity.redispatch and identity.checked and identity.on_error_mark_down
    assert (identity.observe, identity.error_limit, identity.retries) == ("layer4", 1, 3)
    assert identity.retry_on == ("conn-failure", "empty-response")


def test_the_slowest_server_counts() -> None:
    assert parse_backends(CONFIG)["identity"].inter_s == 1.0


def test_a_backend_overrides_the_defaults() -> None:
    database = parse_backends(CONFIG)["database"]
    assert (database.fall, database.inter_s, database.redispatch) == (3, 0.2, False)
    assert database.retry_on == ("conn-failure",)


def test_one_unchecked_server_makes_the_backend_unchecked() -> None:
    assert not parse_backends(CONFIG)["database"].checked


def test_haproxys_own_defaults() -> None:
    bare = parse_backends(CONFIG)["bare"]
    assert (bare.inter_s, bare.fastinter_s, bare.downinter_s, bare.fall, bare.rise) == (2.0, 2.0, 2.0, 3, 2)
    assert (bare.check_timeout_s, bare.connect_timeout_s) == (2.0, 5.0)
    assert (bare.redispatch, bare.retries, bare.retry_on) == (False, 3, ("conn-failure",))
    assert (bare.observe, bare.error_limit, bare.on_error_mark_down) == (None, 10, False)


def test_a_new_defaults_section_begins_anew() -> None:
    text = "defaults\n timeout connect 1s\ndefaults\n mode http\nbackend b\n server s 127.0.0.1:1 check\n"
    assert parse_backends([text])["b"].connect_timeout_s is None


def test_backends_without_servers_are_left_out() -> None:
    assert sorted(parse_backends(CONFIG)) == ["bare", "database", "identity"]


def test_an_open_quote_is_named_with_its_line() -> None:
    with pytest.raises(LifeboatError, match="line 2"):
        parse_backends(['backend b\n server s "127.0.0.1:1 check\n'])


@pytest.mark.parametrize("check", [False, True])
def test_the_module_returns_every_server_by_backend(tmp_path: Path, check: bool) -> None:
    serve(tmp_path / "s", {b"show info\n": b"Version: 3.0.11\n", b"show stat\n": STAT.encode()})
    result = run_module(load_balancer_info.main, check, socket=str(tmp_path / "s"))
    assert result["changed"] is False
    found = result["load_balancer"]
    assert found["version"] == "3.0.11"
    assert {name: sorted(servers) for name, servers in found["backends"].items()} == {
        "identity": ["ctl1", "ctl2"],
        "database": ["ctl1", "ctl2"],
    }
    assert (found["backends"]["identity"]["ctl2"]["status"], found["backends"]["database"]["ctl2"]["backup"]) == (
        "DOWN",
        True,
    )


def test_the_module_says_which_socket_is_silent_and_what_to_do(tmp_path: Path) -> None:
    failed = run_module(load_balancer_info.main, socket=str(tmp_path / "none"), timeout=0.2)
    assert failed["failed"] and failed["thing"] == f"HAProxy at {tmp_path / 'none'}"
    assert "Start HAProxy" in failed["remedy"] and failed["remedy"] in failed["msg"]
