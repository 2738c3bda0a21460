# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Dirty rates by libvirt's Python binding."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import LibvirtConnection, version_text

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# virDomainDirtyRateCalcFlags of libvirt 8.1; older ones know no other.
_PAGE_SAMPLING = 0


class LibvirtDirtyRateCalls:
    """DirtyRateCalls over virConnect and virDomain."""

    def __init__(self, connection: LibvirtConnection) -> None:
        library = _libvirt_client.libvirt
        if not hasattr(library, "VIR_DOMAIN_STATS_DIRTYRATE"):
            found = f"version {version_text(library.getVersion())}"
            raise LifeboatError("libvirt's library", found, "7.2.0 or later", "Upgrade it with libvirt-python.")
        self._connection = connection

    def start(self, name: str, seconds: int) -> None:
        begun = self._connection.ask_unless(
            ["NO_SUPPORT"],
            f"domain {name}",
            lambda raw: int(raw.lookupByName(name).startDirtyRateCalc(seconds, _PAGE_SAMPLING)),
            otherwise=None,
        )
        if begun is None:
            raise LifeboatError(
                f"libvirt at {self._connection.uri}",
                "one that measures no dirty rates",
                "libvirt 7.2.0 or later with QEMU",
                "Upgrade it, or do without.",
            )

    def read(self) -> Mapping[str, Mapping[str, t.Any]]:
        library = _libvirt_client.libvirt
        # A domain that is busy with a job must not hold up what is asked of all.
        flags = library.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | library.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        said: list[tuple[t.Any, dict[str, t.Any]]] = self._connection.ask(
            f"libvirt at {self._connection.uri}",
            lambda raw: raw.getAllDomainStats(library.VIR_DOMAIN_STATS_DIRTYRATE, flags),
        )
        return {domain.UUIDString(): told for domain, told in said}
