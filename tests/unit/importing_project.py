# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of a cloud into which a machine is brought, as its user sees it: each look at a thing goes one step on.

Refusals have the words of nova/api/openstack/compute, cinder/volume/api.py and neutron/db; what only an administrator
may ask is refused.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlencode

from ansible_collections.lifeboat.cloud.plugins.module_utils import _import_server
from ansible_collections.lifeboat.cloud.plugins.modules import import_server
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

# What import_server is asked for.
DATA = {"name": "web1-data", "image": "web1-data", "size": 2}
EMPTY = {"name": "web1-logs", "size": 1}
WANTED = {
    "name": "web1",
    "image": "web1",
    "flavor": "small",
    "networks": ["web", "db"],
    "volumes": [DATA, EMPTY],
    "metadata": {"lifeboat_import": "5891b5"},
    "external_network": "public",
}

VOLUME = ["creating", "downloading", "available"]
VOLUME_FAILS = ["creating", "error"]
# Of the server: its status, and whether its port is there by then.
SERVER = [("BUILD", False), ("BUILD", True), ("BUILD", True), ("ACTIVE", True)]
SERVER_FAILS = [*SERVER[:3], ("ERROR", False)]
SERVER_STUCK = [SERVER[0]] * 10_000


def refusal(status, message):
    return status, {"badRequest": {"code": status, "message": message}}


def flavor(key, name="small", **values):
    return {"id": key, "name": name, "vcpus": 1, "ram": 128, "disk": 1, "extra_specs": {}, "swap": ""} | values


def image(key, name, **values):
    own = {"id": key, "name": name, "status": "active", "visibility": "private", "size": 3, "min_disk": 1, "tags": []}
    return own | {"protected": False, "os_hash_algo": "sha512", "os_hash_value": "ab", "owner": "project"} | values


def network(key, name, external=False):
    return {"id": key, "name": name, "router:external": external, "shared": external}


@dataclass
class Part:
    """One service of the project, as CloudOverHttp asks it."""

    answer: t.Callable


