# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of domains compared and merged, with what libvirt 11.3 and QEMU 10 make of a short one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_definition import differences, live_differences
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_merge import merged
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_xml import parse, size_kib, text
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parent / "fixtures" / "libvirt"
WANTED = (FIXTURES / "wanted.xml").read_text()
DEFINED = (FIXTURES / "defined.xml").read_text()
LIVE = (FIXTURES / "live.xml").read_text()


DOUBLE_MEMORY = ["/memory: 262144 KiB -> 524288 KiB", "/currentMemory: 262144 KiB -> 524288 KiB"]
NIC = "/devices/interface[52:54:00:ab:cd:ef]"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"


def of(xml):
    return parse(xml, "domain vm1")


def said(wanted, found=DEFINED):
    return [str(each) for each in differences(of(wanted), of(found))]


def test_what_libvirt_makes_of_a_definition_is_that_definition():
    assert said(WANTED) == []
    assert live_differences(of(WANTED), of(LIVE)) == []
    assert text(merged(of(WANTED), of(DEFINED))) == text(of(DEFINED))


def test_every_definition_is_itself():
    for xml in (DEFINED, LIVE):
        assert said(xml, xml) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<memory unit='MiB'>256</memory>", "<memory>262144</memory>"),
        ("<memory unit='MiB'>256</memory>", "<memory unit='b'>268435456</memory>"),
        ("<vcpu>2</vcpu>", "<!-- two --><vcpu>\n  2\n</vcpu>"),
        ("52:54:00:ab:cd:ef", "52:54:00:AB:CD:EF"),
        ("machine='q35'", "machine='pc-q35-10.0'"),
        ("machine='q35'", ""),
        ("<features><acpi/><apic/></features>", "<features><apic/><acpi/></features>"),
        ("<features><acpi/><apic/></features>", ""),
        ("slot='0x0'", "slot='0'"),
    ],
)
def test_the_same_said_otherwise_is_no_difference(old, new):
    assert old in WANTED
    assert said(WANTED.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("unit='MiB'>256", "unit='MiB'>512", DOUBLE_MEMORY),
        ("<vcpu>2</vcpu>", "<vcpu>4</vcpu>", ["/vcpu: 2 -> 4"]),
        ("<vcpu>2</vcpu>", "<vcpu current='1'>2</vcpu>", ["/vcpu@current: absent -> 1"]),
        ("machine='q35'", "machine='pc'", ["/os/type@machine: pc-q35-10.0 -> pc"]),
        ("machine='q35'", "machine='pc-q35-9.2'", ["/os/type@machine: pc-q35-10.0 -> pc-q35-9.2"]),
        ("type='qemu'>", "type='kvm'>", ["@type: qemu -> kvm"]),
        ("<title>One</title>", "", ["/title: One -> absent"]),
        ("<title>One</title>", "<title>Two</title>", ["/title: One -> Two"]),
        (" cache='none'", "", ["/devices/disk[vda]/driver@cache: none -> absent"]),
        ("<driver name='qemu' type='qcow2' cache='none'/>", "", ["/devices/disk[vda]/driver@cache: none -> absent"]),
        ("cache='none'", "cache='writeback'", ["/devices/disk[vda]/driver@cache: none -> writeback"]),
        ("vm1.qcow2", "vm2.qcow2", ["/devices/disk[vda]/source@file: /images/vm1.qcow2 -> /images/vm2.qcow2"]),
        ("<mtu size='1400'/>", "", [f"{NIC}/mtu: present -> absent"]),
        ("<model type='virtio'/>", "<model type='e1000e'/>", [f"{NIC}/model@type: virtio -> e1000e"]),
        (RNG, "", ["/devices/rng: present -> absent"]),
        ("<acpi/>", "", ["/features/acpi: present -> absent"]),
        ("offset='utc'", "offset='localtime'", ["/clock@offset: utc -> localtime"]),
        ("<on_crash>restart</on_crash>", "<on_crash>preserve</on_crash>", ["/on_crash: restart -> preserve"]),
        ("<memballoon model='virtio'/>", "<memballoon model='none'/>", ["/devices/memballoon@model: virtio -> none"]),
        ("slot='0x0'", "slot='0x5'", [f"{NIC}/address@slot: 0x00 -> 0x5"]),
        ("</vcpu>", "</vcpu><cpu mode='host-model'/>", ["/cpu@mode: custom -> host-model"]),
        ("</vcpu>", "</vcpu><cputune><shares>512</shares></cputune>", ["/cputune: absent -> present"]),
    ],
)
def test_every_other_difference_is_seen_and_the_merged_definition_has_none(old, new, expected):
    assert old in WANTED
    wanted = WANTED.replace(old, new)
    assert said(wanted) == expected
    assert said(wanted, text(merged(of(wanted), of(DEFINED)))) == []


