#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Nova's records of migrations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Read Nova's records of migrations
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Reads which servers were, or are being, moved from where to where and how that went, the latest first, and of live
    migrations that run how much has been sent.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes.info
options:
  server:
    description:
      - UUID or name of a server. Only its migrations are read.
    type: str
  host:
    description:
      - A host. Only migrations from it or to it are read.
    type: str
  kinds:
    description:
      - Only migrations of these kinds are read.
    type: list
    elements: str
    choices: [live, cold, resize, evacuation]
    default: [live, cold, resize, evacuation]
  unfinished:
    description:
      - Read only migrations that Nova still works on or that wait to be confirmed or reverted. What Nova has left open
        for three minutes though it does nothing with the server any more, since a host died, is not among them.
    type: bool
    default: false
seealso:
  - module: lifeboat.cloud.server_migration
  - module: lifeboat.cloud.migration_log_info
"""

EXAMPLES = r"""
- name: See what a host still sends or receives
  lifeboat.cloud.migration_info:
    cloud: admin
    host: cmp1
    unfinished: true
  register: moving

- name: Read how often a server has been moved
  lifeboat.cloud.migration_info:
    cloud: admin
    server: web-1
"""

RETURN = r"""
migrations:
  description: The migrations, the latest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Its number.
      type: int
      sample: 58
    uuid:
      description: Its UUID.
      type: str
      sample: 2d9b6b9a-8a0e-4c15-9c6c-6d1b8e6a0f55
    server:
      description: UUID of the server.
      type: str
      sample: 6ae5427f-1e23-4421-bcbb-62e23108745f
    kind:
      description: V(live), V(cold), V(resize) or V(evacuation).
      type: str
      sample: live
    status:
      description: Nova's word for how it stands.
      type: str
      sample: running
    source:
      description: The host that the server left.
      type: str
      sample: cmp1
    destination:
      description: The host that it was sent to; none while Nova has not chosen.
      type: str
      sample: cmp2
    created_at:
      description: When it was asked for, in UTC.
      type: str
      sample: "2026-11-22T13:42:05.000000"
    updated_at:
      description: When the record was changed last, in UTC.
      type: str
      sample: "2026-11-22T13:42:19.000000"
    seconds:
      description: From the one to the other.
      type: float
      sample: 14.0
    transferred:
      description: Of a live migration that runs, bytes by what they are. Nova counts every five seconds.
      type: dict
      sample: {memory_total: 210640896, memory_processed: 104857600, memory_remaining: 105783296}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import read_progress, read_records
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    RefusalError,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import abandoned
from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import find_server, read_server

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._migration_records import Record
    from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import Service

KINDS = ["live", "cold", "resize", "evacuation"]
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "server": {"type": "str"},
    "host": {"type": "str"},
    "kinds": {"type": "list", "elements": "str", "choices": KINDS, "default": KINDS},
    "unfinished": {"type": "bool", "default": False},
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    with opened(params) as cloud:
        filters = {"host": params["host"]} if params["host"] else {}
        if params["server"]:
            filters["instance_uuid"] = find_server(cloud.compute, params["server"]).id
        records = [
            record
            for record in read_records(cloud.compute, filters)
            if record.kind in params["kinds"] and not (params["unfinished"] and _over(cloud.compute, record))
        ]
        shown = [
            {
                **dataclasses.asdict(record),
                "seconds": record.seconds,
                "transferred": read_progress(cloud.compute, record)
                if record.kind == "live" and not record.ended
                else {},
            }
            for record in records
        ]
    return {"migrations": shown}


def _over(compute: Service, record: Record) -> bool:
    """Whether Nova works on it no more, though nobody may have lived to write that down."""
    if record.settled:
        return True
    try:
        return abandoned(read_server(compute, record.server), record)
    except RefusalError as refusal:
        if refusal.status != 404:
            raise
        return True


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), read)


if __name__ == "__main__":
    main()
