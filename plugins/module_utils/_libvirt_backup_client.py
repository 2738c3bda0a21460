# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Backups by libvirt's Python binding."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import LibvirtConnection


class LibvirtBackupCalls:
    """BackupCalls over virDomain."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self._connection = connection

    def begin(self, name: str, backup_xml: str, checkpoint_xml: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.backupBegin(backup_xml, checkpoint_xml, 0))

    def abort(self, name: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.abortJob())

    def under_way(self, name: str) -> str:
        return self._connection.ask_unless(
            ["NO_DOMAIN_BACKUP"], f"domain {name}", lambda raw: str(raw.lookupByName(name).backupGetXMLDesc(0)), ""
        )

    def completed(self, name: str) -> Mapping[str, t.Any]:
        library = _libvirt_client.libvirt
        flags = library.VIR_DOMAIN_JOB_STATS_COMPLETED | library.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        said: dict[str, t.Any] = self._connection.ask_domain(name, lambda raw: raw.jobStats(flags))
        return said

    def checkpoints(self, name: str) -> list[str]:
        return self._connection.ask_domain(name, lambda raw: [str(each.getName()) for each in raw.listAllCheckpoints()])

    def delete_checkpoint(self, name: str, checkpoint: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.checkpointLookupByName(checkpoint).delete(0))
