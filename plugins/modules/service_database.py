#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_database
short_description: Give one service its schemas and its account in MariaDB
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure, in one session, that the schemas of a service exist, that its account exists with the given password,
    and that the account has all privileges on each of the schemas.
  - Runs on a member of the database as the user C(root), over the server's socket. In a Galera cluster one member is
    enough, the others get the statements by replication.
  - The password is compared with the hash that the server keeps, so a password that was changed elsewhere is noticed.
    It does not appear in any statement.
extends_documentation_fragment: [lifeboat.cloud._attributes]
requirements:
  - PyMySQL (Debian package C(python3-pymysql)) on the host that runs the module
  - MariaDB 10.4 or later
options:
  names:
    description:
      - The schemas of the service, for instance V(nova), V(nova_api), V(nova_cell0).
    type: list
    elements: str
    required: true
  user:
    description:
      - The name of the account.
    type: str
    required: true
  host:
    description:
      - The hosts from which the account may log in.
    type: str
    default: "%"
  password:
    description:
      - The password of the account. Required with O(state=present).
    type: str
  tls:
    description:
      - Whether the account may log in only over TLS.
    type: bool
    default: true
  character_set:
    description:
      - The default character set of the schemas, with its C(_general_ci) collation. Changing it changes the default of
        tables to come, not the existing tables.
      - V(utf8mb3) is what OpenStack asks for with C(charset=utf8) in its connections. Its migrations give many tables
        that character set explicitly, and foreign keys between these and tables with the schema's default need both
        to be the same.
    type: str
    choices: [utf8mb3, utf8mb4]
    default: utf8mb3
  state:
    description:
      - Whether the account shall exist.
      - V(absent) keeps the schemas unless O(remove_data=true).
    type: str
    choices: [present, absent]
    default: present
  remove_data:
    description:
      - With O(state=absent), drop the schemas with everything in them.
    type: bool
    default: false
  login_unix_socket:
    description:
      - The socket of the server.
    type: path
    default: /run/mysqld/mysqld.sock
notes:
  - Privileges that the account has beyond those asked for are left alone.
"""

EXAMPLES = r"""
- name: Give Nova its three schemas
  lifeboat.cloud.service_database:
    names: [nova, nova_api, nova_cell0]
    user: nova
    password: "{{ nova_database_password }}"

- name: Take Nova's account away and drop its data
  lifeboat.cloud.service_database:
    names: [nova, nova_api, nova_cell0]
    user: nova
    state: absent
    remove_data: true
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample:
    - create schema nova
    - create user nova@%
    - grant nova@% all privileges on nova
"""

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._change import result_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._database import (
    Account,
    Query,
    Row,
    ServiceDatabase,
    differences,
    observe,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module

try:
    import pymysql
except ImportError:
    PYMYSQL_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PYMYSQL_IMPORT_ERROR = None

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "user": {"type": "str", "required": True},
    "host": {"type": "str", "default": "%"},
    "password": {"type": "str", "no_log": True},
    "tls": {"type": "bool", "default": True},
    "character_set": {"type": "str", "choices": ["utf8mb3", "utf8mb4"], "default": "utf8mb3"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "remove_data": {"type": "bool", "default": False},
    "login_unix_socket": {"type": "path", "default": "/run/mysqld/mysqld.sock"},
}
CONNECT_TIMEOUT_SECONDS = 10
# A statement that changes a schema waits in a Galera cluster for its turn in the total order.
STATEMENT_TIMEOUT_SECONDS = 60
WSREP_NOT_READY = 1047


def converge(module: AnsibleModule) -> dict[str, t.Any]:
    wanted = ServiceDatabase(
        account=Account(module.params["user"], module.params["host"]),
        schemas=tuple(module.params["names"]),
        password=module.params["password"] or "",
        tls=module.params["tls"],
        character_set=module.params["character_set"],
        present=module.params["state"] == "present",
        remove_data=module.params["remove_data"],
    )
    validate(wanted)
    socket = module.params["login_unix_socket"]
    try:
        with connect(socket) as connection:
            query = query_over(connection)
            changes = differences(wanted, observe(query, wanted))
            if not module.check_mode:
                for change in changes:
                    query(change.statement, change.arguments)
    except pymysql.MySQLError as error:
        raise explained(error, socket) from error
    return result_of(changes)


def connect(socket: str) -> t.Any:
    return pymysql.connect(
        user="root",
        unix_socket=socket,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=STATEMENT_TIMEOUT_SECONDS,
        write_timeout=STATEMENT_TIMEOUT_SECONDS,
        charset="utf8mb4",
        # Whatever the server's mode, quotes and backslashes mean what the client's quoting supposes.
        sql_mode="STRICT_ALL_TABLES",
        autocommit=True,
    )


def query_over(connection: t.Any) -> Query:
    def query(statement: str, arguments: tuple[str, ...] = ()) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())

    return query


def explained(error: Exception, socket: str) -> LifeboatError:
    thing = f"MariaDB at {socket}"
    code = error.args[0] if error.args else None
    found = ": ".join(str(argument) for argument in error.args) or type(error).__name__
    if code == WSREP_NOT_READY:
        return LifeboatError(
            thing,
            found,
            "a member of the cluster's primary component",
            "Bring the Galera cluster to health first, or run this on a member that is Synced.",
        )
    remedy = "Look at the server's log, and make sure that root may log in over this socket."
    return LifeboatError(thing, found, "a statement that succeeds", remedy)


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ["password"])],
        supports_check_mode=True,
    )
    if PYMYSQL_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("PyMySQL"), exception=PYMYSQL_IMPORT_ERROR)
    run_module(module, converge)


if __name__ == "__main__":
    main()
