# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to a cluster: its options reach librados, its errors are explained."""

from __future__ import annotations

import errno
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.doc_fragments._ceph import ModuleDocFragment
from ansible_collections.lifeboat.cloud.plugins.module_utils import _ceph_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CephAccess, access_of, connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.modules import ceph_info
from ansible_collections.lifeboat.cloud.tests.unit.ceph_cluster import RecordedCluster, refusal
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


class RadosError(Exception):
    """As librados raises them: with a message, and mostly with an errno."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        if number is not None:
            self.errno = number


class Librados:
    """A ``rados`` module whose connections fail with ``error``, if there is one."""

    Error = RadosError

    def __init__(self, error: RadosError | None = None) -> None:
        self.error = error
        self.opened: dict[str, t.Any] = {}
        self.closed = 0

    def Rados(self, **options: t.Any) -> Librados:
        self.opened = options
        return self

    def connect(self) -> None:
        if self.error:
            raise self.error

    def shutdown(self) -> None:
        self.closed += 1


@pytest.fixture
def access(tmp_path: Path) -> CephAccess:
    for name in ("ceph.conf", "keyring"):
        (tmp_path / name).touch()
    return CephAccess(str(tmp_path / "ceph.conf"), "client.a", str(tmp_path / "keyring"), 5, 7)


def use(monkeypatch: pytest.MonkeyPatch, librados: Librados) -> Librados:
    monkeypatch.setattr(_ceph_client, "rados", librados, raising=False)
    return librados


def test_the_documented_options_are_the_arguments() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert {
        name: {"type": option["type"]} | ({"default": option["default"]} if "default" in option else {})
        for name, option in documented.items()
    } == _ceph_client.CEPH_ARGUMENTS


def test_options_reach_librados_and_the_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch, access: CephAccess
) -> None:
    librados = use(monkeypatch, Librados())
    with pytest.raises(ZeroDivisionError), connected(access) as cluster:
        assert t.cast(t.Any, cluster) is librados
        raise ZeroDivisionError
    assert librados.closed == 1
    assert librados.opened == {
        "conffile": access.conf_file,
        "name": "client.a",
        "conf": {
            "client_mount_timeout": "5",
            "rados_mon_op_timeout": "7",
            "rados_osd_op_timeout": "7",
            "keyring": access.client_keyring,
        },
    }
    with connected(CephAccess(access.conf_file, "client.a", None, 5, 7)):
        assert "keyring" not in librados.opened["conf"]


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RadosError("error connecting to the cluster", errno.ETIMEDOUT), "no answer within 5 s"),
        (RadosError("error connecting to the cluster", errno.ENOENT), "no key for client.a"),
        (RadosError("error connecting to the cluster", errno.EACCES), "a key that is refused"),
        (RadosError("error calling conf_read_file", errno.EINVAL), "error calling conf_read_file"),
        (RadosError("odd"), "odd"),
    ],
)
def test_a_connection_that_fails_is_explained(
    monkeypatch: pytest.MonkeyPatch, access: CephAccess, error: RadosError, found: str
) -> None:
    use(monkeypatch, Librados(error))
    with pytest.raises(LifeboatError) as refused, connected(access):
        raise AssertionError("connected")
    assert refused.value.found.startswith(found)
    assert refused.value.thing == access.thing


def test_an_error_of_librados_during_the_work_is_explained(monkeypatch: pytest.MonkeyPatch, access: CephAccess) -> None:
    librados = use(monkeypatch, Librados())
    with pytest.raises(LifeboatError, match="operation that succeeds"), connected(access):
        raise RadosError("lost")
    assert librados.closed == 1


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, access: CephAccess) -> None:
    use(monkeypatch, Librados())
    Path(access.client_keyring or "").unlink()
    with pytest.raises(LifeboatError, match=r"no readable file .*keyring"), connected(access):
        raise AssertionError("connected")


def test_a_timeout_of_nothing_is_refused() -> None:
    defaults = {name: option.get("default") for name, option in _ceph_client.CEPH_ARGUMENTS.items()}
    assert access_of(defaults).client_keyring is None
    with pytest.raises(LifeboatError, match="command_timeout"):
        access_of(defaults | {"command_timeout": 0})


def test_a_host_without_librados_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ceph_client, "RADOS_IMPORT_ERROR", "no module")
    assert "python3-rados" in run_module(ceph_info.main)["msg"]


@pytest.mark.parametrize(
    ("number", "message", "found", "remedy"),
    [
        (errno.EACCES, "access denied", "EACCES: access denied", "caps"),
        (errno.ETIMEDOUT, "", "no answer within 30 s", "majority of the monitors"),
        (errno.EINVAL, "bad value", "EINVAL: bad value", "complain"),
    ],
)
def test_a_command_that_fails_is_explained(number: int, message: str, found: str, remedy: str) -> None:
    cluster = RecordedCluster()
    cluster.failures = dict.fromkeys(("status", "osd set"), refusal(number, message))
    for call in (lambda: cluster.ceph.read("status"), lambda: cluster.ceph.change("osd set", key="noout")):
        with pytest.raises(LifeboatError) as refused:
            call()
        assert refused.value.found == found and remedy in refused.value.remedy


def test_what_does_not_exist_is_none_and_other_errors_are_errors() -> None:
    cluster = RecordedCluster()
    assert cluster.ceph.find("auth get", entity="client.none") is None
    cluster.failures["auth get"] = refusal(errno.EACCES, "access denied")
    with pytest.raises(LifeboatError):
        cluster.ceph.find("auth get", entity="client.none")


def test_an_answer_that_is_no_json_is_an_error() -> None:
    connection = SimpleNamespace(mon_command=lambda *arguments: (0, b"HEALTH_OK", ""))
    with pytest.raises(LifeboatError, match="no JSON"):
        Ceph(t.cast(t.Any, connection), 30).read("health")
