# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A guest's memory on disk: saved, restored, or dropped. In libvirt's own place, or in a file."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import require_domain

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

# What begins a file of saved memory; libvirt's test driver writes the last.
_MAGICS = (b"LibvirtQemudSave", b"LibvirtQemudPart", b"TestGuestMagic")


@dataclass(frozen=True, slots=True)
class WantedSave:
    """``state`` is saved, restored or absent; without ``path`` in libvirt's own place."""

    name: str
    state: str
    path: str | None = None

    @property
    def thing(self) -> str:
        return f"saved state of domain {self.name}"

    @property
    def place(self) -> str:
        return f" to {self.path}" if self.path else ""


class SaveCalls(t.Protocol):
    """The calls for saved states. CallError when libvirt refuses."""

    def save(self, name: str, path: str | None) -> None:
        """Write the guest's memory and stop it."""

    def restore(self, name: str, path: str | None) -> None:
        """Let the guest go on from its memory."""

    def drop(self, name: str) -> None:
        """Remove the managed save."""


def save_changes(connection: Connection, calls: SaveCalls, wanted: WantedSave) -> list[Change]:
    """What leads to the state; LifeboatError when it cannot be reached or would lose something."""
    if wanted.path is not None and not os.path.isabs(wanted.path):
        raise LifeboatError(wanted.thing, f"path {wanted.path}", "an absolute one", "Give the whole path.")
    domain = require_domain(connection, wanted.name)
    saved = os.path.exists(wanted.path) if wanted.path else domain.leftovers().managed_save
    match wanted.state:
        case "saved":
            return _saving(calls, domain, wanted, saved)
        case "restored":
            return _restoring(calls, domain, wanted, saved)
    return _dropping(calls, wanted) if saved else []


def _saving(calls: SaveCalls, domain: Domain, wanted: WantedSave, saved: bool) -> list[Change]:
    condition = domain.condition()
    if not condition.active:
        if saved:
            return []
        found = f"{condition}, and nothing saved{wanted.place}"
        raise LifeboatError(f"domain {wanted.name}", found, "a guest that runs", "Start it first, with libvirt_domain.")
    if saved:
        remedy = "Let it be dropped first with state=absent; it belongs to an earlier state of the guest's disks."
        raise LifeboatError(wanted.thing, f"one already, and a guest that is {condition}", "none yet", remedy)
    if wanted.path is None and not domain.persistent():
        remedy = "Give a path, or define the domain: without a definition libvirt would forget what it saved."
        raise LifeboatError(f"domain {wanted.name}", "a transient domain", "a defined one", remedy)
    return [_change(f"save domain {wanted.name}{wanted.place}", wanted, "running", "saved", calls.save)]


def _restoring(calls: SaveCalls, domain: Domain, wanted: WantedSave, saved: bool) -> list[Change]:
    if domain.condition().active:
        return []
    if not saved:
        found = f"nothing at {wanted.path}" if wanted.path else "none"
        raise LifeboatError(wanted.thing, found, "one", "Correct path, or start the guest with libvirt_domain.")
    source = f" from {wanted.path}" if wanted.path else ""
    return [_change(f"restore domain {wanted.name}{source}", wanted, "saved", "running", calls.restore)]


def _dropping(calls: SaveCalls, wanted: WantedSave) -> list[Change]:
    if wanted.path is not None:
        _check_own(wanted.path)

    def drop(name: str, path: str | None) -> None:
        if path is None:
            calls.drop(name)
        else:
            os.unlink(path)

    return [_change(f"drop the saved state of domain {wanted.name}", wanted, "saved", "absent", drop)]


def _check_own(path: str) -> None:
    """LifeboatError for a file that is something else, such as a disk."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        remedy = "Correct the path, or run the task as a user who may read it."
        raise LifeboatError(f"file {path}", error.strerror or str(error), "a readable file", remedy) from error
    if not head.startswith(_MAGICS):
        raise LifeboatError(f"file {path}", "no memory that libvirt saved", "some", "Correct the path.")


def _change(says: str, wanted: WantedSave, before: str, after: str, do: t.Callable[[str, str | None], None]) -> Change:
    return Change(says, wanted.thing, before, after, lambda: do(wanted.name, wanted.path))
