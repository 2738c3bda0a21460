# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The flags of a Ceph cluster that hold its reactions back: what is set, and what has to be set or unset."""

from __future__ import annotations

import typing as t
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change

if t.TYPE_CHECKING:
    from collections.abc import Iterable

# `pause` is set as one and kept as two. `full` and `pglog_hardlimit` are not for operators to set.
_KEPT_AS = {"pause": frozenset({"pauserd", "pausewr"})}
FLAGS = (
    "noup",
    "nodown",
    "noout",
    "noin",
    "nobackfill",
    "norebalance",
    "norecover",
    "noscrub",
    "nodeep-scrub",
    "nosnaptrim",
    "notieragent",
    "pause",
)


def flags_of(ceph: Ceph) -> frozenset[str]:
    """The flags that are set, by the names in FLAGS; others that the cluster keeps for itself are left out."""
    kept = frozenset(ceph.read("osd dump")["flags"].split(","))
    return frozenset(flag for flag in FLAGS if _KEPT_AS.get(flag, frozenset({flag})) <= kept)


def flag_changes(ceph: Ceph, found: frozenset[str], wanted: Iterable[str], *, present: bool) -> list[Change]:
    """What sets (or unsets) the wanted flags; the others are left alone."""
    verb, before, after = ("set", "unset", "set") if present else ("unset", "set", "unset")
    differing = [flag for flag in FLAGS if flag in set(wanted) and (flag in found) is not present]
    return [
        Change(f"{verb} {flag}", flag, before, after, partial(ceph.change, f"osd {verb}", key=flag))
        for flag in differing
    ]


def flags_after(found: frozenset[str], wanted: Iterable[str], *, present: bool) -> list[str]:
    """The flags that are set once the changes are made, sorted."""
    return sorted(found | set(wanted) if present else found - set(wanted))
