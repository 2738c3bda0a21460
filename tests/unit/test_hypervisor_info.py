# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hypervisors with their resources, over HTTP as Nova and Placement tell them."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.modules import hypervisor_info
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import hypervisor, inventory, service
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

SMALL = {"vcpus": 2, "ram": 1024, "disk": 10}


@pytest.fixture
def three(cloud):
    """Three hypervisors: the first two share storage, the third has a disk of its own."""
    cloud.hypervisors = [
        hypervisor("cmp1", servers=["web", "mail"]),
        hypervisor("cmp2"),
        hypervisor("cmp3", servers=["build"]),
    ]
    cloud.running = ["web", "build", "elsewhere"]
    for host, disk in (("cmp1", {}), ("cmp2", {}), ("cmp3", {"DISK_GB": inventory(60, used=15)})):
        cloud.add_provider(
            f"hypervisor-{host}",
            f"{host}.example.org",
            traits=["HW_CPU_X86_AVX2", "COMPUTE_NODE"],
            aggregates=["rack1"] if host != "cmp3" else [],
            VCPU=inventory(4, used=2, allocation_ratio=4.0, max_unit=4),
            MEMORY_MB=inventory(16384, used=512, reserved=512),
            **disk,
        )
    cloud.add_provider(
        "nfs", traits=["MISC_SHARES_VIA_AGGREGATE"], aggregates=["rack1"], DISK_GB=inventory(100, used=20, reserved=10)
    )
    return cloud


def run(cloud, **options):
    cloud.calls.clear()
    return run_module(hypervisor_info.main, **{**cloud.options, **options})


def by_host(result):
    return {each["host"]: each for each in result["hypervisors"]}


def test_the_numbers_are_placement_s(three):
    first = by_host(run(three))["cmp1"]
    assert first["resources"] == {
        "VCPU": {
            "total": 4,
            "reserved": 0,
            "allocation_ratio": 4.0,
            "min_unit": 1,
            "max_unit": 4,
            "step_size": 1,
            "used": 2,
            "capacity": 16,
            "free": 14,
        },
        "MEMORY_MB": {
            "total": 16384,
            "reserved": 512,
            "allocation_ratio": 1.0,
            "min_unit": 1,
            "max_unit": 16384,
            "step_size": 1,
            "used": 512,
            "capacity": 15872,
            "free": 15360,
        },
    }
    assert (first["name"], first["id"], first["type"]) == ("cmp1.example.org", "hypervisor-cmp1", "QEMU")


def test_servers_are_counted_and_those_that_run(three):
    result = run(three)
    counts = {host: (each["servers"], each["running_servers"]) for host, each in by_host(result).items()}
    assert counts == {"cmp1": (2, 1), "cmp2": (0, 0), "cmp3": (1, 1)}
    assert (result["summary"]["servers"], result["summary"]["running_servers"]) == (3, 2)


def test_servers_of_a_host_with_several_hypervisors_are_counted_once(three):
    three.hypervisors.append(hypervisor("cmp1", servers=["web", "mail"], id="second", hypervisor_hostname="second"))
    summary = run(three)["summary"]
    assert (summary["hypervisors"], summary["servers"], summary["running_servers"]) == (4, 3, 2)


def test_shared_storage_is_shown_with_who_uses_it_and_counted_once(three):
    result = run(three)
    (nfs,) = result["sharing_providers"]
    assert (nfs["name"], nfs["hypervisors"]) == ("nfs", ["cmp1.example.org", "cmp2.example.org"])
    assert (nfs["resources"]["DISK_GB"]["capacity"], nfs["resources"]["DISK_GB"]["free"]) == (90, 70)
    assert [each["sharing_providers"] for each in result["hypervisors"]] == [["nfs"], ["nfs"], []]
    assert result["summary"]["resources"] == {
        "VCPU": {"total": 12, "reserved": 0, "capacity": 48, "used": 6, "free": 42},
        "MEMORY_MB": {"total": 49152, "reserved": 1536, "capacity": 47616, "used": 1536, "free": 46080},
        "DISK_GB": {"total": 160, "reserved": 10, "capacity": 150, "used": 35, "free": 115},
    }


def test_only_providers_with_the_trait_share_and_only_through_an_aggregate(three):
    three.add_provider("no-trait", aggregates=["rack1"], DISK_GB=inventory(1000))
    three.add_provider("no-aggregate", traits=["MISC_SHARES_VIA_AGGREGATE"], DISK_GB=inventory(1000))
    three.add_provider(
        "other-rack", traits=["MISC_SHARES_VIA_AGGREGATE"], aggregates=["rack2"], DISK_GB=inventory(1000)
    )
    assert [each["name"] for each in run(three)["sharing_providers"]] == ["nfs"]


def test_a_provider_nested_below_a_hypervisor_shares_with_all_of_it_but_is_not_counted_as_it(three):
    three.add_provider("gpu", parent="hypervisor-cmp3", aggregates=["rack1"], VGPU=inventory(2))
    result = run(three)
    assert by_host(result)["cmp3"]["sharing_providers"] == ["nfs"]
    assert "VGPU" not in by_host(result)["cmp3"]["resources"]


