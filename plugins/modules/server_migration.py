#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a server of Nova to another host, or end a migration of it that is under way."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_migration
short_description: Move a server of Nova to another host, or end a migration that is under way
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Moves a server to a host, or away from one, live or cold, and waits until Nova's record of the migration has ended
    and Nova does nothing with the server any more.
  - A server that is there already is left alone. A migration that is under way, begun by an earlier run that was
    interrupted or by somebody else, is watched to its end; a cold one that waits is confirmed or reverted.
  - Refuses, before anything is changed, a server in a state that Nova does not migrate, a source that is down (see
    M(lifeboat.cloud.server_evacuation)) and a destination that is down, disabled or the source. Whether the
    destination has room, the right processor and the storage is decided by Nova; when it refuses, the server stays
    where it is and its reason is told. Of a live migration that libvirt breaks off Nova tells no reason; then it is
    said in which log it stands.
  - With O(state=aborted) and O(state=completed) it begins nothing, but has Nova end a live migration that is under way
    now, whoever began it, and waits until that is done. Without one, nothing is changed.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  server:
    description:
      - UUID or name of the server, of any project. A name that several servers have is refused.
    type: str
    required: true
  state:
    description:
      - V(migrated) moves the server.
      - V(aborted) aborts a live migration that is under way. The server stays on its source. One that has arrived
        before Nova could abort it is left where it is, with a warning. In post-copy it cannot be aborted any more,
        which is refused.
      - V(completed) forces a live migration that is under way to its end (Nova's C(force_complete)), by post-copy where
        nova-compute permits that, else by pausing the server until all is sent. It fails when the server does not
        arrive.
      - Nova aborts and forces live migrations only. A cold one that is under way, or waits in VERIFY_RESIZE, is
        refused; O(after_cold) confirms or reverts it. So is a server with which Nova does something else, such as an
        evacuation.
    type: str
    choices: [migrated, aborted, completed]
    default: migrated
  host:
    description:
      - The host where the server shall be, as Nova calls it.
      - With O(state=migrated) this or O(away_from) is needed. The other states take neither, nor the options that say
        how to migrate.
    type: str
  away_from:
    description:
      - A host where the server shall not be any more. Nova chooses another one, unless O(host) does; the same one in
        both is refused.
    type: str
  kind:
    description:
      - V(live) moves a running server with its memory. V(cold) shuts it down, moves it and starts it again.
    type: str
    choices: [live, cold]
    default: live
  storage:
    description:
      - Of a live migration, whether disks are copied between the hosts (V(block)) or both hosts have them (V(shared),
        also right for servers that boot from a volume). V(auto) lets Nova find out.
    type: str
    choices: [auto, shared, block]
    default: auto
  after_cold:
    description:
      - What becomes of a cold migration that has arrived. V(leave) leaves both copies for a later V(confirm) or
        V(revert).
      - With V(revert) nothing is changed where the server's latest migration is a cold one to that host that was
        reverted. To try it once more, migrate it with V(leave) first.
    type: str
    choices: [confirm, revert, leave]
    default: confirm
  migration_timeout:
    description:
      - How many seconds the migration may take, and then again its confirmation, or its end after it was forced.
      - With O(state=aborted) and O(state=completed) how long it may take until it has ended.
    type: float
    default: 600.0
  on_timeout:
    description:
      - What becomes of a live migration that takes longer. V(abort) leaves the server on its source. V(force) asks Nova
        to end it, by post-copy where nova-compute permits that, else by pausing the server until all is sent. V(leave)
        lets Nova go on with it. The module fails with V(abort) and V(leave).
    type: str
    choices: [abort, force, leave]
    default: abort
seealso:
  - module: lifeboat.cloud.migration_info
  - module: lifeboat.cloud.server_evacuation
  - module: lifeboat.cloud.libvirt_migration
"""

EXAMPLES = r"""
- name: Move a server to a named host without stopping it
  lifeboat.cloud.server_migration:
    cloud: admin
    server: web-1
    host: cmp2

- name: Get a server off a host, wherever Nova puts it
  lifeboat.cloud.server_migration:
    cloud: admin
    server: 6ae5427f-1e23-4421-bcbb-62e23108745f
    away_from: cmp1
    migration_timeout: 300
    on_timeout: force

- name: Move a stopped server and keep the way back open
  lifeboat.cloud.server_migration:
    cloud: admin
    server: archive
    host: cmp2
    kind: cold
    after_cold: leave

- name: Abort its live migration now, if there is one
  lifeboat.cloud.server_migration:
    cloud: admin
    server: web-1
    state: aborted

- name: Force its live migration to its end
  lifeboat.cloud.server_migration:
    cloud: admin
    server: web-1
    state: completed
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [migrate server web-1 live from cmp1 to cmp2]
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
    launched_at:
      description: When it was started last, in UTC. A live migration leaves it as it was, a cold one does not.
      type: str
      sample: "2026-11-22T13:42:05.000000"
source:
  description: Where it was.
  returned: success
  type: str
  sample: cmp1
destination:
  description: Where it was sent; none when Nova had not chosen yet or nothing was done.
  returned: success
  type: str
  sample: cmp2
migration:
  description: Nova's record. Empty when there was none, and in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: Its number.
      type: int
      sample: 58
    uuid:
      description: Its UUID.
      type: str
      sample: 2d9b6b9a-8a0e-4c15-9c6c-6d1b8e6a0f55
    kind:
      description: V(live) or V(cold).
      type: str
      sample: live
    status:
      description: Nova's word for how it ended.
      type: str
      sample: completed
seconds:
  description: From the request to the end, in seconds.
  returned: success
  type: float
  sample: 9.31
timeline:
  description:
    - Each state that was seen, with the seconds since the request. It is looked every half second. The first is that
      before the request, without a record.
  returned: success
  type: list
  elements: dict
  contains:
    at_s:
      description: When it was seen first.
      type: float
      sample: 1.02
    record:
      description: The status of the record.
      type: str
      sample: running
    server:
      description: The status of the server.
      type: str
      sample: MIGRATING
    task:
      description: What Nova did with the server.
      type: str
      sample: migrating
phases:
  description: The steps that Nova noted, by their beginning.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Nova's name of the step.
      type: str
      sample: pre_live_migration
    host:
      description: Where it was done.
      type: str
      sample: cmp2
    began:
      description: In UTC.
      type: str
      sample: "2026-11-22T13:42:06.000000"
    seconds:
      description: How long it took, with Nova's resolution.
      type: float
      sample: 2.0
    result:
      description: V(Success) or V(Error).
      type: str
      sample: Success
transferred:
  description: Bytes by what they are, as Nova said last while the migration ran. Nova counts every five seconds.
  returned: success
  type: dict
  sample: {memory_total: 210640896, memory_processed: 104857600, memory_remaining: 0}
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import refuse_given, refuse_no_time, run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._openstack import (
    OPENSTACK_OPTIONS,
    OPENSTACK_RULES,
    opened,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_migration import converge
from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import Wanted

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._server_move import Receipt
    from ansible_collections.lifeboat.cloud.plugins.module_utils._servers import Server

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "server": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["migrated", "aborted", "completed"], "default": "migrated"},
    "host": {"type": "str"},
    "away_from": {"type": "str"},
    "kind": {"type": "str", "choices": ["live", "cold"], "default": "live"},
    "storage": {"type": "str", "choices": ["auto", "shared", "block"], "default": "auto"},
    "after_cold": {"type": "str", "choices": ["confirm", "revert", "leave"], "default": "confirm"},
    "migration_timeout": {"type": "float", "default": 600.0},
    "on_timeout": {"type": "str", "choices": ["abort", "force", "leave"], "default": "abort"},
}
# What says where and how to migrate.
OF_MIGRATED = ("host", "away_from", "kind", "storage", "after_cold", "on_timeout")


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"migration_timeout": params["migration_timeout"]})
    if params["state"] != "migrated":
        refuse_given(module, OF_MIGRATED, f"state={params['state']}")
    wanted = Wanted(
        server=params["server"],
        host=params["host"],
        away_from=params["away_from"],
        kind=params["kind"],
        storage=params["storage"],
        after_cold=params["after_cold"],
        timeout_s=params["migration_timeout"],
        on_timeout=params["on_timeout"],
        state=params["state"],
    )
    with opened(params) as cloud:
        server, receipt = converge(cloud.compute, wanted, dry_run=module.check_mode)
    for warning in receipt.warnings:
        module.warn(warning)
    return result_of(server, receipt, foretold(wanted, receipt) if module.check_mode else server.host)


