# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a domain between two hypervisors in memory: refusals, the end of each mode, what is left after a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _libvirt_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    Caller,
    LibvirtConnection,
    connected,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
    Migration,
    Site,
    Storage,
    WantedMigration,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_client import (
    LibvirtMigrationCalls,
    flags_of,
    params_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_run import plan, plan_abort
from ansible_collections.lifeboat.cloud.plugins.modules import libvirt_migration
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import Clock, FakeHypervisor, failed
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

THERE = "qemu+tls://cmp2/system"
UUID = "3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1"
DISK = "/srv/images/web1.qcow2"
DOMAIN = f"""
<domain type='qemu'><name>web1</name><uuid>{UUID}</uuid><memory>196608</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file'><source file='{DISK}'/><target dev='vda'/></disk>
    <disk type='file' device='cdrom'><source file='/srv/iso'/><target dev='sda'/></disk>
    <disk type='file'><source file='/srv/config'/><target dev='vdb'/><readonly/></disk>
    <disk type='network'><source protocol='rbd' name='vms/web1'/><target dev='vdc'/></disk>
  </devices>
</domain>"""
CAPABILITIES = """
<capabilities><host><uuid>{uuid}</uuid><cpu><arch>x86_64</arch></cpu>
  <migration_features><live/></migration_features></host>
  <guest><os_type>hvm</os_type><arch name='x86_64'>
    <machine canonical='pc-q35-10.0'>q35</machine><domain type='qemu'/></arch></guest></capabilities>"""
WANTED = WantedMigration(name="web1", destination=THERE)
ABORTED = 78


@dataclass
class Calls:
    """MigrationCalls of one host; ``statistics`` come one after the other while a migration is under way."""

    other: FakeHypervisor
    own: FakeHypervisor
    statistics: Sequence[Mapping[str, Any]] = ()
    ends_after_s: float | None = None
    refusal: str | None = None
    pools: frozenset[str] = frozenset()
    # What lies in the pools' directories, when that is not what the pools have listed.
    files: Sequence[str] | None = None
    cpu: bool | None = True
    memory: int | None = 192 << 20
    nets: Mapping[str, bool] | None = None
    left: Mapping[str, Any] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    started: float | None = None
    stubborn: bool = False

    def migrate(self, wanted: WantedMigration, disks: Sequence[str], *, persistent: bool) -> None:
        self.did.append(f"migrate {' '.join([*disks, 'persistent' if persistent else 'transient'])}")
        self.begin(wanted)
        for path in [DISK] if disks else []:
            self.other.add_volume(path)

    def resume(self, wanted: WantedMigration) -> None:
        self.did.append("resume")
        self.begin(wanted)

    def begin(self, wanted: WantedMigration) -> None:
        self.started = self.own.clock.now
        if self.refusal is not None:
            raise failed(f"domain {wanted.name}", self.refusal, 55)

    def abort(self, name: str) -> None:
        self.did.append("abort")
        self.ends_after_s, self.refusal = 0.0, "operation aborted: canceled by client"

    def switch_to_post_copy(self, name: str) -> None:
        self.did.append("post-copy")
        self.ends_after_s = self.now() + 2.0

    def completed(self, name: str) -> Mapping[str, Any]:
        return self.left

    def refresh(self, path: str) -> bool:
        if path.rpartition("/")[0] not in self.pools:
            return False
        if self.files is not None:
            self.own.volumes.clear()
            for each in self.files:
                self.own.add_volume(each)
        return True

    def accepts_cpu(self, domain_xml: str) -> bool | None:
        return self.cpu

    def available_memory(self) -> int | None:
        return self.memory

    def networks(self) -> Mapping[str, bool] | None:
        return self.nets

    def now(self) -> float:
        assert self.started is not None
        return self.own.clock.now - self.started


@dataclass
class Attempt:
    """A migration that ends when its script says so, with the effects that libvirt has then."""

    calls: Calls
    error: CallError | None = None
    over: bool = False

    def ended(self, seconds: float) -> bool:
        if self.over:
            return True
        calls = self.calls
        here = calls.own.known["web1"]
        calls.own.clock.sleep(seconds)
        if calls.ends_after_s is not None and calls.now() >= calls.ends_after_s:
            here.job_statistics = {}
            if calls.refusal is None:
                arrive(calls)
            else:
                self.error = failed("domain web1", calls.refusal, ABORTED)
            return True
        if calls.statistics:
            job = calls.statistics[min(int(calls.now()), len(calls.statistics) - 1)]
            here.job_statistics = {"operation": 5, "time_elapsed": int(calls.now() * 1000), **job}
        if here.found.reason == "migration" and calls.ends_after_s is None and not calls.stubborn:
            # A guest that stands still writes nothing, so the rest is soon sent.
            calls.ends_after_s = calls.now() + 1.0
        return False


def arrive(calls: Calls) -> None:
    domain = calls.own.known.pop("web1")
    domain.hypervisor, domain.autostarts, domain.found = calls.other, False, Condition(State.RUNNING, "migrated")
    calls.other.known["web1"] = domain


@dataclass
class Lab:
    """Two hypervisors with one clock, web1 running on the first."""

    here: FakeHypervisor
    there: FakeHypervisor
    calls: Calls
    calls_there: Calls

    def plan(self, wanted: WantedMigration = WANTED) -> Any:
        sites = Site(self.here, self.calls), Site(self.there, self.calls_there)
        return plan(Migration(*sites, wanted), self.begin, self.here.clock)

    def plan_abort(self) -> Any:
        sites = Site(self.here, self.calls), Site(self.there, self.calls_there)
        return plan_abort(Migration(*sites, policy(Step.ABORT)), self.here.clock)

    def begin(self, call: Callable[[Calls], None]) -> Attempt:
        try:
            call(self.calls)
        except CallError as error:
            return Attempt(self.calls, error, over=True)
        return Attempt(self.calls)


@pytest.fixture
def lab() -> Lab:
    clock = Clock()
    here = FakeHypervisor("qemu:///system", clock, capabilities_xml=CAPABILITIES.format(uuid="a"))
    there = FakeHypervisor(THERE, clock, capabilities_xml=CAPABILITIES.format(uuid="b"))
    here.define(DOMAIN, validate=True)
    here.known["web1"].start()
    here.hostname, there.hostname = (lambda: "cmp1"), (lambda: "cmp2")  # type: ignore[method-assign]
    done = {"downtime": 223, "memory_processed": 99 << 20, "memory_iteration": 3}
    return Lab(here, there, Calls(there, here, ends_after_s=1.4), Calls(here, there, left=done))


def memory(iteration: int, left: int = 40 << 20) -> dict[str, int]:
    return {
        "memory_iteration": iteration,
        "memory_remaining": left,
        "memory_dirty_rate": 7680,
        "memory_total": 200 << 20,
    }


def test_a_guest_moves_with_its_autostart_and_is_then_left_alone(lab):
    lab.here.known["web1"].autostarts = True
    lab.calls.statistics = [memory(1)]
    planned = lab.plan()
    assert planned.says == (f"migrate domain web1 to {THERE}",) and lab.calls.did == []
    outcome = planned.do()
    assert (outcome.ended_by, outcome.downtime_ms, outcome.iterations) == ("pre_copy", 223, 3)
    assert outcome.total_s == pytest.approx(1.5) and [name for name, _s in outcome.timeline] == [
        "preparing",
        "copying memory",
    ]
    assert sum(seconds for _name, seconds in outcome.timeline) == pytest.approx(outcome.total_s)
    assert "web1" not in lab.here.known and lab.there.known["web1"].autostarts
    assert lab.plan().do is None and lab.calls.did == ["migrate persistent"]


def policy(then: Step, seconds: float = 5.0, iterations: int = 100) -> WantedMigration:
    return replace(WANTED, policy=Policy(seconds, iterations, then, 20.0))


def test_what_is_not_done_in_time_is_aborted_and_goes_on_at_the_source(lab):
    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(n) for n in range(1, 90)]
    with pytest.raises(LifeboatError) as caught:
        lab.plan(policy(Step.ABORT)).do()
    assert "abort at 5.0 s (operation aborted" in caught.value.found
    assert "40 MiB of memory left in iteration 6, the guest writes 30 MiB/s" in caught.value.found
    assert "the guest is running" in caught.value.found and "then=post_copy" in caught.value.remedy
    assert lab.calls.did == ["migrate persistent", "abort"] and lab.there.known == {}


