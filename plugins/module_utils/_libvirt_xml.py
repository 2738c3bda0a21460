# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The XML of domains: read, written, and its values compared by what they mean."""

from __future__ import annotations

import contextlib
import copy
import io
import re
import typing as t
from xml.etree import ElementTree

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_HIDDEN = "********"
_SECRETS = ("passwd",)
# Units of libvirt's scaled integers, in bytes. Without a unit these elements count KiB.
_UNITS = {"": 1024, "b": 1, "bytes": 1} | {
    name: factor
    for power, letter in enumerate("kmgtpe", 1)
    for name, factor in (
        (f"{letter}b", 1000**power),
        (letter, 1024**power),
        (f"{letter}ib", 1024**power),
    )
}
_SIZES = frozenset(
    {
        *("memory", "currentMemory", "maxMemory", "hard_limit", "soft_limit", "swap_hard_limit", "min_guarantee"),
        *("size", "block", "requested"),
    }
)
# What an unversioned machine type becomes when libvirt defines the domain.
_MACHINES = {
    "pc": r"pc-i440fx-.+",
    "q35": r"pc-q35-.+",
    "virt": r"virt-.+",
    "pseries": r"pseries-.+",
    "s390-ccw-virtio": r"s390-ccw-virtio-.+",
}


def parse(xml: str, thing: str) -> Element:
    """The C(<domain>) element without comments and without white space around texts; ``thing`` is for the error."""
    try:
        root = ElementTree.fromstring(xml)
        for _event, (prefix, uri) in ElementTree.iterparse(io.StringIO(xml), events=("start-ns",)):
            # The prefixes of the text shall come back in the diff. Some are the library's own.
            with contextlib.suppress(ValueError):
                ElementTree.register_namespace(prefix, uri)
    except ElementTree.ParseError as error:
        raise LifeboatError(thing, f"no XML: {error}", "a <domain> element", "Correct the XML.") from error
    if root.tag != "domain":
        raise LifeboatError(thing, f"<{root.tag}>", "a <domain> element", "Give the XML of one domain.")
    for element in root.iter():
        element.text = (element.text or "").strip() or None
        element.tail = None
    return root


def text(root: Element | None) -> str:
    """The element as libvirt indents it; empty for none."""
    if root is None:
        return ""
    indented = copy.deepcopy(root)
    ElementTree.indent(indented)
    return ElementTree.tostring(indented, encoding="unicode") + "\n"


def without_secrets(root: Element | None) -> Element | None:
    """The element with its passwords hidden."""
    shown = copy.deepcopy(root)
    for element in shown.iter() if shown is not None else ():
        for name in _SECRETS:
            if name in element.attrib:
                element.set(name, _HIDDEN)
    return shown


def has_secrets(root: Element) -> bool:
    """Whether a password stands in it."""
    return any(name in element.attrib for element in root.iter() for name in _SECRETS)


def size_kib(element: Element) -> int | None:
    """The size that an element such as C(<memory unit='GiB'>) gives, in KiB rounded up; None when it gives none."""
    if element.tag == "cell":
        return _kib(element.get("memory"), element.get("unit"))
    return _kib(element.text, element.get("unit")) if element.tag in _SIZES else None


def size_attributes(element: Element) -> frozenset[str]:
    """The attributes that ``size_kib`` has taken into account."""
    return frozenset({"unit", "memory"} if element.tag == "cell" else {"unit"})


def _kib(number: str | None, unit: str | None) -> int | None:
    factor = _UNITS.get((unit or "").lower())
    if factor is None or number is None or not number.isdecimal():
        return None
    kib: int = -(-int(number) * factor // 1024)
    return kib


def same_attribute(element: Element, name: str, wanted: str, found: str) -> bool:
    """Whether two values of an attribute of ``element`` mean the same."""
    if wanted == found:
        return True
    if (element.tag, name) == ("type", "machine") and wanted in _MACHINES:
        return re.fullmatch(_MACHINES[wanted], found) is not None
    if element.tag == "address" and name != "type":
        return _number(wanted) is not None and _number(wanted) == _number(found)
    return name in {"uuid", "address"} and wanted.lower() == found.lower()


def same_text(element: Element, wanted: str, found: str | None) -> bool:
    """Whether two texts of ``element`` mean the same."""
    return wanted == found or (element.tag == "uuid" and found is not None and wanted.lower() == found.lower())


def _number(value: str) -> int | None:
    try:
        return int(value, 0)
    except ValueError:
        return int(value) if value.isdecimal() else None
