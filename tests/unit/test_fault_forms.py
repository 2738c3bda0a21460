# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of fault on a target host, apart from the tools themselves, which are tested in the lab."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_disk, _fault_network, _fault_service
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_disk import FullDisk, mount_of, refuse_unsafe
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, follow
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_network import Delay, Drop, dropped_packets, ruleset
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_service import Crash, Hang, Process, Stop
from hypothesis import given
from hypothesis import strategies as st


class Host:
    """A runner in whose place a host answers: systemd with units in fake cgroups, nft with a counter."""

    def __init__(self, active: str = "active", dropped: int | None = 3) -> None:
        self.active = active
        self.dropped = dropped
        self.given: list[tuple[str, ...]] = []
        self.stdin = ""
        self.failing: tuple[str, ...] = ()

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        self.given.append(tuple(argv))
        self.stdin = stdin or self.stdin
        if argv[0] in self.failing:
            return CommandResult(1, "", "not here")
        if argv[:2] == ("systemctl", "show"):
            lines = ("LoadState=loaded", f"ActiveState={self.active}", "SubState=x", f"ControlGroup=/{argv[-1]}")
            return CommandResult(0, "\n".join(lines))
        if "list" in argv:
            rule = {"expr": [{"match": {}}, {"counter": {"packets": self.dropped, "bytes": 1}}, {"drop": None}]}
            return (
                CommandResult(1)
                if self.dropped is None
                else CommandResult(0, json.dumps({"nftables": [{"rule": rule}]}))
            )
        return CommandResult(0, "[]")


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_fault_service, "CGROUPS", tmp_path)
    monkeypatch.setattr(_fault_service, "RUNTIME_UNITS", tmp_path / "units")
    monkeypatch.setattr(_fault_service, "LAND_TIMEOUT_S", 0.2)
    (tmp_path / "a.service" / "worker").mkdir(parents=True)
    for group in ("a.service", "a.service/worker"):
        (tmp_path / group / "cgroup.procs").touch()
    (tmp_path / "a.service" / "cgroup.freeze").write_text("0", encoding="utf-8")
    (tmp_path / "a.service" / "cgroup.events").write_text("populated 1\nfrozen 0\n", encoding="utf-8")
    return tmp_path


def request(form: str, **options: object) -> FaultRequest:
    return FaultRequest("run1", form, **options)


def test_crash_kills_the_whole_cgroup_and_forbids_the_restart(cgroups: Path) -> None:
    host = Host()
    crash = Crash(request("crash", units=("a",)), host)
    crash.check()
    crash.prepare()
    drop_in = cgroups / "units" / "a.service.d" / "zz-lifeboat-fault.conf"
    assert drop_in.read_text(encoding="utf-8") == "[Service]\nRestart=no\n"
    with subprocess.Popen(["sleep", "60"]) as victim:
        (cgroups / "a.service" / "worker" / "cgroup.procs").write_text(f"{victim.pid}\n", encoding="utf-8")
        crash.observe()
        crash.act()
        assert host.given[-1] == ("systemctl", "kill", "--kill-whom=all", "--signal=SIGKILL", "a.service")
        assert not crash.evidence().landed, "the process lives"
        victim.kill()
        # Not waited for: a zombie is gone, too.
        assert not crash.evidence().landed, "systemd still calls it active"
        host.active = "failed"
        evidence = crash.evidence()
    assert evidence.landed
    assert evidence.details["units"]["a.service"]["pids_before"] == [victim.pid]
    host.given.clear()
    assert follow(crash.recipe(), host) == ()
    assert not drop_in.parent.exists()
    assert [" ".join(argv[1:]) for argv in host.given] == ["daemon-reload", "reset-failed a.service", "start a.service"]


def test_nothing_to_kill_is_no_landing(cgroups: Path) -> None:
    host = Host()
    crash = Crash(request("crash", units=("a",)), host)
    crash.observe()
    host.active = "failed"
    assert not crash.evidence().landed


@pytest.mark.parametrize("form", [Crash, Stop])
def test_the_start_may_be_left_to_a_recovery(cgroups: Path, form: type[Crash | Stop]) -> None:
    recipe = form(request("stop", units=("a",), start_on_heal=False), Host()).recipe()
    assert not [step for step in recipe if "start" in step.run]


def test_hang_freezes_and_healing_thaws(cgroups: Path) -> None:
    group = cgroups / "a.service"
    hang = Hang(request("hang", units=("a",)), Host())
    hang.check()
    with subprocess.Popen(["sleep", "60"]) as victim:
        (group / "cgroup.procs").write_text(f"{victim.pid}\n", encoding="utf-8")
        hang.observe()
        victim.kill()
    hang.act()
    assert (group / "cgroup.freeze").read_text(encoding="utf-8") == "1"
    assert not hang.evidence().landed, "the kernel has not said so yet"
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n", encoding="utf-8")
    assert hang.evidence().landed
    assert follow(hang.recipe(), Host()) == ()
    assert (group / "cgroup.freeze").read_text(encoding="utf-8") == "0"


