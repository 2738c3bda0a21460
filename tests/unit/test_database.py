# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_database and its statements, against a small server that understands exactly these."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._database import (
    Account,
    ServiceDatabase,
    differences,
    observe,
    password_hash,
    validate,
)
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.modules import service_database
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module
from hypothesis import given
from hypothesis import strategies as st

NOVA = ServiceDatabase(Account("nova"), ("nova", "nova_api", "nova_cell0"), "a%s'\\`pw")


@dataclass
class Server:
    """MariaDB as far as the statements go; an unknown statement fails the test."""

    schemas: dict[str, str] = field(default_factory=lambda: {"mysql": "utf8mb4_uca1400_ai_ci"})
    accounts: dict[tuple[str, ...], dict[str, object]] = field(default_factory=dict)
    grants: dict[tuple[str, ...], set[str]] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    def __call__(self, statement, arguments=()):
        if statement.startswith("SELECT SCHEMA_NAME"):
            return list(self.schemas.items())
        if statement.startswith("SELECT Priv"):
            return [(json.dumps(self.accounts[arguments]),)] if arguments in self.accounts else []
        if statement.startswith("SHOW GRANTS"):
            user, host = arguments
            usage = (f"GRANT USAGE ON *.* TO `{user}`@`{host}` IDENTIFIED BY PASSWORD '*00' REQUIRE SSL",)
            return [usage, *((f"GRANT {grant} TO `{user}`@`{host}`",) for grant in sorted(self.grants[arguments]))]
        self.written.append(statement)
        self._write(statement, arguments)
        return []

    def _write(self, statement, arguments):
        if match := re.fullmatch(r"(CREATE|ALTER) DATABASE `(\S+)` CHARACTER SET (\S+) COLLATE (\S+)", statement):
            verb, name, _charset, collation = match.groups()
            assert (name in self.schemas) == (verb == "ALTER")
            self.schemas[name] = collation
        elif match := re.fullmatch(r"DROP DATABASE `(\S+)`", statement):
            del self.schemas[match.group(1)]
        elif match := re.fullmatch(
            r"(CREATE|ALTER) USER %s@%s IDENTIFIED VIA (\S+) USING %s REQUIRE (SSL|NONE) ACCOUNT UNLOCK", statement
        ):
            verb, plugin, tls = match.groups()
            *account, stored = arguments
            assert (tuple(account) in self.accounts) == (verb == "ALTER")
            self.accounts[tuple(account)] = {
                "access": 0,
                "plugin": plugin,
                "authentication_string": stored,
                "ssl_type": int(tls == "SSL"),
            }
            self.grants.setdefault(tuple(account), set())
        elif match := re.fullmatch(r"GRANT (ALL PRIVILEGES ON `\S+`\.\*) TO %s@%s", statement):
            self.grants[arguments].add(match.group(1))
        elif statement == "DROP USER %s@%s":
            del self.accounts[arguments]
            del self.grants[arguments]
        else:
            raise AssertionError(statement)


def converge(server, wanted):
    changes = differences(wanted, observe(server, wanted))
    for change in changes:
        server(change.statement, change.arguments)
    return changes


def test_the_hash_is_the_server_s_own():
    # SELECT PASSWORD('mariadb'), from MariaDB's manual of mysql_native_password.
    assert password_hash("mariadb") == "*54958E764CE10E50764C2EECBB71D01F08549980"


def test_an_empty_server_gets_everything_in_an_order_that_works():
    server = Server()
    changes = converge(server, NOVA)
    assert [change.says for change in changes] == [
        "create schema nova",
        "create schema nova_api",
        "create schema nova_cell0",
        "create user nova@%",
        "grant nova@% all privileges on nova",
        "grant nova@% all privileges on nova_api",
        "grant nova@% all privileges on nova_cell0",
    ]
    assert server.schemas["nova_api"] == "utf8mb3_general_ci"
    assert server.accounts[("nova", "%")]["ssl_type"] == 1
    assert r"ALL PRIVILEGES ON `nova\_api`.*" in server.grants[("nova", "%")]


def test_another_collation_of_the_same_character_set_is_left_alone():
    # Keystone's migrations set it on a server whose default it is.
    server = Server()
    converge(server, NOVA)
    server.schemas["nova"] = "utf8mb3_uca1400_ai_ci"
    assert not converge(server, NOVA)


def test_a_second_run_changes_nothing():
    server = Server()
    converge(server, NOVA)
    server.written.clear()
    assert converge(server, NOVA) == []
    assert server.written == []


@pytest.mark.parametrize(
    ("field_name", "value", "says"),
    [
        ("password", "another", "alter user nova@%"),
        ("tls", False, "alter user nova@%"),
        ("character_set", "utf8mb4", "alter schema nova"),
        ("schemas", ("nova", "nova_api", "nova_cell0", "placement"), "create schema placement"),
    ],
)
def test_each_difference_is_noticed_and_mended(field_name, value, says):
    server = Server()
    converge(server, NOVA)
    wanted = replace(NOVA, **{field_name: value})
    assert converge(server, wanted)[0].says == says
    assert converge(server, wanted) == []


@pytest.mark.parametrize(
    "tampering",
    [
        {"account_locked": True},
        {"plugin": "ed25519"},
        {"ssl_type": 2},
        {"ssl_type": 0},
        {"auth_or": [{"plugin": "unix_socket"}, {}]},
        {"authentication_string": ""},
    ],
)
def test_an_account_tampered_with_is_mended(tampering):
    server = Server()
    converge(server, NOVA)
    server.accounts[("nova", "%")].update(tampering)
    assert [change.says for change in converge(server, NOVA)] == ["alter user nova@%"]
    assert converge(server, NOVA) == []