def test_a_second_domain_s_disk_and_its_removal_are_seen():
    second = "<disk type='file'><source file='/images/b.img'/><target dev='vdb' bus='virtio'/></disk>"
    wanted = WANTED.replace("<rng ", f"{second}<rng ")
    assert said(wanted) == ["/devices/disk[vdb]: absent -> present"]
    two = text(merged(of(wanted), of(DEFINED)))
    assert said(wanted, two) == []
    assert said(WANTED, two) == ["/devices/disk[vdb]: present -> absent"]
    assert text(merged(of(WANTED), of(two))) == text(of(DEFINED))


def test_the_first_console_is_the_first_serial_port():
    log = "<serial type='file'><source path='/vm1.log'/></serial>"
    wanted = WANTED.replace("<console type='pty'/>", f"{log}<console type='pty'/>")
    assert said(wanted) == ["/devices/serial@type: pty -> file", "/devices/serial/source: absent -> present"]
    # libvirt gives the console the type of the port, whatever was said.
    found = text(merged(of(wanted), of(DEFINED))).replace('<console type="pty"', '<console type="file"')
    assert said(wanted, found) == []
    assert said(WANTED, found) == ["/devices/serial@type: file -> pty"]
    assert merged(of(WANTED), of(found)).find("devices/serial").get("type") == "pty"
    assert said(WANTED.replace("<console type='pty'/>", "<console type='pty'><target type='virtio'/></console>")) == [
        "/devices/console/target@type: serial -> virtio"
    ]


def test_disks_are_told_apart_by_their_targets_not_by_their_order():
    first, second = (
        f"<disk type='file'><source file='/{name}'/><target dev='{name}' bus='virtio'/></disk>"
        for name in ("vda", "vdb")
    )
    one, other = (f"<domain><devices>{disks}</devices></domain>" for disks in (first + second, second + first))
    assert said(one, other) == []


def test_interfaces_without_a_mac_are_compared_as_a_set_first():
    def nics(*names):
        macs = (f"<mac address='52:54:00:00:00:{number:02}'/>" for number in range(len(names)))
        inner = (
            f"<interface type='bridge'>{mac}<source bridge='{name}'/></interface>"
            for name, mac in zip(names, macs, strict=True)
        )
        return f"<domain><devices>{''.join(inner)}</devices></domain>"

    def without_macs(*names):
        root = of(nics(*names))
        for interface in root.findall("devices/interface"):
            interface.remove(interface.find("mac"))
        return text(root)

    assert said(without_macs("b", "a"), nics("a", "b")) == []
    assert said(without_macs("b", "c"), nics("a", "b")) == ["/devices/interface[1]/source@bridge: a -> c"]
    kept = merged(of(without_macs("b", "c")), of(nics("a", "b")))
    assert [each.find("mac").get("address") for each in kept.findall("devices/interface")] == [
        "52:54:00:00:00:00",
        "52:54:00:00:00:01",
    ]
    assert said(without_macs("b"), nics("a", "b")) == ["/devices/interface[52:54:00:00:00:00]: present -> absent"]


def test_another_mac_is_another_interface():
    wanted = WANTED.replace("52:54:00:ab:cd:ef", "52:54:00:ab:cd:00")
    assert said(wanted) == [
        "/devices/interface[52:54:00:ab:cd:00]: absent -> present",
        "/devices/interface[52:54:00:ab:cd:ef]: present -> absent",
    ]


