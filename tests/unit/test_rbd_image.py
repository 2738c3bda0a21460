# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: made, grown, and neither shrunk nor removed where data would be lost unasked."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _rbd_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd import FEATURES, Image
from ansible_collections.lifeboat.cloud.plugins.modules import rbd_image
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, Run, runner

GIB = 1024**3
DEFAULT = frozenset({"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"})
VM = {"pool": "vms", "name": "vm1"}


class Images:
    """An ImagePool in memory."""

    def __init__(self) -> None:
        self.held: dict[str, Image] = {}
        self.calls: list[str] = []

    def find(self, name: str) -> Image | None:
        return self.held.get(name)

    def create(self, name: str, size: int, features: frozenset[str] | None) -> None:
        self.calls.append("create")
        self.held[name] = Image(size, DEFAULT if features is None else features)

    def resize(self, name: str, size: int) -> None:
        self.calls.append("resize")
        self.held[name] = replace(self.held[name], size=size)

    def switch_features(self, name: str, features: frozenset[str], *, enabled: bool) -> None:
        self.calls.append("enable" if enabled else "disable")
        found = self.held[name].features
        self.held[name] = replace(self.held[name], features=found | features if enabled else found - features)

    def remove(self, name: str) -> None:
        self.calls.append("remove")
        del self.held[name]


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, images: Images) -> Run:
    monkeypatch.setattr(rbd_image, "RBD_IMPORT_ERROR", None)
    monkeypatch.setattr(rbd_image, "open_pool", lambda cluster, pool: contextlib.nullcontext(images))
    return runner(monkeypatch, rbd_image.main, RecordedCluster())


def test_an_image_is_made_once_and_check_mode_says_so(run: Run, images: Images) -> None:
    would = run(check=True, size="20G", **VM)
    assert images.calls == []
    did = run(size="20G", **VM)
    assert did == would and did["actions"] == ["create image vms/vm1"]
    assert images.held["vm1"] == Image(20 * GIB, DEFAULT)
    assert run(size="20480M", **VM)["changed"] is False
    assert run(**VM)["changed"] is False
    assert images.calls == ["create"]


def test_an_image_grows_and_shrinks_only_by_force(run: Run, images: Images) -> None:
    run(size="20G", **VM)
    assert run(size="30G", **VM)["diff"]["after"] == {"size of image vms/vm1": str(30 * GIB)}
    refused = run(size="10G", **VM)
    assert refused["found"] == f"{30 * GIB} bytes" and "force" in refused["remedy"]
    assert images.held["vm1"].size == 30 * GIB
    assert run(size="10G", force=True, **VM)["actions"] == [f"shrink image vms/vm1 to {10 * GIB} bytes"]
    assert images.held["vm1"].size == 10 * GIB
    assert run(size="10G", force=True, **VM)["changed"] is False


def test_an_image_in_use_grows_but_does_not_shrink(run: Run, images: Images) -> None:
    run(size="20G", **VM)
    images.held["vm1"] = replace(images.held["vm1"], watchers=("10.0.0.1:0/1",))
    assert run(size="30G", **VM)["changed"]
    assert "10.0.0.1:0/1" in run(size="10G", force=True, **VM)["found"]


def test_features_are_switched_and_the_rest_stays(run: Run, images: Images) -> None:
    run(size="1G", features=["layering", "exclusive-lock"], **VM)
    result = run(features=["layering", "exclusive-lock", "object-map", "fast-diff"], **VM)
    assert result["actions"] == ["enable object-map, fast-diff of image vms/vm1"]
    result = run(features=["layering", "exclusive-lock", "journaling"], **VM)
    assert result["actions"] == [
        "disable object-map, fast-diff of image vms/vm1",
        "enable journaling of image vms/vm1",
    ]
    assert images.held["vm1"].features == {"layering", "exclusive-lock", "journaling"}
    assert run(features=["journaling", "exclusive-lock", "layering"], **VM)["changed"] is False
    assert run(features=["layering"], **VM)["changed"]


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (["layering"], ["layering", "deep-flatten"], "deep-flatten"),
        (["layering"], [], "layering"),
        (["exclusive-lock"], ["layering", "exclusive-lock"], "layering"),
    ],
)
def test_features_that_cannot_be_switched_are_refused(
    run: Run, images: Images, before: list[str], after: list[str], word: str
) -> None:
    run(size="1G", features=before, **VM)
    assert word in run(features=after, **VM)["expected"]
    assert images.calls == ["create"]


def test_deep_flatten_can_be_disabled(run: Run) -> None:
    run(size="1G", features=["layering", "deep-flatten"], **VM)
    assert run(features=["layering"], **VM)["changed"]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"snapshots": ("before-upgrade",)}, "snapshots before-upgrade"),
        ({"watchers": ("10.0.0.1:0/1",)}, "clients that have it open: 10.0.0.1:0/1"),
    ],
)
def test_an_image_with_snapshots_or_watchers_stays(
    run: Run, images: Images, fault: dict[str, t.Any], found: str
) -> None:
    run(size="1G", **VM)
    images.held["vm1"] = replace(images.held["vm1"], **fault)
    for check in (True, False):
        assert run(check=check, state="absent", **VM)["found"] == found
    assert run(state="absent", force=True, **VM)["found"] == found
    assert images.calls == ["create"]


