# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Saved states and snapshots by libvirt's Python binding."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_saved_state import restoring

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import LibvirtConnection


class LibvirtSaveCalls:
    """SaveCalls and SnapshotCalls over virDomain."""

    def __init__(self, connection: LibvirtConnection) -> None:
        self._connection = connection

    def save(self, name: str, path: str | None) -> None:
        self._connection.ask_domain(name, lambda raw: raw.save(path) if path else raw.managedSave(0))

    def restore(self, name: str, path: str | None) -> None:
        if path is None:
            self._connection.ask_domain(name, lambda raw: raw.create())
            return
        # The disks go on: the same memory a second time would not fit to them. So it has its name for one try only,
        # unless it is sure that the guest has not run.
        tried = restoring(path)
        os.rename(path, tried)
        try:
            self._connection.ask(f"domain {name}", lambda raw: raw.restore(tried))
        except CallError as error:
            with contextlib.suppress(CallError):
                if error.code is not None and not self._runs(name):
                    os.rename(tried, path)
            raise
        os.unlink(tried)

    def _runs(self, name: str) -> bool:
        domain = self._connection.find(name)
        return domain is not None and domain.condition().active

    def saved_domain(self, path: str) -> str:
        return self._connection.ask(f"file {path}", lambda raw: str(raw.saveImageGetXMLDesc(path, 0)))

    def drop(self, name: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.managedSaveRemove(0))

    def snapshots(self, name: str) -> list[str]:
        return self._connection.ask_domain(name, lambda raw: [str(each.getName()) for each in raw.listAllSnapshots()])

    def create_snapshot(self, name: str, xml: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.snapshotCreateXML(xml, 0))

    def revert(self, name: str, snapshot: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.revertToSnapshot(raw.snapshotLookupByName(snapshot)))

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        self._connection.ask_domain(name, lambda raw: raw.snapshotLookupByName(snapshot).delete(0))
