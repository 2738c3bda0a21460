# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Files of a report: read whole, and replaced atomically."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError


def content_of(path: Path) -> str | None:
    """The text of a file; None when there is no such file."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LifeboatError(
            str(path), str(error), "a readable UTF-8 file", "Move it away or choose another directory."
        ) from error


def replace(path: Path, content: str) -> None:
    """Put ``content`` in place of what is there; whoever reads sees the one or the other."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
