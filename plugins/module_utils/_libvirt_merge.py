# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The definition to give to libvirt: the one it has, with the sections and devices that differ replaced.

A replaced section or device is completed by libvirt as at first. Kept are the things by which a guest knows its
hardware: UUID, machine type, MAC addresses and the addresses of disks and interfaces, and the files of its firmware.
"""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_definition import (
    ADDED,
    OWNED,
    Difference,
    completed,
    differences,
    pair,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import same_attribute

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element


def merged(wanted: Element, found: Element | None) -> Element:
    """The definition to write."""
    if found is None:
        return copy.deepcopy(wanted)
    wanted, result = completed(wanted), copy.deepcopy(found)
    result.attrib.pop("id", None)
    result.attrib.update(wanted.attrib)
    changed = {each.path.split("/")[1].partition("[")[0].partition("@")[0] for each in _inner(wanted, found)}
    for tag in dict.fromkeys(child.tag for child in [*wanted, *found]):
        said, old = wanted.findall(tag), result.findall(tag)
        if tag == "devices":
            _merge_devices(said, old, result)
        elif tag == "metadata":
            _merge_metadata(said, old, result)
        elif tag.rpartition("}")[2] in changed and (said or tag in OWNED["domain"]):
            _replace(result, old, [_kept_os(each, old) if tag == "os" else copy.deepcopy(each) for each in said])
    if any(each.find("boot") is not None for each in wanted.findall("devices/*")) and not wanted.findall("os/boot"):
        # libvirt refuses both kinds of boot order together, and adds this one by itself where there is none.
        for system in result.findall("os"):
            for boot in system.findall("boot"):
                system.remove(boot)
    return result


def _inner(wanted: Element, found: Element) -> list[Difference]:
    return [each for each in differences(wanted, found) if each.path.startswith("/")]


def _replace(parent: Element, old: Sequence[Element], new: Sequence[Element]) -> None:
    place = list(parent).index(old[0]) if old else len(parent)
    for element in old:
        parent.remove(element)
    for number, element in enumerate(new):
        parent.insert(place + number, element)


def _merge_metadata(said: Sequence[Element], old: Sequence[Element], result: Element) -> None:
    """Programs keep what is theirs in it, each in its namespace: only what is said is replaced."""
    if said and not old:
        result.append(copy.deepcopy(said[0]))
        return
    for element in said[0] if said else ():
        _replace(old[0], old[0].findall(element.tag)[:1], [copy.deepcopy(element)])


def _kept_os(wanted: Element, old: Sequence[Element]) -> Element:
    new = copy.deepcopy(wanted)
    new_type, old_type = new.find("type"), old[0].find("type") if old else None
    if new_type is not None and old_type is not None:
        for name, value in old_type.attrib.items():
            if name not in new_type.attrib or same_attribute(new_type, name, new_type.attrib[name], value):
                new_type.set(name, value)
    if old and old[0].get("firmware") == new.get("firmware"):
        for name in ("loader", "nvram"):
            kept = old[0].find(name)
            if kept is not None and new.find(name) is None:
                new.append(copy.deepcopy(kept))
    return new


def _merge_devices(said: Sequence[Element], old: Sequence[Element], result: Element) -> None:
    if not old:
        result.extend(copy.deepcopy(each) for each in said)
        return
    devices, wanted = old[0], said[0] if said else None
    if wanted is None:
        return
    for tag in dict.fromkeys(child.tag for child in [*wanted, *devices]):
        _merge_kind(tag, wanted, devices)


def _merge_kind(tag: str, wanted: Element, devices: Element) -> None:
    said, existing = wanted.findall(tag), devices.findall(tag)
    pairs, others = pair(tag, said, existing)
    place = list(devices).index(existing[-1]) + 1 if existing else len(devices)
    for one, other in pairs:
        if other is None:
            devices.insert(place, copy.deepcopy(one))
            place += 1
        elif differences(one, other):
            devices[list(devices).index(other)] = _kept_device(one, other)
    if tag in OWNED["devices"] or (said and tag not in ADDED):
        for each in others:
            devices.remove(each)


def _kept_device(wanted: Element, old: Element) -> Element:
    new = copy.deepcopy(wanted)
    kept = {"disk": ("address",), "interface": ("mac", "address")}.get(new.tag, ())
    place, name = {"disk": ("target", "bus"), "interface": ("model", "type")}.get(new.tag, ("", ""))
    for tag in kept:
        same_bus = tag == "mac" or _attribute(new, place, name) in {None, _attribute(old, place, name)}
        element = old.find(tag)
        if element is not None and new.find(tag) is None and same_bus:
            new.append(copy.deepcopy(element))
    return new


def _attribute(element: Element, path: str, name: str) -> str | None:
    child = element.find(path)
    return child.get(name) if child is not None else None
