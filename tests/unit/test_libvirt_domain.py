# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt_domain against a hypervisor in memory, and against libvirt's own test driver where Python's libvirt is."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain import (
    WantedDomain,
    not_kept,
    pending,
    plan,
    wanted_definition,
)
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_domain
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_domain_samples import (
    DISK,
    NIC,
    VM1,
    clock_of,
    converge,
    definition,
    state,
    with_a_running_domain,
    xml,
)
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture(params=["memory", "libvirt"])
def hypervisor(request):
    """Both must behave alike; everything here that takes this fixture runs against both."""
    if request.param == "memory":
        yield FakeHypervisor()
        return
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        yield connection


def test_a_domain_is_defined_and_a_second_run_changes_nothing(hypervisor):
    assert converge(hypervisor, VM1) == ["define domain vm1"]
    assert state(hypervisor) is State.SHUT_OFF
    assert not_kept(hypervisor, VM1) == []
    assert converge(hypervisor, VM1) == []


def test_states_follow_each_other_and_are_kept(hypervisor):
    for wanted, says, found in (
        ("running", ["define domain vm1", "start domain vm1"], State.RUNNING),
        ("running", [], State.RUNNING),
        ("present", [], State.RUNNING),
        ("paused", ["pause domain vm1"], State.PAUSED),
        ("paused", [], State.PAUSED),
        ("running", ["resume domain vm1"], State.RUNNING),
        ("shut_off", ["shut down domain vm1"], State.SHUT_OFF),
        ("shut_off", [], State.SHUT_OFF),
    ):
        assert converge(hypervisor, replace(VM1, state=wanted)) == says
        assert state(hypervisor) is found


def test_a_paused_domain_goes_on_to_shut_down(hypervisor):
    converge(hypervisor, replace(VM1, state="running"))
    converge(hypervisor, replace(VM1, state="paused"))
    assert converge(hypervisor, replace(VM1, state="shut_off")) == ["shut down domain vm1"]
    assert hypervisor.find("vm1").condition() == Condition(State.SHUT_OFF, "shutdown")


def test_autostart_is_set_and_taken_back(hypervisor):
    says = ["define domain vm1", "start domain vm1 with its host"]
    assert converge(hypervisor, replace(VM1, autostart=True)) == says
    assert converge(hypervisor, replace(VM1, autostart=True)) == []
    assert converge(hypervisor, VM1) == []
    assert hypervisor.find("vm1").autostart()
    assert converge(hypervisor, replace(VM1, autostart=False)) == ["do not start domain vm1 with its host"]
    assert not hypervisor.find("vm1").autostart()


def test_a_running_domain_is_not_changed_but_waits_for_its_restart(hypervisor):
    converge(hypervisor, replace(VM1, state="running"))
    more = WantedDomain(name="vm1", state="running", definition=definition(memory="1024"))
    would = plan(hypervisor, more, clock_of(hypervisor))
    assert [str(each) for each in would.differences] == [
        "/memory: 524288 KiB -> 1048576 KiB",
        "/currentMemory: 524288 KiB -> 1048576 KiB",
    ]
    assert [each.path for each in pending(hypervisor, more)] == ["/memory"]
    assert converge(hypervisor, more) == ["redefine domain vm1"]
    assert "524288" in hypervisor.find("vm1").definition(live=True)
    assert converge(hypervisor, more) == []
    assert [each.path for each in pending(hypervisor, more)] == ["/memory"]
    assert pending(hypervisor, replace(more, state="shut_off")) == []
    converge(hypervisor, replace(more, state="shut_off"))
    assert pending(hypervisor, more) == []
    converge(hypervisor, more)
    assert pending(hypervisor, more) == []


def test_a_domain_that_is_off_waits_for_nothing(hypervisor):
    converge(hypervisor, VM1)
    assert pending(hypervisor, WantedDomain(name="vm1", state="running", definition=definition(memory="1024"))) == []


