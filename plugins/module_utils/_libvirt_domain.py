# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""A domain as it shall be: defined, in a state, started with the host or not; or gone."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Condition, State
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_definition import (
    Difference,
    differences,
    live_differences,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_merge import merged
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import Clock, Power
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_removal import removal
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import (
    has_secrets,
    parse,
    text,
    without_secrets,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Connection, Domain

_SOURCE = re.compile(r"/devices/disk\[[^/]*\](/source.*|@type)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDomain:
    """What shall be. Without ``definition`` it stays as it is, likewise without ``autostart``.

    ``state`` is present, running, paused, shut_off or absent; ``remove`` names what goes with an absent domain (PARTS
    and storage); ``force`` allows the power plug after ``shutdown_timeout_s``.
    """

    name: str
    state: str = "present"
    definition: Element | None = None
    autostart: bool | None = None
    remove: frozenset[str] = frozenset()
    force: bool = False
    shutdown_timeout_s: float = 120.0
    validate: bool = True


@dataclass(slots=True)
class Plan:
    """What has to be done, in this order. ``differences``, ``before`` and ``after`` are those of the definition."""

    power: Power
    changes: list[Change] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    before: str = ""
    after: str = ""


def wanted_definition(xml: str, name: str) -> Element:
    """The definition in an option, checked; its name is filled in."""
    thing = f"xml of domain {name}"
    root = parse(xml, thing)
    found = root.findtext("name")
    if found is None:
        child = root.makeelement("name", {})
        child.text = name
        root.insert(0, child)
    elif found != name:
        raise LifeboatError(thing, f"the name {found}", f"the name {name}", "Make both the same, or leave it out.")
    if has_secrets(root):
        raise LifeboatError(
            thing,
            "a password in clear text (passwd)",
            "none, as this text is logged and shown",
            "Leave it out. One that the domain has is kept as long as its device is not changed.",
        )
    return root


def plan(connection: Connection, wanted: WantedDomain, clock: Clock) -> Plan:
    """What leads from what is to what is wanted. LifeboatError when that cannot or must not be done."""
    domain = connection.find(wanted.name)
    made = Plan(Power(connection, wanted.name, wanted.force, wanted.shutdown_timeout_s, clock))
    if wanted.state == "absent":
        made.changes.extend(removal(connection, domain, wanted.remove, made.power) if domain else ())
        made.before = _definition_text(domain)
        return made
    if domain is None and wanted.definition is None:
        raise LifeboatError(
            f"domain {wanted.name} at {connection.uri}", "none", "a domain", "Give its xml, or correct its name."
        )
    made.changes.extend(_definition_changes(connection, domain, wanted, made))
    made.changes.extend(_state_changes(domain, wanted, made))
    made.changes.extend(_autostart_changes(connection, domain, wanted))
    return made


def pending(connection: Connection, wanted: WantedDomain) -> list[Difference]:
    """Where the domain, if it runs and shall go on running, is not yet what ``wanted`` says."""
    domain = connection.find(wanted.name)
    if domain is None or wanted.definition is None or wanted.state in {"shut_off", "absent"}:
        return []
    if not domain.condition().active:
        return []
    live = parse(domain.definition(live=True), f"live definition of domain {wanted.name}")
    return live_differences(wanted.definition, live)


def not_kept(connection: Connection, wanted: WantedDomain) -> list[Difference]:
    """Where libvirt made something else of the definition it was given."""
    domain = connection.find(wanted.name)
    if domain is None or wanted.definition is None:
        return []
    return differences(wanted.definition, _definition(domain))


def _definition(domain: Domain) -> Element:
    # With passwords: what is read here is changed and written back.
    return parse(domain.definition(secrets=True), f"definition of domain {domain.name}")


def _definition_text(domain: Domain | None) -> str:
    return text(without_secrets(_definition(domain))) if domain else ""


def _definition_changes(
    connection: Connection, domain: Domain | None, wanted: WantedDomain, made: Plan
) -> Iterator[Change]:
    if wanted.definition is None:
        return
    found = _definition(domain) if domain else None
    if domain is not None:
        _refuse_other_uuid(domain, wanted.definition)
    made.differences = differences(wanted.definition, found) if found is not None else []
    if domain is not None:
        _refuse_other_sources(domain, made.differences)
    transient = domain is not None and not domain.persistent()
    if found is not None and not made.differences and not transient:
        made.before = made.after = text(without_secrets(found))
        return
    if domain is not None and wanted.state in {"running", "paused"} and "managed_save" not in wanted.remove:
        _refuse_saved(domain)
    new = merged(wanted.definition, found)
    made.before, made.after = text(without_secrets(found)), text(without_secrets(new))
    verb = "define" if domain is None else "redefine" if made.differences else "make persistent"
    yield Change(
        f"{verb} domain {wanted.name}",
        "definition",
        "absent" if domain is None or transient else "present",
        "present" if domain is None or transient else "changed",
        lambda: connection.define(text(new), validate=wanted.validate),
    )


def _refuse_other_uuid(domain: Domain, definition: Element) -> None:
    uuid = definition.findtext("uuid")
    if uuid and uuid.lower() != domain.uuid.lower():
        raise LifeboatError(
            f"domain {domain.name}",
            f"UUID {domain.uuid}",
            f"UUID {uuid}",
            "A domain's UUID cannot be changed. Leave it out of xml, or remove the domain first.",
        )


def _refuse_other_sources(domain: Domain, found: list[Difference]) -> None:
    """After an external snapshot the disk goes on in another file, and the one in xml is what it was before."""
    sources = [each for each in found if _SOURCE.match(each.path)]
    if sources and domain.leftovers().snapshots:
        raise LifeboatError(
            f"domain {domain.name} with snapshots",
            ", ".join(str(each) for each in sources),
            "disks that stay where they are, as a snapshot may have moved them",
            "Delete the snapshots, which merges them into the disk, or say in xml where the disk is now.",
        )


def _refuse_saved(domain: Domain) -> None:
    """A start would bring the saved guest back, with the hardware it was saved with."""
    if not domain.condition().active and domain.leftovers().managed_save:
        raise LifeboatError(
            f"domain {domain.name}",
            "a managed save, made with another definition than xml",
            "none, or a definition that stays",
            "Start it without xml first, or drop what the guest had in memory with 'managed_save' in remove.",
        )


def _state_changes(domain: Domain | None, wanted: WantedDomain, made: Plan) -> Iterator[Change]:
    condition = domain.condition() if domain else Condition(State.SHUT_OFF)
    transient = domain is not None and wanted.definition is None and not domain.persistent()
    if transient and (wanted.state == "shut_off" or wanted.autostart is not None):
        raise LifeboatError(
            f"domain {wanted.name}",
            "a transient domain, which is gone when it is off",
            "one with a definition",
            "Give its xml to make it persistent, or use state=absent.",
        )
    if wanted.state != "present":
        saved = domain is not None and not condition.active and domain.leftovers().managed_save
        discard = "managed_save" in wanted.remove
        yield from made.power.changes(condition, wanted.state, saved=saved, discard_saved=discard)


def _autostart_changes(connection: Connection, domain: Domain | None, wanted: WantedDomain) -> Iterator[Change]:
    found = domain is not None and domain.persistent() and domain.autostart()
    autostart = wanted.autostart
    if autostart is None or autostart == found:
        return

    def do() -> None:
        defined = connection.find(wanted.name)
        if defined is not None:
            defined.set_autostart(autostart)

    says = f"{'start' if autostart else 'do not start'} domain {wanted.name} with its host"
    yield Change(says, "autostart", _yes(found), _yes(autostart), do)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
