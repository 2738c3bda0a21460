# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe program against real servers that fail for a known time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.config import Http, parse_run
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.http import http_payload
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.icmp import checksum, echo_request, reply_sequence
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.runner import Runner
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.series import (
    MAX_BINS,
    MAX_REASONS,
    OTHER_REASONS,
    Clock,
    Series,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.target import Failure, reason_of

PERIOD = 0.02
SLO = 0.6
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass
class FaultyServer:
    """An HTTP server in a thread whose manner changes at set times; ``changes`` are the moments at which it did."""

    manner: str = "serve"
    answer: bytes = OK
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _held: list[asyncio.StreamWriter] = field(default_factory=list)
    # A writer that nobody holds is closed by Python 3.13.
    _silenced: list[asyncio.StreamWriter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self.tls, backlog=1000)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    def fail(self, manner: str, after: float, length: float) -> None:
        """Behave so for ``length`` seconds from ``after`` seconds on; what was held is answered at the end."""
        self._loop.call_soon_threadsafe(self._loop.call_later, after, self._change, manner)
        self._loop.call_soon_threadsafe(self._loop.call_later, after + length, self._change, "serve")

    def _change(self, manner: str) -> None:
        self.manner = manner
        self.changes.append(time.monotonic())
        for writer in self._held:
            if not writer.is_closing():
                writer.write(self.answer)
        self._held.clear()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.manner == "refuse":
                plain = t.cast("socket.socket", writer.get_extra_info("socket"))
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            elif self.manner == "hang":
                self._held.append(writer)
            elif self.manner == "silent":
                self._silenced.append(writer)
            elif self.manner in ("serve", "unavailable"):
                writer.write(self.answer if self.manner == "serve" else UNAVAILABLE)
                writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@pytest.fixture
def server() -> t.Iterator[FaultyServer]:
    running = FaultyServer()
    yield running
    running.close()


def probe(server: FaultyServer, **changes: t.Any) -> dict[str, t.Any]:
    url = f"http://127.0.0.1:{server.port}/health?full=1"
    return {"name": "api", "kind": "http", "url": url, "rate": 1 / PERIOD, "slo": SLO, "timeout": 5, **changes}


def run(directory: Path, *probes: dict[str, t.Any], seconds: float = 1.2) -> dict[str, dict[str, t.Any]]:
    config = parse_run({"run": "test", "probes": list(probes), "max_seconds": seconds})
    asyncio.run(Runner(config, directory).run())
    results: list[dict[str, t.Any]] = json.loads((directory / "results.json").read_text())
    return {result["name"]: result for result in results}


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("refuse", "connection reset by peer"),
        ("unavailable", "status 503"),
        ("hang", "slower than the objective"),
        ("silent", "timeout"),
    ],
)
def test_the_measured_outage_contains_the_injected_one(
    server: FaultyServer, tmp_path: Path, manner: str, reason: str
) -> None:
    server.fail(manner, after=0.3, length=1.2)
    result = run(tmp_path, probe(server, timeout=0.8 if manner == "silent" else 5), seconds=2.3)["api"]
    begin, end = (Clock.anchored().wall(moment) for moment in server.changes)

    def overlap(outage: dict[str, t.Any]) -> float:
        return min(outage["start"] + outage["upper_s"], end) - max(outage["start"], begin)

    # A busy machine adds outages of its own, and lengthens this one by requests that it made slow.
    outage = max(result["outages"], key=overlap)
    slack = SLO + 2 * PERIOD + result["lateness_ms"]["max"] / 1000
    assert outage["lower_s"] - slack <= end - begin <= outage["upper_s"] + PERIOD
    assert outage["upper_s"] <= end - begin + slack
    assert outage["lower_s"] >= end - begin - slack
    assert result["longest_outage_s"] >= outage["upper_s"]
    assert outage["reason"] == reason
    assert abs(outage["start"] - begin) < slack
    assert (result["slow"] if manner == "hang" else result["failed"]) >= 10


def test_a_server_that_hangs_does_not_slow_the_launching(server: FaultyServer, tmp_path: Path) -> None:
    server.manner = "silent"
    result = run(tmp_path, probe(server, slo=0.1, timeout=0.4), seconds=1.0)["api"]
    due = (result["stopped_at"] - result["started_at"]) / PERIOD
    assert abs(result["requests"] - due) <= 3
    assert result["failed"] == result["requests"]
    assert result["errors"] == {"timeout": result["requests"]}
    assert result["total_outage_s"] >= 1.0


