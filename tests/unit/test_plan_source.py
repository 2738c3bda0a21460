# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and servers of a plan as Nova and Placement tell of them, in the shapes of their API samples."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import RefusalError, no_answer
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_layout import Layout
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_matrix import Matrix
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_model import Group, Move, Uplinks
from ansible_collections.lifeboat.cloud.plugins.module_utils._plan_source import fleet_from
from ansible_collections.lifeboat.cloud.tests.unit.cloud_over_http import hypervisor, inventory, service
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB, MIB

ASSUMED = {"bandwidth": 1.25e9, "dirty_rate": 1e6}


def nova_server(name, host="cmp1", flavor=(), extra_specs=(), **values):
    """An entry of servers/detail at 2.96, as in nova/doc/api_samples/servers/v2.96."""
    return {
        "id": f"id-{name}",
        "name": name,
        "status": "ACTIVE",
        "image": {"id": "image", "links": []},
        "flavor": {
            "vcpus": 2,
            "ram": 4096,
            "disk": 20,
            "ephemeral": 0,
            "swap": 0,
            "original_name": "m1.small",
            "extra_specs": dict(extra_specs),
        }
        | dict(flavor),
        "locked": False,
        "locked_reason": None,
        "pinned_availability_zone": None,
        "OS-EXT-AZ:availability_zone": "nova",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-SRV-ATTR:host": host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": f"{host}.example.org",
        "os-extended-volumes:volumes_attached": [],
    } | values


class Answers:
    """A service that knows one body for each address, at the microversion it is meant for."""

    def __init__(self, bodies):
        self.bodies = bodies

    def get(self, url, microversion=None, params=None):
        wanted, body = self.bodies[url]
        assert microversion == wanted, url
        # A thousand at once take a busy Nova longer than its load balancer waits.
        assert url != "/servers/detail" or int(params["limit"]) <= 100
        if url == "/os-server-groups":
            # Nova cuts their list without a word.
            begin = int(params["offset"])
            body = {"server_groups": body["server_groups"][begin : begin + 1]}
        return SimpleNamespace(status_code=200, json=lambda: body)


def cloud(servers, groups=(), hypervisors=(), used=2, traits=()):
    found = list(hypervisors) or [hypervisor("cmp1"), hypervisor("cmp2")]
    compute = {
        "/os-hypervisors/detail": ("2.53", {"hypervisors": found}),
        "/servers": ("2.53", {"servers": []}),
        "/os-aggregates": ("2.53", {"aggregates": [{"id": 1, "name": "ssd", "hosts": ["cmp1"]}]}),
        "/os-services": ("2.53", {"services": [service(each["service"]["host"], zone="east") for each in found]}),
        "/servers/detail": ("2.96", {"servers": list(servers)}),
        "/os-server-groups": ("2.64", {"server_groups": list(groups)}),
    }
    providers = [{"uuid": each["id"], "name": each["hypervisor_hostname"]} for each in found]
    placement = {"/resource_providers": ("1.20", {"resource_providers": providers})}
    for each in found:
        inventories = {
            "VCPU": inventory(16, allocation_ratio=4.0),
            "MEMORY_MB": inventory(65536, reserved=512),
            "DISK_GB": inventory(100),
        }
        path = f"/resource_providers/{each['id']}"
        placement[f"{path}/inventories"] = ("1.20", {"inventories": inventories})
        placement[f"{path}/usages"] = ("1.20", {"usages": {"VCPU": used, "MEMORY_MB": 4096, "DISK_GB": 20}})
        placement[f"{path}/traits"] = ("1.20", {"traits": list(traits)})
        placement[f"{path}/aggregates"] = ("1.20", {"aggregates": []})
    return SimpleNamespace(compute=Answers(compute), placement=Answers(placement))


def fleet(*servers, storage="ceph", **options):
    return fleet_from(cloud(servers, **options), ASSUMED, storage)


