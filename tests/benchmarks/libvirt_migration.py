# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt_migration adds to a migration: the same guest there and back, by turns with it and with virsh migrate.

Total: the seconds that libvirt itself says the migration took, and those until the call returned. Gap: the longest time
without an answer to an ICMP echo, sent 50 times a second from the first host.

Usage: ``python3 tests/benchmarks/libvirt_migration.py DOMAIN ADDRESS [--pairs 6] [--hosts cmp1 cmp2] [--json]`` from
the repository, with a domain that runs on the first host and answers at the address. Exit status 1 when a figure misses
its aim: total at most 1.05 times that of virsh, gap at most 1.1 times, by the medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AIMS = {"total_s": 1.05, "gap_s": 1.1}
PROBE = "/run/migration-benchmark"
# The wall time of one call, without the start of a remote shell.
VIRSH = (
    "python3 -c 'import subprocess, time; begin = time.monotonic();"
    ' subprocess.run("virsh migrate --live --p2p --tls --persistent --undefinesource {domain} {uri}".split(),'
    " check=True, stdout=subprocess.DEVNULL); print(time.monotonic() - begin)'"
)


def ansible(host: str, module: str, arguments: str) -> dict[str, object]:
    """The result of one module on one host."""
    with tempfile.TemporaryDirectory() as results:
        done = subprocess.run(
            ["ansible", host, "-m", module, "-a", arguments, "-t", results],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        result: dict[str, object] = json.loads((Path(results) / host).read_text(encoding="utf-8"))
    return result


def shell(host: str, command: str) -> str:
    return str(ansible(host, "ansible.builtin.shell", command)["stdout"])


def migrate(tool: str, domain: str, source: str, destination: str) -> float:
    """Seconds until the call returned."""
    uri = f"qemu+tls://{destination}/system"
    if tool == "virsh":
        return float(shell(source, VIRSH.format(domain=domain, uri=uri)))
    done = ansible(source, "lifeboat.cloud.libvirt_migration", f"name={domain} destination={uri}")
    return float(done["migration"]["total_s"])  # type: ignore[index]


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
    shell(observer, f"setsid ping -D -n -i 0.02 -w 120 {arguments.address} >{PROBE} & echo $! >{PROBE}.pid; sleep 0.5")
    returned = migrate(tool, arguments.domain, source, destination)
    shell(observer, f"sleep 0.5; kill -INT $(cat {PROBE}.pid)")
    answers = [
        float(stamp) for stamp in re.findall(r"^\[([0-9.]+)\] .*icmp_seq", shell(observer, f"cat {PROBE}"), re.M)
    ]
    gap = max(after - before for before, after in itertools.pairwise(answers))
    found = {"returned_s": returned, "gap_s": gap, **statistics_of(arguments.domain, destination)}
    print(f"{tool:6} to {destination}: {found}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Run the pairs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domain")
    parser.add_argument("address")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--hosts", nargs=2, default=["cmp1", "cmp2"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    here, there = arguments.hosts
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for pair in range(arguments.pairs):
        for tool in ("virsh", "module") if pair % 2 else ("module", "virsh"):
            runs[tool] += [measured(tool, arguments, here, there), measured(tool, arguments, there, here)]
    medians = {
        tool: {name: statistics.median(run[name] for run in each) for name in each[0]} for tool, each in runs.items()
    }
    ratios = {name: medians["module"][name] / medians["virsh"][name] for name in medians["virsh"]}
    missed = [name for name, aim in AIMS.items() if ratios[name] > aim]
    if arguments.json:
        print(json.dumps({"runs": runs, "medians": medians, "ratios": ratios, "missed": missed}, indent=1))
    else:
        for name, ratio in ratios.items():
            both = (f"{tool} {medians[tool][name]:.3f}" for tool in ("virsh", "module"))
            print(f"{name:12} {', '.join(both)}, ratio {ratio:.3f} (at most {AIMS.get(name, '-')})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
