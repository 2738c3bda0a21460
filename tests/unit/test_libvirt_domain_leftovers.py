# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a domain beside its definition is lost only where that was named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain import WantedDomain, pending, plan
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_domain_samples import (
    DISK,
    NIC,
    VM1,
    converge,
    definition,
    with_a_running_domain,
)
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_fake import FakeHypervisor


@pytest.fixture
def memory():
    return with_a_running_domain()


def save(memory):
    domain = memory.find("vm1")
    domain.saved, domain.running = domain.running, None
    domain.found, domain.left = Condition(State.SHUT_OFF, "saved"), Leftovers(managed_save=True)


def test_a_managed_save_is_restored_and_never_lost_by_itself(memory):
    save(memory)
    more = WantedDomain(name="vm1", state="running", definition=definition(memory="1024"))
    with pytest.raises(LifeboatError, match="managed save"):
        plan(memory, more, memory.clock)
    with pytest.raises(LifeboatError) as refusal:
        plan(memory, WantedDomain(name="vm1", state="absent"), memory.clock)
    assert "'managed_save'" in refusal.value.remedy
    assert converge(memory, replace(VM1, state="running")) == ["restore domain vm1"]
    assert memory.find("vm1").condition().reason == "restored"


def test_a_managed_save_is_dropped_when_it_may_be(memory):
    save(memory)
    drop = frozenset({"managed_save"})
    more = WantedDomain(name="vm1", state="running", definition=definition(memory="1024"), remove=drop)
    assert converge(memory, more) == ["redefine domain vm1", "start domain vm1"]
    assert pending(memory, more) == []
    converge(memory, replace(more, state="shut_off"))
    save(memory)
    assert converge(memory, replace(more, state="absent")) == ["undefine domain vm1 with its managed_save"]


@pytest.mark.parametrize(
    ("left", "part"),
    [(Leftovers(snapshots=2), "snapshots_metadata"), (Leftovers(checkpoints=1), "checkpoints_metadata")],
)
def test_metadata_go_only_when_named(memory, left, part):
    memory.find("vm1").left = left
    gone = WantedDomain(name="vm1", state="absent")
    with pytest.raises(LifeboatError, match=f"'{part}'"):
        plan(memory, gone, memory.clock)
    assert memory.calls == []
    converge(memory, replace(gone, remove=frozenset({part})))
    assert memory.calls == ["shutdown", f"undefine {part} keep "]


def test_a_disk_that_a_snapshot_has_moved_is_not_put_back(memory):
    domain = memory.find("vm1")
    domain.left = Leftovers(snapshots=1)
    domain.defined.find("devices/disk/source").set("file", "/images/vm1.snapshot")
    with pytest.raises(LifeboatError) as refusal:
        plan(memory, VM1, memory.clock)
    assert "/images/vm1.snapshot -> /images/vm1.img" in refusal.value.found
    moved = DISK.replace("vm1.img", "vm1.snapshot") + NIC
    assert converge(memory, replace(VM1, definition=definition(devices=moved))) == []
    assert converge(memory, replace(VM1, definition=definition(memory="1024", devices=moved))) == [
        "redefine domain vm1"
    ]
    domain.left = Leftovers()
    assert converge(memory, VM1) == ["redefine domain vm1"]


def test_firmware_state_is_kept_unless_named():
    system = "<loader readonly='yes' type='pflash'>/OVMF.fd</loader><nvram>/vm1.fd</nvram>"
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    wanted = replace(VM1, definition=definition(system=system, devices=DISK + tpm))
    for remove, call in (
        ((), "undefine  keep nvram,tpm_state"),
        (("nvram", "snapshots_metadata"), "undefine nvram keep tpm_state"),
        (("tpm_state", "nvram"), "undefine nvram,tpm_state keep "),
    ):
        fake = FakeHypervisor()
        converge(fake, wanted)
        converge(fake, replace(wanted, state="absent", remove=frozenset(remove)))
        assert fake.calls == ["define", call]


STORAGE = replace(VM1, state="absent", remove=frozenset({"storage"}))


def test_storage_is_kept_unless_named(memory):
    memory.add_volume("/images/vm1.img")
    assert converge(memory, replace(STORAGE, remove=frozenset())) == ["shut down domain vm1", "undefine domain vm1"]
    assert "/images/vm1.img" in memory.volumes


def test_storage_goes_when_named_but_not_what_is_shared():
    disks = (
        DISK
        + "<disk type='network'><source protocol='rbd' name='vms/vm1'/><target dev='vdb'/></disk>"
        + "<disk type='volume'><source pool='fast' volume='v1'/><target dev='vdc'/></disk>"
        + "<disk type='file'><source file='/images/common.img'/><target dev='vdd'/><shareable/></disk>"
        + "<disk type='file' device='cdrom'><source file='/images/cd.iso'/><target dev='sda'/><readonly/></disk>"
    )
    fake = FakeHypervisor()
    for path in ("/images/vm1.img", "vms/vm1", "fast/v1", "/images/common.img", "/images/cd.iso"):
        fake.add_volume(path)
    converge(fake, replace(VM1, definition=definition(devices=disks)))
    assert converge(fake, STORAGE) == [
        "undefine domain vm1",
        "delete volume /images/vm1.img",
        "delete volume vms/vm1",
        "delete volume fast/v1",
    ]
    assert set(fake.volumes) == {"/images/common.img", "/images/cd.iso"}
    assert converge(fake, STORAGE) == []


def test_storage_of_no_pool_is_refused_before_anything_happens(memory):
    with pytest.raises(LifeboatError) as refusal:
        plan(memory, STORAGE, memory.clock)
    assert refusal.value.thing == "disk vda of domain vm1" and "/images/vm1.img" in refusal.value.found
    assert memory.calls == []