def test_devices_that_libvirt_adds_are_left_alone_and_completed_by_those_said():
    for added in (
        "<controller type='scsi' model='virtio-scsi'/>",
        "<controller type='pci' model='pcie-root-port'/>",
        "<input type='keyboard' bus='ps2'/>",
        "<watchdog model='itco' action='reset'/>",
    ):
        wanted = WANTED.replace("<rng ", f"{added}<rng ")
        seen = said(wanted)
        assert len(seen) <= 1
        new = merged(of(wanted), of(DEFINED))
        assert said(wanted, text(new)) == [] and said(WANTED, text(new)) == []
        assert len(new.find("devices")) == len(of(DEFINED).find("devices")) + len(seen)


def test_a_replaced_device_keeps_its_place_unless_its_bus_changes():
    def address(wanted, path):
        found = merged(of(wanted), of(DEFINED)).find(path)
        return found.find("address") is not None

    assert address(WANTED.replace("vm1.qcow2", "vm2.qcow2"), "devices/disk")
    assert not address(WANTED.replace("dev='vda' bus='virtio'", "dev='vda' bus='sata'"), "devices/disk")
    no_address = WANTED.replace("<address type='pci' domain='0x0' bus='0x1' slot='0x0' function='0x0'/>", "")
    assert said(no_address) == []
    assert address(no_address.replace("br0", "br1"), "devices/interface")
    assert not address(no_address.replace("type='virtio'/><mtu", "type='e1000e'/><mtu"), "devices/interface")


def test_a_cpu_that_changes_is_replaced_whole():
    new = merged(of(WANTED.replace("</vcpu>", "</vcpu><cpu mode='host-passthrough'/>")), of(DEFINED))
    assert [(each.attrib, list(each)) for each in new.findall("cpu")] == [({"mode": "host-passthrough"}, [])]


def test_the_machine_type_and_the_firmware_stay_with_the_domain():
    wanted = WANTED.replace("</os>", "<bootmenu enable='yes'/></os>")
    assert merged(of(wanted), of(DEFINED)).find("os/type").get("machine") == "pc-q35-10.0"
    loader = "<loader readonly='yes' type='pflash'>/OVMF.fd</loader><nvram template='/V.fd'>/nvram/vm1.fd</nvram>"
    uefi = DEFINED.replace("<os>", "<os firmware='efi'>").replace("</os>", f"{loader}</os>")
    wanted = WANTED.replace("<os>", "<os firmware='efi'>")
    assert said(wanted, uefi) == []
    changed = merged(of(wanted.replace("</os>", "<bootmenu enable='yes'/></os>")), of(uefi))
    assert changed.findtext("os/nvram") == "/nvram/vm1.fd" and changed.find("os/bootmenu") is not None


def test_metadata_of_others_stay():
    theirs = "<metadata><a:x xmlns:a='urn:a'>1</a:x></metadata>"
    mine = "<metadata><b:y xmlns:b='urn:b'>2</b:y></metadata>"
    found = DEFINED.replace("<memory ", f"{theirs}<memory ", 1)
    assert said(WANTED, found) == []
    wanted = WANTED.replace("<memory ", f"{mine}<memory ", 1)
    assert said(wanted, found) == ["/metadata/y: absent -> 2"]
    new = merged(of(wanted), of(found))
    assert [each.text for each in new.find("metadata")] == ["1", "2"]
    assert 'xmlns:a="urn:a"' in text(new) and said(wanted, text(new)) == []


