# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploading the image of an imported disk over HTTP, also after a run that was killed in the middle of it."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import import_image
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from ansible_collections.lifeboat.cloud.tests.unit.uploading_glance import UploadingGlance

DATA = bytes(range(256)) * 8192
SOURCE = "5891b5 vmdisk1"


@pytest.fixture
def glance(cloud):
    made = UploadingGlance()
    cloud.register("image", f"{cloud.url}/image")
    cloud.glance = made
    return made


@pytest.fixture
def run(cloud, tmp_path):
    path = tmp_path / "web1.raw"
    path.write_bytes(DATA)
    wanted = {"name": "web1", "src": str(path), "source": SOURCE, "properties": {"hw_disk_bus": "sata"}, "min_disk": 2}
    return lambda check=False, **options: run_module(import_image.main, check, **{**cloud.options, **wanted, **options})


def left(status, source=SOURCE, data=b""):
    """The image of an earlier run."""
    digest = hashlib.sha512(data).hexdigest() if data else None
    own = {"id": "old", "name": "web1", "status": status, "lifeboat_import": source}
    return own | {"os_hash_algo": "sha512" if data else None, "os_hash_value": digest}


def test_it_is_marked_before_it_has_data_and_glance_has_what_was_sent(glance, run):
    would = run(check=True)
    assert (would["changed"], would["image"], glance.order) == (True, None, [])
    did = run()
    assert did["actions"] == would["actions"] == ["upload image web1"] and glance.order == [
        "make made-0",
        "upload made-0",
    ]
    [image] = glance.images.values()
    assert image["lifeboat_import"] == SOURCE and image["hw_disk_bus"] == "sata" and image["min_disk"] == 2
    assert (image["disk_format"], image["container_format"], image["visibility"]) == ("raw", "bare", "private")
    assert glance.data == {"made-0": DATA}
    assert did["image"]["os_hash_value"] == hashlib.sha512(DATA).hexdigest()


def test_a_second_run_compares_and_leaves_it(glance, run):
    did = run()
    glance.order.clear()
    again = run()
    assert (again["changed"], again["image"], glance.order) == (False, did["image"], [])


@pytest.mark.parametrize("status", ["queued", "saving", "killed"])
def test_what_an_interrupted_upload_has_left_is_made_anew(glance, run, status):
    glance.images["old"] = left(status)
    would = run(check=True)
    assert glance.order == []
    did = run()
    says = [f"remove the {status} image web1 of an interrupted run", "upload image web1"]
    assert did["actions"] == would["actions"] == says
    assert glance.order == ["remove old", "make made-1", "upload made-1"]


@pytest.mark.parametrize(
    "image", [left("active", "5891b6 vmdisk1", DATA), left("queued", "5891b6 vmdisk1"), left("active", data=b"older")]
)
def test_what_is_of_another_source_or_has_other_data_is_refused(glance, run, image):
    glance.images["old"] = image
    for check in (True, False):
        refused = run(check=check)
        assert refused["failed"] and refused["thing"] == "image web1" and glance.order == []


def test_data_that_arrive_as_others_are_not_kept(glance, run):
    glance.damages = True
    failed = run()
    assert "of what Glance has" in failed["found"] and hashlib.sha512(DATA).hexdigest() in failed["expected"]
    assert glance.images == {}


def test_another_digest_of_glance_is_compared_too(glance, run):
    glance.algorithm = "sha256"
    assert run()["image"]["os_hash_value"] == hashlib.sha256(DATA).hexdigest()
    glance.damages = True
    assert "sha256" in run(name="web2")["found"]


def test_a_digest_that_is_not_known_is_said(glance, run):
    glance.images["old"] = left("active", data=DATA) | {"os_hash_algo": "md7"}
    assert "md7" in run()["found"]


@pytest.mark.parametrize(
    ("fails", "leaves", "words"), [(413, "active", "not enough disk space"), (0, "queued", "queued")]
)
def test_an_upload_that_fails_leaves_no_image(glance, run, fails, leaves, words):
    glance.fails, glance.leaves = fails, leaves
    failed = run()
    assert words in failed["found"] and glance.images == {}
    # It is not sent a second time, when nothing of it is left to send.
    assert [each for each in glance.order if each.startswith("upload")] == ["upload made-0"]


def test_an_image_that_cannot_be_removed_hides_no_failure(glance, run):
    glance.fails, glance.keeps = 413, True
    assert "not enough disk space" in run()["found"] and glance.images


def test_it_ends_with_its_time(glance, run):
    failed = run(make_timeout=1e-9)
    assert failed["found"] == f"0 of {len(DATA)} bytes sent after 1e-09 s" and glance.images == {}


def test_a_file_that_is_not_there_is_said_before_anything_is_made(glance, run):
    failed = run(src="/nowhere/web1.raw")
    assert failed["thing"] == "file /nowhere/web1.raw" and glance.order == []
