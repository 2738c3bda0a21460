# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every drill that moves servers passes, and fails for the right reason when what it shows is taken away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standing_lab import DRILL_TIMEOUT_S, ROOT, ansible, connected, drill, module, play

SABOTAGE = Path(__file__).parent / "sabotage"
MOVING = ROOT / "roles/drill/files/moving"
RECEIPTS = ROOT / ".lab/reports/migrations"
# The lab shares its machine with other work.
BUSY = ("-e", "drill_allowance=2")
# Copies disks, which hosts that share them refuse.
BLOCK = "live_block_migrated"


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    """What the drills' servers are made from; afterwards they are taken away."""
    play("guest_image")
    play("cloud_content")
    yield
    remove_servers()


def remove_servers() -> None:
    of_drills = {
        "first_server_name": "drill",
        "first_server_count": 10,
        "first_server_volume_gib": 0,
        "first_server_network": {"name": "drill", "cidr": "192.168.78.0/24"},
    }
    play("first_server", "-e", json.dumps({"first_server_state": "absent", **of_drills}))


def rehearse(name: str, *arguments: str, **variables: object) -> tuple[str, str]:
    """Verdict and reasons of a drill with something taken away."""
    entry = drill(name, *BUSY, *arguments, "-e", json.dumps(variables))
    reasons = entry["reasons"]
    assert isinstance(reasons, list)
    return str(entry["verdict"]), " ".join(reasons)


def with_other_values(directory: Path, name: str, fault: dict[str, object] | None = None, **move: object) -> None:
    """Make the directory a catalogue of that drill, whose move or fault has other values."""
    wanted = yaml.safe_load((MOVING / f"{name}.yml").read_text(encoding="utf-8"))
    wanted["move"] |= move
    if fault:
        wanted["fault"] |= fault
    (directory / f"{name}.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")


@pytest.fixture
def altered(tmp_path: Path) -> t.Callable[..., tuple[str, str]]:
    """Rehearses a drill whose move or fault has other values."""

    def run(
        name: str, fault: dict[str, object] | None = None, before_fault: str = "", **move: object
    ) -> tuple[str, str]:
        with_other_values(tmp_path, name, fault, **move)
        return rehearse(name, drill_catalogue=[str(tmp_path)], drill_before_fault=before_fault)

    return run


@pytest.fixture
def local_disks() -> Iterator[tuple[str, str]]:
    """Servers have disks on their hosts; what every playbook has to be told then."""
    told = ("-e", "nova_images_type=qcow2")
    remove_servers()
    try:
        play("site", "--tags", "hypervisor", *told)
        yield told
    finally:
        remove_servers()
        play("site", "--tags", "hypervisor")


@pytest.mark.parametrize("name", sorted({path.stem for path in MOVING.glob("*.yml")} - {BLOCK}))
def test_the_drill_passes(name: str) -> None:
    entry = drill(name, *BUSY)
    assert entry["verdict"] == "passed", entry["reasons"]
    if name == "live_to_named_host":
        latest = max(RECEIPTS.glob("*.json"), key=lambda path: path.stat().st_mtime)
        [receipt] = json.loads(latest.read_text(encoding="utf-8"))["receipts"]
        assert 0 < receipt["transferred"]["downtime_ms"] <= 1000 * receipt["seconds"]


def test_a_server_moves_with_the_disk_of_its_host(local_disks: tuple[str, str]) -> None:
    entry = drill(BLOCK, *BUSY, *local_disks)
    assert entry["verdict"] == "passed", entry["reasons"]


def test_disks_that_hosts_share_are_not_copied() -> None:
    verdict, reasons = rehearse(BLOCK)
    assert verdict == "refused" and "there is nothing to copy" in reasons
    verdict, reasons = rehearse(BLOCK, drill_shared_disks=False)
    assert verdict == "failed" and "had to go to" in reasons and "shared storage" in reasons


def test_servers_that_no_two_hosts_have_room_for_are_not_made() -> None:
    with connected("admin") as cloud:
        flavor = cloud.compute.create_flavor(name="too-large", vcpus=1, ram=2**24, disk=0)
        try:
            verdict, reasons = rehearse("live_to_any_host", drill_server_name="none", drill_server_flavor=flavor.name)
            made = [server.name for server in cloud.compute.servers(all_projects=True) if "none" in server.name]
        finally:
            cloud.compute.delete_flavor(flavor)
    assert verdict == "refused" and "room for 0 on cmp1, 0 on cmp2" in reasons and not made