@pytest.mark.parametrize(
    ("wanted", "ended_by", "did", "phase"),
    [
        (policy(Step.POST_COPY), "post_copy", "post-copy", "post-copy"),
        (policy(Step.POST_COPY, 600.0, iterations=5), "post_copy", "post-copy", "post-copy"),
        (policy(Step.THROTTLE), "throttle", None, "guest stopped"),
    ],
)
def test_what_is_not_done_in_time_is_ended_as_wanted(lab, wanted, ended_by, did, phase):
    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(n) for n in range(1, 90)]
    lab.calls_there.left = {}
    outcome = lab.plan(wanted).do()
    assert (outcome.ended_by, outcome.downtime_ms) == (ended_by, None) and outcome.iterations >= 6
    assert outcome.timeline[-1][0] == phase and 5.0 <= outcome.total_s <= 9.0
    assert lab.calls.did == ["migrate persistent", *([did] if did else [])] and "web1" in lab.there.known


def test_a_guest_that_was_stopped_in_vain_goes_on(lab):
    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.stubborn = None, [memory(2)], True
    with pytest.raises(LifeboatError, match=r"abort at 25\.0 s.*the guest is running"):
        lab.plan(policy(Step.THROTTLE)).do()


@pytest.mark.parametrize("then", [Step.ABORT, Step.POST_COPY])
def test_a_migration_that_ends_at_its_bound_has_succeeded(lab, then):
    def too_late(_name: str) -> None:
        lab.calls.ends_after_s = 0.0
        raise failed("domain web1", "no job is active on the domain", 55)

    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(2)]
    lab.calls.abort = lab.calls.switch_to_post_copy = too_late
    assert lab.plan(policy(then)).do().ended_by == "pre_copy" and "web1" in lab.there.known


