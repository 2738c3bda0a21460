# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether a machine can carry the lab: what it has, and what it lacks."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import resource
import shutil
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

COMMAND_TIMEOUT_S = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What was found: memory and disk in MiB, ``routes`` as (network, interface), limits as the kernel states them."""

    user_id: int
    commands: frozenset[str]
    unified_cgroups: bool
    memory_mib: int
    disk_mib: int
    routes: tuple[tuple[str, str], ...]
    lab_interfaces: frozenset[str]
    open_files: int
    processes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """What the lab asks for; memory and disk in MiB, networks as CIDR by name."""

    memory_mib: int
    disk_mib: int
    networks: dict[str, str]
    commands: tuple[str, ...] = ("podman", "mmdebstrap", "ip", "nsenter")


def problems(machine: Machine, need: Need) -> list[LifeboatError]:
    """Every reason why the lab cannot be made here, the most basic first; empty when it can."""
    found: list[LifeboatError] = []
    if machine.user_id != 0:
        found.append(
            LifeboatError("the user", f"user id {machine.user_id}", "root (user id 0)", "Run the playbook as root.")
        )
    missing = sorted(set(need.commands) - machine.commands)
    if missing:
        found.append(
            LifeboatError(
                "commands of this machine",
                f"no {', '.join(missing)}",
                f"{', '.join(need.commands)} in the PATH",
                "Install podman, crun, netavark, mmdebstrap, iproute2 and util-linux.",
            )
        )
    if not machine.unified_cgroups:
        found.append(
            LifeboatError(
                "/sys/fs/cgroup",
                "the old cgroup layout",
                "cgroup2, which systemd 256 and later needs inside containers",
                "Boot with systemd.unified_cgroup_hierarchy=1, or start the lab with scripts/demo.",
            )
        )
    for thing, has, wants in (
        ("memory", machine.memory_mib, need.memory_mib),
        ("disk space for containers", machine.disk_mib, need.disk_mib),
    ):
        if has < wants:
            found.append(
                LifeboatError(
                    thing,
                    f"{has} MiB available",
                    f"at least {wants} MiB",
                    "Free some, or lower lab_memory_mib or lab_disk_mib if you know better.",
                )
            )
    found.extend(_address_problems(machine, need))
    return found


def _address_problems(machine: Machine, need: Need) -> list[LifeboatError]:
    found = []
    for name, cidr in need.networks.items():
        try:
            wanted = ipaddress.ip_network(cidr)
        except ValueError as error:
            remedy = "Correct the range in cloud_networks."
            found.append(LifeboatError(f"network {name} ({cidr})", str(error), "an address range (CIDR)", remedy))
            continue
        for destination, interface in machine.routes:
            route = ipaddress.ip_network(destination, strict=False)
            if interface not in machine.lab_interfaces and route.version == wanted.version and route.overlaps(wanted):
                found.append(
                    LifeboatError(
                        f"network {name} ({cidr})",
                        f"a route to {destination} through {interface}",
                        "an address range that nothing on this machine uses",
                        "Choose another range in cloud_networks and cloud_addresses.",
                    )
                )
    return found


def look(network_prefix: str) -> Machine:
    """What this machine has; networks of podman whose name begins with ``network_prefix`` are the lab's own."""
    commands = frozenset(name for name in Need(0, 0, {}).commands if shutil.which(name))
    storage = next(path for path in (Path("/var/lib/containers"), Path("/var/lib")) if path.exists())
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    routes = _json(["ip", "-j", "route"]) if "ip" in commands else []
    user_id = os.geteuid()
    # Podman of another user than root has networks of its own, or fails.
    asked = user_id == 0 and "podman" in commands
    networks = _json(["podman", "network", "ls", "--format", "json"]) if asked else []
    return Machine(
        user_id=user_id,
        commands=commands,
        unified_cgroups=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        memory_mib=int(memory["MemAvailable"].split()[0]) // 1024,
        disk_mib=shutil.disk_usage(storage).free // 2**20,
        routes=tuple((route["dst"], route.get("dev", "")) for route in routes if route["dst"] != "default"),
        lab_interfaces=frozenset(
            str(network["network_interface"]) for network in networks if network["name"].startswith(network_prefix)
        ),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        processes=resource.getrlimit(resource.RLIMIT_NPROC)[1],
    )


def _json(command: list[str]) -> list[dict[str, str]]:
    result: list[dict[str, str]] = json.loads(output_of(command, COMMAND_TIMEOUT_S) or "[]")
    return result
