# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of backups ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.backing_up_libvirt import QCOW2, RBD, Backups, backups


@pytest.fixture
def files(tmp_path: Path) -> Backups:
    """A domain with a disk in a qcow2 file."""
    return backups(tmp_path, QCOW2)


@pytest.fixture
def ceph(tmp_path: Path) -> Backups:
    """A domain with a disk in Ceph."""
    return backups(tmp_path, RBD)
