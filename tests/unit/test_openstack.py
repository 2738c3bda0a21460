# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the modules for OpenStack authenticate, find services, and explain what goes wrong; openstacksdk is real."""

from __future__ import annotations

import json

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _openstack
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import opened, read_list, session_of
from ansible_collections.lifeboat.cloud.plugins.modules import network_agent_info
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import agent, hypervisor
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from keystoneauth1 import exceptions as keystone_exceptions

DEFAULTS = {
    "cloud": None,
    "region_name": None,
    "interface": None,
    "validate_certs": None,
    "ca_cert": None,
    "timeout": 5.0,
}


def run(server, **options):
    """The shortest of the modules."""
    server.agents = [agent("cmp1")]
    given = {**server.options, **options}
    return run_module(network_agent_info.main, **{name: value for name, value in given.items() if value is not None})


@pytest.fixture
def clouds_yaml(cloud, tmp_path, monkeypatch):
    """A configuration of openstacksdk with the cloud as C(there)."""
    path = tmp_path / "clouds.yaml"
    path.write_text(json.dumps({"clouds": {"there": cloud.options | {"region_name": "RegionOne"}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))


def test_one_token_serves_a_whole_run(cloud):
    assert run(cloud)["summary"]["agents"] == 1
    assert cloud.requests == ["POST /v3/auth/tokens"]
    assert [(call.method, call.path) for call in cloud.calls] == [("GET", "/network/v2.0/agents")]


@pytest.mark.usefixtures("clouds_yaml")
def test_a_named_cloud_comes_from_the_configuration(cloud):
    assert run(cloud, auth=None, cloud="there")["summary"]["agents"] == 1
    failed = run(cloud, auth=None, cloud="elsewhere")
    assert failed["thing"] == "cloud elsewhere" and "not found" in failed["found"]
    failed = run(cloud, auth=None, cloud="there", region_name="RegionTwo")
    assert "RegionTwo" in failed["found"] and "region_name" in failed["remedy"]


@pytest.mark.usefixtures("clouds_yaml")
def test_auth_alone_decides_whatever_the_environment_and_the_configuration_say(cloud, monkeypatch):
    for name, value in {"OS_USERNAME": "other", "OS_REGION_NAME": "RegionTwo", "OS_INTERFACE": "internal"}.items():
        monkeypatch.setenv(name, value)
    assert run(cloud)["summary"]["agents"] == 1


def test_the_environment_is_a_cloud_of_its_own(cloud, monkeypatch):
    for name, value in cloud.options["auth"].items():
        monkeypatch.setenv(f"OS_{name.upper()}", value)
    for domain in ("OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME"):
        monkeypatch.setenv(domain, "Default")
    assert run(cloud, auth=None, cloud="envvars")["summary"]["agents"] == 1


def test_exactly_one_way_to_authenticate_is_taken(cloud):
    assert "cloud" in run(cloud, auth=None)["msg"]
    assert "mutually exclusive" in run(cloud, cloud="there")["msg"]
    assert run(cloud, auth=None, cloud="")["found"] == "neither cloud nor auth"
    assert cloud.requests == []


def test_a_wrong_password_is_explained_without_it(cloud):
    failed = run(cloud, auth={**cloud.options["auth"], "password": "mistyped"})
    assert failed["thing"] == f"Keystone at {cloud.url}" and failed["remedy"] == "Correct the options under auth."
    assert "mistyped" not in json.dumps(failed)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"region_name": "RegionTwo"}, "region_name"), ({"interface": "admin"}, "interface")],
)
def test_an_endpoint_that_is_not_in_the_catalog_is_explained(cloud, options, remedy):
    failed = run(cloud, **options)
    assert failed["failed"] and "network" in failed["found"] and remedy in failed["remedy"]


def test_a_service_that_is_not_in_the_catalog_is_explained(cloud):
    cloud.catalog.clear()
    failed = run(cloud)
    assert (
        failed["failed"]
        and ("network" in failed["found"] or "catalog" in failed["found"])
        and "register the service" in failed["remedy"].lower()
    )


def test_the_interface_decides_which_endpoint_is_asked(cloud):
    failed = run(cloud, interface="internal", timeout=1)
    assert failed["failed"] and "127.0.0.1:9/" in failed["found"] and "load balancer" in failed["remedy"]


