# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A keyring file with the key of one Ceph entity: readable by its owner only, and rewritten only when it differs."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import stat
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYRING_MODE = 0o600
_SECTION = re.compile(r"^\s*\[(.+?)\]\s*$", re.MULTILINE)
_KEY = re.compile(r"^\s*key\s*=\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Where the key of ``entity`` shall be, and whose the file shall be; empty for whose it is."""

    path: str
    entity: str
    owner: str = ""
    group: str = ""


def keyring_changes(keyring: Keyring, key: str, fetch: Callable[[], str]) -> list[Change]:
    """What makes the file hold the key. ``key`` is empty while the entity is not there; ``fetch`` gets the key then.

    LifeboatError for a file that holds other entities, as their keys would be lost.
    """
    with _explained(keyring):
        faults = _faults(keyring, key)
    if not faults:
        return []
    thing = f"keyring {keyring.path}"
    return [
        Change(f"write {thing}", thing, ", ".join(faults), "as asked", lambda: _write(keyring, key or fetch())),
    ]


def keyring_removal(keyring: Keyring) -> list[Change]:
    """What removes the file."""

    def remove() -> None:
        with _explained(keyring):
            os.unlink(keyring.path)

    with _explained(keyring):
        there = _text(keyring) is not None
    thing = f"keyring {keyring.path}"
    return [Change(f"remove {thing}", thing, "present", "absent", remove)] if there else []


def _text(keyring: Keyring) -> str | None:
    """What the file holds, None when there is none."""
    try:
        with open(keyring.path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    others = sorted(set(_SECTION.findall(text)) - {keyring.entity})
    if others:
        remedy = "Give another path, or move the other entities to files of their own."
        raise LifeboatError(f"keyring {keyring.path}", f"keys of {', '.join(others)}", "no other key", remedy)
    return text


def _faults(keyring: Keyring, key: str) -> list[str]:
    text = _text(keyring)
    if text is None:
        return ["absent"]
    found = os.stat(keyring.path)
    mode = stat.S_IMODE(found.st_mode)
    tests = {
        "another key": not key or _KEY.findall(text) != [key] or keyring.entity not in _SECTION.findall(text),
        f"mode {mode:04o}": mode != KEYRING_MODE,
        f"another owner than {keyring.owner}": bool(keyring.owner) and found.st_uid != _uid(keyring.owner),
        f"another group than {keyring.group}": bool(keyring.group) and found.st_gid != _gid(keyring.group),
    }
    return [fault for fault, present in tests.items() if present]


def _uid(owner: str) -> int | None:
    """None for a user that is still to come, as in check mode before packages are installed."""
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        return None


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _write(keyring: Keyring, key: str) -> None:
    """Put a whole new file in the place of the old one: a reader sees the one or the other."""
    path = os.path.realpath(keyring.path)
    with _explained(keyring):
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".keyring")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(f"[{keyring.entity}]\n\tkey = {key}\n")
                file.flush()
                os.fsync(descriptor)
            _own(temporary, path, keyring)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _own(temporary: str, path: str, keyring: Keyring) -> None:
    """Give the new file the owner and the group that are asked for, else those of the old one."""
    with contextlib.suppress(FileNotFoundError):
        old = os.stat(path)
        os.chown(temporary, old.st_uid, old.st_gid)
    if keyring.owner:
        shutil.chown(temporary, user=keyring.owner)
    if keyring.group:
        shutil.chown(temporary, group=keyring.group)


@contextlib.contextmanager
def _explained(keyring: Keyring) -> Iterator[None]:
    try:
        yield
    except (OSError, LookupError, UnicodeDecodeError) as error:
        raise LifeboatError(
            f"keyring {keyring.path}",
            str(error),
            "a text file, and a user and a group that exist",
            "Correct path, owner and group, and run this as root.",
        ) from error
