# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing an image of Glance into stores, over HTTP as Glance takes it."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _image_stores
from ansible_collections.lifeboat.cloud.plugins.modules import image_stores
from ansible_collections.lifeboat.cloud.tests.unit.copying_glance import CopyingGlance, image, refusal
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

UUID = "16fe8c23-1858-4770-93fa-b6cc82d2ec84"
OTHER = "26fe8c23-1858-4770-93fa-b6cc82d2ec84"


@pytest.fixture
def glance(cloud, monkeypatch):
    """The image debian in the store ceph, a store fast, one that is read-only, and waits in steps of 1 ms."""
    monkeypatch.setattr(_image_stores, "_PAUSE_S", 0.001)
    monkeypatch.setattr(_image_stores, "_GRACE_S", 0.5)
    cloud.register("image", f"{cloud.url}/image")
    cloud.glance = CopyingGlance(image(UUID, "debian"), image(OTHER, "twin"))
    return cloud


@pytest.fixture
def debian(glance):
    return glance.glance.images[UUID]


def run(glance, check=False, **options):
    glance.calls.clear()
    return run_module(image_stores.main, check, **{**glance.options, "image": "debian", **options})


def changes(glance):
    """What was asked for: the stores of each copy, and the paths of each DELETE."""
    asked = [(call.method, call.body, call.path) for call in glance.calls if call.method != "GET"]
    return [body["stores"] if method == "POST" else path for method, body, path in asked]


@pytest.mark.parametrize(
    ("options", "actions", "asked", "stores"),
    [
        ({"stores": ["ceph", "fast"]}, ["copy image debian to fast"], [["fast"]], ["ceph", "fast"]),
        ({"stores": ["fast"], "image": UUID}, ["copy image debian to fast"], [["fast"]], ["ceph", "fast"]),
        (
            {"stores": ["fast"], "exclusive": True},
            ["copy image debian to fast", "delete image debian from ceph"],
            [["fast"], f"/image/v2/stores/ceph/{UUID}"],
            ["fast"],
        ),
    ],
)
def test_it_is_foretold_asked_for_once_and_then_so(glance, options, actions, asked, stores):
    would = run(glance, check=True, **options)
    assert changes(glance) == []
    did = run(glance, **options)
    assert changes(glance) == asked
    assert would["actions"] == did["actions"] == actions and would["changed"] and did["changed"]
    assert would["diff"] == did["diff"] and did["diff"]["after"] == {"stores": stores}
    assert did["image"]["stores"] == stores and did["before"] == ["ceph"]
    assert run(glance, **options)["changed"] is False and changes(glance) == []


def test_the_copy_is_seen_while_it_is_made(glance):
    did = run(glance, stores=["fast"])
    assert [(state["stores"], state["importing"]) for state in did["timeline"]] == [
        (["ceph"], ["fast"]),
        (["ceph", "fast"], []),
    ]


def test_an_import_under_way_is_waited_for_and_not_begun_again(glance, debian):
    glance.glance.begin(debian, ["fast"])
    would = run(glance, check=True, stores=["fast"])
    assert would["actions"] == ["copy image debian to fast, after fast now"]
    did = run(glance, stores=["fast"], exclusive=True)
    assert changes(glance) == [["fast"], f"/image/v2/stores/ceph/{UUID}"]
    assert did["image"]["stores"] == ["fast"]


def test_after_an_import_to_elsewhere_the_own_one_is_begun(glance, debian):
    glance.glance.stores.append({"id": "third"})
    glance.glance.begin(debian, ["third"])
    did = run(glance, stores=["fast"])
    # Refused while the other one lasted, then taken.
    assert changes(glance) == [["fast"], ["fast"]] and did["image"]["stores"] == ["ceph", "third", "fast"]


