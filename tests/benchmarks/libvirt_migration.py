# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt_migration adds to a migration, and whether one of a guest that writes too fast ends within its bounds.

The same guest there and back, by turns with the module and with virsh migrate. Total: the seconds that libvirt itself
says the migration took, and those until the call returned. Gap: the longest time without an answer to an ICMP echo,
sent 50 times a second from the first host.

Usage: ``python3 tests/benchmarks/libvirt_migration.py DOMAIN ADDRESS [--pairs 6] [--hosts cmp1 cmp2] [--json]`` from
the repository, with a domain that runs on the first host and answers at the address. Exit status 1 when a figure misses
its aim: total at most 1.05 times that of virsh, gap at most 1.1 times, by the medians.

With ``--busy 10 [--json]`` instead, ten migrations of a guest of its own that rewrites 60 MiB of memory faster than
the link, which is held to 20 MiB a second, carries: by turns with then=post_copy and then=throttle, after 5 s, with
30 s more to end. Exit status 1 when one did not end by its policy and in that time. After each the guest has to be
whole: in one place, the same boot, its counter not gone back.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import typing as t
from collections import defaultdict

from _lab import answers, answers_again, gaps, medians, migrate_by_virsh, module, own_guest, pinging, recorded, shell

AIMS = {"total_s": 1.05, "gap_s": 1.1}
LINK_MIB_S = 20
BOUNDS = {"max_seconds": 5, "finish_seconds": 30}


def migrate(tool: str, domain: str, source: str, destination: str) -> float:
    """Seconds until the call returned."""
    if tool == "virsh":
        return migrate_by_virsh(domain, source, destination)
    uri = f"qemu+tls://{destination}/system"
    done = module(source, "libvirt_migration", name=domain, destination=uri)
    return float(done["migration"]["total_s"])


def statistics_of(domain: str, host: str) -> dict[str, float]:
    """The seconds of the last migration by libvirt's own statistics, which the destination has."""
    said = shell(host, f"virsh domjobinfo {domain} --completed")
    found = {
        name: re.search(rf"^{name}:\s+([0-9.]+)\s+(\w+)", said, re.M) for name in ("Time elapsed", "Total downtime")
    }
    if not all(found.values()):
        raise SystemExit(f"domjobinfo on {host}: {said}")
    total, downtime = (float(match[1]) / (1000 if match[2] == "ms" else 1) for match in found.values() if match)
    return {"total_s": total, "downtime_s": downtime}


def measured(tool: str, arguments: argparse.Namespace, source: str, destination: str) -> dict[str, float]:
    """One migration under the eyes of a client."""
    observer = arguments.hosts[0]
    with recorded({observer: pinging(arguments.address)}) as recordings:
        returned = migrate(tool, arguments.domain, source, destination)
        if not answers_again(observer, arguments.address):
            raise SystemExit(f"{arguments.domain}: found no answer at {arguments.address} after its migration")
    before, after = gaps(answers(recordings[observer]))[0]
    found = {"returned_s": returned, "gap_s": after - before, **statistics_of(arguments.domain, destination)}
    print(f"{tool:6} to {destination}: {found}", file=sys.stderr, flush=True)
    return found


def by_turns(arguments: argparse.Namespace) -> int:
    """Run the pairs and print the figures."""
    here, there = arguments.hosts
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for pair in range(arguments.pairs):
        for tool in ("virsh", "module") if pair % 2 else ("module", "virsh"):
            runs[tool] += [measured(tool, arguments, here, there), measured(tool, arguments, there, here)]
    middle = medians(runs)
    ratios = {name: middle["module"][name] / middle["virsh"][name] for name in middle["virsh"]}
    missed = [name for name, aim in AIMS.items() if ratios[name] > aim]
    if arguments.json:
        print(json.dumps({"runs": runs, "medians": middle, "ratios": ratios, "missed": missed}, indent=1))
    else:
        for name, ratio in ratios.items():
            both = (f"{tool} {middle[tool][name]:.3f}" for tool in ("virsh", "module"))
            print(f"{name:12} {', '.join(both)}, ratio {ratio:.3f} (at most {AIMS.get(name, '-')})")
    return 1 if missed else 0


def bounded(guest: own_guest.Moving, then: str) -> dict[str, t.Any]:
    """One migration of a guest that writes too fast, and whether it ended as its policy says, in its time."""
    # Anew for each, since the guest stops writing by itself after some minutes.
    guest.write_memory()
    result: dict[str, t.Any] = guest.migrate(check=False, then=then, bandwidth=LINK_MIB_S, **BOUNDS)
    seen = result.get("migration") or {}
    in_time = seen.get("ended_by") == then and seen["total_s"] <= sum(BOUNDS.values())
    figures = {name: seen.get(name) for name in ("ended_by", "total_s", "downtime_ms", "iterations")}
    return {"then": then, "in_time": in_time, **figures, "found": result.get("found")}


def busy(arguments: argparse.Namespace) -> int:
    """Run the migrations of a guest that writes too fast and print the figures."""
    runs = []
    with own_guest.prepared(), own_guest.moving("shared") as guest:
        for then in itertools.islice(itertools.cycle(("post_copy", "throttle")), arguments.busy):
            runs.append(bounded(guest, then))
            print(f"on {guest.here}: {runs[-1]}", file=sys.stderr, flush=True)
    in_time = [run for run in runs if run["in_time"]]
    if arguments.json:
        print(json.dumps({"runs": runs, "in_time": len(in_time)}, indent=1))
    else:
        for then in sorted({run["then"] for run in runs}):
            seconds = [run["total_s"] for run in in_time if run["then"] == then]
            print(f"{then:12} {min(seconds):.1f} to {max(seconds):.1f} s" if seconds else f"{then:12} none in time")
        print(f"{'in time':12} {len(in_time)} of {len(runs)} (all)")
    return 0 if len(in_time) == len(runs) else 1


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", nargs="?")
    parser.add_argument("address", nargs="?")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--hosts", nargs=2, default=["cmp1", "cmp2"])
    parser.add_argument("--busy", type=int, metavar="RUNS", help="migrations of a guest that writes too fast instead")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.busy is None and arguments.address is None:
        parser.error("expected DOMAIN and ADDRESS, or --busy RUNS")
    return by_turns(arguments) if arguments.busy is None else busy(arguments)


if __name__ == "__main__":
    sys.exit(main())
