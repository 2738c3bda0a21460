# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Making a block copy: begun or gone on with, watched, ended on the copy or taken back."""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, State, require_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy import (
    Disk,
    Tools,
    WantedCopy,
    destination,
    destination_xml,
    find_disk,
    refuse,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_PAUSE_S = 0.5
# How long libvirt may take to end a job that it was asked to end, and Ceph to notice that an image is open no more.
_SETTLE_S = 60.0


@dataclass(slots=True)
class Outcome:
    """What was seen. Bytes and seconds; ``copied_s`` until both were the same, ``total_s`` until the guest had it."""

    source: str
    size: int = 0
    copied_s: float = 0.0
    total_s: float = 0.0


@dataclass(slots=True)
class Copy:
    """One disk's move. ``changes`` tells what is to be done, each by a call that does it."""

    connection: Connection
    tools: Tools
    wanted: WantedCopy
    outcome: Outcome = field(default_factory=lambda: Outcome(""))

    def changes(self) -> list[Change]:
        """What brings the disk into the image; LifeboatError when something speaks against it."""
        validate(self.wanted)
        domain = require_domain(self.connection, self.wanted.name)
        condition = domain.condition()
        if condition.state not in (State.RUNNING, State.PAUSED):
            remedy = "Start it, or copy the disk with disk_import and define the domain with that."
            raise LifeboatError(self.wanted.thing, f"a domain that is {condition}", "a running one", remedy)
        disk, there = find_disk(domain, self.wanted), destination(self.wanted)
        self.outcome = Outcome(disk.source)
        if disk.mirror is None and disk.source == there:
            return self._of_definition(domain, there)
        return [self._of_guest(domain, disk, there)]

    def _of_guest(self, domain: Domain, disk: Disk, there: str) -> Change:
        verb, do = f"copy {self.wanted.thing} to", self._begin
        if disk.mirror is None:
            refuse(self.connection, domain, disk, self.wanted)
            if self.tools.images.exists(self.wanted.image):
                if self.tools.images.marked(self.wanted.image) != self._owner(domain):
                    remedy = "Choose another name, or remove it with rbd_image when nothing in it is needed."
                    raise LifeboatError(f"image {self.wanted.image}", "one of that name", "none", remedy)
                verb, do = f"begin anew the copy of {self.wanted.thing} to", self._begin_anew
        elif disk.mirror == there:
            verb, do = f"go on with the copy of {self.wanted.thing} to", self._see_through
        else:
            remedy = "Let it end, or abort it with virsh blockjob --abort."
            found = f"a job under way that fills {disk.mirror}"
            raise LifeboatError(self.wanted.thing, found, "none, or one to the image", remedy)
        return Change(f"{verb} {there}", self.wanted.target, disk.source, there, do)

    def _of_definition(self, domain: Domain, there: str) -> list[Change]:
        """What the next start needs, where an earlier run was interrupted before that."""
        if not domain.persistent():
            return []
        defined = find_disk(domain, self.wanted, live=False).source
        says = f"give the definition of domain {self.wanted.name} {there} as {self.wanted.target}"
        change = Change(says, f"{self.wanted.target} at the next start", defined, there, self._define)
        return [change] if defined != there else []

    def _owner(self, domain: Domain) -> str:
        """What an image is marked with until it has all that the guest's disk has."""
        return f"{domain.uuid}/{self.wanted.target}"

    def _begin_anew(self) -> None:
        """Of a copy that ended with its guest nothing can be used."""
        self._clear(self.wanted.image)
        self._begin()

    def _begin(self) -> None:
        calls, wanted = self.tools.calls, self.wanted
        self._make_image(calls.size(wanted.name, wanted.target))
        try:
            calls.copy(wanted.name, wanted.target, destination_xml(wanted), wanted.bandwidth << 20)
        except LifeboatError as error:
            self._take_back(error.found)
        self._see_through()

    def _make_image(self, size: int) -> None:
        """Make the image, which gets its name when it is marked: without a mark the next run would refuse it."""
        images, wanted = self.tools.images, self.wanted
        if images.exists(wanted.unnamed):
            self._clear(wanted.unnamed)
        images.create(wanted.unnamed, size)
        images.mark(wanted.unnamed, self._owner(require_domain(self.connection, wanted.name)))
        images.rename(wanted.unnamed, wanted.image)

    def _clear(self, image: str) -> None:
        """Remove an image that is left; LifeboatError when somebody has it open, for then Ceph keeps it."""
        if left := self._remove(image):
            found = left.removeprefix("; ")
            remedy = "See with rbd status who has it open."
            raise LifeboatError(f"image {image}", found, "one that nobody has open", remedy)

    def _see_through(self) -> None:
        """Wait until both are the same, and give the guest the copy; or take it back."""
        clock, wanted = self.tools.clock, self.wanted
        began = clock.monotonic()
        last: tuple[int, int] | None = None
        while not (disk := self._disk()).ready:
            last = self.tools.calls.progress(wanted.name, wanted.target) or last
            if disk.mirror is None:
                self._take_back(f"the copy ended by itself at {_share(last)}")
            if clock.monotonic() - began >= wanted.max_seconds:
                self._take_back(f"a copy at {_share(last)} after {wanted.max_seconds:g} s")
            clock.sleep(_PAUSE_S)
        self.outcome.copied_s = round(clock.monotonic() - began, 2)
        self.outcome.size = self.tools.calls.size(wanted.name, wanted.target)
        # From here on the image may be the guest's, and then no later run may take it for unfinished.
        self.tools.images.mark(self.wanted.image, "")
        reason, wait_s = "the guest kept its old disk", _SETTLE_S
        try:
            self.tools.calls.pivot(wanted.name, wanted.target)
        except CallError as error:
            # Without an answer it may be done for all that, which the guest's definition tells.
            reason, wait_s = error.found, _SETTLE_S if error.code is None else 0.0
        disk = self._await_end(wait_s)
        if disk.mirror is not None or disk.source != destination(wanted):
            self._take_back(reason)
        self.outcome.total_s = round(clock.monotonic() - began, 2)
        # libvirt does this itself where it finds the old disk in the definition.
        for change in self._of_definition(require_domain(self.connection, wanted.name), disk.source):
            change.do()

    def _disk(self) -> Disk:
        return find_disk(require_domain(self.connection, self.wanted.name), self.wanted)

    def _take_back(self, reason: str) -> t.NoReturn:
        """End the job, remove the image unless the guest uses it, and say where the guest is."""
        wanted, there = self.wanted, destination(self.wanted)
        try:
            if self._disk().mirror is not None:
                self.tools.calls.abort(wanted.name, wanted.target)
            disk = self._await_end(_SETTLE_S)
            if disk.mirror is not None:
                expected = f"its end within {_SETTLE_S:g} s"
                raise LifeboatError(wanted.thing, "the job still there after it was aborted", expected, "")
        except LifeboatError as error:
            remedy = f"See virsh blockjob {wanted.name} {wanted.target}; the next run goes on with it."
            found = f"{reason}, and then {error.found}; the image {wanted.image} is left"
            raise LifeboatError(wanted.thing, found, f"the guest on {there}", remedy) from error
        left = "" if disk.source == there else self._remove(wanted.image)
        found = f"{reason}; the guest goes on with {disk.source}{left}"
        remedy = "See the log of the guest's QEMU and Ceph's health, or allow more with max_seconds or bandwidth."
        raise LifeboatError(wanted.thing, found, f"the guest on {there}", remedy)

    def _await_end(self, wait_s: float) -> Disk:
        """The guest's disk as soon as no job is on it, or after so many seconds."""
        end = self.tools.clock.monotonic() + wait_s
        while (disk := self._disk()).mirror is not None and self.tools.clock.monotonic() < end:
            self.tools.clock.sleep(_PAUSE_S)
        return disk

    def _remove(self, image: str) -> str:
        """Remove an image; what to add to the message when it stays."""
        end = self.tools.clock.monotonic() + _SETTLE_S
        while True:
            try:
                self.tools.images.remove(image)
            except LifeboatError as error:
                if self.tools.clock.monotonic() >= end:
                    return f"; the unfinished image {image} is left ({error.found})"
                self.tools.clock.sleep(_PAUSE_S)
            else:
                return ""

    def _define(self) -> None:
        """Give the definition the disk that the guest has."""
        domain = require_domain(self.connection, self.wanted.name)
        root = parse(domain.definition(secrets=True), f"definition of domain {self.wanted.name}")
        disk = next(
            disk
            for disk in root.findall("devices/disk")
            if any(target.get("dev") == self.wanted.target for target in disk.findall("target"))
        )
        source = ElementTree.fromstring(destination_xml(self.wanted))
        for tag in ("auth", "source", "backingStore"):
            for each in disk.findall(tag):
                disk.remove(each)
        disk.set("type", "network")
        driver = disk.find("driver")
        if driver is not None:
            driver.set("type", "raw")
        disk.extend(copy.deepcopy(each) for each in source if each.tag in ("auth", "source"))
        self.connection.define(ElementTree.tostring(root, encoding="unicode"), validate=True)


def _share(progress: tuple[int, int] | None) -> str:
    return f"{progress[0]} of {progress[1]} bytes" if progress else "an unknown place"
