# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened during a migration on the standing lab, by the clock that its hosts share, and how long parts took.

QEMU, the kernel of each hypervisor, OVN's databases and the logs of ovn-controller and nova-compute tell it.
"""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from _lab import PERIOD_S, RECORDED_AT_MOST_S, Order, Recording, answers, gaps, pinging, shell
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_log import entries

# A pause beside the gap is worth a line when so many answers are missing.
NOTEWORTHY_S = 5 * PERIOD_S
STOPPED, RESUMED, RARP = "QEMU stopped the guest", "QEMU resumed the guest", "RARP from the guest"
REQUEST, REPLY = "echo request to the guest", "echo reply from the guest"
# With the time that QEMU itself gives. Line by line, so that none is lost when virsh is ended.
QEMU_EVENTS = ["stdbuf", "-oL", "virsh", "qemu-monitor-event", "--loop", "--timeout", str(RECORDED_AT_MOST_S)]
QEMU_EVENT = re.compile(r"^event (\w+) at ([0-9.]+) for domain '?([^':]+)'?: (.*)$", re.MULTILINE)
OVN_LOG, NOVA_LOG = "/var/log/ovn/ovn-controller.log", "/var/log/nova/nova-compute.log"
OVN_LINE = re.compile(r"^(\S+Z)\|\d+\|[^|]*\|[^|]*\|(.*)$", re.MULTILINE)
OVN_SOCKETS = {"north": "unix:/run/ovn/ovnnb_db.sock", "south": "unix:/run/ovn/ovnsb_db.sock"}
OVN_MONITOR = ["ovsdb-client", "--no-leader-only", "--timestamp", "--format=json", "monitor"]
# The first column is what a port is found by.
OVN_TABLES = {
    "north": ["OVN_Northbound", "Logical_Switch_Port", "name,options,up"],
    "south": [
        *("OVN_Southbound", "Port_Binding"),
        "logical_port,chassis,additional_chassis,requested_chassis,requested_additional_chassis,up,options",
    ],
}
OVN_OPTIONS = ("requested-chassis", "activation-strategy", "additional-chassis-activated")


class Event(t.NamedTuple):
    """What happened where."""

    at: float
    host: str
    text: str


@dataclass(frozen=True)
class Guest:
    """What a guest is known by; only a server of Nova has an ID and a port."""

    domain: str
    mac: str
    address: str
    server: str = ""
    port: str = ""


@dataclass(frozen=True)
class Place:
    """From where to where, and who watches."""

    source: str
    destination: str
    observer: str
    controller: str

    @property
    def hypervisors(self) -> tuple[str, str]:
        return self.source, self.destination


@dataclass(frozen=True)
class Timeline:
    """The longest gap, from the last answer to the first one, how long its parts took, and what happened around it."""

    last: float
    first: float
    parts: dict[str, float]
    events: list[Event]

    def table(self) -> str:
        """The events as Markdown."""
        rows = [f"| {event.text} | {event.host} | {event.at - self.last:.3f} |" for event in self.events]
        return "\n".join(["| event | host | s after the last answer |", "|---|---|---|", *rows])


def orders_of(guest: Guest, place: Place) -> dict[str, Order]:
    """Who has to record what for a timeline; the client ends last."""
    orders = {place.observer: pinging(guest.address)}
    for host in place.hypervisors:
        orders[host] = Order({"qemu": QEMU_EVENTS}, guest.mac)
    if guest.port:
        commands = {side: [*OVN_MONITOR, OVN_SOCKETS[side], *table] for side, table in OVN_TABLES.items()}
        orders[place.controller] = Order(commands)
    return orders


def timeline(
    guest: Guest, place: Place, recordings: dict[str, Recording], began: float, ended: float | None
) -> Timeline:
    """What the recordings and the hosts' logs tell; ``ended`` when the guest does not answer any more until then."""
    stamps = answers(recordings[place.observer]) + ([ended] if ended else [])
    (last, first), *others = gaps(stamps)
    told = [event for host in place.hypervisors for event in host_events(host, recordings[host], guest.domain)]
    wire = sorted(event for host in place.hypervisors for event in wire_events(host, recordings[host]))
    events = [
        *told,
        *client_events(place.observer, last, first, others),
        *(event for event in wire if event.text not in (REQUEST, REPLY)),
        *noteworthy_echoes(wire, place),
    ]
    if guest.port:
        events += database_events(place.controller, recordings[place.controller], guest.port)
        events += [event for host in place.hypervisors for event in log_events(host, guest)]
    parts = parts_of(told, wire, place, last, first)
    return Timeline(last, first, parts, sorted(event for event in events if event.at >= began))


def client_events(observer: str, last: float, first: float, others: Iterable[tuple[float, float]]) -> Iterator[Event]:
    """The ends of the gap, and where there was another one."""
    yield Event(last, observer, "last answer")
    yield Event(first, observer, "first answer")
    for begin, end in others:
        if end - begin >= NOTEWORTHY_S:
            yield Event(begin, observer, f"no answer for {end - begin:.3f} s")