def test_a_hypervisor_that_shares_its_own_disk_is_counted_once(three):
    third = three.providers["hypervisor-cmp3"]
    third["traits"].append("MISC_SHARES_VIA_AGGREGATE")
    third["aggregates"].append("rack1")
    del three.providers["nfs"]
    result = run(three, flavor=SMALL)
    assert result["summary"]["resources"]["DISK_GB"]["total"] == 60
    assert {host: each["fits"] for host, each in by_host(result).items()} == {"cmp1": 4, "cmp2": 4, "cmp3": 4}
    assert result["summary"]["fits"] == 4
    assert run(three, flavor=SMALL | {"disk": 0})["summary"]["fits"] == 21


def test_what_fits_counts_shared_storage_for_each_and_once_for_all(three):
    result = run(three, flavor=SMALL)
    assert {host: each["fits"] for host, each in by_host(result).items()} == {"cmp1": 7, "cmp2": 7, "cmp3": 4}
    assert result["summary"]["fits"] == 11


@pytest.mark.parametrize("down", [{"state": "down"}, {"status": "disabled"}])
def test_nothing_fits_where_nothing_is_scheduled(three, down):
    three.hypervisors[2] |= down
    result = run(three, flavor=SMALL)
    assert by_host(result)["cmp3"]["fits"] == 0
    assert (result["summary"]["fits"], result["summary"]["schedulable"]) == (7, 2)


def test_without_a_flavor_nothing_is_said_of_what_fits(three):
    result = run(three)
    assert result["summary"]["fits"] is None and by_host(result)["cmp1"]["fits"] is None


def test_a_flavor_that_takes_nothing_is_refused_before_anything_is_asked(three):
    failed = run(three, flavor={"vcpus": 0, "ram": 512})
    assert failed["failed"] and failed["thing"] == "flavor" and three.requests == []


def test_a_hypervisor_that_placement_does_not_know_has_no_resources(three):
    del three.providers["hypervisor-cmp2"]
    result = run(three, flavor=SMALL, traits=True)
    second = by_host(result)["cmp2"]
    assert (second["resources"], second["fits"], second["traits"]) == (None, 0, None)
    assert result["summary"]["resources"]["VCPU"]["total"] == 8


def test_named_ones_are_chosen_by_name_or_host_exactly(three):
    three.hypervisors.append(hypervisor("cmp11"))
    assert list(by_host(run(three, names=["cmp1", "cmp3.example.org"]))) == ["cmp1", "cmp3"]
    assert not [call for call in three.calls if "hypervisor-cmp2" in call.path]
    failed = run(three, names=["cmp1", "cmp"])
    assert failed["thing"] == "hypervisor cmp"
    assert "cmp1.example.org, cmp11.example.org, cmp2.example.org, cmp3.example.org" in failed["found"]


def test_storage_shared_with_others_only_is_left_out(three):
    result = run(three, names=["cmp3"])
    assert result["sharing_providers"] == [] and result["summary"]["resources"]["DISK_GB"]["total"] == 60


def test_a_hypervisor_that_is_disabled_says_why(three):
    three.hypervisors[0] |= {
        "status": "disabled",
        "service": {"host": "cmp1", "id": "s", "disabled_reason": "new disk"},
    }
    first = by_host(run(three))["cmp1"]
    assert (first["state"], first["status"], first["disabled_reason"]) == ("up", "disabled", "new disk")


def test_traits_aggregates_and_zones_are_read_when_asked_for(three):
    three.services = [service(host, zone="east") for host in ("cmp1", "cmp2")] + [service("cmp1", "nova-scheduler")]
    names = {"ssd": ["cmp1", "cmp3"], "rack1": ["cmp1"]}
    three.aggregates = [{"id": 1, "uuid": name, "name": name, "hosts": hosts} for name, hosts in names.items()]
    plain = by_host(run(three))["cmp1"]
    assert (plain["traits"], plain["aggregates"], plain["zone"]) == (None, None, None)
    assert not [call for call in three.calls if call.path.endswith(("os-aggregates", "os-services", "cmp1/traits"))]
    first = by_host(run(three, traits=True, aggregates=True))["cmp1"]
    assert first["traits"] == ["COMPUTE_NODE", "HW_CPU_X86_AVX2"]
    assert (first["aggregates"], first["zone"]) == (["rack1", "ssd"], "east")


def test_a_large_cloud_is_read_page_by_page(three):
    whole = run(three, flavor=SMALL)
    three.page_size = 1
    assert run(three, flavor=SMALL)["hypervisors"] == whole["hypervisors"]
    assert len([call for call in three.calls if call.path.endswith("/servers")]) == 3


def test_it_only_reads_and_takes_two_requests_a_hypervisor_and_few_more(three):
    run(three, flavor=SMALL)
    assert {call.method for call in three.calls} == {"GET"}
    assert len(three.calls) == 3 * 2 + 8
