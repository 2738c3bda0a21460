# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module starts, holds, stops and removes a real run on this machine."""

from __future__ import annotations

import http.server
import io
import json
import stat
import subprocess
import sys
import threading
import typing as t
import zipfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe import config, control
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.control import ProbeRun, RunState, archive
from ansible_collections.lifeboat.cloud.plugins.modules import probe
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


class Health(http.server.BaseHTTPRequestHandler):
    """Says 200, or 503 while the server is told to fail."""

    def do_GET(self) -> None:
        self.send_response(503 if getattr(self.server, "failing", False) else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Silence."""


@pytest.fixture
def server() -> t.Iterator[http.server.ThreadingHTTPServer]:
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


class Caller:
    """The module with the run and the probe of these tests."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.probe = {"name": "api", "kind": "http", "url": f"http://127.0.0.1:{port}/", "rate": 50.0, "slo": 0.3}

    def __call__(self, state: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"run": "drill-1", "directory": str(self.directory), "state": state}
        return run_module(probe.main, check, **{**arguments, **options})

    def start(self, **options: t.Any) -> dict[str, t.Any]:
        return self("started", **{"probes": [self.probe], "warm_up": 5, "max_seconds": 30, **options})


@pytest.fixture
def call(
    tmp_path: Path, server: http.server.ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[Caller]:
    monkeypatch.setattr(control, "SYSTEMD", tmp_path / "no systemd here")
    caller = Caller(tmp_path / "probes", server.server_port)
    yield caller
    run = ProbeRun(caller.directory, "drill-1")
    if run.state() is not RunState.ABSENT:
        run.remove()


def test_a_run_from_start_to_removal(call: Caller, server: http.server.ThreadingHTTPServer) -> None:
    planned = call.start(check=True)
    assert (planned["changed"], planned["diff"]["after"]) == (True, {"state": "running"})
    assert not call.directory.exists()

    begun = call.start()
    assert (begun["changed"], begun["previous_state"]) == (True, "absent")
    assert begun["probes"]["api"]["successes"] >= 5
    path = call.directory / "drill-1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "config.json").stat().st_mode) == 0o600
    assert call.start()["changed"] is False

    held = call("held", duration=0.3, abort_after={"api": 5})
    assert (held["changed"], held["aborted"]) == (False, False)
    server.failing = True  # type: ignore[attr-defined]
    aborted = call("held", duration=20, abort_after={"api": 0.3})
    assert (aborted["aborted"], aborted["aborted_by"]) == (True, "api")
    assert aborted["probes"]["api"]["last_error"] == "status 503"
    assert "no such probe" in call("held", duration=1, abort_after={"apy": 1})["msg"]

    assert call("stopped", check=True)["changed"] is True
    assert ProbeRun(call.directory, "drill-1").state() is RunState.RUNNING
    ended = call("stopped")
    assert ended["changed"] is True
    (result,) = ended["results"]
    assert result["longest_outage_s"] >= 0.3
    assert set(result["errors"]) == {"status 503"}
    assert 0 < ended["runner"]["max_rss_mib"] < 60
    again = call("stopped")
    assert (again["changed"], again["results"], again["previous_state"]) == (False, [result], "finished")
    assert "it to run" in call("held", duration=1)["msg"]
    assert "Use another id" in call.start()["msg"]

    assert call("absent", check=True)["changed"] is True
    assert path.exists()
    assert call("absent")["changed"] is True
    assert not path.exists()
    assert call("absent")["changed"] is False


def test_a_failed_warm_up_names_the_probe_and_leaves_nothing(
    call: Caller, server: http.server.ThreadingHTTPServer
) -> None:
    server.failing = True  # type: ignore[attr-defined]
    failed = call.start(warm_up_timeout=3)
    assert failed["failed"]
    assert failed["thing"] == "probe api"
    assert "last error: status 503" in failed["found"]
    assert not (call.directory / "drill-1").exists()


def test_a_run_is_removed_while_it_runs(call: Caller) -> None:
    call.start(probes=[call.probe, {**call.probe, "name": "second", "headers": {"X-Auth-Token": "s3cret"}}])
    assert call("absent")["previous_state"] == "running"
    assert not (call.directory / "drill-1").exists()


@pytest.mark.parametrize(
    ("state", "options", "words"),
    [
        ("started", {}, "probes"),
        ("started", {"probes": [{"name": "db", "kind": "database_ledger", "host": "x"}]}, "no user"),
        ("started", {"probes": [{"name": "x", "kind": "smoke"}]}, "one of: tcp, http"),
        ("held", {}, "duration"),
        ("held", {"duration": 1}, "absent"),
        ("stopped", {}, "no such run"),
        ("absent", {"run": "../other"}, "letters"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    call: Caller, state: str, options: dict[str, t.Any], words: str
) -> None:
    failed = call(state, **options)
    assert failed["failed"]
    assert words in failed["msg"]
    assert not call.directory.exists()


def test_passwords_are_neither_shown_nor_readable(call: Caller) -> None:
    ledger = {"name": "db", "kind": "database_ledger", "host": "127.0.0.1", "port": 1, "user": "u", "database": "d"}
    failed = call.start(probes=[{**ledger, "password": "s3cret-value"}], warm_up_timeout=0.3)
    assert failed["failed"]
    assert "s3cret-value" not in json.dumps(failed)
    assert failed["thing"] == "probe db"


def test_a_program_that_cannot_start_says_why(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_MAIN", "raise SystemExit('no luck today')\n")
    assert "no luck today" in call.start()["msg"]


def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program say something long before it holds its lock."""
    warns = "import sys, time\nsys.stderr.write('a warning\\n')\nsys.stderr.flush()\ntime.sleep(0.5)\n"
    monkeypatch.setattr(control, "_MAIN", warns + control._MAIN)


def test_a_program_that_says_something_before_it_runs_has_not_failed(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    chatty(monkeypatch)
    assert call.start()["probes"]["api"]["successes"] >= 5


@pytest.mark.parametrize("lives", [True, False])
def test_systemd_is_asked_whether_a_program_that_says_something_lives(
    call: Caller, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    given: list[list[str]] = []

    def systemd(command: list[str], **_options: t.Any) -> subprocess.CompletedProcess[str]:
        given.append(command)
        if command[0] == "systemd-run":
            log = next(one for one in command if "append:" in one).partition("append:")[2]
            program = command[command.index("--") + 1 :] if lives else ["echo", "no luck today"]
            with open(log, "wb") as output:
                subprocess.Popen(program, stdout=output, stderr=output)
        return subprocess.CompletedProcess(command, 0 if command[0] == "systemd-run" or lives else 3, "", "")

    chatty(monkeypatch)
    monkeypatch.setattr(control, "SYSTEMD", call.directory.parent)
    monkeypatch.setattr(control.subprocess, "run", systemd)
    begun = call.start()
    assert given[1] == ["systemctl", "is-active", "--quiet", "lifeboat-probe-drill-1.service"]
    assert begun["probes"]["api"]["successes"] >= 5 if lives else "no luck today" in begun["msg"]


def test_the_archive_runs_by_itself_and_is_complete(tmp_path: Path) -> None:
    program = tmp_path / "runner.pyz"
    program.write_bytes(archive())
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps({"run": "r", "probes": []}))
    command = [sys.executable, "-I", str(program), str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "no probes" in done.stderr
    assert archive() == program.read_bytes()
    package = Path(control.__file__).parent
    packed = {Path(name).name for name in zipfile.ZipFile(io.BytesIO(archive())).namelist() if "/_probe/" in name}
    assert packed == {one.name for one in package.glob("*.py")} - {"control.py"}


def test_documentation_and_specification_agree() -> None:
    options = yaml.safe_load(probe.DOCUMENTATION)["options"]
    assert options.keys() == probe.ARGUMENT_SPEC.keys()
    suboptions, spec = options["probes"]["suboptions"], probe.ARGUMENT_SPEC["probes"]["options"]
    assert suboptions.keys() == spec.keys()
    for name, documented in suboptions.items():
        for key in ("type", "default", "choices", "elements", "required"):
            assert documented.get(key) == spec[name].get(key), f"{name}: {key}"
    assert suboptions["kind"]["choices"] == list(config.KINDS)
