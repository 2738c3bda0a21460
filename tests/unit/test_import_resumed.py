# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of import_server that was interrupted has left, and what the next one makes of it, over HTTP."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.tests.unit import importing_project
from ansible_collections.lifeboat.cloud.tests.unit.importing_project import joined, run


@pytest.fixture
def project(cloud, monkeypatch):
    return joined(cloud, monkeypatch)


def interrupted(project):
    """The run that made the server was killed before it had its floating IP."""
    project.order.clear()
    project.addresses.clear()
    (server,) = project.servers.values()
    return server


def test_what_an_interrupted_run_owes_is_made_by_the_next(cloud, project):
    run(cloud)
    server = interrupted(project)
    server |= {"status": "BUILD", "steps": list(importing_project.SERVER)}
    project.set_ports(server, there=False)
    would = run(cloud, check=True, flavor="", networks=["web", ""])
    assert (would["changed"], project.order) == (True, [])
    did = run(cloud, flavor="", networks=["web", ""])
    assert did["actions"] == would["actions"] == ["give it a floating IP of public"] and did["changed"]
    assert project.order == ["floating IP", "ACTIVE"] and did["server"]["status"] == "ACTIVE"
    assert project.addresses[0]["port"] == "port-net-1" and did["address"] == project.addresses[0]["address"]
    assert not run(cloud)["changed"]


def test_a_server_that_is_still_built_is_waited_for(cloud, project):
    run(cloud, external_network="")
    interrupted(project).update(status="BUILD", steps=list(importing_project.SERVER))
    again = run(cloud, external_network="")
    assert (again["changed"], again["server"]["status"], project.order) == (False, "ACTIVE", ["ACTIVE"])


def test_one_that_somebody_has_stopped_gets_its_address_and_stays_so(cloud, project):
    run(cloud)
    interrupted(project)["status"] = "SHUTOFF"
    did = run(cloud)
    assert (did["changed"], did["server"]["status"], project.order) == (True, "SHUTOFF", ["floating IP"])


def killed_before_its_server(cloud, project):
    """The run made both volumes, and was killed before it asked for the server."""
    project.unanswered = "server"
    run(cloud)
    project.unanswered = "nothing"
    project.servers.clear()
    project.order.clear()


def test_volumes_that_no_server_has_had_are_used_by_the_next_run(cloud, project):
    killed_before_its_server(cloud, project)
    would = run(cloud, check=True)
    assert project.order == []
    did = run(cloud)
    assert did["actions"] == would["actions"]
    assert did["actions"][:2] == [
        "use volume web1-data of 2 GiB from image web1-data",
        "use volume web1-logs of 1 GiB",
    ]
    assert len(project.volumes) == 2 and not any(each.startswith("volume ") for each in project.order)
    attached = [each["uuid"] for each in project.bodies["server"]["block_device_mapping_v2"][1:]]
    assert attached == list(project.volumes)


def test_a_volume_is_no_longer_begun_once_a_server_was_asked_for(cloud, project):
    run(cloud)
    asked = project.order.index("server")
    for name in ("web1-data", "web1-logs"):
        assert project.order.index(f"{name} without lifeboat_import_begun") > asked
    # The server goes and the volumes stay, with what somebody has written to them.
    project.servers.clear()
    assert run(cloud)["thing"] == "volume web1-data"


def test_a_run_that_was_killed_before_it_noted_that_is_finished(cloud, project):
    run(cloud)
    project.order.clear()
    for each, of in zip(project.volumes.values(), ("image-2", "true"), strict=True):
        each["metadata"]["lifeboat_import_begun"] = of
    would = run(cloud, check=True)
    assert project.order == []
    did = run(cloud)
    assert (
        did["actions"]
        == would["actions"]
        == [f"note that volume web1-{name} has its server" for name in ("data", "logs")]
    )
    assert not any("lifeboat_import_begun" in each["metadata"] for each in project.volumes.values())
    assert not run(cloud)["changed"]


def test_a_server_that_nova_refuses_is_none(cloud, project):
    """Who made it starts the source again, as nothing runs in its place."""
    project.quota = True
    failed = run(cloud)
    assert "Quota exceeded" in failed["found"] and failed["made"] == ["volume web1-data", "volume web1-logs"]


def test_a_volume_of_another_image_is_not_used(cloud, project):
    killed_before_its_server(cloud, project)
    # The machine has run again, and its image was made anew.
    project.images[1]["id"] = "image-4"
    refused = run(cloud)
    assert (refused["thing"], refused["found"]) == ("volume web1-data", "one that was made of another image")
    assert project.order == []


@pytest.mark.parametrize("changed", [{"size": 3}, {"metadata": {"lifeboat_import": "other"}}])
def test_volumes_of_another_size_or_source_are_not_used(cloud, project, changed):
    killed_before_its_server(cloud, project)
    [data, *_others] = project.volumes.values()
    data |= changed
    assert run(cloud)["thing"] == "volume web1-data" and project.order == []


def test_without_metadata_no_volume_is_known_again(cloud, project):
    project.unanswered = "server"
    run(cloud, metadata={})
    project.unanswered = "nothing"
    project.servers.clear()
    assert run(cloud, metadata={})["thing"] == "volume web1-data"
