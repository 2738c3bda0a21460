# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of Cinder 3.61 that move: each look at a volume goes one step on in what happens to it.

The steps are those of cinder/volume/manager.py (retype, migrate_volume, migrate_volume_completion, and
finish_volume_migration of its objects), refusals and conditions those of cinder/volume/api.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Of the volume and what there is beside it: status, migration status, whether it has arrived, its copy.
MIGRATE = [
    ("maintenance", "starting", False, None),
    ("maintenance", "migrating", False, "new"),
    ("maintenance", "completing", False, "new"),
    # The two halves have been exchanged, and the last word is still to come.
    ("available", None, True, "old"),
    ("available", "success", True, "old"),
    ("available", "success", True, None),
]
RETYPE = [
    ("retyping", None, False, None),
    ("retyping", "migrating", False, "new"),
    ("available", "completing", False, "new"),
    ("in-use", "success", True, "old"),
    ("in-use", "success", True, None),
]
# The same cluster of Ceph: the driver copies, without a second volume.
DRIVER = [("maintenance", "migrating", False, None), ("available", "success", True, None)]
IN_PLACE = [("retyping", None, False, None), ("available", None, True, None)]
FAILS = [
    ("maintenance", "migrating", False, "new"),
    ("available", "error", False, "new"),
    ("available", "error", False, "new"),
    ("available", "error", False, None),
]
SCHEDULER_FAILS = [("retyping", None, False, None), ("available", None, False, None)]
# The driver was not ready, and so the volume stays locked.
LEAVES_LOCKED = [MIGRATE[0], *[("maintenance", "error", False, None)] * 2]
LEAVES_COPY = [*FAILS[:2], ("available", "error", False, "broken")]
STUCK = [MIGRATE[0], *[MIGRATE[1]] * 10_000]
REST = (None, "none", "success", "error", "deleting")


@dataclass
class Moving:
    """A volume, where it is and what happens to it next; ``goal`` is the type and place it gets on arrival."""

    id: str
    name: str
    place: str = "lifeboat@ceph#ceph"
    type: str = "ceph"
    status: str = "available"
    migration: str | None = None
    copy: str | None = None
    steps: list = field(default_factory=list)
    goal: tuple = ("ceph", "lifeboat@fast#fast")
    origin: str = ""
    servers: tuple = ()
    snapshots: int = 0
    more: dict = field(default_factory=dict)


def pool(name, types, **capabilities):
    """A pool of the scheduler that offers these types."""
    thin = {"thin_provisioning_support": True, "max_over_subscription_ratio": "20.0", "provisioned_capacity_gb": 20}
    room = {"total_capacity_gb": 100.0, "free_capacity_gb": 90.0, "reserved_percentage": 0}
    return {
        "name": name,
        "types": types,
        "capabilities": thin | room | {"offers": types, "multiattach": True} | capabilities,
    }


def volume_service(host, cluster=None, **values):
    """An entry of Cinder's os-services."""
    # For a member of a cluster Cinder looks for the state under a name that no pool has.
    state = {"state": "up", "status": "enabled", "backend_state": None if cluster else "up"}
    return {"binary": "cinder-volume", "host": host, "cluster": cluster, "zone": "nova"} | state | values


