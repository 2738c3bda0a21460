# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much room Cinder's scheduler sees in a pool."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._volume_backends import room_of
from ansible_collections.lifeboat.cloud.tests.unit.moving_cinder import pool
from hypothesis import given
from hypothesis import strategies as st


@given(
    total=st.floats(1, 1e6),
    free_part=st.floats(0, 1),
    provisioned=st.floats(0, 1e6),
    ratio=st.floats(1, 40),
    reserved=st.integers(0, 90),
)
def test_room_of_thin_pools_is_lent_and_of_thick_ones_is_there(total, free_part, provisioned, ratio, reserved):
    told = {
        "total_capacity_gb": total,
        "free_capacity_gb": total * free_part,
        "provisioned_capacity_gb": provisioned,
        "max_over_subscription_ratio": str(ratio),
        "reserved_percentage": reserved,
    }
    thin = room_of(told | {"thin_provisioning_support": True})
    thick = room_of(told | {"thin_provisioning_support": False})
    assert thick <= told["free_capacity_gb"] and thick <= total - provisioned
    assert thin >= thick and thin <= total * ratio - provisioned


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("free_capacity_gb", "unknown"),
        ("total_capacity_gb", "infinite"),
        ("max_over_subscription_ratio", "auto"),
        ("provisioned_capacity_gb", None),
    ],
)
def test_room_that_cannot_be_told_is_left_to_the_scheduler(name, value):
    told = pool("a@b#c", [])["capabilities"]
    assert room_of(told) == 1980 and room_of(told | {name: value}) is None
