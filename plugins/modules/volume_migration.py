#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a volume of Cinder to another back end or volume type."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_migration
short_description: Move a volume of Cinder to another back end or volume type
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Moves a volume, also an attached one whose server runs, and waits until Cinder has settled it. Cinder writes a copy
    and then exchanges the two; of an attached volume Nova writes it, and the server goes on meanwhile. One that is not
    attached can only be attached after that; Cinder has it in C(maintenance) or C(retyping).
  - A volume that is there already is left alone. A migration that is under way, begun by an earlier run that was
    interrupted or by somebody else, is watched to its end. Cinder cannot abort one.
  - Refuses, before anything is changed, an unknown volume, type or back end, a volume in any other state than
    C(available) or C(in-use), in a group, replicated or with snapshots, a type that is encrypted where the volume is
    not or the other way round, a back end that is down, disabled or too full for the scheduler, and an attached volume
    that Nova would not exchange, as its server is not running, nova-compute of its host is down, it has several
    attachments, or it is encrypted.
  - Refuses a type for volumes of other sizes, and while the volume is in use one with another C(multiattach) or other
    QoS for the hypervisor.
  - When Cinder fails, the volume stays where it was. The module says where it is then, what Cinder tells of it, and
    whether Cinder has left an unfinished copy.
extends_documentation_fragment:
  - lifeboat.cloud._openstack
  - lifeboat.cloud._attributes
options:
  volume:
    description:
      - UUID or name of the volume, of any project. A name that several volumes have is refused.
    type: str
    required: true
  type:
    description:
      - The volume type that it shall have, by name or UUID. Where its back end offers that type too, it stays there;
        else Cinder chooses a back end that does.
      - Either this or O(host).
    type: str
  host:
    description:
      - The back end where it shall be, as C(HOST@BACKEND#POOL), with the cluster's name as HOST where there is a
        cluster; C(openstack volume backend pool list) names them. Its type stays, and must be one that the back end
        offers.
    type: str
  migration_timeout:
    description:
      - For how many seconds it is waited. Cinder goes on after that, and the next run watches it further.
    type: float
    default: 3600.0
seealso:
  - module: lifeboat.cloud.image_stores
  - module: lifeboat.cloud.server_migration
  - module: openstack.cloud.volume_info
notes:
  - The user needs the role C(admin).
"""

EXAMPLES = r"""
- name: Give a volume another type, wherever that leads
  lifeboat.cloud.volume_migration:
    cloud: admin
    volume: database-data
    type: fast

- name: Move a volume to a named back end
  lifeboat.cloud.volume_migration:
    cloud: admin
    volume: 6ae5427f-1e23-4421-bcbb-62e23108745f
    host: lifeboat@archive#archive
    migration_timeout: 14400
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: ["retype volume database-data to fast on lifeboat@fast#fast from ceph on lifeboat@ceph#ceph"]
volume:
  description: The volume afterwards.
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
      sample: database-data
    size:
      description: Its size in GiB.
      type: int
      sample: 20
    status:
      description: Its status.
      type: str
      sample: in-use
    type:
      description: Its volume type.
      type: str
      sample: fast
    place:
      description: The back end where it is.
      type: str
      sample: lifeboat@fast#fast
source:
  description: The back end where it was.
  returned: success
  type: str
  sample: lifeboat@ceph#ceph
destination:
  description: The back end where it went; none when nothing was done, or in check mode when Cinder is to choose.
  returned: success
  type: str
  sample: lifeboat@fast#fast
seconds:
  description: From the request to the end, in seconds.
  returned: success
  type: float
  sample: 42.5
timeline:
  description: Each state that was seen, with the seconds since the request. It is looked every half second.
  returned: success
  type: list
  elements: dict
  contains:
    at_s:
      description: When it was seen first.
      type: float
      sample: 1.02
    status:
      description: The status of the volume.
      type: str
      sample: retyping
    migration:
      description: Cinder's migration status of it.
      type: str
      sample: migrating
    copy:
      description: Where its copy is written; none where there is none, or the back end's driver makes it by itself.
      type: str
      sample: lifeboat@fast#fast
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
from ansible_collections.lifeboat.cloud.plugins.module_utils._volume_migration import Receipt, Wanted, converge

if t.TYPE_CHECKING:
    from ansible_collections.lifeboat.cloud.plugins.module_utils._volumes import Volume

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    **OPENSTACK_OPTIONS,
    "volume": {"type": "str", "required": True},
    "type": {"type": "str"},
    "host": {"type": "str"},
    "migration_timeout": {"type": "float", "default": 3600.0},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    refuse_no_time({"migration_timeout": params["migration_timeout"]})
    wanted = Wanted(params["volume"], params["type"], params["host"], params["migration_timeout"])
    with opened(params) as cloud:
        volume, receipt = converge(cloud, wanted, dry_run=module.check_mode)
    for warning in receipt.warnings:
        module.warn(warning)
    return result_of(volume, receipt, wanted)


def result_of(volume: Volume, receipt: Receipt, wanted: Wanted) -> dict[str, t.Any]:
    """What the module returns."""
    shown = {name: getattr(volume, name) for name in ("id", "name", "size", "status", "type", "place")}
    before = {"type": receipt.source_type, "place": receipt.source}
    after = before
    if receipt.actions:
        after = {
            "type": wanted.type or receipt.source_type,
            "place": receipt.destination or wanted.host or "chosen by Cinder",
        }
    return {
        "changed": bool(receipt.actions),
        "actions": receipt.actions,
        "volume": shown,
        "source": receipt.source,
        "destination": receipt.destination,
        "seconds": receipt.seconds,
        "timeline": [dataclasses.asdict(state) for state in receipt.timeline],
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    rules = {
        "mutually_exclusive": [*OPENSTACK_RULES["mutually_exclusive"], ("type", "host")],
        "required_one_of": [*OPENSTACK_RULES["required_one_of"], ("type", "host")],
    }
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **rules), work)


if __name__ == "__main__":
    main()
