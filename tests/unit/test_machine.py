# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines described by Proxmox and by libvirt."""

from __future__ import annotations

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_libvirt import parse_domain
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_proxmox import parse_proxmox

PROXMOX = """#The shop's web server
agent: 1
bios: ovmf
boot: order=scsi1;scsi0;net0
cipassword: $5$secret
cores: 4
cpu: host
efidisk0: local-lvm:vm-101-disk-0,efitype=4m,pre-enrolled-keys=1,size=4M
hostpci0: 0000:01:00.0
ide2: local:iso/debian.iso,media=cdrom,size=600M
machine: pc-q35-9.2+pve1
memory: 8192
name: shop
net0: virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,firewall=1,tag=10
net1: model=e1000,macaddr=BC:24:11:00:00:01,bridge=vmbr1
numa: 0
ostype: l26
scsi0: local-lvm:vm-101-disk-1,iothread=1,size=32G
scsi1: cephpool:vm-101-disk-2,size=512M
scsihw: virtio-scsi-single
smbios1: uuid=3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1
sockets: 2
unused0: local-lvm:vm-101-disk-7
virtio3: local:101/vm-101-disk-3.qcow2,size=1T

[before]
cores: 1
memory: 512
weird_key: 1

[PENDING]
memory: 16384
"""

DOMAIN = """<domain type='kvm'>
  <name>db1</name>
  <metadata><l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
    <l:os id='http://microsoft.com/win/2k22'/></l:libosinfo></metadata>
  <memory unit='GiB'>4</memory>
  <vcpu placement='static'>2</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-9.2'>hvm</type><loader secure='yes' type='pflash'/>
    <nvram>/var/lib/libvirt/qemu/nvram/db1.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/data.qcow2'/>
      <target dev='sdb' bus='scsi'/><address type='drive' controller='1'/></disk>
    <disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='vms/db1'/>
      <target dev='vda' bus='virtio'/><boot order='1'/></disk>
    <disk type='volume' device='disk'><source pool='default' volume='x'/><target dev='sdc' bus='sata'/></disk>
    <disk type='file' device='cdrom'><source file='/srv/w.iso'/><target dev='sda' bus='sata'/></disk>
    <controller type='scsi' index='1' model='virtio-scsi'/>
    <interface type='bridge'><mac address='52:54:00:AA:00:01'/><source bridge='br0'/><vlan><tag id='7'/></vlan>
      <target dev='vnet0'/><model type='virtio'/></interface>
    <tpm model='tpm-crb'/>
  </devices>
</domain>"""


def test_a_guest_of_proxmox() -> None:
    machine = parse_proxmox(PROXMOX, "101", "file")
    assert (machine.name, machine.vcpus, machine.memory) == ("shop", 8, 8 * 2**30)
    assert (machine.firmware, machine.secure_boot, machine.machine_type, machine.os_type) == (
        "uefi",
        True,
        "q35",
        "linux",
    )
    disks = [
        (each.name, each.bus, each.controller, each.capacity, each.reference, each.format) for each in machine.disks
    ]
    assert disks == [
        ("scsi1", "scsi", "virtio-scsi-single", 512 * 2**20, "cephpool:vm-101-disk-2", "raw"),
        ("scsi0", "scsi", "virtio-scsi-single", 32 * 2**30, "local-lvm:vm-101-disk-1", "raw"),
        ("virtio3", "virtio", None, 2**40, "local:101/vm-101-disk-3.qcow2", "qcow2"),
    ]
    assert [(each.name, each.model, each.network, each.mac, each.vlan) for each in machine.interfaces] == [
        ("net0", "virtio", "vmbr0", "bc:24:11:aa:bb:cc", 10),
        ("net1", "e1000", "vmbr1", "bc:24:11:00:00:01", None),
    ]


