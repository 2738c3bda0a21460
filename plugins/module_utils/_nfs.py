# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What speaks against exports and mounts of NFS, found before anything is changed."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import re
import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

UNITS = {"kernel": "nfs-server.service", "ganesha": "nfs-ganesha.service"}
_AT_FDCWD = -100
_SOURCE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(/\S*)")
_ANY_PORT_NUMBER = 65535
# No server, or nobody who uses one, gives these to clients.
_SYSTEM = frozenset({"/", "/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/var", "/var/lib"})


@dataclass(frozen=True, slots=True)
class Export:
    """A directory and the networks that may mount it, as written; ``number`` is what clients know it by."""

    path: str
    clients: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Mount:
    """Where the export ``source`` (HOST:/PATH) shall be seen; names in ``ignore`` may lie below it and be hidden."""

    source: str
    path: str
    ignore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """What is at a path: whether it or, where it is absent, its parent is there, and what their file system can."""

    exists: bool
    parent_exists: bool
    is_directory: bool
    on_system_disk: bool
    gives_handles: bool


def exports_of(written: Sequence[Mapping[str, t.Any]]) -> list[Export]:
    """The exports of a role; one without a number has its place in the list."""
    exports = []
    for place, each in enumerate(written, 1):
        clients = each.get("clients")
        if not isinstance(clients, list) or not isinstance(each.get("path"), str):
            raise LifeboatError(f"export {place}", repr(dict(each)), "a path and a list of clients", "Correct it.")
        number = place if each.get("id") is None else int(each["id"])
        exports.append(Export(each["path"], tuple(map(str, clients)), number))
    return exports


def mounts_of(written: Sequence[Mapping[str, t.Any]]) -> list[Mount]:
    """The mounts of a role."""
    return [
        Mount(str(each.get("source", "")), str(each.get("path", "")), tuple(each.get("ignore") or ()))
        for each in written
    ]


def export_findings(exports: Sequence[Export]) -> Iterator[Finding]:
    """What the exports alone tell to be wrong, in a stable order."""
    if not exports:
        yield Finding("nfs_exports", "none", "what the server shall export", "Set it, or take the host out.")
    for index, each in enumerate(exports):
        thing = f"export {each.path}"
        if not _is_plain(each.path) or each.path in _SYSTEM:
            expected = "an absolute path of its own without .. or a slash at the end"
            yield Finding(thing, "a path that cannot be exported", expected, "Correct it.")
            continue
        yield from _client_findings(thing, each.clients)
        if not 0 < each.number <= _ANY_PORT_NUMBER:
            yield Finding(thing, f"the id {each.number}", f"1 to {_ANY_PORT_NUMBER}", "Correct it.")
        for other in exports[:index]:
            if other.number == each.number:
                yield Finding(thing, f"the id {each.number} of {other.path}", "one of its own", "Give another id.")
            if other.path == each.path:
                yield Finding(thing, "more than once", "each path once", "Take the repetition out.")
            elif PurePosixPath(other.path) in PurePosixPath(each.path).parents or (
                PurePosixPath(each.path) in PurePosixPath(other.path).parents
            ):
                remedy = "Move one of them: clients of the outer one would get at the inner one by its rules."
                yield Finding(thing, f"an overlap with {other.path}", "exports beside each other", remedy)


def _client_findings(thing: str, clients: Sequence[str]) -> Iterator[Finding]:
    if not clients:
        yield Finding(thing, "no clients", "networks in CIDR notation", "Name them, or take the export out.")
    for client in clients:
        expected = "a network such as 10.0.2.0/24, or 10.0.2.31/32 for a host"
        try:
            network = ipaddress.ip_network(client)
        except ValueError as error:
            yield Finding(thing, f"the client {client!r} ({error})", expected, "Correct it.")
            continue
        if "/" not in client:
            yield Finding(thing, f"the client {client!r} without a prefix length", expected, "Add it.")
        elif network.prefixlen == 0:
            yield Finding(thing, f"the client {client!r}, which is everybody", expected, "Name the storage network.")


def directory_findings(exports: Sequence[Export], directories: Mapping[str, Directory]) -> Iterator[Finding]:
    """What the host's directories tell to be wrong with the exports."""
    for each in exports:
        found = directories.get(each.path)
        thing = f"export {each.path}"
        if found is None:
            continue
        if not found.exists and not found.parent_exists:
            parent = os.path.dirname(each.path)
            remedy = "Mount its file system, or make the directory: made here it would fill the system disk."
            yield Finding(thing, f"no directory {parent}", "the file system that shall carry it", remedy)
        elif found.exists and not found.is_directory:
            yield Finding(thing, "something that is no directory", "a directory", "Correct the path.")
        elif not found.gives_handles:
            remedy = "Put it on ext4, xfs or btrfs; the root of a container usually is an overlay, which cannot."
            yield Finding(thing, "a file system without file handles", "one that NFS can export", remedy)