def test_a_migration_that_cannot_be_ended_is_left_to_libvirt_in_time(lab):
    def refuse(_name: str) -> None:
        raise failed("domain web1", "cannot abort migration in post-copy mode", 55)

    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.abort = None, [memory(2)], refuse
    began = lab.here.clock.now
    with pytest.raises(LifeboatError, match=r"no end 20 s after abort at 5\.0 s"):
        lab.plan(policy(Step.ABORT)).do()
    assert lab.here.clock.now - began < 27.0


def die(lab: Lab) -> None:
    def find(_name: str) -> None:
        raise failed(f"libvirt at {THERE}", "Connection reset by peer", 38)

    lab.there.find = find  # type: ignore[assignment]


@pytest.mark.parametrize("wanted", [WANTED, replace(WANTED, storage=Storage(("vda",)))])
def test_a_destination_that_dies_is_told_as_a_migration_that_failed(lab, wanted):
    lab.there.add_volume(DISK)
    planned = lab.plan(wanted)
    lab.calls.refusal = "unable to read from socket: Connection reset by peer"
    die(lab)
    with pytest.raises(LifeboatError, match=r"migration of domain web1.*unable to read.*the guest is running"):
        planned.do()


def test_a_stopped_guest_is_not_started_while_it_may_run_elsewhere(lab):
    lab.calls.ends_after_s, lab.calls.statistics, lab.calls.stubborn = None, [memory(2)], True
    planned = lab.plan(policy(Step.THROTTLE))
    die(lab)
    with pytest.raises(
        LifeboatError, match=r"paused on the source, while the destination does not tell.*state=running"
    ):
        planned.do()
    assert lab.here.known["web1"].condition().state is State.PAUSED