def test_lateness_of_the_probe_itself_is_reported(server: FaultyServer, tmp_path: Path) -> None:
    async def run_with_a_pause() -> None:
        config = parse_run({"run": "test", "probes": [probe(server, rate=20, slo=1.0)], "max_seconds": 2.0})
        runner, loop = Runner(config, tmp_path), asyncio.get_running_loop()

        def pause() -> None:
            # A request under way would be a stall: nobody could tell whose.
            if runner._pacers[0]._under_way:
                loop.call_later(0.001, pause)
            else:
                time.sleep(1.2)

        loop.call_later(0.3, pause)
        await runner.run()

    asyncio.run(run_with_a_pause())
    (result,) = json.loads((tmp_path / "results.json").read_text())
    assert result["lateness_ms"]["max"] >= 1100
    assert result["requests"] >= 35
    assert result["longest_outage_lower_s"] == 0
    assert result["longest_outage_s"] >= 1.1


def test_a_steady_server_has_no_outage(server: FaultyServer, tmp_path: Path) -> None:
    dead = socket.create_server(("127.0.0.1", 0))
    closed_port = dead.getsockname()[1]
    dead.close()
    tcp = {"kind": "tcp", "host": "127.0.0.1", "rate": 20, "slo": 2, "timeout": 5}
    results = run(
        tmp_path,
        probe(server, slo=2),
        {**tcp, "name": "open", "port": server.port},
        {**tcp, "name": "closed", "port": closed_port},
        seconds=1.0,
    )
    api = results["api"]
    assert (api["failed"], api["slow"], api["longest_outage_s"], api["outages"], api["errors"]) == (0, 0, 0, [], {})
    assert api["uncertainty_s"] == pytest.approx(2 * PERIOD)
    assert api["latency_ms"]["p50"] <= api["latency_ms"]["p999"] <= api["latency_ms"]["max"] < 2000
    assert sum(one[1] for one in api["series"]) == api["requests"]
    assert abs(api["started_at"] - time.time()) < 5
    assert server.requests[0].startswith(b"GET /health?full=1 HTTP/1.1\r\n")
    assert results["open"]["failed"] == 0
    assert results["closed"]["errors"] == {"connection refused": results["closed"]["requests"]}
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["state"] == "finished"
    assert status["runner"]["max_rss_mib"] > 0
    assert status["probes"]["api"]["current_outage_s"] == 0
    assert status["probes"]["closed"]["current_outage_s"] >= 0.9


