# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each protection is taken away in turn, and the drill must say so: a green that cannot turn red is worth nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standing_lab import CONTROLLERS, ROOT, ansible, drill, play

SABOTAGE = Path(__file__).parent / "sabotage"


Mend = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def mend() -> Iterator[Mend]:
    """Takes commands for hosts that put back what a test takes away; afterwards the cloud is steady again."""
    undo: list[tuple[str, str]] = []
    yield lambda hosts, command: undo.append((hosts, command))
    for hosts, command in undo:
        ansible(hosts, "ansible.builtin.shell", command)
    play("verify", "-e", "verify_cloud=false", "-e", "verify_within=90")


def rehearse(name: str, sabotage: str | None = None, **variables: object) -> tuple[str, str, dict[str, object]]:
    """Verdict, reasons in one text, and entry of a drill with a protection taken away."""
    arguments = ["-e", json.dumps(variables)] if variables else []
    if sabotage:
        arguments += ["-e", f"drill_before_fault={SABOTAGE / sabotage}.yml"]
    entry = drill(name, *arguments)
    return str(entry["verdict"]), " ".join(map(str, entry["reasons"])), entry


def holders() -> list[str]:
    """Who held the virtual address when the cloud was verified last."""
    facts = json.loads((ROOT / ".lab/steady_state.json").read_text(encoding="utf-8"))["hosts"]
    return [host for host, seen in facts.items() if seen["vip"]["holds"]]


def probe(entry: dict[str, object], name: str) -> dict[str, Any]:
    """One probe's figures."""
    probes = entry["probes"]
    assert isinstance(probes, list)
    found: dict[str, Any] = next(figures for figures in probes if figures["name"] == name)
    return found


def test_no_peer_takes_the_virtual_address_over(mend: Mend) -> None:
    mend("controllers", "systemctl start keepalived.service")
    verdict, reasons, entry = rehearse("vip_holder_power_lost", "stop_keepalived_on_peers")
    assert verdict == "failed"
    assert "vip_tcp: outage of at least" in reasons
    assert probe(entry, "vip_tcp")["longest_outage_lower_s"] > 5


def test_hung_backend_that_is_waited_for(mend: Mend) -> None:
    kept = "/etc/haproxy/conf.d/identity.cfg"
    mend("controllers", f"mv {kept}.kept {kept} && systemctl reload haproxy.service")
    ansible("controllers", "ansible.builtin.shell", f"cp -a {kept} {kept}.kept")
    verdict, reasons, entry = rehearse("identity_backend_hung", "keep_waiting_for_the_victim")
    assert verdict == "failed"
    assert "identity_api" in reasons
    assert probe(entry, "identity_api")["latency_ms"]["p999"] > 600 or probe(entry, "identity_api")["failed"] > 0


def test_killed_backend_without_redispatch(mend: Mend) -> None:
    mend("controllers", "mv /etc/haproxy/haproxy.cfg.kept /etc/haproxy/haproxy.cfg && systemctl reload haproxy.service")
    ansible("controllers", "ansible.builtin.shell", "cp -a /etc/haproxy/haproxy.cfg /etc/haproxy/haproxy.cfg.kept")
    verdict, reasons, entry = rehearse("identity_backend_killed", "drop_redispatch")
    assert verdict == "failed"
    assert "identity_api" in reasons
    assert probe(entry, "identity_api")["failed"] > 1


def test_client_that_goes_past_the_virtual_address() -> None:
    [holder] = holders()
    direct = {"kind": "tcp", "host": f"10.98.0.{11 + CONTROLLERS.index(holder)}", "port": 5000, "rate": 50}
    probes = {"vip_tcp": {**direct, "slo": 0.1}}
    verdict, reasons, _entry = rehearse("vip_holder_network_cut", drill_extra_probes=probes)
    assert verdict == "failed"
    assert "vip_tcp: outage of at least" in reasons


def test_writes_are_lost_without_durable_commit() -> None:
    verdict, reasons, entry = rehearse("galera_all_killed", "weaken_durability")
    assert verdict == "failed"
    assert "lost" in reasons
    assert probe(entry, "database_ledger")["lost"] > 0


def test_queue_without_replicas(mend: Mend) -> None:
    # The next drill makes the queue anew, with its replicas.
    mend("ctl1", "rabbitmqctl delete_queue lifeboat-drill")
    verdict, reasons, _entry = rehearse("queue_leader_killed", "remove_queue_replicas")
    assert verdict == "failed"
    assert "message_ledger: outage of at least" in reasons


def test_fault_that_hits_the_standby() -> None:
    standby = next(host for host in CONTROLLERS if host not in holders())
    verdict, reasons, _entry = rehearse("vip_holder_power_lost", drill_victims=[standby])
    assert verdict == "missed"
    assert standby in reasons


def test_probes_that_end_before_the_fault() -> None:
    verdict, reasons, _entry = rehearse("identity_backend_killed", "stop_probes")
    assert verdict == "void"
    assert "identity_api" in reasons


def test_probe_too_slow_to_tell() -> None:
    slow = {"kind": "tcp", "host": "10.98.0.100", "port": 5000, "rate": 1, "slo": 0.1}
    verdict, reasons, _entry = rehearse("vip_holder_power_lost", drill_extra_probes={"vip_tcp": slow})
    assert verdict == "void"
    assert "vip_tcp" in reasons


def _kill_the_run_after_its_fault(*arguments: str) -> None:
    """Start a drill and kill its whole process group when Keystone has been frozen."""
    command = ["ansible-playbook", "lifeboat.cloud.drill", "-e", "drill=identity_backend_hung", *arguments]
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert _becomes(frozen=True, within_s=90), "the fault did not come within 90 s"
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait(timeout=10)


def _becomes(*, frozen: bool, within_s: float) -> bool:
    """Whether Keystone is (or is no longer) frozen on some controller within that time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        frozen_by = "/sys/fs/cgroup/system.slice/keystone.service/cgroup.freeze"
        seen = ansible("controllers", "ansible.builtin.command", f"cat {frozen_by}")
        if ("\n1" in seen) is frozen:
            return True
    return False


def test_dead_mans_switch_heals_when_the_run_is_killed() -> None:
    _kill_the_run_after_its_fault("-e", "drill_deadman_margin=15")
    assert _becomes(frozen=False, within_s=60), "the dead man's switch has not healed"


def test_without_the_switch_the_fault_stays_until_the_next_run_finishes_it() -> None:
    _kill_the_run_after_its_fault("-e", "drill_deadman_margin=5", "-e", "drill_deadman=false")
    assert not _becomes(frozen=False, within_s=30), "something healed although the switch was off"
    done = play("drill", "-e", "drill=keepalived_stopped", "-e", "drill_fail_on_verdict=false")
    assert "An earlier run was interrupted" in done.text
    assert _becomes(frozen=False, within_s=10)
