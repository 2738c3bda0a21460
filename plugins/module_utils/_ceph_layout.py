# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What an inventory alone tells of a Ceph cluster: what cannot work or loses data, and what is advised against."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_pool import WantedPool, validate
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import Finding

# Three hosts with four OSDs each: a disk that is lost is rebuilt onto the others of its host, and its share of the
# others' space and work is small.
ADVISED_HOSTS, ADVISED_OSDS = 3, 12
_POOL_OF_CAP = re.compile(r"\bpool[= ]\s*([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class CephLayout:
    """Hosts of the monitors and managers, devices by OSD host, addresses by host, and what is wanted of the cluster.

    A ``single`` host may be the only one: it has one monitor, and the replicas of its pools are on different OSDs.
    """

    monitors: Sequence[str]
    managers: Sequence[str]
    devices: Mapping[str, Sequence[str]]
    addresses: Mapping[str, str]
    pools: Sequence[Mapping[str, t.Any]]
    clients: Mapping[str, Mapping[str, str]]
    crush_rules: Sequence[Mapping[str, str]]
    single: bool


def refusals(layout: CephLayout) -> list[Finding]:
    """What cannot become a cluster that keeps its data, in a stable order."""
    return [*_without_address(layout), *_daemons(layout), *_devices(layout), *_pools(layout)]


def advice(layout: CephLayout) -> list[Finding]:
    """What works, but is less than is recommended for production."""
    return [*_size(layout), *_even_monitors(layout), *_files(layout), *_clients(layout)]


def _counted(hosts: Sequence[str]) -> str:
    return f"{len(hosts)} ({', '.join(hosts)})" if hosts else "none"


def _without_address(layout: CephLayout) -> Iterator[Finding]:
    for host in dict.fromkeys([*layout.monitors, *layout.managers, *layout.devices]):
        if not layout.addresses.get(host):
            remedy = "Add it to cloud_addresses of the host, or choose another ceph_network."
            yield Finding(f"host {host}", "no address on Ceph's network", "one", remedy)


def _daemons(layout: CephLayout) -> Iterator[Finding]:
    if len(layout.monitors) < (1 if layout.single else 3):
        expected = "3 or more, so that a majority survives the loss of one"
        remedy = "Add monitors. To learn with one host, set cloud_single_host."
        yield Finding("group ceph_mon", _counted(layout.monitors), expected, remedy)
    if not layout.managers:
        yield Finding("group ceph_mgr", "none", "2 or more", "Add managers, for instance on the hosts of the monitors.")


def _devices(layout: CephLayout) -> Iterator[Finding]:
    for host, devices in layout.devices.items():
        thing = f"ceph_osd_devices of {host}"
        if not devices:
            yield Finding(thing, "none", "the disks for OSDs", "Set it, or take the host out of ceph_osd.")
        for device in sorted({device for device in devices if list(devices).count(device) > 1}):
            yield Finding(thing, f"{device} more than once", "each device once", "Take the repetition out.")


def _pools(layout: CephLayout) -> Iterator[Finding]:
    domains = {rule["name"]: rule.get("failure_domain", "host") for rule in layout.crush_rules}
    default = "osd" if layout.single else "host"
    osds = sum(map(len, layout.devices.values()))
    places = {"host": len([host for host, devices in layout.devices.items() if devices]), "osd": osds}
    names = [pool["name"] for pool in layout.pools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding(f"pool {name}", "more than once in ceph_pools", "once", "Take the repetition out.")
    for pool in layout.pools:
        wanted = _wanted(pool)
        try:
            validate(wanted)
        except LifeboatError as error:
            yield Finding(error.thing, error.found, error.expected, error.remedy)
        domain = domains.get(wanted.crush_rule or "", default)
        size = wanted.size or 3
        # How many racks there are is known to the cluster alone; the module that makes the pool asks it.
        if not wanted.force and domain in places and places[domain] < size:
            found = f"size {size} with {places[domain]} of the kind {domain} that carry OSDs"
            remedy = f"Add OSDs on another {domain}, or lower the pool's size."
            yield Finding(f"pool {wanted.name}", found, f"at least {size}, one for each replica", remedy)


def _wanted(pool: Mapping[str, t.Any]) -> WantedPool:
    numbers: dict[str, t.Any] = {
        name: int(pool[name]) for name in ("size", "min_size", "pg_num") if pool.get(name) is not None
    }
    rule = pool.get("crush_rule")
    return WantedPool(name=str(pool["name"]), crush_rule=rule, force=bool(pool.get("force", False)), **numbers)


def _size(layout: CephLayout) -> Iterator[Finding]:
    osds, hosts = sum(map(len, layout.devices.values())), len(layout.devices)
    if osds < ADVISED_OSDS or hosts < ADVISED_HOSTS:
        yield Finding(
            "size of the Ceph cluster",
            f"{osds} OSDs on {hosts} hosts",
            f"{ADVISED_OSDS} on {ADVISED_HOSTS} or more for production",
            "Add disks; with few of them a lost one leaves a large share without its third copy.",
        )
    counts = {len(devices) for devices in layout.devices.values()}
    if len(counts) > 1:
        found = ", ".join(f"{host} {len(devices)}" for host, devices in layout.devices.items())
        yield Finding("OSDs of each host", found, "equal numbers", "Level them: the smallest host limits the space.")
    if len(layout.managers) == 1:
        yield Finding("group ceph_mgr", _counted(layout.managers), "2 or more", "Add a manager that stands by.")


def _even_monitors(layout: CephLayout) -> Iterator[Finding]:
    if len(layout.monitors) % 2 == 0:
        expected = "an odd number, as an even one survives no more losses"
        yield Finding("group ceph_mon", _counted(layout.monitors), expected, "Add or take out one.")


def _files(layout: CephLayout) -> Iterator[Finding]:
    files = [
        f"{host}:{path}" for host, paths in layout.devices.items() for path in paths if not path.startswith("/dev/")
    ]
    if files:
        remedy = "Use files to try things out only."
        yield Finding("OSDs in files", ", ".join(files), "disks or partitions", remedy)


def _clients(layout: CephLayout) -> Iterator[Finding]:
    pools = {pool["name"] for pool in layout.pools}
    for client, caps in layout.clients.items():
        named = {name for text in caps.values() for name in _POOL_OF_CAP.findall(text)}
        for name in sorted(named - pools):
            yield Finding(
                f"caps of {client}", f"the pool {name}", "one of ceph_pools", "Correct the caps or the pools."
            )
