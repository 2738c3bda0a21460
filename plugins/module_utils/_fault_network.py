# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Faults of the network on the target host: silence, partition and loss (nftables), delay (traffic control).

A packet dropped on its way out is an error for a sender of UDP or raw IP (EPERM); TCP takes it for a loss.
"""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_form import (
    Evidence,
    FaultRequest,
    Form,
    must,
    wait_until,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._fault_heal import Condition, Step

COUNT_TIMEOUT_S = 2.0
SSH = 22
# Before connection tracking, so that no state is kept of what was never sent.
PRIORITY = -300
HANDLE = "1b0a:"


def table_name(key: str) -> str:
    """The nftables table of a fault."""
    return f"lifeboat_fault_{re.sub('[^A-Za-z0-9_]', '_', key)}"


def _address_matches(addresses: tuple[str, ...], side: str) -> tuple[str, ...]:
    """The matches on addresses, one for each address family; one empty match for every address."""
    if not addresses:
        return ("",)
    matches = []
    for family, version in (("ip", 4), ("ip6", 6)):
        wanted = sorted(address for address in addresses if ipaddress.ip_address(address).version == version)
        if wanted:
            matches.append(f"{family} {side} {{ {', '.join(wanted)} }} ")
    return tuple(matches)


def _port_matches(request: FaultRequest, way: str) -> tuple[str, ...]:
    """The matches on ports for one way; one empty match for whatever the port.

    A served port is met only as the component's own end, so that other programs of the host still reach the same
    service elsewhere: the load balancer, which may hold the virtual address here, above all.
    """
    if request.form == "partition" or not (request.ports or request.served_ports):
        return ("",)
    matches = []
    if request.ports:
        ports = ", ".join(str(port) for port in sorted(request.ports))
        matches += [f"tcp {side} {{ {ports} }} " for side in ("dport", "sport")]
    if request.served_ports:
        ports = ", ".join(str(port) for port in sorted(request.served_ports))
        side, address_side = ("dport", "daddr") if way == "in" else ("sport", "saddr")
        matches += [
            f"{address}tcp {side} {{ {ports} }} " for address in _address_matches(request.addresses, address_side)
        ]
    return tuple(matches)


def ruleset(request: FaultRequest) -> str:
    """The nftables table that drops what the request says (a partition: whatever the port), never SSH."""
    chance = ""
    if request.form == "loss":
        chance = f"numgen random mod 10000 < {round(request.loss_percent * 100)} "
    chains = []
    for hook, way, side in (("input", "in", "saddr"), ("output", "out", "daddr")):
        if request.direction not in ("both", way):
            continue
        drops = [
            f"    {peer}{port}{chance}counter drop"
            for peer in _address_matches(request.peers, side)
            for port in _port_matches(request, way)
        ]
        head = f"    type filter hook {hook} priority {PRIORITY}; policy accept;"
        chains.append(
            "\n".join(
                [
                    f"  chain {hook} {{",
                    head,
                    f"    tcp dport {SSH} accept",
                    f"    tcp sport {SSH} accept",
                    *drops,
                    "  }",
                ]
            )
        )
    return "\n".join([f"table inet {table_name(request.key)} {{", *chains, "}", ""])


@dataclass(slots=True)
class Drop(Form):
    """Silence, partition and loss: a table of rules that drop, and nothing that answers with a reset."""

    def check(self) -> None:
        """The kernel takes the rules."""
        form = self.request.form
        if form == "partition":
            self.require("peers", self.request.peers)
        elif form == "silence":
            self.require("ports or served_ports", self.request.ports or self.request.served_ports)
        else:
            given = self.request.ports or self.request.served_ports or self.request.peers
            self.require("ports, served_ports or peers", given)
        if form == "loss" and not 0.01 <= self.request.loss_percent <= 100:
            raise LifeboatError(
                "fault form loss", f"loss_percent {self.request.loss_percent:g}", "0.01 to 100", "Set loss_percent."
            )
        must(
            self.run,
            ("nft", "--check", "--file", "-"),
            f"nftables rules of fault form {form}",
            "Install nftables on this host; the kernel needs nf_tables (and nft_numgen for loss).",
            stdin=ruleset(self.request),
        )

    def _listing(self) -> tuple[str, ...]:
        return ("nft", "--json", "list", "table", "inet", table_name(self.request.key))

    def recipe(self) -> tuple[Step, ...]:
        """Delete the table when it is there."""
        delete = ("nft", "delete", "table", "inet", table_name(self.request.key))
        return (Step(run=delete, only_if=Condition(run=self._listing())),)

    def act(self) -> None:
        """Load the rules, all at once."""
        must(self.run, ("nft", "--file", "-"), "nftables", "Heal the fault.", stdin=ruleset(self.request))

    def _counted(self) -> int | None:
        """The packets dropped so far; None without a table."""
        listing = self.run(self._listing(), 10.0)
        return dropped_packets(json.loads(listing.out)) if listing.code == 0 else None

    def evidence(self) -> Evidence:
        """The rules stand, and, when there is traffic, they drop."""
        seen: list[int | None] = []

        def counts() -> bool:
            seen.append(self._counted())
            return bool(seen[-1])

        wait_until(counts, COUNT_TIMEOUT_S)
        details = {"table": table_name(self.request.key), "dropped_packets": seen[-1] or 0}
        return Evidence(seen[-1] is not None, "packet counters" if seen[-1] else "rules only", details)

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return ("nft --file - with:", *ruleset(self.request).splitlines())


def dropped_packets(listing: dict[str, t.Any]) -> int:
    """The sum of the counters in ``nft --json list table``."""
    expressions = [e for item in listing["nftables"] if "rule" in item for e in item["rule"]["expr"]]
    return sum(int(expression["counter"]["packets"]) for expression in expressions if "counter" in expression)


@dataclass(slots=True)
class Delay(Form):
    """Packets leave the host late: netem in one band of a prio qdisc; SSH keeps the ordinary bands."""

    devices: tuple[str, ...] = ()

    def check(self) -> None:
        """The kernel has netem, and no one else shapes the interfaces."""
        self.require("delay_ms", self.request.delay_ms > 0)
        self.require("ports or peers", self.request.ports or self.request.peers)
        if self.request.direction == "in":
            raise LifeboatError("fault form delay", "direction in", "both or out", "Delay the senders instead.")
        # In a network namespace of its own, so that trying changes nothing.
        must(
            self.run,
            ("unshare", "--net", "tc", "-batch", "-"),
            "the kernel's traffic control",
            "Delay needs the kernel's sch_prio, sch_netem and cls_u32, which this kernel has not; choose another form.",
            stdin="".join(line + "\n" for line in self._commands("lo")),
        )
        self.devices = self._find_devices()
        for device in self.devices:
            self._check_free(device)

    def _find_devices(self) -> tuple[str, ...]:
        if self.request.peers:
            found = {self._device(("route", "get", peer)) for peer in self.request.peers}
        else:
            found = {self._device(("route", "show", "default"))}
        return tuple(sorted(found - {"lo"}))

    def _device(self, arguments: tuple[str, ...]) -> str:
        argv = ("ip", "-json", *arguments)
        routes = json.loads(must(self.run, argv, "route", "Correct peers.") or "[]")
        if not routes:
            raise LifeboatError("route", f"none from '{' '.join(argv)}'", "a route", "Name the peers.")
        return str(routes[0]["dev"])

    def _check_free(self, device: str) -> None:
        argv = ("tc", "-json", "qdisc", "show", "dev", device, "root")
        qdiscs = json.loads(must(self.run, argv, f"queueing discipline of {device}", "Look at tc.") or "[]")
        # The kernel's default has the handle 0:.
        taken = [qdisc["kind"] for qdisc in qdiscs if qdisc.get("handle") not in (None, "0:")]
        if taken:
            raise LifeboatError(
                f"interface {device}", f"a queueing discipline {taken[0]}", "the kernel's default", "Remove it first."
            )

    def _commands(self, device: str) -> tuple[str, ...]:
        """The lines for ``tc -batch``; u32 matches TCP by protocol number 6."""
        filters = [
            f"match ip protocol 6 0xff match ip {side} {SSH} 0xffff flowid {HANDLE}1" for side in ("dport", "sport")
        ]
        peers = tuple(f"match ip dst {peer}/32 " for peer in self.request.peers) or ("",)
        ports = tuple(
            f"match ip protocol 6 0xff match ip {side} {port} 0xffff "
            for port in self.request.ports
            for side in ("dport", "sport")
        ) or ("",)
        filters += [f"{peer}{port}flowid {HANDLE}4" for peer in peers for port in ports]
        return (
            f"qdisc add dev {device} root handle {HANDLE} prio bands 4",
            f"qdisc add dev {device} parent {HANDLE}4 netem delay {self.request.delay_ms}ms",
            *(
                f"filter add dev {device} parent {HANDLE} protocol ip prio {number} u32 {match}"
                for number, match in enumerate(filters, 1)
            ),
        )

    def recipe(self) -> tuple[Step, ...]:
        """Give the interfaces the kernel's default again."""
        return tuple(
            Step(
                run=("tc", "qdisc", "del", "dev", device, "root", "handle", HANDLE, "prio"),
                only_if=Condition(run=("tc", "qdisc", "show", "dev", device), matches=f"prio {HANDLE}"),
            )
            for device in self.devices
        )

    def _batch(self) -> str:
        return "".join(line + "\n" for device in self.devices for line in self._commands(device))

    def act(self) -> None:
        """Put all qdiscs and filters in."""
        must(self.run, ("tc", "-batch", "-"), "traffic control", "Heal the fault.", stdin=self._batch())

    def evidence(self) -> Evidence:
        """Every interface has the delaying qdisc."""
        shown = {device: self.run(("tc", "-s", "qdisc", "show", "dev", device), 10.0).out for device in self.devices}
        landed = bool(shown) and all("netem" in text for text in shown.values())
        return Evidence(landed, "queueing disciplines", dict(shown))

    def plan(self) -> tuple[str, ...]:
        """For check mode."""
        return tuple(f"tc {line}" for line in self._batch().splitlines())