def test_post_copy_that_cannot_begin_is_an_abort(lab):
    def refuse(_name: str) -> None:
        raise failed("domain web1", "post-copy is not supported", 55)

    lab.calls.ends_after_s, lab.calls.statistics = None, [memory(2)]
    lab.calls.switch_to_post_copy = refuse
    with pytest.raises(LifeboatError, match=r"abort at 5\.0 s.*the guest is running"):
        lab.plan(policy(Step.POST_COPY)).do()


def test_disks_that_are_not_copied_in_time_are_removed_there(lab):
    lab.calls.ends_after_s = None
    lab.calls.statistics = [{"disk_total": 256 << 20, "disk_processed": 64 << 20}]
    lab.calls_there.pools = frozenset({"/srv/images"})
    with pytest.raises(LifeboatError, match="64 of 256 MiB of disks sent"):
        lab.plan(replace(policy(Step.POST_COPY), storage=Storage())).do()
    assert lab.calls.did == ["migrate vda persistent", "abort"] and lab.there.volumes == {}


def test_a_volume_that_was_there_before_is_kept(lab):
    lab.there.add_volume(DISK)
    lab.calls.refusal = "Unable to connect"
    with pytest.raises(LifeboatError, match="Unable to connect; the guest is running"):
        lab.plan(replace(WANTED, storage=Storage(("vda",)))).do()
    assert list(lab.there.volumes) == [DISK]


@pytest.mark.parametrize("lies_there", [True, False])
def test_a_pool_that_nobody_refreshed_is_not_believed(lab, lies_there):
    """Only what the migration has made is removed when it fails, which is all that was not there before."""
    if not lies_there:
        lab.there.add_volume(DISK)
    lab.calls_there.pools, lab.calls_there.files = frozenset({"/srv/images"}), [DISK] * lies_there
    lab.calls.ends_after_s = None
    with pytest.raises(LifeboatError, match=r"abort at 5\.0 s"):
        lab.plan(replace(policy(Step.ABORT), storage=Storage())).do()
    assert list(lab.there.volumes) == [DISK] * lies_there


@pytest.fixture
def begun(lab: Lab) -> Lab:
    """With a migration that somebody else began 58 s ago, and that goes on while time passes."""
    clock = lab.here.clock
    lab.here.known["web1"].job_statistics = {"operation": 5, "time_elapsed": 58000, **memory(1)}
    lab.calls.started, lab.calls.ends_after_s, lab.calls.statistics = clock.now - 58.0, None, [memory(1)] * 90
    attempt = Attempt(lab.calls)

    def tick(seconds: float) -> None:
        clock.now += seconds
        if seconds and "web1" in lab.here.known:
            attempt.ended(0.0)

    clock.sleep = tick  # type: ignore[method-assign]
    return lab


