# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schemas of a service: what is behind is brought up to date by the service's commands, once."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError
from ansible_collections.lifeboat.cloud.plugins.module_utils._schema import newest
from ansible_collections.lifeboat.cloud.plugins.modules import service_schema
from ansible_collections.lifeboat.cloud.tests.unit.run_module import run_module

pymysql = pytest.importorskip("pymysql")


def script(directory: Path, revision: str, **names: object) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value!r}\n" for name, value in {"revision": revision, **names}.items()]
    text = '"""A migration."""\nfrom alembic import op\n' + "".join(lines) + "def upgrade():\n    op.go()\n"
    (directory / f"{revision}_it.py").write_text(text, encoding="utf-8")


def test_the_newest_of_one_branch(tmp_path: Path) -> None:
    script(tmp_path, "a", down_revision=None)
    script(tmp_path, "b", down_revision="a")
    (tmp_path / "c.py").write_text('revision: str = "c"\ndown_revision: str | None = "b"\n', encoding="utf-8")
    assert newest(tmp_path) == {"c"}


def test_branches_in_directories_merges_and_dependencies(tmp_path: Path) -> None:
    script(tmp_path / "2024.1/expand", "e1", down_revision=None)
    script(tmp_path / "2025.1/expand", "e2", down_revision="e1")
    script(tmp_path / "2025.1/contract", "c1", down_revision=None, depends_on=("e1",))
    assert newest(tmp_path) == {"e2", "c1"}
    script(tmp_path / "2025.2/contract", "c2", down_revision="c1", depends_on="e2")
    assert newest(tmp_path) == {"c2"}
    script(tmp_path, "m", down_revision=("e2", "c2"))
    assert newest(tmp_path) == {"m"}


def test_a_directory_without_migrations_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text("import alembic\n", encoding="utf-8")
    with pytest.raises(LifeboatError, match="no migration there"):
        newest(tmp_path)
    with pytest.raises(LifeboatError, match="no such directory"):
        newest(tmp_path / "absent")


class Database:
    """MariaDB with one schema; ``rows`` of alembic_version, or None when it has no table, or an error to raise."""

    def __init__(self, rows: list[str] | Exception | None) -> None:
        self.rows = rows
        self.options: dict[str, t.Any] = {}

    def connect(self, **options: t.Any) -> t.Any:
        self.options = options
        if isinstance(self.rows, Exception):
            raise self.rows
        return contextlib.nullcontext(self)

    def cursor(self) -> t.Any:
        return contextlib.nullcontext(self)

    def execute(self, statement: str) -> None:
        if self.rows is None:
            raise pymysql.ProgrammingError(1146, "Table 'glance.alembic_version' doesn't exist")

    def fetchall(self) -> list[tuple[str]]:
        return [(row,) for row in t.cast("list[str]", self.rows)]


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: Database, check: bool = False) -> dict[str, t.Any]:
    """The module against ``database``, whose schema is up to date once the command has run."""
    script(tmp_path, "a", down_revision=None)
    script(tmp_path, "b", down_revision="a")
    ran: list[str] = []

    def output_of(words: list[str], timeout_s: float) -> str:
        ran.append(" ".join(words))
        database.rows = ["b"] if "sync" in words else database.rows
        return ""

    monkeypatch.setattr(service_schema, "output_of", output_of)
    monkeypatch.setattr(service_schema.pymysql, "connect", database.connect)
    schema = {"database": "glance", "migrations": str(tmp_path), "commands": [["glance-manage", "db", "sync"]]}
    options = {"host": "192.0.2.1", "user": "glance", "password": "of glance", "run_as": "glance", "timeout": 7}
    result = run_module(service_schema.main, check, schemas=[schema], **options)
    return {**result, "ran": ran}


@pytest.mark.parametrize("rows", [None, [], ["a"]])
def test_what_is_behind_is_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: list[str] | None
) -> None:
    done = run(monkeypatch, tmp_path, Database(rows))
    assert (done["changed"], done["updated"]) == (True, ["glance"])
    assert done["ran"] == ["timeout 7 runuser -u glance -- glance-manage db sync"]


def test_what_is_up_to_date_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    database = Database(["b"])
    done = run(monkeypatch, tmp_path, database)
    assert (done["changed"], done["updated"], done["ran"]) == (False, [], [])
    assert database.options["password"] == "of glance"


@pytest.mark.parametrize(
    "state",
    [["a"], None, pymysql.OperationalError(1045, "Access denied"), FileNotFoundError(2, "No such file", "ca.crt")],
)
def test_check_mode_tells_and_runs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: t.Any) -> None:
    done = run(monkeypatch, tmp_path, Database(state), check=True)
    assert (done["changed"], done["ran"]) == (True, [])


def test_a_database_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = run(monkeypatch, tmp_path, Database(pymysql.OperationalError(1045, "Access denied")))
    assert done["failed"]
    assert "1045" in done["found"]
    assert "of glance" not in str(done)


def test_commands_that_change_nothing_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    database = Database(["b"])
    database.rows = ["x"]
    monkeypatch.setattr(Database, "fetchall", lambda _self: [("x",)])
    done = run(monkeypatch, tmp_path, database)
    assert done["failed"]
    assert (done["found"], done["expected"]) == ("x", "b")