def test_a_command_line_of_qemu_is_compared_in_order():
    def with_arguments(xml, *values):
        line = "".join(f"<q:arg value='{value}'/>" for value in values)
        head = "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0' "
        return xml.replace("<domain ", head).replace("</domain>", f"<q:commandline>{line}</q:commandline></domain>")

    found = with_arguments(DEFINED, "-a", "-b")
    assert said(with_arguments(WANTED, "-a", "-b"), found) == []
    assert len(said(with_arguments(WANTED, "-b", "-a"), found)) == 2
    assert said(with_arguments(WANTED, "-a"), found) == ["/commandline/arg: present -> absent"]
    assert said(WANTED, found) == ["/commandline: present -> absent"]
    for wanted in (with_arguments(WANTED, "-b"), WANTED):
        assert said(wanted, text(merged(of(wanted), of(found)))) == []


@pytest.mark.parametrize(
    ("old", "new", "pending"),
    [
        ("unit='MiB'>256", "unit='MiB'>512", ["/memory: 262144 KiB -> 524288 KiB"]),
        ("unit='MiB'>256", "unit='KiB'>261500", []),
        ("unit='MiB'>256", "unit='KiB'>261000", ["/memory: 262144 KiB -> 261000 KiB"]),
        ("<vcpu>2</vcpu>", "<vcpu current='1'>2</vcpu>", []),
        ("<vcpu>2</vcpu>", "<vcpu>4</vcpu>", ["/vcpu: 2 -> 4"]),
        ("</vcpu>", "</vcpu><cpu mode='host-model'/>", []),
        ("<target dev='sda'", "<driver name='qemu' type='raw'/><target dev='sda'", []),
        ("</vcpu>", "</vcpu><cpu mode='host-passthrough'/>", ["/cpu@mode: custom -> host-passthrough"]),
        ("vm1.qcow2", "vm2.qcow2", ["/devices/disk[vda]/source@file: /images/vm1.qcow2 -> /images/vm2.qcow2"]),
        ("<title>One</title>", "", ["/title: One -> absent"]),
    ],
)
def test_what_a_running_guest_waits_for(old, new, pending):
    assert old in WANTED
    assert [str(each) for each in live_differences(of(WANTED.replace(old, new)), of(LIVE))] == pending


@given(st.integers(0, 2**40), st.sampled_from(["", "b", "bytes", "KB", "k", "KiB", "MB", "M", "MiB", "GB", "G", "GiB"]))
def test_sizes_are_rounded_up_to_kib(number, unit):
    element = of(f"<domain><memory unit='{unit}'>{number}</memory></domain>").find("memory")
    size = size_kib(element)
    factor = {"": 1024, "b": 1, "y": 1}.get(unit[:1] if unit in {"", "b", "bytes"} else unit)
    if factor is None:
        exponent = "kmg".index(unit[0].lower()) + 1
        factor = 1000**exponent if unit.endswith("B") and "i" not in unit else 1024**exponent
    assert (size - 1) * 1024 < number * factor <= size * 1024


DEVICES = st.lists(
    st.one_of(
        st.builds(
            "<disk type='file'><source file='/{}'/><target dev='vd{}' bus='virtio'/></disk>".format,
            st.sampled_from("xyz"),
            st.sampled_from("abc"),
        ),
        st.builds("<interface type='bridge'><source bridge='br{}'/></interface>".format, st.sampled_from("012")),
        st.builds("<controller type='{}' index='{}'/>".format, st.sampled_from(["usb", "scsi"]), st.sampled_from("01")),
        st.builds("<video><model type='{}'/></video>".format, st.sampled_from(["vga", "virtio"])),
    ),
    max_size=6,
    unique_by=lambda device: device.split("target")[-1] if "disk" in device else object(),
)


@given(wanted=DEVICES, found=DEVICES, memories=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_any_definition_is_led_to_what_is_wanted(wanted, found, memories):
    def whole(devices, memory):
        unique = dict.fromkeys(devices)
        return of(f"<domain><memory>{memory}</memory><devices>{''.join(unique)}</devices></domain>")

    new = merged(whole(wanted, memories[0]), whole(found, memories[1]))
    # What a new domain's definition leaves to libvirt to add is no difference of the rest.
    assert [each for each in differences(whole(wanted, memories[0]), new) if each.path != "/currentMemory"] == []
    assert len(new.findall("devices/disk")) == len(whole(wanted, 1).findall("devices/disk"))
