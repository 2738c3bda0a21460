# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of Nova 2.84 that move: each look at a server goes one step on in what happens to it.

The steps are those seen on a cloud of Nova 31; refusals have the words of nova/api/openstack/compute.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

UUID = "16fe8c23-1858-4770-93fa-b6cc82d2ec84"
FIRST = datetime(2026, 11, 22, 2, 53)
# Of the record and the server: status, status, task, whether the server has arrived.
LIVE = [
    ("accepted", "MIGRATING", "migrating", False),
    ("preparing", "MIGRATING", "migrating", False),
    ("running", "MIGRATING", "migrating", False),
    ("running", "ACTIVE", None, True),
    ("completed", "ACTIVE", None, True),
]
LIVE_FAILS = [*LIVE[:3], ("error", "ACTIVE", None, False)]
LIVE_STUCK = [*LIVE[:2], *[LIVE[2]] * 10_000]
# How Nova has it when libvirt's thread ends before the job is seen cancelled.
LIVE_ABORTED_AS_FAILED = [*LIVE[:3], ("failed", "ACTIVE", None, False)]
LIVE_ABORTED = [*LIVE[:3], ("cancelled", "ACTIVE", None, False)]
LIVE_POST_COPY = [
    *LIVE[:3],
    *[("running (post-copy)", "MIGRATING", "migrating", False)] * 3,
    ("running (post-copy)", "ACTIVE", None, True),
    LIVE[4],
]
LIVE_WITH_WRONG_RECORD = [
    *LIVE[:3],
    ("error", "MIGRATING", "migrating", False),
    ("error", "ACTIVE", None, True),
    LIVE[4],
]
LIVE_WITH_LASTING_WRONG_RECORD = LIVE_WITH_WRONG_RECORD[:-1]
COLD = [
    ("pre-migrating", "RESIZE", "resize_prep", False),
    ("migrating", "RESIZE", "resize_migrating", False),
    ("finished", "VERIFY_RESIZE", None, True),
]
COLD_FAILS = [*COLD[:2], ("error", "ACTIVE", None, False)]
CONFIRM = [("confirming", "VERIFY_RESIZE", None, True), ("confirmed", "VERIFY_RESIZE", None, True)]
EVACUATE = [
    ("accepted", "REBUILD", "rebuilding", False),
    ("pre-migrating", "REBUILD", "rebuild_spawning", True),
    ("done", "ACTIVE", None, True),
]
EVACUATE_FAILS = [EVACUATE[0], ("failed", "ERROR", None, False)]
REVERT = [("reverting", "REVERT_RESIZE", "resize_reverting", True)]


@dataclass
class Moving:
    """A server, where it is and what happens to it next."""

    id: str
    name: str
    host: str
    status: str = "ACTIVE"
    task: str | None = None
    image: str = "image"
    steps: list = field(default_factory=list)
    record: dict | None = None


