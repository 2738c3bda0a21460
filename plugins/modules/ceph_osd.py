#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_osd
short_description: Make, start and remove the OSDs of a host
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that each of the given disks, partitions or files of this host carries an OSD (BlueStore) of the cluster
    that runs and starts at boot. Other OSDs of the host are left alone.
  - Looks at all devices first and refuses, before the first change and all at once, what should not be used. Below
    O(devices) is what is looked at.
  - Every step can be repeated. A run that was killed is finished by the next one, with the same OSD. An OSD whose
    directory was lost with the system disk is taken back from what is on its device.
  - With O(state=absent) the OSD is put out, its data moves elsewhere, and only when Ceph calls it safe it is stopped,
    purged and wiped. When that does not happen in time it is put back in.
extends_documentation_fragment:
  - lifeboat.cloud._attributes
  - lifeboat.cloud._ceph
options:
  devices:
    description:
      - Paths. What is below V(/dev) is a disk or a partition, anything else a file, which is made sparse with
        O(file_size) when it is not there. Files are for trying things out.
      - Names such as V(/dev/disk/by-id/...) last over a boot. For another name one that lasts is looked up.
      - Refused are a device that is not there, is mounted, read-only, smaller than 5 GiB, or of the system disk; one
        with a file system, a partition table, a part of LVM or RAID, or an OSD of another cluster; a volume of a
        hardware RAID controller; and a second OSD on one disk.
    type: list
    elements: path
    default: []
  ids:
    description:
      - Numbers of OSDs to be removed, with O(state=absent). The disk need not be there any more, and another host of
        the cluster can remove OSDs of a host that is lost.
    type: list
    elements: int
    default: []
  state:
    description:
      - Whether the OSDs shall exist.
    type: str
    choices: [present, absent]
    default: present
  fsid:
    description:
      - The identifier of the cluster. Without it that in O(conf_file).
    type: str
  file_size:
    description:
      - The size of a file that has to be made, such as V(20G).
    type: bytes
  start_timeout:
    description:
      - How many seconds OSDs may take until the cluster has them up.
    type: int
    default: 120
  removal_timeout:
    description:
      - How many seconds the cluster may take to move the data of an OSD that is removed.
    type: int
    default: 3600
  accept_reduced_redundancy:
    description:
      - Remove OSDs although their data is not elsewhere yet, as long as all data can be reached without them. For a
        disk that is broken in a cluster without room for a further copy.
    type: bool
    default: false
  force_used:
    description:
      - Wipe what is on the O(devices), unless it is mounted or an OSD of this cluster.
    type: bool
    default: false
  force_raid:
    description:
      - Accept volumes of a hardware RAID controller.
    type: bool
    default: false
  force_shared_disk:
    description:
      - Accept several OSDs on one disk, and partitions of the system disk.
    type: bool
    default: false
notes:
  - For O(state=present) the caps C(profile bootstrap-osd) are enough.
  - A disk that changes its name while the host is off keeps its OSD. It is recognised by what is on it.
seealso:
  - module: lifeboat.cloud.ceph_info
"""

EXAMPLES = r"""
- name: Give two disks to Ceph
  lifeboat.cloud.ceph_osd:
    devices: [/dev/disk/by-id/wwn-0x5000c500a0b1c2d3, /dev/disk/by-id/wwn-0x5000c500a0b1c2d4]
    client: client.bootstrap-osd
    client_keyring: /var/lib/ceph/bootstrap-osd/ceph.keyring

- name: See whether disks are fit before anything is installed
  lifeboat.cloud.ceph_osd:
    devices: [/dev/sdb, /dev/sdc]
    fsid: 5e1bfa3c-8f1d-4c6b-9d9c-6f0e2e2d1c11
  check_mode: true

