# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Who keeps the state of a domain's disks: libvirt in their qcow2 files, or Ceph in snapshots of their images."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdImage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Domain


@dataclass(frozen=True, slots=True)
class WrittenDisk:
    """A disk that the guest writes to; ``image`` is None for one in a qcow2 file at ``path``."""

    target: str
    path: str | None = None
    image: RbdImage | None = None


def written_disks(domain: Domain) -> tuple[WrittenDisk, ...]:
    """All of them; LifeboatError unless each is a qcow2 file or each an image in Ceph."""
    definition = parse(domain.definition(live=True), f"definition of domain {domain.name}")
    disks = tuple(_disks(definition))
    others = [disk.target for disk in disks if disk.path is None and disk.image is None]
    kinds = {disk.image is None for disk in disks}
    if others or len(kinds) != 1:
        found = f"{', '.join(others)} of another kind" if others else "both kinds" if disks else "no disk to write to"
        raise LifeboatError(
            f"disks of domain {domain.name}",
            found,
            "all in qcow2 files, or all in Ceph",
            "Convert them, or save the state where they are kept, such as with snapshots of LVM.",
        )
    return disks


def _disks(definition: t.Any) -> Iterator[WrittenDisk]:
    for disk in definition.findall("devices/disk"):
        source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
        if target is None or disk.find("readonly") is not None or disk.get("device", "disk") != "disk":
            continue
        name = target.get("dev", "")
        if source is not None and source.get("protocol") == "rbd":
            user = disk.find("auth") if disk.find("auth") is not None else source.find("auth")
            client = user.get("username", "admin") if user is not None else "admin"
            yield WrittenDisk(name, image=RbdImage(source.get("name", ""), client))
        elif source is not None and source.get("file") and driver is not None and driver.get("type") == "qcow2":
            yield WrittenDisk(name, path=source.get("file"))
        else:
            yield WrittenDisk(name)