def test_the_lock_of_an_import_that_died_is_for_glance_to_break(glance, debian):
    debian["os_glance_import_task"], glance.glance.stale = "dead", True
    assert run(glance, stores=["fast"])["image"]["stores"] == ["ceph", "fast"]


def test_an_import_to_elsewhere_is_waited_for_before_anything_is_deleted(glance, debian):
    glance.glance.stores.append({"id": "third"})
    debian["stores"] = "ceph,fast"
    glance.glance.begin(debian, ["third"])
    would = run(glance, check=True, stores=["fast"], exclusive=True)
    assert would["actions"] == ["delete image debian from ceph, after third now"]
    did = run(glance, stores=["fast"], exclusive=True)
    assert did["actions"] == would["actions"] and did["image"]["stores"] == ["fast"]
    # Glance is asked, and refuses, for its lock's sake.
    assert changes(glance) == [["fast"], f"/image/v2/stores/ceph/{UUID}", f"/image/v2/stores/third/{UUID}"]


def test_a_store_that_an_import_takes_back_is_copied_to_before_anything_is_deleted(glance, debian):
    debian["stores"] = "ceph,fast"
    glance.glance.begin(debian, ["fast"])
    glance.glance.damage = {"stores": "ceph"}
    assert run(glance, stores=["fast"], exclusive=True)["image"]["stores"] == ["fast"]
    assert changes(glance) == [["fast"], ["fast"], f"/image/v2/stores/ceph/{UUID}"]


def test_an_import_that_does_not_end_keeps_the_image_where_it_is(glance, debian):
    debian["stores"], glance.glance.pause = "ceph,fast", 10_000
    glance.glance.begin(debian, ["fast"])
    done = run(glance, stores=["fast"], exclusive=True, import_timeout=0.05)
    assert done["failed"] and "still importing to fast after" in done["found"] and debian["stores"] == "ceph,fast"


def test_the_lock_of_an_import_that_died_keeps_nothing_from_being_deleted(glance, debian):
    debian |= {"stores": "ceph,fast", "os_glance_import_task": "dead"}
    glance.glance.stale = True
    assert run(glance, stores=["fast"], exclusive=True, import_timeout=5)["image"]["stores"] == ["fast"]


def test_one_who_may_not_copy_is_told_so_at_once(glance, debian):
    glance.glance.allowed = False
    glance.glance.begin(debian, ["fast"])
    done = run(glance, stores=["fast"])
    assert done["failed"] and "status 403: You are not authorized" in done["found"] and "admin" in done["remedy"]


def test_what_takes_too_long_is_left_to_glance(glance):
    glance.glance.pause = 10_000
    done = run(glance, stores=["fast"], exclusive=True, import_timeout=0.05)
    assert done["failed"] and "still importing to fast after" in done["found"] and "goes on" in done["remedy"]
    assert changes(glance) == [["fast"]]


def test_an_answer_that_glance_cannot_give_is_asked_for_again(glance):
    glance.glance.hiccups = 2
    assert run(glance, stores=["fast"])["image"]["stores"] == ["ceph", "fast"]


def test_a_copy_that_fails_leaves_the_image_where_it_was(glance):
    glance.glance.broken = {"fast"}
    done = run(glance, stores=["fast"], exclusive=True)
    assert done["failed"] and "no copy in fast (Glance says that it failed: fast)" in done["found"]
    assert "still in ceph" in done["found"] and changes(glance) == [["fast"]]


def test_what_was_copied_before_a_failure_stays_and_the_rest_is_resumed(glance):
    glance.glance.stores.append({"id": "third"})
    glance.glance.broken = {"third"}
    done = run(glance, stores=["fast", "third"], exclusive=True)
    assert done["failed"] and "no copy in third" in done["found"] and "still in ceph, fast" in done["found"]
    glance.glance.broken = set()
    assert run(glance, stores=["fast", "third"], exclusive=True)["image"]["stores"] == ["fast", "third"]
    assert changes(glance) == [["third"], f"/image/v2/stores/ceph/{UUID}"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"os_hash_value": "0000"}, "changed: os_hash_value"),
        ({"checksum": "0000", "size": 1}, "changed: size, checksum"),
        ({"status": "deactivated"}, "status deactivated"),
    ],
)
def test_nothing_is_deleted_when_the_copy_is_not_the_same(glance, damage, words):
    glance.glance.damage = damage
    done = run(glance, stores=["fast"], exclusive=True)
    assert done["failed"] and words in done["found"] and changes(glance) == [["fast"]]


