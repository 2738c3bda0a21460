# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The schemas of one service in MariaDB and the account that owns them: what is there, and what has to be done.

The password is compared and set as the hash of C(mysql_native_password), so it never stands in a statement and needs no
login over TCP to be checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

_PLUGIN = "mysql_native_password"
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]+")
_ACCOUNT_LENGTH, _SCHEMA_LENGTH = 80, 64
_SYSTEM_SCHEMAS = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
_SYSTEM_USERS = frozenset({"root", "mysql", "mariadb.sys"})
_TLS_NONE, _TLS_ANY = 0, 1
_FULL_GRANT = re.compile(r"GRANT ALL PRIVILEGES ON `((?:[^`]|``)+)`\.\* TO ")

Row = tuple[t.Any, ...]


class Query(t.Protocol):
    """Runs one statement with C(%s) placeholders and returns all its rows."""

    def __call__(self, statement: str, arguments: tuple[str, ...] = ()) -> list[Row]: ...


@dataclass(frozen=True, slots=True)
class Account:
    """One account, ``user``@``host``."""

    user: str
    host: str = "%"


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """What one service shall find: its schemas and the account with all privileges on each of them."""

    account: Account
    schemas: tuple[str, ...]
    password: str = ""
    tls: bool = True
    character_set: str = "utf8mb3"
    present: bool = True
    remove_data: bool = False

    @property
    def collation(self) -> str:
        return f"{self.character_set}_general_ci"


@dataclass(frozen=True, slots=True)
class AccountState:
    """How an existing account logs in. ``password_hash`` is empty for one that does so otherwise than by a password."""

    password_hash: str
    tls: bool
    locked: bool


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a server holds: the collation of each schema, the account, the schemas it has all privileges on."""

    collations: dict[str, str]
    account: AccountState | None
    granted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One statement to run, and how to call it and its two sides in a report, without secrets."""

    says: str
    thing: str
    before: str
    after: str
    statement: str
    arguments: tuple[str, ...] = ()


def password_hash(password: str) -> str:
    """What the server keeps of a password with C(mysql_native_password): '*' + hex(SHA1(SHA1(password)))."""
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


def validate(wanted: ServiceDatabase) -> None:
    """LifeboatError for a name that cannot be meant, or a system account or schema."""
    _validate_name("database user", wanted.account.user, _NAME, _ACCOUNT_LENGTH, _SYSTEM_USERS)
    _validate_name("host of the database user", wanted.account.host, _HOST, 255, frozenset())
    for schema in wanted.schemas:
        _validate_name("schema", schema, _NAME, _SCHEMA_LENGTH, _SYSTEM_SCHEMAS)
    if wanted.present and not wanted.password:
        raise LifeboatError(
            f"password of the database user {wanted.account.user}", "nothing", "a password", "Set the option password."
        )


def _validate_name(thing: str, name: str, pattern: re.Pattern[str], length: int, reserved: frozenset[str]) -> None:
    if name.lower() in reserved:
        raise LifeboatError(thing, repr(name), "a name that the server does not use itself", "Choose another name.")
    if not pattern.fullmatch(name) or len(name) > length:
        raise LifeboatError(
            thing, repr(name), f"at most {length} characters matching {pattern.pattern}", "Correct the name."
        )


def observe(query: Query, wanted: ServiceDatabase) -> DatabaseState:
    """Read from the server what concerns ``wanted``."""
    collations = query("SELECT SCHEMA_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA")
    account = _observe_account(query, wanted.account)
    return DatabaseState(
        collations={str(name): str(collation) for name, collation in collations if name in wanted.schemas},
        account=account,
        granted=_observe_grants(query, wanted.account) if account else frozenset(),
    )


def _observe_account(query: Query, account: Account) -> AccountState | None:
    rows = query("SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = %s", (account.user, account.host))
    if not rows:
        return None
    privileges = json.loads(rows[0][0])
    by_password_only = privileges.get("plugin") == _PLUGIN and "auth_or" not in privileges
    return AccountState(
        password_hash=str(privileges.get("authentication_string", "")) if by_password_only else "",
        tls=int(privileges.get("ssl_type", _TLS_NONE)) == _TLS_ANY,
        locked=bool(privileges.get("account_locked", False)),
    )