def test_a_load_balancer_without_a_backend_for_a_moment_is_waited_for(cloud):
    cloud.busy = 1
    assert run(cloud)["summary"]["agents"] == 1
    assert len(cloud.calls) == 2


@pytest.mark.parametrize(
    ("error", "cannot_tell"),
    [
        (keystone_exceptions.ConnectFailure(), True),
        (keystone_exceptions.ConnectTimeout(), True),
        (keystone_exceptions.UnknownConnectionError("reset", OSError()), True),
        (keystone_exceptions.ServiceUnavailable(), True),
        (keystone_exceptions.SSLError(), False),
        (keystone_exceptions.Unauthorized(), False),
        (_openstack.RefusalError("GET", "/servers", 500, "NovaException"), True),
        (_openstack.RefusalError("GET", "/servers", 409, "busy"), False),
        (OSError("disk full"), False),
    ],
)
def test_a_service_that_cannot_tell_just_now_is_told_from_one_that_refuses(error, cannot_tell):
    assert _openstack.no_answer(error) is cannot_tell


def test_what_may_have_been_taken_is_not_asked_for_twice(cloud):
    cloud.hang_up = 1
    with opened(DEFAULTS | cloud.options) as connection, pytest.raises(keystone_exceptions.ClientException) as silent:
        _openstack.act(connection.network, "/v2.0/agents", {"make": None})
    assert _openstack.no_answer(silent.value) and len(cloud.calls) == 1


def test_a_user_who_may_not_is_told_which_role_is_missing(cloud):
    cloud.forbidden = {"network"}
    failed = run(cloud)
    assert failed["thing"] == f"GET {cloud.url}/network/v2.0/agents"
    assert failed["found"] == "status 403: Policy doesn't allow it to be performed."
    assert "role admin" in failed["remedy"]


def test_what_placement_says_of_a_refusal_is_shown(cloud):
    with pytest.raises(_openstack.RefusalError) as refused, opened(DEFAULTS | cloud.options) as connection:
        _openstack.read(connection.placement, "/resource_providers/none/inventories", "1.20")
    assert refused.value.status == 404
    assert refused.value.found.endswith("found. No resource provider with uuid none found")


def test_another_microversion_is_refused_by_the_cloud_of_the_tests(cloud):
    """Else the other tests could not tell that the right one is asked for."""
    with pytest.raises(_openstack.RefusalError, match="not supported"), opened(DEFAULTS | cloud.options) as connection:
        read_list(connection.compute, "/os-services", "services", "2.52")


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_a_list_is_read_page_by_page_whatever_host_the_links_name(cloud, size):
    cloud.page_size = size
    cloud.hypervisors = [hypervisor(f"cmp{number}") for number in range(5)]
    with opened(DEFAULTS | cloud.options) as connection:
        read = read_list(
            connection.compute, "/os-hypervisors/detail", "hypervisors", "2.53", with_servers="true", limit="9"
        )
    assert [each["id"] for each in read] == [f"hypervisor-cmp{number}" for number in range(5)]
    assert all(call.query["limit"] == "9" for call in cloud.calls)


@pytest.mark.parametrize(
    ("options", "verify"),
    [
        ({}, True),
        ({"ca_cert": "/ca.crt"}, "/ca.crt"),
        ({"validate_certs": True}, True),
        ({"validate_certs": False}, False),
        ({"validate_certs": False, "ca_cert": "/ca.crt"}, False),
    ],
)
@pytest.mark.usefixtures("clouds_yaml")
@pytest.mark.parametrize("way", ["auth", "cloud"])
@pytest.mark.filterwarnings("ignore:You are specifying a cacert")
def test_certificates_and_the_time_limit_reach_the_session(cloud, options, verify, way):
    given = cloud.options if way == "auth" else {"cloud": "there"}
    made = session_of({**DEFAULTS, "auth": None, **given, **options})
    assert (made.verify, made.timeout) == (verify, 5.0)


def test_a_host_without_openstacksdk_is_told_what_to_install(cloud, monkeypatch):
    monkeypatch.setattr(_openstack, "find_spec", lambda package: None)
    failed = run(cloud)
    assert failed["failed"] and failed["found"] == "no keystoneauth1" and "python3-openstacksdk" in failed["remedy"]
