# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Removing a domain: nothing that outlives its definition is lost unless it was named."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import PARTS
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain, Volume
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Power

STORAGE = "storage"
# libvirt keeps these or refuses; the rest of PARTS it keeps only when told so.
_REFUSED = ("managed_save", "snapshots_metadata", "checkpoints_metadata")


def removal(connection: Connection, domain: Domain, remove: frozenset[str], power: Power) -> list[Change]:
    """The steps that remove the domain and what ``remove`` names. All refusals come before the first step."""
    definition = parse(domain.definition(), f"definition of domain {domain.name}")
    parts = _parts(domain, definition) if domain.persistent() else frozenset()
    for part in (each for each in _REFUSED if each in parts - remove):
        raise LifeboatError(
            f"domain {domain.name}",
            part.replace("_", " "),
            f"none, or {part!r} in remove",
            f"Add {part!r} to remove if it may be lost with the domain.",
        )
    volumes = dict(_volumes(connection, domain.name, definition)) if STORAGE in remove else {}
    changes: list[Change] = []
    condition = domain.condition()
    if condition.active:
        changes.extend(power.changes(condition, "shut_off", saved=False, discard_saved=False))
    if domain.persistent():
        changes.append(_undefinition(domain, parts & remove, parts - remove))
    changes.extend(
        Change(f"delete volume {path}", f"volume {path}", "present", "absent", volume.delete)
        for path, volume in volumes.items()
    )
    return changes


def _parts(domain: Domain, definition: Element) -> frozenset[str]:
    left = domain.leftovers()
    there = {
        "managed_save": left.managed_save,
        "snapshots_metadata": left.snapshots > 0,
        "checkpoints_metadata": left.checkpoints > 0,
        "nvram": definition.find("os/nvram") is not None,
        "tpm_state": definition.find("devices/tpm") is not None,
    }
    return frozenset(part for part in PARTS if there[part])


def _undefinition(domain: Domain, removed: frozenset[str], kept: frozenset[str]) -> Change:
    with_parts = f" with its {', '.join(sorted(removed))}" if removed else ""
    return Change(
        f"undefine domain {domain.name}{with_parts}",
        "definition",
        "present",
        "absent",
        lambda: domain.undefine(sorted(removed), sorted(kept)),
    )


def _volumes(connection: Connection, name: str, definition: Element) -> Iterator[tuple[str, Volume]]:
    """The volumes of the domain's own disks, by what the disk calls them."""
    for disk in definition.findall("devices/disk"):
        source = disk.find("source")
        shared = disk.find("shareable") is not None or disk.find("readonly") is not None
        if source is None or shared or disk.get("device", "disk") != "disk":
            continue
        path, volume = _volume(connection, source)
        if volume is None:
            target = disk.find("target")
            raise LifeboatError(
                f"disk {target.get('dev') if target is not None else ''} of domain {name}",
                f"{path or 'a source'} that is a volume of no started storage pool",
                "a volume, which libvirt can delete",
                "Start or define the pool, or take 'storage' out of remove and delete it yourself.",
            )
        yield path, volume


def _volume(connection: Connection, source: Element) -> tuple[str, Volume | None]:
    pool, volume = source.get("pool"), source.get("volume")
    if pool and volume:
        return f"{pool}/{volume}", connection.find_pool_volume(pool, volume)
    path = source.get("file") or source.get("dev") or source.get("name") or ""
    return path, connection.find_volume(path) if path else None
