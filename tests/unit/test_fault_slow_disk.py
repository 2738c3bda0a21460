# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form slow_disk, with a systemd that keeps its limits in fake cgroups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _fault_service, _fault_slow_disk
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault import Injector
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import FaultRequest
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import CommandResult, follow, heal_entry
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_journal import Journal
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_slow_disk import SlowDisk, whole_disk

UNIT = "mariadb.service"
LIFT = ("systemctl", "set-property", "--runtime", UNIT, "IOReadIOPSMax=", "IOWriteIOPSMax=")
RELOAD = ("systemctl", "daemon-reload")


class Systemd:
    """A runner in whose place systemd answers: one unit, also called mysql.service, in system.slice."""

    def __init__(self, root: Path) -> None:
        self.cgroups = root / "cgroup"
        self.group = self.cgroups / "system.slice" / UNIT
        self.drop_ins = root / "control" / f"{UNIT}.d"
        self.active = "active"
        self.disabled = ""
        self.limits = ""
        self.obeys = True
        self.given: list[tuple[str, ...]] = []
        self.group.mkdir(parents=True)
        (self.group / "cgroup.procs").touch()
        (self.cgroups / "cgroup.controllers").write_text("cpuset cpu io memory pids\n", encoding="utf-8")

    @property
    def changes(self) -> list[tuple[str, ...]]:
        """What was more than a question."""
        return [argv for argv in self.given if argv[:2] != ("systemctl", "show")]

    def __call__(self, argv: Sequence[str], timeout_s: float = 30.0, stdin: str = "") -> CommandResult:
        self.given.append(tuple(argv))
        if argv[:2] == ("systemctl", "show"):
            return CommandResult(0, self._show(argv[2].removeprefix("--property="), argv[4:]))
        if argv[:2] == ("systemctl", "set-property"):
            self._set(argv[4:])
        return CommandResult(0)

    def _show(self, properties: str, units: Sequence[str]) -> str:
        if properties == "DisableControllers":
            disabled = {"system.slice": self.disabled}
            return "\n\n".join(f"DisableControllers={disabled.get(unit, '')}" for unit in units)
        if properties.startswith("Id,"):
            return f"Id={UNIT}\n{self.limits}"
        cgroup = "/" if units == ("-.slice",) else f"/system.slice/{UNIT}"
        return f"LoadState=loaded\nActiveState={self.active}\nSubState=running\nControlGroup={cgroup}"

    def _set(self, assignments: Sequence[str]) -> None:
        limited = all(not text.endswith("=") for text in assignments)
        self.drop_ins.mkdir(parents=True, exist_ok=True)
        for text in assignments:
            (self.drop_ins / f"50-{text.partition('=')[0]}.conf").write_text("[Service]\n", encoding="utf-8")
        if self.obeys:
            rate = assignments[0].rpartition(" ")[2]
            text = f"8:0 rbps=1 wbps=max riops={rate} wiops=max\n8:16 rbps=max wbps=max riops={rate} wiops={rate}\n"
            (self.group / "io.max").write_text(text if limited else "", encoding="utf-8")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path)
    monkeypatch.setattr(_fault_service, "CGROUPS", made.cgroups)
    monkeypatch.setattr(_fault_slow_disk, "BLOCK_DEVICES", tmp_path / "block")
    monkeypatch.setattr(_fault_slow_disk, "RUNTIME_PROPERTIES", tmp_path / "control")
    monkeypatch.setattr(_fault_slow_disk, "LAND_TIMEOUT_S", 0.1)
    partition = device(tmp_path / "sdb", "8:16") / "sdb1"
    partition.mkdir()
    (partition / "partition").write_text("1\n", encoding="utf-8")
    number = tmp_path.stat().st_dev
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / f"{os.major(number)}:{os.minor(number)}").symlink_to(partition)
    return made


def device(directory: Path, number: str, *layers: Path) -> Path:
    """A disk in sysfs, upon ``layers``."""
    (directory / "slaves").mkdir(parents=True)
    (directory / "dev").write_text(f"{number}\n", encoding="utf-8")
    (directory / "uevent").write_text(f"MAJOR=8\nDEVNAME={directory.name}\n", encoding="utf-8")
    for layer in layers:
        (directory / "slaves" / layer.name).symlink_to(layer)
    return directory


def slow(systemd: Systemd, **options: object) -> SlowDisk:
    wanted = {"units": ("mysql",), "path": str(systemd.cgroups), "iops": 10, **options}
    return SlowDisk(FaultRequest("run1", "slow_disk", **wanted), systemd)


def test_the_units_are_limited_on_the_disk_below_the_path_and_set_free(systemd: Systemd) -> None:
    form = slow(systemd)
    form.check()
    assert systemd.changes == []
    limit = (*LIFT[:4], "IOReadIOPSMax=/dev/sdb 10", "IOWriteIOPSMax=/dev/sdb 10")
    assert form.plan() == (" ".join(limit),)
    form.act()
    assert systemd.changes == [limit]
    evidence = form.evidence()
    assert (evidence.landed, evidence.basis) == (True, "io.max")
    assert evidence.details["disk"] == "/dev/sdb (8:16)"
    assert "8:16 rbps=max wbps=max riops=10 wiops=10" in evidence.details["units"][UNIT]
    assert follow(form.recipe(), systemd) == ()
    assert systemd.changes[1:] == [LIFT, RELOAD]
    assert (systemd.group / "io.max").read_text(encoding="utf-8") == ""
    assert not systemd.drop_ins.exists()


