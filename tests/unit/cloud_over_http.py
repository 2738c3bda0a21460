# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keystone, Nova 2.53 to 2.96, Placement 1.20 and Neutron over HTTP, for tests.

The shapes are those of the services' own API samples (nova/doc/api_samples, placement/api-ref/source/samples, the
agents of neutron/plugins/ml2/drivers/ovn), and what the services would refuse is refused, wrong microversions included.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from ansible_collections.lifeboat.cloud.tests.unit.keystone_over_http import Api, KeystoneOverHttp

MICROVERSIONS = {
    "compute": {"compute 2.53", "compute 2.64", "compute 2.84", "compute 2.96"},
    "placement": {"placement 1.20"},
    "network": {None},
    "volume": {"volume 3.61"},
    "image": {None},
}


@dataclass(frozen=True)
class Call:
    """A request to a service other than Keystone."""

    method: str
    path: str
    query: dict[str, str]
    body: t.Any


def service(host, binary="nova-compute", **values):
    """An entry of Nova's os-services."""
    return {
        "id": f"service-{binary}-{host}",
        "binary": binary,
        "disabled_reason": None,
        "host": host,
        "state": "up",
        "status": "enabled",
        "updated_at": "2026-11-21T13:42:05.000000",
        "forced_down": False,
        "zone": "nova",
    } | values


def hypervisor(host, servers=(), **values):
    """An entry of Nova's os-hypervisors/detail; without servers Nova leaves the key out at this microversion."""
    entry = {
        "id": f"hypervisor-{host}",
        "hypervisor_hostname": f"{host}.example.org",
        "hypervisor_type": "QEMU",
        "hypervisor_version": 10000000,
        "host_ip": "10.0.0.21",
        "state": "up",
        "status": "enabled",
        "service": {"host": host, "id": f"service-nova-compute-{host}", "disabled_reason": None},
        # What Nova says here is not what the scheduler decides by, and so nothing that may be used.
        "vcpus": -1,
        "memory_mb": -1,
        "local_gb": -1,
        "running_vms": -1,
        "cpu_info": {},
    }
    if servers:
        entry["servers"] = [{"name": name, "uuid": name} for name in servers]
    return entry | values


def inventory(total, used=0, **values):
    """An inventory of Placement and what is used of it."""
    defaults = {"reserved": 0, "allocation_ratio": 1.0, "min_unit": 1, "max_unit": total, "step_size": 1}
    return {"total": total, "used": used} | defaults | values


def agent(host, binary="ovn-controller", **values):
    """An entry of Neutron's agents."""
    return {
        "id": host if binary == "ovn-controller" else f"{binary}-{host}",
        "agent_type": {"ovn-controller": "OVN Controller agent"}.get(binary, "OVN Metadata agent"),
        "binary": binary,
        "host": host,
        "topic": "n/a",
        "description": "",
        "availability_zone": "",
        "configurations": {"chassis_name": host, "bridge-mappings": "physnet1:br-ex"},
        "start_flag": True,
        "alive": True,
        "admin_state_up": True,
        "heartbeat_timestamp": "2026-11-21 13:42:05",
    } | values


