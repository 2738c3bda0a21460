# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an imported machine becomes, and what is refused before anything is made."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from ansible_collections.lifeboat.cloud.plugins.module_utils._import_plan import (
    REHEARSAL_DESCRIPTION,
    SOURCE_PROPERTY,
    Cloud,
    Wanted,
    plan_import,
)
from ansible_collections.lifeboat.cloud.tests.unit.run_playbook import ROOT
from hypothesis import given
from hypothesis import strategies as st

GIB = 2**30
SUM = "5891b5"
OVA = "/srv/web1.ova"


def flavor(name, vcpus, ram, disk, **more):
    return {"name": name, "vcpus": vcpus, "ram": ram, "disk": disk, **more}


def disk(name, size=GIB, path=OVA, reference="disk.vmdk"):
    return {"name": name, "size": size, "path": path, "reference": reference}


def interface(network="VM Network", vlan=None, name="net0"):
    return {"name": name, "network": network, "vlan": vlan}


def machine(**changed):
    return {
        "disks": [disk("vmdisk1")],
        "interfaces": [interface()],
        "needs": {"vcpus": 2, "ram": 1000, "disk": 1},
        "findings": [],
        **changed,
    }


CLOUD = Cloud(
    flavors=[flavor("large", 4, 4096, 40), flavor("fits", 2, 1024, 1), flavor("few", 1, 1024, 10)],
    networks=["web", "db"],
    images=[],
    volumes=[],
    servers=[],
)
WANTED = Wanted(name="web1", networks={"VM Network": "web"}, sources={OVA: SUM})


def refused(found=None, cloud=CLOUD, wanted=WANTED):
    plan = plan_import(found or machine(), cloud, wanted)
    assert plan.findings
    return " | ".join(f"{each.thing}: found {each.found}; expected {each.expected}" for each in plan.findings)


def test_the_smallest_flavor_that_has_all_is_chosen_and_everything_is_named():
    plan = plan_import(machine(disks=[disk("vmdisk1"), disk("data 1", GIB + 1)]), CLOUD, WANTED)
    assert (plan.flavor, plan.networks, plan.findings) == ("fits", ("web",), ())
    boot, data = plan.disks
    assert (boot.image, boot.volume, boot.source) == ("web1", None, f"{SUM} vmdisk1")
    assert (data.image, data.volume, data.size) == ("web1-data-1", "web1-data-1", 2)
    assert plan.says[-1] == "server web1: make with flavor fits"


@given(
    st.lists(st.builds(flavor, st.text("abc", min_size=1), *[st.integers(1, 8)] * 3), max_size=6),
    *[st.integers(1, 8)] * 3,
)
def test_a_chosen_flavor_has_all_and_none_with_less_memory_does(flavors, vcpus, ram, size):
    needs = {"vcpus": vcpus, "ram": ram, "disk": size}
    plan = plan_import(machine(needs=needs), replace(CLOUD, flavors=flavors), WANTED)
    fitting = [each for each in flavors if all(each[name] >= needs[name] for name in needs)]
    assert bool(plan.findings) == (not fitting)
    if fitting:
        chosen = [each for each in fitting if each["name"] == plan.flavor]
        assert min(each["ram"] for each in chosen) == min(each["ram"] for each in fitting)


@pytest.mark.parametrize(
    ("needs", "flavors", "asked", "words"),
    [
        (
            {"vcpus": 8, "ram": 64, "disk": 1},
            CLOUD.flavors,
            "",
            ["at most 4 VCPUs", "expected one of 8 VCPUs", "64 MiB"],
        ),
        ({"vcpus": 1, "ram": 64, "disk": 1}, [flavor("gpu", 1, 64, 1, extra_specs={"pci": "1"})], "", ["0 VCPUs"]),
        ({"vcpus": None, "ram": None, "disk": 1}, CLOUD.flavors, "", ["unknown VCPUs"]),
        ({"vcpus": 1, "ram": 64, "disk": 1}, CLOUD.flavors, "tiny", ["flavor tiny: found none", "few, fits, large"]),
        ({"vcpus": 1, "ram": 64, "disk": 11}, CLOUD.flavors, "few", ["flavor few: found 10 GiB", "11 for"]),
    ],
)
def test_a_flavor_that_does_not_fit_is_refused_with_what_is_needed(needs, flavors, asked, words):
    said = refused(machine(needs=needs), replace(CLOUD, flavors=flavors), replace(WANTED, flavor=asked))
    assert all(word in said for word in words), said