@pytest.mark.parametrize(("units", "active"), [((), "active"), (("a",), "failed"), (("system.slice",), "active")])
def test_only_a_running_service_can_fail(cgroups: Path, units: tuple[str, ...], active: str) -> None:
    with pytest.raises(LifeboatError):
        Crash(request("crash", units=units), Host(active)).check()


def test_a_process_is_not_taken_for_a_later_one() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process(child.pid, _fault_service._start(child.pid))
        assert process.alive()
        assert not Process(child.pid, process.started + "0").alive()
        child.kill()
    assert not process.alive()


def test_the_rules_of_a_silence() -> None:
    assert ruleset(request("silence", ports=(4567, 3306), peers=("10.0.0.2", "fd00::2"))) == (
        "table inet lifeboat_fault_run1 {\n"
        "  chain input {\n"
        "    type filter hook input priority -300; policy accept;\n"
        "    tcp dport 22 accept\n"
        "    tcp sport 22 accept\n"
        "    ip saddr { 10.0.0.2 } tcp dport { 3306, 4567 } counter drop\n"
        "    ip saddr { 10.0.0.2 } tcp sport { 3306, 4567 } counter drop\n"
        "    ip6 saddr { fd00::2 } tcp dport { 3306, 4567 } counter drop\n"
        "    ip6 saddr { fd00::2 } tcp sport { 3306, 4567 } counter drop\n"
        "  }\n"
        "  chain output {\n"
        "    type filter hook output priority -300; policy accept;\n"
        "    tcp dport 22 accept\n"
        "    tcp sport 22 accept\n"
        "    ip daddr { 10.0.0.2 } tcp dport { 3306, 4567 } counter drop\n"
        "    ip daddr { 10.0.0.2 } tcp sport { 3306, 4567 } counter drop\n"
        "    ip6 daddr { fd00::2 } tcp dport { 3306, 4567 } counter drop\n"
        "    ip6 daddr { fd00::2 } tcp sport { 3306, 4567 } counter drop\n"
        "  }\n"
        "}\n"
    )


def test_a_service_falls_silent_and_not_the_others_that_go_through_its_host() -> None:
    text = ruleset(request("silence", ports=(4567,), served_ports=(9200, 3306), addresses=("10.0.0.1", "fd00::1")))
    incoming, outgoing = text.split("  chain output")
    both = {"tcp dport { 4567 } counter drop", "tcp sport { 4567 } counter drop"}
    assert {line.strip() for line in incoming.splitlines() if "drop" in line} == both | {
        "ip daddr { 10.0.0.1 } tcp dport { 3306, 9200 } counter drop",
        "ip6 daddr { fd00::1 } tcp dport { 3306, 9200 } counter drop",
    }
    assert {line.strip() for line in outgoing.splitlines() if "drop" in line} == both | {
        "ip saddr { 10.0.0.1 } tcp sport { 3306, 9200 } counter drop",
        "ip6 saddr { fd00::1 } tcp sport { 3306, 9200 } counter drop",
    }
    anywhere = ruleset(request("silence", served_ports=(3306,)))
    assert anywhere.count("drop") == 2 and "addr" not in anywhere


def test_a_partition_drops_whatever_the_port_and_a_loss_by_chance() -> None:
    assert "    ip saddr { 10.0.0.2 } counter drop\n" in ruleset(
        request("partition", peers=("10.0.0.2",), ports=(3306,))
    )
    assert "tcp dport { 80 } numgen random mod 10000 < 1250 counter drop" in ruleset(
        request("loss", ports=(80,), loss_percent=12.5)
    )


@given(
    form=st.sampled_from(["silence", "partition", "loss"]),
    ports=st.sets(st.integers(1, 65535).filter(lambda port: port != 22), max_size=4),
    peers=st.sets(st.ip_addresses().map(str), max_size=4),
    direction=st.sampled_from(["both", "in", "out"]),
)
def test_ssh_is_accepted_before_anything_is_dropped(
    form: str, ports: set[int], peers: set[str], direction: str
) -> None:
    text = ruleset(request(form, ports=tuple(ports), peers=tuple(peers), direction=direction, loss_percent=5))
    chains = re.findall(r"chain (\w+) \{\n(.*?)\n  \}", text, re.DOTALL)
    expected = {"both": ["input", "output"], "in": ["input"], "out": ["output"]}[direction]
    assert [name for name, _body in chains] == expected
    for _name, body in chains:
        rules = body.splitlines()[1:]
        assert [rule.strip() for rule in rules[:2]] == ["tcp dport 22 accept", "tcp sport 22 accept"]
        assert len(rules) > 2
        assert all(rule.endswith("counter drop") for rule in rules[2:])


def test_a_drop_is_proven_by_counters_or_says_that_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fault_network, "COUNT_TIMEOUT_S", 0.1)
    seen = {}
    for dropped in (3, 0, None):
        evidence = Drop(request("silence", ports=(80,)), Host(dropped=dropped)).evidence()
        seen[dropped] = (evidence.landed, evidence.basis)
    assert seen == {3: (True, "packet counters"), 0: (True, "rules only"), None: (False, "rules only")}