class MovingNova:
    """``script``: what happens after a request to move; ``destination``: what the scheduler chooses.

    ``scripts`` has other ones for single servers, by id. With ``goes_by_lists`` what happens to all servers goes one
    step on with each list of records instead, and ``at_list`` is called before, with its number. ``created`` is when a
    record was, by its number. ``noted`` are steps as Nova tells them, the latest first, instead of the usual one: pairs
    of the event's name and its details, None when it went well. ``drops`` requests to abort or force are taken and come
    to nothing; ``aborted`` is what happens after another one to abort.
    """

    def __init__(self, *servers):
        self.servers = {server.id: server for server in servers}
        self.records, self.actions = [], []
        self.script = {"live": LIVE, "cold": COLD, "evacuation": EVACUATE}
        self.destination, self.details = "cmp2", "No valid host was found."
        self.numbers = itertools.count(1, 3)
        self.hiccups, self.drops = 0, 0
        self.aborted = LIVE_ABORTED[3:]
        self.scripts, self.noted = {}, []
        self.goes_by_lists, self.lists = False, 0
        self.at_list = lambda number: None
        self.created = lambda number: FIRST + timedelta(seconds=number)

    def answer(self, call, rest):
        """Status and body, or None for what is not about servers that move."""
        if self.hiccups and self.records and call.method == "GET" and rest[0] == "servers":
            self.hiccups -= 1
            # As of a cell that does not answer.
            if len(rest) == 2 and rest[1] in self.servers and self.hiccups % 2:
                return 200, {
                    "server": {"id": rest[1], "status": "UNKNOWN", "created": "2026-11-21T13:42:05Z", "links": []}
                }
            return 500, {"computeFault": {"code": 500, "message": "Unexpected API Error. NovaException"}}
        return self.answer_to(call, rest)

    def answer_to(self, call, rest):
        match [call.method, *rest]:
            case ["GET", "servers", "detail"]:
                wanted = call.query.get("name", "")
                found = [each for each in self.servers.values() if re.search(wanted, each.name)]
                host = call.query.get("host")
                return 200, {"servers": [self.body(each) for each in found if host in (None, each.host)]}
            case ["GET", "servers", key] if key in self.servers:
                if not self.goes_by_lists:
                    self.step(self.servers[key])
                return 200, {"server": self.body(self.servers[key])}
            case ["GET", "os-migrations"]:
                key = call.query.get("instance_uuid")
                if self.goes_by_lists and key is None:
                    self.list_once_more()
                found = [each for each in self.records if key in (None, each["instance_uuid"])]
                return 200, {"migrations": found[: int(call.query.get("limit", len(found)))]}
            case [_method, "servers", key, *_rest] if key not in self.servers:
                return 404, {"itemNotFound": {"code": 404, "message": f"Instance {key} could not be found."}}
            case [method, "servers", key, *of_server]:
                return self.answer_of_server(self.servers[key], method, of_server, call.body)
        return None

    def answer_of_server(self, server, method, rest, body):
        match [method, *rest]:
            case ["POST", "action"]:
                return self.act(server, body)
            case ["GET", "os-instance-actions"]:
                return 200, {"instanceActions": [each for each in self.actions if each["instance_uuid"] == server.id]}
            case ["GET", "os-instance-actions", request]:
                (action,) = [each for each in self.actions if each["request_id"] == request]
                return 200, {"instanceAction": {**action, "events": self.events(server)}}
            case [method, "migrations", number, *_]:
                return self.running(server, method, int(number), body)
        return None

    @staticmethod
    def body(server):
        return {
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "OS-EXT-SRV-ATTR:host": server.host,
            "OS-EXT-STS:task_state": server.task,
            "OS-SRV-USG:launched_at": "2026-11-22T02:52:54.000000",
            "image": {"id": server.image, "links": []} if server.image else "",
            "flavor": {"vcpus": 1, "ram": 1024, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {}},
            "locked": False,
            "addresses": {},
            "metadata": {},
        }

    def list_once_more(self):
        self.lists += 1
        self.at_list(self.lists)
        for server in [each for each in self.servers.values() if each.steps]:
            self.step(server)

    @property
    def under_way(self):
        """The records of what has not ended."""
        ended = ("completed", "error", "cancelled", "confirmed")
        return [each.record for each in self.servers.values() if each.record and each.record["status"] not in ended]

    def step(self, server):
        if not server.steps:
            return
        record, server.status, server.task, arrived = server.steps.pop(0)
        server.record |= {"status": record}
        server.host = server.record["dest_compute" if arrived else "source_compute"]

    def act(self, server, body):
        (verb,) = body
        if verb in ("confirmResize", "revertResize"):
            if server.status != "VERIFY_RESIZE":
                return 409, {"conflictingRequest": {"code": 409, "message": f"Cannot '{verb}' instance {server.id}"}}
            server.steps = [*CONFIRM, ("confirmed", "ACTIVE", None, True)]
            if verb == "revertResize":
                server.steps = [*REVERT, ("reverted", "ACTIVE", None, False)]
            return 202, {}
        if server.task:
            message = f"Cannot '{verb}' instance {server.id} while it is in task_state {server.task}"
            return 409, {"conflictingRequest": {"code": 409, "message": message}}
        kind = {"os-migrateLive": "live", "migrate": "cold", "evacuate": "evacuation"}[verb]
        if kind == "live":
            assert body[verb].keys() == {"host", "block_migration"}
        self.note(server, {"live": "live-migration", "cold": "migrate", "evacuation": "evacuate"}[kind])
        if self.script[kind] is None:
            return 202, {}
        if self.goes_by_lists:
            server.task = {"live": "migrating", "cold": "resize_prep"}[kind]
        self.begin(server, kind, body[verb].get("host") or self.destination)
        return 202, {}

    def note(self, server, action, start_time="2026-11-22T02:53:54.000000"):
        entry = {"action": action, "instance_uuid": server.id, "request_id": f"req-{len(self.actions)}"}
        self.actions.insert(0, entry | {"user_id": "operator", "start_time": start_time, "message": None})

    def abort(self, server):
        """Somebody has it aborted a second after it was begun."""
        began = datetime.fromisoformat(server.record["created_at"])
        times = [(began + timedelta(seconds=after)).isoformat(timespec="microseconds") for after in (1, 2)]
        self.note(server, "live_migration_cancel", times[0])
        server.record |= {"updated_at": times[1]}
        server.steps = list(self.aborted)

    def begin(self, server, kind, destination):
        number = next(self.numbers)
        server.record = {
            "id": number,
            "uuid": f"migration-{number}",
            "instance_uuid": server.id,
            "migration_type": {"live": "live-migration", "cold": "migration"}.get(kind, kind),
            "status": "accepted",
            "source_compute": server.host,
            "dest_compute": destination,
            "created_at": self.created(number).isoformat(timespec="microseconds"),
            "updated_at": None,
        }
        self.records.insert(0, server.record)
        server.task = server.task or {"live": "migrating", "evacuation": "rebuilding"}.get(kind, "resize_prep")
        server.steps = list(self.scripts.get(server.id, self.script.get(kind, ())))

    def events(self, server):
        # Of one that was aborted Nova notes no error, whatever its record says.
        aborted = any(each["action"] == "live_migration_cancel" for each in self.actions)
        failed = self.script["live"] is None or (server.record or {}).get("status") in ("error", "failed")
        failed = failed and not aborted
        usual = [("conductor_live_migrate_instance", self.details if failed else None)]
        times = {"start_time": "2026-11-22T02:53:54.000000", "finish_time": "2026-11-22T02:54:04.000000"}
        return [
            {"event": name, "host": "ctl1", "result": "Error" if details else "Success", "details": details} | times
            for name, details in self.noted or usual
        ]

    def running(self, server, method, number, body):
        if server.record["id"] != number or (server.task is None and method == "GET"):
            return 404, {"itemNotFound": {"code": 404, "message": f"Migration {number} not found"}}
        if server.task is None:
            return 409, {"conflictingRequest": {"code": 409, "message": "Cannot do it while task_state is None"}}
        if method == "GET":
            counts = {"memory_total_bytes": 200, "memory_processed_bytes": 150, "memory_remaining_bytes": 50}
            return 200, {"migration": server.record | counts | {"disk_total_bytes": None}}
        assert method == "DELETE" or body == {"force_complete": None}
        ended_in = ("queued", "preparing", "running") if method == "DELETE" else ("running",)
        if server.record["status"] not in ended_in:
            return 400, {"badRequest": {"code": 400, "message": f"Migration is {server.record['status']}."}}
        if self.drops:
            self.drops -= 1
        elif method == "DELETE":
            self.abort(server)
        else:
            server.steps = list(LIVE[3:])
        return 202, {}


def requests(cloud):
    """What was asked for, of all that was said to Nova."""
    return [call.body for call in cloud.calls if call.method == "POST"]
