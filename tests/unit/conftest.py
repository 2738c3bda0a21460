# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of several files ask for."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import CloudOverHttp
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
