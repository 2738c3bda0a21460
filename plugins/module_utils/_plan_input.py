# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Hosts and servers of a plan from plain dictionaries, as a module's options or a file have them."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import (
    Amounts,
    Fleet,
    Group,
    GroupPolicy,
    Host,
    Limits,
    Movable,
    Move,
    Needs,
    Server,
    Storage,
    Traits,
    Uplinks,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Entry = dict[str, t.Any]
_CORRECT = "Correct the entry."
_LARGE = float(2**63)
_Value = t.TypeVar("_Value")


class Reader:
    """Takes values out of an entry; refuses what is missing, of another kind, or not asked for."""

    def __init__(self, kind: str, entry: Entry, known: Mapping[str, float | None]) -> None:
        """``known`` are values that are assumed where the entry has none."""
        if not isinstance(entry, dict):
            raise LifeboatError(kind, f"{entry!r}", "a dictionary", _CORRECT)
        self._entry = {name: value for name, value in entry.items() if value is not None}
        self._known = known
        self.thing = f"{kind} {self._entry.get('name') or self._entry.get('id') or self._entry.get('server') or '?'}"

    def _value(self, name: str, default: t.Any) -> t.Any:
        value = self._entry.pop(name, None)
        value = self._known.get(name) if value is None else value
        if value is None and default is ...:
            raise LifeboatError(self.thing, f"no {name}", f"a value for {name}", _CORRECT)
        return default if value is None else value

    def text(self, name: str, default: t.Any = ..., among: tuple[str, ...] = ()) -> str:
        value = self._value(name, default)
        if isinstance(value, dict | list) or (among and value not in among):
            expected = f"one of {', '.join(among)}" if among else "a string"
            raise LifeboatError(f"{name} of {self.thing}", repr(value), expected, _CORRECT)
        return str(value)

    def number(self, name: str, default: t.Any = ..., least: float = 0.0) -> float:
        value = self._value(name, default)
        try:
            number = float("nan" if isinstance(value, bool) else value)
        except (TypeError, ValueError):
            number = float("nan")
        if not least <= number <= _LARGE:
            raise LifeboatError(f"{name} of {self.thing}", repr(value), f"a number of at least {least:g}", _CORRECT)
        return number

    def names(self, name: str) -> frozenset[str]:
        value = self._value(name, ())
        if not isinstance(value, list | tuple):
            raise LifeboatError(f"{name} of {self.thing}", repr(value), "a list of names", _CORRECT)
        return frozenset(str(each) for each in value)

    def anything(self, name: str) -> t.Any:
        return self._value(name, ...)

    def optional(self, name: str) -> str | None:
        return self.text(name, "") or None

    def nothing_else(self) -> None:
        if self._entry:
            unknown = ", ".join(sorted(map(str, self._entry)))
            raise LifeboatError(self.thing, f"unknown {unknown}", "known keys", _CORRECT)


def fleet_of(
    hosts: Iterable[Entry],
    servers: Iterable[Entry],
    groups: Iterable[Entry] = (),
    links: Iterable[Entry] = (),
    assumed: Mapping[str, float | None] | None = None,
) -> Fleet:
    """The fleet, or LifeboatError. ``assumed`` may have ``bandwidth`` and ``dirty_rate``, for entries without them."""
    known = assumed or {}
    return joined(
        [_host(each, known) for each in hosts],
        [_server(each, known) for each in servers],
        _by_name("server group", (_group(each) for each in groups)),
        links_of(links),
    )


def links_of(entries: Iterable[Entry]) -> dict[str, float]:
    """Bandwidths of shared links by name, or LifeboatError."""
    return _by_name("link", (_link(each) for each in entries))


def uplinks_of(links: Iterable[Entry], hosts: Mapping[str, t.Any]) -> Uplinks:
    """The links, and which of them each of ``hosts`` is at, or LifeboatError. Whether there are such is not seen."""
    bandwidths = links_of(links)
    of_hosts = {host: Reader("host", {"name": host, "link": link}, {}).text("link") for host, link in hosts.items()}
    for host, link in of_hosts.items():
        _check_link(host, link, bandwidths)
    return Uplinks(bandwidths, of_hosts)


