# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What an inventory alone tells to be wrong with a cloud, before any host is asked: members, addresses, the VIP."""

from __future__ import annotations

import ipaddress
import typing as t
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

_MANAGEMENT = "management"
_VIP = "VIP (cloud_vip)"
_QUORUMS = {"database": "Galera", "message_queue": "RabbitMQ"}
_OTHER_KEYS = ("addresses", "networks", "vip", "exclusive", "single")

Address: t.TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: t.TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in the words of a LifeboatError."""

    thing: str
    found: str
    expected: str
    remedy: str


def refuse(findings: Sequence[Finding]) -> None:
    """One LifeboatError for all findings, none for none."""
    if not findings:
        return
    first, *others = findings
    more = "".join(
        f" Also {each.thing}: found {each.found}; expected {each.expected}. {each.remedy}" for each in others
    )
    raise LifeboatError(first.thing, first.found, first.expected, first.remedy + more)


def serving_findings(address: str | None) -> Iterator[Finding]:
    """What speaks against the address on which a host shall serve storage."""
    if not address:
        remedy = "Add it to cloud_addresses of the host, or choose another network."
        yield Finding("address to serve on", "none", "one on the storage network", remedy)


@dataclass(frozen=True, slots=True)
class Layout:
    """An inventory as written: hosts of each group, addresses by host and network, networks by name, as text."""

    groups: Mapping[str, Sequence[str]]
    addresses: Mapping[str, Mapping[str, str]]
    networks: Mapping[str, str]
    vip: str
    exclusive: Sequence[Sequence[str]]
    single: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A host's address on a network."""

    host: str
    network: str
    address: Address

    def __str__(self) -> str:
        return f"{self.host} ({self.network})"


def cloud_layout_findings(layout: object) -> list[Finding]:
    """Everything that is wrong with a layout, in a stable order; empty when nothing is.

    ``layout`` = {GROUP: [host], ..., addresses: {host: {network: address}}, networks: {network: CIDR}, vip: address,
    exclusive: [[group, group], ...], single: bool}. A group that is not there is not judged, one that is empty is. With
    ``single`` a group of one host will do.
    LifeboatError when the layout has another shape.
    """
    read = _layout(layout)
    networks, bad_networks = _networks(read)
    places, bad_addresses = _places(read)
    return [
        *_members(read),
        *_exclusions(read),
        *bad_networks,
        *_overlaps(networks),
        *bad_addresses,
        *_hosts_without_address(read),
        *_misplaced(places, read, networks),
        *_duplicates(places),
        *_vip(read, networks, places),
    ]


def _layout(layout: object) -> Layout:
    values = _mapping("layout", layout)
    groups = {str(name): _texts(f"group {name}", hosts) for name, hosts in values.items() if name not in _OTHER_KEYS}
    addresses = _mapping("addresses", values.get("addresses", {}))
    networks = _mapping("networks", values.get("networks", {}))
    exclusive = values.get("exclusive", [])
    return Layout(
        groups=groups,
        addresses={str(host): _text_values(f"addresses of {host}", of_host) for host, of_host in addresses.items()},
        networks=_text_values("networks", networks),
        vip=_text(values.get("vip")),
        exclusive=[_texts("exclusive groups", names) for names in _sequence("exclusive groups", exclusive)],
        single=bool(values.get("single", False)),
    )


def _mapping(thing: str, value: object) -> Mapping[t.Any, t.Any]:
    if not isinstance(value, Mapping):
        raise LifeboatError(f"cloud layout, {thing}", repr(value), "a dictionary", "Correct the inventory.")
    return value


def _sequence(thing: str, value: object) -> Sequence[t.Any]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise LifeboatError(f"cloud layout, {thing}", repr(value), "a list", "Correct the inventory.")
    return value


def _texts(thing: str, value: object) -> list[str]:
    return [str(each) for each in _sequence(thing, value)]


