# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A page beside the receipts that it is made of: reading these strictly, and writing it when it differs."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._report.files import content_of, replace

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.lifeboat.cloud.plugins.module_utils._report.reading import Value

# Nothing that would lead out of the directory.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it should be; ``before`` is what is there, None when nothing is."""

    path: Path
    content: str
    before: str | None

    @classmethod
    def beside(cls, receipts: Path, content: str) -> Page:
        """The page of these receipts."""
        path = receipts.with_suffix(".html")
        return cls(path, content, content_of(path))

    @property
    def changed(self) -> bool:
        """Whether it has to be written."""
        return self.content != self.before

    def write(self) -> None:
        """Put it where it belongs."""
        try:
            replace(self.path, self.content)
        except OSError as error:
            expected = "a place that can be written"
            raise LifeboatError(str(self.path), str(error.strerror), expected, "See to its rights and room.") from error

    def result(self) -> dict[str, t.Any]:
        """What a module returns of it."""
        return {
            "changed": self.changed,
            "actions": [f"write {self.path}"] if self.changed else [],
            "page": str(self.path),
            "diff": {
                "before": {str(self.path): _fingerprint(self.before)},
                "after": {str(self.path): _fingerprint(self.content)},
            },
        }


def receipts_of(directory: Path, run: str) -> Path:
    """The file with the receipts of the run."""
    if not _NAME.fullmatch(run):
        expected = "the name of a file of receipts without .json"
        raise LifeboatError("run", repr(run), expected, "Use one such as 2026-11-22T13-42-05Z.")
    return directory / f"{run}.json"


def read_receipts(path: Path, expected: str, remedy: str, read: Callable[[str, object], Value]) -> Value:
    """What ``read`` makes of the file, or LifeboatError with the first thing that is wrong."""
    text = content_of(path)
    if text is None:
        found = "no such file"
        raise LifeboatError(str(path), found, expected, "Give the run as its file is named, without .json.")
    try:
        return read(str(path), json.loads(text))
    except ValueError as error:
        raise LifeboatError(str(path), str(error), "JSON", remedy) from error
    except LifeboatError as error:
        raise LifeboatError(error.thing, error.found, error.expected, remedy) from error


def _fingerprint(page: str | None) -> str:
    """A page for a difference that people read."""
    return "absent" if page is None else f"sha256 {hashlib.sha256(page.encode()).hexdigest()[:12]}"