def joined(
    hosts: Iterable[Host], servers: Iterable[Server], groups: Mapping[str, Group], links: Mapping[str, float]
) -> Fleet:
    """The fleet of these, whose references to each other are checked."""
    by_host = _by_name("host", ((each.name, each) for each in hosts))
    by_server = _by_name("server", ((each.id, each) for each in servers))
    if not by_host:
        raise LifeboatError("hosts", "none", "at least one", "Give the hosts of the cloud.")
    for server in by_server.values():
        for host in (server.host, server.bound_for or server.host):
            if host not in by_host:
                found = f"host {host}, which is not given"
                raise LifeboatError(f"server {server.name}", found, "one of the hosts", _CORRECT)
        if server.group is not None and server.group not in groups:
            raise LifeboatError(
                f"server {server.name}", f"server group {server.group}, which is not given", "one of groups", _CORRECT
            )
    for each in by_host.values():
        if each.link is not None:
            _check_link(each.name, each.link, links)
    return Fleet(by_host, by_server, groups, links)


def _check_link(host: str, link: str, links: Mapping[str, float]) -> None:
    if link not in links:
        raise LifeboatError(f"host {host}", f"link {link}, which is not given", "one of links", _CORRECT)


def wishes_of(entries: Iterable[Entry], fleet: Fleet) -> tuple[list[Move], Fleet]:
    """Moves that somebody wishes, each ``{server, destination}``, or LifeboatError. Servers by id, or by name.

    With them the fleet whose servers of ``kind: cold`` stand still for theirs. A server that is there already needs no
    move: so the same wish after an interruption is for the rest.
    """
    by_name: dict[str, list[str]] = {}
    for each in fleet.servers.values():
        by_name.setdefault(each.name, []).append(each.id)
    moves: dict[str, Move] = {}
    servers = dict(fleet.servers)
    for entry in entries:
        reader = Reader("move of", entry, {})
        server, destination = reader.text("server"), reader.text("destination")
        kind = reader.text("kind", "live", ("live", "cold"))
        reader.nothing_else()
        called = [server] if server in fleet.servers else by_name.get(server, [])
        if len(called) != 1:
            found = "no such server" if not called else f"{len(called)} servers of this name: {', '.join(called)}"
            raise LifeboatError(reader.thing, found, "the id or the only name of a server", _CORRECT)
        source = fleet.servers[called[0]].host
        if destination not in fleet.hosts:
            raise LifeboatError(reader.thing, f"unknown host {destination}", "one of the hosts", _CORRECT)
        if called[0] in moves:
            raise LifeboatError(reader.thing, "two moves of it", "one destination of each server", _CORRECT)
        moves[called[0]] = Move(called[0], source, destination)
        if kind == "cold" and servers[called[0]].movable == "live":
            servers[called[0]] = servers[called[0]].stopped("it was wished that it moves cold")
    wanted = [move for move in moves.values() if move.source != move.destination]
    return wanted, dataclasses.replace(fleet, servers=servers)


def dirty_rates_of(entries: Mapping[str, t.Any]) -> dict[str, float]:
    """What was measured of servers, by id, in bytes per second, or LifeboatError. None is what was not measured."""
    measured = {name: rate for name, rate in entries.items() if rate is not None}
    return {
        name: Reader("server", {"name": name, "dirty_rate": rate}, {}).number("dirty_rate")
        for name, rate in measured.items()
    }


def limits_of(entry: Entry) -> Limits:
    """The limits, each at least 1; defaults for what is not given."""
    reader, default = Reader("limits", {"name": "given", **entry}, {}), Limits()
    reader.text("name")
    values = {
        name: int(reader.number(name, getattr(default, name), 1)) for name in ("outgoing", "incoming", "link", "total")
    }
    reader.nothing_else()
    return Limits(**values)


