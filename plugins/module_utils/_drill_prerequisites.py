# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What a migration needs, and how the drill of refused migrations takes each of it away."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_reading import Fields, unknown
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_terms import MoveKind, MoveStorage
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill

# How the migration is asked for, what is taken from its destination, and how its refusal is told.
_ASKED = ("host", "away_from", "cloud", "kind", "storage", "stopped")
_TAKEN = ("service", "claimed", "hidden", "settings")
_TOLD = ("expected", "logged")


def refuse_wrong(prerequisites: object, drills: Iterable[Drill]) -> None:
    """LifeboatError for a prerequisite without its form, and for a drill that names one that there is not."""
    fields = Fields("drill_prerequisites", prerequisites, kind="variable")
    for name in fields.keys:
        _check(fields.inner(name))
    for drill in drills:
        for name in drill.move.without if drill.move else ():
            if name not in fields:
                raise unknown(f"drill {drill.name}, key move.without", name, "prerequisite", fields.keys)


def _check(fields: Fields) -> None:
    fields.allow(*_ASKED, *_TAKEN, *_TOLD)
    for key in ("host", "away_from", "cloud"):
        if key in fields:
            fields.text(key)
    fields.word("kind", MoveKind, "kind of migration", MoveKind.LIVE)
    fields.word("storage", MoveStorage, "way of the disks", MoveStorage.AUTO)
    fields.texts("claimed")
    fields.flag("stopped", False)
    fields.flag("logged", False)
    fields.text("expected")
    service = fields.inner("service")
    service.allow("state", "forced_down")
    service.flag("forced_down", False)
    for path in fields.texts("hidden"):
        if not path.startswith("/"):
            raise LifeboatError(fields.place("hidden"), path, "absolute paths", "Write the whole path.")
    settings = fields.inner("settings")
    for section in settings.keys:
        _check_options(settings.inner(section))


def _check_options(options: Fields) -> None:
    """What can be an environment variable of a unit of systemd."""
    for option in options.keys:
        value = options.raw(option, "a value")
        if not isinstance(value, str | int | float) or any(each in str(value) for each in '\n"\\'):
            expected = "a word or a number, without quotes and backslashes"
            raise LifeboatError(options.place(option), repr(value), expected, "Correct the value.")