- name: Remove an OSD once its data is elsewhere
  lifeboat.cloud.ceph_osd:
    ids: [7]
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [create an OSD on /dev/sdb]
osds:
  description: The OSD on each device, or those that were asked for by number. In check mode C(id) of a new one is null.
  returned: success
  type: list
  elements: dict
  sample:
    - {id: 3, uuid: 5908c565-bee5-4a09-a9f7-6cdaba9a8cbf, device: /dev/sdb}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._block_devices import Permissions
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_client import CEPH_ARGUMENTS, ceph_session
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd import (
    OSD_ROOT,
    Record,
    Step,
    cluster_of,
    records_in,
    step_of,
    targets_of,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd_findings import osd_findings
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd_making import make_osds, start_osds, unit_plan
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_osd_removal import removal_of, remove
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._inventory import refuse
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

FLAGS = ("force_used", "force_raid", "force_shared_disk", "accept_reduced_redundancy")
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **CEPH_ARGUMENTS,
    **{flag: {"type": "bool", "default": False} for flag in FLAGS},
    "devices": {"type": "list", "elements": "path", "default": []},
    "ids": {"type": "list", "elements": "int", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fsid": {"type": "str"},
    "file_size": {"type": "bytes"},
    "start_timeout": {"type": "int", "default": 120},
    "removal_timeout": {"type": "int", "default": 3600},
}


def present(module: AnsibleModule) -> dict[str, t.Any]:
    """Make and start what is not."""
    params = module.params
    if params["ids"]:
        raise LifeboatError("ids", str(params["ids"]), "none, as the cluster gives numbers", "Use devices.")
    cluster = params["fsid"] or cluster_of(params["conf_file"])
    records = records_in(OSD_ROOT)
    targets = targets_of(params["devices"], records)
    allowed = Permissions(params["force_used"], params["force_raid"], params["force_shared_disk"])
    refuse([*osd_findings(targets, records, cluster, allowed, params["file_size"])])
    work = [(target, step) for target in targets if (step := step_of(target, cluster)) is not Step.READY]
    numbers = {each.path: each.label.osd_id for each in targets if each.label and each.label.osd_id is not None}
    ready = [numbers[target.path] for target in targets if step_of(target, cluster) is Step.READY]
    units = unit_plan(ready)
    actions = [f"{step.value} on {target.path}" for target, step in work]
    actions += [f"start {unit}" for unit in units.start] + [f"enable {unit}" for unit in units.enable]
    if actions and not module.check_mode:
        with ceph_session(module) as ceph:
            numbers |= make_osds(ceph, params["conf_file"], work, params["file_size"])
            start_osds(ceph, [numbers[target.path] for target in targets], params["start_timeout"])
        targets = targets_of(params["devices"], records_in(OSD_ROOT))
    osds = [
        {
            "id": numbers.get(each.path) if each.record else None,
            "uuid": each.record.osd_uuid if each.record else None,
            "device": each.path,
        }
        for each in targets
    ]
    return result(actions, {path: "not ready" for path in (target.path for target, _step in work)}, osds)


def absent(module: AnsibleModule) -> dict[str, t.Any]:
    """Remove what there is."""
    params = module.params
    records = records_in(OSD_ROOT)
    wanted: dict[int, tuple[Record | None, str]] = {}
    for number in params["ids"]:
        record = next((record for record in records if record.osd_id == number), None)
        wanted[number] = (record, record.device if record else "")
    for target in targets_of(params["devices"], records):
        if target.record and target.record.osd_id is not None:
            wanted[target.record.osd_id] = (target.record, target.device)
    with ceph_session(module) as ceph:
        found = [removal_of(ceph, number, record, device) for number, (record, device) in wanted.items()]
        removals = [each for each in found if each.needed]
        if not module.check_mode:
            for each in removals:
                accept = params["accept_reduced_redundancy"]
                remove(ceph, each, params["removal_timeout"], accept_reduced_redundancy=accept)
    osds = [
        {
            "id": each.osd_id,
            "uuid": each.record.osd_uuid if each.record else None,
            "device": each.device or None,
        }
        for each in removals
    ]
    actions = [f"remove osd.{each.osd_id}" for each in removals]
    return result(actions, {f"osd.{each.osd_id}": "present" for each in removals}, osds)


def result(actions: list[str], before: dict[str, str], osds: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """What the module returns."""
    diff = {"before": before, "after": {"actions": actions} if actions else {}}
    return {"changed": bool(actions), "actions": actions, "osds": osds, "diff": diff}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Bring the OSDs into the wanted state."""
    return present(module) if module.params["state"] == "present" else absent(module)


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
