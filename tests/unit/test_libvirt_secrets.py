# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two files of each secret: private, named by its UUID, with the key of its own client."""

from __future__ import annotations

from ansible_collections.lifeboat.cloud.plugins.filter.libvirt_secrets import libvirt_secrets

UUID, OTHER = "5b2cb0a8-3e3c-4a52-9b0b-3a6f3e5b1d20", "0d9a1f0e-94d1-4e4b-8a63-0c6c1f3c2b11"


def test_definitions_and_keys() -> None:
    files = libvirt_secrets({UUID: "nova", OTHER: "cinder"}, {"client.nova": "of nova", "client.cinder": "of cinder"})
    assert [file["path"].rpartition("/")[2] for file in files] == [
        f"{UUID}.xml",
        f"{UUID}.base64",
        f"{OTHER}.xml",
        f"{OTHER}.base64",
    ]
    assert {file["mode"] for file in files} == {"0600"}
    assert f"<uuid>{OTHER}</uuid>" in files[2]["content"]
    assert "<name>client.cinder</name>" in files[2]["content"]
    assert [file["content"] for file in files[1::2]] == ["of nova", "of cinder"]


def test_a_key_that_is_not_known_yet() -> None:
    assert libvirt_secrets({UUID: "nova"}, {})[1]["content"] == "none yet"
