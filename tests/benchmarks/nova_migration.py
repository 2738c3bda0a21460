# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud adds to the gap of a live migration, and of what that consists.

By turns a server of Nova is moved by server_migration, and a domain of plain libvirt by virsh migrate, each pair in the
same direction. The domain has the same image, machine, memory and kind of disk, in the same pool of Ceph. One client
sends both 50 echo requests a second: to the server's floating IP, and on the tenant network to the domain.

Usage: ``python3 tests/benchmarks/nova_migration.py SERVER ADDRESS [--pairs 5] [--json]`` from the repository, after the
playbook first_server, with the name and the floating IP of its server. Exit status 1 when the server's gap is more than
1.5 times that of the domain, by the medians.

The figures are seconds. ``gap`` is the longest time from one answer to the next, ``returned`` how long the call took.
``stopping`` goes from the last answer until QEMU stopped the guest on the source, ``stopped`` from there until QEMU
resumed it on the destination. Counted from there: ``rarp`` until QEMU announced the guest, ``request`` until the guest
was handed an echo request, ``reply`` until it replied, ``answer`` until the client had the reply. What both have is the
migration's, what only the server has is the cloud's. For each migration of the server what happened is listed.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from xml.etree import ElementTree

from _lab import answers_again, medians, migrate_by_virsh, module, own_guest, recorded, shell
from _timeline import Guest, Place, Timeline, gateways, orders_of, timeline

AIM = 1.5
MOVE_WITHIN_S = 300


def found_server(name: str, address: str) -> tuple[str, Guest, own_guest.Shape]:
    """Where a server is, what it is known by and what it is like, by its domain."""
    for host in own_guest.HOSTS:
        said = shell(host, "for each in $(virsh -q list --uuid); do virsh dumpxml $each; done")
        for text in re.findall(r"^<domain .*?^</domain>", said, re.MULTILINE | re.DOTALL):
            domain = ElementTree.fromstring(text)
            if domain.findtext("metadata/{*}instance/{*}name") == name:
                guest = Guest(
                    domain=domain.findtext("name", ""),
                    mac=attribute(domain, "devices/interface/mac", "address"),
                    address=address,
                    server=domain.findtext("uuid", ""),
                    port=attribute(domain, "devices/interface/virtualport/parameters", "interfaceid"),
                )
                shape = own_guest.Shape(
                    emulation=domain.get("type", "qemu"),
                    machine=attribute(domain, "os/type", "machine"),
                    memory_mib=int(domain.findtext("memory", "0")) // 1024,
                    cache=attribute(domain, "devices/disk/driver", "cache"),
                )
                return host, guest, shape
    raise SystemExit(f"server {name}: found no running domain of it on {' or '.join(own_guest.HOSTS)}; expected one")


def attribute(domain: ElementTree.Element, path: str, name: str) -> str:
    """The attribute of the first element of that path; where there is none, what libvirt calls its own choice."""
    found = domain.find(path)
    return "default" if found is None else found.get(name, "default")


def by_nova(server: Guest, cloud: str, place: Place) -> float:
    done = module(
        "localhost",
        "server_migration",
        cloud=cloud,
        server=server.server,
        host=place.destination,
        migration_timeout=MOVE_WITHIN_S,
    )
    return float(done["seconds"])


def by_virsh(place: Place) -> float:
    return migrate_by_virsh(own_guest.NAME, place.source, place.destination)


def measured(guest: Guest, place: Place, move: Callable[[Place], float]) -> tuple[dict[str, float], Timeline]:
    """The figures of one migration under the eyes of a client, and what happened."""
    began = time.time()
    with recorded(orders_of(guest, place)) as recordings:
        returned = move(place)
        ended = None if answers_again(place.observer, guest.address) else time.time()
    told = timeline(guest, place, recordings, began, ended)
    if ended:
        raise SystemExit(f"{told.table()}\n{guest.domain}: found no answer at {guest.address} after its migration")
    return {"gap": told.first - told.last, "returned": returned, **told.parts}, told


def reported(runs: dict[str, list[dict[str, float]]], timelines: list[Timeline], as_json: bool) -> int:
    """Print what came of it all; 1 when the aim is missed."""
    middle = medians(runs)
    ratio = middle["nova"]["gap"] / middle["plain"]["gap"]
    if as_json:
        events = [
            [{"event": text, "host": host, "s": round(at - told.last, 6)} for at, host, text in told.events]
            for told in timelines
        ]
        print(json.dumps({"runs": runs, "medians": middle, "ratio": ratio, "events": events}, indent=1))
    else:
        print("| median of | nova | plain | difference |\n|---|---|---|---|")
        for name in dict.fromkeys([*middle["nova"], *middle["plain"]]):
            nova, plain = middle["nova"].get(name), middle["plain"].get(name)
            difference = None if nova is None or plain is None else nova - plain
            print(f"| {name} | {cell(nova)} | {cell(plain)} | {cell(difference)} |")
        print(f"\nRatio of the gaps {ratio:.2f} (at most {AIM})")
    return int(ratio > AIM)


def cell(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"


def main() -> int:
    """Run the pairs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("address")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--observer", default="client1", help="the client, in the public and the tenant network")
    parser.add_argument("--controller", default="ctl1", help="a host with OVN's databases")
    parser.add_argument("--cloud", default="admin", help="an administrator's in clouds.yaml")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    here, server, shape = found_server(arguments.server, arguments.address)
    domain = Guest(own_guest.NAME, own_guest.MAC, own_guest.ADDRESS)
    tools: list[tuple[str, Guest, Callable[[Place], float]]] = [
        ("nova", server, functools.partial(by_nova, server, arguments.cloud)),
        ("plain", domain, by_virsh),
    ]
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    timelines: list[Timeline] = []
    print(f"{shape}, gateways {gateways(arguments.controller)}", file=sys.stderr, flush=True)
    with own_guest.prepared(), own_guest.moving("shared", shape, here) as plain:
        for pair in range(arguments.pairs):
            place = Place(plain.here, plain.there, arguments.observer, arguments.controller)
            for tool, guest, move in reversed(tools) if pair % 2 else tools:
                figures, told = measured(guest, place, move)
                runs[tool].append(figures)
                said = ", ".join(f"{name} {seconds:.3f}" for name, seconds in figures.items())
                print(f"{tool:5} to {place.destination}: {said}", file=sys.stderr, flush=True)
                if tool == "nova":
                    timelines.append(told)
                    if not arguments.json:
                        print(f"\nServer to {place.destination}\n\n{told.table()}\n", flush=True)
            plain.has_gone_over()
            plain.check_whole()
    return reported(runs, timelines, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
