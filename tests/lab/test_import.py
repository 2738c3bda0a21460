# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of other hypervisors come into the cloud: refused when changed, rehearsed, imported, and taken back.

They are made on a controller from the guest image, which has drivers for SATA, virtio's disks and virtio's interfaces.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from importing import (
    REHEARSAL,
    address_of,
    floating_ips,
    kill,
    made,
    packing,
    prepared_project,
    receipt,
    remove,
    run,
    server_of,
    state_of,
)
from openstack.connection import Connection
from standing_lab import ROOT, connected, shell

HOST = "10.98.0.11"
PLACE = "/var/tmp/import-test"
ARCHIVE = f"{PLACE}/import-web.ova"
SSH_OPTIONS = ("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
PROXMOX = """agent: 1
boot: order=scsi0;net0
cores: 1
cpu: x86-64-v2-AES
memory: 128
name: import-web-proxmox
net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=10
numa: 0
ostype: l26
scsi0: local-lvm:vm-101-disk-0,iothread=1,size=64M
scsihw: virtio-scsi-single
vmgenid: 7a1d5b8e-0c5e-4d8f-9a53-0f4c8b0a1f11
"""
LIBVIRT = f"""<domain type='kvm'><name>import-web-libvirt</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-9.2'>hvm</type></os><features><acpi/></features>
  <devices>
    <disk type='file'><driver name='qemu' type='qcow2'/><source file='{PLACE}/import-web-bare.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <interface type='network'><source network='default'/><model type='virtio'/></interface>
  </devices>
</domain>"""
# The disk of the tampered archive differs in one byte, in its middle.
MAKE = f"""
set -e
cd {PLACE}
cp --sparse=always boot.raw vm-101-disk-0
qemu-img convert -f raw -O qcow2 boot.raw import-web-bare.qcow2
qemu-img convert -f raw -O vhdx boot.raw import-web-hyperv.vhdx
qemu-img convert -f raw -O vpc boot.raw import-web-virtualpc.vhd
truncate -s 16M data.raw
printf imported | dd of=data.raw bs=1 seek=1048576 conv=notrunc status=none
{packing("import-web.ova", "import-web", {"boot": 64, "data": 16})}
printf '\\377\\376' | dd of=boot.vmdk bs=1 seek=$(($(stat -c %s boot.vmdk) / 2)) conv=notrunc status=none
tar -c --format=ustar -f import-tampered.ova web.ovf web.mf boot.vmdk data.vmdk
rm -f ./*.vmdk ./*.raw
"""
OF_THE_ARCHIVE = {"machine_import_networks": {"VM Network": "import-net"}}
# A disk alone tells neither its machine's size nor its drivers.
ALONE = {
    "machine_import_networks": {"default": "import-net"},
    "machine_import_flavor": "small",
    "machine_import_virtio": True,
}
OTHERS: dict[str, tuple[str, dict[str, object], str]] = {
    "proxmox": (
        "101.conf",
        {
            "machine_import_networks": {"vmbr0.10": "import-net"},
            "machine_import_disks": {"scsi0": f"{PLACE}/vm-101-disk-0"},
        },
        "scsi",
    ),
    "libvirt": ("import-web-libvirt.xml", {"machine_import_networks": {"default": "import-net"}}, "virtio"),
    "bare": ("import-web-bare.qcow2", ALONE, "virtio"),
    "hyperv": ("import-web-hyperv.vhdx", ALONE, "virtio"),
    "virtualpc": ("import-web-virtualpc.vhd", ALONE, "virtio"),
}


def on_host(command: str, given: bytes = b"") -> str:
    login = ["ssh", *SSH_OPTIONS, "-i", str(ROOT / ".lab/ssh/id_ed25519"), f"root@{HOST}", command]
    done = subprocess.run(login, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"
    return done.stdout.decode()


@pytest.fixture(scope="module", autouse=True)
def machines() -> Iterator[None]:
    on_host(f"mkdir -p {PLACE}; cat >{PLACE}/boot.raw", (ROOT / ".lab/guest.raw").read_bytes())
    for name, text in (
        ("101.conf", PROXMOX),
        ("import-web-libvirt.xml", LIBVIRT),
    ):
        on_host(f"cat >{PLACE}/{name}", text.encode())
    on_host(MAKE)
    yield
    on_host(f"rm -rf {PLACE}")


@pytest.fixture(scope="module")
def project() -> Iterator[Connection]:
    with prepared_project() as connection:
        yield connection


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": f"{PLACE}/import-tampered.ova"}, ("boot.vmdk", "SHA256")),
        ({"machine_import_networks": {}}, ("network VM Network", "found no network for it")),
        ({"machine_import_flavor": "import-none"}, ("flavor import-none: found none", "small")),
        ({"machine_import_answer": {"port": 82}}, ("security groups import-net", "TCP port 82")),
        ({"machine_import_security_groups": ["import-none"]}, ("security group import-none: found none",)),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, project: Connection, given: dict[str, t.Any], words: tuple[str, ...]
) -> None:
    done = run(**{"source": ARCHIVE, "directory": tmp_path, "check": False, **OF_THE_ARCHIVE, **given})
    assert done.returncode != 0
    assert all(word.lower() in done.text.lower() for word in words), done.text[-2000:]
    assert not made(project)


def test_it_is_rehearsed_then_imported_and_a_second_run_changes_nothing(tmp_path: Path, project: Connection) -> None:
    before = on_host(f"sha256sum {ARCHIVE}")
    would = run(ARCHIVE, tmp_path, "--check", **OF_THE_ARCHIVE)
    assert all(f"image {name}: make from disk" in would.text for name in ("import-web", "import-web-data"))
    assert not made(project)

    rehearsed = run(ARCHIVE, tmp_path / "rehearsal", machine_import_rehearsal=True)
    assert "import-web-rehearsal answered" in rehearsed.text
    assert made(project) == {"image import-web", "image import-web-data"}
    copies = receipt(tmp_path / "rehearsal")["copies"]
    assert all(copy["source_digest"] == copy["destination_digest"] for copy in copies.values())

    run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE)
    told = receipt(tmp_path / "import")
    assert told["answered"] is True
    assert told["copies"] == {}
    assert state_of(project, "import-web")["hostname"] == "import-web"
    image = project.get_image("import-web")
    assert (image["hw_disk_bus"], image["hw_vif_model"]) == ("sata", "virtio")
    [attached] = project.compute.volume_attachments(server_of(project, "import-web").id)
    assert project.get_volume("import-web-data").id == attached.volume_id

    assert not run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE).changes
    assert not run(ARCHIVE, tmp_path / "import", "--check", **OF_THE_ARCHIVE).changes

    # As a run leaves it that was killed when the server was just begun.
    address = address_of(project, "import-web")
    project.delete_floating_ip(next(project.network.ips(floating_ip_address=address)).id)
    for path in (tmp_path / "import").glob("*.json"):
        path.unlink()
    assert "give it a floating IP" in run(ARCHIVE, tmp_path / "import", "--check", "--diff", **OF_THE_ARCHIVE).text
    run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE)
    assert receipt(tmp_path / "import")["answered"] is True
    assert not run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE).changes
    assert on_host(f"sha256sum {ARCHIVE}") == before
    assert on_host("ls -A /var/lib/lifeboat/imports") == ""


