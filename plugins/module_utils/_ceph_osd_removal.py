# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Removing an OSD so that no data is lost: out, wait until its data is elsewhere, stop, purge, wipe."""

from __future__ import annotations

import errno
import os
import shutil
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._bluestore_label import read_label
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd_making import wipe
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Attempt, Ceph
    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd import Record

STOP_TIMEOUT_S = 120.0
POLL_S = 1.0
SAFE = "safe_to_destroy"


@dataclass(frozen=True, slots=True)
class Removal:
    """One OSD to be removed. ``known`` when the cluster has it, ``into`` when it gives data to it.

    ``device`` is where its data is, empty when that is not on this host.
    """

    osd_id: int
    known: bool
    into: bool
    record: Record | None
    device: str

    @property
    def needed(self) -> bool:
        return self.known or self.record is not None


def removal_of(ceph: Ceph, osd_id: int, record: Record | None, device: str) -> Removal:
    """What there is of the OSD. A ``device`` that carries another one, as names change, is not its device."""
    found = next((osd for osd in ceph.read("osd dump")["osds"] if osd["osd"] == osd_id), None)
    if record is None or not _may_be_of(record, device):
        device = ""
    return Removal(osd_id, found is not None, bool(found and found["in"]), record, device)


def _may_be_of(record: Record, device: str) -> bool:
    try:
        label = read_label(device)
    except OSError:
        return False
    return label is None or label.osd_uuid == record.osd_uuid


def remove(ceph: Ceph, removal: Removal, timeout_s: float, *, accept_reduced_redundancy: bool) -> None:
    """Remove the OSD; LifeboatError, and the OSD as it was, when the cluster cannot do without it."""
    if removal.known:
        if accept_reduced_redundancy:
            _check_stoppable(ceph, removal.osd_id)
        else:
            _empty(ceph, removal, timeout_s)
    if removal.record is not None and removal.record.osd_id is not None:
        unit = f"ceph-osd@{removal.osd_id}.service"
        output_of(["systemctl", "disable", "--now", unit], STOP_TIMEOUT_S)
    if removal.known:
        _purge(ceph, removal.osd_id)
    if removal.record is not None:
        _wipe(removal.device)
        shutil.rmtree(removal.record.directory)


def _empty(ceph: Ceph, removal: Removal, timeout_s: float) -> None:
    """Move the OSD's data elsewhere."""
    number = str(removal.osd_id)
    if removal.into:
        ceph.change("osd out", ids=[number])
    deadline = time.monotonic() + timeout_s
    # A refusal has no error code as soon as an answer in JSON is asked for.
    while removal.osd_id not in (tried := ceph.attempt("osd safe-to-destroy", ids=[number])).answer.get(SAFE, []):
        if time.monotonic() > deadline:
            if removal.into:
                ceph.change("osd in", ids=[number])
            _refuse(removal, tried, timeout_s)
        time.sleep(POLL_S)


def _refuse(removal: Removal, tried: Attempt, timeout_s: float) -> t.NoReturn:
    reasons = {
        "active": "placement groups are on it",
        "stored_pgs": "it holds data and not all placement groups are clean",
        "missing_stats": "it is down and not all placement groups are clean",
    }
    said = [reason for name, reason in reasons.items() if tried.answer.get(name)] or [tried.said or "no answer"]
    raise LifeboatError(
        f"osd.{removal.osd_id}",
        f"it is not safe to destroy after {timeout_s:g} s: {', '.join(said)}",
        "all of its data on other OSDs",
        f"{'It is in again. ' if removal.into else ''}Add an OSD first, wait longer with removal_timeout, or give "
        "redundancy up with accept_reduced_redundancy.",
    )


def _check_stoppable(ceph: Ceph, osd_id: int) -> None:
    tried = ceph.attempt("osd ok-to-stop", ids=[str(osd_id)])
    if not tried.answer.get("ok_to_stop"):
        count = tried.answer.get("num_not_ok_pgs")
        found = f"{count} placement groups that would stand still without it" if count else tried.said or "no answer"
        raise LifeboatError(f"osd.{osd_id}", found, "none", "Bring other OSDs back first.")


def _purge(ceph: Ceph, osd_id: int) -> None:
    """What C(ceph osd purge) has the manager do, which does not understand it when a monitor hands it on."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (tried := ceph.attempt("osd purge-actual", id=osd_id, yes_i_really_mean_it=True)).code != 0:
        # The monitors take the OSD for running for a moment longer.
        if tried.code != -errno.EBUSY or time.monotonic() > deadline:
            remedy = "Stop its daemon on the host that it runs on (or run this there), then remove it again."
            raise LifeboatError(f"osd.{osd_id}", tried.said, "a stopped OSD", remedy)
        time.sleep(POLL_S)


def _wipe(device: str) -> None:
    """The file goes; a device is wiped, so that it can carry another OSD."""
    if os.path.isfile(device):
        os.unlink(device)
    elif os.path.exists(device):
        wipe(device)
