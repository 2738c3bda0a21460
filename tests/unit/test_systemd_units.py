# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of a service: what runs is left alone, what does not is started together, and old ones are told."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _systemd_units
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._systemd_units import carry_out, look, plan
from ansible_collections.lifeboat.cloud.plugins.modules import systemd_units
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

HOUR_S = 3600.0


@dataclass
class Systemd:
    """Answers as systemctl of systemd 257 does; ``dies`` end at once with exit code 0, ``unread`` need a reload."""

    units: dict[str, dict[str, str]]
    dies: frozenset[str] = frozenset()
    unread: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], timeout_s: float) -> str:
        verb, *names = [word for word in arguments if not word.startswith("--")]
        if verb == "show":
            unknown = {"LoadState": "not-found", "ActiveState": "inactive"}
            blocks = [self.units.get(name, unknown) for name in names]
            return "\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in blocks) + "\n"
        self.calls.append(" ".join([verb, *names]))
        if verb == "daemon-reload":
            self.units.update(self.unread)
        for name in names:
            if verb == "enable":
                self.units[name]["UnitFileState"] = "enabled"
            elif name not in self.dies:
                self.units[name]["ActiveState"] = "active"
        return ""


def unit(
    active: bool = True, enabled: bool = True, began_ago_s: float = HOUR_S, reload: bool = False
) -> dict[str, str]:
    began = time.clock_gettime(time.CLOCK_MONOTONIC) - began_ago_s
    return {
        "LoadState": "loaded",
        "ActiveState": "active" if active else "inactive",
        "UnitFileState": "enabled" if enabled else "disabled",
        "NeedDaemonReload": "yes" if reload else "no",
        "InactiveExitTimestampMonotonic": str(int(began * 1e6)) if active else "0",
    }


def converge(systemd: Systemd, *names: str, files: Sequence[Path] = ()) -> _systemd_units.UnitsPlan:
    wanted = plan(look(names, systemd), files)
    carry_out(wanted, names, systemd, 5)
    return wanted


def test_what_runs_is_left_alone() -> None:
    systemd = Systemd({"a.service": unit(), "b.socket": unit()})
    wanted = converge(systemd, "a.service", "b.socket")
    assert (wanted.start, wanted.enable, wanted.stale, wanted.reload) == ((), (), (), False)
    assert systemd.calls == []


def test_what_does_not_run_is_enabled_and_started_together() -> None:
    off = {"active": False, "enabled": False}
    systemd = Systemd({"a.service": unit(**off), "b.service": unit(), "c.service": unit(**off)})
    wanted = converge(systemd, "a.service", "b.service", "c.service")
    assert wanted.start == wanted.enable == ("a.service", "c.service")
    assert systemd.calls == ["enable a.service c.service", "start a.service c.service"]


def test_a_unit_on_disk_that_systemd_has_not_read(tmp_path: Path) -> None:
    systemd = Systemd({}, unread={"new.service": unit(active=False, enabled=False)})
    converge(systemd, "new.service")
    assert systemd.calls == ["daemon-reload", "enable new.service", "start new.service"]
    changed = Systemd({"a.service": unit(reload=True)})
    converge(changed, "a.service")
    assert changed.calls == ["daemon-reload"]


def test_a_unit_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(LifeboatError) as error:
        converge(Systemd({}), "absent.service")
    assert error.value.thing == "units absent.service"
    assert error.value.found == "no such unit"


def test_a_masked_unit_is_refused_before_anything_is_done() -> None:
    systemd = Systemd({"a.service": {**unit(active=False), "LoadState": "masked"}})
    with pytest.raises(LifeboatError, match="masked"):
        converge(systemd, "a.service")
    assert systemd.calls == []


def test_a_unit_that_ends_at_once_is_an_error_with_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(_systemd_units, "output_of", lambda words, _timeout: asked.append(words) or "RuntimeError: key")
    systemd = Systemd({"a.service": unit(), "b.service": unit(active=False)}, dies=frozenset({"b.service"}))
    with pytest.raises(LifeboatError) as error:
        converge(systemd, "a.service", "b.service")
    assert error.value.thing == "units b.service"
    assert "RuntimeError: key" in error.value.found
    assert asked[0][-1] == "--unit=b.service"


def test_a_unit_older_than_its_files_is_stale(tmp_path: Path) -> None:
    old, new, absent = tmp_path / "old", tmp_path / "new", tmp_path / "absent"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 2 * HOUR_S,) * 2)
    systemd = Systemd(
        {"before.service": unit(), "after.service": unit(began_ago_s=-1), "off.service": unit(active=False)}
    )
    assert plan(look(list(systemd.units), systemd), [old, absent]).stale == ()
    assert plan(look(list(systemd.units), systemd), [old, new]).stale == ("before.service",)


def test_stale_units_are_restarted_together_on_demand(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.touch()
    systemd = Systemd({"a.service": unit(), "b.service": unit(), "c.service": unit(began_ago_s=-1)})
    names = list(systemd.units)
    wanted = plan(look(names, systemd), [new])
    carry_out(wanted, names, systemd, 5)
    assert systemd.calls == []
    carry_out(wanted, names, systemd, 5, wanted.stale)
    assert systemd.calls == ["restart a.service b.service"]


def test_a_script_of_system_v_is_enabled_by_its_links(tmp_path: Path) -> None:
    generated = {**unit(), "UnitFileState": "generated"}
    systemd = Systemd({"worker.service": generated})
    assert not look(["worker.service"], systemd, tmp_path)[0].enabled
    (tmp_path / "rc3.d").mkdir()
    (tmp_path / "rc3.d/K01worker").touch()
    assert not look(["worker.service"], systemd, tmp_path)[0].enabled
    (tmp_path / "rc3.d/S01worker").touch()
    assert look(["worker.service"], systemd, tmp_path)[0].enabled


def test_an_answer_too_few_is_an_error() -> None:
    with pytest.raises(LifeboatError, match="1 answers"):
        look(["a.service", "b.service"], lambda _words, _timeout: "Id=a.service\n")


def test_the_module_starts_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd({"a.service": unit(active=False, enabled=False)})
    monkeypatch.setattr(systemd_units, "systemctl", systemd)
    told = run_module(systemd_units.main, True, names=["a.service"])
    assert (told["changed"], told["started"], told["enabled"], systemd.calls) == (
        True,
        ["a.service"],
        ["a.service"],
        [],
    )
    assert told["diff"]["after"] == "a.service running\na.service enabled\n"
    assert run_module(systemd_units.main, names=["a.service"])["changed"]
    assert systemd.calls == ["enable a.service", "start a.service"]
    assert not run_module(systemd_units.main, names=["a.service"])["changed"]


def test_the_module_restarts_only_on_demand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    systemd = Systemd({"a.service": unit()})
    monkeypatch.setattr(systemd_units, "systemctl", systemd)
    files = [str(tmp_path / "new")]
    told = run_module(systemd_units.main, names=["a.service"], files=files)
    assert (told["changed"], told["stale"], systemd.calls) == (False, ["a.service"], [])
    assert run_module(systemd_units.main, True, names=["a.service"], files=files, restart_stale=True)["changed"]
    assert systemd.calls == []
    assert run_module(systemd_units.main, names=["a.service"], files=files, restart_stale=True)["changed"]
    assert systemd.calls == ["restart a.service"]
