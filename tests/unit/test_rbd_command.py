# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of a program rbd that hangs, or that finds no image."""

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
    pretend(tmp_path, monkeypatch, "exec sleep 5")
    with pytest.raises(LifeboatError, match=f"no end within {within}"):
        call(RbdCommand(0.1, 0.2), RbdImage("vms/1", "nova"))


def test_an_image_that_is_not_there_has_no_snapshots_and_a_cluster_that_is_not_is_an_error(tmp_path, monkeypatch):
    image = RbdImage("vms/1", "nova")
    pretend(tmp_path, monkeypatch, "echo 'rbd: error opening image 1: (2) No such file or directory' >&2; exit 2")
    assert RbdCommand(5, 5).snapshots(image) == []
    for said in ("couldn't connect to the cluster!", "error opening pool 'vms': (2) No such file or directory"):
        pretend(tmp_path, monkeypatch, f'echo "rbd: {said}" >&2; exit 2')
        with pytest.raises(LifeboatError, match="exit status 2"):
            RbdCommand(5, 5).snapshots(image)


def pretend(directory, monkeypatch, does):
    (directory / "rbd").write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    (directory / "rbd").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
