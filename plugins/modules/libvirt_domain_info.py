#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_domain_info
short_description: Read the state of domains of libvirt
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Returns, for all domains of a hypervisor or for some, the state with its reason, processors and memory, disks and
    interfaces with their statistics and addresses, and the job under way.
  - Running domains are described as they are now, the others as they are defined.
extends_documentation_fragment: [lifeboat.cloud._attributes.info, lifeboat.cloud._libvirt]
options:
  names:
    description:
      - The names of the domains wanted. Without it all are. One that does not exist is not an error and not in the
        result.
    type: list
    elements: str
  addresses:
    description:
      - Who is asked for the guests' addresses, in this order. V(lease), the DHCP server of libvirt's own networks.
        V(agent), the QEMU guest agent in the guest, where it is connected. V(arp), the ARP table of the hypervisor.
      - libvirt asks the agent only over a connection that may write, so without V(agent) a read-only one is used.
    type: list
    elements: str
    choices: [lease, agent, arp]
    default: [lease, agent]
seealso:
  - module: lifeboat.cloud.libvirt_domain
  - module: lifeboat.cloud.libvirt_host_info
  - module: lifeboat.cloud.migration_plan
"""

EXAMPLES = r"""
- name: Read all domains
  lifeboat.cloud.libvirt_domain_info:
  register: found

- name: Name those that are paused, and why
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.reason }}"
  loop: "{{ found.domains | selectattr('state', 'equalto', 'paused') }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
domains:
  description: The domains, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
      sample: web1
    uuid:
      description: The UUID.
      type: str
      sample: 3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1
    state:
      description: One of unknown, running, blocked, paused, shutting_down, shut_off, crashed and sleeping.
      type: str
      sample: paused
    reason:
      description: Why it is in this state, in libvirt's words, such as booted, migrated, user, ioerror or crashed.
      type: str
      sample: ioerror
    persistent:
      description: Whether it has a definition, so that it is still there when it is off.
      type: bool
      sample: true
    autostart:
      description: Whether it starts with its host.
      type: bool
      sample: false
    vcpus:
      description: The processors that are online.
      type: int
      sample: 2
    max_vcpus:
      description: The most processors that it can have.
      type: int
      sample: 4
    memory_kib:
      description: The memory that it has, in KiB.
      type: int
      sample: 2097152
    max_memory_kib:
      description: The most memory that the balloon can give it, in KiB.
      type: int
      sample: 2097152
    virtualization:
      description: The type of the domain, such as kvm, or qemu for processors that QEMU emulates.
      type: str
      sample: kvm
    arch:
      description: The architecture of its processors.
      type: str
      sample: x86_64
    machine:
      description: The machine type.
      type: str
      sample: pc-q35-10.0
    cpu_mode:
      description: One of custom, host-model, host-passthrough and maximum; empty where nothing is defined.
      type: str
      sample: custom
    cpu:
      description:
        - The processor, with the features that it has beyond its model and that it lacks of it. Null where it is what
          the host gives.
      type: dict
      sample: {model: EPYC-Rome, vendor: AMD, features: [x2apic], without: [svm]}
    pinned:
      description: Devices with which libvirt moves it nowhere.
      type: list
      elements: str
      sample: [host device (pci)]
    secrets:
      description: The UUIDs of the secrets that its disks and devices are opened with.
      type: list
      elements: str
      sample: [1e2d3c4b-5a69-4788-8796-a5b4c3d2e1f0]
    snapshots:
      description: How many snapshots libvirt has of it.
      type: int
      sample: 0
    checkpoints:
      description: How many checkpoints libvirt has of it.
      type: int
      sample: 0
    managed_save:
      description: Whether its memory is saved, to go on from at its next start.
      type: bool
      sample: false
    disks:
      description:
        - The disks, CD-ROMs and floppies. RV(domains[].disks[].source) is a path, C(pool/volume), or
          C(protocol:name). RV(domains[].disks[].statistics) are those of virConnectGetAllDomainStats, such as
          C(rd_bytes) and C(wr_reqs).
      type: list
      elements: dict
      contains:
        target: {description: The name in the definition., type: str, sample: vda}
        bus: {description: The bus., type: str, sample: virtio}
        device: {description: "disk, cdrom, floppy or lun.", type: str, sample: disk}
        type: {description: The kind of the source., type: str, sample: network}
        source: {description: Where the data are., type: str, sample: "rbd:vms/web1"}
        format: {description: The format of the image., type: str, sample: raw}
        read_only: {description: Whether the guest cannot write., type: bool, sample: false}
        shareable: {description: Whether several guests may write to it., type: bool, sample: false}
        statistics: {description: "Counters, in bytes, requests and ns.", type: dict, sample: {rd_bytes: 8589312}}
    interfaces:
      description: The network interfaces.
      type: list
      elements: dict
      contains:
        mac: {description: The MAC address., type: str, sample: "52:54:00:12:34:56"}
        type: {description: The kind of connection., type: str, sample: bridge}
        source: {description: "The network, bridge or device.", type: str, sample: br0}
        target: {description: The interface's name on the host while it runs., type: str, sample: vnet3}
        model: {description: The model of the device., type: str, sample: virtio}
        addresses:
          description: The IP addresses. None when nobody could tell.
          type: list
          elements: dict
          sample: [{mac: "52:54:00:12:34:56", address: 192.0.2.7, prefix: 24, source: agent}]
        statistics: {description: "Counters, in bytes and packets.", type: dict, sample: {rx_bytes: 90210}}
    job:
      description:
        - What libvirt is doing with the domain, null when nothing. C(type) and C(operation) in libvirt's words, such as
          unbounded and migration_out, and its C(statistics), in ms and bytes.
      type: dict
      sample: {type: unbounded, operation: migration_out, statistics: {data_remaining: 1048576}}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain_facts import read_domains
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import cpu_json

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "names": {"type": "list", "elements": "str"},
    "addresses": {
        "type": "list",
        "elements": "str",
        "choices": ["lease", "agent", "arp"],
        "default": ["lease", "agent"],
    },
    **CONNECTION_OPTIONS,
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    read_only = "agent" not in params["addresses"]
    with connected(params["uri"], params["timeout"], read_only=read_only) as connection:
        found = list(read_domains(connection, params["names"], params["addresses"]))
    return {"domains": [{**dataclasses.asdict(each), "cpu": cpu_json(each.cpu)} for each in found]}


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