def test_part_of_the_privileges_is_not_all_of_them():
    server = Server()
    converge(server, NOVA)
    server.grants[("nova", "%")] = {"SELECT, INSERT ON `nova`.*", r"ALL PRIVILEGES ON `nova\_api`.*"}
    assert [change.says for change in converge(server, NOVA)] == [
        "grant nova@% all privileges on nova",
        "grant nova@% all privileges on nova_cell0",
    ]


def test_no_statement_and_no_report_holds_the_password():
    server = Server()
    for change in converge(server, NOVA) + converge(server, replace(NOVA, password="rotated")):
        shown = (change.says, change.thing, change.before, change.after)
        for secret in (NOVA.password, "rotated"):
            assert secret not in "".join((*shown, change.statement, *change.arguments))
        assert password_hash(NOVA.password) not in "".join(shown)


def test_absent_keeps_the_data():
    server = Server()
    converge(server, NOVA)
    assert [change.says for change in converge(server, replace(NOVA, present=False))] == ["drop user nova@%"]
    assert "nova_api" in server.schemas
    assert converge(server, replace(NOVA, present=False)) == []


def test_absent_drops_the_data_when_told_so_and_only_the_named():
    server = Server()
    converge(server, NOVA)
    server.schemas["glance"] = "utf8mb3_general_ci"
    gone = replace(NOVA, present=False, remove_data=True)
    assert [change.says for change in converge(server, gone)][1:] == [f"drop schema {name}" for name in NOVA.schemas]
    assert set(server.schemas) == {"mysql", "glance"}
    assert converge(server, gone) == []


@pytest.mark.parametrize(
    ("wanted", "thing"),
    [
        (replace(NOVA, schemas=("nova`; DROP DATABASE glance; --",)), "schema"),
        (replace(NOVA, schemas=("MySQL",)), "schema"),
        (replace(NOVA, schemas=("n" * 65,)), "schema"),
        (replace(NOVA, schemas=("",)), "schema"),
        (replace(NOVA, account=Account("root")), "database user"),
        (replace(NOVA, account=Account("no'va")), "database user"),
        (replace(NOVA, account=Account("nova", "%' OR '")), "host of the database user"),
        (replace(NOVA, password=""), "password of the database user nova"),
    ],
)
def test_names_that_cannot_be_meant_are_refused(wanted, thing):
    with pytest.raises(LifeboatError) as refusal:
        validate(wanted)
    assert refusal.value.thing == thing


NAMES = st.text("abz_-09", min_size=1, max_size=8)


@given(
    schemas=st.lists(NAMES, unique=True, max_size=4),
    user=NAMES,
    password=st.text(min_size=1),
    tls=st.booleans(),
    others=st.dictionaries(NAMES, st.sampled_from(["utf8mb3_general_ci", "latin1_swedish_ci"]), max_size=4),
)
def test_any_start_is_led_to_what_is_wanted_and_the_rest_is_left_alone(schemas, user, password, tls, others):
    server = Server(schemas=dict(others))
    wanted = ServiceDatabase(Account(user), tuple(schemas), password, tls)
    validate(wanted)
    converge(server, wanted)
    assert converge(server, wanted) == []
    assert {name: server.schemas[name] for name in others if name not in schemas} == {
        name: collation for name, collation in others.items() if name not in schemas
    }
    assert server.grants[(user, "%")] == {f"ALL PRIVILEGES ON `{name}`.*".replace("_", r"\_") for name in schemas}


def run(monkeypatch, server, check=False, **options):
    """The module with the small server behind the socket."""
    monkeypatch.setattr(service_database, "connect", lambda socket: contextlib.nullcontext(server))
    monkeypatch.setattr(service_database, "query_over", lambda connection: connection)
    return run_module(service_database.main, check, names=["nova"], user="nova", **options)


def test_the_module_says_in_check_mode_what_it_then_does_without_the_password(monkeypatch):
    server = Server()
    would = run(monkeypatch, server, check=True, password="s3cret-value")
    assert server.written == []
    did = run(monkeypatch, server, password="s3cret-value")
    assert len(server.written) == 3
    for result in (would, did):
        assert result["actions"] == ["create schema nova", "create user nova@%", "grant nova@% all privileges on nova"]
        assert "s3cret-value" not in json.dumps(result) and password_hash("s3cret-value") not in json.dumps(result)
    assert would["diff"] == did["diff"]
    assert run(monkeypatch, server, password="s3cret-value")["changed"] is False


def test_the_module_says_what_is_wrong_before_it_connects(monkeypatch):
    failed = run(monkeypatch, None, password="s3cret-value", host="%' OR '")
    assert failed["failed"] and failed["thing"] == "host of the database user" and failed["remedy"]
    assert "password" in run(monkeypatch, None)["msg"]


def test_the_module_explains_a_server_that_does_not_answer(tmp_path):
    socket = str(tmp_path / "none")
    failed = run_module(
        service_database.main, names=["nova"], user="nova", password="s3cret-value", login_unix_socket=socket
    )
    assert failed["failed"] and failed["thing"] == f"MariaDB at {socket}"
    assert "root may log in" in failed["remedy"] and "s3cret-value" not in json.dumps(failed)
