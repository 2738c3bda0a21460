#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_domain
short_description: Define, start, stop and remove a domain of libvirt
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that a virtual machine (a domain) has a definition and is in a state, or that it does not exist.
  - The definition is compared with the one that libvirt keeps for the next start, by its meaning. The order of
    attributes, white space, comments, the unit of a size, the case of UUIDs and MAC addresses and the notation of
    numbers in device addresses do not matter. An unversioned machine type, such as V(q35), is met by every version of
    it.
  - What O(xml) says must be there. What it does not say is taken for an addition of libvirt (such as C(<uuid>),
    C(<cpu>), C(<controller>), MAC and device addresses, default models) and left as it is, with these exceptions.
  - Disks, interfaces, host devices, file systems, graphics, channels, TPMs, random number generators, sound cards,
    shared memory, memory devices, vsocks, redirected devices, smart cards, parallel ports, leases and crypto devices
    that O(xml) does not say are removed. So are, at the top, title, description, genid, maxMemory, memoryBacking,
    memtune, blkiotune, cputune, numatune, iothreads, sysinfo, keywrap, launchSecurity, idmap, bootloader, perf and
    QEMU's own elements.
  - The same holds, where the element around them is said, in C(<os>) for kernel, initrd, cmdline, dtb, bootmenu, bios,
    smbios and acpi; in C(<cpu>) for feature, topology, cache and maxphysaddr; in C(<features>) for acpi, apic, pae,
    hap, hyperv, kvm, vmcoreinfo and vmport; in C(<clock>) for timer; in C(<vcpu>) for the attributes current and
    cpuset; in disks for boot, iotune, serial, wwn, vendor, product, shareable, transient, encryption, throttlefilters,
    blockio, geometry and all attributes of the driver except name and type; in interfaces for boot, bandwidth, mtu,
    filterref, link, tune, vlan, coalesce, rom, guest and teaming.
  - Of elements with the same name below one parent, O(xml) gives all or none, except for controllers, inputs, consoles,
    serial ports, audio backends, watchdogs, panic devices and IOMMUs, beside which libvirt puts its own. A
    C(<currentMemory>) that is not said is the C(<memory>). The first console is the first serial port by another name.
  - When the definition differs, the sections and devices that differ are replaced and completed by libvirt as in a new
    domain. The UUID, the machine type, the NVRAM, and MAC and device addresses of disks and interfaces that O(xml) does
    not say are kept. Disks are recognised by the name of their target, interfaces by their MAC address or else by their
    order.
  - While a domain has snapshots, the sources of its disks are not changed, since with a snapshot in a file of its own
    the disk goes on in another file than before.
  - A running domain is never changed. Its new definition takes effect at its next start, and RV(pending_restart) says
    so for as long as it has not.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
options:
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  xml:
    description:
      - The definition, a C(<domain>) element. Its C(<name>) can be left out, and must otherwise be O(name).
      - Without it an existing domain keeps its definition.
      - Passwords (C(passwd) of graphics) are refused, since this text is logged. One that the domain has is kept as
        long as its device is not changed, and hidden in the diff.
    type: str
  state:
    description:
      - V(present) leaves it open whether the domain runs.
      - V(running) starts it, from its managed save when it has one, or resumes it.
      - V(paused) stops the processors of a running domain, or starts a domain that way.
      - V(shut_off) asks the guest to shut down and waits. A paused or sleeping guest goes on for it.
      - V(absent) does the same and removes the definition. It keeps everything that O(remove) does not name.
    type: str
    choices: [present, running, paused, shut_off, absent]
    default: present
  autostart:
    description:
      - Whether the domain starts with its host. Without it that stays as it is.
    type: bool
  shutdown_timeout:
    description:
      - How many seconds the guest may take to shut down.
    type: float
    default: 120.0
  force:
    description:
      - Whether the power plug may be pulled of a guest that has not shut down after O(shutdown_timeout), or that has
        crashed. With O(shutdown_timeout=0) it is pulled at once.
    type: bool
    default: false
  remove:
    description:
      - What may be lost with the domain at O(state=absent).
      - V(storage), the volumes of its disks, except shared and read-only ones and CD-ROMs. Each must be a volume of a
        started storage pool. Backing files stay. Whether another domain uses a volume is not looked at.
      - V(managed_save), the saved memory of the guest. It may also be given with O(state=running) and O(state=paused),
        which then boot the guest instead of restoring it.
      - V(nvram), the variables of the UEFI firmware. V(tpm_state), the state of an emulated TPM. Both are otherwise
        kept.
      - V(snapshots_metadata) and V(checkpoints_metadata), what libvirt knows about snapshots and checkpoints. Their
        data in the disks stay.
      - The module refuses to remove a domain with a managed save, snapshots or checkpoints that are not named here.
    type: list
    elements: str
    choices: [storage, managed_save, nvram, tpm_state, snapshots_metadata, checkpoints_metadata]
    default: []
  validate:
    description:
      - Whether libvirt holds a changed definition against its schema, so that a misspelt element is an error and is not
        dropped.
    type: bool
    default: true
