# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A run of the probe program as seen from a module on the same host: its directory, its life, its results."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
import zipfile
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

# Imported so that Ansible carries the whole program to the host; its sources are written out again below.
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe import runner as _runner
from ansible_collections.lifeboat.cloud.plugins.module_utils._probe.result import Json, write_json

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.abc import InspectLoader

POLL_SECONDS = 0.1
START_SECONDS = 20.0
STALE_SECONDS = 5.0
GIVE_UP_SECONDS = 10.0
SYSTEMD = Path("/run/systemd/system")
_PACKAGE = _runner.__name__.rsplit(".", 2)[0]
_SOURCES = (
    *("_errors", "_outage", "_probe", "_probe.amqp", "_probe.config", "_probe.database", "_probe.guest"),
    *(
        "_probe.http",
        "_probe.icmp",
        "_probe.ledger",
        "_probe.messages",
        "_probe.result",
        "_probe.runner",
        "_probe.series",
    ),
    "_probe.target",
)
_MAIN = f"import sys\nfrom {_PACKAGE}._probe.runner import main\nsys.exit(main(sys.argv[1:]))\n"


class RunState(enum.Enum):
    """``ENDED`` is a run whose program is gone without results."""

    ABSENT = "absent"
    RUNNING = "running"
    FINISHED = "finished"
    ENDED = "ended without results"


def archive() -> bytes:
    """The probe program as one zip that Python runs, with the names its modules have in the collection."""
    names = _PACKAGE.split(".")
    files = {"/".join([*names[: depth + 1], "__init__.py"]): "" for depth in range(len(names))}
    files |= dict(_source(f"{_PACKAGE}.{name}") for name in _SOURCES)
    files["__main__.py"] = _MAIN
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, text in sorted(files.items()):
            packed.writestr(zipfile.ZipInfo(path), text)
    return content.getvalue()


def _source(name: str) -> tuple[str, str]:
    spec = importlib.util.find_spec(name)
    # The loader of zip files has get_source but is not registered as an InspectLoader.
    if spec is None or not hasattr(spec.loader, "get_source"):
        raise LifeboatError("probe program", f"no source of {name}", "the whole collection", "Install it again.")
    loader = t.cast("InspectLoader", spec.loader)
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if spec.submodule_search_locations else f"{path}.py", loader.get_source(name) or ""


