#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_monitor
short_description: Make the store of a Ceph monitor on this host
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that the store of a monitor exists, from the list of monitors and the given keys. The first monitors of a
    cluster make it so; a monitor that is added joins the others when it starts.
  - A store that is there is left alone. One with another key of the monitors belongs to another cluster and is refused.
  - The store is made under another name and then moved to its place, so a run that was killed leaves none.
extends_documentation_fragment: [lifeboat.cloud._attributes]
options:
  name:
    description:
      - The name of the monitor.
    type: str
    required: true
  fsid:
    description:
      - The identifier of the cluster.
    type: str
    required: true
  monitors:
    description:
      - All monitors by name, each with its addresses as in C(mon_host).
    type: dict
    required: true
  conf_file:
    description:
      - The configuration file of Ceph. Needed only to make the store.
    type: path
    default: /etc/ceph/ceph.conf
  entities:
    description:
      - The first entities of a new cluster by name, each with its C(key) and its C(caps). C(mon.) must be among them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Make the monitor's store
  lifeboat.cloud.ceph_monitor:
    name: stor1
    fsid: "{{ ceph_fsid }}"
    monitors:
      stor1: "[v2:10.0.1.1:3300,v1:10.0.1.1:6789]"
      stor2: "[v2:10.0.1.2:3300,v1:10.0.1.2:6789]"
      stor3: "[v2:10.0.1.3:3300,v1:10.0.1.3:6789]"
    entities:
      mon.: {key: "{{ ceph_monitor_key }}", caps: {mon: allow *}}
      client.admin: {key: "{{ ceph_admin_key }}", caps: {mon: allow *, mgr: allow *, osd: allow *, mds: allow *}}
  no_log: true
"""

RETURN = r"""
present:
  description: Whether the store was there before.
  returned: success
  type: bool
  sample: true
path:
  description: The directory of the store.
  returned: success
  type: str
  sample: /var/lib/ceph/mon/ceph-stor1
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._ceph_monitor import (
    Credential,
    MonitorMap,
    MonitorStore,
    make_store,
    store_is_there,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "fsid": {"type": "str", "required": True},
    "monitors": {"type": "dict", "required": True},
    "conf_file": {"type": "path", "default": "/etc/ceph/ceph.conf"},
    "entities": {"type": "dict", "required": True, "no_log": True},
}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Make the store when it is not there."""
    given = module.params["entities"]
    if "mon." not in given:
        raise LifeboatError("entities", ", ".join(given) or "none", "mon. among them", "Add mon. with its key.")
    entities = {name: Credential(each["key"], each.get("caps", {})) for name, each in given.items()}
    store = MonitorStore(module.params["name"])
    if store.name not in module.params["monitors"]:
        raise LifeboatError("monitors", f"no {store.name}", "the monitor itself among them", "Add it.")
    there = store_is_there(store, entities["mon."].key)
    if not there and not module.check_mode:
        cluster = MonitorMap(module.params["fsid"], module.params["monitors"])
        make_store(store, cluster, module.params["conf_file"], entities)
    before = {"store": "present" if there else "absent"}
    return {
        "changed": not there,
        "present": there,
        "path": str(store.path),
        "diff": {"before": before, "after": {"store": "present"}},
    }


def main() -> None:
    """Run the module."""
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
