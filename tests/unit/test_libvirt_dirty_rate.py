# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_dirty_rate against a hypervisor in memory, its calls, and libvirt's own test driver where it is."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    Caller,
    LibvirtConnection,
    connected,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_dirty_rate import DirtyRate, Measurement
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_dirty_rate_client import LibvirtDirtyRateCalls
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_dirty_rate
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import (
    OPERATION_INVALID,
    FakeDirtyRates,
    FakeDomain,
    FakeHypervisor,
    failed,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

RUNNING, PAUSED, OFF = (Condition(state) for state in (State.RUNNING, State.PAUSED, State.SHUT_OFF))
MIGRATION = {"type": 2, "operation": 5}


@pytest.fixture
def hypervisor():
    """A busy guest without a definition, a calm one, one that is paused and one that is off."""
    fake = FakeHypervisor()
    for name, condition in {"busy": RUNNING, "calm": RUNNING, "off": OFF, "paused": PAUSED}.items():
        fake.known[name] = FakeDomain(fake, name, f"uuid-{name}", None, found=condition)
    fake.known["busy"].dirty_mib = 300
    return fake


@pytest.fixture
def calls(hypervisor):
    return FakeDirtyRates(hypervisor)


def rates(hypervisor, calls, names=None, seconds=1):
    return Measurement(hypervisor, calls, hypervisor.clock).rates(names, seconds)


def reasons(found):
    return {each.name: each.reason for each in found}


def test_all_that_run_are_measured_at_the_same_time(hypervisor, calls):
    assert rates(hypervisor, calls, seconds=3) == [
        DirtyRate("busy", "uuid-busy", "running", 300 * 2**20),
        DirtyRate("calm", "uuid-calm", "running", 0),
    ]
    assert hypervisor.calls == ["measure busy for 3 s", "measure calm for 3 s"]
    assert hypervisor.clock.now == 1003


def test_what_was_measured_before_is_not_taken_for_new(hypervisor, calls):
    rates(hypervisor, calls)
    hypervisor.known["calm"].dirty_mib = 7
    calls.late_s = 2
    assert [each.bytes_per_second for each in rates(hypervisor, calls, ["calm"])] == [7 * 2**20]


def test_named_ones_that_do_not_run_have_the_reason(hypervisor, calls):
    found = rates(hypervisor, calls, ["paused", "off", "calm", "calm"])
    assert [(each.name, each.state, each.bytes_per_second) for each in found] == [
        ("calm", "running", 0),
        ("off", "shut_off", None),
        ("paused", "paused", None),
    ]
    assert reasons(found) == {"calm": None, "off": "it is shut_off (unknown)", "paused": "it is paused (unknown)"}
    assert rates(hypervisor, calls, []) == []


def test_one_that_moves_is_left_alone(hypervisor, calls):
    hypervisor.known["busy"].job_statistics = MIGRATION
    found = rates(hypervisor, calls)
    assert reasons(found) == {"busy": "libvirt is busy with it (migration_out)", "calm": None}
    assert hypervisor.calls == ["measure calm for 1 s"]


def test_one_that_qemu_refuses_does_not_hold_up_the_others(hypervisor, calls):
    found = "the dirty rate is already being measured."
    calls.refused["busy"] = failed("domain busy", found, OPERATION_INVALID)
    assert reasons(rates(hypervisor, calls)) == {"busy": found, "calm": None}


@pytest.mark.parametrize(
    ("become", "reason"),
    [
        (lambda domain: domain.hypervisor.known.pop(domain.name), "it is gone meanwhile"),
        (lambda domain: setattr(domain, "found", OFF), "it is shut_off (unknown)"),
        (lambda domain: setattr(domain, "job_statistics", MIGRATION), "libvirt is busy with it (migration_out)"),
        (lambda domain: setattr(domain, "measured_at", 1e9), "QEMU had not measured it 31 s after it began"),
    ],
    ids=["gone", "off", "moving", "late"],
)
def test_what_comes_between_is_the_reason(hypervisor, calls, monkeypatch, become, reason):
    sleep = hypervisor.clock.sleep

    def meanwhile(seconds):
        become(hypervisor.known.get("busy") or SimpleNamespace(name="", hypervisor=SimpleNamespace(known={"": None})))
        sleep(seconds)

    monkeypatch.setattr(hypervisor.clock, "sleep", meanwhile)
    found = rates(hypervisor, calls)
    assert reasons(found) == {"busy": reason, "calm": None}
    assert [each.bytes_per_second for each in found] == [None, 0]
    assert hypervisor.clock.now < 1032


@pytest.mark.parametrize("where", ["condition", "job", "start"])
def test_one_that_goes_before_it_is_measured_is_gone(hypervisor, calls, monkeypatch, where):
    def go(*_given):
        hypervisor.known.pop("calm", None)
        raise failed("domain calm", "Domain not found", 42)

    class Going(FakeDomain):
        pass

    if where == "start":
        monkeypatch.setattr(FakeDirtyRates, "start", go)
    else:
        monkeypatch.setattr(Going, where, go)
    hypervisor.known = {"calm": Going(hypervisor, "calm", "uuid-calm", None, found=RUNNING)}
    assert reasons(rates(hypervisor, calls, ["calm"])) == {"calm": "it is gone meanwhile"}


def test_a_libvirt_that_hangs_is_not_asked_for_the_others(hypervisor, calls):
    calls.refused["busy"] = CallError("domain busy", "no answer", "an answer", "Look.")
    with pytest.raises(CallError, match="no answer"):
        rates(hypervisor, calls)
    assert hypervisor.calls == []


@pytest.mark.parametrize(
    ("names", "seconds", "words"),
    [
        (["calm", "nobody"], 1, "domain nobody: found no such domain"),
        (None, 0, "seconds: found 0; expected 1 to 60"),
        (None, 61, "seconds: found 61; expected 1 to 60"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(hypervisor, calls, names, seconds, words):
    with pytest.raises(LifeboatError, match=words):
        rates(hypervisor, calls, names, seconds)
    assert hypervisor.calls == []


class LibvirtError(Exception):
    """libvirt.libvirtError."""

    def __init__(self, code):
        super().__init__("this function is not supported by the connection driver")
        self.code = code

    def get_error_code(self):
        return self.code

    def get_error_message(self):
        return str(self)


def library(**known):
    """libvirt's constants, and what it says of itself."""
    return SimpleNamespace(
        libvirtError=LibvirtError,
        getVersion=lambda: 11_003_000,
        VIR_ERR_NO_SUPPORT=3,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE=1,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT=1 << 29,
        **known,
    )


def over(raw):
    return LibvirtDirtyRateCalls(LibvirtConnection(raw, Caller("qemu:///system", 10.0)))


def test_the_calls_are_those_of_libvirt(monkeypatch):
    monkeypatch.setattr(_libvirt_client, "libvirt", library(VIR_DOMAIN_STATS_DIRTYRATE=1 << 9))
    asked = []
    domain = SimpleNamespace(UUIDString=lambda: "uuid-calm", startDirtyRateCalc=lambda *given: asked.append(given) or 0)
    told = {"dirtyrate.calc_status": 2, "dirtyrate.megabytes_per_second": 4}
    raw = SimpleNamespace(
        lookupByName=lambda _name: domain,
        getAllDomainStats=lambda *given: asked.append(given) or [(domain, told)],
    )
    calls = over(raw)
    calls.start("calm", 2)
    assert calls.read() == {"uuid-calm": told}
    assert asked == [(2, 0), (1 << 9, 1 | 1 << 29)]


def test_a_libvirt_without_the_function_is_refused(monkeypatch):
    def refuse(*_given):
        raise LibvirtError(3)

    monkeypatch.setattr(_libvirt_client, "libvirt", library(VIR_DOMAIN_STATS_DIRTYRATE=1 << 9))
    raw = SimpleNamespace(lookupByName=lambda _name: SimpleNamespace(startDirtyRateCalc=refuse))
    with pytest.raises(LifeboatError, match=r"at qemu:///system: found one that measures no dirty rates"):
        over(raw).start("calm", 1)
    monkeypatch.setattr(_libvirt_client, "libvirt", library())
    with pytest.raises(LifeboatError, match=r"found version 11.3.0; expected 7.2.0 or later"):
        over(raw)


def test_the_test_driver_measures_nothing():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection, pytest.raises(LifeboatError, match="measures no dirty"):
        LibvirtDirtyRateCalls(connection).start("test", 1)


@pytest.mark.parametrize("check", [False, True])
def test_the_module_returns_plain_values(monkeypatch, hypervisor, calls, check):
    asked = []

    def connect(uri, timeout):
        asked.append((uri, timeout))
        return contextlib.nullcontext(hypervisor)

    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_dirty_rate, "connected", connect)
    monkeypatch.setattr(libvirt_dirty_rate, "LibvirtDirtyRateCalls", lambda _connection: calls)
    monkeypatch.setattr(libvirt_dirty_rate, "CLOCK", hypervisor.clock)
    result = run_module(libvirt_dirty_rate.main, check, uri="qemu:///session", names=["busy", "off"], timeout=5)
    assert not result["changed"] and asked == [("qemu:///session", 5.0)]
    assert result["dirty_rates"] == [
        {"name": "busy", "uuid": "uuid-busy", "state": "running", "bytes_per_second": 300 * 2**20, "reason": None},
        {
            "name": "off",
            "uuid": "uuid-off",
            "state": "shut_off",
            "bytes_per_second": None,
            "reason": "it is shut_off (unknown)",
        },
    ]
    failed = run_module(libvirt_dirty_rate.main, check, seconds=0)
    assert failed["failed"] and failed["thing"] == "seconds"
