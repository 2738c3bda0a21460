# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of a disk's copy ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import OPTIONS, make_image, make_raw


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the same disk in every format."""
    directory = tmp_path_factory.mktemp("images")
    raw = make_raw(directory / "disk.raw")
    for name in OPTIONS:
        make_image(raw, name)
    return directory