class ProbeRun:
    """The run ``run`` below ``base``."""

    def __init__(self, base: Path, run: str) -> None:
        self.run = run
        self.path = base / run

    def state(self) -> RunState:
        """A running program holds a lock on the file ``lock``."""
        if not self.path.exists():
            return RunState.ABSENT
        with contextlib.suppress(FileNotFoundError), open(self.path / "lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return RunState.RUNNING
        return RunState.FINISHED if (self.path / "results.json").exists() else RunState.ENDED

    def start(self, config: Json) -> None:
        """Write the program and its configuration and start it; returns when it runs. Raises LifeboatError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700)
        config_path, program = self.path / "config.json", self.path / "runner.pyz"
        with open(os.open(config_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(config, file)
        program.write_bytes(archive())
        lives = self._launch([sys.executable, str(program), str(config_path)])
        deadline = time.monotonic() + START_SECONDS
        while not (self.path / "status.json").exists():
            # What it says before it holds its lock may be a warning; and to look at the lock could keep it from it.
            if time.monotonic() > deadline or (self._said() and not lives()):
                found = self._said() or "no sign of life"
                raise LifeboatError(f"probe run {self.run}", found, "it to start", f"See {self.path}/runner.log.")
            time.sleep(POLL_SECONDS)

    def status(self) -> Json:
        """What status.json says. Raises LifeboatError when the program is gone or has fallen silent."""
        state = self.state()
        if state is not RunState.RUNNING:
            raise LifeboatError(
                f"probe run {self.run}",
                f"{state.value} {self._said()}".strip(),
                "it to run",
                "Start it again; raise max_seconds if it ended before its time.",
            )
        status: Json = json.loads((self.path / "status.json").read_text())
        age = time.time() - status["at"]
        if age > STALE_SECONDS:
            raise LifeboatError(
                f"probe run {self.run}", f"no report for {age:.1f} s", "two a second", "Look for load on this host."
            )
        return status

    def warm_up(self, successes: int, timeout: float) -> Json:
        """Wait until each probe has succeeded so often; returns the status. Raises LifeboatError."""
        deadline = time.monotonic() + timeout
        while True:
            status = self.status()
            cold = {name: one for name, one in status["probes"].items() if one["successes"] < successes}
            if not cold:
                return status
            if time.monotonic() > deadline:
                name, one = next(iter(cold.items()))
                raise LifeboatError(
                    f"probe {name}",
                    f"{one['successes']} successes of {one['requests']} requests in {timeout:g} s, "
                    f"last error: {one['last_error'] or 'none'}",
                    f"{successes} successes",
                    "Make the service answer, or raise warm_up_timeout.",
                )
            time.sleep(POLL_SECONDS)

    def hold(self, seconds: float, abort_after: t.Mapping[str, float]) -> tuple[str | None, Json]:
        """Wait; returns early with the name of a probe whose outage lasts longer than allowed. And the status."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status()
            unknown = sorted(abort_after.keys() - status["probes"].keys())
            if unknown:
                known = ", ".join(status["probes"])
                raise LifeboatError(f"abort_after {unknown[0]}", "no such probe", f"one of {known}", "Correct it.")
            for name, limit in abort_after.items():
                if status["probes"][name]["current_outage_s"] > limit:
                    return name, status
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None, status
            time.sleep(min(POLL_SECONDS, remaining))

    def stop(self, timeout: float) -> tuple[list[Json], Json]:
        """Ask the program to stop and wait for its results: (results.json, {cpu_s, max_rss_mib})."""
        if self.state() is RunState.RUNNING:
            write_json(self.path / "stop", True)
            self._await_end(timeout)
        if self.state() is not RunState.FINISHED:
            raise LifeboatError(
                f"probe run {self.run}",
                f"{self.state().value} after {timeout:g} s {self._said()}".strip(),
                "its results",
                f"Raise timeout, or see {self.path}/runner.log.",
            )
        results: list[Json] = json.loads((self.path / "results.json").read_text())
        status: Json = json.loads((self.path / "status.json").read_text())
        return results, status["runner"]

    def remove(self) -> None:
        """End the program, by force if it does not heed, and remove the directory."""
        if self.state() is RunState.RUNNING:
            write_json(self.path / "stop", True)
            self._await_end(GIVE_UP_SECONDS)
        if self.state() is RunState.RUNNING:
            # The lock is held, so the process of that number is the program.
            os.kill(int((self.path / "lock").read_text()), signal.SIGKILL)
            self._await_end(GIVE_UP_SECONDS)
        shutil.rmtree(self.path)

    def _await_end(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while self.state() is RunState.RUNNING and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _said(self) -> str:
        """The last line that the program wrote to its log."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.path / "runner.log").read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def _launch(self, command: list[str]) -> Callable[[], bool]:
        """Start the program; what is returned says whether it lives."""
        log = self.path / "runner.log"
        if SYSTEMD.exists():
            unit = f"lifeboat-probe-{self.run}"
            properties = ["Nice=-10", "LimitNOFILE=65536", f"StandardOutput=append:{log}", "StandardError=inherit"]
            options = [f"--property={one}" for one in properties]
            start = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, "--", *command]
            done = subprocess.run(start, capture_output=True, text=True, timeout=START_SECONDS, check=False)
            if done.returncode != 0:
                raise LifeboatError(f"unit {unit}", done.stderr.strip(), "it to start", "See systemd's journal.")
            ask = ["systemctl", "is-active", "--quiet", f"{unit}.service"]
            return lambda: subprocess.run(ask, timeout=START_SECONDS, check=False).returncode == 0
        with open(log, "wb") as output:
            program = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        return lambda: program.poll() is None
