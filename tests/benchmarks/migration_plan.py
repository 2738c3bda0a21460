# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning costs for a large cloud, each goal in a process of its own: seconds and peak memory.

From plain dictionaries to plain dictionaries, as the module has them, without reading and writing JSON.

Usage: ``python3 tests/benchmarks/migration_plan.py [--servers 10000] [--hosts 500] [GOAL...]`` from the repository,
after the tests' set-up has linked the collection. Exit status 1 when a figure misses its aim.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible" / "collections"))

from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_model import Policy
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan import Goal, Kind, make_plan, plan_json
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_input import fleet_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_learning import Estimates
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Limits

SECONDS_AIM = 10.0
MEMORY_AIM_MIB = 500.0
GIB = 2**30
GOALS = ("drain", "balance", "consolidate", "spread")
# A rack of 20 hosts of 128 processors and 512 GiB, ten of them to be drained.
DRAINED = 10
PER_RACK = 20


@dataclass(frozen=True)
class Figure:
    goal: str
    seconds: float
    memory_mib: float
    moves: int
    staying: int
    ratio: float


def cloud(hosts: int, servers: int, seed: int = 1) -> dict[str, list[dict[str, t.Any]]]:
    """Hosts of two generations in racks, servers of five flavors, a tenth of them in anti-affinity groups of five."""
    chance = random.Random(seed)
    racks = [f"rack{number}" for number in range((hosts + PER_RACK - 1) // PER_RACK)]
    members = [
        {
            "name": f"cmp{number:03}",
            "vcpus": 512,
            "memory": 512 * GIB,
            "bandwidth": 1.25e9,
            "link": racks[number // PER_RACK],
            "hypervisor": "QEMU",
            "hypervisor_version": "10.0.0",
            "cpu_model": "EPYC-Milan" if number % 2 else "EPYC-Rome",
            "cpu_models": ["EPYC-Rome", "EPYC"],
            "storage": "ceph",
            "zone": f"zone{number % 3}",
        }
        for number in range(hosts)
    ]
    flavors = [(2, 4), (4, 8), (4, 16), (8, 32), (16, 64)]
    guests = []
    for number in range(servers):
        vcpus, memory = chance.choice(flavors)
        # Some members of a group are on one host, for ``spread`` to part.
        place = number // 50 * 0.37 % 1 if number % 50 < 3 else chance.random() ** 1.3
        guests.append(
            {
                "name": f"server{number:05}",
                "host": f"cmp{int(hosts * place):03}",
                "vcpus": vcpus,
                "memory": memory * GIB,
                "dirty_rate": chance.choice([1e6, 2e7, 1e8, 6e8]),
                "storage": "shared",
                "cpu_model": "EPYC-Rome",
                "group": f"group{number // 50:04}" if number % 50 < 5 else None,
            }
        )
    groups = [{"name": f"group{number:04}", "policy": "anti-affinity"} for number in range((servers + 49) // 50)]
    links = [{"name": rack, "bandwidth": 1.25e10} for rack in racks]
    return {"hosts": members, "servers": guests, "groups": groups, "links": links}


def measured(goal: Kind, hosts: int, servers: int, out: multiprocessing.SimpleQueue[Figure]) -> None:
    given = cloud(hosts, servers)
    before = time.monotonic()
    fleet = fleet_of(**given)
    names = tuple(sorted(fleet.hosts)[:DRAINED]) if goal == "drain" else ()
    plan = plan_json(make_plan(fleet, Goal(goal, names), Limits(), Policy(), Estimates()))
    seconds = time.monotonic() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    summary = plan["summary"]
    ratio = summary["total_s"] / summary["lower_bound_s"] if summary["lower_bound_s"] else 1.0
    out.put(Figure(goal, seconds, memory, summary["moves"], summary["staying"], ratio))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("goal", nargs="*", default=GOALS)
    chosen = parser.parse_args()
    print("| goal | s | MiB | moves | staying | total / lower bound |\n|---|---|---|---|---|---|")
    missed = False
    for goal in chosen.goal:
        out: multiprocessing.SimpleQueue[Figure] = multiprocessing.get_context("spawn").SimpleQueue()
        process = multiprocessing.get_context("spawn").Process(
            target=measured, args=(goal, chosen.hosts, chosen.servers, out)
        )
        process.start()
        process.join()
        if process.exitcode:
            return 1
        seen = out.get()
        missed |= seen.seconds > SECONDS_AIM or seen.memory_mib > MEMORY_AIM_MIB
        cost = f"{seen.seconds:.1f} | {seen.memory_mib:.0f}"
        print(f"| {goal} | {cost} | {seen.moves} | {seen.staying} | {seen.ratio:.2f} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
