# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Snapshots of images in Ceph and what changed between them, by the program rbd with the key of the guest's disk."""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

# What rbd says of an image that is not there, and of no other failure. Its exit status is an error number.
_NO_IMAGE = re.compile(r"exit status 2: .*error opening image .*: \(2\) ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RbdImage:
    """An image as pool/name, and the client that opens it, without C(client.)."""

    image: str
    client: str = "admin"

    def __str__(self) -> str:
        return f"image {self.image}"


class Images(t.Protocol):
    """What is done with images. LifeboatError when Ceph refuses."""

    def snapshots(self, image: RbdImage) -> list[str]:
        """The names of its snapshots; one that is not there has none."""

    def create(self, image: RbdImage, snapshot: str) -> None:
        """Take a snapshot."""

    def roll_back(self, image: RbdImage, snapshot: str) -> None:
        """Make the image what it was at the snapshot."""

    def remove(self, image: RbdImage, snapshot: str) -> None:
        """Remove a snapshot."""

    def export(self, image: RbdImage, snapshot: str, since: str | None, path: str) -> None:
        """Write to a file what the snapshot has beyond an older one, or all that it has."""


@dataclass(frozen=True, slots=True)
class RbdCommand:
    """Images by the program. ``copy_s`` bounds the calls that read or write a whole image, ``timeout_s`` each other."""

    timeout_s: float
    copy_s: float
    conf_file: str = "/etc/ceph/ceph.conf"

    def snapshots(self, image: RbdImage) -> list[str]:
        try:
            said = self._rbd(image, "snap", "ls", "--format", "json", image.image)
        except LifeboatError as error:
            if _NO_IMAGE.match(error.found):
                return []
            raise
        return [str(each["name"]) for each in json.loads(said)]

    def create(self, image: RbdImage, snapshot: str) -> None:
        self._rbd(image, "snap", "create", "--no-progress", f"{image.image}@{snapshot}")

    def roll_back(self, image: RbdImage, snapshot: str) -> None:
        self._rbd(image, "snap", "rollback", "--no-progress", f"{image.image}@{snapshot}", within=self.copy_s)

    def remove(self, image: RbdImage, snapshot: str) -> None:
        self._rbd(image, "snap", "rm", "--no-progress", f"{image.image}@{snapshot}")

    def export(self, image: RbdImage, snapshot: str, since: str | None, path: str) -> None:
        base = ["--from-snap", since] if since else []
        self._rbd(image, "export-diff", "--no-progress", *base, f"{image.image}@{snapshot}", path, within=self.copy_s)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rbd(self, image: RbdImage, *arguments: str, within: float | None = None) -> str:
        command = ["rbd", "--id", image.client, "--conf", self.conf_file, *arguments]
        return output_of(command, self.timeout_s if within is None else within)
