# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of the cloud: applied, unchanged by a second run, refused before the first change, and removed again.

What the tests make is named cc-*, and goes at the end.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from standing_lab import ROOT, play

IMAGE = ROOT / ".lab/guest.raw"
PROJECT = {"name": "cc-project", "description": "of a test", "quotas": {"instances": 3, "networks": 2, "volumes": 2}}
USER = {"name": "cc-user", "password": "cc-password-of-a-test", "project": "cc-project", "roles": ["member", "reader"]}
FLAVOR: dict[str, t.Any] = {"name": "cc-flavor", "vcpus": 1, "ram_mib": 64, "disk_gib": 1, "properties": {"a:b": True}}
NETWORK: dict[str, t.Any] = {
    "name": "cc-network",
    "shared": True,
    "subnets": [{"name": "cc-subnet", "cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "dns": ["192.0.2.2"]}],
}
AGGREGATE: dict[str, t.Any] = {"name": "cc-rack", "hosts": ["cmp1"], "metadata": {"cc": "1"}}
VOLUME_TYPE = {"name": "cc-type", "description": "of a test", "properties": {"cc": "1"}}


def given(directory: Path, **content: t.Any) -> tuple[str, str]:
    """The arguments that give the cloud this content; kinds that are not named are empty."""
    kinds = ("projects", "users", "flavors", "images", "networks", "aggregates", "volume_types")
    (directory / "content.json").write_text(
        json.dumps({f"cloud_content_{kind}": content.get(kind, []) for kind in kinds}), encoding="utf-8"
    )
    return "-e", f"@{directory / 'content.json'}"


def everything(image: Path) -> dict[str, list[dict[str, t.Any]]]:
    golden = {"name": "cc-image", "file": str(image), "disk_format": "raw", "golden": True, "visibility": "private"}
    return {
        "projects": [PROJECT],
        "users": [USER],
        "flavors": [FLAVOR],
        "images": [golden | {"properties": {"os_distro": "none", "cc_of": "a test"}}],
        "networks": [NETWORK],
        "aggregates": [AGGREGATE],
        "volume_types": [VOLUME_TYPE],
    }


def gone(content: dict[str, list[dict[str, t.Any]]]) -> dict[str, list[dict[str, t.Any]]]:
    return {kind: [{"name": item["name"], "state": "absent"} for item in items] for kind, items in content.items()}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"\0" * 65536)
    return path


@pytest.fixture
def without_leftovers(tmp_path: Path, image: Path) -> Iterator[None]:
    yield
    # Refused, and so changes nothing, where the image is gone.
    unprotected = {"name": "cc-image", "disk_format": "raw", "golden": False}
    play("cloud_content", *given(tmp_path, images=[unprotected]), check=False)
    play("cloud_content", *given(tmp_path, **gone(everything(image))))


def test_the_content_of_the_lab_is_there_after_one_run_and_a_second_changes_nothing() -> None:
    play("cloud_content")
    assert not play("cloud_content").changes
    assert not play("cloud_content", "--check", "--diff").changes


@pytest.mark.usefixtures("without_leftovers")
def test_everything_is_made_changed_and_removed(tmp_path: Path, image: Path) -> None:
    content = everything(image)
    would = play("cloud_content", "--check", *given(tmp_path, **content))
    assert len(would.changes) == 1
    assert all(f"{thing}: make" in would.text for thing in ("project cc-project", "image cc-image", "user cc-user"))
    assert USER["password"] not in would.text

    made = play("cloud_content", *given(tmp_path, **content))
    assert made.changes
    assert USER["password"] not in made.text
    assert not play("cloud_content", *given(tmp_path, **content)).changes

    content["flavors"] = [FLAVOR | {"ram_mib": 96}]
    content["networks"] = [NETWORK | {"mtu": 1300}]
    content["images"] = [content["images"][0] | {"golden": False, "properties": {"cc_of": "another"}}]
    content["users"] = [USER | {"roles": ["member"]}]
    content["projects"] = [PROJECT | {"quotas": {"instances": 4}}]
    content["aggregates"] = [AGGREGATE | {"hosts": ["cmp2"], "metadata": {"cc": "2"}}]
    content["volume_types"] = [VOLUME_TYPE | {"properties": {"cc": "2"}}]
    changed = play("cloud_content", *given(tmp_path, **content))
    assert "user cc-user: take away the role reader on project cc-project" in changed.text
    assert not play("cloud_content", *given(tmp_path, **content)).changes

    assert play("cloud_content", *given(tmp_path, **gone(content))).changes
    assert not play("cloud_content", *given(tmp_path, **gone(content))).changes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"networks": [{"name": "cc-n", "external": True, "subnets": [{"name": "cc-s", "cidr": "10.98.0.0/25"}]}]},
            ("cc-s", "overlaps", "management"),
        ),
        ({"volume_types": [VOLUME_TYPE, VOLUME_TYPE]}, ("volume type cc-type", "2 times", "each name once")),
        ({"images": [{"name": "cc-i", "file": str(IMAGE), "sha256": "0" * 64}]}, ("cc-i", "with SHA-256", "0" * 64)),
        ({"projects": [{"name": "admin", "quotas": {"security_groups": 0}}]}, ("security_groups", "in use already")),
        ({"flavors": [FLAVOR | {"vcpus": 999}]}, ("cc-flavor", "999 vCPUs", "fits on no hypervisor")),
        ({"flavors": [FLAVOR | {"ram_mb": 1}]}, ("ram_mb", "Supported parameters")),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_change(
    tmp_path: Path, content: dict[str, t.Any], words: tuple[str, ...]
) -> None:
    done = play("cloud_content", *given(tmp_path, projects=content.pop("projects", [PROJECT]), **content), check=False)
    assert done.returncode != 0
    assert all(word in done.text for word in words), done.text[-2000:]
    assert not done.changes