class MovingCinder:
    """``script``: what happens after a request to move; ``said`` are messages by the UUID of what they are about."""

    def __init__(self, *volumes):
        self.volumes = {volume.id: volume for volume in volumes}
        self.script, self.destination = MIGRATE, "lifeboat@fast#fast"
        self.types = {"type-1": "ceph", "type-2": "fast", "type-3": "secret"}
        # Extra specs and QoS specs of a type, and who applies those.
        self.specs, self.qos, self.consumers = {}, {}, {}
        self.pools = [
            pool("lifeboat@ceph#ceph", ["ceph"]),
            pool("lifeboat@fast#fast", ["ceph", "fast", "secret"]),
            pool("stor1@lvm#lvm", ["ceph"], thin_provisioning_support=False, free_capacity_gb=5.0),
        ]
        self.services = [
            volume_service("ctl1@ceph", "lifeboat@ceph"),
            volume_service("ctl1@fast", "lifeboat@fast"),
            volume_service("ctl2@fast", "lifeboat@fast"),
            volume_service("stor1@lvm"),
        ]
        self.messages, self.said, self.hiccups = {}, {}, 0

    def answer(self, call, rest):
        """Status and body."""
        match [call.method, *rest]:
            case ["GET", "volumes", "detail"]:
                return 200, {"volumes": self.listed(call.query)}
            case ["GET", "volumes", key]:
                return self.look(key)
            case ["POST", "volumes", key, "action"]:
                return self.act(self.volumes[key], call.body)
        if call.method == "GET" and rest[0] in ("snapshots", "messages"):
            return 200, getattr(self, rest[0] + "_of")(call.query)
        if call.method == "GET" and (body := self.facts(rest, call.query)) is not None:
            return 200, body
        return 404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}

    def snapshots_of(self, query):
        return {"snapshots": [{}] * self.volumes[query["volume_id"]].snapshots}

    def messages_of(self, query):
        about = self.messages.get(query["resource_uuid"], [])
        return {"messages": [{"id": text, "user_message": text} for text in about]}

    def facts(self, rest, query):
        """What is asked about types, services and pools."""
        match rest:
            case ["types"]:
                assert query["is_public"] == "None"
                specs = {"capabilities:multiattach": "<is> True", "luks:cipher": "aes"}
                types = [
                    {
                        "id": key,
                        "name": name,
                        "extra_specs": specs | {"offers": name} | self.specs.get(name, {}),
                        "qos_specs_id": self.qos.get(name),
                    }
                    for key, name in self.types.items()
                ]
                return {"volume_types": types}
            case ["types", key, "encryption"]:
                return {"provider": "luks"} if self.types[key] == "secret" else {}
            case ["qos-specs", key]:
                return {"qos_specs": {"id": key, "consumer": self.consumers[key], "specs": {}}}
            case ["os-services"]:
                assert query == {"binary": "cinder-volume"}
                return {"services": self.services}
            case ["scheduler-stats", "get_pools"]:
                # With a type Cinder 26 fails, looking for room for no size in pools that are thin.
                assert query == {"detail": "true"}
                return {"pools": self.pools}
        return None

    def look(self, key):
        if self.hiccups and self.volumes[key].steps:
            self.hiccups -= 1
            return 500, {"computeFault": {"code": 500, "message": "The server has either erred or is incapable."}}
        if key not in self.volumes:
            return 404, {"itemNotFound": {"code": 404, "message": f"Volume {key} could not be found."}}
        self.step(self.volumes[key])
        return 200, {"volume": self.body(self.volumes[key])}

    def listed(self, query):
        """As an administrator sees all projects: with the copies."""
        assert query["all_tenants"] == "true"
        found = [self.body(each) for each in self.volumes.values()]
        for volume in list(self.volumes.values()):
            if volume.copy:
                found.append(self.copy_of(volume))
            # What is deleted is gone at the next look.
            if query.get("migration_status") in ("deleting", f"target:{volume.id}"):
                self.step_copy(volume)
        wanted = {"os-vol-mig-status-attr:migstat": query.get("migration_status"), "name": query.get("name")}
        return [each for each in found if all(value in (None, each[key]) for key, value in wanted.items())]

    @staticmethod
    def step_copy(volume):
        if volume.steps and volume.migration in ("success", "error"):
            volume.copy = volume.steps.pop(0)[3]

    def copy_of(self, volume):
        body = self.body(volume)
        if volume.copy == "old":
            more = {"os-vol-mig-status-attr:migstat": "deleting", "description": f"migration src for {volume.id}"}
            place = {"os-vol-host-attr:host": volume.origin, "cluster_name": None}
            return body | place | more | {"id": f"copy-of-{volume.id}", "status": "deleting"}
        broken = volume.copy == "broken"
        place = {"os-vol-host-attr:host": volume.goal[1], "cluster_name": None, "volume_type": volume.goal[0]}
        more = {"os-vol-mig-status-attr:migstat": f"target:{volume.id}", "id": f"copy-of-{volume.id}"}
        return body | place | more | {"status": "error_deleting" if broken else "available"}

    @staticmethod
    def body(volume):
        host, rest = volume.place.split("@")
        clustered = host == "lifeboat"
        return {
            "id": volume.id,
            "name": volume.name,
            "size": 10,
            "status": volume.status,
            "volume_type": volume.type,
            "attachments": [{"server_id": server} for server in volume.servers],
            "encrypted": False,
            "multiattach": False,
            "group_id": None,
            "replication_status": None,
            "description": None,
            "os-vol-host-attr:host": f"ctl1@{rest}" if clustered else volume.place,
            "os-vol-mig-status-attr:migstat": volume.migration,
            "cluster_name": volume.place if clustered else None,
        } | volume.more

    def step(self, volume):
        if not volume.steps:
            return
        volume.status, volume.migration, arrived, volume.copy = volume.steps.pop(0)
        if arrived:
            volume.type, volume.place = volume.goal
        if volume.migration == "error" or not arrived:
            self.messages |= self.said

    def act(self, volume, body):
        (verb,) = body
        resting = volume.status in ("available", "in-use") and volume.migration in REST
        if not resting or (verb == "os-migrate_volume" and volume.snapshots):
            message = f"Invalid volume: Volume {volume.id} status must be available or in-use"
            return 400, {"badRequest": {"code": 400, "message": message}}
        volume.steps, volume.origin = list(self.script), volume.place
        if verb == "os-retype":
            assert body[verb]["migration_policy"] == "on-demand"
            kept = self.script is IN_PLACE
            volume.goal = (self.types[body[verb]["new_type"]], volume.place if kept else self.destination)
            volume.status = "retyping"
        else:
            (volume.goal,) = [(volume.type, body[verb][key]) for key in ("host", "cluster") if key in body[verb]]
            volume.migration = "starting"
            if body[verb].get("lock_volume") and volume.status == "available":
                volume.status = "maintenance"
        return 202, None
