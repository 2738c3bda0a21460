#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_import
short_description: Copy a disk of another hypervisor to a raw file, a block device or an image of Ceph
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads a disk image of any format that M(lifeboat.cloud.foreign_machine_info) knows, inside an OVA archive in place,
    and writes the disk to a block device, or to a raw file or an image of RBD, which appears under its name when it is
    whole.
  - In one pass each block of 4 MiB is read, hashed, written, flushed, read back from the destination, hashed again and
    noted in a journal. Zeros are neither read, where the source tells that they are, nor written.
  - A copy that broke off, even by a kill, goes on where it was, after the blocks noted were read back and found right.
  - With O(state=absent) the file that an earlier run made goes again.
  - The source is never written to, and refused while something has it open to write, such as a running guest, unless
    O(running) makes it the first part of a copy that is finished when the guest is off.
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._ceph]
options:
  state:
    description:
      - V(present) makes the copy.
      - V(absent) removes the file at O(dest) with its receipt when it is a copy of this module, as the module left it.
        Anything else stays, and so does an unfinished copy, which has another name and can be gone on with.
    type: str
    choices: [present, absent]
    default: present
  src:
    description:
      - The image, or what describes its machine, as O(lifeboat.cloud.foreign_machine_info#module:path). Needed unless
        O(state=absent).
    type: path
  disk:
    description:
      - The name of the disk, as RV(lifeboat.cloud.foreign_machine_info#module:disks[].name). Needed for a machine with
        several.
    type: str
  disks:
    description:
      - As O(lifeboat.cloud.foreign_machine_info#module:disks).
    type: dict
    default: {}
  allow_backing:
    description:
      - Read an image that lies on others in the same directory, such as one with external snapshots. Only for
        images whose maker you trust.
    type: bool
    default: false
  dest:
    description:
      - The raw file to make. Beside it are its journal meanwhile, and a receipt of what it is a copy of.
      - Or a block device, such as a logical volume, that is at least as large, empty, and used by nothing. Its first
        block is written last. It gets zeros where the disk has them; what is behind the end of the disk stays.
    type: path
  pool:
    description: The pool of the image to make, with O(name).
    type: str
  name:
    description:
      - The image to make, as C(rbd) and guests of libvirt read it. To have Cinder take it over as an existing volume is
        for the operator to do and to try out (C(cinder manage)); no module here does that.
    type: str
  journal_dir:
    description: Where the journal of a copy to O(pool) or a block device is kept, and the receipt of the latter.
    type: path
    default: /var/lib/lifeboat/imports
  running:
    description:
      - The machine of the source runs on. What the disk has now is copied, and kept unfinished with its journal. Each
        later run reads the source once more and copies only what differs; the one without this finishes the copy.
      - An image with tables, such as qcow2, may not be readable as a whole while it changes. Then run this again.
    type: bool
    default: false
  read_back:
    description:
      - Whether each block is read again from the destination before it counts. Without it, the destination's digest
        is of what it has acknowledged.
    type: bool
    default: true
  resume:
    description:
      - Whether a copy that fails is kept, and an unfinished one gone on with. Otherwise nothing is kept, and what an
        earlier copy left is removed first.
    type: bool
    default: true
  timeout:
    description: How many seconds one read of the source may take.
    type: int
    default: 60
requirements:
  - qemu-img and qemu-nbd (package qemu-utils), and python3-libnbd, for the Python that runs the module
  - python3-rados and python3-rbd for O(pool) only
seealso:
  - module: lifeboat.cloud.foreign_machine_info
  - module: lifeboat.cloud.rbd_image
"""

EXAMPLES = r"""
- name: Copy the disk of an archive into Ceph
  lifeboat.cloud.disk_import:
    src: /srv/import/web1.ova
    disk: disk0
    pool: volumes
    name: web1

- name: Make a raw image for Glance
  lifeboat.cloud.disk_import:
    src: /srv/import/appliance.vmdk
    dest: /srv/images/appliance.raw
  register: appliance

- name: Copy most of a disk while its machine runs
  lifeboat.cloud.disk_import:
    src: /srv/import/web1.xml
    dest: /srv/images/web1.raw
    running: true

- name: Copy what has changed since, when it is off
  lifeboat.cloud.disk_import:
    src: /srv/import/web1.xml
    dest: /srv/images/web1.raw

- name: Remove the image once Glance has it
  lifeboat.cloud.disk_import:
    dest: /srv/images/appliance.raw
    state: absent

- name: Fill a logical volume
  lifeboat.cloud.disk_import:
    src: /srv/import/web1.ova
    disk: disk1
    dest: /dev/vg0/web1-data

- name: Show that source and destination are equal
  ansible.builtin.debug:
    msg: "{{ appliance['copy'].source_digest }} = {{ appliance['copy'].destination_digest }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - copy disk disk0 of /srv/import/web1.ova to image volumes/web1
copy:
  description:
    - The copy, now or earlier, null in check mode before it and with O(state=absent). In bytes the disk's C(size), what
      was C(read) and C(written), and what was C(resumed), as it was there from an earlier copy; the C(seconds) it took.
    - C(source_digest) and C(destination_digest) are SHA-256 over the SHA-256 of all blocks of 4 MiB in their order.
  returned: success
  type: dict
  sample:
    size: 17179869184
    read: 1288490188
    written: 1610612736
    resumed: 0
    source_digest: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    destination_digest: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    seconds: 21.4
"""

import contextlib
import dataclasses
import os
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_destination import BlockDestination
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, ceph_session
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_import import (
    Destination,
    Options,
    earlier_import,
    import_disk,
    is_gone,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._file_destination import FileDestination
from ansible_collections.lifeboat.cloud.plugins.module_utils._foreign_machine import ForeignMachine, open_machine
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import Disk
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_source import NBD_IMPORT_ERROR
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_client import RBD_IMPORT_ERROR
from ansible_collections.lifeboat.cloud.plugins.module_utils._rbd_destination import open_destination

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "src": {"type": "path"},
    "disk": {"type": "str"},
    "disks": {"type": "dict", "default": {}},
    "allow_backing": {"type": "bool", "default": False},
    "dest": {"type": "path"},
    "pool": {"type": "str"},
    "name": {"type": "str"},
    "journal_dir": {"type": "path", "default": "/var/lib/lifeboat/imports"},
    "running": {"type": "bool", "default": False},
    "read_back": {"type": "bool", "default": True},
    "resume": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 60},
}


def chosen_disk(found: ForeignMachine, name: str | None, thing: str) -> Disk:
    """The disk of that name, or the only one."""
    disks = [disk for disk in found.machine.disks if name in (None, disk.name)]
    if len(disks) != 1:
        names = ", ".join(disk.name for disk in found.machine.disks) or "no disk"
        raise LifeboatError(thing, names, "one disk" if name is None else f"the disk {name}", "Set disk.")
    return disks[0]


@contextlib.contextmanager
def opened_destination(module: AnsibleModule, image: DiskImage) -> t.Iterator[Destination]:
    """The file, the device, or the image with its cluster."""
    params, dest = module.params, module.params["dest"]
    if dest is not None:
        if os.path.realpath(dest) in (image.part.path, *image.files):
            raise LifeboatError(f"destination {dest}", "the source itself", "another place", "Choose another place.")
        is_block = is_device(dest)
        yield BlockDestination(dest, params["journal_dir"], image.size) if is_block else FileDestination(dest)
        return
    if RBD_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("rbd (package python3-rbd)"), exception=RBD_IMPORT_ERROR)
    with (
        ceph_session(module) as ceph,
        open_destination(ceph.connection, params["pool"], params["name"], params["journal_dir"]) as destination,
    ):
        yield destination


def is_device(path: str) -> bool:
    """Whether there is a block device, perhaps behind links."""
    return os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode)


def remove(module: AnsibleModule) -> dict[str, t.Any]:
    """Remove what an earlier run made at the destination, and nothing else."""
    destination = FileDestination(module.params["dest"])
    if not destination.is_own():
        return {"changed": False, "actions": [], "copy": None}
    if not module.check_mode:
        destination.remove()
    diff = {"before": {destination.thing: "a copy"}, "after": {destination.thing: "absent"}}
    return {"changed": True, "actions": [f"remove {destination.thing}"], "diff": diff, "copy": None}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    """Import the disk, unless it is there."""
    params, thing = module.params, module.params["src"]
    if params["state"] == "absent":
        return remove(module)
    found = open_machine(params["src"], params["disks"])
    disk = chosen_disk(found, params["disk"], thing)
    image = found.image(disk, thing, params["allow_backing"], params["running"])
    with opened_destination(module, image) as destination:
        options = Options(params["resume"], params["read_back"], params["timeout"], params["running"])
        name = f"disk {disk.name} of {thing}"
        earlier = earlier_import(image, destination, options, name)
        if earlier is not None:
            return {"changed": False, "actions": [], "copy": earlier}
        list(found.checksums(thing, disk))
        again = ", again, as the copy of before is gone" if is_gone(destination) else ""
        says = f"copy {name}{', as it is now,' if params['running'] else ''} to {destination.thing}{again}"
        diff = {"before": {destination.thing: "absent"}, "after": {destination.thing: f"{image.size} bytes of {thing}"}}
        result = {"changed": True, "actions": [says], "diff": diff, "copy": None}
        if not module.check_mode:
            result["copy"] = dataclasses.asdict(import_disk(image, destination, options, name))
        return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ["src"]), ("state", "absent", ["dest"])],
        required_one_of=[("dest", "pool")],
        mutually_exclusive=[("dest", "pool")],
        required_together=[("pool", "name")],
        supports_check_mode=True,
    )
    if NBD_IMPORT_ERROR is not None and module.params["state"] == "present":
        module.fail_json(msg=missing_required_lib("nbd (package python3-libnbd)"), exception=NBD_IMPORT_ERROR)
    run_module(module, converge)


if __name__ == "__main__":
    main()