def _text_values(thing: str, value: object) -> dict[str, str]:
    return {str(name): _text(each) for name, each in _mapping(thing, value).items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _members(layout: Layout) -> Iterator[Finding]:
    for group, hosts in layout.groups.items():
        members = set(hosts)
        alone = layout.single and len(members) == 1
        if group == "controllers" and len(members) < 2 and not alone:
            yield Finding(
                f"group {group}",
                _counted(members),
                "at least 2 hosts, 3 for a majority that survives the loss of one",
                "Add controllers: with one there is nothing to fail over to. To learn with one, set cloud_single_host.",
            )
        if group in _QUORUMS and (len(members) < 3 or len(members) % 2 == 0) and not alone:
            yield Finding(
                f"group {group}",
                _counted(members),
                "an odd number of hosts, 3 or more",
                f"Add or take out a host: {_QUORUMS[group]} needs a majority, which an even number makes no safer.",
            )
        for host in _repeated(hosts):
            yield Finding(f"group {group}", f"{host} more than once", "each host once", "Take the repetition out.")


def _counted(hosts: set[str]) -> str:
    return f"{len(hosts)} ({', '.join(sorted(hosts))})" if hosts else "no host"


def _repeated(hosts: Sequence[str]) -> list[str]:
    return sorted({host for host in hosts if hosts.count(host) > 1})


def _exclusions(layout: Layout) -> Iterator[Finding]:
    for names in layout.exclusive:
        for one, other in combinations(names, 2):
            for host in sorted({*layout.groups.get(one, ())} & {*layout.groups.get(other, ())}):
                yield Finding(
                    f"host {host}",
                    f"in the groups {one} and {other}",
                    "only one of them",
                    f"Take {host} out of {one} or {other}.",
                )


def _networks(layout: Layout) -> tuple[dict[str, Network], list[Finding]]:
    good: dict[str, Network] = {}
    bad: list[Finding] = []
    for name, text in layout.networks.items():
        try:
            good[name] = ipaddress.ip_network(text)
        except ValueError as error:
            expected = "a network such as 10.0.0.0/24, its host bits zero"
            bad.append(Finding(f"network {name}", f"{text!r} ({error})", expected, "Correct cloud_networks."))
    if _MANAGEMENT not in layout.networks:
        bad.append(Finding("networks", "no network management", "one", "Add it to cloud_networks."))
    return good, bad


def _overlaps(networks: Mapping[str, Network]) -> Iterator[Finding]:
    for (one, first), (other, second) in combinations(networks.items(), 2):
        if first.overlaps(second):
            yield Finding(
                f"networks {one} and {other}",
                f"{first} and {second}, which overlap",
                "networks of their own",
                "Give one of them another range in cloud_networks.",
            )


def _places(layout: Layout) -> tuple[list[Place], list[Finding]]:
    good: list[Place] = []
    bad: list[Finding] = []
    for host, addresses in layout.addresses.items():
        for network, text in addresses.items():
            try:
                good.append(Place(host, network, ipaddress.ip_address(text)))
            except ValueError:
                bad.append(_bad_address(f"address of {host} on {network}", text, f"cloud_addresses of {host}"))
    return good, bad


def _bad_address(thing: str, text: str, variable: str) -> Finding:
    return Finding(thing, repr(text), "an IP address without prefix length", f"Correct {variable}.")


def _hosts_without_address(layout: Layout) -> Iterator[Finding]:
    for host in dict.fromkeys(host for hosts in layout.groups.values() for host in hosts):
        if _MANAGEMENT not in layout.addresses.get(host, {}):
            yield Finding(
                f"host {host}",
                "no address on management",
                "one",
                f"Add it to cloud_addresses of {host}, or drop the host.",
            )


def _misplaced(places: Sequence[Place], layout: Layout, networks: Mapping[str, Network]) -> Iterator[Finding]:
    for place in places:
        thing = f"address of {place.host} on {place.network}"
        remedy = f"Correct cloud_addresses of {place.host}, or cloud_networks."
        network = networks.get(place.network)
        if network is None:
            if place.network not in layout.networks:
                known = ", ".join(layout.networks) or "none"
                yield Finding(thing, f"no such network among {known}", "a network of the cloud", remedy)
        elif problem := _unusable(place.address, network):
            yield Finding(thing, f"{place.address}, {problem}", f"a host's address in {network}", remedy)


def _unusable(address: Address, network: Network) -> str:
    """Why ``address`` cannot be a host's in ``network``; empty when it can."""
    if address not in network:
        return f"outside {network}"
    if network.max_prefixlen - network.prefixlen < 2:
        return ""
    if address == network.network_address:
        return f"the address of the network {network} itself"
    if address.version == 4 and address == network.broadcast_address:
        return f"the broadcast address of {network}"
    return ""


def _duplicates(places: Sequence[Place]) -> Iterator[Finding]:
    by_address: defaultdict[Address, list[Place]] = defaultdict(list)
    for place in places:
        by_address[place.address].append(place)
    for address, sharing in by_address.items():
        if len(sharing) > 1:
            yield Finding(
                f"address {address}",
                f"given to {', '.join(map(str, sharing))}",
                "one holder",
                "Give all but one of them another address in cloud_addresses.",
            )


def _vip(layout: Layout, networks: Mapping[str, Network], places: Sequence[Place]) -> Iterator[Finding]:
    try:
        vip = ipaddress.ip_address(layout.vip)
    except ValueError:
        yield _bad_address(_VIP, layout.vip, "cloud_vip")
        return
    management = networks.get(_MANAGEMENT)
    if management is not None and (problem := _unusable(vip, management)):
        yield Finding(_VIP, f"{vip}, {problem}", f"a free address in {management}", "Correct cloud_vip.")
    holders = [str(place) for place in places if place.address == vip]
    if holders:
        yield Finding(
            _VIP, f"{vip}, the address of {', '.join(holders)}", "an address that no host has", "Choose a free address."
        )
