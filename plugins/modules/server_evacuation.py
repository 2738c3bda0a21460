#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuild a server of a dead host on another one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_evacuation
short_description: Rebuild a server of a dead host on another one
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Has Nova rebuild a server whose host has died on another host, with its volumes, and with its disks if both hosts
    share them, and waits until it is there as it was, running or stopped.
  - Refuses a host that is not proven dead. Nova takes a host for dead whose C(nova-compute) does not report, though its
    servers may run on, and two copies of a server on one disk destroy it. The proof is that its service is forced down,
    which M(lifeboat.cloud.compute_service) does after a power device has said that the host is off.
  - Refuses a server whose disks only the dead host has. Nova would make them anew from the image, and delete the old
    ones when the host is back.
  - Refuses a server that was on its way to another host when its own one died, until somebody has looked there.
  - A server that is not on the dead host any more is left alone; an evacuation that is under way is watched to its end.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  server:
    description:
      - UUID or name of the server, of any project. A name that several servers have is refused.
    type: str
    required: true
  away_from:
    description:
      - The dead host, as Nova calls it.
    type: str
    required: true
  host:
    description:
      - The host where the server shall be. Without it Nova chooses one.
    type: str
  shared_storage:
    description:
      - Storage that all hosts share for servers' disks, such as C(ceph). Volumes do not need it.
    type: str
  lose_disks:
    description:
      - Rebuild the server although its disks are lost with the host.
    type: bool
    default: false
  proof_follows:
    description:
      - In check mode take the host for proven dead, since what will prove it, such as M(lifeboat.cloud.host_power), has
        not happened there. All other refusals are said. Without check mode the proof is asked for whatever this says.
    type: bool
    default: false
  not_running_on:
    description:
      - Hosts on which somebody has seen that the server does not run. It is refused where a live migration or an
        evacuation from the dead host to another one was left open, since it may run there although Nova does not know,
        unless that host is named here or forced down as well.
    type: list
    elements: str
    default: []
  evacuation_timeout:
    description:
      - How many seconds it may take.
    type: float
    default: 600.0
notes:
  - The API is asked with microversion 2.84, since from 2.95 on Nova leaves an evacuated server stopped.
seealso:
  - module: lifeboat.cloud.compute_service
  - module: lifeboat.cloud.host_power
  - module: lifeboat.cloud.server_migration
"""

EXAMPLES = r"""
- name: Turn the dead host off
  lifeboat.cloud.host_power:
    host: cmp1
    driver: redfish
    address: https://cmp1-bmc.example.com/redfish/v1/Systems/1
    arguments: [--netrc-file, /etc/lifeboat/bmc.netrc]
    state: "off"
  delegate_to: localhost

- name: Tell Nova so
  lifeboat.cloud.compute_service:
    cloud: admin
    host: cmp1
    forced_down: true

- name: Rebuild a server of it
  lifeboat.cloud.server_evacuation:
    cloud: admin
    server: web-1
    away_from: cmp1
    shared_storage: ceph
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [rebuild server web-1 of the dead host cmp1 on a host that Nova chooses]
server:
  description: The server afterwards.
  returned: success
  type: dict
  contains:
    id:
      description: Its UUID.
      type: str
      sample: 6ae5427f-1e23-4421-bcbb-62e23108745f
    name:
      description: Its name.
      type: str
      sample: web-1
    host:
      description: Where it is.
      type: str
      sample: cmp2
    status:
      description: Its status.
      type: str
      sample: ACTIVE
migration:
  description:
    - Nova's record, as M(lifeboat.cloud.migration_info) returns it, also of a server that had been rebuilt before;
      empty when there was none.
  returned: success
  type: dict
  sample: {id: 61, kind: evacuation, status: done, source: cmp1, destination: cmp2}
began:
  description:
    - When it was asked for, in UTC; of a server that had been rebuilt before by Nova's record, none without one.
  returned: success
  type: str
  sample: "2026-11-22T13:42:05.417+00:00"
seconds:
  description: From the request to the end, in seconds; of a server that had been rebuilt before by Nova's record.
  returned: success
  type: float
  sample: 18.4
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_evacuation import Wanted, converge

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "server": {"type": "str", "required": True},
    "away_from": {"type": "str", "required": True},
    "host": {"type": "str"},
    "shared_storage": {"type": "str"},
    "lose_disks": {"type": "bool", "default": False},
    "proof_follows": {"type": "bool", "default": False},
    "not_running_on": {"type": "list", "elements": "str", "default": []},
    "evacuation_timeout": {"type": "float", "default": 600.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"evacuation_timeout": params["evacuation_timeout"]})
    wanted = Wanted(
        server=params["server"],
        away_from=params["away_from"],
        host=params["host"],
        keeps_disks=bool(params["shared_storage"]) or params["lose_disks"],
        timeout_s=params["evacuation_timeout"],
        proof_follows=params["proof_follows"],
        not_running_on=tuple(params["not_running_on"]),
    )
    with opened(params) as cloud:
        server, receipt = converge(cloud.compute, wanted, dry_run=module.check_mode)
    return {
        "changed": bool(receipt.actions),
        "actions": receipt.actions,
        "server": {name: getattr(server, name) for name in ("id", "name", "host", "status")},
        "migration": dataclasses.asdict(receipt.record) if receipt.record else {},
        "began": receipt.began_at,
        "seconds": receipt.seconds,
        "diff": {
            "before": {"host": params["away_from"] if receipt.actions else server.host},
            "after": {"host": params["host"] if module.check_mode and receipt.actions else server.host},
        },
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **OPENSTACK_RULES), work)


if __name__ == "__main__":
    main()
