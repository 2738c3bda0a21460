#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of one Galera member, running or stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: galera_info
short_description: Read the state of one Galera member, running or stopped
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Asks the running server for its place in the cluster. When the server is stopped, reads what it left in its data
    directory, and, if wanted, lets it recover the position of its data.
  - The answers of all members are what M(lifeboat.cloud.galera_recovery_plan) decides from.
extends_documentation_fragment:
  - lifeboat.cloud._attributes.info
attributes:
  check_mode:
    support: partial
    description: Only reads, with one exception.
    details:
      - O(recover_position) starts C(mariadbd --wsrep-recover), which brings InnoDB to a consistent state as every start
        of the server does. In check mode it is not started.
requirements:
  - PyMySQL (Debian package C(python3-pymysql)) on the host
options:
  recover_position:
    description:
      - Whether a stopped server shall recover the position of its data.
      - This is not only reading. C(mariadbd --wsrep-recover) performs InnoDB's crash recovery, that is to say it writes
        to the data directory what the next start would write anyway. Save the directory before when you want it as it
        is.
      - It is not run on a data directory that holds no data, or that Galera itself has declared invalid.
    type: bool
    default: false
  recover_timeout:
    description:
      - How many seconds the recovery may take.
    type: float
    default: 300.0
  datadir:
    description:
      - The data directory.
    type: path
    default: /var/lib/mysql
  login_unix_socket:
    description:
      - The server's socket, over which C(root) may log in.
    type: path
    default: /run/mysqld/mysqld.sock
  timeout:
    description:
      - How many seconds a running server may take to answer.
    type: float
    default: 5.0
notes:
  - A running server that does not answer is no failure of the module. RV(galera.primary) is then null and
    RV(galera.error) says why.
seealso:
  - module: lifeboat.cloud.galera_recovery_plan
"""

EXAMPLES = r"""
- name: Read where this member stands, recovering the position when it is stopped
  lifeboat.cloud.galera_info:
    recover_position: true
  register: member
"""

RETURN = r"""
galera:
  description: The member. What does not apply is null.
  returned: success
  type: dict
  contains:
    running:
      description: Whether the server's unit runs or is about to.
      type: bool
      sample: false
    primary:
      description: Whether the running member is part of the primary component.
      type: bool
      sample: null
    uuid:
      description:
        - The UUID of the cluster whose data the member holds. The nil UUID means that it holds none, as it was never
          initialised or is declared invalid by Galera.
      type: str
      sample: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e
    seqno:
      description: The number of the last write-set in the data, -1 when it is not known.
      type: int
      sample: 4711
    safe_to_bootstrap:
      description: Galera's own mark of the member that stopped last.
      type: bool
      sample: false
    gvwstate_members:
      description: The members of the last primary component, if this one ended without leaving it.
      type: list
      elements: str
      sample: [0dae1307-c692-11f0-94aa-5255b1455aa0]
    grastate:
      description: What C(grastate.dat) says.
      type: dict
      sample: {uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e, seqno: -1, safe_to_bootstrap: false}
    recovered:
      description: What the recovery says.
      type: dict
      sample: {uuid: 6f1a52a7-c691-11f0-9d0c-6a3f5c1c2f0e, seqno: 4711}
    status:
      description: What the running server says.
      type: dict
      sample: null
    error:
      description: Why something is not known.
      type: str
      sample: null
"""

import dataclasses
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lifeboat.cloud.plugins.module_utils._galera_member import Member, read_member
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "recover_position": {"type": "bool", "default": False},
    "recover_timeout": {"type": "float", "default": 300.0},
    "datadir": {"type": "path", "default": "/var/lib/mysql"},
    "login_unix_socket": {"type": "path", "default": "/run/mysqld/mysqld.sock"},
    "timeout": {"type": "float", "default": 5.0},
}


def read(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    recover = params["recover_position"] and not module.check_mode
    member = read_member(
        params["login_unix_socket"],
        Path(params["datadir"]),
        params["timeout"],
        params["recover_timeout"] if recover else None,
    )
    return {"galera": as_json(member)}


def as_json(member: Member) -> dict[str, t.Any]:
    saved, view, position = member.saved_state, member.saved_view, member.position
    return {
        "running": member.running,
        "primary": member.status.primary if member.status else None,
        "uuid": position.uuid if position else None,
        "seqno": position.seqno if position else None,
        "safe_to_bootstrap": saved.safe_to_bootstrap if saved else None,
        "gvwstate_members": list(view.members) if view else None,
        "grastate": {**dataclasses.asdict(saved.position), "safe_to_bootstrap": saved.safe_to_bootstrap}
        if saved
        else None,
        "recovered": dataclasses.asdict(member.recovered) if member.recovered else None,
        "status": dataclasses.asdict(member.status) if member.status else None,
        "error": member.error,
    }


def main() -> None:
    run_module(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), read)


if __name__ == "__main__":
    main()
