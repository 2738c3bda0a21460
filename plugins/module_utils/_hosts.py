# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a host is before anything is installed on it, and whether the hosts of a cloud fit together."""

from __future__ import annotations

import grp
import json
import pwd
import re
import typing as t
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TIMEOUT_S = 20.0
_SSH_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")


@dataclass(frozen=True, slots=True)
class Host:
    """``addresses`` by interface, ``users`` as UID:GID by name, members of ``groups`` by name, versions by package.

    ``ssh_key`` is the public key by which its SSH server is known, empty where there is none.
    """

    architecture: str
    addresses: Mapping[str, Sequence[str]]
    users: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]
    packages: Mapping[str, str]
    candidates: Mapping[str, str]
    ssh_key: str


def look(users: Sequence[str], candidates: Sequence[str]) -> Host:
    """This host. Of ``users`` those that exist, of ``candidates`` what apt would install and is not installed."""
    packages = parse_packages(output_of(["dpkg-query", "-W", "-f", _PACKAGE_FORMAT], _TIMEOUT_S))
    absent = [name for name in candidates if name not in packages]
    policy = output_of(["apt-cache", "policy", *absent], _TIMEOUT_S) if absent else ""
    return Host(
        architecture=output_of(["dpkg", "--print-architecture"], _TIMEOUT_S).strip(),
        addresses=parse_addresses(output_of(["ip", "-json", "address", "show"], _TIMEOUT_S)),
        users=dict(_users(users)),
        groups={group.gr_name: group.gr_mem for group in grp.getgrall()},
        packages=packages,
        candidates=parse_candidates(policy),
        # The comment behind it names the host as its installer called it.
        ssh_key=" ".join(_SSH_KEY.read_text().split()[:2]) if _SSH_KEY.exists() else "",
    )


_PACKAGE_FORMAT = "${db:Status-Status} ${Package} ${Version}\n"


def parse_packages(shown: str) -> dict[str, str]:
    """The installed ones in the answer of dpkg-query."""
    lines = (line.split() for line in shown.splitlines())
    return {words[1]: words[2] for words in lines if len(words) == 3 and words[0] == "installed"}


def parse_addresses(shown: str) -> dict[str, list[str]]:
    """The addresses of each interface in the answer of ``ip -json address show``, whether it has one or not."""
    return {
        link["ifname"]: [entry["local"] for entry in link.get("addr_info", ()) if "local" in entry]
        for link in json.loads(shown)
        if "ifname" in link
    }


def parse_candidates(shown: str) -> dict[str, str]:
    """What apt would install, in the answer of ``apt-cache policy``."""
    found = re.findall(r"^(\S+):$\n  Installed: .*$\n  Candidate: ([0-9]\S*)$", shown, re.MULTILINE)
    return dict(found)


def _users(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            entry = pwd.getpwnam(name)
            yield name, f"{entry.pw_uid}:{grp.getgrgid(entry.pw_gid).gr_gid}"
        except KeyError:
            continue


def host_findings(hosts: Mapping[str, t.Any], expected: Mapping[str, t.Any]) -> list[Finding]:
    """Where hosts are not what the inventory says, or differ where they must be alike; empty when all is well.

    ``hosts`` = {name: what host_info returned}; ``expected`` = {addresses: {host: {network: address}}, interfaces:
    {host: {network: interface}}, without_address: {host: [network]}, one_version: [package], same_ids: [user]}. An
    interface must be there when its host has an address in the network, or is named by ``without_address``.
    """
    return [
        *_interfaces(hosts, expected),
        *_versions(hosts, expected.get("one_version", ())),
        *_ids(hosts, expected.get("same_ids", ())),
    ]


def _interfaces(hosts: Mapping[str, t.Any], expected: Mapping[str, t.Any]) -> Iterator[Finding]:
    for name, host in hosts.items():
        there = host["addresses"]
        # An address may have moved to a bridge above its interface.
        held = {address for of in there.values() for address in of}
        addresses = expected.get("addresses", {}).get(name, {})
        without_address = expected.get("without_address", {}).get(name, ())
        for network, interface in expected.get("interfaces", {}).get(name, {}).items():
            address = addresses.get(network)
            if address is None and network not in without_address:
                continue
            if interface not in there:
                found = f"no interface {interface} among {', '.join(there)}"
                yield Finding(f"host {name}", found, interface, "Make it, or correct cloud_interfaces.")
            elif address is not None and address not in held:
                found = f"{address} nowhere, {interface} with {', '.join(there[interface]) or 'no address'}"
                remedy = f"Give the address to {interface}, or correct cloud_addresses or cloud_interfaces."
                yield Finding(f"host {name}", found, f"{address} on {interface}", remedy)


def _versions(hosts: Mapping[str, t.Any], packages: Sequence[str]) -> Iterator[Finding]:
    for package in packages:
        found = {
            name: version
            for name, host in hosts.items()
            if (version := host["packages"].get(package) or host["candidates"].get(package))
        }
        if len(set(found.values())) > 1:
            remedy = "Bring apt's sources and the packages of all hosts to the same version, or go on with -e "
            yield Finding(
                f"package {package}",
                _by_value(found),
                "one version on all hosts",
                f"{remedy}cloud_accept_mixed_hosts=true.",
            )


def _ids(hosts: Mapping[str, t.Any], users: Sequence[str]) -> Iterator[Finding]:
    for user in users:
        found = {name: host["users"][user] for name, host in hosts.items() if user in host["users"]}
        if len(set(found.values())) > 1:
            remedy = (
                "Give the user the same ids (usermod, groupmod, chown), or go on with -e cloud_accept_mixed_hosts=true."
            )
            yield Finding(f"user {user}", f"UID:GID {_by_value(found)}", "the same on all hosts", remedy)


def _by_value(values: Mapping[str, str]) -> str:
    """``VALUE on HOST, HOST; VALUE on HOST``."""
    hosts: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in values.items():
        hosts[value].append(name)
    return "; ".join(f"{value} on {', '.join(sorted(of))}" for value, of in sorted(hosts.items()))
