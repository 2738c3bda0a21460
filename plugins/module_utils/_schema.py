# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Whether a schema has had all migrations of the package that is installed.

Alembic keeps the newest migration of each branch in the table ``alembic_version``; a package's newest migrations are
those that no other one follows (https://alembic.sqlalchemy.org/en/latest/cookbook.html, "Test current database revision
is at head(s)"). The scripts are read and not run: a service's own tool takes seconds to say the same.
"""

from __future__ import annotations

import ast
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

PACKAGES = Path("/usr/lib/python3/dist-packages")


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema, the directory of its migrations and the commands that bring it up to date."""

    database: str
    migrations: Path
    commands: tuple[tuple[str, ...], ...]


def schemas(given: list[dict[str, t.Any]], packages: Path = PACKAGES) -> list[Schema]:
    """The schemas of the module's option; a relative directory lies among Debian's Python packages."""
    return [
        Schema(
            each["database"], packages / each["migrations"], tuple(tuple(map(str, words)) for words in each["commands"])
        )
        for each in given
    ]


def newest(migrations: Path) -> frozenset[str]:
    """The migrations that no other one follows or depends on; LifeboatError when there is none.

    Alembic drops the row of a migration when one that depends on it is applied.
    """
    followed: set[str] = set()
    known: set[str] = set()
    for path in sorted(migrations.rglob("*.py")):
        values = _assigned(path)
        if isinstance(values.get("revision"), str):
            known.add(t.cast(str, values["revision"]))
            for name in ("down_revision", "depends_on"):
                before = values.get(name) or ()
                followed.update([before] if isinstance(before, str) else t.cast("tuple[str, ...]", before))
    if not known:
        found = "no migration there" if migrations.is_dir() else "no such directory"
        remedy = "Install the package of the service, or correct the path of its migrations."
        raise LifeboatError(f"migrations {migrations}", found, "scripts of Alembic", remedy)
    return frozenset(known - followed)


def _assigned(path: Path) -> dict[str, object]:
    """The constants that a script gives to the names at its top."""
    values: dict[str, object] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets = [statement.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id in {"revision", "down_revision", "depends_on"}:
                values[target.id] = ast.literal_eval(t.cast(ast.expr, statement.value))
    return values
