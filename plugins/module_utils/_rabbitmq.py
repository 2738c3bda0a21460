# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""RabbitMQ as it runs, asked over its management API, and the settings of its files that decide outage times."""

from __future__ import annotations

import base64
import http.client
import json
import time
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._erlang_terms import lookup, parse_term
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._rabbitmq_facts import Node, Queue

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MANAGEMENT_PORT = 15672
_PAGE_SIZE = 500
_DEFAULT_VHOST = "/"
_DETECTOR_POLL = "raft.adaptive_failure_detector.poll_interval"


@dataclass(frozen=True, slots=True)
class Management:
    """Where and as whom to ask."""

    user: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = MANAGEMENT_PORT


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Seconds: how often aten looks for silent peers, the distribution's net_ticktime, the clients' heartbeat."""

    aten_poll_interval_s: float
    net_ticktime_s: float
    heartbeat_s: float


def nodes(management: Management, timeout_s: float) -> tuple[Node, ...]:
    """The nodes of the cluster in the eyes of the asked one."""
    rows = _get(management, "/api/nodes?columns=name,running,partitions,mem_alarm,disk_free_alarm", timeout_s)
    return parse_nodes(rows)


def parse_nodes(rows: Iterable[Mapping[str, t.Any]]) -> tuple[Node, ...]:
    """The rows of ``/api/nodes``."""
    alarms = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
    return tuple(
        Node(
            name=row["name"],
            running=row.get("running") is True,
            alarms=tuple(f"{kind} of {row['name']}" for key, kind in alarms.items() if row.get(key) is True),
            partitions=tuple(row.get("partitions") or ()),
        )
        for row in sorted(rows, key=lambda row: str(row["name"]))
    )


def queues(management: Management, names: Iterable[str], timeout_s: float) -> dict[str, Queue]:
    """The queues ``names`` whatever their type, or all quorum queues when there are no names.

    The key is the queue's name, or ``VHOST:NAME`` outside of the virtual host ``/``.
    """
    deadline = time.monotonic() + timeout_s
    rows: list[Mapping[str, t.Any]] = []
    page, pages = 1, 1
    while page <= pages:
        # With statistics, what a former leader said of itself is still shown a minute after a partition has ended.
        path = f"/api/queues?page={page}&page_size={_PAGE_SIZE}&disable_stats=true&enable_queue_totals=true"
        answer = _get(management, path, max(deadline - time.monotonic(), 0.01))
        rows += answer["items"]
        page, pages = page + 1, answer["page_count"]
    return parse_queues(rows, names)


def parse_queues(rows: Iterable[Mapping[str, t.Any]], names: Iterable[str]) -> dict[str, Queue]:
    """The rows of ``/api/queues``, chosen as in ``queues``."""
    found = {_key(row): _queue(row) for row in rows}
    wanted = list(names)
    if wanted:
        return {name: found.get(name, Queue(type=None)) for name in wanted}
    return {name: queue for name, queue in sorted(found.items()) if queue.type == "quorum"}


def _key(row: Mapping[str, t.Any]) -> str:
    vhost, name = row.get("vhost", _DEFAULT_VHOST), str(row["name"])
    return name if vhost == _DEFAULT_VHOST else f"{vhost}:{name}"


def _queue(row: Mapping[str, t.Any]) -> Queue:
    return Queue(
        type=row.get("type"),
        leader=row.get("leader") or None,
        members=tuple(sorted(row.get("members") or ())),
        online=tuple(sorted(row.get("online") or ())),
    )


def _get(management: Management, path: str, timeout_s: float) -> t.Any:
    thing = f"RabbitMQ's management API at {management.host}:{management.port}"
    credentials = base64.b64encode(f"{management.user}:{management.password}".encode()).decode()
    connection = http.client.HTTPConnection(management.host, management.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError as error:
        found = f"no answer within {timeout_s:.1f} s to {urllib.parse.urlsplit(path).path}"
        raise LifeboatError(thing, found, "an answer", "See whether it hangs or waits for its majority.") from error
    except (OSError, http.client.HTTPException) as error:
        remedy = "Start RabbitMQ with the plugin rabbitmq_management on this host."
        raise LifeboatError(thing, str(error) or type(error).__name__, "an answer", remedy) from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        remedy = f"See that the user {management.user} has the tag monitoring, and look at RabbitMQ's log."
        raise LifeboatError(thing, f"status {answer.status} {answer.reason}", "status 200", remedy)
    try:
        return json.loads(body)
    except ValueError as error:
        remedy = "See what listens there: another service answers."
        raise LifeboatError(thing, f"no JSON ({error})", "an answer in JSON", remedy) from error


def queue_settings(configuration: Iterable[str], advanced: str) -> QueueSettings:
    """The settings in the texts of rabbitmq.conf (in reading order) and of advanced.config (may be empty).

    RabbitMQ's own values where absent: 5 s, 60 s, 60 s. advanced.config overrides rabbitmq.conf.
    """
    values = {key: value for text in configuration for key, value in _assignments(text)}
    terms = parse_term(advanced) if advanced.strip() else []

    def setting(default: float, option: str, *path: str) -> float:
        value = lookup(terms, *path)
        return _number(values.get(option, str(default)) if value is None else str(value), ".".join(path))

    return QueueSettings(
        aten_poll_interval_s=setting(5000, _DETECTOR_POLL, "aten", "poll_interval") / 1000,
        net_ticktime_s=setting(60, "net_ticktime", "kernel", "net_ticktime"),
        heartbeat_s=setting(60, "heartbeat", "rabbit", "heartbeat"),
    )


def _assignments(text: str) -> t.Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, mark, value = line.partition("#")[0].partition("=")
        if mark:
            yield key.strip(), value.strip()


def _number(value: str, thing: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise LifeboatError(f"RabbitMQ's setting {thing}", repr(value), "a number", "Correct it.") from error
