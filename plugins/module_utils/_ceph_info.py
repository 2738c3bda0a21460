# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The state of a Ceph cluster as its monitors see it, in a shape that does not change with Ceph's releases."""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_flag import flags_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import Pool, pools_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph import Ceph, Json

_VERSION = re.compile(r"ceph version (\S+)")


@dataclass(frozen=True, slots=True)
class Check:
    """One health check that is raised. A muted one does not count for the status."""

    code: str
    severity: str
    summary: str
    muted: bool
    detail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """``status`` is HEALTH_OK, HEALTH_WARN or HEALTH_ERR."""

    status: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Monitors:
    """All monitors by name, those that take part in the quorum, and the one that leads it."""

    names: tuple[str, ...]
    quorum: tuple[str, ...]
    leader: str


@dataclass(frozen=True, slots=True)
class Managers:
    """The active manager, empty when none is available, and how many stand by."""

    available: bool
    active: str
    standbys: int


@dataclass(frozen=True, slots=True)
class Osd:
    """One OSD and where it stands. ``device_class`` is empty when it has none."""

    id: int
    host: str
    device_class: str
    up: bool
    into: bool
    reweight: float
    crush_weight: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of the CRUSH tree (root, rack, host ...) and the names of what is directly below it."""

    name: str
    type: str
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlacementGroups:
    """How many placement groups there are, by state. ``clean`` when all are active and clean, whatever else they do."""

    total: int
    clean: bool
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes of all OSDs together, with every replica."""

    total_bytes: int
    used_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class CephState:
    """All of it. ``versions`` is by type of daemon: how many run which version."""

    fsid: str
    health: Health
    monitors: Monitors
    managers: Managers
    flags: tuple[str, ...]
    osds: tuple[Osd, ...]
    buckets: tuple[Bucket, ...]
    pools: tuple[Pool, ...]
    placement_groups: PlacementGroups
    capacity: Capacity
    versions: Mapping[str, Mapping[str, int]]

    def to_json(self) -> Json:
        """Plain dictionaries and lists."""
        shape = asdict(self)
        for osd in shape["osds"]:
            osd["in"] = osd.pop("into")
        return shape


def read_state(ceph: Ceph) -> CephState:
    """Ask the monitors. The managers are not needed for it; without them the figures are the last they reported."""
    status = ceph.read("status")
    quorum = ceph.read("quorum_status")
    tree = ceph.read("osd tree")
    return CephState(
        fsid=status["fsid"],
        health=health_of(ceph.read("health", detail="detail")),
        monitors=monitors_of(quorum),
        managers=managers_of(ceph.read("mgr stat")),
        flags=tuple(sorted(flags_of(ceph))),
        osds=osds_of(tree),
        buckets=buckets_of(tree["nodes"]),
        pools=tuple(pools_of(ceph)),
        placement_groups=placement_groups_of(status["pgmap"]),
        capacity=capacity_of(status["pgmap"]),
        versions=versions_of(ceph.read("versions")),
    )


def health_of(shown: Json) -> Health:
    checks = (
        Check(
            code=code,
            severity=check["severity"],
            summary=check["summary"]["message"],
            muted=bool(check.get("muted")),
            detail=tuple(line["message"] for line in check.get("detail", ())),
        )
        for code, check in shown["checks"].items()
    )
    return Health(shown["status"], tuple(sorted(checks, key=lambda check: check.code)))


def monitors_of(shown: Json) -> Monitors:
    names = sorted(monitor["name"] for monitor in shown["monmap"]["mons"])
    return Monitors(tuple(names), tuple(sorted(shown["quorum_names"])), shown["quorum_leader_name"])


def managers_of(shown: Json) -> Managers:
    available = bool(shown["available"])
    return Managers(available, shown["active_name"] if available else "", shown["num_standby"])


def osds_of(tree: Json) -> tuple[Osd, ...]:
    """All OSDs, also those that stand nowhere in the tree."""
    hosts = {child: node["name"] for node in tree["nodes"] if node["type"] == "host" for child in node["children"]}
    osds = (
        Osd(
            id=node["id"],
            host=hosts.get(node["id"], ""),
            device_class=node.get("device_class", ""),
            up=node["status"] == "up",
            into=node["reweight"] > 0,
            reweight=float(node["reweight"]),
            crush_weight=float(node["crush_weight"]),
        )
        for node in (*tree["nodes"], *tree["stray"])
        if node["type"] == "osd"
    )
    return tuple(sorted(osds, key=lambda osd: osd.id))


def buckets_of(nodes: Sequence[Json]) -> tuple[Bucket, ...]:
    names = {node["id"]: node["name"] for node in nodes}
    return tuple(
        Bucket(node["name"], node["type"], tuple(sorted(names[child] for child in node["children"] if child in names)))
        for node in nodes
        if node["type"] != "osd"
    )


def placement_groups_of(pgmap: Json) -> PlacementGroups:
    states = {each["state_name"]: int(each["count"]) for each in pgmap["pgs_by_state"]}
    clean = all({"active", "clean"} <= set(state.split("+")) for state in states)
    return PlacementGroups(int(pgmap["num_pgs"]), clean, states)


def capacity_of(pgmap: Json) -> Capacity:
    return Capacity(pgmap["bytes_total"], pgmap["bytes_used"], pgmap["bytes_avail"])


def versions_of(shown: Json) -> dict[str, dict[str, int]]:
    """``{"mon": {"18.2.7": 3}}``, of what Ceph gives with its commit and its release's name."""
    return {daemon: _counted(running) for daemon, running in shown.items() if running and daemon != "overall"}


def _counted(running: Mapping[str, int]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for text, count in running.items():
        match = _VERSION.match(text)
        version = match[1] if match else text
        counted[version] = counted.get(version, 0) + count
    return counted
