# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Programs of the target host, run with a time limit."""

from __future__ import annotations

import subprocess
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def output_of(arguments: Sequence[str], timeout_s: float, given: str | None = None) -> str:
    """The standard output of a program that succeeds within ``timeout_s``; else a LifeboatError.

    ``given`` is its standard input, for secrets, which do not belong among the arguments.
    """
    thing = f"command {' '.join(arguments)}"
    try:
        done = subprocess.run(arguments, input=given, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise LifeboatError(thing, "no such program", "an installed program", f"Install {arguments[0]}.") from error
    except subprocess.TimeoutExpired as error:
        found = f"no end within {timeout_s:g} s"
        raise LifeboatError(thing, found, "an answer", "See what blocks the host.") from error
    if done.returncode != 0:
        found = f"exit status {done.returncode}: {done.stderr.strip() or done.stdout.strip() or 'nothing said'}"
        raise LifeboatError(thing, found, "exit status 0", "Correct what the program complains about.")
    return done.stdout


def active_states(units: Sequence[str], timeout_s: float) -> dict[str, str]:
    """systemd's ActiveState of each unit; a unit that systemd does not know is ``inactive``."""
    shown = output_of(["systemctl", "show", "--property=ActiveState", *units], timeout_s)
    return parse_active_states(units, shown)


def parse_active_states(units: Sequence[str], shown: str) -> dict[str, str]:
    """What ``systemctl show --property=ActiveState`` says, in the order of ``units``."""
    states = [line.partition("=")[2] for line in shown.splitlines() if line.startswith("ActiveState=")]
    if len(states) != len(units):
        raise LifeboatError(
            f"state of the units {', '.join(units)}",
            f"{len(states)} answers of systemctl",
            f"{len(units)}",
            "Look at systemctl show on the host.",
        )
    return dict(zip(units, states, strict=True))
