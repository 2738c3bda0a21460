# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a whole cluster holds: options, modules of the manager, CRUSH rules, pools and clients, made in this order."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_auth import entity_changes, find_entity, validate
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_config import config_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool_changes import pool_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import WantedPool

MANAGER_TIMEOUT_S = 60.0
_POLL_S = 0.5
_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class WantedRule:
    """A rule that puts each replica of a pool into another ``failure_domain`` below ``root``."""

    name: str
    root: str = "default"
    failure_domain: str = "host"
    device_class: str | None = None


@dataclass(frozen=True, slots=True)
class WantedCluster:
    """Options by whom they are for, whether modules are on, rules, pools, and clients with their caps."""

    config: Mapping[str, Mapping[str, t.Any]]
    manager_modules: Mapping[str, bool]
    crush_rules: Sequence[WantedRule]
    pools: Sequence[WantedPool]
    clients: Mapping[str, Mapping[str, str]]


def converge(ceph: Ceph, wanted: WantedCluster, *, check: bool) -> tuple[list[Change], list[str]]:
    """Make the changes, each group after the one that it builds upon, and the names of options that need a restart.

    LifeboatError, before the first change, for pools and clients that cannot be.
    """
    for name, caps in wanted.clients.items():
        validate(name, caps)
    rules = crush_rule_changes(ceph, wanted.crush_rules)
    coming = {rule.thing.removeprefix("CRUSH rule ") for rule in rules}
    differences = [each for who, settings in wanted.config.items() for each in config_changes(ceph, who, settings)]
    first: list[list[Change]] = [[difference.change] for difference in differences]
    first += [[change] for change in (*manager_module_changes(ceph, wanted.manager_modules), *rules)]
    first += [entity_changes(ceph, name, caps, find_entity(ceph, name)) for name, caps in wanted.clients.items()]
    # Where a pool's rule is still to be made, its places cannot be counted yet.
    pools = [
        pool_changes(ceph, pool) if pool.crush_rule not in coming else [_creation_with_new_rule(ceph, pool)]
        for pool in wanted.pools
    ]
    if not check:
        _do(first)
        _do(pools)
    changes = [change for chain in (*first, *pools) for change in chain]
    return changes, [difference.name for difference in differences if difference.needs_restart]


def _do(chains: Sequence[Sequence[Change]]) -> None:
    """Make each chain's changes one after the other, and the chains at the same time.

    The monitors commit about once in a second what has come in since; one at a time a new cluster would take 20 s.
    """

    def do(chain: Sequence[Change]) -> None:
        for change in chain:
            change.do()

    with ThreadPoolExecutor(_PARALLEL) as pool:
        # list() hands on the first exception.
        list(pool.map(do, chains))


def _creation_with_new_rule(ceph: Ceph, pool: WantedPool) -> Change:
    def create() -> None:
        for change in pool_changes(ceph, pool):
            change.do()

    thing = f"pool {pool.name}"
    return Change(f"create {thing}", thing, "as it is", f"by the new rule {pool.crush_rule}", create)


def crush_rule_changes(ceph: Ceph, wanted: Sequence[WantedRule]) -> list[Change]:
    """What makes rules that are missing. A rule that is there is left alone: changing it moves data."""
    known = {rule["rule_name"] for rule in ceph.read("osd crush rule dump")} if wanted else set()
    return [_rule_creation(ceph, rule) for rule in wanted if rule.name not in known]


def _rule_creation(ceph: Ceph, rule: WantedRule) -> Change:
    create = partial(
        ceph.change,
        "osd crush rule create-replicated",
        name=rule.name,
        root=rule.root,
        type=rule.failure_domain,
        **({"class": rule.device_class} if rule.device_class else {}),
    )
    thing = f"CRUSH rule {rule.name}"
    after = f"each replica in another {rule.failure_domain} of {rule.root}"
    return Change(f"create {thing}", thing, "absent", after, create)


def manager_module_changes(ceph: Ceph, wanted: Mapping[str, bool]) -> Iterator[Change]:
    """What turns modules on and off. LifeboatError for one that the manager cannot load."""
    if not wanted:
        return
    shown = ceph.read("mgr module ls")
    on = {*shown["enabled_modules"], *shown["always_on_modules"]}
    broken = {each["name"]: each["error_string"] for each in shown["disabled_modules"] if not each["can_run"]}
    for name, enable in wanted.items():
        if enable == (name in on):
            continue
        thing = f"manager module {name}"
        if enable and name in broken:
            remedy = "Install what it needs on the hosts of the managers."
            raise LifeboatError(thing, broken[name], "a module that can be loaded", remedy)
        before, after = ("off", "on") if enable else ("on", "off")
        yield Change(f"switch {thing} {after}", thing, before, after, partial(_switch, ceph, name, enable))


def _switch(ceph: Ceph, name: str, enable: bool) -> None:
    """The monitors know a module only once a manager has told them."""
    deadline = time.monotonic() + MANAGER_TIMEOUT_S
    while enable and not ceph.read("mgr stat")["available"]:
        if time.monotonic() > deadline:
            found, remedy = f"none within {MANAGER_TIMEOUT_S:g} s", "Look into the managers' logs below /var/log/ceph."
            raise LifeboatError("Ceph manager", found, "one that is available", remedy)
        time.sleep(_POLL_S)
    ceph.change(f"mgr module {'enable' if enable else 'disable'}", module=name)
