# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What libvirt_host_info and libvirt_domain_info returned, read back into the values that it was made from.

What there has to be, and of which kind, the classes of these values say.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing as t
from collections.abc import Mapping

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import GuestAddress
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import DomainFacts
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import CpuModel, HostFacts
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Resources

_HOST, _DOMAINS = "libvirt_host_info", "libvirt_domain_info"
_REMEDY = "Give the registered result of the task whole, from a run that succeeded."
# What the modules of the classes import for their annotations alone.
_NAMES = {"CpuModel": CpuModel, "GuestAddress": GuestAddress, "Mapping": Mapping}
_Value = t.TypeVar("_Value")


def host_of(result: object, host: str) -> tuple[HostFacts, Resources]:
    """From the result of libvirt_host_info on ``host``, or LifeboatError."""
    thing = f"result of {_HOST} on host {host}"
    said = _member("host", _succeeded(result, thing), thing)
    return _instance(HostFacts, said, thing), _instance(Resources, said, thing)


def domains_of(result: object, host: str) -> tuple[DomainFacts, ...]:
    """From the result of libvirt_domain_info on ``host``, or LifeboatError."""
    thing = f"result of {_DOMAINS} on host {host}"
    said, domains = _member("domains", _succeeded(result, thing), thing), f"domains in the {thing}"
    return tuple(_instance(DomainFacts, each, domains) for each in _expect(said, domains, list, tuple))


def _succeeded(result: object, thing: str) -> object:
    if isinstance(result, dict) and (result.get("failed") or result.get("unreachable") or result.get("skipped")):
        how = "failed" if result.get("failed") else "did not reach the host" if result.get("unreachable") else "skipped"
        said = str(result.get("msg") or result.get("skip_reason") or "without a message").partition("\n")[0]
        raise LifeboatError(thing, f"that the task {how}: {said}", "one that succeeded", _REMEDY)
    return result


def _instance(kind: type[_Value], said: object, thing: str) -> _Value:
    """An instance of a dataclass, each of whose fields ``said`` has."""
    hints = _hints(t.cast("t.Any", kind))
    return kind(**{name: _value(hint, _member(name, said, thing), f"{name} in the {thing}") for name, hint in hints})


@functools.cache
def _hints(kind: type[t.Any]) -> tuple[tuple[str, t.Any], ...]:
    hints = t.get_type_hints(kind, localns=_NAMES)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _value(hint: t.Any, said: object, thing: str) -> t.Any:
    """What is of the annotated kind, or made so from plain values."""
    origin, parts = t.get_origin(hint), t.get_args(hint)
    if origin is types.UnionType:
        [kind] = [part for part in parts if part is not types.NoneType]
        return None if said is None else _value(kind, said, thing)
    if origin in {tuple, frozenset}:
        return origin(_value(parts[0], each, thing) for each in _expect(said, thing, list, tuple))
    if dataclasses.is_dataclass(hint):
        return _instance(t.cast("type[t.Any]", hint), said, thing)
    return _expect(said, thing, dict if origin is Mapping else hint)


def _member(name: str, said: object, thing: str) -> object:
    if not isinstance(said, dict):
        raise LifeboatError(thing, f"{said!r:.60}", "a dictionary", _REMEDY)
    if name not in said:
        raise LifeboatError(thing, f"no {name}", f"{name}, as the module returns it", _REMEDY)
    return said[name]


def _expect(said: t.Any, thing: str, *kinds: type) -> t.Any:
    if not isinstance(said, kinds) or (isinstance(said, bool) and bool not in kinds):
        raise LifeboatError(thing, f"{said!r:.60}", " or ".join(kind.__name__ for kind in kinds), _REMEDY)
    return said
