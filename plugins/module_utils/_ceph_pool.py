# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Pools of a Ceph cluster as they are, and as they are wanted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph, Json

_REPLICATED = 1
# As documented by ceph_pool, and by ceph_cluster for its pools.
POOL_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "size": {"type": "int"},
    "min_size": {"type": "int"},
    "pg_num": {"type": "int"},
    "autoscale_mode": {"type": "str", "choices": ["on", "off", "warn"]},
    "crush_rule": {"type": "str"},
    "application": {"type": "str"},
    "max_bytes": {"type": "bytes"},
    "max_objects": {"type": "int"},
    "force": {"type": "bool", "default": False},
}


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as the monitors have it. ``pg_num`` is what it is on its way to; a quota of 0 is none."""

    id: int
    name: str
    replicated: bool
    size: int
    min_size: int
    pg_num: int
    autoscale_mode: str
    crush_rule: str
    applications: tuple[str, ...]
    max_bytes: int
    max_objects: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WantedPool:
    """A pool as it shall be; what is None is left alone, or to the cluster's default when the pool is made."""

    name: str
    size: int | None = None
    min_size: int | None = None
    pg_num: int | None = None
    autoscale_mode: str | None = None
    crush_rule: str | None = None
    application: str | None = None
    max_bytes: int | None = None
    max_objects: int | None = None
    force: bool = False


def validate(wanted: WantedPool) -> None:
    """LifeboatError for values that no pool can have, and for those that lose data unless ``force`` is given."""
    thing = f"pool {wanted.name}"
    lowest = {"size": 1, "min_size": 1, "pg_num": 1, "max_bytes": 0, "max_objects": 0}
    for name, least in lowest.items():
        value = getattr(wanted, name)
        if value is not None and value < least:
            raise LifeboatError(thing, f"{name} {value}", f"at least {least}", f"Correct {name}.")
    if wanted.size is not None and wanted.min_size is not None:
        check_min_size(wanted.name, wanted.size, wanted.min_size)
    if not wanted.force:
        check_redundancy(wanted.name, wanted.size, wanted.min_size)


def check_min_size(name: str, size: int, min_size: int) -> None:
    """LifeboatError when a pool of ``size`` replicas could never have ``min_size`` of them."""
    if min_size > size:
        raise LifeboatError(f"pool {name}", f"min_size {min_size} with size {size}", f"at most {size}", "Lower it.")


def check_redundancy(name: str, size: int | None, min_size: int | None) -> None:
    """LifeboatError when the pool would accept writes of which there is one copy only."""
    if size == 1 or min_size == 1:
        raise LifeboatError(
            f"pool {name}",
            "size 1" if size == 1 else "min_size 1",
            "at least 2, as a write that is on one OSD only is lost with it",
            "Raise size and min_size to 2 or more, or set force.",
        )


def pools_of(ceph: Ceph) -> list[Pool]:
    """All pools, by name."""
    rules = {rule["rule_id"]: rule["rule_name"] for rule in ceph.read("osd crush rule dump")}
    return sorted(
        (_pool(each, rules) for each in ceph.read("osd pool ls", detail="detail")), key=lambda pool: pool.name
    )


def find_pool(ceph: Ceph, name: str) -> Pool | None:
    """One pool."""
    return next((pool for pool in pools_of(ceph) if pool.name == name), None)


def _pool(shown: Json, rules: Mapping[int, str]) -> Pool:
    return Pool(
        id=shown["pool_id"],
        name=shown["pool_name"],
        replicated=shown["type"] == _REPLICATED,
        size=shown["size"],
        min_size=shown["min_size"],
        pg_num=shown["pg_num_target"],
        autoscale_mode=shown["pg_autoscale_mode"],
        crush_rule=rules.get(shown["crush_rule"], str(shown["crush_rule"])),
        applications=tuple(sorted(shown["application_metadata"])),
        max_bytes=shown["quota_max_bytes"],
        max_objects=shown["quota_max_objects"],
        flags=tuple(sorted(shown["flags_names"].split(","))),
    )