def test_a_redefinition_keeps_the_uuid_the_mac_and_what_did_not_change(hypervisor):
    converge(hypervisor, VM1)
    before = hypervisor.find("vm1").definition()
    mac = before[before.index("52:54:00") :][:17]
    uuid = hypervisor.find("vm1").uuid
    disks = DISK + "<disk type='file'><source file='/images/data.img'/><target dev='vdb' bus='virtio'/></disk>"
    two = replace(VM1, definition=definition(devices=disks + NIC.replace("br0", "br1")))
    made = plan(hypervisor, two, clock_of(hypervisor))
    assert [each.path for each in made.differences] == ["/devices/disk[vdb]", "/devices/interface/source@bridge"]
    assert converge(hypervisor, two) == ["redefine domain vm1"]
    assert not_kept(hypervisor, two) == []
    assert hypervisor.find("vm1").uuid == uuid
    assert mac in hypervisor.find("vm1").definition()
    assert converge(hypervisor, two) == []
    assert converge(hypervisor, VM1) == ["redefine domain vm1"]
    assert "vdb" not in hypervisor.find("vm1").definition()
    assert mac in hypervisor.find("vm1").definition()
    assert converge(hypervisor, VM1) == []


def test_a_boot_order_replaces_the_one_libvirt_added(hypervisor):
    converge(hypervisor, VM1)
    ordered = replace(VM1, definition=definition(devices=DISK.replace("</disk>", "<boot order='1'/></disk>") + NIC))
    assert converge(hypervisor, ordered) == ["redefine domain vm1"]
    assert not_kept(hypervisor, ordered) == [] and converge(hypervisor, ordered) == []
    assert converge(hypervisor, VM1) == ["redefine domain vm1"]
    assert converge(hypervisor, VM1) == []


def test_title_and_description_that_are_taken_out_go(hypervisor):
    titled = replace(VM1, definition=definition(more="<title>One</title><description>First.</description>"))
    converge(hypervisor, titled)
    made = plan(hypervisor, VM1, clock_of(hypervisor))
    assert [str(each) for each in made.differences] == ["/title: One -> absent", "/description: First. -> absent"]
    converge(hypervisor, VM1)
    assert "title" not in hypervisor.find("vm1").definition()
    assert converge(hypervisor, VM1) == []


def test_absent_stops_and_removes(hypervisor):
    converge(hypervisor, replace(VM1, state="running", autostart=True))
    gone = WantedDomain(name="vm1", state="absent")
    assert plan(hypervisor, gone, clock_of(hypervisor)).before
    assert converge(hypervisor, gone) == ["shut down domain vm1", "undefine domain vm1"]
    assert hypervisor.find("vm1") is None
    assert converge(hypervisor, gone) == []


def test_what_libvirt_refuses_is_said(hypervisor):
    bad = replace(VM1, definition=definition(more="<no_such_element/>"))
    with pytest.raises(CallError) as refusal:
        converge(hypervisor, bad)
    assert refusal.value.thing == "the domain's definition" and "validate" in refusal.value.found.lower()
    assert hypervisor.find("vm1") is None
    loose = replace(bad, validate=False)
    converge(hypervisor, loose)
    assert [each.path for each in not_kept(hypervisor, loose)] == ["/no_such_element"]


def test_a_domain_that_is_not_there_must_be_given(hypervisor):
    with pytest.raises(LifeboatError) as refusal:
        plan(hypervisor, WantedDomain(name="none", state="running"), clock_of(hypervisor))
    assert refusal.value.thing == "domain none at test:///default" and "xml" in refusal.value.remedy


def test_another_uuid_is_refused_before_anything_happens(hypervisor):
    converge(hypervisor, VM1)
    other = replace(VM1, definition=definition(more="<uuid>11111111-2222-3333-4444-555555555555</uuid>"))
    with pytest.raises(LifeboatError, match="cannot be changed"):
        plan(hypervisor, other, clock_of(hypervisor))
    same = replace(VM1, definition=definition(more=f"<uuid>{hypervisor.find('vm1').uuid.upper()}</uuid>"))
    assert converge(hypervisor, same) == []


# What the test driver cannot do, against the memory only.


@pytest.fixture
def memory():
    return with_a_running_domain()


def test_a_guest_that_takes_its_time_is_waited_for(memory):
    memory.find("vm1").heeds_after_s = 30.0
    began = memory.clock.now
    converge(memory, replace(VM1, state="shut_off", force=True))
    assert memory.calls == ["shutdown"]
    assert 30.0 <= memory.clock.now - began < 31.0