def _observe_grants(query: Query, account: Account) -> frozenset[str]:
    rows = query("SHOW GRANTS FOR %s@%s", (account.user, account.host))
    matches = (_FULL_GRANT.match(str(row[0])) for row in rows)
    return frozenset(match.group(1).replace("``", "`") for match in matches if match)


def differences(wanted: ServiceDatabase, found: DatabaseState) -> list[Change]:
    """The statements that lead from ``found`` to ``wanted``, in the order to run them; none when nothing differs."""
    if not wanted.present:
        return [*_remove_account(wanted, found), *_remove_schemas(wanted, found)]
    return [*_change_schemas(wanted, found), *_change_account(wanted, found), *_add_grants(wanted, found)]


def _change_schemas(wanted: ServiceDatabase, found: DatabaseState) -> t.Iterator[Change]:
    for schema in wanted.schemas:
        collation = found.collations.get(schema)
        # Migrations of OpenStack services set the server's own collation of the same character set.
        if collation is not None and collation.startswith(f"{wanted.character_set}_"):
            continue
        verb = "CREATE" if collation is None else "ALTER"
        yield Change(
            says=f"{verb.lower()} schema {schema}",
            thing=f"schema {schema}",
            before=collation or "absent",
            after=wanted.collation,
            statement=f"{verb} DATABASE {_quoted(schema)}"
            f" CHARACTER SET {wanted.character_set} COLLATE {wanted.collation}",
        )


def _change_account(wanted: ServiceDatabase, found: DatabaseState) -> t.Iterator[Change]:
    new_hash = password_hash(wanted.password)
    shall_be = AccountState(new_hash, wanted.tls, locked=False)
    if found.account == shall_be:
        return
    verb = "CREATE" if found.account is None else "ALTER"
    user, host = wanted.account.user, wanted.account.host
    yield Change(
        says=f"{verb.lower()} user {user}@{host}",
        thing=f"user {user}@{host}",
        before=_described(found.account, new_hash),
        after=_described(shall_be, new_hash),
        statement=f"{verb} USER %s@%s IDENTIFIED VIA {_PLUGIN} USING %s"
        f" REQUIRE {'SSL' if wanted.tls else 'NONE'} ACCOUNT UNLOCK",
        arguments=(user, host, new_hash),
    )


def _described(account: AccountState | None, wanted_hash: str) -> str:
    if account is None:
        return "absent"
    return ", ".join(
        (
            "password as asked" if account.password_hash == wanted_hash else "another password",
            "TLS required" if account.tls else "TLS not required",
            "locked" if account.locked else "not locked",
        )
    )


def _add_grants(wanted: ServiceDatabase, found: DatabaseState) -> t.Iterator[Change]:
    user, host = wanted.account.user, wanted.account.host
    for schema in wanted.schemas:
        if _as_pattern(schema) in found.granted:
            continue
        yield Change(
            says=f"grant {user}@{host} all privileges on {schema}",
            thing=f"privileges of {user}@{host} on {schema}",
            before="not all",
            after="all",
            statement=f"GRANT ALL PRIVILEGES ON {_quoted(_as_pattern(schema))}.* TO %s@%s",
            arguments=(user, host),
        )


def _remove_account(wanted: ServiceDatabase, found: DatabaseState) -> t.Iterator[Change]:
    if found.account is not None:
        user, host = wanted.account.user, wanted.account.host
        name = f"user {user}@{host}"
        yield Change(f"drop {name}", name, "present", "absent", "DROP USER %s@%s", (user, host))


def _remove_schemas(wanted: ServiceDatabase, found: DatabaseState) -> t.Iterator[Change]:
    if wanted.remove_data:
        for schema in (name for name in wanted.schemas if name in found.collations):
            name = f"schema {schema}"
            yield Change(f"drop {name}", name, found.collations[schema], "absent", f"DROP DATABASE {_quoted(schema)}")


def _quoted(identifier: str) -> str:
    return "`" + identifier.replace("`", "``") + "`"


def _as_pattern(schema: str) -> str:
    """The schema's name as GRANT reads it: unescaped, `nova_api` would also cover `nova-api` and `novaXapi`."""
    return schema.replace("_", r"\_")
