# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what an import may use and making its server, over HTTP as a project's user."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils import _import_server
from ansible_collections.lifeboat.cloud.plugins.modules import import_target_info
from ansible_collections.lifeboat.cloud.tests.unit import importing_project
from ansible_collections.lifeboat.cloud.tests.unit.importing_project import (
    DATA,
    EMPTY,
    flavor,
    image,
    joined,
    network,
    run,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module


@pytest.fixture
def project(cloud, monkeypatch):
    return joined(cloud, monkeypatch)


def test_the_target_is_in_the_words_of_the_plan(cloud, project):
    run(cloud)
    # As Nova shows a server of a cell that is down.
    project.servers["lost"] = {"id": "lost", "status": "UNKNOWN"}
    project.page_size = 1
    project.networks[1]["port_security_enabled"] = False
    target = run_module(import_target_info.main, **cloud.options)["target"]
    assert target["flavors"][1] == {
        **{"name": "large", "vcpus": 1, "ram": 128, "disk": 1},
        "extra_specs": {"hw:cpu_policy": "dedicated"},
    }
    assert (target["networks"], target["routers"]) == (["web", "db", "public"], ["web"])
    assert target["open_networks"] == ["db"]
    of_default = {"name": "default", "description": "Default security group", "rules": []}
    assert target["security_groups"] == [of_default]
    assert target["images"] == [
        {"id": "image-1", "name": "web1", "status": "active", "properties": {"lifeboat_import": "5891b5 vmdisk1"}},
        {"id": "image-2", "name": "web1-data", "status": "active", "properties": {}},
    ]
    mark = {"lifeboat_import": "5891b5"}
    assert target["volumes"] == [{"name": name, "metadata": mark} for name in ("web1-data", "web1-logs")]
    assert target["servers"] == [{"name": "web1", "metadata": {"lifeboat_import": "5891b5"}}]


def test_a_cloud_without_block_storage_has_no_volumes(cloud, monkeypatch):
    joined(cloud, monkeypatch, block_storage=False)
    assert run_module(import_target_info.main, **cloud.options)["target"]["volumes"] == []
    assert run(cloud, volumes=[])["server"]["status"] == "ACTIVE"
    refused = run(cloud, name="web2")
    assert refused["failed"] and "block-storage" in refused["found"]


def test_all_is_asked_for_as_the_services_take_it(cloud, project):
    would = run(cloud, check=True)
    assert project.order == [] and would["changed"] and would["server"] is None
    did = run(cloud)
    assert would["actions"] == did["actions"] and len(did["actions"]) == 4 and would["diff"] == did["diff"]
    assert did["changed"] and did["server"] | {"id": ""} == {"id": "", "name": "web1", "status": "ACTIVE"}
    data, logs = project.volumes
    mark = {"lifeboat_import": "5891b5"}
    assert project.bodies["volumes"] == [
        {
            **{"name": "web1-data", "size": 2, "imageRef": "image-2"},
            "metadata": mark | {"lifeboat_import_begun": "image-2"},
        },
        {"name": "web1-logs", "size": 1, "metadata": mark | {"lifeboat_import_begun": "true"}},
    ]
    attached = {"source_type": "volume", "destination_type": "volume", "boot_index": -1, "delete_on_termination": False}
    boot = {"source_type": "image", "destination_type": "local", "boot_index": 0, "delete_on_termination": True}
    assert project.bodies["server"] == {
        "name": "web1",
        "imageRef": "image-1",
        "flavorRef": "flavor-1",
        "networks": [{"uuid": "net-1"}, {"uuid": "net-2"}],
        "security_groups": [{"name": "default"}],
        "metadata": {"lifeboat_import": "5891b5"},
        "block_device_mapping_v2": [boot | {"uuid": "image-1"}, *(attached | {"uuid": key} for key in (data, logs))],
    }
    asked = project.bodies["floating_ip"]
    assert (asked["floating_network_id"], asked["port_id"]) == ("net-3", "port-net-1")
    assert did["address"] == project.addresses[0]["address"]


def test_it_can_boot_from_its_first_volume(cloud, project):
    root = {"name": "web1", "image": "web1", "size": 1}
    did = run(cloud, volumes=[root, DATA], boot_from_volume=True)
    assert "make server web1 from volume web1" in did["actions"]
    of_root, data = project.volumes
    attached = {"source_type": "volume", "destination_type": "volume", "delete_on_termination": False}
    body = project.bodies["server"]
    assert "imageRef" not in body
    assert body["block_device_mapping_v2"] == [
        attached | {"uuid": of_root, "boot_index": 0},
        attached | {"uuid": data, "boot_index": -1},
    ]
    assert not run(cloud, volumes=[root, DATA], boot_from_volume=True)["changed"]


@pytest.mark.parametrize("volumes", [[], [DATA], [EMPTY]])
def test_what_it_cannot_boot_from_is_refused_before_anything_is_made(cloud, project, volumes):
    refused = run(cloud, volumes=volumes, boot_from_volume=True)
    assert refused["failed"] and refused["thing"] == "server web1" and project.order == []


def test_what_need_not_wait_does_not(cloud, project):
    did = run(cloud)
    order = project.order
    # Both volumes are asked for before one is looked at, and are there before the server is asked for.
    assert order[:2] == ["volume web1-data", "volume web1-logs"]
    assert max(order.index("available web1-data"), order.index("available web1-logs")) < order.index("server")
    assert order.index("server") < order.index("floating IP") < order.index("ACTIVE")
    assert did["seconds"] and all(value >= 0 for value in did["seconds"].values())


def test_without_an_external_network_the_address_is_its_own(cloud, project):
    did = run(cloud, external_network="")
    assert "floating IP" not in project.order and did["address"].startswith("192.0.2.")
    assert len(did["actions"]) == 3


def test_a_second_run_finds_it(cloud, project):
    did = run(cloud)
    project.order.clear()
    again = run(cloud)
    assert (again["changed"], again["actions"], project.order) == (False, [], [])
    assert (again["server"], again["address"]) == (did["server"], did["address"])


def test_a_server_of_another_source_is_refused(cloud, project):
    run(cloud)
    project.order.clear()
    refused = run(cloud, metadata={"lifeboat_import": "other"})
    assert refused["failed"] and refused["thing"] == "server web1" and project.order == []


@pytest.mark.parametrize(
    ("options", "thing"),
    [
        ({"image": "web9"}, "image web9"),
        ({"volumes": [DATA | {"image": "web9"}]}, "image web9"),
        ({"flavor": "huge"}, "flavor huge"),
        ({"networks": ["web", "lan"]}, "network lan"),
        ({"external_network": "internet"}, "network internet"),
        ({"external_network": "db"}, "network db"),
        ({"security_groups": ["default", "web"]}, "security group web"),
        ({"networks": []}, "server web1"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_made(cloud, project, options, thing):
    refused = run(cloud, **options)
    assert refused["failed"] and refused["thing"] == thing and project.order == []


@pytest.mark.parametrize(
    ("kind", "twin", "thing"),
    [
        ("images", image("image-3", "web1"), "image web1"),
        ("flavors", flavor("flavor-3"), "flavor small"),
        ("networks", network("net-4", "web"), "network web"),
    ],
)
def test_what_is_there_twice_is_refused_before_anything_is_made(cloud, project, kind, twin, thing):
    getattr(project, kind).append(twin)
    refused = run(cloud)
    assert refused["failed"] and refused["thing"] == thing and project.order == []
    assert refused["found"].startswith("2 of that name: ")


def test_an_image_without_data_is_refused_before_anything_is_made(cloud, project):
    project.images[1]["status"] = "queued"
    refused = run(cloud)
    assert (refused["thing"], refused["found"], project.order) == ("image web1-data", "status queued", [])


def test_a_volume_of_that_name_is_refused_before_anything_is_made(cloud, project):
    run(cloud, name="other")
    project.order.clear()
    refused = run(cloud)
    assert refused["failed"] and refused["thing"] == "volume web1-data" and project.order == []
    # By this a caller knows that what has these names is not of this run.
    assert "made" not in refused


def test_a_strangers_image_of_that_name_is_in_nobodys_way(cloud, project):
    project.community[0]["name"] = "web1"
    assert run(cloud)["server"]["status"] == "ACTIVE" and project.bodies["server"]["imageRef"] == "image-1"


def test_a_volume_that_fails_ends_it(cloud, project):
    project.volume_script = importing_project.VOLUME_FAILS
    failed = run(cloud)
    assert failed["thing"] == "volume web1-data" and "No space left" in failed["found"]
    assert "server" not in project.order
    assert failed["remedy"].endswith("Made until then: volume web1-data, volume web1-logs.")
    assert failed["made"] == ["volume web1-data", "volume web1-logs"]


def test_a_server_that_fails_says_why_and_leaves_no_address(cloud, project):
    project.server_script = importing_project.SERVER_FAILS
    failed = run(cloud)
    assert failed["thing"] == "server web1" and "No valid host was found." in failed["found"]
    assert "volume web1-data, volume web1-logs, server web1" in failed["remedy"]
    # Nova takes the port of such a server, and nothing would tell any more whose address it was.
    assert "floating IP" in project.order and project.addresses == []
    again = run(cloud)
    assert again["thing"] == "server web1" and "No valid host was found." in again["found"]


def test_a_wait_ends_and_says_what_was_seen_last(cloud, project):
    project.server_script = importing_project.SERVER_STUCK
    failed = run(cloud, volumes=[], make_timeout=0.1)
    assert failed["thing"] == "server web1" and failed["found"] == "BUILD without a port after 0.1 s"
    assert failed["expected"] == "ACTIVE"
    project.volume_script = importing_project.VOLUME[:1]
    failed = run(cloud, name="web2", volumes=[{"name": "late", "size": 1}], make_timeout=0.1)
    assert failed["thing"] == "volume late" and "creating" in failed["found"]


def test_services_that_cannot_tell_are_asked_again(cloud, project):
    project.hiccups = {"volume": 2, "server": 2, "port": 2}
    assert run(cloud)["address"].startswith("203.0.113.")
    assert project.order.count("server") == project.order.count("floating IP") == 1


def test_a_load_balancer_without_a_backend_is_waited_for(cloud, project):
    look = project.look_at_server

    def once(key):
        project.look_at_server = look
        return (503,)

    project.look_at_server = once
    assert run(cloud)["server"]["status"] == "ACTIVE" and project.order.count("server") == 1


def test_a_service_that_never_can_tell_ends_it(cloud, project, monkeypatch):
    monkeypatch.setattr(_import_server, "_GRACE_S", 0.2)
    project.hiccups = {"server": 10_000}
    failed = run(cloud)
    assert failed["failed"] and "status 500" in failed["found"] and "server web1" in failed["remedy"]


def test_a_service_that_answers_no_longer_ends_it_and_leaves_no_address(cloud, project, monkeypatch):
    monkeypatch.setattr(_import_server, "_GRACE_S", 0.2)
    project.silent_from = "floating IP"
    failed = run(cloud)
    assert "Unable to establish connection" in failed["found"] and project.addresses == []
    assert "volume web1-data, volume web1-logs, server web1." in failed["remedy"]


@pytest.mark.parametrize(
    ("silent", "kept"),
    [("volume web1-data", []), ("server", ["volume web1-data", "volume web1-logs", "server web1"])],
)
def test_what_may_have_been_made_is_not_made_twice(cloud, project, silent, kept):
    project.unanswered = silent
    failed = run(cloud)
    assert "Unable to establish connection" in failed["found"] and failed["made"] == kept
    assert project.order.count(silent) == 1


def test_an_address_that_cannot_be_given_back_is_told(cloud, project):
    project.server_script, project.keeps_addresses = importing_project.SERVER_FAILS, True
    failed = run(cloud)
    assert failed["remedy"].endswith(f"server web1, floating IP {project.addresses[0]['address']}.")


def test_a_floating_ip_is_asked_for_once_even_when_neutron_fails(cloud, project):
    project.address_hiccups = 1
    assert run(cloud)["failed"] and project.order.count("floating IP") == 1
