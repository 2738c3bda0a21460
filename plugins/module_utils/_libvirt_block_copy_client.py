# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Block copies by libvirt's Python binding, and their images by the program rbd."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import LibvirtConnection


class LibvirtBlockCopyCalls:
    """BlockCopyCalls over virDomain."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self._connection = connection

    def size(self, name: str, target: str) -> int:
        return int(self._connection.ask_domain(name, lambda raw: raw.blockInfo(target)[0]))

    def copy(self, name: str, target: str, xml: str, bandwidth: int) -> None:
        library = _libvirt_client.libvirt
        # The image is there. A domain with a definition is copied only when the copy may end with the guest.
        flags = library.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | library.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
        limits = {library.VIR_DOMAIN_BLOCK_COPY_BANDWIDTH: bandwidth} if bandwidth else {}
        self._connection.ask_domain(name, lambda raw: raw.blockCopy(target, xml, limits, flags))

    def progress(self, name: str, target: str) -> tuple[int, int] | None:
        said: dict[str, int] = self._connection.ask_domain(name, lambda raw: raw.blockJobInfo(target, 0)) or {}
        return (said["cur"], said["end"]) if said else None

    def abort(self, name: str, target: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.blockJobAbort(target, 0))

    def pivot(self, name: str, target: str) -> None:
        flags = _libvirt_client.libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
        self._connection.ask_domain(name, lambda raw: raw.blockJobAbort(target, flags))


_MARK = "lifeboat.unfinished_copy_of"


@dataclass(frozen=True, slots=True)
class RbdProgram:
    """CopyImages by the program, as C(client.)``client``. ``remove_s`` bounds what takes long for a large image."""

    client: str
    timeout_s: float
    remove_s: float
    conf_file: str = "/etc/ceph/ceph.conf"

    def exists(self, image: str) -> bool:
        pool, name = image.split("/")
        names: list[str] = json.loads(self._rbd("ls", "--format", "json", pool))
        return name in names

    def create(self, image: str, size: int) -> None:
        self._rbd("create", "--no-progress", "--size", f"{size}B", image)

    def rename(self, image: str, to: str) -> None:
        self._rbd("rename", image, to)

    def mark(self, image: str, owner: str) -> None:
        if owner:
            self._rbd("image-meta", "set", image, _MARK, owner)
        elif self.marked(image):
            self._rbd("image-meta", "remove", image, _MARK)

    def marked(self, image: str) -> str:
        noted: dict[str, str] = json.loads(self._rbd("image-meta", "list", "--format", "json", image) or "{}")
        return noted.get(_MARK, "")

    def remove(self, image: str) -> None:
        self._rbd("rm", "--no-progress", image, within=self.remove_s)

    def _rbd(self, *arguments: str, within: float | None = None) -> str:
        command = ["rbd", "--id", self.client, "--conf", self.conf_file, *arguments]
        return output_of(command, self.timeout_s if within is None else within)