def test_who_may_not_remove_an_image_is_told_how_its_snapshots_go(run: Run, images: Images) -> None:
    run(size="1G", **VM)
    images.held["vm1"] = replace(images.held["vm1"], snapshots=("before-upgrade",))
    assert "libvirt_snapshot" in run(state="absent", **VM)["remedy"]
    assert run(state="absent", **VM)["remedy"].endswith("rbd snap purge vms/vm1.")


def test_an_image_is_removed_once(run: Run, images: Images) -> None:
    run(size="1G", **VM)
    assert run(check=True, state="absent", **VM)["changed"] and images.held
    assert run(state="absent", **VM)["actions"] == ["remove image vms/vm1"]
    assert run(state="absent", **VM)["changed"] is False


@pytest.mark.parametrize(
    "options",
    [
        {**VM},
        {**VM, "size": 0},
        {**VM, "size": "1G", "features": ["object-map"]},
        {**VM, "size": "1G", "features": ["exclusive-lock", "fast-diff"]},
        {**VM, "size": "1G", "features": ["exclusive-lock", "object-map"]},
        {**VM, "size": "1G", "features": ["object-map", "fast-diff"]},
        {"pool": "vms", "name": "vm1@snapshot", "size": "1G"},
        {"pool": "vms", "name": "", "state": "absent"},
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, images: Images, options: dict[str, t.Any]) -> None:
    failed = run(**options)
    assert failed["failed"] and failed["thing"].startswith("image vms/") and failed["remedy"]
    assert images.calls == []


def test_the_documented_features_are_those_of_the_backend() -> None:
    assert rbd_image.ARGUMENT_SPEC["features"]["choices"] == list(FEATURES)


class LibrbdError(Exception):
    """Both base classes of librbd's errors, and librados' for a pool that is not there."""


class Librbd:
    """The modules ``rbd`` and ``rados`` in one, and a connection to a cluster with one image and one pool."""

    Error = LibrbdError
    ImageNotFound = type("ImageNotFound", (LibrbdError,), {})
    ObjectNotFound = type("ObjectNotFound", (LibrbdError,), {})
    # The bits are those of librbd/features.h.
    RBD_FEATURE_LAYERING, RBD_FEATURE_EXCLUSIVE_LOCK, RBD_FEATURE_OBJECT_MAP = 1, 4, 8
    RBD_FEATURE_FAST_DIFF, RBD_FEATURE_DEEP_FLATTEN, RBD_FEATURE_JOURNALING = 16, 32, 64

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def open_ioctx(self, pool: str) -> t.Any:
        if pool != "vms":
            raise self.ObjectNotFound(pool)
        return self

    def close(self) -> None:
        self.calls.append(("close",))

    def Image(self, context: object, name: str, read_only: bool = False) -> t.Any:
        if name == "vm0":
            raise self.ImageNotFound(name)
        self.calls.append(("open to read" if read_only else "open to write", name))
        return contextlib.nullcontext(self)

    def RBD(self) -> Librbd:
        return self

    def features(self) -> int:
        # With a bit that only librbd itself sets, data-pool.
        return 1 + 4 + 128

    def size(self) -> int:
        return GIB

    def list_snaps(self) -> list[dict[str, object]]:
        return [{"id": 5, "size": GIB, "name": "s2"}, {"id": 4, "size": GIB, "name": "s1"}]

    def watchers_list(self) -> list[dict[str, object]]:
        return [{"addr": "127.0.0.1:0/420513813", "id": 4213, "cookie": 140}]

    def create(self, context: object, name: str, size: int, old_format: bool, features: int | None) -> None:
        self.calls.append(("create", name, size, features))

    def resize(self, size: int) -> None:
        self.calls.append(("resize", size))

    def update_features(self, features: int, enabled: bool) -> None:
        self.calls.append(("update_features", features, enabled))

    def remove(self, context: object, name: str) -> None:
        raise self.Error("image has watchers")


@pytest.fixture
def librbd(monkeypatch: pytest.MonkeyPatch) -> Librbd:
    librbd = Librbd()
    for name in ("rbd", "rados"):
        monkeypatch.setattr(_rbd_client, name, librbd, raising=False)
    return librbd


def test_librbd_is_asked_and_told_in_bits(librbd: Librbd) -> None:
    with _rbd_client.open_pool(librbd, "vms") as pool:
        assert pool.find("vm0") is None
        features = frozenset({"layering", "exclusive-lock"})
        assert pool.find("vm1") == Image(GIB, features, ("s1", "s2"), ("127.0.0.1:0/420513813",))
        pool.create("vm2", 5, None)
        pool.create("vm3", 5, frozenset())
        pool.create("vm4", 5, DEFAULT)
        pool.resize("vm1", 6)
        pool.switch_features("vm1", frozenset({"object-map", "fast-diff"}), enabled=False)
    assert librbd.calls == [
        ("open to read", "vm1"),
        ("create", "vm2", 5, None),
        ("create", "vm3", 5, 0),
        ("create", "vm4", 5, 61),
        ("open to write", "vm1"),
        ("resize", 6),
        ("open to write", "vm1"),
        ("update_features", 24, False),
        ("close",),
    ]


def test_errors_of_librbd_are_explained(librbd: Librbd) -> None:
    with pytest.raises(LifeboatError, match="image has watchers"), _rbd_client.open_pool(librbd, "vms") as pool:
        pool.remove("vm1")
    assert librbd.calls == [("close",)]
    with pytest.raises(LifeboatError, match="no such pool"), _rbd_client.open_pool(librbd, "none"):
        raise AssertionError("opened")
