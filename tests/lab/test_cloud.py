# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cloud: installed, unchanged by a second run and in check mode, and a server that answers from outside."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import urllib.request

import pytest
from standing_lab import ROOT, connected, play, shell

STACK_TIMEOUT_S = 240
ADDRESS = re.compile(r"http://([0-9.]+)/")
REPLY_WAITERS = (
    "import inspect; from oslo_messaging._drivers import amqpdriver as d; print(inspect.getsource(d.ReplyWaiters))"
)


def test_everything_is_installed() -> None:
    play("site")
    for name in ("clouds.yaml", "admin-openrc.sh", "demo-openrc.sh"):
        assert stat.S_IMODE((ROOT / ".lab" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [(), ("--check", "--diff")], ids=["second run", "check mode"])
def test_nothing_changes(mode: tuple[str, ...]) -> None:
    assert not play("site", *mode).changes


@pytest.mark.parametrize("host", ["ctl1", "cmp1"])
def test_services_look_often_for_replies(host: str) -> None:
    assert "time.sleep(0.02)" in shell(host, f"python3 -c '{REPLY_WAITERS}'")


def test_a_server_answers_from_outside_and_goes_away() -> None:
    play("guest_image")
    play("cloud_content")
    made = play("first_server")
    address = ADDRESS.search(made.text)
    assert address
    try:
        with urllib.request.urlopen(f"http://{address[1]}/state", timeout=10) as answer:
            state = json.load(answer)
        assert state["hostname"] == "web-1"
        assert not play("first_server").changes
        login = ["-i", ROOT / ".lab/web.pem", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        told = subprocess.run(
            ["ssh", *login, f"guest@{address[1]}", "cat /proc/partitions"], capture_output=True, timeout=60, check=True
        )
        assert b"vdb" in told.stdout
    finally:
        play("first_server", "-e", "first_server_state=absent")
    assert not (ROOT / ".lab/web.pem").exists()


def test_all_is_as_it_should_be_and_servers_can_be_made() -> None:
    done = play("verify", "-e", "verify_server=true", "-e", "verify_within=60")
    assert "Steady:" in done.text
    seconds = json.loads((ROOT / ".lab/server_trial.json").read_text(encoding="utf-8"))["seconds"]
    assert all(seconds[step] > 0 for step in ("server ACTIVE", "floating IP answers", "volume attached", "removed"))


def test_a_stack_of_a_server_and_a_volume() -> None:
    with connected("demo") as project:
        template = str(ROOT / "docs/examples/server_with_volume.yaml")
        stack = project.create_stack("stack", template_file=template, wait=True, timeout=STACK_TIMEOUT_S)
        try:
            assert stack.status == "CREATE_COMPLETE"
            [address] = [output["output_value"] for output in stack.outputs if output["output_key"] == "address"]
            assert address.startswith("192.168.252.")
            [volume] = project.block_storage.volumes()
            assert volume.status == "in-use"
        finally:
            project.delete_stack(stack.id, wait=True)
        assert not [*project.compute.servers(), *project.block_storage.volumes()]
