#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_conversion
short_description: Give a guest of another hypervisor the drivers of KVM, with virt-v2v
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Has virt-v2v make a machine of another hypervisor one of libvirt, with drivers for virtio and without the tools of
    the hypervisor that it comes from. M(lifeboat.cloud.foreign_machine_info) and M(lifeboat.cloud.disk_import) take the
    result as any other machine.
  - The source is only read. Its images are checked as M(lifeboat.cloud.foreign_machine_info) checks them, before
    virt-v2v sees them. A conversion that fails, or is stopped by SIGTERM or SIGINT, leaves its log and nothing else.
  - virt-v2v works in a virtual machine with a kernel of this host, the one that E(SUPERMIN_KERNEL) names or the newest
    in C(/boot). Whether KVM runs that is tried before, also in check mode, for at most a minute.
  - A second run recognises the source by the sizes, times and inodes of its files and does nothing. While a conversion
    to the same place is under way, also one of a play that has died, another is refused.
extends_documentation_fragment: [lifeboat.cloud._attributes]
options:
  src:
    description:
      - The machine, as O(lifeboat.cloud.foreign_machine_info#module:path). Its guest must be shut down.
    type: path
    required: true
  disks:
    description:
      - As O(lifeboat.cloud.foreign_machine_info#module:disks).
    type: dict
    default: {}
  dest:
    description:
      - The directory in which the machine gets a directory of its name, and its log beside it. It needs room for the
        data of all disks, and a path of at most 75 bytes, as virt-v2v has sockets there.
    type: path
    required: true
  name:
    description:
      - What the converted machine and its directory are called, instead of as the machine is, in which whatever is
        neither a letter nor a digit nor one of C(_.-) becomes a hyphen then.
    type: str
  slow:
    description:
      - Whether to convert without KVM, which takes many times as long. For hosts that have none, or one that fails.
    type: bool
    default: false
  timeout:
    description:
      - How many seconds the conversion may take.
    type: int
    default: 7200
requirements:
  - virt-v2v, nbdkit, nbdcopy (package libnbd-bin), qemu-img (package qemu-utils), qemu-system-x86, and prlimit (package
    util-linux)
  - A kernel in C(/boot), which containers have not (package linux-image-amd64)
seealso:
  - module: lifeboat.cloud.foreign_machine_info
  - module: lifeboat.cloud.disk_import
"""

EXAMPLES = r"""
- name: Give a server of VMware virtio's drivers
  lifeboat.cloud.guest_conversion:
    src: /srv/import/web1.ova
    dest: /srv/converted
  register: web1

- name: Read what it has become
  lifeboat.cloud.foreign_machine_info:
    path: "{{ web1.path }}"
    virtio: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [convert /srv/import/web1.ova to /srv/converted/web1]
path:
  description: The XML of the converted domain, which names its disks.
  returned: success
  type: str
  sample: /srv/converted/web1/web1.xml
log:
  description: What virt-v2v said.
  returned: success
  type: str
  sample: /srv/converted/web1.log
"""

import os
import re
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._disk_image import DiskImage
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._foreign_machine import ForeignMachine, open_machine
from ansible_collections.lifeboat.cloud.plugins.module_utils._guest_conversion import (
    Conversion,
    alone,
    convert,
    domain_xml,
    earlier,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._guest_conversion_checks import check
from ansible_collections.lifeboat.cloud.plugins.module_utils._machine import FILE_NAME, can_name_a_file
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._qemu_lock import is_written

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "src": {"type": "path", "required": True},
    "disks": {"type": "dict", "default": {}},
    "dest": {"type": "path", "required": True},
    "name": {"type": "str"},
    "slow": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 7200},
}


def checked_images(found: ForeignMachine, thing: str) -> dict[str, DiskImage]:
    """The images by the disks' names; LifeboatError without one, and for one that must not be read now."""
    images = {disk.name: found.image(disk, thing) for disk in found.machine.disks}
    if not images:
        raise LifeboatError(thing, "no disk", "at least one", "Give the machine's own file.")
    for state in [each for image in images.values() for each in image.identity()]:
        if is_written(state.path):
            raise LifeboatError(thing, f"{state.path} open to write in QEMU", "a guest that is off", "Shut it down.")
    return images


def name_of(found: ForeignMachine, wanted: str | None) -> str:
    """The name of the directory to make: the one wanted, or what can be of the machine's."""
    if wanted is None:
        return re.sub(r"[^A-Za-z0-9_.-]", "-", found.machine.name).lstrip(".") or "machine"
    if not can_name_a_file(wanted):
        raise LifeboatError("conversion", f"the name {wanted!r}", FILE_NAME, "Choose another name.")
    return wanted


def source_of(found: ForeignMachine, images: dict[str, DiskImage], source: str, described: str) -> list[str]:
    """What virt-v2v is given: a package as it is, else the domain at ``described``, which is written."""
    if found.located is not None:
        list(found.checksums(source))
        return ["-i", "ova", source if source.lower().endswith(".ova") else os.path.dirname(os.path.abspath(source))]
    with open(described, "w", encoding="utf-8") as file:
        file.write(domain_xml(found.machine, images))
    return ["-i", "libvirtxml", described]


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    """Convert the machine, unless that is done."""
    params, source = module.params, module.params["src"]
    refuse_no_time({"timeout": params["timeout"]})
    found = open_machine(source, params["disks"])
    images = checked_images(found, source)
    states = tuple(state for image in images.values() for state in image.identity())
    directory = os.path.abspath(params["dest"])
    name = name_of(found, params["name"])
    conversion = Conversion(source, name, states, directory, params["timeout"], params["slow"])
    result = {"changed": False, "actions": [], "path": conversion.description, "log": conversion.log}
    if earlier(conversion):
        return result
    check(conversion, images)
    if not module.check_mode:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with alone(conversion) as lock, tempfile.TemporaryDirectory() as place:
            # The one that had the place until now may have made it.
            if earlier(conversion):
                return result
            convert(conversion, source_of(found, images, source, os.path.join(place, "domain.xml")), lock)
    diff = {"before": {conversion.place: "absent"}, "after": {conversion.place: f"converted from {source}"}}
    return {**result, "changed": True, "actions": [f"convert {source} to {conversion.place}"], "diff": diff}


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