def test_what_proxmox_has_and_the_cloud_has_not_is_told_by_its_weight() -> None:
    findings = parse_proxmox(PROXMOX, "101", "file").findings
    assert [each.says.split(":")[0] for each in findings if each.serious] == [
        "efidisk0",
        "hostpci0",
        "changes that wait for the guest's next start are left out",
    ]
    assert [each.says for each in findings if not each.serious] == [
        "ide2: the drive is left out",
        "unused0: the volume local-lvm:vm-101-disk-7 belongs to no disk and is left out",
        "the snapshots before are left out",
    ]


def test_the_defaults_of_proxmox() -> None:
    machine = parse_proxmox("scsi0: a:b", "7", "file")
    assert (machine.name, machine.vcpus, machine.memory, machine.firmware) == ("7", 1, 512 * 2**20, "bios")
    assert (machine.machine_type, machine.os_type, machine.disks[0].controller) == ("i440fx", None, "lsi")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cores: 2\nfrobnicate: 1\nscsi0: a:b\nquantum7: x", "the unknown keys frobnicate, quantum7"),
        ("cores: 2\ncores2: 9\nname7: x", "the unknown keys cores2, name7"),
        ("cores: two", "cores 'two'"),
        (f"cores: {'9' * 5000}", "cores '999"),
        (f"scsi0: a:b,size={'9' * 5000}", "scsi0 of size '999"),
        ("cores: 0", "0 processors"),
        ("cores: 999999", "999999 processors"),
        ("memory: -1", "memory '-1'"),
        ("scsi0: a:b,size=big", "scsi0 of size 'big'"),
        ("scsi0: none", "scsi0 without a volume"),
        ("scsi0: a:b,size=999999T", "bytes of disk scsi0"),
        ("net0: virtio=AA,tag=x", "tag of net0 'x'"),
        ("lock: migrate\ncores: 1", "locked by migrate"),
        ("cores 2", "the line 'cores 2'"),
        ("cores: 1\ncores: 2", "the line 'cores: 2'"),
        ("<domain/>", "the line '<domain/>'"),
    ],
)
def test_bad_files_of_proxmox(text: str, said: str) -> None:
    with pytest.raises(LifeboatError) as error:
        parse_proxmox(text, "101", "file")
    assert said in str(error.value)


def test_a_secret_of_proxmox_is_nowhere_in_the_machine() -> None:
    assert "secret" not in repr(parse_proxmox(PROXMOX, "101", "file"))


def test_a_domain() -> None:
    machine = parse_domain(DOMAIN.encode(), "domain")
    assert (machine.name, machine.vcpus, machine.memory) == ("db1", 2, 4 * 2**30)
    assert (machine.firmware, machine.secure_boot, machine.machine_type, machine.os_type) == (
        "uefi",
        True,
        "q35",
        "windows",
    )
    assert [(disk.name, disk.bus, disk.controller, disk.reference, disk.format) for disk in machine.disks] == [
        ("vda", "virtio", None, "rbd:vms/db1", "raw"),
        ("sdb", "scsi", "virtio-scsi", "/srv/data.qcow2", "qcow2"),
        ("sdc", "sata", None, "default/x", "raw"),
    ]
    [interface] = machine.interfaces
    assert (interface.network, interface.mac, interface.vlan) == ("br0", "52:54:00:aa:00:01", 7)
    assert [each.says.split(":")[0].split(";")[0] for each in machine.findings if each.serious] == [
        "tpm",
        "UEFI's variables are left out",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hvm", "exe"), "the type 'exe'"),
        (("<domain", "<!DOCTYPE domain><domain"), "a document type"),
        (("<memory unit='GiB'>4</memory>", ""), "no <memory>"),
        (("unit='GiB'", "unit='GiX'"), "no <memory>"),
        ((">2</vcpu>", ">many</vcpu>"), "vcpu 'many'"),
        (("dev='vda'", "dev='sdb'"), "the disk sdb twice"),
        (("<target dev='vda' bus='virtio'/>", ""), "a disk without a target"),
        (("</domain>", ""), "no XML"),
    ],
)
def test_bad_domains(change: tuple[str, str], said: str) -> None:
    with pytest.raises(LifeboatError) as error:
        parse_domain(DOMAIN.replace(*change).encode(), "domain")
    assert said in str(error.value)