def test_counters_are_summed() -> None:
    rules = [{"rule": {"expr": [{"counter": {"packets": number}}, {"drop": None}]}} for number in (2, 5)]
    assert dropped_packets({"nftables": [{"metainfo": {}}, {"table": {}}, *rules]}) == 7


def test_the_table_is_deleted_only_when_it_is_there() -> None:
    for dropped, deleted in ((3, True), (None, False)):
        host = Host(dropped=dropped)
        assert follow(Drop(request("silence", ports=(80,)), host).recipe(), host) == ()
        assert (("nft", "delete", "table", "inet", "lifeboat_fault_run1") in host.given) is deleted


@pytest.mark.parametrize(
    "bad",
    [
        request("silence"),
        request("silence", addresses=("10.0.0.1",)),
        request("partition", ports=(80,)),
        request("loss", ports=(80,)),
        request("loss", loss_percent=5.0),
        request("loss", ports=(80,), loss_percent=101.0),
    ],
)
def test_an_incomplete_drop_is_refused(bad: FaultRequest) -> None:
    with pytest.raises(LifeboatError):
        Drop(bad, Host()).check()


def test_a_kernel_without_netem_is_refused_before_anything_is_changed() -> None:
    host = Host()
    host.failing = ("unshare",)
    with pytest.raises(LifeboatError, match="sch_netem"):
        Delay(request("delay", ports=(80,), delay_ms=50), host).check()
    assert [argv[0] for argv in host.given] == ["unshare"]


def test_a_delay_spares_ssh() -> None:
    class Routed(Host):
        def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
            answer = super().__call__(argv, timeout_s, stdin)
            return CommandResult(0, '[{"dev": "eth1"}]') if argv[0] == "ip" else answer

    host = Routed()
    delay = Delay(request("delay", peers=("10.0.0.2",), delay_ms=50), host)
    delay.check()
    delay.act()
    lines = host.stdin.splitlines()
    assert lines[1] == "qdisc add dev eth1 parent 1b0a:4 netem delay 50ms"
    assert [line.rpartition(" ")[2] for line in lines[2:]] == ["1b0a:1", "1b0a:1", "1b0a:4"]
    assert lines[-1].endswith("u32 match ip dst 10.0.0.2/32 flowid 1b0a:4")
    (step,) = delay.recipe()
    assert step.run[:6] == ("tc", "qdisc", "del", "dev", "eth1", "root")


MOUNTINFO = """\
1 0 0:1 / / rw - overlay overlay rw
2 1 8:1 /volumes/db /var/lib/mysql rw - xfs /dev/vda1 rw
3 1 8:2 / /var/lib/glance rw shared:1 - ext4 /dev/vdb rw
4 1 0:5 / /run rw - tmpfs tmpfs rw
5 1 8:3 / /mnt/with\\040space rw - ext4 /dev/vdc rw
6 1 0:7 / /proc rw - proc proc rw
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", False),
        ("/var/lib", False),
        ("/var/lib/mysql/data", False),
        ("/var/lib/glance", True),
        ("/var/lib/glance/images", True),
        ("/var/lib/glance2", False),
        ("/run/lock", False),
        ("/mnt/with space", True),
        ("/proc/1", False),
    ],
)
def test_only_a_file_system_of_its_own_is_filled(path: str, allowed: bool) -> None:
    if allowed:
        refuse_unsafe(path, mount_of(path, MOUNTINFO))
    else:
        with pytest.raises(LifeboatError, match="file system of its own"):
            refuse_unsafe(path, mount_of(path, MOUNTINFO))


def test_the_later_of_two_mounts_on_a_point_counts() -> None:
    assert mount_of("/a", "1 0 8:1 / /a rw - ext4 x rw\n2 1 8:2 / /a rw - xfs y rw\n").kind == "xfs"


def test_a_disk_is_filled_but_for_what_shall_be_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10.0, 2.5])
    monkeypatch.setattr(_fault_disk, "_free_mib", lambda path: next(free))
    full = FullDisk(request("full_disk", path=str(tmp_path), leave_mib=2))
    full.act()
    (filler,) = tmp_path.iterdir()
    assert filler.stat().st_size == 8 * 1024 * 1024
    assert full.evidence().landed
    assert follow(full.recipe(), Host()) == ()
    assert list(tmp_path.iterdir()) == []


def test_the_journal_keeps_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fault_disk, "refuse_unsafe", lambda path, mount: None)
    monkeypatch.setattr(_fault_disk, "_free_mib", lambda path: 1.0)
    with pytest.raises(LifeboatError, match="leave_mib of 1"):
        FullDisk(request("full_disk", path=str(tmp_path), journal=str(tmp_path))).check()
    FullDisk(request("full_disk", path=str(tmp_path), journal=str(tmp_path), leave_mib=1)).check()
