# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A disk of a running domain moves into an image of Ceph while the guest goes on: what is wanted, found and refused.

libvirt copies the disk and mirrors every write from then on; when both are the same, the guest is given the copy. Until
that moment the guest's disk is the old one. Which of this was reached tells the definition of the running guest.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock

_NOVA = "openstack.org/xmlns/libvirt/nova"
_MONITOR = re.compile(r"(?:\[(?P<address>[^]]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class WantedCopy:
    """The disk ``target`` of a domain shall be the image ``image``, as POOL/NAME.

    It is opened as C(client.)``client`` with the libvirt secret ``secret`` (its UUID), at ``monitors`` (HOST or
    HOST:PORT, with an address of IPv6 in brackets before a port) or else at those of ceph.conf. ``bandwidth`` in MiB/s,
    0 for no limit.
    """

    name: str
    target: str
    image: str
    client: str
    secret: str
    monitors: tuple[str, ...] = ()
    bandwidth: int = 0
    max_seconds: float = 3600.0

    @property
    def thing(self) -> str:
        """For messages."""
        return f"disk {self.target} of domain {self.name}"

    @property
    def unnamed(self) -> str:
        """What the image is called until it is marked. Nobody else has it, and nothing is ever written into it."""
        return f"{self.image}.lifeboat-new"


class BlockCopyCalls(t.Protocol):
    """libvirt's calls for a block copy. CallError when it refuses."""

    def size(self, name: str, target: str) -> int:
        """Bytes that the guest sees."""

    def copy(self, name: str, target: str, xml: str, bandwidth: int) -> None:
        """Begin to copy into what the <disk> of ``xml`` names, and to mirror. Bytes per second."""

    def progress(self, name: str, target: str) -> tuple[int, int] | None:
        """How far of how much; None when nothing is under way."""

    def abort(self, name: str, target: str) -> None:
        """End it, with the guest on its old disk."""

    def pivot(self, name: str, target: str) -> None:
        """End it, with the guest on the copy; an error before both are the same."""


class CopyImages(t.Protocol):
    """What is done with the image. LifeboatError when Ceph refuses."""

    def exists(self, image: str) -> bool:
        """Whether there is one of that name."""

    def create(self, image: str, size: int) -> None:
        """Make it."""

    def rename(self, image: str, to: str) -> None:
        """Give it another name of the same pool; refused when there is one of that name."""

    def mark(self, image: str, owner: str) -> None:
        """Note on the image that it is an unfinished copy of ``owner``; with an empty one that it is none any more."""

    def marked(self, image: str) -> str:
        """What it was noted to be an unfinished copy of; empty without such a note."""

    def remove(self, image: str) -> None:
        """Remove it; refused while somebody has it open."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a copy is made with."""

    calls: BlockCopyCalls
    images: CopyImages
    clock: Clock


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of the running guest. ``mirror`` is what a job under way fills, None without one."""

    source: str
    mirror: str | None
    ready: bool
    element: Element


def validate(wanted: WantedCopy) -> None:
    """LifeboatError for an image's name or a monitor that is none, and for a negative bandwidth."""
    pool, slash, name = wanted.image.partition("/")
    if not pool or not slash or not name or set("/@") & set(name):
        raise LifeboatError(wanted.thing, f"the image {wanted.image!r}", "POOL/NAME", "Correct the name.")
    if wanted.bandwidth < 0:
        raise LifeboatError("bandwidth", str(wanted.bandwidth), "0 or more", "Correct the option, or leave it out.")
    for monitor in wanted.monitors:
        _host_and_port(monitor)


def _host_and_port(monitor: str) -> tuple[str, str | None]:
    """As libvirt takes them: the host without brackets, the port or None. LifeboatError for what is neither."""
    found = _MONITOR.fullmatch(f"[{monitor}]" if monitor.count(":") > 1 and "[" not in monitor else monitor)
    try:
        if not found or not 1 <= int(found["port"] or 1) <= 65535:
            raise ValueError
        host = str(ipaddress.IPv6Address(found["address"])) if found["address"] else found["host"]
    except ValueError:
        expected = "HOST, HOST:PORT, ADDRESS of IPv6 or [ADDRESS]:PORT"
        raise LifeboatError("monitors", repr(monitor), expected, "Correct the option, or leave it out.") from None
    return host, found["port"]


def find_disk(domain: Domain, wanted: WantedCopy, *, live: bool = True) -> Disk:
    """The disk; a LifeboatError names those that there are."""
    root = parse(domain.definition(live=live), f"definition of domain {wanted.name}")
    disks = {target.get("dev"): disk for disk in root.findall("devices/disk") for target in disk.findall("target")}
    if wanted.target not in disks:
        known = ", ".join(sorted(str(name) for name in disks)) or "none"
        raise LifeboatError(wanted.thing, f"no such disk; there are: {known}", "one of them", "Correct the name.")
    element = disks[wanted.target]
    mirror = element.find("mirror")
    return Disk(
        source=_named(element),
        mirror=None if mirror is None else _named(mirror),
        ready=mirror is not None and mirror.get("ready") == "yes",
        element=element,
    )


def _named(element: Element) -> str:
    """What a <disk> or a <mirror> has as its source: PROTOCOL:NAME, or a path."""
    source = element.find("source")
    if source is None:
        return element.get("file", "")
    if source.get("protocol"):
        return f"{source.get('protocol')}:{source.get('name')}"
    return next((str(source.get(kind)) for kind in ("file", "dev", "volume") if source.get(kind)), "")


def destination(wanted: WantedCopy) -> str:
    """How _named calls the image."""
    return f"rbd:{wanted.image}"


def destination_xml(wanted: WantedCopy) -> str:
    """The <disk> that the guest's disk becomes."""
    disk = ElementTree.Element("disk", {"type": "network", "device": "disk"})
    SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
    auth = SubElement(disk, "auth", {"username": wanted.client})
    SubElement(auth, "secret", {"type": "ceph", "uuid": wanted.secret})
    source = SubElement(disk, "source", {"protocol": "rbd", "name": wanted.image})
    for monitor in wanted.monitors:
        host, port = _host_and_port(monitor)
        SubElement(source, "host", {"name": host} | ({"port": port} if port else {}))
    SubElement(disk, "target", {"dev": wanted.target})
    return ElementTree.tostring(disk, encoding="unicode")


def refuse(connection: Connection, domain: Domain, disk: Disk, wanted: WantedCopy) -> None:
    """LifeboatError for what libvirt would not copy, or what would be lost by it."""
    root = parse(domain.definition(live=True), f"definition of domain {wanted.name}")
    for found, expected, remedy in _objections(connection, domain, root, disk, wanted):
        raise LifeboatError(wanted.thing, found, expected, remedy)


def _objections(
    connection: Connection, domain: Domain, root: Element, disk: Disk, wanted: WantedCopy
) -> t.Iterator[tuple[str, str, str]]:
    if any(_NOVA in each.tag for each in root.iterfind("metadata/*")):
        yield (
            "a server of Nova",
            "a domain that nobody else manages",
            "Move its volumes with volume_migration, or the server with server_migration.",
        )
    kind = disk.element.get("device", "disk")
    closed = [tag for tag in ("readonly", "shareable", "transient") if disk.element.find(tag) is not None]
    if kind != "disk" or closed:
        yield (
            f"a {kind} that is {', '.join(closed) or 'no disk'}",
            "a disk of this guest alone that it writes",
            "Leave it.",
        )
    if disk.element.find(".//encryption") is not None:
        yield (
            "an encrypted disk",
            "one without encryption, since what libvirt would write into the image is plain",
            "Have the guest encrypt its disk itself, or leave it.",
        )
    if domain.persistent() and (defined := find_disk(domain, wanted, live=False).source) != disk.source:
        yield (
            f"{disk.source} while it runs and {defined} from its next start on",
            "the same of both",
            "Bring the definition back with libvirt_domain, or start the guest with its new one.",
        )
    left = domain.leftovers()
    if left.snapshots or left.checkpoints:
        yield (
            f"snapshots: {left.snapshots}, checkpoints: {left.checkpoints}",
            "none, since they are kept in the disks that are left",
            "Remove them, with libvirt_snapshot and libvirt_backup state=absent.",
        )
    if domain.job():
        yield "a job under way", "none", f"Wait for its end (virsh domjobinfo at {connection.uri})."