def test_hosts_have_the_numbers_of_placement():
    seen = fleet(nova_server("web"), traits=["HW_CPU_X86_AVX2", "CUSTOM_FAST"])
    first = seen.hosts["cmp1"]
    assert (first.capacity.vcpus, first.capacity.memory) == (64, (65536 - 512) * MIB)
    assert (first.bandwidth, first.state, first.status) == (1.25e9, "up", "enabled")
    traits = first.traits
    assert (traits.hypervisor, traits.hypervisor_version, traits.zone) == ("QEMU", "10.0.0", "east")
    assert (traits.aggregates, traits.cpu_features) == ({"ssd", "CUSTOM_FAST"}, {"HW_CPU_X86_AVX2"})


def test_what_others_have_allocated_is_not_there_for_servers():
    # Placement counts 12 VCPUs, the server of the host takes 2.
    assert fleet(nova_server("web"), used=12).hosts["cmp1"].capacity.vcpus == 64 - 10


def test_one_that_is_under_way_takes_its_room_on_both_hosts_and_from_nobody_else():
    move = Move("id-web", "cmp1", "cmp2")
    seen = fleet_from(cloud([nova_server("web", host="cmp2")], used=2), ASSUMED, "ceph", {"id-web": move})
    web = seen.servers["id-web"]
    assert (web.host, web.bound_for) == ("cmp1", "cmp2")
    assert {host.capacity.vcpus for host in seen.hosts.values()} == {64}


def test_servers_have_what_their_flavors_say():
    web = fleet(nova_server("web", flavor={"swap": 512, "ephemeral": 5})).servers["id-web"]
    assert (web.takes.vcpus, web.takes.memory, web.takes.disk) == (2, 4 * GIB, 25 * GIB + 512 * MIB)
    assert (web.host, web.dirty_rate, web.movable, web.status) == ("cmp1", 1e6, "live", "ACTIVE")


@pytest.mark.parametrize(
    ("values", "storage", "where", "local"),
    [
        ({}, "ceph", "shared", 0),
        ({}, None, "local", 20 * GIB),
        ({"image": ""}, None, "volume", 0),
        ({"image": "", "flavor": {"ephemeral": 5}}, None, "local", 5 * GIB),
    ],
)
def test_what_has_to_be_copied_depends_on_where_the_disks_are(values, storage, where, local):
    web = fleet(nova_server("web", **values), storage=storage).servers["id-web"]
    assert (web.needs.storage, web.local_disk) == (where, local)


@pytest.mark.parametrize(
    ("values", "movable", "reason"),
    [
        ({"OS-EXT-STS:task_state": "migrating"}, "none", "Nova is busy with it (migrating)"),
        ({"locked": True, "locked_reason": "audit"}, "none", "it is locked (audit)"),
        ({"status": "VERIFY_RESIZE"}, "none", "its status is VERIFY_RESIZE"),
        ({"status": "SHUTOFF"}, "cold", ""),
        ({"status": "PAUSED"}, "live", ""),
        ({"extra_specs": {"pci_passthrough:alias": "gpu:1"}}, "cold", "it has a PCI device"),
    ],
)
def test_what_cannot_move_says_why(values, movable, reason):
    web = fleet(nova_server("web", **values)).servers["id-web"]
    assert (web.movable, web.reason) == (movable, reason)


def test_zones_groups_and_required_traits_are_needs():
    group = {"id": "g1", "name": "db", "policy": "anti-affinity", "rules": {}, "members": ["id-web"]}
    web = nova_server("web", pinned_availability_zone="east", extra_specs={"trait:CUSTOM_FAST": "required"})
    seen = fleet(web, groups=[group])
    needs = seen.servers["id-web"].needs
    assert (needs.zone, needs.aggregates) == ("east", {"CUSTOM_FAST"})
    assert (seen.servers["id-web"].group, seen.groups) == ("g1", {"g1": Group("anti-affinity")})


