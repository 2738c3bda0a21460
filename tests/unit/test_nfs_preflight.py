# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports and mounts of NFS: what is refused with which reason, and which server is chosen."""

from __future__ import annotations

import platform
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _kernel, _nfs
from ansible_collections.lifeboat.cloud.plugins.module_utils._nfs import (
    Directory,
    Export,
    Mount,
    directory_findings,
    export_findings,
    kind_of_server,
    look_at,
    mount_findings,
    parse_mounts,
    server_findings,
)
from ansible_collections.lifeboat.cloud.plugins.modules import nfs_preflight
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

NETWORK = "10.0.2.0/24"
GOOD = Directory(True, True, True, False, True)
INSTANCES = "10.0.2.21:/srv/instances"
FEATURES = [_kernel.NFS_SERVER, _kernel.NFS_CLIENT, _kernel.DEVICE_MAPPER, _kernel.ISCSI_INITIATOR]


def export(path: str = "/srv/volumes", *clients: str, number: int = 1) -> Export:
    return Export(path, clients or (NETWORK,), number)


def said(findings: t.Iterable[t.Any]) -> str:
    return "; ".join(f"{each.thing}: {each.found}" for each in findings)


def test_good_exports_have_no_findings() -> None:
    both = [export(), export("/srv/volumes2", "10.0.2.31/32", "fd00::/64", number=2)]
    assert not said(export_findings(both))


@pytest.mark.parametrize(
    ("exports", "words"),
    [
        ([], "nfs_exports: none"),
        ([export("/")], "export /: a path that cannot be exported"),
        ([export("/var/lib")], "a path that cannot be exported"),
        ([export("srv")], "a path that cannot be exported"),
        ([export("/srv/../etc")], "a path that cannot be exported"),
        ([export("/srv/two words")], "a path that cannot be exported"),
        ([export('/srv/"; }')], "a path that cannot be exported"),
        ([Export("/srv/a", (), 1)], "export /srv/a: no clients"),
        ([export("/srv/a", "10.0.2.1/24")], "the client '10.0.2.1/24' (10.0.2.1/24 has host bits set)"),
        ([export("/srv/a", "stor1")], "the client 'stor1'"),
        ([export("/srv/a", "10.0.2.31")], "without a prefix length"),
        ([export("/srv/a", "0.0.0.0/0")], "which is everybody"),
        ([export("/srv/a"), export("/srv/a/b", number=2)], "export /srv/a/b: an overlap with /srv/a"),
        ([export("/srv/a/b"), export("/srv/a", number=2)], "export /srv/a: an overlap with /srv/a/b"),
        ([export("/srv/a"), export("/srv/a", number=2)], "export /srv/a: more than once"),
        ([export("/srv/a"), export("/srv/b")], "export /srv/b: the id 1 of /srv/a"),
        ([export("/srv/a", number=0)], "the id 0"),
    ],
)
def test_exports_that_cannot_be_meant_are_refused(exports: list[Export], words: str) -> None:
    assert words in said(export_findings(exports))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (GOOD, ""),
        (Directory(False, True, False, False, True), ""),
        (Directory(False, False, False, False, False), "export /srv/volumes: no directory /srv"),
        (Directory(True, True, False, False, True), "something that is no directory"),
        (Directory(True, True, True, True, False), "a file system without file handles"),
    ],
)
def test_directories_that_cannot_be_exported_are_refused(found: Directory, words: str) -> None:
    findings = said(directory_findings([export()], {"/srv/volumes": found}))
    assert words in findings and bool(words) == bool(findings)


def test_a_directory_is_seen_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    assert look_at(str(tmp_path / "directory")).is_directory
    assert not look_at(str(tmp_path / "file")).is_directory
    absent = look_at(str(tmp_path / "absent"))
    assert (absent.exists, absent.parent_exists, absent.on_system_disk) == (False, True, look_at("/tmp").on_system_disk)
    assert look_at(str(tmp_path / "absent/below")).parent_exists is False
    assert look_at("/usr").on_system_disk
    # Nobody exports the kernel's own file system.
    assert look_at("/proc").gives_handles is False


@pytest.mark.parametrize(
    ("wanted", "kernel_can", "active", "kind"),
    [
        ("auto", True, [], "kernel"),
        ("auto", False, [], "ganesha"),
        ("auto", True, ["ganesha"], "ganesha"),
        ("ganesha", True, [], "ganesha"),
        ("kernel", False, [], "kernel"),
    ],
)
def test_the_server_is_what_was_asked_for_or_what_fits(
    wanted: str, kernel_can: bool, active: list[str], kind: str
) -> None:
    assert kind_of_server(wanted, kernel_can, active) == kind


def test_a_server_that_cannot_run_is_refused() -> None:
    assert "kernel: no NFS server (nfsd)" in said(server_findings("kernel", False, []))
    assert "NFS server: nfs-ganesha.service running" in said(server_findings("kernel", True, ["ganesha"]))
    assert not said(server_findings("ganesha", False, ["ganesha"]))


