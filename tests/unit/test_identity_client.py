# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registration of a service: its calls against an API over HTTP, and the module."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _identity_client
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._identity_client import KeystoneClient
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import authority, explained_errors, session_of
from ansible_collections.lifeboat.cloud.plugins.modules import service_registration
from ansible_collections.lifeboat.cloud.tests.unit.identity_samples import EVERYTHING, GLANCE, register, remove
from ansible_collections.lifeboat.cloud.tests.unit.keystone_over_http import KeystoneOverHttp, serving
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def server():
    with serving(KeystoneOverHttp()) as http:
        yield http


def options_of(server, **values):
    auth = {"auth_url": server.url, "username": "admin", "password": "admin-password", "project_name": "admin"}
    return {"cloud": None, "auth": auth | values, "validate_certs": None, "ca_cert": None, "timeout": 30.0}


def client_of(server, **values):
    return KeystoneClient(session_of(options_of(server, **values)))


def test_the_whole_registration_over_http(server):
    assert register(client_of(server), replace(GLANCE, region="RegionTwo"))[-4:] == [
        "create region RegionTwo",
        *(f"create {interface} endpoint of glance in RegionTwo" for interface in ("public", "internal", "admin")),
    ]
    (user,) = (user for user in server.resources["users"].values() if user["name"] == "glance")
    assert user["password"] == "the-password" and user["domain_id"] == "default"
    assert {each["user"] for each in server.assignments} == {user["id"]} and len(server.assignments) == 2
    endpoints = server.resources["endpoints"].values()
    assert {each["interface"]: each["url"] for each in endpoints} == GLANCE.urls


def test_a_second_run_over_http_needs_one_token_of_each_and_reads_little(server):
    register(client_of(server))
    server.requests.clear()
    assert register(client_of(server)) == []
    assert server.requests.count("POST /v3/auth/tokens") == 2
    assert len(server.requests) <= 11
    assert all(request.startswith("GET ") or request == "POST /v3/auth/tokens" for request in server.requests)


def test_every_update_and_removal_over_http(server):
    client = client_of(server)
    register(client)
    for user in server.resources["users"].values():
        user["password"] = "rotated" if user["name"] == "glance" else user["password"]
    changed = replace(GLANCE, description="Bilder", urls={"public": "https://new"})
    assert register(client, changed) == [
        "update user glance",
        "update service image",
        "update public endpoint of glance in RegionOne",
    ]
    assert register(client, changed) == []
    assert len(remove(client, changed)) == 5
    assert server.resources["services"] == {} and list(server.resources["users"]) == ["user-admin"]


def test_a_load_balancer_without_a_backend_for_a_moment_is_waited_for(server, monkeypatch):
    client = client_of(server)
    assert client.region_exists("RegionOne")
    monkeypatch.setattr(_identity_client.adapter.Adapter, "request", no_pause(_identity_client.adapter.Adapter.request))
    server.unavailable = 2
    assert client.region_exists("RegionOne")


def no_pause(request):
    return lambda self, *arguments, **options: request(
        self, *arguments, **{**options, "status_code_retry_delay": 0.001}
    )


def test_a_wrong_administrator_s_password_is_explained_without_it(server):
    client = client_of(server, password="mistyped")
    with pytest.raises(LifeboatError) as refusal, explained_errors(authority(options_of(server))):
        register(client)
    assert refusal.value.thing == f"Keystone at {server.url}"
    assert "auth" in refusal.value.remedy and "mistyped" not in str(refusal.value)


def test_a_keystone_that_does_not_answer_is_explained():
    with KeystoneOverHttp() as closed:
        pass
    with pytest.raises(LifeboatError, match="expected an answer"), explained_errors(authority(options_of(closed))):
        register(client_of(closed))


def test_a_certificate_that_is_none_is_explained(server):
    with pytest.raises(LifeboatError, match="ca_cert"), explained_errors(authority(options_of(server))):
        register(client_of(server, auth_url=server.url.replace("http:", "https:")))


def test_a_refused_call_is_explained(server):
    client = client_of(server)
    with pytest.raises(LifeboatError, match="no such region"), explained_errors(authority(options_of(server))):
        client.create_endpoint("service", "RegionNone", "public", "https://cloud")


def test_a_url_without_a_version_is_completed(server):
    for url in (server.url, f"{server.url}/", f"{server.url}/v3", f"{server.url}/v3/"):
        assert client_of(server, auth_url=url).find_domain("Default") == "default"


def run(server, check=False, **options):
    """The module, told to register GLANCE."""
    auth = {"auth_url": server.url, "username": "admin", "password": "admin-password", "project_name": "admin"}
    urls = {f"{interface}_url": url for interface, url in GLANCE.urls.items()}
    service = {"name": "glance", "type": "image", "description": "Image service", **urls}
    user = {"user": "glance", "password": "the-password"}
    server.requests.clear()
    return run_module(service_registration.main, check, **{**service, **user, "auth": auth, **options})


def writes(server):
    return [request for request in server.requests if not request.startswith("GET ") and "/auth/" not in request]


def test_the_module_says_in_check_mode_what_it_then_does(server):
    would = run(server, check=True)
    assert writes(server) == []
    did = run(server)
    assert len(writes(server)) == len(EVERYTHING)
    for result in (would, did):
        assert (result["changed"], result["actions"]) == (True, EVERYTHING)
    assert would["diff"] == did["diff"]
    again = run(server)
    assert (again["changed"], again["actions"], writes(server)) == (False, [], [])


def test_the_module_notices_another_password_and_shows_none(server):
    run(server)
    results = [run(server, check, password="rotated-one") for check in (True, False)]
    assert [result["actions"] for result in results] == [["update user glance"]] * 2
    results.append(run(server, auth={**results[0]["invocation"]["module_args"]["auth"], "password": "mistyped"}))
    assert results[-1]["failed"] and results[-1]["remedy"] == "Correct the options under auth."
    shown = json.dumps(results)
    assert not [word for word in ("rotated-one", "the-password", "admin-password", "mistyped") if word in shown]


def test_the_module_refuses_a_user_without_a_password_before_anything_is_asked(server):
    failed = run(server, password=None)
    assert failed["failed"] and failed["thing"] == "user glance" and failed["remedy"] == "Set the option password."
    assert server.requests == []


def test_the_module_removes_without_a_password(server):
    run(server)
    would = run(server, check=True, state="absent", password=None)
    assert would["changed"] and writes(server) == []
    did = run(server, state="absent", password=None)
    assert did["actions"] == would["actions"] and did["actions"][-1] == "delete user glance"
    assert run(server, state="absent", password=None)["changed"] is False


def test_the_module_explains_a_keystone_that_does_not_answer():
    with KeystoneOverHttp() as closed:
        pass
    failed = run(closed)
    assert failed["failed"] and failed["thing"] == f"Keystone at {closed.url}"
    assert "load balancer" in failed["remedy"] and "the-password" not in json.dumps(failed)