def test_a_server_that_is_restarted_is_not_the_same_boot() -> None:
    verdict, reasons = rehearse("live_to_named_host", drill_before_fault=str(SABOTAGE / "restart_the_guest.yml"))
    assert verdict == "failed"
    assert "booted 1 times meanwhile, bound 0" in reasons and "session lost" in reasons


@pytest.mark.parametrize("name", ["live_to_named_host", "cold_confirmed"])
def test_a_server_that_forgets_is_found_out(name: str) -> None:
    verdict, reasons = rehearse(name, drill_before_fault=str(SABOTAGE / "forget_the_counter.yml"))
    assert verdict == "failed" and "acknowledged writes are lost" in reasons


def test_a_session_that_hangs_is_not_one_that_goes_on() -> None:
    try:
        verdict, reasons = rehearse("live_to_named_host", drill_before_fault=str(SABOTAGE / "lose_the_session.yml"))
    finally:
        ansible("observers", "ansible.builtin.shell", "nft delete table inet lifeboat_rehearsal || true")
    # Whether its client gives it up before the drill is over is its kernel's affair.
    assert verdict == "failed" and "guest_session: outage of at least" in reasons
    assert "requests failed, bound 0" in reasons and "guest_echo" not in reasons


def test_a_server_that_is_restarted_unwatched_is_not_the_same_boot(altered: t.Callable[..., tuple[str, str]]) -> None:
    sabotage = SABOTAGE / "restart_the_last_guest.yml"
    verdict, reasons = altered("ten_servers_drained", before_fault=str(sabotage), servers=3)
    assert verdict == "failed" and "was booted meanwhile" in reasons and "booted 1 times" not in reasons


def test_nova_finds_no_host() -> None:
    sabotage = SABOTAGE / "close_the_destination.yml"
    try:
        verdict, reasons = rehearse("live_to_any_host", drill_before_fault=str(sabotage))
    finally:
        for host in ("cmp1", "cmp2"):
            play("maintenance", "-e", f"maintenance_host={host}", "-e", "maintenance_state=end")
    assert verdict == "failed" and "had to go to another host" in reasons


