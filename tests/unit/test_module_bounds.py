# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds that would have passed before anything is looked at, of modules that would ask for something first."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import (
    guest_conversion,
    image_stores,
    import_image,
    import_server,
    volume_migration,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

CLOUD = {"cloud": "nowhere"}
SERVER = CLOUD | {"name": "web1", "image": "web1", "flavor": "small", "networks": ["web"]}
GIVEN: list[tuple[t.Any, str, dict[str, t.Any]]] = [
    (volume_migration, "migration_timeout", CLOUD | {"volume": "data", "type": "fast"}),
    (image_stores, "import_timeout", CLOUD | {"image": "web1", "stores": ["fast"]}),
    (import_server, "make_timeout", SERVER),
    (import_image, "make_timeout", CLOUD | {"name": "web1", "src": "/srv/web1.raw", "source": "0" * 64}),
    (guest_conversion, "timeout", {"src": "/srv/web1.ova", "dest": "/srv/converted"}),
]


@pytest.mark.parametrize(("module", "option", "given"), GIVEN, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_that_has_passed_is_refused(module: t.Any, option: str, given: dict[str, t.Any], bound: int) -> None:
    said = run_module(module.main, **given, **{option: bound})
    assert said["failed"] and f"{option}: found {bound}; expected more than 0" in said["msg"]