def test_drop_ins_of_others_stay(systemd: Systemd) -> None:
    systemd.drop_ins.mkdir(parents=True)
    (systemd.drop_ins / "50-CPUWeight.conf").touch()
    form = slow(systemd)
    form.check()
    assert follow(form.recipe(), systemd) == ()
    assert [path.name for path in systemd.drop_ins.iterdir()] == ["50-CPUWeight.conf"]


def test_the_dead_man_s_switch_lifts_the_limit_from_the_journal_alone(systemd: Systemd, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "faults", systemd, systemd=True)
    (entry,) = Injector(slow(systemd).request, journal, 60).inject().entries
    assert entry.evidence["landed"] is True
    healed = heal_entry(journal.directory, "run1", "deadman", systemd, deadline=entry.deadline)
    assert healed is not None
    assert (healed.state, healed.failures) == ("healed", ())
    assert systemd.changes[-2:] == [LIFT, RELOAD]


def test_a_limit_that_the_kernel_does_not_show_has_not_landed(systemd: Systemd) -> None:
    form = slow(systemd)
    form.check()
    systemd.obeys = False
    form.act()
    assert not form.evidence().landed, "no io.max at all"
    # Another disk, and a part of the limit only.
    (systemd.group / "io.max").write_text("8:0 riops=10 wiops=10\n8:16 riops=10 wiops=max\n", encoding="utf-8")
    assert not form.evidence().landed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": ""}, "no path"),
        ({"iops": 0}, "no iops"),
        ({"iops": -1}, "no iops"),
        ({"units": ()}, "no units"),
        ({"units": ("system.slice",)}, "no service"),
        ({"path": "/no/such/path"}, "an existing path"),
    ],
)
def test_an_incomplete_request_is_refused(systemd: Systemd, options: dict[str, object], said: str) -> None:
    with pytest.raises(LifeboatError, match=said):
        slow(systemd, **options).check()
    assert systemd.changes == []


@pytest.mark.parametrize("controllers", ["cpuset cpu memory pids\n", "", None])
def test_without_the_controller_it_is_refused(systemd: Systemd, controllers: str | None) -> None:
    listing = systemd.cgroups / "cgroup.controllers"
    listing.unlink()
    if controllers is not None:
        listing.write_text(controllers, encoding="utf-8")
    with pytest.raises(LifeboatError, match=r"cgroup\.controllers: found (cpuset cpu memory pids|none); expected io"):
        slow(systemd).check()
    assert systemd.changes == []


def test_a_slice_that_disables_the_controller_is_refused(systemd: Systemd) -> None:
    systemd.disabled = "cpu io"
    with pytest.raises(LifeboatError, match=r"DisableControllers of -\.slice or system\.slice"):
        slow(systemd).check()
    assert systemd.changes == []


def test_a_unit_that_does_not_run_is_refused(systemd: Systemd) -> None:
    systemd.active = "failed"
    with pytest.raises(LifeboatError, match="active state failed"):
        slow(systemd).check()


@pytest.mark.parametrize("limits", ["IOWriteIOPSMax=/dev/sda 500", "IOReadBandwidthMax=/srv 1000000"])
def test_a_unit_that_is_limited_already_is_refused(systemd: Systemd, limits: str) -> None:
    systemd.limits = limits
    with pytest.raises(LifeboatError, match=limits):
        slow(systemd).check()


def test_a_file_system_without_a_block_device_is_refused(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = systemd.cgroups / "mountinfo"
    mounts.write_text("1 0 0:40 / / rw - overlay overlay rw\n", encoding="utf-8")
    monkeypatch.setattr(_fault_slow_disk, "MOUNTS", mounts)
    monkeypatch.setattr(_fault_slow_disk, "BLOCK_DEVICES", systemd.cgroups / "nothing")
    with pytest.raises(LifeboatError, match=r"found / \(overlay\), which has no block device of its own"):
        slow(systemd).check()
    assert systemd.changes == []


def test_the_disk_is_found_through_its_layers(tmp_path: Path) -> None:
    disk, other = device(tmp_path / "sda", "8:0"), device(tmp_path / "sdb", "8:16")
    partition = disk / "sda2"
    partition.mkdir()
    (partition / "partition").write_text("2\n", encoding="utf-8")
    volume = device(tmp_path / "dm-0", "253:0", partition)
    encrypted = device(tmp_path / "dm-1", "253:1", volume)
    mirror = device(tmp_path / "md0", "9:0", partition, other)
    found = [whole_disk(start).name for start in (disk, partition, volume, encrypted, mirror)]
    assert found == ["sda", "sda", "sda", "sda", "md0"]