class ImportingProject:
    """``volume_script`` and ``server_script`` are what happens after a request; ``order`` is what was asked for.

    ``hiccups`` are answers that a service owes, by what it is asked about; a server is silent when ``silent_from`` has
    been asked for. What is ``unanswered`` is made, but nobody is told.
    """

    def __init__(self):
        self.images = [image("image-1", "web1", lifeboat_import="5891b5 vmdisk1"), image("image-2", "web1-data")]
        self.flavors = [flavor("flavor-1"), flavor("flavor-2", "large", extra_specs={"hw:cpu_policy": "dedicated"})]
        self.networks = [network("net-1", "web"), network("net-2", "db"), network("net-3", "public", external=True)]
        # Of strangers; Glance shows them to those who ask for all.
        self.community = [image("image-9", "web1-more", visibility="community", owner="stranger")]
        of_default = {"name": "default", "description": "Default security group", "security_group_rules": []}
        self.groups = [{"id": "group-1", **of_default}]
        self.routers = [{"id": "router-1", "name": "web"}]
        self.servers, self.volumes, self.ports, self.addresses = {}, {}, [], []
        self.volume_script, self.server_script = VOLUME, SERVER
        self.fault = "No valid host was found."
        self.order, self.bodies = [], {}
        self.quota = False
        self.hiccups, self.address_hiccups, self.page_size = {}, 0, 0
        self.silent_from, self.unanswered, self.keeps_addresses = "nothing", "nothing", False
        self.numbers = itertools.count(1)

    def join(self, cloud, block_storage=True):
        """Become the services of a cloud over HTTP."""
        cloud.moving, cloud.neutron = Part(self.nova), Part(self.neutron)
        cloud.register("image", f"{cloud.url}/image")
        cloud.glance = Part(self.glance)
        if block_storage:
            cloud.register("block-storage", f"{cloud.url}/volume/v3")
            cloud.cinder = Part(self.cinder)

    # Nova

    def nova(self, call, rest):
        match [call.method, *rest]:
            case ["GET", "flavors", *_]:
                return 200, {"flavors": self.flavors}
            case ["GET", "servers", "detail"]:
                if "all_tenants" in call.query:
                    return refusal(403, "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants")
                wanted = call.query.get("name", "")
                found = [self.server(each) for each in self.servers.values() if re.search(wanted, each.get("name", ""))]
                return self.page("servers", found, call)
            case ["GET", "servers", key]:
                return self.look_at_server(key)
            case ["POST", "servers"]:
                exceeded = refusal(
                    403, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"
                )
                return exceeded if self.quota else self.make_server(call.body["server"])
        return refusal(404, "The resource could not be found.")

    def server(self, each):
        """As Nova shows it; the fault only when there is one."""
        shown = {name: value for name, value in each.items() if name not in ("steps", "wanted")}
        fault = {"fault": {"code": 500, "message": self.fault}} if each["status"] == "ERROR" else {}
        return shown | {"addresses": self.nova_addresses(each["id"])} | fault

    def nova_addresses(self, key):
        found = {}
        for port in self.ports:
            if port["device_id"] == key:
                kinds = [("fixed", port["fixed_ips"][0]["ip_address"])]
                kinds += [("floating", each["address"]) for each in self.addresses if each["port"] == port["id"]]
                found[port["network_id"]] = [{"addr": addr, "OS-EXT-IPS:type": kind} for kind, addr in kinds]
        return found

    def look_at_server(self, key):
        if key not in self.servers:
            return refusal(404, f"Instance {key} could not be found.")
        if self.silent_from in self.order:
            raise ConnectionResetError
        if owed := self.hiccup("server"):
            return owed
        server = self.servers[key]
        if server["steps"]:
            server["status"], has_port = server["steps"].pop(0)
            self.set_ports(server, has_port)
        if server["status"] == "ACTIVE":
            self.order.append("ACTIVE")
        return 200, {"server": self.server(server)}

    def set_ports(self, server, there):
        """Nova makes the ports of all networks, in no order that Neutron would list them in; a failure takes them."""
        if not there:
            self.ports = [each for each in self.ports if each["device_id"] != server["id"]]
            for address in self.addresses:
                if address["port"] not in [each["id"] for each in self.ports]:
                    address["port"] = None
        elif not any(each["device_id"] == server["id"] for each in self.ports):
            for each in reversed(server["wanted"]["networks"]):
                number = next(self.numbers)
                fixed = [{"ip_address": f"192.0.2.{number}", "subnet_id": "subnet"}]
                port = {"id": f"port-{each['uuid']}", "device_id": server["id"], "network_id": each["uuid"]}
                self.ports.append(port | {"fixed_ips": fixed, "status": "DOWN"})

    def make_server(self, body):
        self.bodies["server"] = body
        for each in body["block_device_mapping_v2"]:
            if each["source_type"] == "image":
                assert each["boot_index"] == 0 and each["destination_type"] == "local"
                if each["uuid"] != body["imageRef"]:
                    return refusal(400, "Block Device Mapping is Invalid.")
            elif self.volumes[each["uuid"]]["status"] != "available":
                return refusal(400, f"Invalid volume: Volume {each['uuid']} status must be 'available'.")
        boots = [each["source_type"] for each in body["block_device_mapping_v2"] if each["boot_index"] == 0]
        if boots != (["image"] if "imageRef" in body else ["volume"]):
            return refusal(400, "Block Device Mapping is Invalid: Boot sequence for the instance is invalid.")
        known = [each["name"] for each in self.groups]
        if any(each["name"] not in known for each in body["security_groups"]):
            return refusal(400, "Security group web not found for project project.")
        if {each["uuid"] for each in body["networks"]} - {each["id"] for each in self.networks}:
            return refusal(400, "Network could not be found.")
        self.order.append("server")
        key = f"server-{next(self.numbers)}"
        self.servers[key] = {
            "id": key,
            "name": body["name"],
            "status": "BUILD",
            "metadata": body["metadata"],
            "steps": list(self.server_script),
            "wanted": body,
        }
        return self.told("server", {"server": {"id": key, "adminPass": "secret", "links": []}})

    # Cinder

    def cinder(self, call, rest):
        match [call.method, *rest]:
            case ["GET", "volumes", *more] if not more or more == ["detail"]:
                if "all_tenants" in call.query:
                    return refusal(403, "Policy doesn't allow volume:get_all.")
                wanted = call.query.get("name")
                found = [self.volume(each) for each in self.volumes.values() if wanted in (None, each["name"])]
                return self.page("volumes", found, call)
            case ["GET", "volumes", key]:
                return self.look_at_volume(key)
            case ["GET", "messages"]:
                return 200, {"messages": [{"id": "1", "user_message": "create volume: No space left."}]}
        return self.change_volume(call, rest)

    def change_volume(self, call, rest):
        match [call.method, *rest]:
            case ["POST", "volumes"]:
                return self.make_volume(call.body["volume"])
            case ["DELETE", "volumes", key, "metadata", name]:
                self.order.append(f"{self.volumes[key]['name']} without {name}")
                del self.volumes[key]["metadata"][name]
                return self.told(self.order[-1], None)
        return refusal(404, "The resource could not be found.")

    @staticmethod
    def volume(each):
        shown = {name: value for name, value in each.items() if name != "steps"}
        more = {"volume_type": "ceph", "attachments": [], "encrypted": False, "description": None}
        return shown | more

    def make_volume(self, body):
        self.bodies.setdefault("volumes", []).append(body)
        self.order.append(f"volume {body['name']}")
        key = f"volume-{next(self.numbers)}"
        self.volumes[key] = {
            "id": key,
            "name": body["name"],
            "size": body["size"],
            "status": "creating",
            "metadata": dict(body.get("metadata", {})),
            "steps": list(self.volume_script),
        }
        return self.told(f"volume {body['name']}", {"volume": self.volume(self.volumes[key])})

    def look_at_volume(self, key):
        if owed := self.hiccup("volume"):
            return owed
        volume = self.volumes[key]
        if volume["steps"]:
            volume["status"] = volume["steps"].pop(0)
        if volume["status"] == "available":
            self.order.append(f"available {volume['name']}")
        return 200, {"volume": self.volume(volume)}

    # Neutron

    def neutron(self, call, rest):
        match [call.method, *rest]:
            case ["GET", "networks"]:
                return self.page("networks", self.filtered(self.networks, call.query, "name"), call)
            case ["GET", "routers" | "security-groups" as path]:
                return 200, self.place(path.replace("-", "_"), call.query)
            case ["GET", "ports"]:
                found = self.filtered(self.ports, call.query, "device_id", "network_id")
                return self.hiccup("port") or (200, {"ports": found})
            case ["POST", "floatingips"]:
                return self.make_address(call.body["floatingip"])
            case ["DELETE", "floatingips", key]:
                return self.remove_address(key)
        return refusal(404, "The resource could not be found.")

    def place(self, kind, query):
        return {kind: self.filtered({"routers": self.routers, "security_groups": self.groups}[kind], query, "name")}

    def remove_address(self, key):
        if self.keeps_addresses:
            return 409, {"NeutronError": {"type": "Conflict", "message": "It is in use.", "detail": ""}}
        self.addresses = [each for each in self.addresses if each["id"] != key]
        return 204, None

    @staticmethod
    def filtered(entries, query, *names):
        assert query.keys() <= {*names, "marker", "limit"}
        wanted = {name: value for name, value in query.items() if name in names}
        return [each for each in entries if wanted.items() <= each.items()]

    def make_address(self, body):
        self.bodies["floating_ip"] = body
        self.order.append("floating IP")
        external = [each["id"] for each in self.networks if each["router:external"]]
        if body["floating_network_id"] not in external:
            return refusal(400, f"Network {body['floating_network_id']} is not a valid external network")
        if body["port_id"] not in [each["id"] for each in self.ports]:
            return 404, {"NeutronError": {"type": "PortNotFound", "message": "Port could not be found.", "detail": ""}}
        key = f"floating-{next(self.numbers)}"
        address = f"203.0.113.{next(self.numbers)}"
        self.addresses.append({"id": key, "address": address, "port": body["port_id"]})
        if self.address_hiccups:
            self.address_hiccups -= 1
            return 500, {"NeutronError": {"type": "HTTPInternalServerError", "message": "Request Failed", "detail": ""}}
        return 201, {"floatingip": {"id": key, "floating_ip_address": address, "status": "DOWN"}}

    # Glance

    def glance(self, call, rest):
        if [call.method, *rest] != ["GET", "images"]:
            return 404, {"message": "The resource could not be found."}
        wanted = call.query.get("name")
        seen = [*self.images, *(self.community if call.query.get("visibility") == "all" else [])]
        found = [each for each in seen if wanted in (None, each["name"])]
        status, page = self.page("images", found, call)
        if links := page.pop("images_links", None):
            page["next"] = links[0]["href"].removeprefix("http://backend.invalid/image")
        return status, page

    def page(self, key, entries, call):
        """One page, with a link whose host is not the client's, as behind a load balancer."""
        ids = [each["id"] for each in entries]
        size = self.page_size or len(entries)
        start = ids.index(call.query["marker"]) + 1 if "marker" in call.query else 0
        page = {key: entries[start : start + size]}
        if start + size < len(entries):
            query = urlencode({**call.query, "marker": ids[start + size - 1]})
            page[f"{key}_links"] = [{"rel": "next", "href": f"http://backend.invalid{call.path}?{query}"}]
        return 200, page

    def told(self, what, body):
        if what == self.unanswered:
            raise ConnectionResetError
        return 202, body

    def hiccup(self, what):
        """An answer that the service owes for now."""
        if not self.hiccups.get(what):
            return None
        self.hiccups[what] -= 1
        return 500, {"computeFault": {"code": 500, "message": "The server has either erred or is incapable."}}


def joined(cloud, monkeypatch, **options):
    """A project with two images, two flavors and three networks, whose module waits in steps of 1 ms."""
    monkeypatch.setattr(_import_server, "_POLL_S", 0.001)
    monkeypatch.setattr(_import_server, "_GRACE_S", 5.0)
    made = ImportingProject()
    made.join(cloud, **options)
    return made


def run(cloud, check=False, **options):
    """The module, asked for what is wanted but for these options."""
    return run_module(import_server.main, check, **{**cloud.options, **WANTED, **options})
