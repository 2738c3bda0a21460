# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Servers of Nova: how one is found, where it is, and what Nova notes of each action on it."""

from __future__ import annotations

import re
import typing as t
import uuid
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, read, read_list

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Json, Service

# As Nova calls the action of an abort.
_ABORT = "live_migration_cancel"
# 2.84 (Ussuri) tells of each event why it failed. At 2.95 and later an evacuated server would be left stopped.
MICROVERSION = "2.84"


@dataclass(frozen=True, slots=True)
class Server:
    """A server as Nova has it.

    ``task`` is what Nova does with it now, None when nothing; ``has_disks``: of its own, beside volumes.
    """

    id: str
    name: str
    host: str
    status: str
    task: str | None
    launched_at: str | None
    fault: str
    has_disks: bool

    @classmethod
    def parse(cls, body: Json) -> Server:
        """From an answer of C(servers)."""
        flavor = body["flavor"]
        return cls(
            id=body["id"],
            name=body["name"],
            host=body.get("OS-EXT-SRV-ATTR:host") or "",
            status=body["status"],
            task=body.get("OS-EXT-STS:task_state"),
            launched_at=body.get("OS-SRV-USG:launched_at"),
            fault=body.get("fault", {}).get("message", ""),
            # A server that started from a volume has no image.
            has_disks=bool(body["image"] or flavor["ephemeral"] or flavor["swap"]),
        )

    def __str__(self) -> str:
        return f"server {self.name}"


@dataclass(frozen=True, slots=True)
class Event:
    """One step of an action; times in UTC, ``seconds`` None while it lasts."""

    name: str
    host: str | None
    began: str
    seconds: float | None
    result: str | None
    details: str

    @classmethod
    def parse(cls, body: Json) -> Event:
        """From an event of C(os-instance-actions)."""
        began, ended = body["start_time"], body["finish_time"]
        return cls(
            name=body["event"].partition("_")[2],
            host=body.get("host"),
            began=began,
            seconds=round((moment(ended) - moment(began)).total_seconds(), 3) if ended else None,
            result=body["result"],
            details=body.get("details") or "",
        )


def moment(text: str) -> datetime:
    """A time as Nova writes it: ISO 8601 in UTC without a zone."""
    return datetime.fromisoformat(text)


def find_server(compute: Service, name: str) -> Server:
    """The server of that UUID or name, of any project; LifeboatError when there is not exactly one."""
    try:
        uuid.UUID(name)
    except ValueError:
        return _find_by_name(compute, name)
    try:
        return read_server(compute, name)
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        raise _not_one(name, "no server of that UUID") from refusal


def servers_named(compute: Service, name: str, **query: str) -> list[Json]:
    """What Nova tells of the servers of exactly that name."""
    # Nova reads the name as a regular expression of its database; of a server in a cell that is down it tells none.
    named = {"name": f"^{re.escape(name)}$", **query}
    return [body for body in details_of_servers(compute, MICROVERSION, **named) if body.get("name") == name]


def details_of_servers(compute: Service, microversion: str, **query: str) -> list[Json]:
    """What Nova tells of all servers that match."""
    # A thousand at once took a busy Nova 33 to 60 s, so long that a load balancer or a client gives up.
    return read_list(compute, "/servers/detail", "servers", microversion, limit="100", **query)


def _find_by_name(compute: Service, name: str) -> Server:
    servers = [Server.parse(body) for body in servers_named(compute, name, all_tenants="true")]
    if len(servers) == 1:
        return servers[0]
    if not servers:
        raise _not_one(name, "no server of that name")
    raise _not_one(name, f"{len(servers)} servers of that name: {', '.join(sorted(each.id for each in servers))}")


def _not_one(name: str, found: str) -> LifeboatError:
    return LifeboatError(f"server {name}", found, "one", "Give the server's UUID, as a user who may see it.")


def read_server(compute: Service, key: str) -> Server:
    """The server of that UUID; RefusalError when there is none, and while Nova cannot tell."""
    url = f"/servers/{key}"
    body = read(compute, url, MICROVERSION)["server"]
    # Since 2.69 Nova answers so, with little more, when the database of its cell does not.
    if body["status"] == "UNKNOWN":
        raise RefusalError("GET", url, 503, "its cell does not answer")
    return Server.parse(body)


def events_of(compute: Service, server: Server, action: str) -> list[Event]:
    """The steps of the latest ``action`` on the server, in their order."""
    found = _actions(compute, server, action)
    if not found:
        return []
    url = f"{_actions_url(server)}/{found[0]['request_id']}"
    bodies = read(compute, url, MICROVERSION)["instanceAction"]["events"]
    # The latest first here, too, and times have whole seconds.
    return sorted(map(Event.parse, reversed(bodies)), key=lambda event: event.began)


def aborted_by(compute: Service, server: Server, since: str, until: str) -> str:
    """The ID of the user who had a live migration of the server aborted in that time; empty when nobody had."""
    within = [
        each
        for each in _actions(compute, server, _ABORT)
        if moment(since) <= moment(each["start_time"]) <= moment(until)
    ]
    return str(within[0]["user_id"]) if within else ""


def _actions(compute: Service, server: Server, action: str) -> list[Json]:
    """Every ``action`` on the server, the latest first, as Nova gives them."""
    bodies = read_list(compute, _actions_url(server), "instanceActions", MICROVERSION)
    return [each for each in bodies if each["action"] == action]


def _actions_url(server: Server) -> str:
    return f"/servers/{server.id}/os-instance-actions"
