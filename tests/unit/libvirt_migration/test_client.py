# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations by libvirt's binding: flags and parameters, and what is asked of a host."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client, _libvirt_migration_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import Caller, LibvirtConnection, connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import Storage
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_client import (
    LibvirtAttempt,
    LibvirtMigrationCalls,
    flags_of,
    params_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import Clock
from ansible_collections.lifeboat.cloud.tests.unit.moving_libvirt import DISK, THERE, WANTED


@pytest.fixture
def constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flags of libvirt-domain.h."""
    bits = {
        **{"LIVE": 1, "PEER2PEER": 2, "TUNNELLED": 4, "PERSIST_DEST": 8, "UNDEFINE_SOURCE": 16, "OFFLINE": 1024},
        **{"NON_SHARED_DISK": 64, "ABORT_ON_ERROR": 4096, "AUTO_CONVERGE": 8192, "POSTCOPY": 32768, "TLS": 65536},
        "PARALLEL": 131072,
    }
    constants = SimpleNamespace(**{f"VIR_MIGRATE_{name}": bit for name, bit in bits.items()})
    monkeypatch.setattr(_libvirt_client, "libvirt", constants)


LIVE = 1 + 2 + 8 + 16 + 4096 + 65536


@pytest.mark.parametrize(
    ("change", "persistent", "flags"),
    [
        ({}, True, LIVE),
        ({}, False, LIVE - 8 - 16),
        ({"tunnelled": True}, True, LIVE - 65536 + 4),
        ({"offline": True, "policy": Policy(then=Step.POST_COPY)}, True, 2 + 8 + 16 + 1024),
        ({"policy": Policy(then=Step.POST_COPY)}, True, LIVE + 32768),
        ({"auto_converge": True, "connections": 2, "storage": Storage()}, True, LIVE + 8192 + 131072 + 64),
    ],
)
@pytest.mark.usefixtures("constants")
def test_wishes_become_flags(change, persistent, flags):
    assert flags_of(replace(WANTED, **change), persistent=persistent) == flags


def test_wishes_become_parameters():
    assert params_of(WANTED, ()) == {}
    wanted = replace(
        WANTED,
        bandwidth=20,
        connections=2,
        auto_converge=True,
        throttle_initial=50,
        throttle_increment=30,
        data_uri="tcp://10.0.2.12",
        certificate_name="cmp2",
        storage=Storage(),
    )
    assert params_of(wanted, ["vda"]) == {
        **{"bandwidth": 20, "parallel.connections": 2, "auto_converge.initial": 50, "auto_converge.increment": 30},
        **{"migrate_uri": "tcp://10.0.2.12", "tls.destination": "cmp2", "migrate_disks": ["vda"]},
    }
    assert "tls.destination" not in params_of(replace(wanted, tunnelled=True), ())


def test_the_most_that_may_be_sent_holds_in_post_copy_too():
    wanted = replace(WANTED, bandwidth=20, policy=Policy(then=Step.POST_COPY))
    assert params_of(wanted, ()) == {"bandwidth": 20, "bandwidth.postcopy": 20}
    assert params_of(replace(wanted, bandwidth=None), ()) == {}
    assert "bandwidth.postcopy" not in params_of(replace(wanted, offline=True), ())
    # Whatever the run that resumes it wants, it is one.
    assert params_of(replace(WANTED, bandwidth=20), (), resumes=True)["bandwidth.postcopy"] == 20


MEMORY = {"total": 4000, "free": 1000, "buffers": 30, "cached": 200}


@pytest.mark.parametrize(
    ("said", "available"), [(MEMORY, 1230 * 1024), ({**MEMORY, "available": 1100}, 1100 * 1024), ({}, None)]
)
def test_memory_that_caches_files_is_available(monkeypatch, said, available):
    monkeypatch.setattr(_libvirt_client, "libvirt", SimpleNamespace(VIR_NODE_MEMORY_STATS_ALL_CELLS=-1))
    raw = SimpleNamespace(getMemoryStats={-1: said}.get)
    assert LibvirtMigrationCalls(LibvirtConnection(raw, Caller(THERE, 5.0))).available_memory() == available


def test_the_test_driver_tells_its_networks_and_not_its_memory():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        calls = LibvirtMigrationCalls(connection)
        assert calls.networks() == {"default": True} and calls.available_memory() is None
        connection.ask("network default", lambda raw: raw.networkLookupByName("default").destroy())
        assert calls.networks() == {"default": False}


class LibvirtError(Exception):
    def get_error_message(self) -> str:
        return str(self.args[0])

    def get_error_code(self) -> int:
        return int(self.args[1])


BUSY = LibvirtError("pool 'images' has asynchronous jobs running.", 1)


class Pool:
    """A storage pool of /srv/images; None for ``active`` is that there is none."""

    def __init__(self, active: bool | None, *answers: LibvirtError | None) -> None:
        self.active = active
        self.answers = list(answers)

    def storagePoolLookupByTargetPath(self, directory: str) -> Pool:
        assert directory == "/srv/images"
        if self.active is None:
            raise LibvirtError("no storage pool with matching target path", 49)
        return self

    def isActive(self) -> bool:
        return bool(self.active)

    def refresh(self, flags: int) -> None:
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if answer is not None:
            raise answer


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"libvirtError": LibvirtError, "VIR_ERR_INTERNAL_ERROR": 1, "VIR_ERR_NO_STORAGE_POOL": 49}
    monkeypatch.setattr(_libvirt_client, "libvirt", SimpleNamespace(**known))


def calls_of(pool: Pool, clock: Clock) -> LibvirtMigrationCalls:
    return LibvirtMigrationCalls(LibvirtConnection(pool, Caller(THERE, 5.0)), clock)


@pytest.mark.parametrize(
    ("pool", "expected", "takes_s"),
    [
        (Pool(True, None), True, 0.0),
        (Pool(True, BUSY, BUSY, None), True, 1.0),
        (Pool(False), False, 0.0),
        (Pool(None), False, 0.0),
    ],
)
@pytest.mark.usefixtures("errors")
def test_a_started_pool_is_refreshed_also_when_it_is_busy_at_first(pool, expected, takes_s):
    clock = Clock(0.0)
    assert calls_of(pool, clock).refresh(DISK) is expected and clock.now == takes_s


@pytest.mark.parametrize(
    ("refusal", "after_s"), [(BUSY, 30.0), (LibvirtError("cannot open directory '/srv/images'", 38), 0.0)]
)
@pytest.mark.usefixtures("errors")
def test_a_pool_that_cannot_be_refreshed_is_not_believed(refusal, after_s):
    """What it does not list would count as made by the migration, and be removed when that fails."""
    clock = Clock(0.0)
    with pytest.raises(CallError, match=str(refusal.args[0])):
        calls_of(Pool(True, refusal), clock).refresh(DISK)
    assert clock.now == after_s


@pytest.mark.parametrize(
    ("raised", "found"),
    [
        (CallError("domain web1", "refused", "success", "See."), "refused"),
        (TypeError("value must be a list"), "TypeError: value must be a list"),
        (None, None),
    ],
)
def test_whatever_ends_an_attempt_is_told(monkeypatch, raised, found):
    def call(_calls: LibvirtMigrationCalls) -> None:
        if raised is not None:
            raise raised

    monkeypatch.setattr(
        _libvirt_migration_client, "connected", lambda uri, longest_s: contextlib.nullcontext(SimpleNamespace())
    )
    attempt = LibvirtAttempt("qemu:///system", 5.0, call)
    assert attempt.ended(5.0) and (attempt.error.found if attempt.error else None) == found
