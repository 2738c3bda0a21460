# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a machine of another hypervisor takes from its OVA to an answering server, and with what the time is spent.

The machine has one disk of 64 MiB, the guest image, at a SATA controller. Each run imports it with the playbook, and
then takes all of it away again.

Usage: ``python3 tests/benchmarks/machine_import.py [--runs 3] [--virtio] [--json]`` from the repository, after the
playbooks guest_image and cloud_content. With ``--virtio`` the guest is said to have virtio's drivers, so that it leaves
SATA. Exit status 1 when the median is more than 15 s.

The figures are seconds, from the import's receipt: ``copy`` and ``upload`` are of the disk, ``server`` ends when Nova
has it ACTIVE and its floating IP is there, ``answer`` with the first page that the guest delivers. ``total`` is their
sum, from the first task to the answer; ``playbook`` is the whole command, with the start of Ansible and the receipt.
``active`` is the part of ``server`` from the request to Nova.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

from _lab import medians, module, shell
from importing import packing, prepared_project, receipt, remove, run
from standing_lab import ROOT

AIM_S = 15
PLACE = "/var/tmp/import-benchmark"
ARCHIVE = f"{PLACE}/import-web.ova"


@contextlib.contextmanager
def archive(host: str) -> Iterator[str]:
    """While the block runs the host has the OVA."""
    try:
        module(host, "ansible.builtin.file", path=PLACE, state="directory")
        module(host, "ansible.builtin.copy", src=str(ROOT / ".lab/guest.raw"), dest=f"{PLACE}/boot.raw")
        shell(host, f"cd {PLACE}\n{packing(ARCHIVE, 'import-web', {'boot': 64})}\nrm -f boot.raw boot.vmdk")
        yield ARCHIVE
    finally:
        module(host, "ansible.builtin.file", path=PLACE, state="absent")


def imported(source: str, virtio: bool) -> dict[str, float]:
    """The figures of one import."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.monotonic()
        given = {"machine_import_networks": {"VM Network": "import-net"}, "machine_import_virtio": virtio}
        run(source, Path(directory), **given)
        whole = time.monotonic() - began
        told: dict[str, t.Any] = receipt(Path(directory))
    steps = {each["step"].partition(" ")[0]: float(each["seconds"]) for each in told["steps"]}
    active = float(told["server_seconds"]["server"])
    return {**steps, "active": active, "total": sum(steps.values()), "playbook": whole}


def main() -> int:
    """Run the imports and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--host", default="ctl1", help="where the playbook imports, the first host of glance")
    parser.add_argument("--virtio", action="store_true", help="the guest has virtio's drivers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs: list[dict[str, float]] = []
    with prepared_project() as project, archive(arguments.host) as source:
        for _run in range(arguments.runs):
            runs.append(imported(source, arguments.virtio))
            remove(project)
            print(", ".join(f"{name} {seconds:.1f}" for name, seconds in runs[-1].items()), file=sys.stderr, flush=True)
    middle = medians({"import": runs})["import"]
    if arguments.json:
        print(json.dumps({"runs": runs, "medians": middle}, indent=1))
    else:
        print("| " + " | ".join(middle) + " |\n|" + "---|" * len(middle))
        print("| " + " | ".join(f"{seconds:.1f}" for seconds in middle.values()) + " |")
    return int(middle["total"] > AIM_S)


if __name__ == "__main__":
    sys.exit(main())
