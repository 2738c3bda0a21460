# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registration of a service: its decisions against Keystone in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._identity import (
    CatalogService,
    Endpoint,
    User,
    registration_changes,
)
from ansible_collections.lifeboat.cloud.tests.unit.identity_samples import EVERYTHING, GLANCE, register, remove
from hypothesis import given
from hypothesis import strategies as st


@dataclass
class Keystone:
    """Keystone in memory, after `keystone-manage bootstrap`; ``calls`` are the names of the calls made."""

    projects: dict = field(default_factory=dict)
    roles: dict = field(default_factory=lambda: {"admin": "role-admin"})
    users: dict = field(default_factory=dict)
    passwords: dict = field(default_factory=dict)
    assigned: set = field(default_factory=set)
    services: dict = field(default_factory=dict)
    regions: set = field(default_factory=lambda: {"RegionOne"})
    endpoints: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    numbers: count = field(default_factory=count)

    def __getattribute__(self, name):
        if name.startswith(("find_", "list_", "create_", "update_", "delete_", "password_is", "assign_", "region_")):
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    def new(self, kind):
        return f"{kind}-{next(self.numbers)}"

    def find_domain(self, name):
        return "default" if name == "Default" else None

    def find_project(self, name, domain_id):
        return self.projects.get((name, domain_id))

    def create_project(self, name, domain_id):
        assert domain_id == "default"
        return self.projects.setdefault((name, domain_id), self.new("project"))

    def list_roles(self):
        return dict(self.roles)

    def create_role(self, name):
        assert name not in self.roles
        return self.roles.setdefault(name, self.new("role"))

    def find_user(self, name, domain_id):
        return self.users.get((name, domain_id))

    def create_user(self, name, domain_id, password):
        user = self.users[name, domain_id] = User(self.new("user"), True)
        self.passwords[user.id] = password
        return user.id

    def update_user(self, user_id, password):
        assert user_id in self.passwords
        self.users = {key: User(user.id, user.enabled or user.id == user_id) for key, user in self.users.items()}
        self.passwords[user_id] = password

    def delete_user(self, user_id):
        del self.passwords[user_id]
        self.users = {key: user for key, user in self.users.items() if user.id != user_id}

    def password_is(self, user_id, password):
        return self.passwords[user_id] == password

    def list_assigned_roles(self, user_id, project_id):
        return frozenset(role for user, project, role in self.assigned if (user, project) == (user_id, project_id))

    def assign_role(self, user_id, project_id, role_id):
        assert user_id in self.passwords and project_id in self.projects.values() and role_id in self.roles.values()
        self.assigned.add((user_id, project_id, role_id))

    def list_services(self, service_type):
        return [service for kind, service in self.services.values() if kind == service_type]

    def create_service(self, name, service_type, description):
        service = CatalogService(self.new("service"), name, description, True)
        self.services[service.id] = (service_type, service)
        return service.id

    def update_service(self, service_id, name, description):
        kind, _service = self.services[service_id]
        self.services[service_id] = (kind, CatalogService(service_id, name, description, True))

    def delete_service(self, service_id):
        del self.services[service_id]

    def region_exists(self, region):
        return region in self.regions

    def create_region(self, region):
        self.regions.add(region)

    def list_endpoints(self, service_id, region):
        return [
            endpoint
            for service, place, endpoint in self.endpoints.values()
            if service == service_id and region in (None, place)
        ]

    def create_endpoint(self, service_id, region, interface, url):
        assert service_id in self.services and region in self.regions
        endpoint = Endpoint(self.new("endpoint"), interface, url, True)
        self.endpoints[endpoint.id] = (service_id, region, endpoint)

    def update_endpoint(self, endpoint_id, url):
        service, region, endpoint = self.endpoints[endpoint_id]
        self.endpoints[endpoint_id] = (service, region, Endpoint(endpoint_id, endpoint.interface, url, True))

    def delete_endpoint(self, endpoint_id):
        del self.endpoints[endpoint_id]

    def tamper(self, interface, **values):
        for key, (service, region, endpoint) in self.endpoints.items():
            if endpoint.interface == interface:
                self.endpoints[key] = (service, region, replace(endpoint, **values))


@pytest.fixture
def keystone():
    return Keystone()


@pytest.fixture
def registered(keystone):
    register(keystone)
    keystone.calls.clear()
    return keystone


def test_a_fresh_keystone_gets_everything_in_an_order_that_works(keystone):
    assert register(keystone) == EVERYTHING
    user = keystone.users["glance", "default"]
    project = keystone.projects["service", "default"]
    assert keystone.passwords[user.id] == "the-password"
    assert keystone.assigned == {(user.id, project, keystone.roles[role]) for role in ("admin", "service")}
    assert {endpoint.interface: endpoint.url for *_place, endpoint in keystone.endpoints.values()} == GLANCE.urls


def test_a_second_run_changes_nothing_with_few_calls(registered):
    assert register(registered) == []
    assert not any(call.startswith(("create_", "update_", "delete_", "assign_")) for call in registered.calls)
    assert len(registered.calls) <= 9


def test_looking_for_changes_changes_nothing(keystone):
    assert [change.says for change in registration_changes(keystone, GLANCE)] == EVERYTHING
    assert not any(call.startswith(("create_", "update_", "delete_", "assign_")) for call in keystone.calls)


def test_an_unknown_user_s_password_is_not_tried(keystone):
    registration_changes(keystone, GLANCE)
    assert "password_is" not in keystone.calls


def test_a_password_changed_elsewhere_is_noticed_and_shown_nowhere(registered):
    user = registered.users["glance", "default"]
    registered.passwords[user.id] = "another"
    (change,) = registration_changes(registered, GLANCE)
    assert (change.says, change.before) == ("update user glance", "enabled, another password")
    change.do()
    assert registered.passwords[user.id] == "the-password"
    assert "the-password" not in change.says + change.thing + change.before + change.after


