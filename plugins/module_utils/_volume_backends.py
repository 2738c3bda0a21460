# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Where Cinder can keep volumes: the pools its scheduler knows, the services behind them, and the volume types."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import read, read_list
from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import MICROVERSION

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service


@dataclass(frozen=True, slots=True)
class Pool:
    """A place for volumes, ``name`` being HOST@BACKEND#POOL or CLUSTER@BACKEND#POOL. GiB, None where not known.

    ``room`` is what the scheduler would still give away, ``free`` what is not written yet. ``down`` is its storage's.
    """

    name: str
    room: float | None
    free: float | None
    down: bool

    @classmethod
    def parse(cls, body: Json) -> Pool:
        """From an answer of C(scheduler-stats/get_pools)."""
        capabilities = body["capabilities"]
        return cls(
            name=body["name"],
            room=room_of(capabilities),
            free=_number(capabilities.get("free_capacity_gb")),
            down=capabilities.get("backend_state") == "down",
        )

    @property
    def backend(self) -> str:
        """HOST@BACKEND."""
        return backend_of(self.name)


@dataclass(frozen=True, slots=True)
class VolumeType:
    """A volume type; ``specs`` are its extra specs, ``qos`` the UUID of its QoS specs, None where it has none."""

    id: str
    name: str
    specs: Mapping[str, str]
    qos: str | None = None

    @property
    def multiattach(self) -> bool:
        """Whether its volumes can have several attachments; Cinder takes no other spelling for that."""
        return self.specs.get("multiattach") == "<is> True"

    @property
    def sizes(self) -> tuple[float, float]:
        """The smallest and the largest size that its volumes may have, in GiB."""
        smallest, largest = (_number(self.specs.get(f"provisioning:{name}_vol_size")) for name in ("min", "max"))
        return smallest or 0.0, largest or math.inf

    def offered_by(self, capabilities: Mapping[str, t.Any]) -> bool:
        """Whether a pool has what the type asks for, as far as that is a plain value: other operators are Cinder's."""
        for key, wanted in self.specs.items():
            scope, _colon, name = key.rpartition(":")
            # What has another scope is for the driver.
            if scope in ("", "capabilities") and not _meets(capabilities.get(name), wanted):
                return False
        return True


def _meets(found: t.Any, wanted: str) -> bool:
    operator, *words = wanted.split() or [""]
    values = [str(each).lower() for each in (found if isinstance(found, list) else [found])]
    if operator == "<is>":
        return "".join(words).lower() in values
    # Cinder's other operators: <in>, <or>, and comparisons of numbers (=, ==, >=) and texts (s==).
    if operator in ("<in>", "<or>", "<all-in>") or operator.removeprefix("s")[:1] in ("=", "!", "<", ">"):
        return True
    return wanted.lower() in values


def backend_of(place: str) -> str:
    """HOST@BACKEND of HOST@BACKEND#POOL."""
    return place.partition("#")[0]


def room_of(capabilities: Mapping[str, t.Any]) -> float | None:
    """How many GiB of new volumes the scheduler's CapacityFilter would let pass; None where it cannot be told.

    The arithmetic is that of cinder/scheduler/sched_utils.py, calculate_capacity_factors.
    """
    total, free = (_number(capabilities.get(f"{name}_capacity_gb")) for name in ("total", "free"))
    provisioned = _number(capabilities.get("provisioned_capacity_gb"))
    if total is None or free is None:
        return None
    available = total - math.floor(total * (_number(capabilities.get("reserved_percentage")) or 0.0) / 100)
    if capabilities.get("thin_provisioning_support") is not True:
        return free if provisioned is None else min(free, available - provisioned)
    ratio = _number(capabilities.get("max_over_subscription_ratio"))
    # The ratio "auto" is the scheduler's own affair.
    return None if ratio is None or provisioned is None else available * ratio - provisioned


def _number(value: t.Any) -> float | None:
    """The number, which drivers also give as text; None for unknown, infinite, auto and nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def read_pools(cinder: Service, volume_type: VolumeType | None = None) -> list[Pool]:
    """All pools, or those that offer the type."""
    # Asked for a type's pools (volume_type), Cinder 26 fails where a pool is thin: it looks for room for a size that it
    # was not given.
    answer = read(cinder, "/scheduler-stats/get_pools", MICROVERSION, detail="true")
    return [
        Pool.parse(body)
        for body in answer["pools"]
        if volume_type is None or volume_type.offered_by(body["capabilities"])
    ]


def find_pool(cinder: Service, name: str) -> Pool:
    """The pool of that name; a LifeboatError names those that there are."""
    pools = {pool.name: pool for pool in read_pools(cinder)}
    if name in pools:
        return pools[name]
    # The scheduler forgets the pools of a service that is down.
    require_ready(cinder, backend_of(name))
    known = ", ".join(sorted(pools)) or "none"
    remedy = "Give it as HOST@BACKEND#POOL, with the cluster's name as HOST where there is a cluster."
    raise LifeboatError(f"back end {name}", f"no such pool; there are: {known}", "one of them", remedy)


def find_type(cinder: Service, name: str) -> VolumeType:
    """The volume type of that name or UUID; a LifeboatError names those that there are."""
    bodies = read_list(cinder, "/types", "volume_types", MICROVERSION, is_public="None")
    for body in bodies:
        if name in (body["name"], body["id"]):
            return VolumeType(body["id"], body["name"], body.get("extra_specs") or {}, body.get("qos_specs_id"))
    known = ", ".join(sorted(body["name"] for body in bodies)) or "none"
    raise LifeboatError(f"volume type {name}", f"no such type; there are: {known}", "one of them", "Correct the name.")


def is_encrypted(cinder: Service, volume_type: VolumeType) -> bool:
    """Whether its volumes are encrypted."""
    return bool(read(cinder, f"/types/{volume_type.id}/encryption", MICROVERSION))


def limits_guests(cinder: Service, volume_type: VolumeType) -> bool:
    """Whether the hypervisor has to enforce its QoS."""
    if volume_type.qos is None:
        return False
    specs = read(cinder, f"/qos-specs/{volume_type.qos}", MICROVERSION)["qos_specs"]
    return bool(specs["consumer"] != "back-end")


def not_ready(cinder: Service, backend: str) -> str | None:
    """What keeps the services of a back end from work; None when at least one can."""
    bodies = read_list(cinder, "/os-services", "services", MICROVERSION, binary="cinder-volume")
    services = [each for each in bodies if backend in (each["host"], each.get("cluster"))]
    said = {each["host"]: f"{each['status']} and {each['state']}" for each in services}
    if not services:
        return f"no cinder-volume that serves it, but: {', '.join(sorted(each['host'] for each in bodies)) or 'none'}"
    if any(state == "enabled and up" for state in said.values()):
        return None
    return ", ".join(f"cinder-volume {host} {state}" for host, state in sorted(said.items()))


def is_clustered(cinder: Service, backend: str) -> bool:
    """Whether the back end is a cluster's, so that any of its members may do the work."""
    bodies = read_list(cinder, "/os-services", "services", MICROVERSION, binary="cinder-volume")
    return any(each.get("cluster") == backend for each in bodies)


def require_ready(cinder: Service, backend: str) -> None:
    """LifeboatError when no service works for the back end."""
    reason = not_ready(cinder, backend)
    if reason:
        remedy = "Bring cinder-volume and its storage up, enable it, or choose another back end."
        raise LifeboatError(f"back end {backend}", reason, "a cinder-volume that is enabled and up", remedy)
