# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for libvirt return of a host, read again for a plan."""

from __future__ import annotations

import copy
from xml.etree import ElementTree

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt import Described, GuestAddress
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import connected
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import read_domains
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import read_host
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Network, Pool, read_resources
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_results import domains_of, host_of
from ansible_collections.lifeboat.cloud.tests.unit.libvirt_samples import network, pool
from ansible_collections.lifeboat.cloud.tests.unit.plan_libvirt_samples import (
    IN_CEPH,
    KEY,
    ON_BRIDGE,
    OWN,
    RICH_CPU,
    fleet,
    kvm,
    run,
)
from ansible_collections.lifeboat.cloud.tests.unit.plan_samples import GIB


def test_results_become_what_they_were_made_from(told):
    fake = run(kvm(1), devices=OWN + ON_BRIDGE + IN_CEPH.replace("vda", "vdb"), cpu=RICH_CPU)
    web = fake.known["web"]
    mac = ElementTree.fromstring(web.definition(live=True)).find("devices/interface/mac").get("address")
    web.known_addresses = (GuestAddress(mac, "192.0.2.7", 24, "lease"),)
    web.job_statistics = {"type": 2, "operation": 9, "data_remaining": 1}
    [entry] = told(fake)
    assert host_of(entry["host"], "kvm1") == (read_host(fake), read_resources(fake))
    domains = domains_of(entry["domains"], "kvm1")
    assert domains == tuple(read_domains(fake, None, ["lease"]))
    assert domains[0].interfaces[0].addresses == web.known_addresses and domains[0].job and len(domains[0].disks) == 2


def broken(entries, *path, value=None):
    entries = copy.deepcopy(entries)
    place = entries[0]
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return entries


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("name",), None, "host ?: found no name"),
        (("host",), None, "host kvm1: found no host"),
        (("host",), "kvm1", "result of libvirt_host_info on host kvm1: found 'kvm1'; expected a dictionary"),
        (("host", "failed"), True, "result of libvirt_host_info on host kvm1: found that the task failed"),
        (("domains", "failed"), True, "result of libvirt_domain_info on host kvm1: found that the task failed"),
        (("domains",), {"unreachable": True, "msg": "no route"}, "found that the task did not reach the host: no rout"),
        (("domains",), {"skipped": True, "skip_reason": "false"}, "found that the task skipped: false"),
        (("domains", "domains"), None, "found no domains; expected domains, as the module returns it"),
        (("host", "host", "pools"), None, "found no pools"),
        (
            ("host", "host", "cpus"),
            "3",
            "cpus in the result of libvirt_host_info on host kvm1: found '3'",
        ),
        (
            ("host", "host", "cpu", "features"),
            None,
            "cpu in the result of libvirt_host_info on host kvm1: found no",
        ),
        (("host", "host", "machines", 0, "deprecated"), 1, "deprecated in the machines in the result of"),
        (("host", "host", "pools", 0, "path"), 7, "path in the pools in the result of libvirt_host_info"),
        (("host", "host", "secrets"), [7], "secrets in the result of libvirt_host_info on host kvm1: found 7"),
        (("domains", "domains", 0, "vcpus"), True, "vcpus in the domains in the result of libvirt_domain_info"),
        (("host", "host", "nodes"), [], "host kvm1: found no NUMA node with memory"),
        (("domains", "domains", 0, "machine"), None, "found no machine"),
        (("bandwidht",), 1, "unknown bandwidht"),
        (("status",), "off", "one of enabled, disabled"),
        (("name",), "kvm2", "host kvm2: found two entries"),
        (("link",), "rack1", "link rack1, which is not given"),
    ],
)
def test_what_is_no_result_is_refused(told, path, value, words):
    entries = broken(told(run(kvm(1)), kvm(2)), *path, value=value)
    with pytest.raises(LifeboatError) as error:
        fleet(entries)
    assert words in str(error.value)


def test_resources_are_read(told):
    said = told(kvm(1, networks_found=[network("default"), network("isolated", False)]))[0]["host"]["host"]
    assert said["pools"][1] == {
        "name": "nfs",
        "type": "netfs",
        "active": True,
        "path": "/srv/nfs",
        "source": "nas:/export",
        "capacity": 100 * GIB,
        "available": 50 * GIB,
    }
    assert said["pools"][0]["source"] is None
    assert said["networks"][1] == {"name": "isolated", "active": False, "bridge": "virbr0"}
    assert (said["interfaces"], said["secrets"]) == (["br0", "eth0", "eth1"], [KEY])
    assert read_resources(kvm(1, interfaces_found=[])).interfaces is None
    stopped = read_resources(kvm(1, pools_found=[Described(pool("images", "dir", "/images").xml, False)])).pools
    assert stopped == (Pool("images", "dir", False, "/images", None, 0, 0),)


def test_resources_of_the_test_driver_are_read():
    pytest.importorskip("libvirt")
    with connected("test:///default", 10.0) as connection:
        found = read_resources(connection)
    assert Network("default", True, "virbr0") in found.networks
    assert [(each.name, each.type, each.active) for each in found.pools] == [("default-pool", "dir", True)]
    assert found.pools[0].capacity and found.interfaces