@pytest.mark.parametrize("name", ["../../etc", "..", "/etc", ".web1", "a\nb", "", "x" * 151])
def test_a_name_that_is_no_file_s_is_refused(name):
    wanted = replace(WANTED, name=name)
    assert "one that no file can have" in refused(wanted=wanted)
    # Also when its server is there, since what was left of its import goes then.
    plan = plan_import(machine(), CLOUD, wanted)
    there = replace(CLOUD, servers=[{"name": name, "metadata": {SOURCE_PROPERTY: plan.source}}])
    assert not plan_import(machine(), there, wanted).make and "no file can have" in refused(cloud=there, wanted=wanted)


def test_a_disk_larger_than_is_allowed_is_refused():
    found = machine(disks=[disk("vmdisk1"), disk("b", 60 * 2**10 * GIB)])
    assert plan_import(found, CLOUD, WANTED).findings == ()
    said = refused(found, wanted=replace(WANTED, largest_disk=4096))
    assert said == "disk b of machine web1: found 61440 GiB; expected at most 4096"


def test_a_server_that_boots_from_a_volume_has_one_of_each_disk_and_any_flavor():
    found = machine(disks=[disk("vmdisk1", 30 * GIB), disk("b")], needs={"vcpus": 2, "ram": 1000, "disk": 30})
    assert plan_import(found, CLOUD, WANTED).flavor == "large"
    plan = plan_import(found, CLOUD, replace(WANTED, boot_from_volume=True))
    assert (plan.flavor, plan.findings) == ("fits", ())
    assert [(each["name"], each["image"], each["size"]) for each in plan.volumes] == [
        ("web1", "web1", 30),
        ("web1-b", "web1-b", 1),
    ]
    taken = replace(CLOUD, volumes=[{"name": "web1", "metadata": {}}])
    assert "volume web1: found one that is not" in refused(found, taken, replace(WANTED, boot_from_volume=True))
    assert plan_import(found, taken, WANTED).findings == ()


def test_a_flavor_that_is_asked_for_may_have_less_memory():
    assert plan_import(machine(), CLOUD, replace(WANTED, flavor="few")).flavor == "few"


def test_networks_are_mapped_by_name_and_vlan_and_a_disk_alone_has_one():
    found = machine(interfaces=[interface("vmbr0", 10), interface("vmbr0"), interface(None)])
    wanted = replace(WANTED, networks={"vmbr0.10": "db", "vmbr0": "web", "net0": "db"})
    assert plan_import(found, CLOUD, wanted).networks == ("db", "web", "db")
    assert plan_import(machine(interfaces=[]), CLOUD, replace(WANTED, networks={"default": "db"})).networks == ("db",)


def test_networks_without_mapping_or_that_are_not_there_are_refused_at_once():
    found = machine(interfaces=[interface("VM Network"), interface("DMZ", 7)])
    said = refused(found, wanted=replace(WANTED, networks={"VM Network": "wab"}))
    assert "network wab for VM Network: found none; expected one of db, web" in said
    assert "network DMZ.7 of machine web1: found no network for it" in said


def rule(**changed):
    """Of Neutron: one that lets in all of IPv4."""
    named = {"direction": "ingress", "ethertype": "IPv4", "protocol": None, "remote_group_id": None}
    return {**named, "port_range_min": None, "port_range_max": None, "remote_ip_prefix": None, **changed}


def asked_at(port, *rules, networks=(), floating=True, **changed):
    """What stands against a server of the group web, which is asked at the port."""
    group = {"name": "web", "description": "", "rules": [rule(direction="egress"), *rules]}
    cloud = replace(CLOUD, security_groups=[group], open_networks=networks)
    wanted = replace(WANTED, security_groups=["web"], answer_port=port, has_floating_ip=floating, **changed)
    return " | ".join(f"{each.thing}: found {each.found}" for each in plan_import(machine(), cloud, wanted).findings)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule(protocol="udp")],
        [rule(protocol="tcp", port_range_min=80, port_range_max=443)],
        [rule(ethertype="IPv6")],
        [rule(remote_group_id="group-1")],
    ],
    ids=["none", "another protocol", "other ports", "IPv6", "of members"],
)
def test_security_groups_that_do_not_let_in_who_asks_are_refused(rules):
    assert asked_at(22, *rules) == (
        "security groups web: found no rule that lets in TCP port 22, at which the guest must answer"
    )


@pytest.mark.parametrize(
    "let_in",
    [
        rule(),
        rule(protocol="tcp", port_range_min=22, port_range_max=22),
        rule(protocol="6", port_range_min=1, port_range_max=65535, remote_ip_prefix="192.0.2.0/24"),
    ],
)
def test_a_rule_for_the_port_lets_in_who_asks(let_in):
    assert asked_at(22, rule(protocol="icmp"), let_in) == ""


