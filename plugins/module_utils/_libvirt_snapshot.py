# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Snapshots of a domain: taken, gone back to, removed. In qcow2 files by libvirt, of images in Ceph by Ceph."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import State, require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_disks import written_disks
from ansible_collections.lifeboat.cloud.plugins.module_utils._stop_signals import StopSignals

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import Images, RbdImage


@dataclass(frozen=True, slots=True)
class WantedSnapshot:
    """``state`` is present, reverted or absent."""

    name: str
    snapshot: str
    state: str = "present"
    description: str = ""

    @property
    def thing(self) -> str:
        return f"snapshot {self.snapshot} of domain {self.name}"


class SnapshotCalls(t.Protocol):
    """libvirt's calls for snapshots. CallError when it refuses."""

    def snapshots(self, name: str) -> list[str]:
        """Their names."""

    def create_snapshot(self, name: str, xml: str) -> None:
        """Take one, with the memory of a guest that runs."""

    def revert(self, name: str, snapshot: str) -> None:
        """Go back to it."""

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        """Remove it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Who keeps snapshots."""

    calls: SnapshotCalls
    images: Images


def check_name(name: str, thing: str) -> None:
    """LifeboatError for a name that libvirt, Ceph and file systems do not all take."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", name):
        expected = "up to 63 letters, digits, dots, hyphens and underscores, the first a letter or digit"
        raise LifeboatError(thing, f"the name {name!r}", expected, "Choose another name.")


def snapshot_changes(connection: Connection, places: Places, wanted: WantedSnapshot) -> tuple[str, list[Change]]:
    """Who keeps it, libvirt or ceph, and what leads to the state."""
    check_name(wanted.snapshot, wanted.thing)
    domain = require_domain(connection, wanted.name)
    images = [disk.image for disk in written_disks(domain) if disk.image is not None]
    if images:
        return "ceph", _ceph(domain, places.images, images, wanted)
    return "libvirt", _libvirt(places.calls, wanted)


def _libvirt(calls: SnapshotCalls, wanted: WantedSnapshot) -> list[Change]:
    there = wanted.snapshot in calls.snapshots(wanted.name)
    match wanted.state:
        case "present" if not there:
            root = ElementTree.Element("domainsnapshot")
            ElementTree.SubElement(root, "name").text = wanted.snapshot
            ElementTree.SubElement(root, "description").text = wanted.description
            xml = ElementTree.tostring(root, encoding="unicode")
            return [_change("take", wanted, lambda: calls.create_snapshot(wanted.name, xml))]
        case "reverted":
            _check_there(wanted, there)
            return [_change("go back to", wanted, lambda: calls.revert(wanted.name, wanted.snapshot))]
        case "absent" if there:
            return [_change("remove", wanted, lambda: calls.delete_snapshot(wanted.name, wanted.snapshot))]
    return []


def _ceph(domain: Domain, images: Images, of: Sequence[RbdImage], wanted: WantedSnapshot) -> list[Change]:
    having = [image for image in of if wanted.snapshot in images.snapshots(image)]
    if wanted.state == "absent":
        return [_change("remove", wanted, lambda: _each(images.remove, having, wanted))] if having else []
    if having and len(having) < len(of):
        found = f"one only of {', '.join(image.image for image in having)}"
        remedy = "Remove it with state=absent, and take it anew."
        raise LifeboatError(wanted.thing, found, "one of each of the domain's images, or of none", remedy)
    if wanted.state == "present":
        return [] if having else [_change("take", wanted, lambda: take(domain, images, of, wanted.snapshot))]
    _check_there(wanted, bool(having))
    condition = domain.condition()
    if condition.active:
        remedy = "Shut it down first, with libvirt_domain; a guest does not notice that its disks have changed."
        raise LifeboatError(f"domain {wanted.name}", str(condition), "shut off, for disks in Ceph", remedy)
    return [_change("go back to", wanted, lambda: _each(images.roll_back, of, wanted))]


def take(domain: Domain, images: Images, of: Sequence[RbdImage], snapshot: str) -> None:
    """A snapshot of all images at one moment, for which the guest stands still; all or none.

    None of them has one of this name yet. A signal to stop must wait until the guest goes on.
    """
    stops = domain.condition().state is State.RUNNING
    with StopSignals() as signals:
        try:
            if stops:
                domain.suspend()
            for image in of:
                images.create(image, snapshot)
                if signals.seen():
                    thing = f"snapshot {snapshot} of domain {domain.name}"
                    raise LifeboatError(thing, "a signal to stop", "time to take it", "Run it again.")
        except BaseException as error:
            # What was not answered in time may be done all the same: the guest stands still, the snapshot is there.
            undo = [partial(_go_on, domain)] if stops else []
            left = _failures([*undo, *(partial(_remove, images, image, snapshot) for image in of)])
            if left and isinstance(error, LifeboatError):
                found = f"{error.found}; and then {'; '.join(left)}"
                raise LifeboatError(error.thing, found, error.expected, error.remedy) from error
            raise
        if stops:
            _go_on(domain)


def _go_on(domain: Domain) -> None:
    try:
        domain.resume()
    except LifeboatError as error:
        condition = domain.condition()
        if condition.state is not State.RUNNING:
            remedy = "Let it go on with libvirt_domain (state=running)."
            found = f"{condition}, after its snapshots: {error.found}"
            raise LifeboatError(f"domain {domain.name}", found, "running", remedy) from error


def _remove(images: Images, image: RbdImage, snapshot: str) -> None:
    if snapshot in images.snapshots(image):
        images.remove(image, snapshot)


def _failures(steps: Sequence[Callable[[], None]]) -> list[str]:
    """What has failed of the steps, each of which is tried."""
    failures = []
    for step in steps:
        try:
            step()
        except LifeboatError as error:
            failures.append(f"{error.thing}: {error.found}")
    return failures


def _each(do: Callable[[RbdImage, str], None], images: Sequence[RbdImage], wanted: WantedSnapshot) -> None:
    for image in images:
        do(image, wanted.snapshot)


def _check_there(wanted: WantedSnapshot, there: bool) -> None:
    if not there:
        raise LifeboatError(wanted.thing, "none", "one to go back to", "Correct the name of the snapshot.")


def _change(verb: str, wanted: WantedSnapshot, do: Callable[[], None]) -> Change:
    before, after = {"take": ("absent", "present"), "remove": ("present", "absent")}.get(verb, ("later", "reverted"))
    return Change(f"{verb} {wanted.thing}", wanted.thing, before, after, do)