def test_a_migration_under_way_is_watched_on_with_the_same_bounds(begun):
    planned = begun.plan(policy(Step.POST_COPY, 60.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}",)
    outcome = planned.do()
    assert outcome.ended_by == "post_copy" and begun.calls.did == ["post-copy"]
    assert 61.0 <= outcome.total_s <= 64.0 and begun.calls.now() <= 64.0


def test_a_guest_whose_migration_is_watched_on_keeps_its_autostart(begun):
    begun.here.known["web1"].autostarts, begun.calls.ends_after_s = True, 60.0
    begun.plan(policy(Step.ABORT, 600.0)).do()
    assert begun.there.known["web1"].autostarts


def test_a_guest_that_was_stopped_in_vain_for_another_s_migration_goes_on(begun):
    begun.calls.stubborn = True
    with pytest.raises(LifeboatError, match=r"ended without moving it.*the guest is running"):
        begun.plan(policy(Step.THROTTLE, 60.0)).do()
    assert begun.calls.did == ["abort"]


STOPPED = Condition(State.PAUSED, "migration")


@pytest.mark.parametrize("stubborn", [True, False])
def test_a_migration_is_watched_on_whose_guest_was_stopped_by_a_run_that_was_killed(begun, stubborn):
    begun.here.known["web1"].found, begun.calls.stubborn = STOPPED, stubborn
    planned = begun.plan(policy(Step.ABORT, 600.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}, for which the guest was stopped",)
    if stubborn:
        with pytest.raises(LifeboatError, match=r"abort at .*ended without moving it.*the guest is running"):
            planned.do()
        assert begun.calls.did == ["abort"] and 20.0 <= begun.calls.now() - 58.0 <= 22.0
    else:
        assert planned.do().ended_by == "throttle" and begun.calls.did == [] and "web1" in begun.there.known


def test_a_post_copy_of_a_run_that_was_killed_is_not_aborted_at_the_bound(begun):
    begun.here.known["web1"].found = Condition(State.PAUSED, "postcopy")
    planned = begun.plan(policy(Step.ABORT, 60.0))
    assert planned.says == (f"watch the migration of domain web1 to {THERE}, which is in post-copy",)
    with pytest.raises(LifeboatError, match=r"no end 20 s after post_copy at 58\.\d s"):
        planned.do()
    assert begun.calls.did == []


def test_a_migration_under_way_is_aborted_now(begun):
    planned = begun.plan_abort()
    assert planned.says == ("abort the migration of domain web1",) and begun.calls.did == []
    outcome = planned.do()
    assert (outcome.ended_by, outcome.iterations) == ("abort", 1) and 58.0 <= outcome.total_s < 60.0
    assert begun.calls.did == ["abort"] and begun.here.known["web1"].condition().state is State.RUNNING
    assert begun.plan_abort().do is None and begun.there.known == {}


def test_a_guest_that_was_stopped_for_a_migration_goes_on_when_that_is_aborted(begun):
    begun.here.known["web1"].found, begun.calls.stubborn = STOPPED, True
    begun.plan_abort().do()
    assert begun.calls.did == ["abort"] and begun.here.known["web1"].condition().state is State.RUNNING


def test_a_guest_that_arrives_before_it_is_aborted_stays_there(begun):
    def too_late(_name: str) -> None:
        begun.calls.ends_after_s = 0.0
        raise failed("domain web1", "no job is active on the domain", 55)

    begun.here.known["web1"].autostarts, begun.calls.abort = True, too_late
    assert begun.plan_abort().do().ended_by == "pre_copy"
    assert begun.there.known["web1"].autostarts and begun.plan_abort().do is None


def test_a_migration_that_does_not_heed_its_abort_is_not_waited_for_without_end(begun):
    begun.calls.abort = lambda _name: None
    began = begun.here.clock.now
    with pytest.raises(LifeboatError, match=r"no end 20 s after abort at 58\.\d s"):
        begun.plan_abort().do()
    assert begun.here.clock.now - began < 22.0


@pytest.mark.parametrize("reason", ["postcopy", "postcopy_failed"])
def test_a_post_copy_cannot_be_aborted(begun, reason):
    begun.here.known["web1"].found = Condition(State.PAUSED, reason)
    with pytest.raises(LifeboatError, match=r"runs on the destination.*state=migrated"):
        begun.plan_abort()
    assert begun.calls.did == []


def test_without_a_migration_there_is_nothing_to_abort(lab):
    assert lab.plan_abort().do is None
    off(lab)
    assert lab.plan_abort().do is None and lab.here.known["web1"].condition().state is State.SHUT_OFF
    lab.here.known.clear()
    with pytest.raises(LifeboatError, match="no such domain at"):
        lab.plan_abort()


def test_a_guest_that_a_broken_migration_left_stopped_goes_on_and_moves(lab):
    lab.here.known["web1"].found = STOPPED
    planned = lab.plan()
    assert planned.says == (
        "let domain web1 go on, which a migration that is over has left stopped",
        f"migrate domain web1 to {THERE}",
    )
    assert planned.do().ended_by == "pre_copy" and lab.calls.did == ["migrate persistent"]
    assert lab.there.known["web1"].condition().state is State.RUNNING


def test_a_guest_that_was_left_stopped_goes_on_although_it_cannot_be_moved(lab):
    lab.here.known["web1"].found, lab.here.known["web1"].left = STOPPED, Leftovers(checkpoints=1)
    with pytest.raises(LifeboatError, match="1 checkpoints"):
        lab.plan().do()
    assert lab.here.known["web1"].condition().state is State.RUNNING and lab.calls.did == []


def test_a_guest_that_was_left_stopped_stays_so_while_the_destination_may_have_it(lab):
    lab.here.known["web1"].found = STOPPED
    planned = lab.plan()
    lab.there.define(DOMAIN, validate=True)
    with pytest.raises(LifeboatError, match=r"a guest at .* 15 s after.*which of the two"):
        lab.there.known["web1"].start()
        planned.do()
    with pytest.raises(LifeboatError, match=r"running .* at qemu\+tls.*by a migration that is over.*It has gone over"):
        lab.plan()
    die(lab)
    with pytest.raises(LifeboatError, match="the destination does not tell whether it runs there"):
        planned.do()
    assert lab.here.known["web1"].condition() == STOPPED


def test_a_guest_may_arrive_while_it_is_looked_for(lab):
    here = lab.here.known["web1"]
    here.job_statistics = {"operation": 5, **memory(1)}
    planned = lab.plan()

    def vanish() -> Mapping[str, Any]:
        arrive(lab.calls)
        raise failed("domain web1", "Domain not found", 42)

    here.job = vanish
    assert planned.do().ended_by == "pre_copy" and "web1" in lab.there.known


def test_a_broken_post_copy_is_resumed(lab):
    lab.here.known["web1"].found = Condition(State.PAUSED, "postcopy_failed")
    planned = lab.plan()
    assert planned.says == (f"resume the post-copy of domain web1 to {THERE}",)
    planned.do()
    assert lab.calls.did == ["resume"] and "web1" in lab.there.known


def off(lab: Lab) -> None:
    lab.here.known["web1"].power_off()


def copy_there(lab: Lab, uuid: str = UUID, name: str = "web1", running: bool = False) -> None:
    root = ElementTree.fromstring(DOMAIN)
    root.find("uuid").text, root.find("name").text = uuid, name  # type: ignore[union-attr]
    lab.there.define(ElementTree.tostring(root, encoding="unicode"), validate=True)
    if running:
        lab.there.known[name].start()


def runs_with(lab: Lab, there: Mapping[str, Any], *parts: str) -> None:
    """The running guest has these parts besides, and the destination's answers are others."""
    running = lab.here.known["web1"].running
    for part in map(ElementTree.fromstring, parts):
        (running.find("devices") if part.tag == "interface" else running).append(part)  # type: ignore[union-attr]
    lab.calls_there = replace(lab.calls_there, **there)


LITTLE, MUCH, NONE = {"memory": (192 << 20) - 1}, {"memory": 192 << 20}, {"memory": None}
BALLOON = "<currentMemory unit='KiB'>98304</currentMemory>"
# The latter is how one of a network that only names a bridge is shown while its guest runs.
WEB, BRIDGED = (
    "<interface type='network'><source network='web' bridge='virbr7'/></interface>",
    "<interface type='bridge'><source network='lan' bridge='br0'/></interface>",
)
BRIDGE = "<interface type='bridge'><source bridge='br0'/></interface>"


@pytest.mark.parametrize(
    ("there", "parts"),
    [
        (MUCH, []),
        (NONE, []),
        (LITTLE, [BALLOON]),
        (LITTLE, ["<memoryBacking><hugepages/></memoryBacking>"]),
        (LITTLE, ["<memoryBacking><source type='file'/></memoryBacking>"]),
        ({"nets": {"web": True, "lan": True}}, [WEB, BRIDGED, BRIDGE]),
        ({"nets": None}, [WEB]),
        ({"nets": {}}, [BRIDGE]),
    ],
)
def test_what_the_destination_has_or_does_not_tell_is_enough(lab, there, parts):
    root = lab.here.known["web1"].running
    for size in root.findall("currentMemory"):
        root.remove(size)
    runs_with(lab, there, *parts)
    assert lab.plan().do().ended_by == "pre_copy"


def test_a_domain_that_is_off_needs_neither_memory_nor_networks_there(lab):
    lab.here.known["web1"].defined.find("devices").append(ElementTree.fromstring(WEB))
    off(lab)
    lab.calls_there = replace(lab.calls_there, memory=0, nets={})
    assert lab.plan(OFFLINE).do().ended_by == "offline"


OTHER_UUID = "00000000-5c1a-4a08-9d8f-3f0f7cf2f6a1"
OFFLINE = replace(WANTED, offline=True)
COPY = replace(WANTED, storage=Storage())


@pytest.mark.parametrize(
    ("prepare", "wanted", "says"),
    [
        (lambda lab: lab.here.known.clear(), WANTED, "no such domain at qemu:///system nor at"),
        (off, WANTED, r"shut_off.*mode=offline"),
        (lambda lab: None, OFFLINE, r"running.*expected shut off, for mode=offline"),
        (lambda lab: copy_there(lab, OTHER_UUID), WANTED, "web1 with UUID 00000000"),
        (lambda lab: copy_there(lab, name="web2"), WANTED, "web2 with UUID"),
        (lambda lab: copy_there(lab, running=True), WANTED, "expected one running copy"),
        (
            lambda lab: setattr(lab.here.known["web1"], "left", Leftovers(snapshots=2)),
            WANTED,
            "2 snapshots.*libvirt_snapshot",
        ),
        (
            lambda lab: (off(lab), setattr(lab.here.known["web1"], "left", Leftovers(managed_save=True))),
            OFFLINE,
            "a managed save.*libvirt_saved_state",
        ),
        (lambda lab: setattr(lab.here.known["web1"], "found", Condition(State.CRASHED)), WANTED, "crashed.*off"),
        (lambda lab: setattr(lab.calls_there, "cpu", False), WANTED, "a CPU that qemu.tls://cmp2/system cannot give"),
        (lambda lab: setattr(lab.there, "capabilities_xml", CAPABILITIES.format(uuid="a")), WANTED, "host_uuid"),
        (
            lambda lab: runs_with(lab, LITTLE),
            WANTED,
            r"found 191 MiB of memory available at qemu.tls://cmp2/system; expected the 192 MiB that its guest has",
        ),
        (lambda lab: runs_with(lab, {"nets": {"lan": True}}, WEB), WANTED, "networks of .* web not defined at qemu"),
        (
            lambda lab: runs_with(lab, {"nets": {"lan": False}}, BRIDGED, WEB),
            WANTED,
            "lan not active, web not defined at .*net-start",
        ),
        (lambda lab: None, COPY, "disk vda.*no started storage pool for /srv/images"),
        (lambda lab: None, replace(WANTED, storage=Storage(("vdc",))), "called vdc; expected some of vda"),
    ],
)
def test_what_speaks_against_it_is_said_before_anything_is_done(lab, prepare, wanted, says):
    prepare(lab)
    with pytest.raises(LifeboatError, match=says):
        lab.plan(wanted)
    assert lab.calls.did == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"destination": "qemu+tcp://cmp2/system"}, "not encrypted"),
        ({"destination": "qemu:///system"}, "the same host"),
        ({"offline": True, "storage": Storage()}, "copy_storage with mode=offline"),
        ({"tunnelled": True, "connections": 2}, "parallel connections with tunnelled"),
        ({"tunnelled": True, "storage": Storage()}, "copy_storage with tunnelled"),
        ({"tunnelled": True, "data_uri": "tcp://10.0.0.2"}, "data_uri with tunnelled"),
        ({"throttle_initial": 50}, "without auto_converge"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused(change, says):
    with pytest.raises(LifeboatError, match=says):
        validate(replace(WANTED, **change))


def test_the_definition_of_a_domain_that_is_off_moves_alone(lab):
    off(lab)
    outcome = lab.plan(OFFLINE).do()
    assert outcome.ended_by == "offline" and "web1" in lab.there.known


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


@pytest.mark.parametrize(
    ("active", "refusal", "expected"),
    [
        (True, None, True),
        (True, LibvirtError("pool 'images' has asynchronous jobs running.", 1), True),
        (False, None, False),
        (None, None, False),
    ],
)
def test_a_started_pool_is_refreshed_unless_it_is_busy(monkeypatch, active, refusal, expected):
    monkeypatch.setattr(
        _libvirt_client,
        "libvirt",
        SimpleNamespace(libvirtError=LibvirtError, VIR_ERR_INTERNAL_ERROR=1, VIR_ERR_NO_STORAGE_POOL=49),
    )
    did: list[str] = []

    def look_up(directory: str) -> SimpleNamespace:
        assert directory == "/srv/images"
        if active is None:
            raise LibvirtError("no storage pool with matching target path", 49)
        return SimpleNamespace(isActive=lambda: active, refresh=refresh)

    def refresh(flags: int) -> None:
        did.append("refresh")
        if refusal is not None:
            raise refusal

    raw = SimpleNamespace(storagePoolLookupByTargetPath=look_up)
    calls = LibvirtMigrationCalls(LibvirtConnection(raw, Caller(THERE, 5.0)))
    assert calls.refresh(DISK) is expected and did == ["refresh"] * expected
    refusal = LibvirtError("cannot open directory '/srv/images'", 38)
    if active:
        with pytest.raises(CallError, match="cannot open directory"):
            calls.refresh(DISK)


@pytest.fixture
def front_door(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    sites = {"qemu:///system": Site(lab.here, lab.calls), THERE: Site(lab.there, lab.calls_there)}
    monkeypatch.setattr(_libvirt_client, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(libvirt_migration, "connected", lambda uri, timeout: contextlib.nullcontext(sites[uri]))
    monkeypatch.setattr(libvirt_migration, "site", lambda connection: connection)
    monkeypatch.setattr(libvirt_migration, "LibvirtAttempt", lambda uri, longest_s, call: lab.begin(call))
    monkeypatch.setattr(libvirt_migration, "CLOCK", lab.here.clock)
    return lab


def test_the_module_moves_once_and_foretells_it_in_check_mode(front_door):
    arguments = {"name": "web1", "destination": THERE}
    foretold = run_module(libvirt_migration.main, check=True, **arguments)
    assert foretold["changed"] and "web1" in front_door.here.known and "migration" not in foretold
    done = run_module(libvirt_migration.main, **arguments)
    assert done["changed"] and done["actions"] == foretold["actions"] == [f"migrate domain web1 to {THERE}"]
    assert done["diff"] == foretold["diff"] and done["migration"]["downtime_ms"] == 223
    again = run_module(libvirt_migration.main, **arguments)
    assert not again["changed"] and again["actions"] == [] and "diff" not in again


def test_the_module_aborts_once_and_foretells_it_in_check_mode(front_door, begun):
    arguments = {"name": "web1", "destination": THERE, "state": "aborted"}
    foretold = run_module(libvirt_migration.main, check=True, **arguments)
    assert foretold["changed"] and begun.calls.did == []
    done = run_module(libvirt_migration.main, **arguments)
    assert done["changed"] and done["actions"] == foretold["actions"] == ["abort the migration of domain web1"]
    assert done["migration"]["ended_by"] == "abort" and done["diff"]["after"] == {"host": "qemu:///system"}
    assert not run_module(libvirt_migration.main, **arguments)["changed"] and begun.calls.did == ["abort"]
    refused = run_module(libvirt_migration.main, mode="offline", max_seconds=1.0, **arguments)
    assert refused["failed"] and "max_seconds" in refused["found"] and "mode" in refused["found"]


def test_the_module_says_what_is_wrong(front_door):
    result = run_module(libvirt_migration.main, name="web1", destination="qemu+tcp://cmp2/system")
    assert result["failed"] and "not encrypted" in result["found"]
