# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Keys of Ceph's own authentication."""

from __future__ import annotations

import base64
import secrets
import struct
import time


def new_cephx_key() -> str:
    """A key as C(ceph-authtool --gen-print-key) makes it.

    The type (AES), seconds and nanoseconds of its making, its length, and 16 random bytes: C(CryptoKey) in Ceph's
    C(src/auth/Crypto.cc).
    """
    header = struct.pack("<HIIH", 1, int(time.time()), 0, 16)
    return base64.b64encode(header + secrets.token_bytes(16)).decode()
