# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Keystone over HTTP (Identity API v3), with keystoneauth, the session layer of openstacksdk.

The SDK's own resource layer takes three times as long to import, and a registration is made for every service in every
run, so the few calls it needs are made directly.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._identity import CatalogService, Endpoint, User

with contextlib.suppress(ImportError):  # _openstack.opened_session says so
    from keystoneauth1 import adapter
    from keystoneauth1 import exceptions as keystone_exceptions
    from keystoneauth1.identity import v3

# 503 is a load balancer without a backend, so nothing was done. A connection that was lost may have done something:
# Keystone takes the same service twice, so only reading is repeated then.
_RETRIES = 4

Resource = dict[str, t.Any]


class KeystoneClient:
    """An IdentityClient over one session, so with one token."""

    def __init__(self, session: t.Any) -> None:
        self._session = session
        url = session.auth.auth_url.rstrip("/")
        self._url = url if url.endswith("/v3") else f"{url}/v3"
        self._api = adapter.Adapter(
            self._session,
            endpoint_override=self._url,
            status_code_retries=_RETRIES,
            retriable_status_codes=[503],
        )

    def find_domain(self, name: str) -> str | None:
        return self._only_id("domains", name=name)

    def find_project(self, name: str, domain_id: str) -> str | None:
        return self._only_id("projects", name=name, domain_id=domain_id)

    def create_project(self, name: str, domain_id: str) -> str:
        return self._create("project", {"name": name, "domain_id": domain_id})

    def list_roles(self) -> dict[str, str]:
        return {role["name"]: role["id"] for role in self._list("roles") if role.get("domain_id") is None}

    def create_role(self, name: str) -> str:
        return self._create("role", {"name": name})

    def find_user(self, name: str, domain_id: str) -> User | None:
        users = self._list("users", name=name, domain_id=domain_id)
        return User(users[0]["id"], users[0]["enabled"]) if users else None

    def create_user(self, name: str, domain_id: str, password: str) -> str:
        return self._create("user", {"name": name, "domain_id": domain_id, "password": password})

    def update_user(self, user_id: str, password: str) -> None:
        self._update("user", user_id, {"password": password, "enabled": True})

    def delete_user(self, user_id: str) -> None:
        self._api.delete(f"/users/{user_id}")

    def password_is(self, user_id: str, password: str) -> bool:
        auth = v3.Password(auth_url=self._url, user_id=user_id, password=password, unscoped=True, include_catalog=False)
        try:
            auth.get_access(self._session)
        except keystone_exceptions.Unauthorized:
            return False
        return True

    def list_assigned_roles(self, user_id: str, project_id: str) -> frozenset[str]:
        query = {"user.id": user_id, "scope.project.id": project_id}
        return frozenset(assignment["role"]["id"] for assignment in self._list("role_assignments", **query))

    def assign_role(self, user_id: str, project_id: str, role_id: str) -> None:
        self._api.put(f"/projects/{project_id}/users/{user_id}/roles/{role_id}")

    def list_services(self, service_type: str) -> list[CatalogService]:
        return [
            CatalogService(
                service["id"], service.get("name") or "", service.get("description") or "", service.get("enabled", True)
            )
            for service in self._list("services", type=service_type)
        ]

    def create_service(self, name: str, service_type: str, description: str) -> str:
        return self._create("service", {"name": name, "type": service_type, "description": description})

    def update_service(self, service_id: str, name: str, description: str) -> None:
        self._update("service", service_id, {"name": name, "description": description, "enabled": True})

    def delete_service(self, service_id: str) -> None:
        self._api.delete(f"/services/{service_id}")

    def region_exists(self, region: str) -> bool:
        return any(each["id"] == region for each in self._list("regions"))

    def create_region(self, region: str) -> None:
        self._create("region", {"id": region})

    def list_endpoints(self, service_id: str, region: str | None) -> list[Endpoint]:
        query = {"service_id": service_id} | ({"region_id": region} if region is not None else {})
        return [
            Endpoint(endpoint["id"], endpoint["interface"], endpoint["url"], endpoint.get("enabled", True))
            for endpoint in self._list("endpoints", **query)
        ]

    def create_endpoint(self, service_id: str, region: str, interface: str, url: str) -> None:
        values = {"service_id": service_id, "region_id": region, "interface": interface, "url": url}
        self._create("endpoint", values)

    def update_endpoint(self, endpoint_id: str, url: str) -> None:
        self._update("endpoint", endpoint_id, {"url": url, "enabled": True})

    def delete_endpoint(self, endpoint_id: str) -> None:
        self._api.delete(f"/endpoints/{endpoint_id}")

    def _list(self, kind: str, **query: str) -> list[Resource]:
        resources: list[Resource] = self._api.get(f"/{kind}", params=query, connect_retries=_RETRIES).json()[kind]
        return resources

    def _only_id(self, kind: str, **query: str) -> str | None:
        resources = self._list(kind, **query)
        return str(resources[0]["id"]) if resources else None

    def _create(self, kind: str, values: Resource) -> str:
        return str(self._api.post(f"/{kind}s", json={kind: values}).json()[kind]["id"])

    def _update(self, kind: str, resource_id: str, values: Resource) -> None:
        self._api.patch(f"/{kind}s/{resource_id}", json={kind: values})
