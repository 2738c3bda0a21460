#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a disk of a running domain into an image of Ceph."""

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_block_copy
short_description: Move a disk of a running domain into an image of Ceph
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes an image, has libvirt copy a disk of a running guest into it and mirror what the guest writes meanwhile, and
    gives the guest the image when both are the same. The guest goes on all the time. Its definition gets the image too.
  - The old disk is not touched, and stays for you to remove. From the moment the guest has the image, it falls behind.
  - When the copy fails or takes too long, it is ended, the guest goes on with its old disk, and the image is removed.
  - A copy that an interrupted run has begun is gone on with. One that ended with its guest meanwhile is begun anew, in
    an image that is marked as unfinished until then (C(rbd image-meta), C(lifeboat.unfinished_copy_of)). Until it is
    marked it is empty and has C(.lifeboat-new) behind its name; the next run removes one that is left. No other image
    is ever removed.
  - Refuses, before anything is changed, a domain that is off or a server of Nova, a disk that is read-only, shared or
    encrypted, one with snapshots or checkpoints of libvirt, since they are in the disk that is left, and an image that
    is there.
  - For a domain that is off, see M(lifeboat.cloud.disk_import).
extends_documentation_fragment: [lifeboat.cloud._attributes, lifeboat.cloud._libvirt]
requirements:
  - the program C(rbd) on the hypervisor, with the client's keyring in C(/etc/ceph)
options:
  name:
    description:
      - The name of the domain.
    type: str
    required: true
  disk:
    description:
      - The disk by its target in the guest, such as V(vda).
    type: str
    required: true
  image:
    description:
      - The image, as POOL/NAME.
    type: str
    required: true
  client:
    description:
      - The user of Ceph that makes and opens it, without C(client.).
    type: str
    default: nova
  secret:
    description:
      - The UUID of libvirt's secret with that user's key; C(virsh secret-list) lists them.
    type: str
    required: true
  monitors:
    description:
      - Ceph's monitors, as HOST or HOST:PORT, such as V([fd00::1]:6789). By default QEMU takes them from
        C(/etc/ceph/ceph.conf).
    type: list
    elements: str
    default: []
  bandwidth:
    description:
      - The most that is copied, in MiB per second. V(0) is no limit.
    type: int
    default: 0
  max_seconds:
    description:
      - How many seconds the copy may take.
    type: float
    default: 3600
seealso:
  - module: lifeboat.cloud.disk_import
  - module: lifeboat.cloud.libvirt_domain
  - module: lifeboat.cloud.volume_migration
"""

EXAMPLES = r"""
- name: Move the disk of a running guest into Ceph
  lifeboat.cloud.libvirt_block_copy:
    name: builder
    disk: vda
    image: vms/builder-vda
    secret: 5f1a3d4e-0d35-4b0c-8a2e-3f6f3b1c9a77
    bandwidth: 100
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: ["copy disk vda of domain builder to rbd:vms/builder-vda"]
source:
  description: What the disk was when the module began. It stays as it is.
  returned: success
  type: str
  sample: /var/lib/libvirt/images/builder.qcow2
size:
  description: The size of the disk in bytes; 0 when nothing was copied.
  returned: success
  type: int
  sample: 21474836480
copied_seconds:
  description: From the beginning until both were the same, in seconds.
  returned: success
  type: float
  sample: 184.5
seconds:
  description: From the beginning until the guest had the image, in seconds.
  returned: success
  type: float
  sample: 184.61
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy import Tools, WantedCopy
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy_client import (
    LibvirtBlockCopyCalls,
    RbdProgram,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_block_copy_run import Copy
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_power import CLOCK
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "disk": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "client": {"type": "str", "default": "nova"},
    # The UUID of a secret, which is none itself.
    "secret": {"type": "str", "required": True, "no_log": False},
    "monitors": {"type": "list", "elements": "str", "default": []},
    "bandwidth": {"type": "int", "default": 0},
    "max_seconds": {"type": "float", "default": 3600.0},
    **CONNECTION_OPTIONS,
}


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"max_seconds": params["max_seconds"]})
    wanted = WantedCopy(
        **{name: params[name] for name in ("name", "image", "client", "secret", "bandwidth", "max_seconds")},
        target=params["disk"],
        monitors=tuple(params["monitors"]),
    )
    with connected(params["uri"], params["timeout"]) as connection:
        images = RbdProgram(wanted.client, params["timeout"], wanted.max_seconds)
        copy = Copy(connection, Tools(LibvirtBlockCopyCalls(connection), images, CLOCK), wanted)
        changes = copy.changes()
        for change in changes if not module.check_mode else ():
            change.do()
    seen = copy.outcome
    facts = {"source": seen.source, "size": seen.size, "copied_seconds": seen.copied_s, "seconds": seen.total_s}
    return {**result_of(changes), **facts}


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), converge)


if __name__ == "__main__":
    main()