def test_who_asks_needs_no_rule_where_none_is_heeded_or_a_rehearsal_has_its_own():
    assert asked_at(22, networks=["web"]) == "" == asked_at(22, rehearsal="-rehearsal")
    assert asked_at(22, rule(ethertype="IPv6"), floating=False) == ""


def test_security_groups_that_are_not_there_are_refused():
    wanted = replace(WANTED, security_groups=["wab"], answer_port=22)
    groups = [{"name": "web", "description": "", "rules": []}]
    said = refused(cloud=replace(CLOUD, security_groups=groups), wanted=wanted)
    assert said == "security group wab: found none; expected one of web"


def test_a_rehearsal_needs_no_mapping_and_has_names_of_its_own():
    found = machine(disks=[disk("a"), disk("b")])
    plan = plan_import(found, CLOUD, replace(WANTED, networks={}, rehearsal="-rehearsal"))
    assert (plan.server, plan.findings) == ("web1-rehearsal", ())
    assert [(each.image, each.volume) for each in plan.disks] == [("web1", None), ("web1-b", "web1-b-rehearsal")]


def test_a_server_of_this_source_is_there_and_nothing_is_made():
    cloud = replace(CLOUD, servers=[{"name": "web1", "metadata": {"lifeboat_import": SUM}}])
    plan = plan_import(machine(), cloud, replace(WANTED, networks={}))
    assert (plan.make, plan.says, plan.findings) == (False, (), ())


def test_a_source_of_many_files_is_known_again_by_one_digest():
    files = {f"/srv/import/{letter}.vmdk": letter * 64 for letter in "abcde"}
    wanted = replace(WANTED, sources=files)
    source = plan_import(machine(), CLOUD, wanted).source
    assert len(source) == 64
    cloud = replace(CLOUD, servers=[{"name": "web1", "metadata": {"lifeboat_import": source}}])
    in_another_order = replace(wanted, sources=dict(reversed(files.items())))
    assert not plan_import(machine(), cloud, in_another_order).make
    one_has_changed = replace(wanted, sources=files | {"/srv/import/a.vmdk": "f" * 64})
    assert plan_import(machine(), cloud, one_has_changed).make
    converted = replace(
        wanted, sources=dict.fromkeys(("/srv/converted/a", "/srv/converted/b"), " ".join(files.values()))
    )
    assert not plan_import(machine(), cloud, converted).make


def image(status="active", source=f"{SUM} vmdisk1"):
    return {"id": "image-1", "name": "web1", "status": status, "properties": {"lifeboat_import": source}}


def volume(name, **metadata):
    return {"name": name, "metadata": metadata}


def test_an_image_of_this_source_is_used_again():
    plan = plan_import(machine(), replace(CLOUD, images=[image()]), WANTED)
    assert not plan.disks[0].make
    assert plan.says == ("server web1: make with flavor fits",)


@pytest.mark.parametrize("status", ["queued", "saving", "killed"])
@pytest.mark.parametrize("running", [False, True])
def test_an_image_without_all_of_its_data_is_made_anew(status, running):
    plan = plan_import(machine(), replace(CLOUD, images=[image(status)]), replace(WANTED, running=running))
    assert plan.disks[0].make and plan.findings == ()


def test_an_image_of_a_machine_that_runs_is_compared_when_it_is_off_and_else_refused():
    cloud = replace(CLOUD, images=[image()])
    plan = plan_import(machine(), cloud, replace(WANTED, running=True))
    assert plan.disks[0].make
    assert "image web1" in {each.thing for each in plan.findings}
    plan = plan_import(machine(), cloud, replace(WANTED, running=True, stopped=True))
    assert plan.disks[0].make and plan.findings == ()


OF_B = image(source=f"{SUM} b") | {"id": "image-2", "name": "web1-b"}


def begun(source=SUM, of="image-2", name="web1-b"):
    return volume(name, lifeboat_import=source, lifeboat_import_begun=of)


def test_a_volume_that_no_server_has_had_is_used_and_one_that_had_is_refused():
    found = machine(disks=[disk("vmdisk1"), disk("b")])
    there = replace(CLOUD, images=[OF_B])
    assert plan_import(found, replace(there, volumes=[begun()]), WANTED).findings == ()
    for other in (volume("web1-b", lifeboat_import=SUM), begun("0000")):
        said = refused(found, replace(there, volumes=[other]))
        assert "volume web1-b: found one that is not of this source" in said
    empty = machine(disks=[disk("vmdisk1"), disk("b", path=None, reference=None)])
    assert plan_import(empty, replace(CLOUD, volumes=[begun(of="true")]), WANTED).findings == ()