def test_a_disabled_user_is_enabled(registered):
    registered.users["glance", "default"] = replace(registered.users["glance", "default"], enabled=False)
    assert register(registered) == ["update user glance"]
    assert registered.users["glance", "default"].enabled


def test_a_lost_role_is_assigned_again_and_a_further_one_kept(registered):
    user, project = registered.users["glance", "default"].id, registered.projects["service", "default"]
    registered.assigned.discard((user, project, registered.roles["service"]))
    registered.assigned.add((user, project, "role-of-theirs"))
    assert register(registered) == ["assign role service of glance on project service"]
    assert (user, project, "role-of-theirs") in registered.assigned


def test_a_role_on_another_project_does_not_count(registered):
    user = registered.users["glance", "default"].id
    registered.assigned = {(user, "elsewhere", role) for role in registered.roles.values()}
    assert len(register(registered)) == 2


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (replace(GLANCE, name="images"), "update service image"),
        (replace(GLANCE, description="Bilder"), "update service image"),
        (
            replace(GLANCE, urls={**GLANCE.urls, "public": "https://new"}),
            "update public endpoint of glance in RegionOne",
        ),
    ],
)
def test_what_is_named_otherwise_is_updated(registered, wanted, says):
    assert register(registered, wanted) == [says]
    assert register(registered, wanted) == []


def test_a_disabled_service_or_endpoint_is_enabled(registered):
    ((key, (kind, service)),) = registered.services.items()
    registered.services[key] = (kind, replace(service, enabled=False))
    registered.tamper("internal", enabled=False)
    assert register(registered) == ["update service image", "update internal endpoint of glance in RegionOne"]
    assert register(registered) == []


def test_an_endpoint_without_a_url_is_left_alone(registered):
    assert register(registered, replace(GLANCE, urls={"public": "https://cloud:9292"})) == []
    assert len(registered.endpoints) == 3


def test_of_two_endpoints_the_right_one_is_kept(registered):
    (service,) = registered.services
    registered.tamper("public", url="https://wrong")
    registered.create_endpoint(service, "RegionOne", "public", GLANCE.urls["public"])
    assert register(registered) == ["delete second public endpoint of glance in RegionOne"]
    public = [endpoint.url for *_place, endpoint in registered.endpoints.values() if endpoint.interface == "public"]
    assert public == [GLANCE.urls["public"]]


def test_another_region_has_endpoints_of_its_own(registered):
    elsewhere = replace(GLANCE, region="RegionTwo")
    assert register(registered, elsewhere)[0] == "create region RegionTwo"
    assert len(registered.endpoints) == 6
    assert register(registered) == [] and register(registered, elsewhere) == []


def test_the_service_of_the_type_is_renamed_and_not_doubled(keystone):
    keystone.create_service("image-old", "image", "")
    assert "update service image" in register(keystone)
    assert len(keystone.services) == 1


def test_among_several_of_the_type_the_name_decides(registered):
    registered.create_service("other", "image", "")
    assert register(registered) == []


def test_several_of_the_type_without_the_name_are_refused_with_the_evidence(keystone):
    one, two = keystone.create_service("one", "image", ""), keystone.create_service("two", "image", "")
    with pytest.raises(LifeboatError) as refusal:
        registration_changes(keystone, GLANCE)
    assert f"one ({one}), two ({two})" in refusal.value.found
    assert keystone.users == {}


def test_a_domain_that_is_not_there_is_refused(keystone):
    with pytest.raises(LifeboatError, match="domain Elsewhere"):
        registration_changes(keystone, replace(GLANCE, user=replace(GLANCE.user, domain="Elsewhere")))


def test_without_a_user_only_the_catalog_is_touched(keystone):
    assert register(keystone, replace(GLANCE, user=None)) == EVERYTHING[5:]
    assert keystone.users == {} and keystone.projects == {}


def test_a_removed_service_leaves_what_others_need(registered):
    assert remove(registered) == [
        "delete public endpoint of glance in RegionOne",
        "delete internal endpoint of glance in RegionOne",
        "delete admin endpoint of glance in RegionOne",
        "delete service image",
        "delete user glance",
    ]
    assert registered.projects and "service" in registered.roles and registered.regions
    assert remove(registered) == []


def test_a_service_with_endpoints_in_another_region_stays(registered):
    register(registered, replace(GLANCE, region="RegionTwo"))
    assert "delete service image" not in remove(registered)
    assert len(registered.endpoints) == 3


@given(
    roles=st.lists(st.sampled_from(["admin", "service", "reader"]), unique=True),
    urls=st.dictionaries(st.sampled_from(["public", "internal", "admin"]), st.sampled_from(["https://a", "https://b"])),
    before=st.dictionaries(
        st.sampled_from(["public", "internal", "admin"]), st.sampled_from(["https://a", "https://b"])
    ),
    region=st.sampled_from(["RegionOne", "RegionTwo"]),
)
def test_any_start_is_led_to_what_is_wanted_in_one_run(roles, urls, before, region):
    keystone = Keystone()
    register(keystone, replace(GLANCE, urls=before, user=None))
    wanted = replace(GLANCE, urls=urls, region=region, user=replace(GLANCE.user, roles=tuple(roles)))
    register(keystone, wanted)
    assert register(keystone, wanted) == []
    (service,) = keystone.list_services("image")
    found = {endpoint.interface: endpoint.url for endpoint in keystone.list_endpoints(service.id, region)}
    assert found == (before if region == "RegionOne" else {}) | urls
