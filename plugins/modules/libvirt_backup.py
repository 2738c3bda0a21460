#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_backup
short_description: Back up the disks of a running domain, in full or since an earlier backup
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Copies the disks of a guest as they are at one moment, while it goes on, into a directory of the hypervisor. With
    O(base) only what has changed since an earlier backup.
  - Disks in qcow2 files are copied by libvirt to qcow2 files, and it notes the changes from then on (a checkpoint).
    Images in Ceph are copied with C(rbd export-diff), from a snapshot that stays as the point to count from.
  - A backup that fails leaves nothing behind; the rest of one that was interrupted is removed by the next run. It is
    known by C(backup.begun), which is there until C(backup.json) is. Nothing is removed from a directory that has
    neither, or that has the backup of another domain or a file that is a disk of the domain by now.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
requirements:
  - the program C(rbd) on the hypervisor, for disks in Ceph
options:
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  backup:
    description:
      - The name of the backup, also of its directory and of its checkpoint or snapshot.
    type: str
    required: true
  directory:
    description:
      - The directory of the domain's backups on the hypervisor.
    type: path
    required: true
  base:
    description:
      - The earlier backup in the same directory since which changes are copied. A full copy without it.
    type: str
  mode:
    description:
      - V(push) writes files. V(pull) serves the disks as they are at this moment over NBD, for another program to
        fetch, until O(state=fetched) or O(state=absent). For qcow2 files only.
    type: str
    choices: [push, pull]
    default: push
  max_seconds:
    description:
      - How many seconds the copy may take. For images in Ceph it bounds each of them; the guest stands still only while
        their snapshots are taken, each within O(timeout).
    type: float
    default: 3600
  state:
    description:
      - Whether the backup shall exist. V(absent) ends one that is pulled, and removes the files with the checkpoint or
        the snapshots. It is refused while other backups are based on it, and while a guest is off that has the
        checkpoint of it, which libvirt removes only from one that runs.
      - V(fetched) says that a backup with O(mode=pull) has been fetched in full, which only you know. It is no longer
        served, and others can be based on it. Before that they cannot, as libvirt has one backup of a domain at a
        time, and nobody may have the data.
    type: str
    choices: [present, fetched, absent]
    default: present
notes:
  - To restore qcow2 files, copy them, tie each increment to its base with
    C(qemu-img rebase -u -F qcow2 -b BASE INCREMENT), and convert the last one with C(qemu-img convert).
  - To restore an image in Ceph, make one of the same size and apply C(rbd import-diff) in order.
  - A domain with checkpoints cannot be migrated by libvirt.
  - The copies of images in Ceph are in a directory that only its owner can enter. libvirt's files can be read by their
    owner only.
seealso:
  - module: lifeboat.cloud.libvirt_snapshot
"""

EXAMPLES = r"""
- name: Back up a server on Sunday
  lifeboat.cloud.libvirt_backup:
    name: web1
    backup: sunday
    directory: /srv/backup/web1

- name: Back up on Monday what has changed
  lifeboat.cloud.libvirt_backup:
    name: web1
    backup: monday
    base: sunday
    directory: /srv/backup/web1

- name: Serve the disks to another program
  lifeboat.cloud.libvirt_backup:
    name: web1
    backup: export
    mode: pull
    directory: /srv/backup/web1
  register: served

- name: Fetch one of them
  ansible.builtin.command:
    cmd: "qemu-img convert -O qcow2 {{ served.exports[0].uri }} /srv/elsewhere/web1.qcow2"
    creates: /srv/elsewhere/web1.qcow2

- name: End it, and note what changes from then on
  lifeboat.cloud.libvirt_backup:
    name: web1
    backup: export
    directory: /srv/backup/web1
    state: fetched

- name: Serve what has changed since
  lifeboat.cloud.libvirt_backup:
    name: web1
    backup: export2
    base: export
    mode: pull
    directory: /srv/backup/web1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [make backup monday of domain web1 since sunday]
backup:
  description: The backup as its manifest says.
  returned: when it exists
  type: dict
  sample:
    domain: web1
    uuid: 3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1
    backup: monday
    base: sunday
    kept_by: libvirt
    mode: push
    disks: [{target: vda, file: vda.qcow2, bytes: 262656, image: null, client: null}]
    fetched: false
exports:
  description:
    - Where each disk is served, with O(mode=pull). The bitmap is the NBD context of what has changed since O(base).
  returned: while the backup is served
  type: list
  elements: dict
  sample:
    - {target: vda, uri: "nbd+unix:///vda?socket=/srv/backup/export/nbd.socket", bitmap: "qemu:dirty-bitmap:vda"}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup import (
    Manifest,
    WantedBackup,
    read_manifest,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_client import LibvirtBackupCalls
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_fetched import fetched_changes
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_backup_making import (
    Tools,
    backup_changes,
    removal_changes,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_command import RbdCommand

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "backup": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "base": {"type": "str"},
    "mode": {"type": "str", "choices": ["push", "pull"], "default": "push"},
    "max_seconds": {"type": "float", "default": 3600.0},
    "state": {"type": "str", "choices": ["present", "fetched", "absent"], "default": "present"},
    **CONNECTION_OPTIONS,
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"max_seconds": params["max_seconds"]})
    wanted = WantedBackup(
        **{name: params[name] for name in ("name", "backup", "directory", "base", "max_seconds")},
        pull=params["mode"] == "pull",
    )
    compare = {"present": backup_changes, "fetched": fetched_changes, "absent": removal_changes}[params["state"]]
    with connected(params["uri"], params["timeout"]) as connection:
        # The guest stands still for its snapshots, which must not take as long as the copy may.
        images = RbdCommand(params["timeout"], params["max_seconds"])
        tools = Tools(LibvirtBackupCalls(connection), images, CLOCK)
        changes = compare(connection, tools, wanted)
        for change in changes if not module.check_mode else ():
            change.do()
    made = read_manifest(wanted.place)
    return result_of(changes) if made is None else {**result_of(changes), **facts_of(made, wanted)}


def facts_of(made: Manifest, wanted: WantedBackup) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {"backup": dataclasses.asdict(made)}
    if made.mode == "pull" and not made.fetched:
        facts["exports"] = [
            {
                "target": disk.target,
                "uri": f"nbd+unix:///{disk.target}?socket={wanted.socket}",
                "bitmap": f"qemu:dirty-bitmap:{disk.target}" if made.base else None,
            }
            for disk in made.disks
        ]
    return facts


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
