# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the role drill that keep what became of the servers, on this machine and without a cloud."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import typing as t

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_catalogue import load, named
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT, run_playbook

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOVING = load([ROOT / "roles/drill/files/moving"])


def drill(name: str) -> dict[str, t.Any]:
    """The drill of the catalogue, as the role has it."""
    return named(MOVING, name).as_mapping()


def run(tmp_path: Path, tasks: list[dict[str, t.Any]], finds: str, **variables: object) -> t.Any:
    """What the expression ``finds`` is after the tasks."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    out = tmp_path / "out.json"
    keep = {"dest": str(out), "content": f"{{{{ {finds} | to_json }}}}", "mode": "0600"}
    play = {"hosts": "cmp1", "gather_facts": False, "tasks": [*tasks, {"ansible.builtin.copy": keep}]}
    hosts = {"all": {"hosts": {"localhost": local, "cmp1": local}}}
    run_playbook(tmp_path, play, hosts, "-e", json.dumps(variables))
    return json.loads(out.read_text(encoding="utf-8"))


def role(tasks_from: str) -> dict[str, t.Any]:
    return {"ansible.builtin.import_role": {"name": "lifeboat.cloud.drill", "tasks_from": tasks_from}}


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'fatal: [cmp1]: x ...ignoring'; exit 0", ""),
        ("echo 'fatal: [cmp1]: no receipt'; exit 2", "fatal: [cmp1]: no receipt"),
        ("echo 'ERROR! no such playbook' >&2; exit 4", "exit status 4, and at last: ERROR! no such playbook"),
        ("exit 250", "exit status 250, and at last: non-zero return code"),
    ],
)
def test_a_playbook_that_fails_says_so_whatever_it_says(tmp_path: Path, script: str, found: str) -> None:
    told = {"_drill_migrate": ["sh", "-c", script], "_drill_migrate_environment": {}}
    kept = run(tmp_path, [role("move_by_playbook")], "_drill_move_found", _drill=drill("ten_servers_drained"), **told)
    assert kept.startswith(found) and bool(kept) == bool(found)


class Guest(http.server.BaseHTTPRequestHandler):
    """A guest: its boots and counters one answer after the other, and a load of 48 MiB that writes 40 MiB a second."""

    boots: t.ClassVar[list[str]] = []
    seconds: t.ClassVar[int] = 0
    elapsed: t.ClassVar[int] = 0
    writes: t.ClassVar[bool] = True

    def do_GET(self) -> None:
        if self.path == "/state":
            counter = len(Guest.boots)
            answer: dict[str, t.Any] = {"boot_id": Guest.boots.pop(0), "counter": 90 - counter, "uptime_s": 1.5}
        else:
            if "seconds=" in self.path:
                Guest.elapsed, Guest.seconds = -8, int(self.path.rpartition("=")[2])
            Guest.elapsed += 8
            left, written = Guest.seconds - Guest.elapsed, 40 * Guest.elapsed * Guest.writes
            answer = {"mib": 48 * Guest.writes, "seconds_left": left, "written_mib": written}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Where a guest answers."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guest) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(tmp_path: Path, address: str, *files: str) -> t.Any:
    """What the role keeps of the guest after these tasks."""
    tasks = [{"ansible.builtin.set_fact": {"_drill_guests": []}}]
    for file in files:
        name, _space, when = file.partition(" ")
        tasks.append(role(name) | ({"vars": {"_drill_asked_when": when}} if when else {}))
    told = {"_drill_guest_addresses": [address], "drill_observer": "localhost"}
    return run(tmp_path, tasks, "_drill_guests", _drill=drill("live_under_memory_load"), **told)


def test_each_guest_is_asked_before_and_after_which_boot_it_is(tmp_path: Path, address: str) -> None:
    Guest.boots = ["a", "b"]
    kept = asked(tmp_path, address, "guests_ask before", "guests_ask after")
    told = {"boot_before": "a", "boot_after": "b", "counter_before": 88, "counter_after": 89}
    assert kept == [{"address": address, **told}]


def test_a_load_is_measured_and_seen_to_last(tmp_path: Path, address: str) -> None:
    Guest.writes = True
    kept = asked(tmp_path, address, "guests_write", "guests_wrote")
    assert kept == [{"address": address, "writes_mib_s": 40.0, "still_writes": True}]


def test_a_load_that_has_died_at_once_is_none(tmp_path: Path, address: str) -> None:
    Guest.writes = False
    assert asked(tmp_path, address, "guests_write") == [{"address": address, "writes_mib_s": 0.0}]


def test_a_guest_that_is_silent_is_kept_without_an_answer(tmp_path: Path) -> None:
    tasks = [{"ansible.builtin.set_fact": {"_drill_guests": [], "_drill_asked": {"results": [{"item": "10.0.0.9"}]}}}]
    kept = yaml.safe_load((ROOT / "roles/drill/tasks/guests_ask.yml").read_text(encoding="utf-8"))[1]
    assert run(tmp_path, [*tasks, kept], "_drill_guests", _drill_asked_when="after") == [{"address": "10.0.0.9"}]


@pytest.mark.parametrize(
    ("name", "least"),
    [("ten_servers_drained", 10 * 180 + 65), ("migration_refused", 10 * 120 + 65), ("live_to_any_host", 900)],
)
def test_probes_go_on_for_all_that_a_drill_allows(tmp_path: Path, name: str, least: int) -> None:
    included = {"ansible.builtin.include_vars": str(ROOT / "roles/drill/vars/main.yml")}
    lasts = run(tmp_path, [included], "_drill_lasts | int", _drill=drill(name))
    [started] = [
        task["lifeboat.cloud.probe"]
        for task in yaml.safe_load((ROOT / "roles/drill/tasks/probes.yml").read_text(encoding="utf-8"))
        if "lifeboat.cloud.probe" in task
    ]
    assert lasts >= least and started["max_seconds"] == "{{ _drill_lasts }}"


@pytest.mark.parametrize(("again", "found"), [(False, ""), (True, "; nova-compute: no server-cert.pem")])
def test_a_refusal_has_no_reason_of_an_earlier_drill(tmp_path: Path, again: bool, found: str) -> None:
    old = {"warnings": [{"time": "2026-11-29 10:00:00", "message": "no server-cert.pem"}]}
    new = {"warnings": [{"time": "2026-11-30 10:00:00", "message": "no server-cert.pem"}]}
    keep = yaml.safe_load((ROOT / "roles/drill/tasks/move_refused.yml").read_text(encoding="utf-8"))[-1]
    told = {
        "_drill_try": {"failed": True, "found": "status 500"},
        "_drill_log_before": {"migrations": [old]},
        "_drill_log": {"migrations": [old, *([new] if again else [])]},
        "drill_prerequisites": {"tls": {"expected": "server-cert.pem"}},
    }
    start = {"ansible.builtin.set_fact": {"_drill_refused": []}}
    kept = run(tmp_path, [start, keep], "_drill_refused", _drill_without="tls", **told)
    refused = {"without": "tls", "refused": True, "found": f"status 500{found}", "expected": "server-cert.pem"}
    assert kept == [refused]
