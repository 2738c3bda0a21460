# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds of calls of a program rbd that hangs."""

from __future__ import annotations

import os

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdCommand, RbdImage


@pytest.mark.parametrize(
    ("call", "within"),
    [
        (lambda rbd, image: rbd.create(image, "sunday"), "0.1 s"),
        (lambda rbd, image: rbd.remove(image, "sunday"), "0.1 s"),
        (lambda rbd, image: rbd.roll_back(image, "sunday"), "0.2 s"),
        (lambda rbd, image: rbd.export(image, "sunday", None, "/nowhere"), "0.2 s"),
    ],
)
def test_only_what_copies_an_image_may_take_long(tmp_path, monkeypatch, call, within):
    (tmp_path / "rbd").write_text("#!/bin/sh\nexec sleep 5\n", encoding="utf-8")
    (tmp_path / "rbd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(LifeboatError, match=f"no end within {within}"):
        call(RbdCommand(0.1, 0.2), RbdImage("vms/1", "nova"))
