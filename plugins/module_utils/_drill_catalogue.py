# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""The catalogue: folders of drill files, and the choice among them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill import Drill, read_drill
from ansible_collections.lifeboat.cloud.plugins.module_utils._drill_reading import nearest, unknown
from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


def load(directories: Iterable[Path], known_probes: Collection[str] | None = None) -> tuple[Drill, ...]:
    """Every drill of the ``directories`` (files ``*.yml`` and ``*.yaml``), in their order and that of the names."""
    found: dict[str, Path] = {}
    drills: list[Drill] = []
    for file in (file for directory in directories for file in _files(directory)):
        drill = read_drill(str(file), _parse(file), known_probes)
        if drill.name != file.stem:
            raise LifeboatError(f"drill file {file}, key name", drill.name, file.stem, "Name the file as the drill.")
        if drill.name in found:
            remedy = f"Rename one of them; the other is {found[drill.name]}."
            raise LifeboatError(f"drill file {file}, key name", f"{drill.name} again", "a name of its own", remedy)
        found[drill.name] = file
        drills.append(drill)
    return tuple(drills)


def select(drills: Sequence[Drill], wanted: str) -> tuple[Drill, ...]:
    """The drills that ``wanted`` names: C(all), a name, a tag, or several of them with commas."""
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    known = {"all", *(drill.name for drill in drills), *(tag for drill in drills for tag in drill.tags)}
    for word in words:
        if word not in known:
            raise LifeboatError("drill", repr(word), "the name or a tag of a known drill, or all", nearest(word, known))
    if not words:
        raise LifeboatError("drill", repr(wanted), "all, a name, a tag or a comma list", nearest("", known))
    return tuple(drill for drill in drills if not {"all", drill.name, *drill.tags}.isdisjoint(words))


def named(drills: Sequence[Drill], name: str) -> Drill:
    """The drill called ``name``."""
    by_name = {drill.name: drill for drill in drills}
    if name not in by_name:
        raise unknown("drill", name, "drill", by_name)
    return by_name[name]


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise LifeboatError(
            f"catalogue {directory}", "no such directory", "a directory of drill files", "Correct the path."
        )
    return sorted(file for file in directory.iterdir() if file.suffix in {".yml", ".yaml"})


def _parse(file: Path) -> object:
    try:
        content: object = yaml_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LifeboatError(f"drill file {file}", str(error), "a readable file in UTF-8", "Correct it.") from error
    # The YAML library's errors have no common name without importing it, and it may be absent.
    except Exception as error:
        raise LifeboatError(f"drill file {file}", " ".join(str(error).split()), "YAML", "Correct it.") from error
    return content