def test_a_deaf_guest_is_not_forced_without_leave(memory):
    memory.find("vm1").heeds_after_s = None
    began = memory.clock.now
    with pytest.raises(LifeboatError) as refusal:
        converge(memory, replace(VM1, state="shut_off", shutdown_timeout_s=20.0))
    assert refusal.value.found == "running (booted) 20 s after it was asked to shut down"
    assert "force=true" in refusal.value.remedy
    assert 20.0 <= memory.clock.now - began < 21.0
    assert memory.calls == ["shutdown"] and state(memory) is State.RUNNING


@pytest.mark.parametrize(("timeout_s", "calls"), [(20.0, ["shutdown", "destroy"]), (0.0, ["destroy"])])
def test_a_deaf_guest_is_forced_with_leave(memory, timeout_s, calls):
    memory.find("vm1").heeds_after_s = None
    made = plan(memory, replace(VM1, state="shut_off", shutdown_timeout_s=timeout_s, force=True), memory.clock)
    assert not made.power.forced
    for change in made.changes:
        change.do()
    assert made.power.forced and memory.calls == calls
    assert memory.find("vm1").condition() == Condition(State.SHUT_OFF, "destroyed")


@pytest.mark.parametrize("reason", ["migration", "save", "snapshot", "starting_up", "postcopy"])
@pytest.mark.parametrize("wanted", ["running", "shut_off", "absent"])
def test_a_domain_that_a_job_holds_is_left_alone(memory, reason, wanted):
    memory.find("vm1").found = Condition(State.PAUSED, reason)
    with pytest.raises(LifeboatError) as refusal:
        plan(memory, replace(VM1, state=wanted, force=True), memory.clock)
    assert refusal.value.found == f"paused ({reason})"


def test_a_guest_that_crashed_needs_force(memory):
    memory.find("vm1").found = Condition(State.CRASHED, "panicked")
    for wanted in ("running", "shut_off", "paused", "absent"):
        with pytest.raises(LifeboatError, match=r"crashed \(panicked\)"):
            plan(memory, replace(VM1, state=wanted), memory.clock)
    says = ["power off crashed domain vm1", "start domain vm1"]
    assert converge(memory, replace(VM1, state="running", force=True)) == says
    memory.find("vm1").found = Condition(State.CRASHED, "panicked")
    assert converge(memory, replace(VM1, state="shut_off", force=True)) == ["shut down domain vm1"]
    assert memory.calls == ["destroy", "start", "destroy"]


def test_a_sleeping_guest_is_woken(memory):
    memory.find("vm1").found = Condition(State.SLEEPING)
    assert converge(memory, replace(VM1, state="running")) == ["wake domain vm1"]
    memory.find("vm1").found = Condition(State.SLEEPING)
    with pytest.raises(LifeboatError, match="sleeping"):
        plan(memory, replace(VM1, state="paused"), memory.clock)
    assert converge(memory, replace(VM1, state="shut_off")) == ["shut down domain vm1"]
    assert state(memory) is State.SHUT_OFF


def test_a_domain_can_be_started_paused():
    fake = FakeHypervisor()
    assert converge(fake, replace(VM1, state="paused")) == ["define domain vm1", "start paused domain vm1"]
    assert state(fake) is State.PAUSED


def test_a_transient_domain_becomes_persistent_or_is_refused(memory):
    memory.find("vm1").defined = None
    for wanted in (WantedDomain(name="vm1", state="shut_off"), WantedDomain(name="vm1", autostart=True)):
        with pytest.raises(LifeboatError, match="transient"):
            plan(memory, wanted, memory.clock)
    assert converge(memory, WantedDomain(name="vm1", state="running")) == []
    assert converge(memory, replace(VM1, autostart=True)) == [
        "make persistent domain vm1",
        "start domain vm1 with its host",
    ]
    assert converge(memory, VM1) == []