def host_events(host: str, recording: Recording, domain: str) -> Iterator[Event]:
    """What QEMU said of the guest, and what became of interfaces of guests."""
    for name, at, whose, details in QEMU_EVENT.findall(recording["outputs"]["qemu"]):
        if whose == domain:
            state = json.loads(details).get("status", "") if details.startswith("{") else ""
            text = {"STOP": STOPPED, "RESUME": RESUMED}.get(name, f"QEMU said {name} {state}".rstrip())
            yield Event(float(at), host, text)
    for moment, interface, state in recording["links"]:
        yield Event(moment, host, f"interface {interface} {state}")


def wire_events(host: str, recording: Recording) -> Iterator[Event]:
    """What passed the guest's own interface, on which it comes in from the guest."""
    for at, interface, direction, text in recording["frames"]:
        if interface.startswith(("tap", "vnet")):
            yield Event(at, host, f"{text} {'from' if direction == 'in' else 'to'} the guest")


def noteworthy_echoes(wire: list[Event], place: Place) -> Iterator[Event]:
    """Of the echoes the last ones on the source and the first ones on the destination."""
    for text in (REQUEST, REPLY):
        here = [event for event in wire if (event.host, event.text) == (place.source, text)]
        there = [event for event in wire if (event.host, event.text) == (place.destination, text)]
        yield from (event._replace(text=f"last {text}") for event in here[-1:])
        yield from (event._replace(text=f"first {text}") for event in there[:1])


def parts_of(told: list[Event], wire: list[Event], place: Place, last: float, first: float) -> dict[str, float]:
    """How long the parts of the gap took, as far as they were seen."""
    resumes = [event.at for event in told if (event.host, event.text) == (place.destination, RESUMED)]
    stops = [event.at for event in told if (event.host, event.text) == (place.source, STOPPED)]
    if not resumes or not stops:
        return {}
    stopped, resumed = stops[-1], resumes[-1]
    parts = {"stopping": stopped - last, "stopped": resumed - stopped}
    for name, text in (("rarp", RARP), ("request", REQUEST), ("reply", REPLY)):
        since = [at for at, host, what in wire if (host, what) == (place.destination, text) and at >= resumed]
        if since:
            parts[name] = since[0] - resumed
    return {**parts, "answer": first - resumed}


def chassis_names(controller: str) -> dict[str, str]:
    """The names of OVN's chassis by UUID."""
    words = shell(controller, f"{southbound()} --columns=_uuid,name list Chassis").split()
    return dict(zip(words[::2], words[1::2], strict=True))


def gateways(controller: str) -> dict[str, str]:
    """On which chassis each port of a router is that leads out."""
    names = chassis_names(controller)
    found = f"{southbound()} --columns=logical_port,chassis find Port_Binding type=chassisredirect"
    words = shell(controller, found).split()
    return {port: names[chassis] for port, chassis in itertools.pairwise(words) if chassis in names}


def southbound() -> str:
    return f"ovn-sbctl --db={OVN_SOCKETS['south']} --no-leader-only --timeout=20 --bare"


def database_events(host: str, recording: Recording, port: str) -> Iterator[Event]:
    """What changed at the port in OVN's databases: in the north what Neutron wants, in the south what came of it."""
    names = chassis_names(host)
    for side in OVN_TABLES:
        for line in recording["outputs"][side].splitlines():
            if not line.startswith("{"):
                continue
            update = json.loads(line)
            at = datetime.fromisoformat(update["time"]).replace(tzinfo=UTC).timestamp()
            _row, _action, key, *columns = update["headings"]
            rows = [dict(zip(update["headings"], row, strict=True)) for row in update["data"]]
            for old, new in itertools.pairwise(rows):
                if (old["action"], new["action"], new[key]) != ("old", "new", port):
                    continue
                for column in columns:
                    before, after = shown(old[column], names), shown(new[column], names)
                    # Only what has changed has an old value.
                    if old[column] is not None and before != after:
                        yield Event(at, host, f"{side}bound {column}: {before} → {after}")


def shown(value: t.Any, names: dict[str, str]) -> str:
    """A value of OVSDB, and of options only those that a migration changes."""
    match value:
        case ["uuid", str(uuid)]:
            return names.get(uuid, uuid)
        case ["set", [*members]]:
            return ", ".join(shown(member, names) for member in members) or "none"
        case ["map", [*pairs]]:
            return ", ".join(f"{name}={option}" for name, option in pairs if name in OVN_OPTIONS) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def log_events(host: str, guest: Guest) -> Iterator[Event]:
    """What ovn-controller logged of the port, and nova-compute of the server."""
    for stamp, text in OVN_LINE.findall(shell(host, f"grep -F {guest.port} {OVN_LOG} | tail -n 100")):
        told = text.replace(guest.port, "port")
        yield Event(datetime.fromisoformat(stamp).timestamp(), host, f"ovn-controller: {told}")
    offset, *lines = shell(host, f"date +%:z; grep -F {guest.server} {NOVA_LOG} | tail -n 100").splitlines()
    for entry in entries(lines):
        at = datetime.fromisoformat(f"{entry.time.isoformat()}{offset}").timestamp()
        told = " ".join(entry.message.replace("|", "/").split())
        yield Event(at, host, f"nova-compute: {told[:100]}")