def _by_name(kind: str, entries: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    found: dict[str, _Value] = {}
    for name, value in entries:
        if name in found:
            raise LifeboatError(f"{kind} {name}", "two entries", "one", "Give each once.")
        found[name] = value
    return found


def _host(entry: Entry, known: Mapping[str, float | None]) -> Host:
    reader = Reader("host", entry, known)
    host = Host(
        name=reader.text("name"),
        capacity=_amounts(reader),
        bandwidth=reader.number("bandwidth", least=1.0),
        link=reader.optional("link"),
        state=reader.text("state", "up", ("up", "down")),
        status=reader.text("status", "enabled", ("enabled", "disabled")),
        traits=Traits(
            hypervisor=reader.text("hypervisor", ""),
            hypervisor_version=reader.text("hypervisor_version", ""),
            libvirt_version=reader.text("libvirt_version", ""),
            cpu_model=reader.text("cpu_model", ""),
            cpu_models=reader.names("cpu_models"),
            cpu_features=reader.names("cpu_features"),
            machines=reader.names("machines"),
            zone=reader.text("zone", ""),
            aggregates=reader.names("aggregates"),
            networks=reader.names("networks"),
            storage=reader.optional("storage"),
        ),
    )
    reader.nothing_else()
    return host


def _amounts(reader: Reader) -> Amounts:
    return Amounts(reader.number("vcpus"), reader.number("memory"), reader.number("disk", 0.0))


def _server(entry: Entry, known: Mapping[str, float | None]) -> Server:
    reader = Reader("server", entry, known)
    name = reader.text("name", reader.text("id", "") or ...)
    takes = _amounts(reader)
    working_set = reader.number("working_set", -1.0, -1.0)
    server = Server(
        id=str(entry.get("id") or name),
        name=name,
        host=reader.text("host"),
        takes=takes,
        memory=reader.number("memory_used", takes.memory),
        dirty_rate=reader.number("dirty_rate", 0.0),
        working_set=None if working_set < 0 else working_set,
        local_disk=reader.number("local_disk", 0.0),
        status=reader.text("status", "ACTIVE").upper(),
        needs=_needs(reader),
        group=reader.optional("group"),
        movable=t.cast("Movable", reader.text("movable", "live", t.get_args(Movable))),
        reason=reader.text("reason", ""),
        priority=int(reader.number("priority", 0, -_LARGE)),
        bound_for=reader.optional("bound_for"),
        avoid=reader.names("avoid"),
    )
    reader.nothing_else()
    return server


def _needs(reader: Reader) -> Needs:
    return Needs(
        storage=t.cast("Storage", reader.text("storage", "volume", t.get_args(Storage))),
        cpu_mode=reader.text("cpu_mode", ""),
        cpu_model=reader.text("cpu_model", ""),
        cpu_features=reader.names("cpu_features"),
        machine=reader.text("machine", ""),
        zone=reader.text("zone", ""),
        aggregates=reader.names("aggregates"),
        networks=reader.names("networks"),
    )


def _group(entry: Entry) -> tuple[str, Group]:
    reader = Reader("server group", entry, {})
    name, policy = reader.text("name"), reader.text("policy", ..., t.get_args(GroupPolicy))
    group = Group(t.cast("GroupPolicy", policy), int(reader.number("max_server_per_host", 1, 1)))
    reader.nothing_else()
    if group.max_server_per_host > 1 and policy != "anti-affinity":
        found = f"{group.max_server_per_host} with the policy {policy}"
        raise LifeboatError(f"max_server_per_host of {reader.thing}", found, "the policy anti-affinity", _CORRECT)
    return name, group


def _link(entry: Entry) -> tuple[str, float]:
    reader = Reader("link", entry, {})
    link = reader.text("name"), reader.number("bandwidth", least=1.0)
    reader.nothing_else()
    return link
