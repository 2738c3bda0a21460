# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A file by which one process at a time does a work, whatever became of those before it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def open_alone(path: str, thing: str, work: str) -> Iterator[t.IO[bytes]]:
    """The file at ``path``, which is made, for this process alone. ``work`` is what it does, such as copy.

    Only the process that has the file may remove it. LifeboatError while another one has it, or when it has just gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        found = f"{error.strerror or error} for {path}"
        raise LifeboatError(thing, found, "a place to write to", "Correct the directory's permissions.") from error
    with open(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait until it has ended."
            raise LifeboatError(thing, f"a {work} under way", f"no other {work} to the same place", remedy) from error
        if not os.fstat(file.fileno()).st_nlink:
            raise LifeboatError(thing, f"another {work} that has just ended", "the only one", "Run this again.")
        yield file
