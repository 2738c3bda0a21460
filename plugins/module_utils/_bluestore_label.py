# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What BlueStore writes into the first block of a device: whose OSD it is, and whether it was finished.

Read without Ceph's tools, which are not there before the packages are. The form is that of C(bluestore_bdev_label_t) in
Ceph's C(src/os/bluestore/bluestore_types.cc): a line, the UUID as text, then an encoded struct.
"""

from __future__ import annotations

import struct
import typing as t
import uuid
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping

LABEL_BYTES = 4096
_MAGIC = b"bluestore block device\n"
# Behind the magic and the UUID with its newline come version and compatible version (1 byte each) and the length (4).
_STRUCT_START = len(_MAGIC) + 37
_META_START = _STRUCT_START + 6 + 16 + 8 + 8


@dataclass(frozen=True, slots=True)
class Label:
    """One label. ``cluster`` is empty until the OSD has been made; ``ready`` when that was finished."""

    osd_uuid: str
    meta: Mapping[str, str] = field(repr=False)

    @property
    def cluster(self) -> str:
        return self.meta.get("ceph_fsid", "")

    @property
    def osd_id(self) -> int | None:
        number = self.meta.get("whoami", "")
        return int(number) if number.isdigit() else None

    @property
    def ready(self) -> bool:
        return self.meta.get("ready") == "ready" and self.osd_id is not None


def read_label(path: str) -> Label | None:
    """The label of a device or a file; None when it has none. OSError when it cannot be read."""
    with open(path, "rb") as file:
        return parse_label(file.read(LABEL_BYTES))


def parse_label(block: bytes) -> Label | None:
    """The label in a first block; None when there is none, or one of another form."""
    if not block.startswith(_MAGIC):
        return None
    try:
        osd_uuid = str(uuid.UUID(bytes=block[_STRUCT_START + 6 : _STRUCT_START + 22]))
        _description, offset = _text(block, _META_START)
        return Label(osd_uuid, _texts_by_name(block, offset))
    except (struct.error, ValueError):
        return None


def _texts_by_name(block: bytes, offset: int) -> dict[str, str]:
    (count,) = struct.unpack_from("<I", block, offset)
    offset += 4
    meta: dict[str, str] = {}
    for _pair in range(count):
        name, offset = _text(block, offset)
        meta[name], offset = _text(block, offset)
    return {name: text.strip() for name, text in meta.items()}


def _text(block: bytes, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", block, offset)
    end = offset + 4 + length
    if end > len(block):
        raise ValueError(f"text of {length} bytes at {offset}")
    return block[offset + 4 : end].decode(), end
