# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What systemd says of several units in one answer, and what has to be done so that all of them run and are enabled."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Systemctl = Callable[[Sequence[str], float], str]

SHOW_TIMEOUT_S = 20.0
PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "InactiveExitTimestampMonotonic")
# systemd enables neither of these: they have no [Install] section, or were enabled by another name.
ALWAYS_ENABLED = frozenset({"enabled", "enabled-runtime", "static", "indirect", "alias", "linked", "transient"})
RUNNING = frozenset({"active", "reloading", "activating"})


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit; ``began`` is when its last start began, in seconds since the epoch, 0 when it never did."""

    name: str
    load_state: str
    active_state: str
    enabled: bool
    needs_reload: bool
    began: float

    @property
    def running(self) -> bool:
        return self.active_state in RUNNING


@dataclass(frozen=True, slots=True)
class UnitsPlan:
    """What has to be done, and ``stale``: the running units that were started before their files were written."""

    reload: bool
    start: tuple[str, ...]
    enable: tuple[str, ...]
    stale: tuple[str, ...]


def systemctl(arguments: Sequence[str], timeout_s: float) -> str:
    """What systemctl prints; LifeboatError when it fails or takes longer."""
    return output_of(["systemctl", "--no-pager", *arguments], timeout_s)


def look(names: Sequence[str], ask: Systemctl, sysv_root: Path = Path("/etc")) -> list[Unit]:
    """The units in the order of ``names``."""
    shown = ask(["show", f"--property={','.join(PROPERTIES)}", *names], SHOW_TIMEOUT_S)
    blocks = [block for block in shown.split("\n\n") if block.strip()]
    if len(blocks) != len(names):
        found, expected = f"{len(blocks)} answers of systemctl", str(len(names))
        raise LifeboatError(f"units {', '.join(names)}", found, expected, "Name each unit once, with its suffix.")
    # Monotonic time lasts over steps of the clock; files have the clock's.
    booted = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    return [_unit(name, block, booted, sysv_root) for name, block in zip(names, blocks, strict=True)]


def _unit(name: str, block: str, booted: float, sysv_root: Path) -> Unit:
    values = dict(line.partition("=")[::2] for line in block.splitlines())
    state = values.get("UnitFileState", "")
    began = int(values.get("InactiveExitTimestampMonotonic") or 0) / 1e6
    return Unit(
        name,
        values.get("LoadState", ""),
        values.get("ActiveState", ""),
        _starts_at_boot(name, sysv_root) if state == "generated" else state in ALWAYS_ENABLED,
        values.get("NeedDaemonReload") == "yes",
        booted + began if began else 0.0,
    )


def _starts_at_boot(name: str, root: Path) -> bool:
    """Whether a unit that systemd generates from a script of System V is linked for the multi-user runlevels."""
    return any(root.glob(f"rc[2-5].d/S[0-9][0-9]{name.removesuffix('.service')}"))


def plan(units: Sequence[Unit], files: Sequence[Path]) -> UnitsPlan:
    """What has to be done; LifeboatError for a masked unit."""
    for unit in units:
        if unit.load_state == "masked":
            raise LifeboatError(
                f"unit {unit.name}", "masked", "one that may be started", f"systemctl unmask {unit.name}"
            )
    newest = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    return UnitsPlan(
        reload=any(unit.needs_reload or unit.load_state == "not-found" for unit in units),
        start=tuple(unit.name for unit in units if not unit.running),
        enable=tuple(unit.name for unit in units if not unit.enabled),
        stale=tuple(unit.name for unit in units if unit.running and unit.began < newest),
    )


def carry_out(
    wanted: UnitsPlan, names: Sequence[str], ask: Systemctl, timeout_s: float, restart: Sequence[str] = ()
) -> None:
    """Reload, enable, start and restart; LifeboatError, with what the journal says, unless all units run afterwards."""
    if wanted.reload:
        ask(["daemon-reload"], timeout_s)
        unknown = [unit.name for unit in look(names, ask) if unit.load_state == "not-found"]
        if unknown:
            remedy = "Install the package or write the file that brings it."
            raise LifeboatError(f"units {', '.join(unknown)}", "no such unit", "an installed one", remedy)
    if wanted.enable:
        ask(["enable", *wanted.enable], timeout_s)
    for verb, units in (("start", wanted.start), ("restart", restart)):
        try:
            if units:
                ask([verb, *units], timeout_s)
        except LifeboatError as error:
            raise _not_running(units, error.found) from error
    down = [unit for unit in look(names, ask) if not unit.running]
    if down:
        raise _not_running([unit.name for unit in down], ", ".join(f"{unit.name} {unit.active_state}" for unit in down))


def _not_running(names: Sequence[str], found: str) -> LifeboatError:
    journal = output_of(["journalctl", "--no-pager", "--lines=15", "--output=cat", *_of_units(names)], SHOW_TIMEOUT_S)
    said = f"{found}; the journal ends with: {journal.strip() or 'nothing'}"
    remedy = "Correct what the journal says, or look into the logs of the service."
    return LifeboatError(f"units {', '.join(names)}", said, "running units", remedy)


def _of_units(names: Sequence[str]) -> list[str]:
    return [f"--unit={name}" for name in names]