def test_a_load_without_any_force(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_under_memory_load", within="90s", on_timeout="abort")
    assert verdict == "failed" and "had to go to" in reasons


def test_a_load_that_the_link_carries_is_none(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_under_memory_load", link=65536)
    assert verdict == "missed" and "of which 65536 MiB/s are sent" in reasons


def test_a_load_that_nova_may_not_get_along_with_by_post_copy(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_post_copied", phase="copying", on_timeout="abort")
    assert verdict == "failed" and "had to go to" in reasons


def test_a_migration_that_is_not_given_up(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_aborted", within="240s", link=0)
    assert verdict == "failed" and "had to stay on" in reasons


def test_a_migration_that_no_operator_aborts(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_aborted_by_operator", aborted=False, link=0)
    assert verdict == "failed" and "had to stay on" in reasons


def test_a_migration_that_is_given_up_is_aborted_by_no_operator(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("live_aborted_by_operator", aborted=False, within="60s")
    assert verdict == "missed" and "took over 60 s" in reasons and "not with 'was aborted by user'" in reasons


def test_a_cold_migration_without_keys() -> None:
    keys = "/var/lib/nova/.ssh"
    try:
        verdict, reasons = rehearse("cold_confirmed", drill_before_fault=str(SABOTAGE / "take_novas_keys.yml"))
    finally:
        ansible("hypervisor", "ansible.builtin.shell", f"[ ! -e {keys}.kept ] || mv -T {keys}.kept {keys}")
    assert verdict == "failed" and "had to go to" in reasons


def test_a_cold_migration_that_is_confirmed_does_not_come_back(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("cold_reverted", after_cold="confirm")
    assert verdict == "failed" and "had to stay on" in reasons


def test_a_source_that_is_lost_takes_its_server_with_it(altered: t.Callable[..., tuple[str, str]]) -> None:
    try:
        verdict, reasons = altered("destination_lost_while_copying", fault={"pick": "move_source"})
    finally:
        # Its port stays bound to the destination, too, so that it could not go there any more.
        remove_servers()
    # Where it is Nova does not know: it calls a server running whose host was off.
    assert verdict == "failed" and "outage of at least" in reasons and "session lost" in reasons


def test_a_host_that_is_lost_before_the_post_copy_costs_nothing(altered: t.Callable[..., tuple[str, str]]) -> None:
    verdict, reasons = altered("destination_lost_in_post_copy", phase="copying", within="240s")
    assert verdict == "missed" and "did not cost" in reasons


def test_a_killed_run_that_nobody_runs_again() -> None:
    verdict, reasons = rehearse("control_node_killed", drill_run_again=False)
    assert verdict == "failed" and "had to go to" in reasons


def test_a_host_that_takes_no_more_servers(altered: t.Callable[..., tuple[str, str]]) -> None:
    try:
        # Three stay behind for the same reason as ten.
        verdict, reasons = altered(
            "ten_servers_drained", before_fault=str(SABOTAGE / "close_the_destination.yml"), servers=3
        )
    finally:
        for host in ("cmp1", "cmp2"):
            play("maintenance", "-e", f"maintenance_host={host}", "-e", "maintenance_state=end")
    assert verdict == "failed" and "had to go to" in reasons


# Of each way to take something away: the same request, of which nothing is taken away.
WHOLE: dict[str, dict[str, object]] = {
    "rights": {"cloud": "admin"},
    "known_destination": {"host": "destination"},
    "enabled_destination": {"service": {"forced_down": False}},
    "living_destination": {"service": {"forced_down": False}},
    "other_destination": {"host": "destination", "away_from": "source"},
    "room": {"claimed": []},
    "running_server": {"stopped": True, "kind": "cold"},
    "storage": {"settings": {"libvirt": {"disk_cachemodes": "file=none"}}},
    "tls": {"hidden": [], "logged": True},
    "keys": {"kind": "cold"},
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_migration_that_lacks_nothing_is_not_refused(name: str, tmp_path: Path) -> None:
    with_other_values(tmp_path, "migration_refused", without=[name])
    needed = {name: {**WHOLE[name], "expected": "nothing"}}
    verdict, reasons = rehearse("migration_refused", drill_catalogue=[str(tmp_path)], drill_prerequisites=needed)
    assert verdict == "failed" and f"Without {name} the migration was not refused" in reasons
    # What is stopped and moved is not what the drill watches.
    assert ("had to stay on" in reasons) == (name != "running_server")


def test_what_a_killed_drill_has_taken_is_given_back(tmp_path: Path) -> None:
    with_other_values(tmp_path, "migration_refused", without=["tls"])
    note, certificate = ROOT / ".lab/drill-taken.json", "/etc/pki/qemu/server-cert.pem"
    variables = json.dumps({"drill": "migration_refused", "drill_catalogue": [str(tmp_path)]})
    command = ["ansible-playbook", "lifeboat.cloud.drill", *BUSY, "-e", variables]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as run:
        try:
            host = ""
            end = time.monotonic() + DRILL_TIMEOUT_S
            while not (host and there(host, f"{certificate}.taken-by-drill")):
                assert run.poll() is None and time.monotonic() < end, f"nothing was hidden, note of {host or 'no host'}"
                host = json.loads(note.read_text(encoding="utf-8"))["host"] if note.exists() else ""
                time.sleep(0.2)
        finally:
            os.killpg(run.pid, signal.SIGKILL)
    assert not there(host, certificate)
    await_rest()
    entry = drill("live_to_named_host", *BUSY)
    assert entry["verdict"] == "passed", entry["reasons"]
    assert there(host, certificate) and not note.exists()


def await_rest() -> None:
    """Until Nova does nothing with the drills' servers, whatever a killed run had asked for."""
    end = time.monotonic() + 180
    with connected("admin") as cloud:
        while busy := [
            each.name for each in cloud.compute.servers(all_projects=True, name="drill-") if each.task_state
        ]:
            assert time.monotonic() < end, f"Nova is still busy with {busy}"
            time.sleep(1)


def there(host: str, path: str) -> bool:
    return bool(module(host, "ansible.builtin.stat", path=path)["stat"]["exists"])
