#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_host_info
short_description: Read what a hypervisor of libvirt is and can
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Returns versions, processors, memory, storage pools, networks, and what else decides whether a domain can migrate to
    or from this host.
  - Two hosts can exchange a domain when their UUIDs and hostnames differ, the destination's hypervisor is of the same
    kind and not older, knows the domain's machine type, and can give it its CPU.
extends_documentation_fragment: [lifeboat.cloud._attributes.info, lifeboat.cloud._libvirt]
seealso:
  - module: lifeboat.cloud.libvirt_domain_info
  - module: lifeboat.cloud.migration_plan
"""

EXAMPLES = r"""
- name: Read the hypervisor
  lifeboat.cloud.libvirt_host_info:
  register: found

- name: Refuse a host without KVM
  ansible.builtin.assert:
    that: found.host.accelerated
    fail_msg: "{{ found.host.hostname }} has only {{ found.host.virtualization | join(', ') }}."
"""

RETURN = r"""
host:
  description: The hypervisor. What libvirt cannot tell is null.
  returned: success
  type: dict
  contains:
    uri:
      description: The connection.
      type: str
      sample: qemu:///system
    transport:
      description: How this connection reaches the daemon, such as unix, tls, tcp or ssh.
      type: str
      sample: unix
    uuid:
      description: The UUID by which libvirt tells hosts apart.
      type: str
      sample: 9c3b2f60-5d3c-4d6e-8d1a-0c5f3b1e7a11
    hostname:
      description: The host's own name.
      type: str
      sample: compute1
    hypervisor:
      description: The kind of hypervisor.
      type: str
      sample: QEMU
    libvirt_version:
      description: The version of the daemon.
      type: str
      sample: 11.3.0
    hypervisor_version:
      description: The version of the hypervisor.
      type: str
      sample: 10.0.13
    client_version:
      description: The version of the library that asked.
      type: str
      sample: 11.3.0
    arch:
      description: The architecture of the processors.
      type: str
      sample: x86_64
    accelerated:
      description: Whether domains can run on KVM. Otherwise QEMU emulates processors (TCG).
      type: bool
      sample: true
    virtualization:
      description: The types of domains for this architecture.
      type: list
      elements: str
      sample: [qemu, kvm]
    cpu:
      description: The host's processor, as libvirt names it, with the features that it has beyond that model and lacks.
      type: dict
      sample: {model: EPYC-Rome, vendor: AMD, features: [x2apic], without: [svm]}
    guest_cpu:
      description: The processor that a domain with C(host-model) gets, the baseline for migrations.
      type: dict
      sample: {model: EPYC-Rome, vendor: AMD, features: [x2apic], without: [svm]}
    guest_cpu_xml:
      description: The same as a C(<cpu>) element.
      type: str
      sample: "<cpu mode='custom' match='exact'><model fallback='forbid'>EPYC-Rome</model></cpu>"
    usable_models:
      description: The models of processors that the host can give to a domain.
      type: list
      elements: str
      sample: [EPYC, EPYC-Rome, qemu64]
    cpus:
      description: The number of processors.
      type: int
      sample: 64
    nodes:
      description: The NUMA nodes. C(memory) and C(free) in bytes.
      type: list
      elements: dict
      sample: [{id: 0, cpus: 64, memory: 270052524032, free: 120052524032}]
    machines:
      description: The machine types. C(canonical) is the version that an unversioned name stands for.
      type: list
      elements: dict
      sample: [{name: q35, canonical: pc-q35-10.0, deprecated: false}]
    live_migration:
      description: Whether libvirt can migrate running domains of this hypervisor.
      type: bool
      sample: true
    migration_transports:
      description: The schemes of URIs for the data of migrations.
      type: list
      elements: str
      sample: [tcp, rdma]
    pools:
      description:
        - The storage pools. C(path) is the directory of their volumes, C(source) where they come from. C(capacity) and
          C(available) are bytes, as of the last refresh, and 0 while the pool is not active.
      type: list
      elements: dict
      sample:
        - name: images
          type: netfs
          active: true
          path: /srv/images
          source: "nfs1:/export"
          capacity: 1099511627776
          available: 549755813888
    networks:
      description: libvirt's own networks.
      type: list
      elements: dict
      sample: [{name: default, active: true, bridge: virbr0}]
    interfaces:
      description: The names of the host's network interfaces, bridges among them.
      type: list
      elements: str
      sample: [br0, eth0]
    secrets:
      description: The UUIDs of the secrets, such as the keys for images in Ceph.
      type: list
      elements: str
      sample: [1e2d3c4b-5a69-4788-8796-a5b4c3d2e1f0]
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_host import HostFacts, cpu_json, read_host
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_resources import Resources, read_resources


def read(module: AnsibleModule) -> dict[str, t.Any]:
    # libvirt tells what domains can have only over a connection that may write.
    with connected(module.params["uri"], module.params["timeout"]) as connection:
        return {"host": as_json(read_host(connection), read_resources(connection))}


def as_json(host: HostFacts, resources: Resources) -> dict[str, t.Any]:
    return {
        **dataclasses.asdict(host),
        **dataclasses.asdict(resources),
        "accelerated": host.accelerated,
        "cpu": cpu_json(host.cpu),
        "guest_cpu": cpu_json(host.guest_cpu),
        "usable_models": sorted(host.usable_models) if host.usable_models is not None else None,
    }


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=CONNECTION_OPTIONS, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