def test_a_run_that_was_killed_is_gone_on_with(tmp_path: Path, project: Connection) -> None:
    remove(project)
    before = floating_ips(project)
    kill(ARCHIVE, tmp_path, lambda: f"server {REHEARSAL}" in made(project), machine_import_rehearsal=True)
    run(ARCHIVE, tmp_path / "rehearsal", machine_import_rehearsal=True)
    assert made(project) == {"image import-web", "image import-web-data"} and floating_ips(project) == before

    # As Glance leaves it when its data stop to come.
    of = {
        "disk_format": "raw",
        "container_format": "bare",
        "lifeboat_import": project.get_image("import-web").properties["lifeboat_import"],
    }
    project.delete_image("import-web", wait=True)
    assert project.image.post("/images", json={"name": "import-web", **of}).status_code == 201
    # One look, as the request for the server follows within seconds.
    volumes = project.block_storage.volumes
    kill(ARCHIVE, tmp_path, lambda: "import-web-data" in {each.name for each in volumes()}, **OF_THE_ARCHIVE)
    assert not any(each.startswith("server") for each in made(project))
    would = run(ARCHIVE, tmp_path, "--check", **OF_THE_ARCHIVE)
    assert "server import-web: make" in would.text
    [begun] = [each.id for each in project.block_storage.volumes() if each.name == "import-web-data"]

    run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE)
    assert receipt(tmp_path / "import")["answered"] is True
    [attached] = project.compute.volume_attachments(server_of(project, "import-web").id)
    assert attached.volume_id == begun == project.get_volume("import-web-data").id
    read = f"rbd --id cinder --pool volumes export --no-progress volume-{begun} -"
    assert on_host(f"{read} | tail --bytes +1048577 | head --bytes 8") == "imported"
    assert not run(ARCHIVE, tmp_path / "import", **OF_THE_ARCHIVE).changes


