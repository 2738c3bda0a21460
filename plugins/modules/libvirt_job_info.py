#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_job_info
short_description: Read how the last job of domains went, such as the migration that has brought them here
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads what libvirt has counted of the last job of each domain that has completed. Of a live migration it is the
    destination that has the figures, among them how long the guest stood still. They stay for whoever asks next.
  - libvirt keeps them until another job has completed, it is restarted, or the domain is gone from the host. After
    post-copy it keeps none.
  - A domain that is not there, or of which nothing is kept, is named with the reason.
extends_documentation_fragment: [lifeboat.cloud._attributes.info, lifeboat.cloud._libvirt]
requirements:
  - libvirt 6.0.0 or later
options:
  uuids:
    description:
      - The UUIDs of the domains wanted, which are those of the servers in Nova where the domains are Nova's. Without it
        all are.
    type: list
    elements: str
seealso:
  - module: lifeboat.cloud.libvirt_domain_info
  - module: lifeboat.cloud.libvirt_migration
  - plugin: lifeboat.cloud.receipts_counted
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read how a server has come here
  lifeboat.cloud.libvirt_job_info:
    uuids: [3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1]
  register: found

- name: Say how long it stood still
  ansible.builtin.debug:
    msg: "{{ found.jobs[0].statistics.downtime }} ms"
  when: found.jobs[0].reason is none
"""

RETURN = r"""
jobs:
  description: The domains, by UUID.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name, null where there is no such domain.
      type: str
      sample: instance-0000002a
    uuid:
      description: The UUID.
      type: str
      sample: 3a7e2f5c-5c1a-4a08-9d8f-3f0f7cf2f6a1
    operation:
      description:
        - What the job was in libvirt's words, such as backup. Of a migration the destination is not told that it was
          one, and says unknown.
      type: str
      sample: unknown
    statistics:
      description:
        - The job's statistics as libvirt has them, times in ms and sizes in bytes. Of a migration C(time_elapsed) from
          its beginning, C(downtime) of the guest, both by the clocks of the two hosts, C(downtime_net) without what
          lies between these, C(setup_time), C(memory_total), C(memory_processed), and C(memory_bps), the bytes in a
          second.
      type: dict
      sample: {time_elapsed: 3120, downtime: 223, downtime_net: 221, memory_processed: 104857600}
    reason:
      description: Why there are none, null where there are.
      type: str
      sample: libvirt knows of no job of it that has completed
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_client import (
    CONNECTION_OPTIONS,
    connected,
    run_libvirt_module,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_job import completed_jobs
from ansible_collections.lifeboat.cloud.plugins.module_utils._libvirt_migration_client import LibvirtMigrationCalls

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "uuids": {"type": "list", "elements": "str"},
    **CONNECTION_OPTIONS,
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    with connected(params["uri"], params["timeout"], read_only=True) as connection:
        jobs = completed_jobs(connection, LibvirtMigrationCalls(connection), params["uuids"])
    return {"jobs": [dataclasses.asdict(each) for each in jobs]}


def main() -> None:
    run_libvirt_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
