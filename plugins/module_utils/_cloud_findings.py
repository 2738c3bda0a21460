# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether a cloud's services, its Ceph cluster and its schemas are as they should be, from what they say themselves."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.lifeboat.cloud.plugins.module_utils._steady import Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Json = Mapping[str, t.Any]
# Oslo's table of checks, whose lines are "| Check: NAME |", "| Result: Success |" and "| Details: TEXT |".
_CHECK = re.compile(r"Check: (?P<name>.*?) Result: (?P<result>\w+)(?: Details: (?P<details>.*?))?(?= Check: |$)")
_UPGRADE_SEVERITY = {0: "success", 1: "warnings", 2: "failures"}


def cloud_findings(seen: Json, expected: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Everything that is amiss; empty when nothing is.

    ``seen`` = {services: [as cloud_service_info returns them], ceph: as ceph_info returns it or None,
    upgrade_checks: [{service, rc, stdout}]}; ``expected`` = {program: [host]}.
    """
    return [
        *_absent(seen.get("services") or (), expected),
        *_not_serving(seen.get("services") or ()),
        *_of_ceph(seen.get("ceph")),
        *_of_upgrades(seen.get("upgrade_checks") or ()),
    ]


def _absent(services: Iterable[Json], expected: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    there = {(service["binary"], service["host"]) for service in services}
    for binary, hosts in expected.items():
        for host in hosts:
            if (binary, host) not in there:
                remedy = f"Start {binary} there and read its log."
                yield Finding(binary, host, "that it has never reported", "a service that reports", remedy)


def _not_serving(services: Iterable[Json]) -> Iterator[Finding]:
    for service in services:
        binary, host = service["binary"], service["host"]
        place = f" ({service['name']})" if service["name"] != host else ""
        if not service["up"]:
            remedy = f"Start {binary} on {host} and read its log, or delete its record if the host is gone."
            yield Finding(binary, host, f"down{place}", "up", remedy)
        if not service["enabled"]:
            why = f": {service['reason']}" if service["reason"] else ""
            yield Finding(binary, host, f"disabled{place}{why}", "enabled", "Enable it when the work on it is done.")


def _of_ceph(ceph: Json | None) -> Iterator[Finding]:
    if not ceph:
        return
    health = ceph["health"]
    if health["status"] != "HEALTH_OK":
        raised = "; ".join(f"{check['code']}: {check['summary']}" for check in health["checks"])
        yield Finding("ceph", None, f"{health['status']} ({raised})", "HEALTH_OK", "See ceph health detail.")
    muted = [check["code"] for check in health["checks"] if check["muted"]]
    if muted:
        yield Finding("ceph", None, f"muted {', '.join(muted)}", "no muted check", "Mend the cause and unmute it.")
    silent = sorted(set(ceph["monitors"]["names"]) - set(ceph["monitors"]["quorum"]))
    if silent:
        found = f"{', '.join(silent)} outside the quorum"
        yield Finding("ceph", None, found, "all monitors in it", "Start the monitor and read its journal.")


def _of_upgrades(checks: Iterable[Json]) -> Iterator[Finding]:
    for check in checks:
        if check["rc"] == 0:
            continue
        text = " ".join(line.strip("|+- ") for line in check["stdout"].splitlines())
        said = [
            f"{match['name']}: {match['details']}"
            for match in _CHECK.finditer(" ".join(text.split()))
            if match["result"] != "Success"
        ]
        severity = _UPGRADE_SEVERITY.get(check["rc"], f"exit code {check['rc']}")
        found = f"{severity} of {check['service']}-status upgrade check{': ' if said else ''}{'; '.join(said)}"
        yield Finding(check["service"], None, found, "success", "Do what the check says.")
