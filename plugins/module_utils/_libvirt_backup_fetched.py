# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The end of a backup that was served: somebody has the data, and the domain goes on noting what changes."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import (
    WantedBackup,
    find_domain,
    read_manifest,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import (
    BACKUP_JOB,
    POLL_S,
    Tools,
    is_under_way,
)

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_END_S = 30.0


def fetched_changes(connection: Connection, tools: Tools, wanted: WantedBackup) -> list[Change]:
    """What ends the serving of a backup and keeps its checkpoint; LifeboatError when it is not being served."""
    domain = find_domain(connection, wanted)
    found = read_manifest(wanted.place)
    if found is None or found.uuid != domain.uuid or found.mode != "pull":
        is_there = "none of this domain" if found is None or found.uuid != domain.uuid else "one with mode push"
        remedy = "Correct name and directory; state=fetched ends a backup with mode=pull."
        raise LifeboatError(wanted.thing, is_there, "one that is being pulled", remedy)
    if found.fetched:
        return []
    if not is_under_way(tools, domain, wanted) or wanted.backup not in tools.calls.checkpoints(wanted.name):
        remedy = "Serve it anew with state=present, and fetch it again: the guest was off, or somebody ended it."
        raise LifeboatError(wanted.thing, "one that is no longer served", "one that was served until now", remedy)

    def finish() -> None:
        tools.calls.abort(wanted.name)
        _await_no_job(tools, domain, wanted)
        if wanted.backup not in tools.calls.checkpoints(wanted.name):
            remedy = "Remove it with state=absent, and make a full one."
            raise LifeboatError(wanted.thing, "no checkpoint any more, after its end", "its checkpoint", remedy)
        for name in os.listdir(wanted.place):
            if name.endswith((".scratch", ".socket")):
                os.unlink(os.path.join(wanted.place, name))
        dataclasses.replace(found, fetched=True).write(wanted.place)

    return [Change(f"end the serving of {wanted.thing}", wanted.thing, "served", "fetched", finish)]


def _await_no_job(tools: Tools, domain: Domain, wanted: WantedBackup) -> None:
    end = tools.clock.monotonic() + _END_S
    while domain.job().get("operation") == BACKUP_JOB:
        if tools.clock.monotonic() >= end:
            remedy = "See virsh domjobinfo; run this again when it has ended."
            raise LifeboatError(wanted.thing, f"served still {_END_S:g} s after its end was asked for", "none", remedy)
        tools.clock.sleep(POLL_S)
