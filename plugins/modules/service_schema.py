#!/usr/bin/python
# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_schema
short_description: Bring the database schemas of a service up to date
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Makes sure that the schemas of a service have had all migrations of the package that is installed.
  - Compares the table C(alembic_version) with the package's migration scripts, and runs the service's own commands when
    they differ. Afterwards they must be the same.
extends_documentation_fragment: [lifeboat.cloud._attributes]
requirements:
  - PyMySQL (Debian package C(python3-pymysql)) on the host that runs the module
options:
  host:
    description:
      - The address of the database.
    type: str
    required: true
  port:
    description:
      - The TCP port of the database.
    type: int
    default: 3306
  user:
    description:
      - The name of the service's account.
    type: str
    required: true
  password:
    description:
      - The password of the account.
    type: str
    required: true
  ca_file:
    description:
      - The authority that has signed the database's certificate. Without it the connection is not encrypted.
    type: path
  schemas:
    description:
      - The schemas, in the order in which they are brought up to date.
    type: list
    elements: dict
    required: true
    suboptions:
      database:
        description:
          - The name of the schema.
        type: str
        required: true
      migrations:
        description:
          - The directory of its migration scripts, relative to F(/usr/lib/python3/dist-packages).
        type: path
        required: true
      commands:
        description:
          - The commands that bring it up to date, each a list of words. They must bear to be run again.
        type: list
        elements: list
        required: true
  run_as:
    description:
      - The system user that runs the commands.
    type: str
    required: true
  timeout:
    description:
      - Seconds that one command may take. A service's tool waits for its database for ever.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Bring the schema of Placement up to date
  lifeboat.cloud.service_schema:
    host: 10.0.0.100
    user: placement
    password: "{{ placement_database_password }}"
    ca_file: /etc/lifeboat/tls/ca.crt
    schemas:
      - database: placement
        migrations: placement/db/sqlalchemy/alembic/versions
        commands: [[placement-manage, db, sync]]
    run_as: placement
  run_once: true
"""

RETURN = r"""
updated:
  description: The schemas that were brought up to date, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [placement]
"""

import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lifeboat.cloud.plugins.module_utils._command import output_of
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._module import run_module
from ansible_collections.lifeboat.cloud.plugins.module_utils._schema import Schema, newest, schemas

try:
    import pymysql
except ImportError:
    PYMYSQL_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    PYMYSQL_IMPORT_ERROR = None

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 3306},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path"},
    "schemas": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "database": {"type": "str", "required": True},
            "migrations": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "list", "required": True},
        },
    },
    "run_as": {"type": "str", "required": True},
    "timeout": {"type": "int", "default": 180},
}
CONNECT_TIMEOUT_S = 10
NO_SUCH_TABLE = 1146


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Run the commands of the schemas that are behind."""
    updated, before, after = [], [], []
    for schema in schemas(module.params["schemas"]):
        wanted = newest(schema.migrations)
        found = applied(module, schema)
        if found == wanted:
            continue
        updated.append(schema.database)
        before.append(f"{schema.database}: {described(found)}\n")
        after.append(f"{schema.database}: {described(wanted)}\n")
        if not module.check_mode:
            bring_up_to_date(module, schema, wanted)
    return {
        "changed": bool(updated),
        "updated": updated,
        "diff": {"before": "".join(before), "after": "".join(after)},
    }


def bring_up_to_date(module: AnsibleModule, schema: Schema, wanted: frozenset[str]) -> None:
    """Run the commands; LifeboatError when the schema is not up to date afterwards."""
    timeout = module.params["timeout"]
    for command in schema.commands:
        output_of(["timeout", str(timeout), "runuser", "-u", module.params["run_as"], "--", *command], timeout + 5)
    found = applied(module, schema)
    if found != wanted:
        remedy = "See the log of the service's tool, and whether its configuration names this schema."
        raise LifeboatError(f"schema {schema.database}", described(found), described(wanted), remedy)


def applied(module: AnsibleModule, schema: Schema) -> frozenset[str]:
    """The newest migrations that the schema has had; empty for a new one."""
    try:
        with connect(module, schema.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            return frozenset(row[0] for row in cursor.fetchall())
    except (pymysql.MySQLError, OSError) as error:
        if error.args and error.args[0] == NO_SUCH_TABLE:
            return frozenset()
        # On a new cloud check mode has made neither the authority's file nor the account nor the schema.
        if module.check_mode:
            return frozenset()
        found = ": ".join(str(argument) for argument in error.args)
        expected = f"an answer to {module.params['user']} within {CONNECT_TIMEOUT_S} s"
        remedy = "See playbooks/verify.yml for the state of the database."
        raise LifeboatError(f"schema {schema.database} at {module.params['host']}", found, expected, remedy) from error


def connect(module: AnsibleModule, database: str) -> t.Any:
    """A connection of the service's account."""
    return pymysql.connect(
        host=module.params["host"],
        port=module.params["port"],
        user=module.params["user"],
        password=module.params["password"],
        database=database,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=CONNECT_TIMEOUT_S,
        write_timeout=CONNECT_TIMEOUT_S,
        ssl={"ca": module.params["ca_file"]} if module.params["ca_file"] else None,
    )


def described(revisions: frozenset[str]) -> str:
    """The migrations in words."""
    return ", ".join(sorted(revisions)) or "no migration"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if PYMYSQL_IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("PyMySQL"), exception=PYMYSQL_IMPORT_ERROR)
    run_module(module, work)


if __name__ == "__main__":
    main()
