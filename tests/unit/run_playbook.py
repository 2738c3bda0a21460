# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a play as its user does: by ansible-playbook, and with this repository's configuration."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def try_playbook(
    directory: Path,
    play: dict[str, t.Any] | str,
    inventory: dict[str, t.Any] | Path,
    *options: str | Path,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """How ansible-playbook has ended; what is not a file yet is written into the directory."""
    file = directory / "play.yml"
    file.write_text(play if isinstance(play, str) else yaml.safe_dump([play]), encoding="utf-8")
    if not isinstance(inventory, Path):
        hosts, inventory = inventory, directory / "hosts.yml"
        inventory.write_text(yaml.safe_dump(hosts), encoding="utf-8")
    return subprocess.run(
        ["ansible-playbook", "-i", inventory, file, *options],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_playbook(
    directory: Path,
    play: dict[str, t.Any] | str,
    inventory: dict[str, t.Any] | Path,
    *options: str | Path,
    **environment: str,
) -> str:
    """What ansible-playbook has said of a play that succeeds; what is not a file yet is written into the directory."""
    done = try_playbook(directory, play, inventory, *options, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