def foretold(wanted: Wanted, receipt: Receipt) -> str | None:
    """Where the server would be; None while Nova has not chosen."""
    if not receipt.actions:
        return receipt.found_on
    kind = receipt.record.kind if receipt.record else wanted.kind
    goes_back = wanted.state == "aborted" or (kind == "cold" and wanted.after_cold == "revert")
    return receipt.source if goes_back else receipt.destination


def result_of(server: Server, receipt: Receipt, host: str | None) -> dict[str, t.Any]:
    """What the module returns; ``host`` is where the server is, or would be."""
    shown = {name: getattr(server, name) for name in ("id", "name", "host", "status", "launched_at")}
    record = receipt.record
    return {
        "changed": bool(receipt.actions),
        "actions": receipt.actions,
        "server": shown,
        "source": receipt.source,
        "destination": receipt.destination,
        "migration": dataclasses.asdict(record) if record else {},
        "seconds": receipt.seconds,
        "timeline": [dataclasses.asdict(state) for state in receipt.timeline],
        "phases": [dataclasses.asdict(event) for event in receipt.phases],
        "transferred": receipt.transferred,
        "diff": {
            "before": {"host": receipt.found_on},
            "after": {"host": host},
        },
    }


def main() -> None:
    rules = {
        **OPENSTACK_RULES,
        "required_if": [("state", "migrated", ("host", "away_from"), True)],
    }
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **rules), work)


if __name__ == "__main__":
    main()
