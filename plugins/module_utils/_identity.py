# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""One OpenStack service in Keystone: its user with roles on the service project, its catalog entry, its endpoints.

Written against IdentityClient, which _identity_client implements over HTTP and the tests in memory.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.lifeboat.cloud.plugins.module_utils._change import Change
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class User:
    """A user as Keystone has it."""

    id: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class CatalogService:
    """A service of the catalog as Keystone has it."""

    id: str
    name: str
    description: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as Keystone has it."""

    id: str
    interface: str
    url: str
    enabled: bool


class IdentityClient(t.Protocol):
    """What the registration asks of Keystone. C(find_) and C(list_) only read; the rest changes; ids are Keystone's."""

    def find_domain(self, name: str) -> str | None:
        """The domain's id, None when there is none."""

    def find_project(self, name: str, domain_id: str) -> str | None:
        """The project's id, None when there is none."""

    def create_project(self, name: str, domain_id: str) -> str:
        """Make the project; its id."""

    def list_roles(self) -> Mapping[str, str]:
        """Role ids by name, of the roles that belong to no domain."""

    def create_role(self, name: str) -> str:
        """Make the role, in no domain; its id."""

    def find_user(self, name: str, domain_id: str) -> User | None:
        """The user, None when there is none."""

    def create_user(self, name: str, domain_id: str, password: str) -> str:
        """Make the user; its id."""

    def update_user(self, user_id: str, password: str) -> None:
        """Give the user this password and enable it."""

    def delete_user(self, user_id: str) -> None:
        """Remove the user."""

    def password_is(self, user_id: str, password: str) -> bool:
        """Whether the user gets a token with this password."""

    def list_assigned_roles(self, user_id: str, project_id: str) -> frozenset[str]:
        """The ids of the roles assigned directly to the user on the project."""

    def assign_role(self, user_id: str, project_id: str, role_id: str) -> None:
        """Give the user the role on the project."""

    def list_services(self, service_type: str) -> Sequence[CatalogService]:
        """The services of the type."""

    def create_service(self, name: str, service_type: str, description: str) -> str:
        """Make the service; its id."""

    def update_service(self, service_id: str, name: str, description: str) -> None:
        """Give the service this name and description and enable it."""

    def delete_service(self, service_id: str) -> None:
        """Remove the service."""

    def region_exists(self, region: str) -> bool:
        """Whether there is the region."""

    def create_region(self, region: str) -> None:
        """Make the region."""

    def list_endpoints(self, service_id: str, region: str | None) -> Sequence[Endpoint]:
        """The endpoints of the service in one region, or in all."""

    def create_endpoint(self, service_id: str, region: str, interface: str, url: str) -> None:
        """Make the endpoint."""

    def update_endpoint(self, endpoint_id: str, url: str) -> None:
        """Give the endpoint this URL and enable it."""

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Remove the endpoint."""


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """The user a service authenticates as, and where it holds its roles."""

    name: str
    password: str
    domain: str = "Default"
    project: str = "service"
    roles: tuple[str, ...] = ("admin", "service")


@dataclass(frozen=True, slots=True)
class Registration:
    """One service as it shall stand in Keystone. ``urls`` is by interface; one that is not there is left alone."""

    name: str
    type: str
    description: str
    region: str
    urls: Mapping[str, str]
    user: ServiceUser | None


@dataclass(slots=True)
class _Ids:
    """The ids that calls need and that earlier calls of the same run may only just have made."""

    domain: str = ""
    project: str = ""
    user: str = ""
    service: str = ""
    roles: dict[str, str] = field(default_factory=dict)


def registration_changes(client: IdentityClient, wanted: Registration) -> list[Change]:
    """The differences from ``wanted``, to be done in this order.

    LifeboatError when the domain is missing, or when several services of the type leave open which is meant.
    """
    ids = _Ids()
    changes: list[Change] = []
    if wanted.user is not None:
        changes += _user_changes(client, wanted.user, ids)
    changes += _service_changes(client, wanted, ids)
    if wanted.urls:
        changes += _region_changes(client, wanted.region)
        changes += _endpoint_changes(client, wanted, ids)
    return changes


def removal_changes(client: IdentityClient, wanted: Registration) -> list[Change]:
    """What has to go for the service to be gone from its region: endpoints, service (with its last region), user."""
    changes: list[Change] = []
    service = _find_service(client, wanted)
    if service is not None:
        changes += _service_removal(client, wanted, service)
    if wanted.user is not None:
        domain = _domain(client, wanted.user)
        if user := client.find_user(wanted.user.name, domain):
            thing = f"user {wanted.user.name}"
            changes.append(Change(f"delete {thing}", thing, "present", "absent", lambda: client.delete_user(user.id)))
    return changes


def _user_changes(client: IdentityClient, wanted: ServiceUser, ids: _Ids) -> Iterator[Change]:
    ids.domain = _domain(client, wanted)
    yield from _project_changes(client, wanted, ids)
    yield from _role_changes(client, wanted, ids)
    yield from _account_changes(client, wanted, ids)
    yield from _assignment_changes(client, wanted, ids)


def _domain(client: IdentityClient, wanted: ServiceUser) -> str:
    domain = client.find_domain(wanted.domain)
    if domain is None:
        raise LifeboatError(
            f"domain {wanted.domain}",
            "no such domain in Keystone",
            "an existing one",
            "Correct the option domain, or run 'keystone-manage bootstrap' first.",
        )
    return domain


def _project_changes(client: IdentityClient, wanted: ServiceUser, ids: _Ids) -> Iterator[Change]:
    def create() -> None:
        ids.project = client.create_project(wanted.project, ids.domain)

    ids.project = client.find_project(wanted.project, ids.domain) or ""
    if not ids.project:
        thing = f"project {wanted.project}"
        yield Change(f"create {thing}", thing, "absent", "present", create)


def _role_changes(client: IdentityClient, wanted: ServiceUser, ids: _Ids) -> Iterator[Change]:
    ids.roles.update(client.list_roles())
    for role in wanted.roles:

        def create(role: str = role) -> None:
            ids.roles[role] = client.create_role(role)

        if role not in ids.roles:
            yield Change(f"create role {role}", f"role {role}", "absent", "present", create)


def _account_changes(client: IdentityClient, wanted: ServiceUser, ids: _Ids) -> Iterator[Change]:
    def create() -> None:
        ids.user = client.create_user(wanted.name, ids.domain, wanted.password)

    thing = f"user {wanted.name}"
    user = client.find_user(wanted.name, ids.domain)
    if user is None:
        yield Change(f"create {thing}", thing, "absent", "enabled, password as asked", create)
        return
    ids.user = user.id
    # Keystone gives no token to a disabled user, whatever the password.
    before = "disabled"
    if user.enabled:
        if client.password_is(user.id, wanted.password):
            return
        before = "enabled, another password"
    yield Change(
        f"update {thing}",
        thing,
        before,
        "enabled, password as asked",
        lambda: client.update_user(user.id, wanted.password),
    )


def _assignment_changes(client: IdentityClient, wanted: ServiceUser, ids: _Ids) -> Iterator[Change]:
    known = bool(ids.user and ids.project)
    assigned = client.list_assigned_roles(ids.user, ids.project) if known else frozenset()
    for role in wanted.roles:
        if ids.roles.get(role) in assigned:
            continue

        def assign(role: str = role) -> None:
            client.assign_role(ids.user, ids.project, ids.roles[role])

        thing = f"role {role} of {wanted.name} on project {wanted.project}"
        yield Change(f"assign {thing}", thing, "absent", "present", assign)


def _find_service(client: IdentityClient, wanted: Registration) -> CatalogService | None:
    """The one service of the type; among several the one of the name."""
    services = client.list_services(wanted.type)
    candidates = [service for service in services if service.name == wanted.name] or services
    if len(candidates) > 1:
        raise LifeboatError(
            f"service of type {wanted.type}",
            f"{len(candidates)} of them: " + ", ".join(f"{service.name} ({service.id})" for service in candidates),
            f"one, or one named {wanted.name}",
            "Delete the superfluous ones with 'openstack service delete ID', or give the option name the right name.",
        )
    return candidates[0] if candidates else None


def _service_changes(client: IdentityClient, wanted: Registration, ids: _Ids) -> Iterator[Change]:
    def create() -> None:
        ids.service = client.create_service(wanted.name, wanted.type, wanted.description)

    thing = f"service {wanted.type}"
    after = _described(wanted.name, wanted.description, enabled=True)
    service = _find_service(client, wanted)
    if service is None:
        yield Change(f"create {thing}", thing, "absent", after, create)
        return
    ids.service = service.id
    before = _described(service.name, service.description, enabled=service.enabled)
    if before != after:
        yield Change(
            f"update {thing}",
            thing,
            before,
            after,
            lambda: client.update_service(service.id, wanted.name, wanted.description),
        )


def _described(name: str, description: str, *, enabled: bool) -> str:
    return f"{name} ({description}), {'enabled' if enabled else 'disabled'}"


def _region_changes(client: IdentityClient, region: str) -> Iterator[Change]:
    if not client.region_exists(region):
        thing = f"region {region}"
        yield Change(f"create {thing}", thing, "absent", "present", lambda: client.create_region(region))


def _endpoint_changes(client: IdentityClient, wanted: Registration, ids: _Ids) -> Iterator[Change]:
    found = client.list_endpoints(ids.service, wanted.region) if ids.service else ()
    for interface, url in wanted.urls.items():
        thing = f"{interface} endpoint of {wanted.name} in {wanted.region}"
        of_interface = [endpoint for endpoint in found if endpoint.interface == interface]
        if not of_interface:

            def create(interface: str = interface, url: str = url) -> None:
                client.create_endpoint(ids.service, wanted.region, interface, url)

            yield Change(f"create {thing}", thing, "absent", url, create)
            continue
        # Of two endpoints for one interface clients take any: one is kept, the best if there is a right one.
        kept, *superfluous = sorted(of_interface, key=lambda endpoint: endpoint.url != url or not endpoint.enabled)
        if kept.url != url or not kept.enabled:
            before = kept.url if kept.enabled else f"{kept.url} (disabled)"

            def update(kept: Endpoint = kept, url: str = url) -> None:
                client.update_endpoint(kept.id, url)

            yield Change(f"update {thing}", thing, before, url, update)
        for endpoint in superfluous:
            yield _endpoint_removal(client, endpoint, f"second {thing}")


def _endpoint_removal(client: IdentityClient, endpoint: Endpoint, thing: str) -> Change:
    return Change(f"delete {thing}", thing, endpoint.url, "absent", lambda: client.delete_endpoint(endpoint.id))


def _service_removal(client: IdentityClient, wanted: Registration, service: CatalogService) -> Iterator[Change]:
    here = client.list_endpoints(service.id, wanted.region)
    for endpoint in here:
        yield _endpoint_removal(client, endpoint, f"{endpoint.interface} endpoint of {wanted.name} in {wanted.region}")
    if len(client.list_endpoints(service.id, None)) == len(here):
        thing = f"service {wanted.type}"
        before = _described(service.name, service.description, enabled=service.enabled)
        yield Change(f"delete {thing}", thing, before, "absent", lambda: client.delete_service(service.id))
