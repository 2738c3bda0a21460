# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keystone over HTTP, for tests."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qsl, urlsplit

ADMIN = {"id": "user-admin", "name": "admin", "domain_id": "default", "enabled": True, "password": "admin-password"}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=None, headers=()):
        payload = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(payload)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def handle_request(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        address = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {address.path}")
        if address.path in ("/", "/v3", "/v3/"):
            return self.answer(300 if address.path == "/" else 200, self.versions(address.path))
        prefix, version, kind, *rest = address.path.split("/")
        assert (prefix, version) == ("", "v3")
        if self.server.unavailable:
            self.server.unavailable -= 1
            return self.answer(503)
        if kind == "auth":
            return self.authenticate(body["auth"])
        if self.headers.get("X-Auth-Token") != "token-of-user-admin":
            return self.answer(401, {"error": {"message": "no token"}})
        if self.command == "PUT":
            project, _users, user, _roles, role = rest
            self.server.assignments.append({"project": project, "user": user, "role": role})
            return self.answer(204)
        return self.handle_resource(kind, rest, dict(parse_qsl(address.query)), body)

    def versions(self, path):
        links = [{"rel": "self", "href": f"{self.server.url}/v3/"}]
        version = {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links}
        return {"versions": {"values": [version]}} if path == "/" else {"version": version}

    def authenticate(self, auth):
        asked = auth["identity"]["password"]["user"]
        for user in self.server.resources["users"].values():
            named = user["id"] == asked.get("id") or user["name"] == asked.get("name")
            if named and user["enabled"] and user["password"] == asked["password"]:
                token = {
                    "user": {"id": user["id"]},
                    "project": {"id": "project-admin", "name": "admin"},
                    "expires_at": "2999-01-01T00:00:00.000000Z",
                    "methods": ["password"],
                    "catalog": self.server.catalog,
                }
                headers = [("X-Subject-Token", f"token-of-{user['id']}")]
                return self.answer(201, {"token": {**token, "issued_at": "2025-01-01T00:00:00.000000Z"}}, headers)
        return self.answer(401, {"error": {"message": "The request you have made requires authentication."}})

    def handle_resource(self, kind, rest, query, body):
        if kind == "role_assignments":
            wanted = (query["user.id"], query["scope.project.id"])
            found = [each for each in self.server.assignments if (each["user"], each["project"]) == wanted]
            return self.answer(200, {kind: [{"role": {"id": each["role"]}} for each in found]})
        resources = self.server.resources[kind]
        singular = kind.removesuffix("s")
        if self.command == "GET":
            found = [each for each in resources.values() if query.items() <= each.items()]
            return self.answer(200, {kind: found})
        if self.command == "POST":
            new = {"id": f"{singular}{next(self.server.numbers)}", "enabled": True, **body[singular]}
            if kind == "roles":
                new["domain_id"] = None
            if kind == "endpoints" and new["region_id"] not in self.server.resources["regions"]:
                return self.answer(400, {"error": {"message": "no such region"}})
            resources[new["id"]] = new
            return self.answer(201, {singular: new})
        (key,) = rest
        if self.command == "DELETE":
            del resources[key]
            return self.answer(204)
        resources[key] |= body[singular]
        return self.answer(200, {singular: resources[key]})


for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
    setattr(Api, f"do_{method}", Api.handle_request)


class KeystoneOverHttp(ThreadingHTTPServer):
    """As much of the Identity API v3 as the client uses; it refuses what Keystone would refuse."""

    daemon_threads = True
    handler = Api

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.numbers = count()
        self.requests = []
        self.unavailable = 0
        self.assignments = []
        self.catalog = []
        self.resources = {kind: {} for kind in ("projects", "users", "roles", "services", "endpoints")} | {
            "domains": {"default": {"id": "default", "name": "Default"}},
            "regions": {"RegionOne": {"id": "RegionOne"}},
            "users": {"user-admin": dict(ADMIN)},
            "roles": {"r0": {"id": "r0", "name": "admin", "domain_id": None}},
        }

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving(http):
    """The server, answering while the block runs."""
    with http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield http
        finally:
            http.shutdown()
            thread.join(timeout=5)
