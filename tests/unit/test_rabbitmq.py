# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RabbitMQ's management API and configuration files, and the module rabbitmq_info."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._erlang_terms import lookup, parse_term
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq import (
    Management,
    Node,
    Queue,
    nodes,
    parse_nodes,
    parse_queues,
    queue_settings,
    queues,
)
from ansible_collections.lifeboat.cloud.plugins.modules import rabbitmq_info
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures" / "steady"
NODES = json.loads((FIXTURES / "rabbitmq-nodes.json").read_text())
QUEUES = json.loads((FIXTURES / "rabbitmq-queues.json").read_text())
ADVANCED = (FIXTURES / "advanced.config").read_text()
CONFIG = (FIXTURES / "rabbitmq.conf").read_text()


class Broker(http.server.BaseHTTPRequestHandler):
    """A management API of two pages that lets in one user."""

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(b"monitor:s:cret").decode()
        address = urllib.parse.urlsplit(self.path)
        page = int(urllib.parse.parse_qs(address.query).get("page", ["1"])[0])
        answers: dict[str, t.Any] = {
            "/api/nodes": NODES,
            "/api/queues": {"items": QUEUES[:2] if page == 1 else QUEUES[2:], "page_count": 2},
        }
        allowed = self.headers["Authorization"] == expected
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(answers[address.path]).encode() if allowed else b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def port() -> t.Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broker)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_all_pages_are_read(port: int) -> None:
    found = queues(Management("monitor", "s:cret", port=port), [], 5.0)
    assert sorted(found) == ["drill_ledger", "drills:ledger"]
    assert nodes(Management("monitor", "s:cret", port=port), 5.0) == parse_nodes(NODES)


def test_a_wrong_password_is_said_without_saying_it(port: int) -> None:
    with pytest.raises(LifeboatError, match="status 401") as refused:
        nodes(Management("monitor", "wrong-one", port=port), 5.0)
    assert "wrong-one" not in str(refused.value) and "wrong-one" not in repr(Management("u", "wrong-one"))


def test_nobody_listens() -> None:
    with pytest.raises(LifeboatError, match="Start RabbitMQ"):
        nodes(Management("u", "p", port=1), 0.5)


def test_a_silent_broker_costs_no_more_than_the_limit() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), Broker)
    begin = time.monotonic()
    with pytest.raises(LifeboatError, match="no answer within"):
        nodes(Management("u", "p", port=server.server_port), 0.2)
    assert time.monotonic() - begin < 2.0
    server.server_close()


def test_nodes_alarms_and_partitions() -> None:
    first, second, third = parse_nodes(NODES)
    assert first == Node(
        "rabbit@ctl1", True, ("memory of rabbit@ctl1", "disk of rabbit@ctl1"), partitions=("rabbit@ctl3",)
    )
    assert (second.running, second.alarms) == (True, ())
    assert not third.running


def test_all_quorum_queues_when_none_is_named() -> None:
    found = parse_queues(QUEUES, [])
    assert found["drill_ledger"] == Queue(
        type="quorum",
        leader="rabbit@ctl2",
        members=("rabbit@ctl1", "rabbit@ctl2", "rabbit@ctl3"),
        online=("rabbit@ctl1", "rabbit@ctl2"),
    )
    assert "legacy" not in found and "drills:ledger" in found


def test_named_queues_whatever_they_are() -> None:
    found = parse_queues(QUEUES, ["legacy", "absent"])
    assert found == {"legacy": Queue(type="classic"), "absent": Queue(type=None)}


def test_settings_from_both_files() -> None:
    settings = queue_settings([CONFIG], ADVANCED)
    assert settings.aten_poll_interval_s == 0.5
    assert settings.heartbeat_s == 15
    assert settings.net_ticktime_s == 10, "advanced.config overrides rabbitmq.conf"


def test_rabbitmqs_own_settings() -> None:
    settings = queue_settings([], "")
    assert (settings.aten_poll_interval_s, settings.net_ticktime_s, settings.heartbeat_s) == (5.0, 60.0, 60.0)


def test_the_failure_detector_can_be_set_in_the_main_file() -> None:
    settings = queue_settings(["raft.adaptive_failure_detector.poll_interval = 300\n"], "")
    assert settings.aten_poll_interval_s == 0.3


def test_a_later_file_overrides() -> None:
    assert queue_settings([CONFIG, "heartbeat = 7\n"], "").heartbeat_s == 7


def test_a_setting_that_is_no_number() -> None:
    with pytest.raises(LifeboatError, match=r"rabbit\.heartbeat"):
        queue_settings(["heartbeat = often\n"], "")


def test_terms() -> None:
    assert lookup(parse_term(ADVANCED), "kernel", "inet_dist_use_interface") == (127, 0, 0, 1)
    assert lookup(parse_term(ADVANCED), "rabbit", "description") == 'it\'s "up"'
    assert lookup(parse_term(ADVANCED), "kernel", "absent") is None
    assert parse_term("[].") == [] and parse_term("{-1, 2.5, 'an atom'}.") == (-1, 2.5, "an atom")


@pytest.mark.parametrize("text", ["", "[", "[]", "[a b].", "[a,].", "[a}.", "[]. []", "&.", "{a, [b}]."])
def test_what_is_no_term(text: str) -> None:
    with pytest.raises(LifeboatError, match="Erlang"):
        parse_term(text)


ATOMS = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True)
TERMS = st.recursive(
    st.integers() | ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=12,
)


def written(term: t.Any) -> str:
    if isinstance(term, list):
        return "[" + ", ".join(map(written, term)) + "]"
    if isinstance(term, tuple):
        return "{" + ",\n".join(map(written, term)) + "}"
    return str(term)


@given(TERMS)
def test_every_term_is_read_back(term: t.Any) -> None:
    assert parse_term(f"% comment\n{written(term)}.\n") == term


def asked(port: int, password: str, check: bool = False) -> tuple[dict[str, t.Any], str]:
    """What the module returned, and its text, in which no password may be."""
    result = run_module(
        rabbitmq_info.main, check, user="monitor", password=password, port=port, queues=["drill_ledger"]
    )
    return result, json.dumps(result)


@pytest.mark.parametrize("check", [False, True])
def test_the_module_returns_nodes_and_queues_without_the_password(port: int, check: bool) -> None:
    result, text = asked(port, "s:cret", check)
    assert result["changed"] is False and "s:cret" not in text
    found = result["rabbitmq"]
    assert [node["name"] for node in found["nodes"]] == ["rabbit@ctl1", "rabbit@ctl2", "rabbit@ctl3"]
    assert found["queues"]["drill_ledger"]["leader"] == "rabbit@ctl2"
    assert list(found["queues"]) == ["drill_ledger"]


def test_the_module_says_what_a_refused_user_lacks_without_the_password(port: int) -> None:
    failed, text = asked(port, "wrong-one")
    assert failed["failed"] and "wrong-one" not in text
    assert failed["thing"].endswith(f"127.0.0.1:{port}") and "tag monitoring" in failed["remedy"]


def test_another_service_on_the_port_is_named_as_such(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda value: "<html>It works!</html>")
    with pytest.raises(LifeboatError) as refused:
        nodes(Management("monitor", "s:cret", port=port), 5.0)
    assert "no JSON" in refused.value.found and "another service" in refused.value.remedy
