# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several subjects ask for; a subject with several files has a directory, and a conftest.py there."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import disk_import
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import CloudOverHttp
from ansible_collections.lifeboat.cloud.tests.unit.disk_copies import load_libnbd
from ansible_collections.lifeboat.cloud.tests.unit.disk_samples import OPTIONS, make_image, make_raw
from ansible_collections.lifeboat.cloud.tests.unit.keystone_over_http import serving
from ansible_collections.lifeboat.cloud.tests.unit.report_samples import ENTRY, Entry
from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def entry() -> Entry:
    """A drill's entry of the report, the test's own."""
    return copy.deepcopy(ENTRY)


@pytest.fixture
def cloud() -> t.Iterator[CloudOverHttp]:
    """A cloud of OpenStack with nothing in it, over HTTP."""
    with serving(CloudOverHttp()) as http:
        yield http


@pytest.fixture
def libnbd(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads disks, also for the module disk_import."""
    load_libnbd()
    monkeypatch.setattr(disk_import, "NBD_IMPORT_ERROR", None)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the same disk in every format."""
    directory = tmp_path_factory.mktemp("images")
    raw = make_raw(directory / "disk.raw")
    for name in OPTIONS:
        make_image(raw, name)
    return directory