def test_a_transient_domain_is_gone_when_it_is_off(memory):
    memory.find("vm1").defined = None
    memory.find("vm1").heeds_after_s = 5.0
    assert converge(memory, WantedDomain(name="vm1", state="absent")) == ["shut down domain vm1"]
    assert memory.find("vm1") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<domain><name>vm1</name>", "no XML: "),
        ("<network/>", "<network>"),
        ("<domain><name>vm2</name></domain>", "the name vm2"),
        ("<domain><devices><graphics type='vnc' passwd='s3cret'/></devices></domain>", "a password in clear text"),
    ],
)
def test_xml_that_cannot_be_meant_is_refused(text, found):
    with pytest.raises(LifeboatError) as refusal:
        wanted_definition(text, "vm1")
    assert refusal.value.thing == "xml of domain vm1" and refusal.value.found.startswith(found)
    assert "s3cret" not in str(refusal.value)


def run(monkeypatch, hypervisor, check=False, **options):
    """The module with this hypervisor behind its connection."""
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_domain, "connected", lambda uri, timeout: contextlib.nullcontext(hypervisor))
    monkeypatch.setattr(libvirt_domain, "CLOCK", clock_of(hypervisor))
    return run_module(libvirt_domain.main, check, name="vm1", **options)


def test_the_module_says_in_check_mode_what_it_then_does(monkeypatch, hypervisor):
    options = {"xml": xml(), "state": "running", "autostart": True}
    would = run(monkeypatch, hypervisor, check=True, **options)
    assert hypervisor.find("vm1") is None
    did = run(monkeypatch, hypervisor, **options)
    assert would == did and did["changed"] and not did["pending_restart"]
    assert did["actions"] == ["define domain vm1", "start domain vm1", "start domain vm1 with its host"]
    definition_diff, state_diff = did["diff"]
    assert definition_diff["before"] == "" and '<memory unit="MiB">512</memory>' in definition_diff["after"]
    assert state_diff == {
        "before": {"state": "shut_off", "autostart": "no"},
        "after": {"state": "running", "autostart": "yes"},
    }
    again = run(monkeypatch, hypervisor, **options)
    assert not again["changed"] and again["diff"][0]["before"] == again["diff"][0]["after"]


def test_the_module_shows_the_xml_that_changes_and_says_that_it_waits(monkeypatch, hypervisor):
    run(monkeypatch, hypervisor, xml=xml(), state="running")
    would = run(monkeypatch, hypervisor, check=True, xml=xml(memory="1024"))
    did = run(monkeypatch, hypervisor, xml=xml(memory="1024"))
    assert would == did
    assert did["pending_restart"] and did["pending"] == ["/memory: 524288 KiB -> 1048576 KiB"]
    before, after = (set(did["diff"][0][side].splitlines()) for side in ("before", "after"))
    assert {line.strip() for line in after - before} == {
        '<memory unit="MiB">1024</memory>',
        '<currentMemory unit="MiB">1024</currentMemory>',
    }
    again = run(monkeypatch, hypervisor, xml=xml(memory="1024"))
    assert not again["changed"] and again["pending_restart"]


def test_the_module_hides_a_password_and_keeps_it(monkeypatch):
    fake = FakeHypervisor()
    graphics = "<graphics type='vnc' port='-1'/>"
    run(monkeypatch, fake, xml=xml(devices=DISK + graphics))
    fake.find("vm1").defined.find("devices/graphics").set("passwd", "s3cret")
    did = run(monkeypatch, fake, xml=xml(memory="1024", devices=DISK + graphics))
    assert did["changed"] and "s3cret" not in str(did) and "********" in did["diff"][0]["after"]
    assert "s3cret" in fake.find("vm1").definition(secrets=True)


def test_the_module_warns_of_what_libvirt_drops(monkeypatch, capsys):
    did = run(monkeypatch, FakeHypervisor(), xml=xml(more="<no_such_element/>"), validate=False)
    # Where other tests have loaded Ansible's controller, it takes the warning out of the result and prints it.
    assert "no_such_element is absent, not present" in str(did.get("warnings")) + capsys.readouterr().err


def test_the_module_fails_with_all_parts_of_the_error(monkeypatch):
    failed = run(monkeypatch, FakeHypervisor(), state="running")
    assert failed["failed"] and failed["thing"] == "domain vm1 at test:///default" and failed["remedy"]


def test_the_module_names_the_library_it_lacks(monkeypatch):
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", "ImportError: no libvirt")
    failed = run_module(libvirt_domain.main, name="vm1")
    assert failed["failed"] and "libvirt-python" in failed["msg"]