def test_a_store_with_clones_keeps_the_image(glance, debian):
    glance.glance.clones = {"ceph"}
    done = run(glance, stores=["fast"], exclusive=True)
    assert done["failed"] and done["thing"] == "image debian in store ceph"
    assert done["found"] == f"status 409: The data for Image {UUID} could not be deleted because it is in use"
    assert "flatten" in done["remedy"] and debian["stores"] == "ceph,fast"


@pytest.mark.parametrize("silence", [None, refusal(504, "The server didn't respond in time.")])
def test_a_deletion_without_an_answer_is_looked_after_and_not_asked_for_again(glance, silence):
    glance.glance.slow, glance.glance.silence = 3, silence
    did = run(glance, stores=["fast"], exclusive=True)
    assert changes(glance) == [["fast"], f"/image/v2/stores/ceph/{UUID}"] and did["image"]["stores"] == ["fast"]


def test_a_deletion_without_an_answer_that_is_none_is_told(glance, debian):
    debian["stores"], glance.glance.slow = "ceph,fast", 10_000
    done = run(glance, stores=["fast"], exclusive=True, import_timeout=0.05)
    assert done["failed"] and done["thing"] == "image debian in store ceph" and "not answered" in done["found"]


def test_what_somebody_has_deleted_meanwhile_is_gone(glance, debian):
    debian["stores"] = "ceph,fast"

    def deleted(image, store):
        image["stores"] = "fast"
        return refusal(404, f"Image {UUID} is not stored in store {store}.")

    glance.glance.delete = deleted
    assert run(glance, stores=["fast"], exclusive=True)["image"]["stores"] == ["fast"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stores": []}, "no stores"),
        ({"stores": ["slow", "fast"]}, "store slow; expected some of ceph, fast, web"),
        ({"stores": ["web"]}, "store web, which is read-only"),
        ({"stores": ["fast"], "image": "nobody"}, "no image of that name"),
        ({"stores": ["fast"], "image": UUID.replace("1", "9")}, "no image of that UUID"),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(glance, options, words):
    done = run(glance, **options)
    assert done["failed"] and words in done["msg"] and changes(glance) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": "queued", "stores": ""}, "status queued; expected active"),
        ({"stores": ""}, "no store that has it"),
        ({"os_hash_value": None}, "no hash"),
        ({"id": OTHER, "name": "twin"}, "no image of that name"),
    ],
)
def test_an_image_that_cannot_be_moved_is_refused(glance, debian, values, words):
    debian |= values
    done = run(glance, stores=["fast"], exclusive=True)
    assert done["failed"] and words in done["msg"] and changes(glance) == []


def test_without_a_hash_it_can_be_copied_but_not_moved(glance, debian):
    debian["os_hash_value"] = None
    assert run(glance, stores=["fast"])["image"]["stores"] == ["ceph", "fast"]


def test_a_name_of_several_is_refused(glance):
    glance.glance.images[OTHER]["name"] = "debian"
    assert f"2 images of that name: {UUID}, {OTHER}" in run(glance, stores=["fast"])["found"]


def test_a_glance_that_cannot_copy_is_refused(glance):
    glance.glance.methods.remove("copy-image")
    assert "no import method copy-image" in run(glance, stores=["fast"])["found"]
    glance.glance.stores = []
    assert "no stores with names" in run(glance, stores=["fast"])["found"]