@pytest.mark.parametrize(
    ("mount", "mounted", "contents", "words"),
    [
        (Mount(INSTANCES, "/srv/i", ()), {}, {}, ""),
        (Mount(INSTANCES, "/srv/i", ()), {"/srv/i": f"{INSTANCES}/"}, {}, ""),
        (Mount("[fd00::1]:/i", "/srv/i", ("locks",)), {}, {"/srv/i": ["locks"]}, ""),
        (Mount("10.0.2.21", "/srv/i", ()), {}, {}, "mount /srv/i: the source '10.0.2.21'"),
        (Mount(INSTANCES, "/", ()), {}, {}, "mount /: a path that cannot be hidden"),
        (Mount(INSTANCES, "/srv/i", ()), {"/srv/i": "/dev/sdb1"}, {}, "/dev/sdb1 mounted there"),
        (Mount(INSTANCES, "/srv/i", ()), {}, {"/srv/i": ["d", "a", "b", "c"]}, "a, b, c and 1 more in the directory"),
    ],
)
def test_mounts_that_would_hide_something_are_refused(
    mount: Mount, mounted: dict[str, str], contents: dict[str, list[str]], words: str
) -> None:
    findings = said(mount_findings([mount], True, mounted, contents))
    assert words in findings and bool(words) == bool(findings)


def test_a_kernel_that_cannot_mount_is_refused_and_a_repetition() -> None:
    assert "kernel: no NFS client (nfsv4)" in said(mount_findings([], False, {}, {}))
    twice = [Mount(INSTANCES, "/srv/i", ()), Mount(INSTANCES, "/srv/i", ())]
    assert "mount /srv/i: more than once" in said(mount_findings(twice, True, {}, {}))


def test_mounts_are_read_with_their_escapes() -> None:
    text = "overlay / overlay rw 0 0\n10.0.2.21:/srv/a /mnt/two\\040words nfs4 rw 0 0\n"
    assert parse_mounts(text) == {"/": "overlay", "/mnt/two words": "10.0.2.21:/srv/a"}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_kernel_offers_what_runs_or_can_be_loaded(tmp_path: Path, feature: _kernel.Feature) -> None:
    assert not _kernel.offers(feature, tmp_path)
    modules = tmp_path / "lib/modules" / platform.release()
    modules.mkdir(parents=True)
    (modules / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (modules / "modules.dep").write_text(f"kernel/x/{feature.module}_other.ko.xz: kernel/fs/{feature.module}.ko\n")
    assert not _kernel.offers(feature, tmp_path)
    (modules / "modules.dep").write_text(f"kernel/x/{feature.module.replace('_', '-')}.ko.xz: kernel/y/z.ko\n")
    assert _kernel.offers(feature, tmp_path)


@pytest.mark.parametrize("feature", FEATURES)
def test_a_kernel_shows_what_is_built_in(tmp_path: Path, feature: _kernel.Feature) -> None:
    shown = tmp_path / feature.shown_in
    shown.parent.mkdir(parents=True)
    shown.write_text(f"nodev\t{feature.word}x\n")
    assert _kernel.offers(feature, tmp_path) is not bool(feature.word)
    shown.write_text(f"nodev\t{feature.word}\n")
    assert _kernel.offers(feature, tmp_path)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, str], None]:
    """Says what the host is like: whether its kernel has everything, and which server runs."""

    def be(kernel_can: bool, running: str) -> None:
        monkeypatch.setattr(_kernel, "offers", lambda feature: kernel_can)
        states = {unit: "active" if kind == running else "inactive" for kind, unit in _nfs.UNITS.items()}
        monkeypatch.setattr(nfs_preflight, "active_states", lambda units, timeout_s: states)

    be(False, "")
    return be


def test_the_module_chooses_a_server_and_names_what_is_on_the_system_disk(
    host: Callable[[bool, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_nfs, "gives_handles", lambda path: True)
    exports = [{"path": str(tmp_path), "clients": [NETWORK]}, {"path": "/srv", "clients": [NETWORK], "id": 7}]
    result = run_module(nfs_preflight.main, exports=exports, address="10.0.2.21")
    assert (result["changed"], result["server_kind"]) == (False, "ganesha")
    assert "/srv" in result["on_system_disk"]
    host(True, "")
    assert run_module(nfs_preflight.main, exports=exports, address="10.0.2.21")["server_kind"] == "kernel"


def test_the_module_says_everything_at_once(host: Callable[[bool, str], None]) -> None:
    exports = [{"path": "/nowhere/a", "clients": ["0.0.0.0/0"]}]
    failed = run_module(nfs_preflight.main, exports=exports, server_kind="kernel", mounts=[])
    assert failed["failed"]
    for words in ("address to serve on", "everybody", "no directory /nowhere", "no NFS server", "no NFS client"):
        assert words in failed["msg"], words
