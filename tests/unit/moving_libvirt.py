# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hypervisors in memory, and a guest on its way from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import CallError, Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import Migration, Site, WantedMigration
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_run import plan, plan_abort
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor, failed

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


def memory(iteration: int, left: int = 40 << 20) -> dict[str, int]:
    return {
        "memory_iteration": iteration,
        "memory_remaining": left,
        "memory_dirty_rate": 7680,
        "memory_total": 200 << 20,
    }


def policy(then: Step, seconds: float = 5.0, iterations: int = 100) -> WantedMigration:
    return replace(WANTED, policy=Policy(seconds, iterations, then, 20.0))


def die(lab: Lab) -> None:
    def find(_name: str) -> None:
        raise failed(f"libvirt at {THERE}", "Connection reset by peer", 38)

    lab.there.find = find  # type: ignore[assignment]


STOPPED = Condition(State.PAUSED, "migration")


def off(lab: Lab) -> None:
    lab.here.known["web1"].power_off()


OFFLINE = replace(WANTED, offline=True)