seealso:
  - module: lifeboat.cloud.libvirt_domain_info
"""

EXAMPLES = r"""
- name: A virtual machine that runs, and starts with its host
  lifeboat.cloud.libvirt_domain:
    name: web1
    state: running
    autostart: true
    xml: |
      <domain type='kvm'>
        <memory unit='GiB'>2</memory>
        <vcpu>2</vcpu>
        <os><type arch='x86_64' machine='q35'>hvm</type></os>
        <features><acpi/></features>
        <devices>
          <disk type='file' device='disk'>
            <driver name='qemu' type='qcow2' discard='unmap'/>
            <source file='/var/lib/libvirt/images/web1.qcow2'/>
            <target dev='vda' bus='virtio'/>
          </disk>
          <interface type='bridge'>
            <source bridge='br0'/>
            <model type='virtio'/>
          </interface>
          <console type='pty'/>
        </devices>
      </domain>
  register: web1

- name: Say when it must be restarted
  ansible.builtin.debug:
    msg: "{{ web1.pending }}"
  when: web1.pending_restart

- name: Remove it with its disk, after three minutes by force
  lifeboat.cloud.libvirt_domain:
    name: web1
    state: absent
    remove: [storage, nvram]
    shutdown_timeout: 180
    force: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [redefine domain web1, start domain web1]
differences:
  description: Where the definition was not as wanted.
  returned: success
  type: list
  elements: str
  sample: ["/memory: 1048576 KiB -> 2097152 KiB"]
pending_restart:
  description:
    - Whether the domain runs with something else than O(xml) says, so that it needs a restart. Features of the CPU, the
      balloon and the processors online are not looked at. Always false without O(xml).
  returned: success
  type: bool
  sample: false
pending:
  description: Where the running domain is not as O(xml) says.
  returned: success
  type: list
  elements: str
  sample: []
forced:
  description: Whether the power plug was pulled. Always false in check mode.
  returned: success
  type: bool
  sample: false
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_domain import (
    Plan,
    WantedDomain,
    not_kept,
    pending,
    plan,
    wanted_definition,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK

REMOVABLE = ["storage", "managed_save", "nvram", "tpm_state", "snapshots_metadata", "checkpoints_metadata"]
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "xml": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "running", "paused", "shut_off", "absent"],
        "default": "present",
    },
    "autostart": {"type": "bool"},
    "shutdown_timeout": {"type": "float", "default": 120.0},
    "force": {"type": "bool", "default": False},
    "remove": {"type": "list", "elements": "str", "choices": REMOVABLE, "default": []},
    "validate": {"type": "bool", "default": True},
    **CONNECTION_OPTIONS,
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = wanted_of(module.params)
    with connected(module.params["uri"], module.params["timeout"]) as connection:
        made = plan(connection, wanted, CLOCK)
        if not module.check_mode:
            for change in made.changes:
                change.do()
        waiting = pending(connection, wanted)
        if not module.check_mode and any(change.thing == "definition" for change in made.changes):
            for lost in not_kept(connection, wanted):
                module.warn(f"libvirt made something else of xml: {lost.path} is {lost.found}, not {lost.wanted}")
    return result_of(made, [str(each) for each in waiting])


def wanted_of(params: dict[str, t.Any]) -> WantedDomain:
    return WantedDomain(
        name=params["name"],
        state=params["state"],
        definition=wanted_definition(params["xml"], params["name"]) if params["xml"] else None,
        autostart=params["autostart"],
        remove=frozenset(params["remove"]),
        force=params["force"],
        shutdown_timeout_s=params["shutdown_timeout"],
        validate=params["validate"],
    )


def result_of(made: Plan, waiting: list[str]) -> dict[str, t.Any]:
    others = [change for change in made.changes if change.thing != "definition"]
    return {
        "changed": bool(made.changes),
        "actions": [change.says for change in made.changes],
        "differences": [str(each) for each in made.differences],
        "pending_restart": bool(waiting),
        "pending": waiting,
        "forced": made.power.forced,
        "diff": [
            {"before_header": "definition", "after_header": "definition", "before": made.before, "after": made.after},
            {
                "before": {change.thing: change.before for change in others},
                "after": {change.thing: change.after for change in others},
            },
        ],
    }


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
