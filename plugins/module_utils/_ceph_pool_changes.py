# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The differences between a pool and what is wanted of it, and what speaks against removing them."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph, Json
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_crush import places_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import (
    Pool,
    WantedPool,
    check_min_size,
    check_redundancy,
    find_pool,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_REPLICATED = 1


def pool_changes(ceph: Ceph, wanted: WantedPool) -> list[Change]:
    """The differences, to be removed in this order. LifeboatError for a state that the cluster could not hold."""
    validate(wanted)
    found = find_pool(ceph, wanted.name)
    if found is None:
        return [*_creation(ceph, wanted)]
    return [*_placement(ceph, wanted, found), *_settings(ceph, wanted, found)]


def removal_changes(ceph: Ceph, name: str, *, remove_data: bool) -> list[Change]:
    """What removes the pool with everything in it. LifeboatError when that was not asked for, or is not allowed."""
    found = find_pool(ceph, name)
    if found is None:
        return []
    thing = f"pool {name}"
    held: Json = next((pool["stats"] for pool in ceph.read("df")["pools"] if pool["name"] == name), {})
    content = f"{held.get('objects', 0)} objects with {held.get('stored', 0)} bytes"
    if not remove_data:
        raise LifeboatError(thing, content, "leave to remove them for ever", "Set remove_data.")
    if "nodelete" in found.flags:
        remedy = f"When it may go, unset the flag with 'ceph osd pool set {name} nodelete false'."
        raise LifeboatError(thing, "the flag nodelete", "a pool that may be removed", remedy)
    if ceph.leader_setting("mon_allow_pool_delete") != "true":
        remedy = "Set it for mon with ceph_config, remove the pool, and remove the setting again."
        raise LifeboatError(thing, "mon_allow_pool_delete false", "monitors that allow the removal", remedy)
    remove = partial(ceph.change, "osd pool rm", pool=name, pool2=name, yes_i_really_really_mean_it=True)
    return [Change(f"remove {thing}", thing, content, "absent", remove)]


def _creation(ceph: Ceph, wanted: WantedPool) -> Iterator[Change]:
    """The new pool, then what the command that makes it does not take."""
    if not wanted.name or wanted.name.startswith("."):
        raise LifeboatError(f"pool {wanted.name}", "its name", "one that Ceph does not use itself", "Choose another.")
    size = wanted.size or int(ceph.leader_setting("osd_pool_default_size"))
    rule = _rule(ceph, wanted.crush_rule)
    min_size = _checked_min_size(ceph, wanted, size)
    _check_places(ceph, wanted, size, rule)
    create = partial(
        ceph.change,
        "osd pool create",
        pool=wanted.name,
        pool_type="replicated",
        pg_num=wanted.pg_num,
        rule=rule["rule_name"],
        size=size,
        autoscale_mode=wanted.autoscale_mode,
        yes_i_really_mean_it=True if size == 1 else None,
    )
    thing = f"pool {wanted.name}"
    after = f"size {size}, min_size {min_size}, crush_rule {rule['rule_name']}"
    yield Change(f"create {thing}", thing, "absent", after, create)
    made = Pool(
        id=0,
        name=wanted.name,
        replicated=True,
        size=size,
        min_size=_default_min_size(ceph, size),
        pg_num=wanted.pg_num or 0,
        autoscale_mode=wanted.autoscale_mode or "",
        crush_rule=rule["rule_name"],
        applications=(),
        max_bytes=0,
        max_objects=0,
        flags=(),
    )
    yield from _settings(ceph, wanted, made)


def _placement(ceph: Ceph, wanted: WantedPool, found: Pool) -> Iterator[Change]:
    """Rule and size: where replicas are and how many. They are checked together and against the cluster's tree."""
    size, rule_name = wanted.size or found.size, wanted.crush_rule or found.crush_rule
    if (size, rule_name) == (found.size, found.crush_rule):
        return
    if not found.replicated:
        expected = "a replicated pool; that of an erasure coded one is decided by its profile"
        raise LifeboatError(f"pool {found.name}", "another size or crush_rule", expected, "Leave both options out.")
    rule = _rule(ceph, rule_name)
    if size > found.size or rule_name != found.crush_rule:
        _check_places(ceph, wanted, size, rule)
    if rule_name != found.crush_rule:
        yield _set(ceph, found, "crush_rule", found.crush_rule, rule_name)
    if size != found.size:
        yield _set(ceph, found, "size", found.size, size, certain=size == 1)


def _settings(ceph: Ceph, wanted: WantedPool, found: Pool) -> Iterator[Change]:
    size = wanted.size or found.size
    # With the size the monitors set min_size to their default.
    now = replace(found, min_size=_default_min_size(ceph, size)) if size != found.size else found
    min_size = _checked_min_size(ceph, wanted, size) if size != found.size else wanted.min_size or found.min_size
    check_min_size(found.name, size, min_size)
    if min_size != found.min_size or min_size != now.min_size:
        yield _set(ceph, found, "min_size", found.min_size, min_size)
    mode = wanted.autoscale_mode or found.autoscale_mode
    if mode != found.autoscale_mode:
        yield _set(ceph, found, "pg_autoscale_mode", found.autoscale_mode, mode)
    # What the autoscaler has decided is not to be undone.
    if wanted.pg_num not in (None, found.pg_num) and mode != "on":
        yield _set(ceph, found, "pg_num", found.pg_num, wanted.pg_num)
    yield from _application(ceph, wanted, found)
    yield from _quotas(ceph, wanted, found)


def _application(ceph: Ceph, wanted: WantedPool, found: Pool) -> Iterator[Change]:
    name = wanted.application
    if name is None or name in found.applications:
        return
    thing = f"application of pool {found.name}"
    before = ", ".join(found.applications)
    if before and not wanted.force:
        remedy = f"Use another pool for {name}, or set force to let both use this one."
        raise LifeboatError(thing, before, f"{name} or none", remedy)
    certain = True if before else None
    enable = partial(
        ceph.change, "osd pool application enable", pool=found.name, app=name, yes_i_really_mean_it=certain
    )
    after = ", ".join((*found.applications, name))
    yield Change(f"enable {name} on pool {found.name}", thing, before or "none", after, enable)


def _quotas(ceph: Ceph, wanted: WantedPool, found: Pool) -> Iterator[Change]:
    for field in ("max_bytes", "max_objects"):
        before, after = getattr(found, field), getattr(wanted, field)
        if after not in (None, before):
            command = partial(ceph.change, "osd pool set-quota", pool=found.name, field=field, val=str(after))
            thing = f"{field} of pool {found.name}"
            yield Change(f"set {thing}", thing, str(before or "no quota"), str(after or "no quota"), command)


def _set(ceph: Ceph, pool: Pool, name: str, before: object, after: object, *, certain: bool = False) -> Change:
    thing = f"{name} of pool {pool.name}"
    command = partial(
        ceph.change,
        "osd pool set",
        pool=pool.name,
        var=name,
        val=str(after),
        yes_i_really_mean_it=True if certain else None,
    )
    return Change(f"set {thing} to {after}", thing, str(before), str(after), command)


def _default_min_size(ceph: Ceph, size: int) -> int:
    """What the monitors give a pool of this size, by C(get_osd_pool_default_min_size) in C(common/config_proxy.h)."""
    default = int(ceph.leader_setting("osd_pool_default_min_size"))
    return min(default, size) if default else size - size // 2


def _checked_min_size(ceph: Ceph, wanted: WantedPool, size: int) -> int:
    """The min_size that comes with a new ``size``, which the default makes 1 for a size of 2."""
    min_size = wanted.min_size or _default_min_size(ceph, size)
    check_min_size(wanted.name, size, min_size)
    if not wanted.force:
        check_redundancy(wanted.name, size, min_size)
    if size == 1 and ceph.leader_setting("mon_allow_pool_size_one") != "true":
        remedy = "Set it for global with ceph_config, if one copy is really enough."
        raise LifeboatError(f"pool {wanted.name}", "mon_allow_pool_size_one false", "true for size 1", remedy)
    return min_size


def _rule(ceph: Ceph, name: str | None) -> Json:
    """The rule called so; without a name the monitors' default, the first one for replicated pools."""
    rules: list[Json] = sorted(ceph.read("osd crush rule dump"), key=lambda rule: rule["rule_id"])
    default = int(ceph.leader_setting("osd_pool_default_crush_rule")) if name is None else -1
    fitting = [
        rule
        for rule in rules
        if rule["type"] == _REPLICATED and (name or rule["rule_name"]) == rule["rule_name"]
        if default in (-1, rule["rule_id"])
    ]
    if not fitting:
        found = ", ".join(rule["rule_name"] for rule in rules) or "no rule"
        remedy = "Correct crush_rule, or make the rule with 'ceph osd crush rule create-replicated'."
        raise LifeboatError(f"CRUSH rule {name or default}", found, "a rule for replicated pools", remedy)
    return fitting[0]


def _check_places(ceph: Ceph, wanted: WantedPool, size: int, rule: Json) -> None:
    if wanted.force:
        return
    places = places_of(rule, ceph.read("osd tree")["nodes"])
    if len(places.names) < size:
        raise LifeboatError(
            f"pool {wanted.name}",
            places.evidence,
            f"at least {size}, one for each replica by the rule {places.rule}",
            f"Add OSDs on another {places.kind}, lower size, choose another crush_rule, or set force.",
        )
