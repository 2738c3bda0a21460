# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_job_info against a hypervisor in memory, its calls, and libvirt's own test driver where it is."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    Caller,
    LibvirtConnection,
    connected,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_job import CompletedJob, completed_jobs
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_client import LibvirtMigrationCalls
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_job_info
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import (
    NO_DOMAIN,
    OPERATION_INVALID,
    FakeDomain,
    FakeHypervisor,
    FakeJobs,
    failed,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

MOVED, CALM, GONE = (f"3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a{number}" for number in range(3))
STATISTICS = {"time_elapsed": 3120, "downtime": 223, "memory_processed": 100 << 20}


@pytest.fixture
def hypervisor():
    """A guest that has come here, and one that has always been here."""
    fake = FakeHypervisor()
    for name, uuid in {"moved": MOVED, "calm": CALM}.items():
        fake.known[name] = FakeDomain(fake, name, uuid, None)
    return fake


@pytest.fixture
def calls(hypervisor):
    return FakeJobs(hypervisor, {"moved": {"type": 3, "operation": 0, **STATISTICS}})


def test_each_has_what_was_counted_or_why_nothing_was(hypervisor, calls):
    nothing = "libvirt knows of no job of it that has completed"
    assert completed_jobs(hypervisor, calls, [MOVED, GONE, CALM.upper(), MOVED]) == [
        CompletedJob("moved", MOVED, "unknown", STATISTICS),
        CompletedJob("calm", CALM, reason=nothing),
        CompletedJob(None, GONE, reason="no such domain at test:///default"),
    ]
    assert hypervisor.calls == ["completed job of moved", "completed job of calm"]


def test_without_uuids_it_is_all_and_with_none_nothing_is_asked(hypervisor, calls):
    assert [each.name for each in completed_jobs(hypervisor, calls, None)] == ["moved", "calm"]
    hypervisor.calls.clear()
    assert completed_jobs(hypervisor, calls, []) == [] and hypervisor.calls == []


def test_one_that_libvirt_refuses_or_that_goes_does_not_hold_up_the_others(hypervisor, calls):
    calls.refused = {"calm": failed("domain calm", "cannot acquire state change lock", OPERATION_INVALID)}
    found = completed_jobs(hypervisor, calls, None)
    assert [each.reason for each in found] == [None, "cannot acquire state change lock"]

    def go(name):
        hypervisor.known.pop(name, None)
        raise failed(f"domain {name}", "Domain not found", NO_DOMAIN)

    calls.completed = go
    assert {each.reason for each in completed_jobs(hypervisor, calls, None)} == {"it is gone meanwhile"}


def test_a_libvirt_that_hangs_is_not_asked_for_the_others(hypervisor, calls):
    calls.refused = {"moved": CallError("domain moved", "no answer", "an answer", "Look.")}
    with pytest.raises(CallError, match="no answer"):
        completed_jobs(hypervisor, calls, None)
    assert hypervisor.calls == ["completed job of moved"]


def test_what_is_no_uuid_is_refused_before_anything_is_asked(hypervisor, calls):
    with pytest.raises(LifeboatError, match="uuids: found web-1; expected UUIDs of domains"):
        completed_jobs(hypervisor, calls, [MOVED, "web-1"])
    assert hypervisor.calls == []


def test_the_call_is_the_one_that_keeps_what_it_reads(monkeypatch):
    library = SimpleNamespace(
        libvirtError=RuntimeError,
        VIR_DOMAIN_JOB_STATS_COMPLETED=1,
        VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED=2,
        VIR_DOMAIN_JOB_COMPLETED=3,
    )
    monkeypatch.setattr(_libvirt_client, "libvirt", library)
    asked = []
    said = {"type": 3, "operation": 0, **STATISTICS}
    domain = SimpleNamespace(
        name=lambda: "moved", UUIDString=lambda: MOVED, jobStats=lambda flags: asked.append(flags) or said
    )
    raw = SimpleNamespace(listAllDomains=lambda: [domain], lookupByName=lambda _name: domain)
    over = LibvirtConnection(raw, Caller("qemu:///system", 10.0))
    [found] = completed_jobs(over, LibvirtMigrationCalls(over), [MOVED])
    assert (found.statistics, asked) == (STATISTICS, [3])
    said["type"] = 0
    assert completed_jobs(over, LibvirtMigrationCalls(over), [MOVED])[0].statistics == {}


def test_the_test_driver_counts_nothing():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0, read_only=True) as connection:
        [found] = completed_jobs(connection, LibvirtMigrationCalls(connection), None)
    assert found.name == "test" and found.reason is not None


@pytest.mark.parametrize("check", [False, True])
def test_the_module_returns_plain_values(monkeypatch, hypervisor, calls, check):
    asked = []

    def connect(uri, timeout, *, read_only):
        asked.append((uri, timeout, read_only))
        return contextlib.nullcontext(hypervisor)

    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_job_info, "connected", connect)
    monkeypatch.setattr(libvirt_job_info, "LibvirtMigrationCalls", lambda _connection: calls)
    result = run_module(libvirt_job_info.main, check, uri="qemu:///session", uuids=[MOVED, GONE], timeout=5)
    assert not result["changed"] and asked == [("qemu:///session", 5.0, True)]
    assert result["jobs"] == [
        {"name": "moved", "uuid": MOVED, "operation": "unknown", "statistics": STATISTICS, "reason": None},
        {
            "name": None,
            "uuid": GONE,
            "operation": None,
            "statistics": {},
            "reason": "no such domain at test:///default",
        },
    ]
    refused = run_module(libvirt_job_info.main, check, uuids=["web-1"])
    assert refused["failed"] and refused["thing"] == "uuids"
