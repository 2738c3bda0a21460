# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The configuration that Ceph's monitors keep for the daemons: what is set for whom, and what has to be set."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from functools import partial

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph, Json
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_option import canonical, text_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

_WHO = re.compile(r"[A-Za-z0-9_.:/-]+")
_SECTION = re.compile(r"global|(mon|mgr|osd|mds|client)(\..+)?")
Who = tuple[str, frozenset[str]]


def who_of(text: str) -> Who:
    """``osd/class:ssd`` as section and masks; ``global`` is meant where only masks are given."""
    parts = text.split("/") if _WHO.fullmatch(text) else []
    masks = frozenset(part for part in parts if ":" in part)
    sections = [part for part in parts if ":" not in part] or ["global"]
    if not parts or len(sections) != 1 or not _SECTION.fullmatch(sections[0]):
        raise LifeboatError(
            "target of Ceph options",
            repr(text),
            "global, mon, mgr, osd, mds, client, or one of them with an id (osd.3), and masks (osd/host:c1)",
            "Correct who.",
        )
    return sections[0], masks


def name_of(text: str) -> str:
    """The option's name as Ceph keeps it. Names of the manager's modules have slashes and keep what they have."""
    return text if "/" in text else re.sub(r"[ -]+", "_", text.strip())


@dataclass(frozen=True, slots=True)
class Difference:
    """One option that has another value than is wanted. Daemons may read it only when they start."""

    name: str
    change: Change
    needs_restart: bool


def config_changes(ceph: Ceph, who: str, settings: Mapping[str, t.Any]) -> list[Difference]:
    """What gives ``who`` the settings; those that are None shall not be set. Others are left alone."""
    target = who_of(who)
    found = {
        name_of(row["name"]): row
        for row in ceph.read("config dump")
        if (row["section"], frozenset(filter(None, row["mask"].split("/")))) == target
    }
    differences = (_difference(ceph, who, name_of(name), value, found) for name, value in settings.items())
    return [difference for difference in differences if difference is not None]


def _difference(ceph: Ceph, who: str, name: str, value: object, found: Mapping[str, Json]) -> Difference | None:
    thing = f"{name} of {who}"
    row = found.get(name)
    before = None if row is None else str(row["value"])
    if value is None:
        if row is None:
            return None
        remove = Change(
            f"remove {thing}", thing, str(before), "not set", partial(ceph.change, "config rm", who=who, name=name)
        )
        return Difference(name, remove, not row["can_update_at_runtime"])
    if isinstance(value, (dict, list)):
        raise LifeboatError(f"Ceph option {name}", f"a {type(value).__name__}", "one value", "Correct the setting.")
    text = text_of(value)
    option = _described_option(ceph, name)
    if _same(option, text, before):
        return None
    do = partial(ceph.change, "config set", who=who, name=name, value=text)
    change = Change(f"set {thing}", thing, "not set" if before is None else before, text, do)
    return Difference(name, change, not option["can_update_at_runtime"])


def _described_option(ceph: Ceph, name: str) -> Json:
    option: Json | None = ceph.find("config help", key=name)
    thing = f"Ceph option {name}"
    if option is None:
        raise LifeboatError(
            thing, "no such option", "an option of this release of Ceph", "Correct the name; 'ceph config ls' has all."
        )
    if "no_mon_update" in option.get("flags", ()):
        raise LifeboatError(
            thing, "an option that monitors cannot keep", "one that they can", "Set it in the configuration file."
        )
    return option


def _same(option: Json, wanted: str, found: str | None) -> bool:
    """Whether both mean the same value; LifeboatError when ``wanted`` is none for this option."""
    thing, remedy = f"Ceph option {option['name']}", "Correct the value; 'ceph config help' describes the option."
    allowed = option.get("enum_values") or ()
    if allowed and wanted not in allowed:
        raise LifeboatError(thing, repr(wanted), f"one of {', '.join(allowed)}", remedy)
    try:
        meant = canonical(option["type"], wanted)
    except ValueError as error:
        raise LifeboatError(thing, repr(wanted), f"a value of the type {option['type']}", remedy) from error
    try:
        return found is not None and canonical(option["type"], found) == meant
    except ValueError:
        return False
