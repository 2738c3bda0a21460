#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: foreign_machine_info
short_description: Read a virtual machine of another hypervisor, and tell what it needs in OpenStack
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads a machine from an OVA archive or an OVF descriptor, a guest's file of Proxmox, a domain's XML of libvirt, or a
    disk image, and returns it in one form, with its disks, what it needs in OpenStack, and what the import would lose.
  - Nothing is unpacked and nothing is trusted. A package that is cut off, was changed, or has names outside itself is
    refused, and so is an image that is not of the stated format, refers to other files, is damaged or absurdly large.
  - Of a package with several configurations the default one is read, as told in RV(findings).
extends_documentation_fragment: [lifeboat.cloud._attributes.info]
options:
  path:
    description:
      - The description by its ending. C(.ova) and C(.ovf) for packages, C(.conf) for a guest of Proxmox, as in
        V(/etc/pve/qemu-server), C(.xml) for a domain. Anything else is a disk image.
    type: path
    required: true
  disks:
    description:
      - Where the images of disks are, by the disks' names, for a C(.conf) or an C(.xml) whose volumes are not paths.
        C(pvesm path) and C(virsh vol-path) tell it. A disk without a path is returned without an image.
    type: dict
    default: {}
  virtio:
    description: Whether the guest has drivers for virtio, so that its disks and interfaces become virtio's.
    type: bool
    default: false
  running:
    description: Whether the machine runs, so that its images change and their tables are not checked.
    type: bool
    default: false
  verify:
    description: Whether to read the files of a package and compare their hashes with its manifest.
    type: bool
    default: true
requirements:
  - qemu-img (package qemu-utils), and prlimit (package util-linux)
seealso:
  - module: lifeboat.cloud.disk_import
"""

EXAMPLES = r"""
- name: Read a machine that VMware has exported
  lifeboat.cloud.foreign_machine_info:
    path: /srv/import/web1.ova
  register: web1

- name: Read a guest of Proxmox
  lifeboat.cloud.foreign_machine_info:
    path: /etc/pve/qemu-server/101.conf
    disks:
      scsi0: /dev/pve/vm-101-disk-0

- name: Stop where something serious would be lost
  ansible.builtin.assert:
    that: web1.findings | selectattr('serious') | list == []
    fail_msg: "{{ web1.findings | selectattr('serious') | map(attribute='says') | join('; ') }}"
"""

RETURN = r"""
machine:
  description: The machine as it is described. C(memory) in bytes; what is not told is null.
  returned: success
  type: dict
  sample: {name: web1, vcpus: 2, memory: 2147483648, firmware: uefi, secure_boot: false, machine_type: q35}
disks:
  description: The disks, the one to boot from first.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The name in the description., type: str, sample: disk0}
    bus: {description: "virtio, scsi, sata, ide, usb, nvme or unknown.", type: str, sample: scsi}
    controller: {description: "The controller's model, null where it is not told.", type: str, sample: virtualscsi}
    reference: {description: "The file or the volume, in the source's words.", type: str, sample: disk1.vmdk}
    format: {description: "The image's format, in QEMU's words.", type: str, sample: vmdk}
    size: {description: "The disk's size in bytes; null when nothing tells it.", type: int, sample: 17179869184}
    path: {description: "What has the image, null when it is not known.", type: str, sample: /srv/import/web1.ova}
    offset: {description: Where in that file the image begins., type: int, sample: 10240}
interfaces:
  description: The network interfaces. C(network) is a network or bridge of the source.
  returned: success
  type: list
  elements: dict
  sample: [{name: net0, model: virtio, network: vmbr0, mac: "52:54:00:12:34:56", vlan: 10}]
needs:
  description:
    - What a server needs. C(vcpus), C(ram) in MiB and C(disk) in GiB of the flavor, as far as they
      are known, and the C(properties) of the image.
  returned: success
  type: dict
  sample: {vcpus: 2, ram: 2048, disk: 16, properties: {hw_disk_bus: sata, hw_vif_model: e1000e, hw_firmware_type: uefi}}
findings:
  description: What the import loses or changes, each with whether it is C(serious) and what it C(says).
  returned: success
  type: list
  elements: dict
  sample: [{serious: false, says: "ide2: the drive is left out"}]
checksums:
  description: The files of the package whose hashes are as the manifest says. Empty without a manifest or O(verify).
  returned: success
  type: list
  elements: dict
  sample: [{file: disk1.vmdk, algorithm: sha1, digest: 2aae6c35c94fcfb415dbe95f408b9ce91ee846ed}]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._foreign_machine import ForeignMachine, open_machine
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine_needs import needs_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "disks": {"type": "dict", "default": {}},
    "virtio": {"type": "bool", "default": False},
    "running": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": True},
}


def shown_disks(found: ForeignMachine, thing: str, is_running: bool) -> list[dict[str, t.Any]]:
    """The disks with what their images tell; LifeboatError for an image that must not be read."""
    shown = []
    for disk in found.machine.disks:
        told = dataclasses.asdict(disk)
        told["size"] = told.pop("capacity")
        if disk.name in found.parts:
            image = found.image(disk, thing, is_running=is_running)
            told |= {"format": image.format, "size": image.size, "path": image.part.path, "offset": image.part.offset}
        shown.append({"path": None, "offset": 0, **told})
    return shown


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    thing = params["path"]
    found = open_machine(params["path"], params["disks"])
    checksums = list(found.checksums(thing)) if params["verify"] else []
    disks = shown_disks(found, thing, module.params["running"])
    boot_size = disks[0]["size"] if disks else None
    needs = needs_of(found.machine, boot_size, params["virtio"])
    machine = dataclasses.asdict(found.machine)
    for name in ("disks", "interfaces", "findings"):
        del machine[name]
    size = {"vcpus": needs.vcpus, "ram": needs.ram, "disk": needs.disk}
    return {
        "machine": machine,
        "disks": disks,
        "interfaces": [dataclasses.asdict(each) for each in found.machine.interfaces],
        "needs": {**size, "properties": needs.properties},
        "findings": [dataclasses.asdict(each) for each in needs.findings],
        "checksums": [dataclasses.asdict(each) for each in checksums],
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
