# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A guest's memory on disk: saved, restored, or dropped. In libvirt's own place, or in a file.

A file has another name (``restoring``) from when the guest is let go on, so that it never is a second time. A domain
without a definition is known by its file alone while it is saved.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, State, require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

# What begins a file of saved memory; libvirt's test driver writes the last, and the first is one of which a part lacks.
_PART = b"LibvirtQemudPart"
_MAGICS = (_PART, b"LibvirtQemudSave", b"TestGuestMagic")
# virDomainJobOperation
_UNDER_WAY = {2: "being saved", 3: "being restored"}


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

    def saved_domain(self, path: str) -> str:
        """XML of the domain whose memory is in the file."""


def restoring(path: str) -> str:
    """What a file is called from when the guest is let go on from it."""
    return f"{path}.restoring"


def save_changes(connection: Connection, calls: SaveCalls, wanted: WantedSave) -> list[Change]:
    """What leads to the state; LifeboatError when it cannot be reached or would lose something."""
    if wanted.path is not None and not os.path.isabs(wanted.path):
        raise LifeboatError(wanted.thing, f"path {wanted.path}", "an absolute one", "Give the whole path.")
    domain = connection.find(wanted.name) if wanted.path else require_domain(connection, wanted.name)
    if domain is not None:
        _check_none_under_way(domain)
    if wanted.state == "absent":
        return _dropping(calls, domain, wanted)
    if wanted.state == "restored" and domain is not None and domain.condition().active:
        return []
    saved = _is_saved(calls, domain, wanted)
    if domain is None and not saved and not os.path.exists(restoring(wanted.path or "")):
        require_domain(connection, wanted.name)
    return _saving(calls, domain, wanted, saved) if wanted.state == "saved" else _restoring(calls, wanted, saved)


def _saving(calls: SaveCalls, domain: Domain | None, wanted: WantedSave, saved: bool) -> list[Change]:
    condition = domain.condition() if domain is not None else Condition(State.SHUT_OFF, "saved")
    if domain is None or not condition.active:
        if saved:
            return []
        found, remedy = f"{condition}, and {_nothing(wanted)}", "Start it first, with libvirt_domain."
        raise LifeboatError(f"domain {wanted.name}", found, "a guest that runs", remedy)
    if saved:
        remedy = "Let it be dropped first with state=absent; it belongs to an earlier state of the guest's disks."
        raise LifeboatError(wanted.thing, f"one already, and a guest that is {condition}", "none yet", remedy)
    if wanted.path is None and not domain.persistent():
        remedy = "Give a path, or define the domain: without a definition libvirt would forget what it saved."
        raise LifeboatError(f"domain {wanted.name}", "a transient domain", "a defined one", remedy)
    return [_change(f"save domain {wanted.name}{wanted.place}", wanted, "running", "saved", calls.save)]


def _restoring(calls: SaveCalls, wanted: WantedSave, saved: bool) -> list[Change]:
    if not saved:
        remedy = "Correct path, or start the guest with libvirt_domain."
        raise LifeboatError(wanted.thing, _nothing(wanted), "one", remedy)
    source = f" from {wanted.path}" if wanted.path else ""
    return [_change(f"restore domain {wanted.name}{source}", wanted, "saved", "running", calls.restore)]


def _nothing(wanted: WantedSave) -> str:
    if wanted.path is None:
        return "nothing saved"
    tried = restoring(wanted.path)
    if not os.path.exists(tried):
        return f"nothing at {wanted.path}"
    return f"{tried}, from which the guest may have run since (if it surely has not, give the file its name back)"


def _dropping(calls: SaveCalls, domain: Domain | None, wanted: WantedSave) -> list[Change]:
    names = [] if wanted.path is None else [wanted.path, restoring(wanted.path)]
    files = [path for path in names if os.path.exists(path)]
    for path in files:
        if _is_whole(path):
            _check_of(calls, domain, wanted, path)

    def drop(name: str, path: str | None) -> None:
        if path is None:
            calls.drop(name)
        for each in files:
            os.unlink(each)

    if not files and (domain is None or wanted.path or not domain.leftovers().managed_save):
        return []
    return [_change(f"drop the saved state of domain {wanted.name}", wanted, "saved", "absent", drop)]


def _check_none_under_way(domain: Domain) -> None:
    doing = _UNDER_WAY.get(domain.job().get("operation", 0))
    if doing is None and domain.condition() == Condition(State.PAUSED, "save"):
        doing = _UNDER_WAY[2]
    if doing is not None:
        remedy = "Wait for its end, of which virsh domjobinfo tells. Allow more with timeout another time."
        raise LifeboatError(f"domain {domain.name}", doing, "neither saved nor restored at the moment", remedy)


def _is_saved(calls: SaveCalls, domain: Domain | None, wanted: WantedSave) -> bool:
    """Whether there is the domain's memory; LifeboatError for a file that is something else."""
    if wanted.path is None:
        return domain is not None and domain.leftovers().managed_save
    if not os.path.exists(wanted.path):
        return False
    if not _is_whole(wanted.path):
        remedy = "Let it be dropped with state=absent: what was to save it has been interrupted."
        raise LifeboatError(f"file {wanted.path}", "a part of a guest's memory", "all of it", remedy)
    _check_of(calls, domain, wanted, wanted.path)
    return True


def _is_whole(path: str) -> bool:
    """Whether all of a guest's memory is in it; LifeboatError for a file that is something else, such as a disk."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        remedy = "Correct the path, or run the task as a user who may read it."
        raise LifeboatError(f"file {path}", error.strerror or str(error), "a readable file", remedy) from error
    if not head.startswith(_MAGICS):
        raise LifeboatError(f"file {path}", "no memory that libvirt saved", "some", "Correct the path.")
    return head != _PART


def _check_of(calls: SaveCalls, domain: Domain | None, wanted: WantedSave, path: str) -> None:
    """LifeboatError for the memory of another domain. Where there is none of the name, the name has to do."""
    saved = parse(calls.saved_domain(path), f"domain in {path}")
    name, uuid = saved.findtext("name"), saved.findtext("uuid")
    if (name != wanted.name) if domain is None else (uuid != domain.uuid):
        expected = f"that of domain {wanted.name}" + (f" with UUID {domain.uuid}" if domain is not None else "")
        found = f"the memory of domain {name} with UUID {uuid}"
        raise LifeboatError(f"file {path}", found, expected, "Correct name or path.")


def _change(says: str, wanted: WantedSave, before: str, after: str, do: t.Callable[[str, str | None], None]) -> Change:
    return Change(says, wanted.thing, before, after, lambda: do(wanted.name, wanted.path))
