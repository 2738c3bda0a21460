# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Files with given content, owner, group and mode: what differs, and how it is mended."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

VALIDATION_TIMEOUT_S = 60
PARENT_MODE = 0o755


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file as it shall be; ``validate`` is a command that takes a candidate's path for ``%s``."""

    path: Path
    content: bytes
    owner: str | None
    group: str | None
    mode: int
    validate: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """Who owns a file and what is allowed to whom; ids for names that the host knows, names for others."""

    owner: int | str
    group: int | str
    mode: int


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it is; ``content`` and ``access`` are None when it does not exist."""

    content: bytes | None
    access: Access | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it shall be."""

    wanted: WantedFile
    found: FoundFile

    @property
    def of_content(self) -> bool:
        return self.found.content != self.wanted.content


def wanted_files(given: list[dict[str, t.Any]]) -> list[WantedFile]:
    """The files of the module's option; LifeboatError for what cannot be meant."""
    wanted = [
        WantedFile(
            Path(file["path"]), file["content"].encode(), file["owner"], file["group"], _mode(file), file["validate"]
        )
        for file in given
    ]
    for index, file in enumerate(wanted):
        thing = f"file {file.path}"
        if not file.path.is_absolute():
            raise LifeboatError(thing, "a relative path", "an absolute one", "Name it from the root on.")
        if file.path in [other.path for other in wanted[:index]]:
            raise LifeboatError(thing, "two contents for it", "one", "Remove it from the list once.")
        if file.validate is not None and "%s" not in file.validate:
            found = f"the validation {file.validate!r}"
            raise LifeboatError(thing, found, "%s where the candidate's path goes", "Put %s into the command.")
    return wanted


def _mode(file: dict[str, t.Any]) -> int:
    mode = str(file["mode"])
    if not mode.isdigit() or len(mode) > 4 or not set(mode) <= set("01234567"):
        raise LifeboatError(f"file {file['path']}", f"the mode {mode!r}", "up to four octal digits", "Quote it.")
    return int(mode, 8)


def differences(wanted: list[WantedFile]) -> list[Difference]:
    """The files that are not as they shall be."""
    found = [Difference(file, look_at(file.path)) for file in wanted]
    return [each for each in found if each.of_content or each.found.access != access_of(each.wanted)]


def look_at(path: Path) -> FoundFile:
    """The file behind symbolic links; LifeboatError when it is something else than a file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FoundFile(None, None)
    if not stat.S_ISREG(status.st_mode):
        found = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or socket"
        raise LifeboatError(f"file {path}", found, "a file or nothing", "Remove it, or choose another path.")
    return FoundFile(path.read_bytes(), Access(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)))


def access_of(file: WantedFile) -> Access:
    """The access that ``file`` shall have; without owner and group those of this process."""
    owner: int | str = os.geteuid()
    group: int | str = os.getegid()
    if file.owner is not None:
        try:
            owner = pwd.getpwnam(file.owner).pw_uid
        except KeyError:
            owner = file.owner
    if file.group is not None:
        try:
            group = grp.getgrnam(file.group).gr_gid
        except KeyError:
            group = file.group
    return Access(owner, group, file.mode)


def check_access(file: WantedFile) -> None:
    """LifeboatError when the host knows no such user or group."""
    access = access_of(file)
    for kind, given in (("user", access.owner), ("group", access.group)):
        if isinstance(given, str):
            remedy = f"Install the package that brings the {kind}, or name another one."
            raise LifeboatError(f"file {file.path}", f"no {kind} {given} on this host", f"an existing {kind}", remedy)


def write_all(found: list[Difference]) -> None:
    """Mend all differences; every candidate is written beside its file and validated before the first file changes."""
    for difference in found:
        check_access(difference.wanted)
    candidates: list[tuple[Path, Path]] = []
    try:
        for difference in found:
            candidates.append((_candidate(difference.wanted), difference.wanted.path.resolve()))
        for candidate, path in candidates:
            os.replace(candidate, path)
    finally:
        for candidate, _path in candidates:
            candidate.unlink(missing_ok=True)


def _candidate(file: WantedFile) -> Path:
    """A validated file with the wanted content and access in the directory of ``file``."""
    directory = file.path.resolve().parent
    for missing in [each for each in reversed([directory, *directory.parents]) if not each.exists()]:
        missing.mkdir()
        missing.chmod(PARENT_MODE)
    access = access_of(file)
    handle, name = tempfile.mkstemp(dir=directory, prefix=".lifeboat-")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(file.content)
            opened.flush()
            os.fsync(opened.fileno())
        os.chown(name, t.cast(int, access.owner), t.cast(int, access.group))
        os.chmod(name, file.mode)
        if file.validate is not None:
            _validate(file, name)
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def _validate(file: WantedFile, candidate: str) -> None:
    command = [word.replace("%s", candidate) for word in shlex.split(str(file.validate))]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VALIDATION_TIMEOUT_S,
            text=True,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    else:
        if done.returncode == 0:
            return
        said = done.stdout.strip() or f"exit code {done.returncode}"
    found = f"a new content that {command[0]} refuses: {said}"
    raise LifeboatError(
        f"file {file.path}", found, "a valid one", "Correct the variables that make it; it is unchanged."
    )
