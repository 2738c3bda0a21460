# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registration to make and to remove, for tests."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.module_utils._identity import (
    Registration,
    ServiceUser,
    registration_changes,
    removal_changes,
)

GLANCE = Registration(
    name="glance",
    type="image",
    description="Image service",
    region="RegionOne",
    urls={"public": "https://cloud:9292", "internal": "https://10.0.0.1:9292", "admin": "https://10.0.0.1:9292"},
    user=ServiceUser("glance", "the-password"),
)


def register(client, wanted=GLANCE):
    changes = registration_changes(client, wanted)
    for change in changes:
        change.do()
    return [change.says for change in changes]


def remove(client, wanted=GLANCE):
    changes = removal_changes(client, wanted)
    for change in changes:
        change.do()
    return [change.says for change in changes]


EVERYTHING = [
    "create project service",
    "create role service",
    "create user glance",
    "assign role admin of glance on project service",
    "assign role service of glance on project service",
    "create service image",
    "create public endpoint of glance in RegionOne",
    "create internal endpoint of glance in RegionOne",
    "create admin endpoint of glance in RegionOne",
]