def server_findings(kind: str, kernel_can: bool, active: Collection[str]) -> Iterator[Finding]:
    """What speaks against this kind of server on the host; ``active`` are the kinds that run."""
    if kind == "kernel" and not kernel_can:
        remedy = "Choose nfs_server_kind ganesha, or boot a kernel that has it."
        yield Finding("kernel", "no NFS server (nfsd)", "one for nfs_server_kind kernel", remedy)
    for other in sorted(set(active) - {kind}):
        remedy = f"Stop it with `systemctl disable --now {UNITS[other]}`, or choose nfs_server_kind {other}."
        yield Finding("NFS server", f"{UNITS[other]} running", f"{UNITS[kind]} alone", remedy)


def kind_of_server(wanted: str, kernel_can: bool, active: Collection[str]) -> str:
    """The server to install: that of the kernel where it can, else ganesha; what runs already stays."""
    if wanted != "auto":
        return wanted
    if len(active) == 1:
        return next(iter(active))
    return "kernel" if kernel_can else "ganesha"


def mount_findings(
    mounts: Sequence[Mount],
    kernel_can: bool,
    mounted: Mapping[str, str],
    contents: Mapping[str, Collection[str]],
) -> Iterator[Finding]:
    """What speaks against the mounts: ``mounted`` is path to source, ``contents`` path to names of what lies there."""
    if not kernel_can:
        remedy = "Boot a kernel that has it; QEMU and tools of libnfs reach exports without it."
        yield Finding("kernel", "no NFS client (nfsv4)", "one that mounts exports", remedy)
    for index, each in enumerate(mounts):
        thing = f"mount {each.path}"
        if not _SOURCE.fullmatch(each.source):
            yield Finding(thing, f"the source {each.source!r}", "HOST:/PATH", "Correct it.")
        if not _is_plain(each.path) or each.path in _SYSTEM:
            yield Finding(thing, "a path that cannot be hidden by a mount", "an absolute path", "Correct it.")
            continue
        if each.path in [other.path for other in mounts[:index]]:
            yield Finding(thing, "more than once", "each path once", "Take the repetition out.")
        there = mounted.get(each.path)
        if there and there.rstrip("/") != each.source.rstrip("/"):
            yield Finding(thing, f"{there} mounted there", f"{each.source}, or nothing", "Unmount it first.")
        hidden = sorted(set(contents.get(each.path, ())) - set(each.ignore))
        if hidden and not there:
            shown = ", ".join(hidden[:3]) + (f" and {len(hidden) - 3} more" if len(hidden) > 3 else "")
            remedy = "Move what is there into the export, or away; the mount would hide it."
            yield Finding(thing, f"{shown} in the directory", "an empty one, or none", remedy)


def _is_plain(path: str) -> bool:
    return path.startswith("/") and os.path.normpath(path) == path and not re.search(r"[\s#\"{};]", path)


def look_at(path: str, system: str = "/") -> Directory:
    """What is at the path."""
    parent = os.path.dirname(path)
    exists, parent_exists = os.path.lexists(path), os.path.isdir(parent)
    nearest = path if exists else parent
    known = exists or parent_exists
    return Directory(
        exists=exists,
        parent_exists=parent_exists,
        is_directory=os.path.isdir(path),
        on_system_disk=known and os.stat(nearest).st_dev == os.stat(system).st_dev,
        gives_handles=known and gives_handles(nearest),
    )


def gives_handles(path: str) -> bool:
    """Whether the path's file system names files by handles that it finds again, which NFS needs."""
    # A handle of no length: the kernel says how long it would have to be, or that there is none.
    handle, mount_id = (ctypes.c_uint * 2)(0, 0), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0)
    return done == 0 or ctypes.get_errno() == errno.EOVERFLOW


def parse_mounts(text: str) -> dict[str, str]:
    """The sources of /proc/self/mounts by path; of several at one path the last."""
    found = {}
    for line in text.splitlines():
        source, path = line.split(" ")[:2]
        found[_unescaped(path)] = _unescaped(source)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def contents_of(path: str) -> list[str]:
    """The names in a directory; none when there is no such directory."""
    try:
        return os.listdir(path)
    except OSError:
        return []
