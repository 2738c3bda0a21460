#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_migration
short_description: Move a domain of libvirt to another host, or abort that
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that a domain is on another host than the one that runs the module. A running guest goes on running.
  - The copy of its memory has bounds, and what happens at a bound is said before it begins, so a guest that writes
    faster than the link carries is not copied for ever.
  - Whatever fails before the guest has gone over, it runs on the source, and nothing of it is left on the destination,
    unless the run that began to copy its disks was interrupted. What that one had copied stays, and is written anew,
    as a whole, by the next copy.
  - libvirt on the source carries the migration out by itself. It goes on when this module is interrupted; the next run
    watches it on, with the same bounds, and goes on with a post-copy that lost its connection. Such a post-copy, and a
    guest that was stopped for it, has O(finish_seconds) more.
  - A guest that a migration which is over has left standing still goes on at the source and is moved anew, once
    O(destination) is seen not to have it. Name the same destination as before, since no other is asked.
  - What would make libvirt refuse is found out before the first change. So is, for a guest that runs, a destination
    that has less memory available than the guest has, or of which a virtual network of the guest is not active. Huge
    pages and bridges are not looked at.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
options:
  uri:
    description:
      - The connection to libvirt on the source, the host that runs the module.
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  state:
    description:
      - V(migrated) moves the domain.
      - V(aborted) aborts a migration that is under way, whoever began it, and waits until it has ended and the guest
        runs on the source, for O(finish_seconds) at most. Without one nothing is changed. A guest that has gone over
        before it could be aborted is left there. In post-copy it cannot be aborted any more, which is refused.
      - V(aborted) takes none of the options that say how to migrate. What was copied of disks is removed by the run
        that began the migration, if that is still there.
    type: str
    choices: [migrated, aborted]
    default: migrated
  destination:
    description:
      - The URI of libvirt on the destination, as libvirt on the source reaches it, such as V(qemu+tls://cmp2/system) or
        V(qemu+ssh://root@cmp2/system?no_tty=1). V(qemu+tcp) is refused, since memory would travel in the clear.
    type: str
    required: true
  mode:
    description:
      - V(live) moves a domain that runs, V(offline) the definition of one that is shut off.
      - With V(offline) libvirt copies nothing else. A warning says so for a file of UEFI variables. A guest with an
        emulated TPM is refused, since libvirt may remove the state of that on the source. Started as paused, with
        M(lifeboat.cloud.libvirt_domain), it moves with V(live).
    type: str
    choices: [live, offline]
    default: live
  tunnelled:
    description:
      - Send the guest's memory through the connection of the two libvirts, instead of from QEMU to QEMU over TLS.
      - It needs no further open port nor certificates of QEMU, and is slower. It goes neither with O(mode=offline) nor
        with O(then=post_copy), O(connections), O(copy_storage) or O(data_uri).
    type: bool
    default: false
  max_seconds:
    description:
      - How many seconds may pass, with the copying of disks, until O(then).
    type: float
    default: 600
  max_iterations:
    description:
      - How often what was written meanwhile may be copied again until O(then).
    type: int
    default: 100
  then:
    description:
      - What is done with a migration that reaches one of the two bounds.
      - V(abort) ends it; the guest stays on the source, and the module fails.
      - V(throttle) stops the guest until the rest has been sent, which is a downtime of the guest's remaining memory
        divided by the bandwidth.
      - V(post_copy) lets the guest go on at the destination at once, where it fetches what is missing. It is slower
        meanwhile, and a host or a network that fails meanwhile takes it down.
      - While disks are being copied there is only V(abort).
    type: str
    choices: [abort, throttle, post_copy]
    default: abort
  finish_seconds:
    description:
      - How many seconds O(then), or O(state=aborted), has to end the migration. V(throttle) ends in V(abort) after
        them; for the others the module fails and leaves libvirt to itself.
    type: float
    default: 120
  auto_converge:
    description:
      - Let QEMU take more and more of the guest's processors away while the copy does not get ahead.
    type: bool
    default: false
  throttle_initial:
    description:
      - How many percent O(auto_converge) takes away first, 1 to 99. QEMU's own default when not set, 20.
    type: int
  throttle_increment:
    description:
      - How many percent more O(auto_converge) takes away each time, 1 to 99. QEMU's own default when not set, 10.
    type: int
  connections:
    description:
      - Send memory over so many connections in parallel, 1 to 255. QEMU does not do so with O(then=post_copy) before
        version 10.1, and neither does this module.
    type: int
  bandwidth:
    description:
      - The most that may be sent, in MiB per second, in post-copy too, except what the guest waits for there. No limit
        when not set.
    type: int
  data_uri:
    description:
      - The destination's address for the memory, such as V(tcp://10.0.2.12). Without it libvirt on the destination
        says its host name, which the source has to resolve.
    type: str
  certificate_name:
    description:
      - The name that the destination's certificate has, when it is another than the one it is reached by.
    type: str
  copy_storage:
    description:
      - Copy the disks that are files or block devices of the source as well. The destination needs a started
        storage pool for the directory of each, or a volume of the same path. What a pool has is read anew before the
        look at it (virsh pool-refresh), in check mode too. One in which volumes are being made is waited for, half a
        minute at most.
      - The disks on the source are left as they are.
    type: bool
    default: false
  copy_disks:
    description:
      - With O(copy_storage), only these disks, such as V(vda). All that can be written without it.
    type: list
    elements: str
    default: []
notes:
  - libvirt does not move whether a domain starts with its host. The module sets that on the destination once the domain
    is there. If it was interrupted, and the migration ended before the next run, that is lost, since nothing tells the
    next run that it was set. M(lifeboat.cloud.libvirt_domain) sets it, with C(autostart).
seealso:
  - module: lifeboat.cloud.libvirt_domain_info
  - module: lifeboat.cloud.libvirt_host_info
"""

EXAMPLES = r"""
- name: Move a running server
  lifeboat.cloud.libvirt_migration:
    name: web1
    destination: qemu+tls://cmp2/system

- name: Move a database that writes a lot, in a minute and a half at most
  lifeboat.cloud.libvirt_migration:
    name: db1
    destination: qemu+tls://cmp2/system
    auto_converge: true
    max_seconds: 60
    then: post_copy
    finish_seconds: 30

- name: Move a server with its local disk, at night
  lifeboat.cloud.libvirt_migration:
    name: build1
    destination: qemu+tls://cmp2/system
    copy_storage: true
    bandwidth: 200
    max_seconds: 7200

- name: Abort its migration now, if there is one
  lifeboat.cloud.libvirt_migration:
    name: db1
    destination: qemu+tls://cmp2/system
    state: aborted

- name: Move the definition of a server that is off
  lifeboat.cloud.libvirt_migration:
    name: old1
    destination: qemu+tls://cmp2/system
    mode: offline
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [migrate domain web1 to qemu+tls://cmp2/system]
migration:
  description: How the migration went.
  returned: when there was one
  type: dict
  contains:
    ended_by:
      description: One of pre_copy, auto_converge, throttle, post_copy and offline, or abort with O(state=aborted).
      type: str
      sample: pre_copy
    total_s:
      description: The seconds it took.
      type: float
      sample: 1.41
    downtime_ms:
      description: The milliseconds for which the guest stood still, by libvirt's statistics. None after post-copy.
      type: int
      sample: 223
    memory_bytes:
      description: The bytes sent for its memory. None after post-copy.
      type: int
      sample: 103809024
    disk_bytes:
      description: The bytes of disks that were copied.
      type: int
      sample: 268435456
    iterations:
      description: How often memory was copied.
      type: int
      sample: 3
    throttle:
      description: How many percent of its processors' time auto-converge took away in the end.
      type: int
      sample: 0
    timeline:
      description: The phases with their seconds, as seen four times a second.
      type: list
      elements: dict
      sample: [{phase: preparing, seconds: 0.5}, {phase: copying memory, seconds: 0.91}]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration import (
    Migration,
    Outcome,
    Storage,
    WantedMigration,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_client import LibvirtAttempt, site
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_policy import Policy, Step
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_run import plan, plan_abort
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_given

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["migrated", "aborted"], "default": "migrated"},
    "destination": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["live", "offline"], "default": "live"},
    "tunnelled": {"type": "bool", "default": False},
    "max_seconds": {"type": "float", "default": 600.0},
    "max_iterations": {"type": "int", "default": 100},
    "then": {"type": "str", "choices": ["abort", "throttle", "post_copy"], "default": "abort"},
    "finish_seconds": {"type": "float", "default": 120.0},
    "auto_converge": {"type": "bool", "default": False},
    "throttle_initial": {"type": "int"},
    "throttle_increment": {"type": "int"},
    "connections": {"type": "int"},
    "bandwidth": {"type": "int"},
    "data_uri": {"type": "str"},
    "certificate_name": {"type": "str"},
    "copy_storage": {"type": "bool", "default": False},
    "copy_disks": {"type": "list", "elements": "str", "default": []},
    **CONNECTION_OPTIONS,
}
OF_ABORTED = ("name", "state", "destination", "finish_seconds", *CONNECTION_OPTIONS)
# Options that the wish has by the same name.
SAME = (
    *("name", "destination", "tunnelled", "auto_converge", "throttle_initial", "throttle_increment"),
    *("connections", "bandwidth", "data_uri", "certificate_name"),
)


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    params, wanted = module.params, wanted_of(module.params)
    aborts = params["state"] == "aborted"
    if aborts:
        refuse_given(module, [name for name in ARGUMENT_SPEC if name not in OF_ABORTED], "state=aborted")
    validate(wanted)
    with (
        connected(params["uri"], params["timeout"]) as here,
        connected(params["destination"], params["timeout"]) as there,
    ):
        migration = Migration(site(here), site(there), wanted)
        planned = (
            plan_abort(migration, CLOCK)
            if aborts
            else plan(migration, lambda call: LibvirtAttempt(params["uri"], wanted.policy.longest_s, call), CLOCK)
        )
        for warning in planned.warnings:
            module.warn(warning)
        outcome = planned.do() if planned.do is not None and not module.check_mode else None
    result: dict[str, t.Any] = {"changed": planned.do is not None, "actions": list(planned.says)}
    if planned.do is not None:
        after = params["uri"] if aborts else wanted.destination
        result["diff"] = {"before": {"host": params["uri"]}, "after": {"host": after}}
    return result if outcome is None else {**result, "migration": migration_of(outcome)}


def wanted_of(params: dict[str, t.Any]) -> WantedMigration:
    return WantedMigration(
        **{name: params[name] for name in SAME},
        offline=params["mode"] == "offline",
        storage=Storage(tuple(params["copy_disks"])) if params["copy_storage"] else None,
        policy=Policy(params["max_seconds"], params["max_iterations"], Step(params["then"]), params["finish_seconds"]),
    )


def migration_of(outcome: Outcome) -> dict[str, t.Any]:
    return {
        "ended_by": outcome.ended_by,
        "total_s": round(outcome.total_s, 3),
        "timeline": [{"phase": phase, "seconds": round(seconds, 3)} for phase, seconds in outcome.timeline],
        "downtime_ms": outcome.downtime_ms,
        "memory_bytes": outcome.memory_bytes,
        "disk_bytes": outcome.disk_bytes,
        "iterations": outcome.iterations,
        "throttle": outcome.throttle,
    }


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
