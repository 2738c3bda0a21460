# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans that are carried out over a Nova whose servers move on with each list of its records."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from ansible_collections.lifeboat.cloud.plugins.module_utils import (
    _migration_adoption,
    _migration_records,
    _migration_run,
    _openstack,
    _server_journey,
    _server_move,
)
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import Call, CloudApi, hypervisor, inventory, service
from ansible_collections.lifeboat.cloud.tests.unit.moving_nova import MovingNova

START = datetime(2026, 11, 23, tzinfo=UTC)
ASSUMED = {"bandwidth": 1.25e8}
KEYS = ["server", "name", "kind", "planned", "moved", "found", "source", "destination", "began", "seconds"]
KEYS += ["transferred", "timeline", "phases", "warnings"]


def build(cloud, hosts, servers, vcpus=64):
    """A cloud of these hosts, each with room for ``vcpus`` servers."""
    cloud.services = [service(host) for host in hosts]
    cloud.hypervisors = [hypervisor(host) for host in hosts]
    for host in hosts:
        inventories = {"VCPU": inventory(vcpus), "MEMORY_MB": inventory(2**20), "DISK_GB": inventory(10_000)}
        cloud.add_provider(f"hypervisor-{host}", **inventories)
    cloud.moving = MovingNova(*servers)
    cloud.moving.goes_by_lists = True
    return cloud


class Clock:
    """Time that passes by sleeping, and a little by each look at it, however fast the machine is."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        self.seconds += 1e-5
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds

    def utc(self):
        return START + timedelta(seconds=self.seconds)

    def rule(self, monkeypatch):
        """Have all that carries out a plan go by it."""

        class Moment(datetime):
            @classmethod
            def now(cls, _zone=None):
                return self.utc()

        for part in (_migration_adoption, _migration_run, _openstack, _server_journey, _server_move):
            monkeypatch.setattr(part, "time", self)
        for part in (_migration_adoption, _migration_records, _server_move):
            monkeypatch.setattr(part, "datetime", Moment)


def step(server, source="cmp1", destination="cmp2", mode="pre-copy", **values):
    times = {"start_s": 0.0, "end_s": 10.0, "transferred": 2**30, "alone": False, "assumed": {}}
    move = {"server": server, "name": server, "source": source, "destination": destination, "mode": mode}
    return move | {"stops_server": False} | times | values


def lines(tmp_path):
    """What all files tell."""
    return [json.loads(line) for path in sorted(tmp_path.glob("*.jsonl")) for line in path.read_text().splitlines()]


def kept(tmp_path):
    """The receipts of all files."""
    return [each for each in lines(tmp_path) if "asked" not in each]


def requests(nova):
    """How often each server was asked to move."""
    verbs = ("os-migrateLive", "migrate")
    return Counter(call.path.split("/")[-2] for call in nova.calls if call.body and set(call.body) & set(verbs))


def stop_at(nova, *numbers):
    """Have SIGTERM come before these lists."""

    def come(number):
        if number in numbers:
            os.kill(os.getpid(), signal.SIGTERM)

    nova.moving.at_list = come


class KilledError(BaseException):
    """The process is not there any more."""


class InProcess:
    """A service of the cloud that is asked without HTTP, for tests of many requests."""

    def __init__(self, http, area):
        self.api, self.area = CloudApi.__new__(CloudApi), area
        self.api.server = http

    def ask(self, method, url, params=None, json=None, **_options):
        path = f"/{self.area}{'/v2.1' if self.area == 'compute' else ''}{url}"
        call = Call(method, path, dict(params or {}), json)
        self.api.server.calls.append(call)
        rest = path.strip("/").split("/")[1:]
        moved = self.area == "compute" and self.api.server.moving.answer(call, rest[1:])
        status, body = moved or getattr(self.api, self.area)(call, rest)
        request = SimpleNamespace(method=method)
        return SimpleNamespace(status_code=status, json=lambda: copy.deepcopy(body), request=request, url=url)

    def get(self, url, **options):
        return self.ask("GET", url, **options)

    def post(self, url, **options):
        return self.ask("POST", url, **options)
