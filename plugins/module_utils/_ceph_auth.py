# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Entities of a Ceph cluster: their keys and what they may do."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_caps import described, same_caps
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

DAEMONS = ("mon", "osd", "mgr", "mds")
_ENTITY = re.compile(r"(client|mon|osd|mgr|mds)\.[A-Za-z0-9_.@-]+")


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity as the monitors know it. The key is a secret."""

    name: str
    key: str = field(repr=False)
    caps: Mapping[str, str]


def validate(name: str, caps: Mapping[str, str]) -> None:
    """LifeboatError for a name or a type of daemon that Ceph does not have."""
    if not _ENTITY.fullmatch(name):
        raise LifeboatError("Ceph entity", repr(name), "a type and an id, such as client.glance", "Correct entity.")
    odd = sorted(set(caps) - set(DAEMONS))
    if odd:
        raise LifeboatError(f"caps of {name}", ", ".join(odd), f"only {', '.join(DAEMONS)}", "Correct caps.")


def find_entity(ceph: Ceph, name: str) -> Entity | None:
    """The entity, None when there is none."""
    shown = ceph.find("auth get", entity=name)
    return Entity(shown[0]["entity"], shown[0]["key"], shown[0]["caps"]) if shown else None


def key_of(ceph: Ceph, name: str) -> str:
    """The key of an entity that is known to be there."""
    return str(ceph.read("auth get", entity=name)[0]["key"])


def entity_changes(ceph: Ceph, name: str, caps: Mapping[str, str], found: Entity | None) -> list[Change]:
    """What makes the entity exist with exactly these rights. Its key is made by the monitors and stays."""
    if found is not None and same_caps(found.caps, caps):
        return []
    listed = [part for daemon in DAEMONS if caps.get(daemon, "").strip() for part in (daemon, caps[daemon])]
    if found is None:
        create = partial(ceph.change, "auth get-or-create", entity=name, caps=listed)
        return [Change(f"create {name}", name, "absent", described(caps), create)]
    update = partial(ceph.change, "auth caps", entity=name, caps=listed)
    return [Change(f"change caps of {name}", name, described(found.caps), described(caps), update)]


def removal_changes(ceph: Ceph, name: str, found: Entity | None, client: str) -> list[Change]:
    """What removes the entity. LifeboatError for ``client``, as whom this is done."""
    if found is None:
        return []
    if name == client:
        remedy = "Do it as another client, if it has to be."
        raise LifeboatError(name, "the client that would remove itself", "another entity", remedy)
    remove = partial(ceph.change, "auth rm", entity=name)
    return [Change(f"remove {name}", name, described(found.caps), "absent", remove)]