@pytest.mark.parametrize("images", [[], [OF_B | {"id": "image-3"}]])
def test_a_volume_of_an_image_that_is_no_longer_there_is_of_an_earlier_state(images):
    """Of a machine that runs nothing else tells it: its mark is that of the paths, whatever they have become."""
    found = machine(disks=[disk("vmdisk1"), disk("b")])
    there = replace(CLOUD, images=images, volumes=[begun()])
    for wanted in (WANTED, replace(WANTED, running=True, stopped=True)):
        assert "volume web1-b: found one of an earlier state of this machine" in refused(found, there, wanted)


def test_what_was_made_of_a_machine_that_runs_again_is_of_an_earlier_state():
    found = machine(disks=[disk("vmdisk1"), disk("b")])
    there = replace(CLOUD, images=[OF_B], volumes=[begun()])
    said = refused(found, there, replace(WANTED, running=True))
    assert said.count("web1-b: found one of an earlier state of this machine") == 2
    assert plan_import(found, there, replace(WANTED, running=True, stopped=True)).findings == ()


def test_what_an_interrupted_rehearsal_has_left_is_replaced():
    found = machine(disks=[disk("vmdisk1"), disk("b")])
    wanted = replace(WANTED, rehearsal="-rehearsal")
    server = {"name": "web1-rehearsal", "metadata": {"lifeboat_import": SUM}}
    used = volume("web1-b-rehearsal", lifeboat_import=SUM)
    for left in ({"servers": [server], "volumes": [used]}, {"servers": [server]}, {"volumes": [used]}):
        plan = plan_import(found, replace(CLOUD, **left), wanted)
        assert (plan.make, plan.replaces, plan.findings) == (True, True, ())
        assert "server web1-rehearsal: take away what a rehearsal has left" in plan.says
    fresh = begun(name="web1-b-rehearsal")
    plan = plan_import(found, replace(CLOUD, images=[OF_B], volumes=[fresh]), wanted)
    assert (plan.replaces, plan.findings) == (False, ())
    plan = plan_import(found, replace(CLOUD, volumes=[fresh]), wanted)
    assert (plan.replaces, plan.findings) == (True, ())
    other = server | {"metadata": {"lifeboat_import": "0000"}}
    assert "server web1-rehearsal" in refused(found, replace(CLOUD, servers=[other]), wanted)


def test_the_role_describes_a_rehearsal_as_the_plan_knows_it():
    told = yaml.safe_load((ROOT / "roles/machine_import/vars/main.yml").read_text(encoding="utf-8"))
    assert told["_machine_import_rehearsal_description"] == REHEARSAL_DESCRIPTION


def test_the_place_of_a_rehearsal_must_be_free_or_of_a_rehearsal():
    wanted = replace(WANTED, rehearsal="-rehearsal")
    name = "web1-rehearsal"
    there = {"networks": [name], "routers": [name], "security_groups": [{"name": name, "description": "mine"}]}
    said = refused(cloud=replace(CLOUD, **there), wanted=wanted)
    assert all(f"{kind} {name}: found one that is not" in said for kind in ("network", "router", "security group"))
    there["security_groups"] = [{"name": name, "description": REHEARSAL_DESCRIPTION}]
    assert plan_import(machine(), replace(CLOUD, **there), wanted).findings == ()


def test_names_of_other_sources_are_refused():
    cloud = replace(
        CLOUD,
        images=[image(source="0000 vmdisk1")],
        volumes=[volume("web1-b")],
        servers=[{"name": "web1", "metadata": {}}],
    )
    said = refused(machine(disks=[disk("vmdisk1"), disk("b")]), cloud)
    assert all(f"{thing}: found one that is not of this source" in said for thing in ("image web1", "volume web1-b"))
    assert "server web1: found one that is not of this source" in said


def test_disks_without_a_file_are_refused_and_empty_ones_become_volumes():
    assert "disk scsi0 of machine web1: found a file that is not known" in refused(
        machine(disks=[disk("scsi0", path=None, reference="local-lvm:vm-101")])
    )
    plan = plan_import(machine(disks=[disk("a"), disk("empty", path=None, reference=None)]), CLOUD, WANTED)
    assert (plan.disks[1].image, plan.disks[1].volume, plan.findings) == (None, "web1-empty", ())


def test_serious_losses_are_refused_unless_they_are_accepted():
    found = machine(findings=[{"serious": True, "says": "the device gpu is left out"}, {"serious": False, "says": "x"}])
    assert refused(found).count("found") == 1
    assert not plan_import(found, CLOUD, replace(WANTED, accept_losses=True)).findings


def test_a_machine_without_disks_is_refused():
    assert "found no disk" in refused(machine(disks=[]))
