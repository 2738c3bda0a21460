# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in the lab's Ceph by librbd: a disk file is copied into one, and one is made, changed and removed.

On a hypervisor with the key of Nova's client, which may do so in its pool; rbd itself reads what has come of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from standing_lab import module, shell

HOST, POOL = "cmp1", "vms"
COPY, MADE = "own-imported", "own-made"
PLACE = "/var/tmp/ceph-images"
DISK, EXPORTED = f"{PLACE}/disk.raw", f"{PLACE}/exported.raw"
CLIENT = {"client": "client.nova"}
RBD = "rbd --id nova"
# The others are there: the role hypervisor installs qemu-utils, and the role ceph python3-rados and python3-rbd.
PACKAGES = ["python3-libnbd", "python3-rbd", "qemu-utils"]
CLEAN = (
    f"rm -rf {PLACE}; for each in {COPY} {COPY}.lifeboat-partial {MADE}; do "
    f"{RBD} snap purge --no-progress {POOL}/$each; {RBD} rm --no-progress {POOL}/$each; done"
)


@pytest.fixture
def place() -> Iterator[None]:
    """A directory for the disk, and none of the images, before and after."""
    module(
        HOST, "ansible.builtin.apt", name=PACKAGES, install_recommends=False, update_cache=True, cache_valid_time=3600
    )
    shell(HOST, f"({CLEAN}) 2>/dev/null; mkdir {PLACE}")
    yield
    shell(HOST, f"({CLEAN}) 2>/dev/null; true")


def random_bytes(at_mib: int, mib: int) -> None:
    """Write them into the disk."""
    shell(HOST, f"dd if=/dev/urandom of={DISK} bs=1M seek={at_mib} count={mib} conv=notrunc status=none")


def hash_of(file: str) -> str:
    return shell(HOST, f"sha256sum <{file}").split()[0]


def hash_in_ceph() -> str:
    """Of the copy, as rbd exports it."""
    shell(HOST, f"rm -f {EXPORTED}; {RBD} export --no-progress {POOL}/{COPY} {EXPORTED}")
    return hash_of(EXPORTED)


def images() -> list[str]:
    return shell(HOST, f"{RBD} ls {POOL}").split()


def test_a_disk_file_arrives_in_ceph_and_the_second_run_changes_nothing(place: None) -> None:
    # Data in three of its six blocks of 4 MiB, and a hole at its end.
    shell(HOST, f"truncate --size 24M {DISK}")
    random_bytes(0, 8)
    random_bytes(17, 1)
    arguments = {"src": DISK, "pool": POOL, "name": COPY, "journal_dir": PLACE, **CLIENT}
    done = module(HOST, "disk_import", **arguments)
    copied = done["copy"]
    print(copied)
    assert done["changed"] and (copied["size"], copied["written"]) == (24 << 20, 12 << 20)
    assert copied["source_digest"] == copied["destination_digest"]
    before = hash_of(DISK)
    assert hash_in_ceph() == before
    again = module(HOST, "disk_import", **arguments)
    assert again["changed"] is False and again["copy"] == copied
    assert f"{COPY}.lifeboat-partial" not in images()
    random_bytes(2, 1)
    refused = module(HOST, "disk_import", check=False, **arguments)
    assert refused["failed"] and "of an earlier state of this one" in refused["found"]
    assert hash_in_ceph() == before != hash_of(DISK)


def image(check: bool = True, **options: object) -> dict[str, object]:
    return module(HOST, "rbd_image", check, pool=POOL, name=MADE, **CLIENT, **options)


def found() -> tuple[int, set[str]]:
    """Size and features of the image, as rbd tells them."""
    told = json.loads(shell(HOST, f"{RBD} info --format json {POOL}/{MADE}"))
    return told["size"], set(told["features"])


def test_an_image_is_made_changed_and_removed(place: None) -> None:
    few = ["layering", "exclusive-lock"]
    many = [*few, "object-map", "fast-diff"]
    assert image(size="16M", features=few)["actions"] == [f"create image {POOL}/{MADE}"]
    assert found() == (16 << 20, set(few))
    assert image(size="16M", features=few)["changed"] is False
    assert image(size="32M", features=many)["actions"] == [
        f"grow image {POOL}/{MADE} to {32 << 20} bytes",
        f"enable object-map, fast-diff of image {POOL}/{MADE}",
    ]
    assert found() == (32 << 20, set(many))
    assert image(size="32M", features=many)["changed"] is False
    refused = image(check=False, size="16M")
    assert refused["failed"] and "force" in str(refused["remedy"]) and found() == (32 << 20, set(many))
    assert image(size="16M", features=few, force=True)["actions"] == [
        f"shrink image {POOL}/{MADE} to {16 << 20} bytes",
        f"disable object-map, fast-diff of image {POOL}/{MADE}",
    ]
    assert found() == (16 << 20, set(few))
    shell(HOST, f"{RBD} snap create --no-progress {POOL}/{MADE}@kept")
    refused = image(check=False, state="absent")
    assert refused["failed"] and "snapshots kept" in str(refused["found"]) and MADE in images()
    shell(HOST, f"{RBD} snap rm --no-progress {POOL}/{MADE}@kept")
    assert image(state="absent")["actions"] == [f"remove image {POOL}/{MADE}"]
    assert MADE not in images() and image(state="absent")["changed"] is False