class CloudApi(Api):
    def handle_request(self):
        address = urlsplit(self.path)
        area, *rest = address.path.strip("/").split("/")
        if area in ("", "v3"):
            return super().handle_request()
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = sent if self.headers.get("Content-Type") == "application/octet-stream" else json.loads(sent or "null")
        if len(rest) < (1 if area == "placement" else 2):
            return self.answer(300 if area == "image" else 200, self.service_versions(area))
        if self.headers.get("X-Auth-Token") != "token-of-user-admin":
            return self.answer(401, {"error": {"message": "no token"}})
        call = Call(self.command, address.path, dict(parse_qsl(address.query)), body)
        self.server.calls.append(call)
        if self.server.hang_up:
            self.server.hang_up -= 1
            self.close_connection = True
            return None
        answer = self.answer_of(area, call, rest)
        if answer is None:
            self.close_connection = True
            return None
        return self.answer(*answer)

    def answer_of(self, area, call, rest):
        if self.server.busy:
            self.server.busy -= 1
            return (503,)
        if self.headers.get("OpenStack-API-Version") not in MICROVERSIONS[area]:
            return 406, {"computeFault": {"code": 406, "message": "Version is not supported by the API."}}
        if area in self.server.forbidden:
            return 403, {"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}}
        moved = self.server.moving and area == "compute" and self.server.moving.answer(call, rest[1:])
        return moved or getattr(self, area)(call, rest)

    def service_versions(self, area):
        link = f"{self.server.url}/{area}"
        if area == "compute":
            links = [{"href": f"{link}/v2.1/", "rel": "self"}]
            return {
                "version": {
                    "id": "v2.1",
                    "links": links,
                    "status": "CURRENT",
                    "version": "2.100",
                    "min_version": "2.1",
                    "updated": "2013-07-23T11:33:21Z",
                }
            }
        if area == "placement":
            links = [{"href": "", "rel": "self"}]
            version = {"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT", "links": links}
            return {"versions": [version]}
        if area == "volume":
            version = {"id": "v3.0", "min_version": "3.0", "version": "3.71", "status": "CURRENT"}
            return {"versions": [version | {"links": [{"href": f"{link}/v3/", "rel": "self"}]}]}
        name = "v2" if area == "image" else "v2.0"
        return {
            "versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"href": f"{link}/{name}/", "rel": "self"}]}]
        }

    def compute(self, call, rest):
        cloud = self.server
        match [call.method, *rest[1:]]:
            case ["GET", "os-services"]:
                cloud.before_services(cloud)
                found = [each for each in cloud.services if call.query.items() <= each.items()]
                return 200, {"services": [each | self.state_of(each) for each in found]}
            case ["PUT", "os-services", key]:
                return self.update_service(key, call.body)
            case ["GET", "os-hypervisors", "detail"]:
                assert call.query["with_servers"] == "true"
                return 200, self.page("hypervisors", cloud.hypervisors, call)
            case ["GET", "servers"]:
                assert (call.query["all_tenants"], call.query["power_state"]) == ("true", "1")
                running = [{"id": name, "name": name, "links": []} for name in cloud.running]
                return 200, self.page("servers", running, call)
            case ["GET", "os-aggregates" | "os-server-groups" as path]:
                key = path.removeprefix("os-").replace("-", "_")
                # Nova cuts the list of groups without a word.
                begin = int(call.query.get("offset", 0))
                return 200, {key: getattr(cloud, key)[begin : begin + 2 if path == "os-server-groups" else None]}
        return 404, {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}

    @staticmethod
    def state_of(entry):
        return {"state": "down"} if entry["forced_down"] else {}

    def update_service(self, key, body):
        """As ServiceController._update_v253 of Nova, with its schema."""

        def bad(message):
            return 400, {"badRequest": {"code": 400, "message": message}}

        if not body or not body.keys() <= {"status", "disabled_reason", "forced_down"}:
            return bad("Invalid input")
        (entry,) = [each for each in self.server.services if each["id"] == key]
        if entry["binary"] != "nova-compute":
            return bad("Updating a nova-scheduler service is not supported.")
        if "disabled_reason" in body and body.get("status") != "disabled":
            return bad("Specifying 'disabled_reason' with status 'enabled' is invalid.")
        if body.get("forced_down") is False and self.server.evacuations:
            self.server.evacuations -= 1
            return bad(
                f"Unable to force up host {entry['host']} as `done` evacuation migration records remain associated "
                "with the host. Ensure the compute service has been restarted, allowing these records to move to "
                "`completed` before retrying this request."
            )
        if "status" in body:
            entry |= {"status": body["status"], "disabled_reason": body.get("disabled_reason")}
        entry |= {"forced_down": body.get("forced_down", entry["forced_down"])}
        return 200, {"service": entry | self.state_of(entry)}

    def page(self, key, entries, call):
        """One page, with a link whose host is not the client's, as behind a load balancer."""
        size = self.server.page_size or len(entries)
        ids = [each["id"] for each in entries]
        start = ids.index(call.query["marker"]) + 1 if "marker" in call.query else 0
        page = {key: entries[start : start + size]}
        if start + size < len(entries):
            query = urlencode({**call.query, "marker": ids[start + size - 1]})
            page[f"{key}_links"] = [{"rel": "next", "href": f"http://backend.invalid{call.path}?{query}"}]
        return page

    def placement(self, call, rest):
        providers = self.server.providers
        match rest:
            case ["resource_providers"]:
                chosen = [key for key in providers if self.wanted(providers[key], call.query)]
                return 200, {"resource_providers": [self.provider(key) for key in chosen]}
            case ["resource_providers", key, kind] if key in providers:
                entry = providers[key]
                bodies = {
                    "inventories": {name: self.without_used(each) for name, each in entry["inventories"].items()},
                    "usages": {name: each["used"] for name, each in entry["inventories"].items()},
                    "traits": entry["traits"],
                    "aggregates": entry["aggregates"],
                }
                return 200, {kind: bodies[kind], "resource_provider_generation": 7}
        detail = f"The resource could not be found.\n\n No resource provider with uuid {rest[1]} found  "
        return 404, {"errors": [{"status": 404, "title": "Not Found", "detail": detail}]}

    @staticmethod
    def without_used(entry):
        return {name: value for name, value in entry.items() if name != "used"}

    @staticmethod
    def wanted(entry, query):
        assert query.keys() <= {"required", "member_of"}
        if "required" in query and query["required"] not in entry["traits"]:
            return False
        if "member_of" not in query:
            return True
        return not set(query["member_of"].removeprefix("in:").split(",")).isdisjoint(entry["aggregates"])

    def provider(self, key):
        entry = self.server.providers[key]
        return {
            "uuid": key,
            "name": entry["name"],
            "generation": 7,
            "links": [],
            "parent_provider_uuid": entry["parent"],
            "root_provider_uuid": entry["parent"] or key,
        }

    def volume(self, call, rest):
        return self.server.cinder.answer(call, rest[1:])

    def image(self, call, rest):
        return self.server.glance.answer(call, rest[1:])

    def network(self, call, rest):
        if self.server.neutron:
            return self.server.neutron.answer(call, rest[1:])
        assert (call.method, rest, call.query) == ("GET", ["v2.0", "agents"], {})
        return 200, {"agents": self.server.agents}


for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(CloudApi, f"do_{method}", CloudApi.handle_request)


class CloudOverHttp(KeystoneOverHttp):
    """A cloud whose parts are lists to be filled; ``calls`` are the requests to all services but Keystone.

    ``moving`` may be a MovingNova, for what happens to servers, ``neutron`` what answers for more than its agents;
    ``cinder`` and ``glance`` likewise, when they are registered.
    """

    handler = CloudApi

    def __init__(self):
        super().__init__()
        self.calls = []
        self.services, self.hypervisors, self.aggregates, self.running, self.agents = [], [], [], [], []
        self.server_groups = []
        self.providers = {}
        self.moving = self.cinder = self.glance = self.neutron = None
        self.page_size = 0
        self.busy = self.hang_up = 0
        self.evacuations = 0
        self.forbidden = set()
        self.before_services = lambda cloud: None
        for kind, path in (("compute", "/compute/v2.1"), ("placement", "/placement"), ("network", "/network")):
            self.register(kind, self.url + path)

    def register(self, kind, url):
        """Put a service into the catalog, with an internal endpoint where nobody answers."""
        endpoints = [
            {"id": f"{kind}-{name}", "interface": name, "region": "RegionOne", "region_id": "RegionOne", "url": at}
            for name, at in (("public", url), ("internal", "http://127.0.0.1:9/"))
        ]
        self.catalog.append({"id": kind, "type": kind, "name": kind, "endpoints": endpoints})

    def add_provider(self, key, name="", parent=None, traits=(), aggregates=(), **inventories):
        """A resource provider; ``inventories`` by resource class, made with inventory()."""
        self.providers[key] = {
            "name": name or key,
            "parent": parent,
            "traits": list(traits),
            "aggregates": list(aggregates),
            "inventories": inventories,
        }

    @property
    def options(self):
        """The options of a module that authenticate here."""
        auth = {"auth_url": self.url, "username": "admin", "password": "admin-password", "project_name": "admin"}
        return {"auth": auth}