def test_it_boots_from_a_volume(tmp_path: Path, project: Connection) -> None:
    remove(project)
    volume = {**OF_THE_ARCHIVE, "machine_import_boot_from_volume": True}
    run(ARCHIVE, tmp_path, **volume)
    assert receipt(tmp_path)["answered"] is True
    attached = {each.volume_id for each in project.compute.volume_attachments(server_of(project, "import-web").id)}
    made_of = {name: project.get_volume(name).id for name in ("import-web", "import-web-data")}
    assert attached == set(made_of.values())
    assert not dict(server_of(project, "import-web").image or {}).get("id")
    [device] = project.block_storage.get_volume(made_of["import-web"]).attachments
    assert device["device"] in ("/dev/sda", "/dev/vda")
    assert not run(ARCHIVE, tmp_path, **volume).changes


def test_what_does_not_answer_goes_again(tmp_path: Path, project: Connection) -> None:
    remove(project)
    before = floating_ips(project)
    port = {"machine_import_answer": {"port": 81}, "machine_import_answer_timeout": 10}
    done = run(ARCHIVE, tmp_path, check=False, **OF_THE_ARCHIVE, **port)
    assert done.returncode != 0
    assert "found no answer at" in done.text
    assert not made(project)
    assert floating_ips(project) == before
    assert receipt(tmp_path)["answered"] is False


@pytest.mark.parametrize("form", OTHERS)
def test_a_machine_of_another_form_answers(tmp_path: Path, project: Connection, form: str) -> None:
    remove(project)
    source, given, bus = OTHERS[form]
    before = on_host(f"sha256sum {PLACE}/*")
    run(f"{PLACE}/{source}", tmp_path, **given)
    told = receipt(tmp_path)
    assert told["answered"] is True
    [copied] = told["copies"].values()
    assert copied["source_digest"] == copied["destination_digest"]
    name = f"import-web-{form}"
    assert state_of(project, name)["hostname"] == name
    assert project.get_image(name)["hw_disk_bus"] == bus
    assert on_host(f"sha256sum {PLACE}/*") == before


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, project: Connection) -> Iterator[None]:
    """A rehearsal that was kept, beside the machine that was brought in."""
    remove(project)
    run(ARCHIVE, tmp_path_factory.mktemp("import"), **OF_THE_ARCHIVE)
    run(ARCHIVE, tmp_path_factory.mktemp("rehearsal"), machine_import_rehearsal=True, machine_import_keep=True)
    yield
    remove(project)


def test_a_rehearsal_has_a_network_of_its_own(project: Connection, rehearsed: None) -> None:
    """Its router leads nowhere but outside, for the answer, and its rules let it begin nothing."""
    [network] = project.network.networks(name=REHEARSAL)
    [router] = project.network.routers(name=REHEARSAL)
    [group] = project.network.security_groups(name=REHEARSAL)
    assert not network.is_shared and not network.is_router_external
    ports = list(project.network.ports(network_id=network.id))
    assert {each.device_owner.partition(":")[0] for each in ports} == {"compute", "network"}
    assert {each.device_id for each in ports if each.device_owner == "network:router_interface"} == {router.id}
    connected_to = project.network.ports(device_id=router.id, device_owner="network:router_interface")
    assert [each.network_id for each in connected_to] == [network.id]
    [port] = project.network.ports(device_id=server_of(project, REHEARSAL).id)
    assert (port.network_id, port.security_group_ids) == (network.id, [group.id])
    assert port.is_port_security_enabled and not port.allowed_address_pairs
    rules = {
        (each.direction, each.protocol, each.port_range_min, each.port_range_max, each.remote_ip_prefix)
        for each in project.network.security_group_rules(security_group_id=group.id)
    }
    assert rules == {
        ("ingress", "tcp", 80, 80, "0.0.0.0/0"),
        ("egress", "tcp", 80, 80, "169.254.169.254/32"),
        ("egress", "udp", 67, 67, "255.255.255.255/32"),
        ("egress", "udp", 67, 67, "192.168.78.0/24"),
    }


def test_a_rehearsed_guest_answers_and_reaches_nobody(project: Connection, rehearsed: None) -> None:
    there, here = address_of(project, "import-web"), address_of(project, REHEARSAL)
    assert tries(project, "import-web", here)
    assert not tries(project, REHEARSAL, there)


def tries(project: Connection, name: str, address: str) -> bool:
    """Whether the guest reaches a page, by what it says when that is typed on its serial console."""
    with connected("admin") as admin:
        server = admin.compute.get_server(server_of(project, name).id)
    typed = f"wget -q -T 5 -O /dev/null http://{address}/; echo found $?."
    said = shell(
        server.compute_host,
        f"console=$(virsh ttyconsole {server.id}) && exec 3<>$console && printf '\\n%s\\n' '{typed}' >&3 && "
        "timeout 90 grep -a -m 1 -o 'found [0-9]*[.]' <&3",
    )
    return re.findall(r"found (\d+)\.", said) == ["0"]