def test_an_echo_is_answered(tmp_path: Path) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except PermissionError:
        pytest.skip("this user may not open ICMP sockets")
    echo = {"name": "echo", "kind": "icmp", "host": "127.0.0.1", "rate": 50, "slo": 2, "timeout": 5}
    result = run(tmp_path, echo, seconds=0.2)["echo"]
    assert result["failed"] == 0
    assert result["requests"] >= 10


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "answer cut short"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP answer"),
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
    ],
)
def test_only_a_whole_answer_with_the_right_status_counts(
    server: FaultyServer, tmp_path: Path, answer: bytes, reason: str
) -> None:
    server.answer = answer
    result = run(tmp_path, probe(server), seconds=0.2)["api"]
    assert result["errors"] == {reason: result["requests"]}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key in the same file, and its own authority."""
    path = tmp_path / "server.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    names = ["-subj", "/CN=lifeboat", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", path, "-out", tmp_path / "crt"], check=True, capture_output=True)
    path.write_text((tmp_path / "crt").read_text() + path.read_text())
    return path


def test_a_token_is_asked_for_over_verified_tls(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = FaultyServer(answer=b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", tls=context)
    token = {"name": "token", "kind": "identity_token", "url": f"https://127.0.0.1:{server.port}/v3", "rate": 10}
    token |= {"user": "drill", "project": "service", "password": "s3cret"}
    results = run(
        tmp_path,
        {**token, "ca_file": str(certificate)},
        {**token, "name": "untrusting"},
        seconds=0.5,
    )
    server.close()
    assert results["token"]["failed"] == 0
    assert results["token"]["requests"] >= 5
    assert server.requests[0].startswith(b"POST /v3/auth/tokens HTTP/1.1\r\n")
    assert list(results["untrusting"]["errors"]) == ["TLS: self-signed certificate"]
    assert "s3cret" not in (tmp_path / "results.json").read_text() + (tmp_path / "status.json").read_text()


def test_the_answer_to_head_has_no_body(server: FaultyServer, tmp_path: Path) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    result = run(tmp_path, probe(server, method="HEAD", slo=2), seconds=0.2)["api"]
    assert (result["failed"], result["slow"]) == (0, 0)
    assert server.requests[0].startswith(b"HEAD ")


def test_a_request_is_written_as_http() -> None:
    payload = http_payload("https://[fe80::1]/v3?x=1", "POST", {"Host": "other"}, b"body")
    assert payload == (
        b"POST /v3?x=1 HTTP/1.1\r\nHost: other\r\nConnection: close\r\nAccept: */*\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert b"\r\nHost: [fe80::1]:443\r\n" in http_payload("https://[fe80::1]", "GET", {})


def test_an_echo_reply_is_known_by_token_and_kind() -> None:
    request = echo_request(socket.AF_INET, 7, b"12345678")
    assert checksum(request) == 0
    reply = b"\x00" + request[1:]
    assert reply_sequence(socket.AF_INET, reply, b"12345678") == 7
    assert reply_sequence(socket.AF_INET, b"\x45" + bytes(19) + reply, b"12345678") == 7
    assert reply_sequence(socket.AF_INET, reply, b"87654321") is None
    assert reply_sequence(socket.AF_INET, request, b"12345678") is None
    assert reply_sequence(socket.AF_INET, b"", b"12345678") is None


def test_reasons_are_bounded_and_so_are_bins() -> None:
    series = Series(slo=0.1, period=0.01)
    for number in range(1000):
        index = series.start(number * 0.01, number * 0.01)
        series.settle(index, number * 0.01 + 0.001, None if number % 2 else f"error {number}")
    assert len(series.errors) == MAX_REASONS + 1
    assert series.errors[OTHER_REASONS] == 500 - MAX_REASONS
    bins = series.bins()
    assert len(bins) == MAX_BINS
    assert sum(one.ok for one in bins) == sum(one.failed for one in bins) == 500


def test_the_present_outage_counts_errors_and_overdue_answers() -> None:
    series = Series(slo=0.1, period=0.02)
    assert series.current_outage(10.0) == 0
    series.settle(series.start(10.0, 10.0), 10.01)
    assert series.current_outage(10.05) == 0
    assert series.current_outage(10.2) == pytest.approx(0.2)
    series.settle(series.start(10.02, 10.02), 10.03, "status 503")
    assert series.current_outage(10.03) == pytest.approx(0.03)
    series.settle(series.start(10.04, 10.04), 10.05)
    assert series.current_outage(10.06) == 0


def test_only_the_first_end_of_a_request_counts() -> None:
    series = Series(slo=0.1, period=0.02)
    index = series.start(0.0, 0.0)
    series.settle(index, 0.05, "timeout")
    series.settle(index, 0.06)
    series.start(0.02, 0.02)
    series.settle_rest(1.0)
    assert series.successes == 0
    assert sum(series.errors.values()) == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (TimeoutError(), "timeout"),
        (TimeoutError(110, "x"), "connection timed out"),
        (socket.gaierror(-2, "x"), "name not resolved"),
        (OSError("Multiple exceptions"), "connection failed"),
        (Failure("status 503"), "status 503"),
        (ValueError("secret"), "ValueError"),
    ],
)
def test_causes_have_names(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "gopher"}, "kind gopher"),
        ({"name": "a/b"}, "no usable name"),
        ({"rate": 0}, "rate 0"),
        ({"slo": 9.0}, "slo 9.0"),
        ({"host": "x"}, "key host"),
        ({"url": None}, "no url"),
        ({"url": "ftp://x"}, "url ftp://x"),
    ],
)
def test_a_wrong_probe_is_named(change: dict[str, t.Any], words: str) -> None:
    good = {"name": "api", "kind": "http", "url": "http://x"}
    with pytest.raises(LifeboatError, match=words):
        parse_run({"run": "r", "probes": [{**good, **change}]})


def test_runs_are_checked_as_a_whole() -> None:
    good = {"name": "api", "kind": "http", "url": "http://x", "port": None, "status": [200, 300]}
    parsed = parse_run({"run": "r", "probes": [good]})
    assert parsed.probes[0].settings == Http("http://x", status=(200, 300))
    for run_id, probes in (("../x", [good]), ("r", []), ("r", [good, good])):
        with pytest.raises(LifeboatError):
            parse_run({"run": run_id, "probes": probes})