def test_how_many_of_a_group_a_host_takes_is_told_by_its_rules():
    def group(name, **rules):
        return {"id": name, "name": name, "policy": "anti-affinity", "rules": rules, "members": []}

    groups = fleet(groups=[group("one"), group("three", max_server_per_host=3)]).groups
    assert {name: each.max_server_per_host for name, each in groups.items()} == {"one": 1, "three": 3}


def test_a_server_that_starts_anew_needs_of_the_processor_what_its_flavor_asks_for():
    asks = {"trait:HW_CPU_X86_AES": "required"}
    servers = [
        nova_server("web", extra_specs=asks),
        nova_server("off", status="SHUTOFF", extra_specs=asks),
    ]
    seen = fleet(*servers, traits=["HW_CPU_X86_AVX2", "HW_CPU_X86_AES"]).servers
    assert seen["id-web"].needs.cpu_features == {"HW_CPU_X86_AVX2", "HW_CPU_X86_AES"}
    assert seen["id-off"].needs.cpu_features == {"HW_CPU_X86_AES"}
    assert seen["id-web"].stopped("").needs == seen["id-off"].needs
    assert not seen["id-web"].needs.aggregates


def test_an_older_hypervisor_takes_no_server_that_runs():
    # As Nova has 10.0.2 and 9.2.0.
    older = hypervisor("cmp1", hypervisor_version=10000002), hypervisor("cmp2", hypervisor_version=9002000)
    of = fleet(nova_server("web"), nova_server("off", status="SHUTOFF"), hypervisors=older)
    matrix, layout = Matrix(of), Layout(of)
    [against] = matrix.against(of.servers["id-web"], "cmp2", layout)
    assert against.subject == "hypervisor"
    assert against.reason == "9.2.0 on the destination is older than 10.0.2 on the source"
    assert matrix.against(of.servers["id-off"], "cmp2", layout) == ()


def test_a_server_that_is_nowhere_is_left_out_and_one_on_an_unknown_host_is_refused():
    assert not fleet(nova_server("shelved", host=None, status="SHELVED_OFFLOADED")).servers
    with pytest.raises(LifeboatError, match="server web: found host gone"):
        fleet(nova_server("web", host="gone"))


def test_servers_of_a_cell_that_is_down_are_not_taken_for_none():
    # The shape of nova/doc/api_samples for down cells.
    down = {"id": "id-web", "created": "2026-11-21T13:42:05Z", "tenant_id": "t", "status": "UNKNOWN", "links": []}
    with pytest.raises(RefusalError, match="such as id-web, whose cell does not answer") as refused:
        fleet(nova_server("mail"), down)
    # Which is asked again.
    assert no_answer(refused.value)


RACKS = {"rack1": 1e9, "rack2": 2e9}


def test_hosts_are_at_the_links_that_were_said():
    seen = fleet_from(cloud([]), ASSUMED, "ceph", uplinks=Uplinks(RACKS, {"cmp1": "rack1"}))
    assert {name: each.link for name, each in seen.hosts.items()} == {"cmp1": "rack1", "cmp2": None}
    assert seen.links == RACKS


@pytest.mark.parametrize(
    ("uplinks", "message"),
    [
        (
            Uplinks(RACKS, {"cmp1": "rack1", "cmp8": "rack1", "cmp9": "rack2"}),
            "host cmp8, cmp9 of host_links: found no",
        ),
        (Uplinks(RACKS), "links: found rack1, rack2, and no host at any; .* Say in host_links"),
    ],
)
def test_links_of_unknown_hosts_and_of_none_are_refused(uplinks, message):
    with pytest.raises(LifeboatError, match=message):
        fleet_from(cloud([]), ASSUMED, "ceph", uplinks=uplinks)


def test_without_a_bandwidth_nothing_is_asked():
    with pytest.raises(LifeboatError, match="bandwidth of the hosts"):
        fleet_from(SimpleNamespace(), {})
