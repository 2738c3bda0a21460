# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against moving a domain, found out before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, Leftovers, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import Storage, validate
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step
from ansible_collections.lifeboat.cloud.tests.unit.moving_libvirt import (
    CAPABILITIES,
    DISK,
    DOMAIN,
    OFFLINE,
    UUID,
    WANTED,
    Lab,
    off,
    policy,
)


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


TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
OWN_NVRAM = "<nvram>/var/lib/libvirt/qemu/nvram/web1_VARS.fd</nvram>"
FILE_NVRAM = "<nvram type='file'>\n  <source file='/srv/nvram/web1.fd'/></nvram>"
SHARED_NVRAM = "<nvram type='network'><source protocol='iscsi' name='iqn.2026-01.example:nvram/0'/></nvram>"


@pytest.mark.parametrize(
    ("nvram", "path"),
    [(OWN_NVRAM, "/var/lib/libvirt/qemu/nvram/web1_VARS.fd"), (FILE_NVRAM, "/srv/nvram/web1.fd"), (SHARED_NVRAM, None)],
)
def test_uefi_variables_that_stay_behind_are_warned_of(lab, nvram, path):
    lab.here.known["web1"].defined.find("os").append(ElementTree.fromstring(nvram))
    assert lab.plan().warnings == ()
    off(lab)
    warnings = lab.plan(OFFLINE).warnings
    assert [f"The UEFI variables of domain web1 ({path}) are not moved." in each for each in warnings] == [True] * (
        path is not None
    )


def test_a_guest_with_a_tpm_moves_only_while_it_runs(lab):
    for shown in (lab.here.known["web1"].defined, lab.here.known["web1"].running):
        shown.find("devices").append(ElementTree.fromstring(TPM))
    assert lab.plan().do is not None
    off(lab)
    with pytest.raises(LifeboatError, match=r"an emulated TPM.*mode=live"):
        lab.plan(OFFLINE)
    assert lab.calls.did == []


OTHER_UUID = "00000000-5c1a-4a08-9d8f-3f0f7cf2f6a1"
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
        ({"tunnelled": True, "offline": True}, "tunnelled with mode=offline"),
        ({"tunnelled": True, "policy": Policy(then=Step.POST_COPY)}, "tunnelled with then=post_copy"),
        ({"connections": 2, "policy": Policy(then=Step.POST_COPY)}, "parallel connections with then=post_copy"),
        ({"connections": 0}, "connections: found 0; expected 1 to 255"),
        ({"connections": 256}, "connections: found 256"),
        ({"bandwidth": 0}, "bandwidth: found 0; expected more than 0"),
        ({"auto_converge": True, "throttle_initial": 100}, "throttle_initial: found 100; expected 1 to 99"),
        ({"auto_converge": True, "throttle_increment": -1}, "throttle_increment: found -1"),
        ({"tunnelled": True, "connections": 2}, "parallel connections with tunnelled"),
        ({"tunnelled": True, "storage": Storage()}, "copy_storage with tunnelled"),
        ({"tunnelled": True, "data_uri": "tcp://10.0.0.2"}, "data_uri with tunnelled"),
        ({"throttle_initial": 50}, "without auto_converge"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused(change, says):
    with pytest.raises(LifeboatError, match=says):
        validate(replace(WANTED, **change))
